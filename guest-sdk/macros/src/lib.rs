//! The macros of the Tidemill SDK: `#[function]`, `#[on_timer]`, `#[derive(Inputs)]` and
//! `#[derive(Columns)]`. Use them by way of `tidemill-sdk`.
//!
//! They never look at what a type is called: every parameter goes through a trait, so that aliases, paths and types
//! of one's own work. What they know of a parameter is its name and its attributes.

mod callable;
mod columns;
mod function;
mod inputs;
mod names;

use proc_macro::TokenStream;

/// Makes a plain `fn` a function for Tidemill.
///
/// Each parameter is taken by its type (see `Param`) and named by itself. Exactly one is the input. On a parameter,
/// `#[name("…")]` gives it another name and `#[header("…")]` takes a header of the record. The `fn` stays as it is, so
/// that it can be called; beside it comes a struct of the same name for `export!` and the test driver.
///
/// `#[function(timers(due))]` lists the functions with `#[on_timer]` that handle its timers: a parameter
/// `due: Timer<P>` is handled by `due`. They come with the function, and need no place in `export!`.
///
/// `async`, generics and `self` are refused; a lifetime is written `'_`.
#[proc_macro_attribute]
pub fn function(arguments: TokenStream, item: TokenStream) -> TokenStream {
    function::expand(arguments.into(), item.into())
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

/// Makes a plain `fn` the handler of the timer of its name, for the function that lists it in
/// `#[function(timers(…))]`.
///
/// One parameter is a `Fired<P>`, what the timer brings. The others are as those of a function, but for inputs and
/// headers: a timer is no record. A name that function and handler both use is one output, one store, one value.
#[proc_macro_attribute]
pub fn on_timer(arguments: TokenStream, item: TokenStream) -> TokenStream {
    function::expand_on_timer(arguments.into(), item.into())
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

/// Makes an enum the input of a function that tells several inputs apart.
///
/// Each variant holds what its records' values are taken as (`Json<T>`, `Bytes`, `Text`, `Record`, or an `Option`), and
/// is named by itself in snake case, or by `#[name("…")]`.
#[proc_macro_derive(Inputs, attributes(name))]
pub fn inputs(item: TokenStream) -> TokenStream {
    inputs::expand(item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Makes a struct what is read of an aggregate's results: each field is a column, named by itself or by `#[name("…")]`.
///
/// A field is an integer, `f64`, `bool`, `String`, a `Vec`, a map, `Json<T>`, or an `Option` of these where a result may be
/// null. The manifest's `compute` must have the columns; it may have more.
#[proc_macro_derive(Columns, attributes(name))]
pub fn columns(item: TokenStream) -> TokenStream {
    columns::expand(item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}
