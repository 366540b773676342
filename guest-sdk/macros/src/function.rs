//! `#[function]` and `#[on_timer]`.

use crate::callable::{By, Callable};
use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{
    Error, Path, Result, Type, ext::IdentExt, parse::Parser, parse2, punctuated::Punctuated,
    spanned::Spanned, token::Comma,
};

/// `#[function]`.
pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let callable = Callable::read("function", &item)?;
    let timers = timers(arguments)?;
    Ok(callable.write(&callable.function_impl(&timers)))
}

/// `#[on_timer]`.
pub(crate) fn expand_on_timer(arguments: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let callable = Callable::read("on_timer", &item)?;
    if !arguments.is_empty() {
        return Err(Error::new_spanned(arguments, "#[on_timer] takes no argument"));
    }
    if let Some(header) = callable.parameters.iter().find_map(|parameter| match &parameter.by {
        By::Header(header) => Some(header),
        By::Type(_) => None,
    }) {
        return Err(Error::new(header.span(), "a timer has no headers"));
    }
    Ok(callable.write(&callable.on_timer_impl()))
}

/// The timer handlers that `timers(…)` lists.
fn timers(arguments: TokenStream) -> Result<Vec<Path>> {
    const WHY: &str =
        "#[function] takes nothing but timers(…), which lists its #[on_timer] functions";
    if arguments.is_empty() {
        return Ok(Vec::new());
    }
    let list: syn::MetaList =
        parse2(arguments.clone()).map_err(|_| Error::new_spanned(&arguments, WHY))?;
    if !list.path.is_ident("timers") {
        return Err(Error::new_spanned(&arguments, WHY));
    }
    let paths = Punctuated::<Path, Comma>::parse_terminated.parse2(list.tokens.clone());
    let paths: Vec<_> =
        paths.map_err(|_| Error::new_spanned(&list.tokens, WHY))?.into_iter().collect();
    if paths.is_empty() {
        return Err(Error::new_spanned(&arguments, WHY));
    }
    for (index, path) in paths.iter().enumerate() {
        if paths[..index].iter().any(|other| last(other) == last(path)) {
            return Err(Error::new_spanned(path, format!("`{}` is listed twice", last(path))));
        }
    }
    Ok(paths)
}

/// What a path names.
fn last(path: &Path) -> String {
    path.segments.last().map(|segment| segment.ident.unraw().to_string()).unwrap_or_default()
}

impl Callable {
    fn function_impl(&self, timers: &[Path]) -> TokenStream {
        let (ident, name) = (&self.function.sig.ident, &self.name);
        let (roles, prepare, call) = (self.roles(), self.prepare(), self.call());
        let checks = self.function_checks(timers);
        let handlers = timers.iter().map(
            |path| quote_spanned!(path.span()=> ::tidemill_sdk::macros::Handler::of::<#path>()),
        );
        quote! {
            #checks

            impl ::tidemill_sdk::Function for #ident {
                const NAME: &'static str = #name;

                const PARAMETERS: &'static [(&'static str, ::tidemill_sdk::Role)] = &[#(#roles),*];

                const HANDLERS: &'static [::tidemill_sdk::macros::Handler] = &[#(#handlers),*];

                fn start(
                    setup: &mut ::tidemill_sdk::Setup<'_>,
                ) -> ::std::result::Result<
                    ::std::boxed::Box<dyn ::tidemill_sdk::Instance>,
                    ::std::string::String,
                > {
                    #prepare
                    ::tidemill_sdk::macros::instance::<Self, _>(setup, move |entry| #call)
                }
            }
        }
    }

    fn on_timer_impl(&self) -> TokenStream {
        let (ident, name) = (&self.function.sig.ident, &self.name);
        let (roles, prepare, call) = (self.roles(), self.prepare(), self.call());
        let checks = self.on_timer_checks();
        quote! {
            #checks

            impl ::tidemill_sdk::OnTimer for #ident {
                const NAME: &'static str = #name;

                const PARAMETERS: &'static [(&'static str, ::tidemill_sdk::Role)] = &[#(#roles),*];

                fn start(
                    setup: &mut ::tidemill_sdk::Setup<'_>,
                ) -> ::std::result::Result<::tidemill_sdk::macros::Call, ::std::string::String> {
                    #prepare
                    ::std::result::Result::Ok(::tidemill_sdk::macros::call(move |entry| #call))
                }
            }
        }
    }

    /// What only the types know: that there is one input, that whatever is found by its name has one, and that the
    /// function and its timer handlers agree.
    fn function_checks(&self, timers: &[Path]) -> TokenStream {
        let ident = &self.function.sig.ident;
        let parameters = quote!(<#ident as ::tidemill_sdk::Function>::PARAMETERS);
        let handlers = quote!(<#ident as ::tidemill_sdk::Function>::HANDLERS);
        let named = self.named(&parameters);
        let none = format!("`{ident}` takes no input: for example `order: Json<Order>`");
        let several = format!(
            "`{ident}` takes more than one input: let one enum with #[derive(Inputs)] hold them"
        );
        let fired =
            format!("`{ident}` takes what a timer brings: that is for an #[on_timer] function");
        let agreed = self.typed().enumerate().map(|(index, (name, ty))| {
            let unhandled = format!(
                "nothing handles the timer `{name}`: write an #[on_timer] function `{name}`, and list it: \
                 #[function(timers({name}))]"
            );
            let clash = format!("a timer handler takes another `{name}`: one name is one thing, with one codec");
            let handled = quote!(::tidemill_sdk::macros::is_handled(&#parameters[#index], #handlers));
            let agrees = quote!(::tidemill_sdk::macros::agrees(&#parameters[#index], #handlers));
            let (handled, agrees) =
                (assertion(ty.span(), &handled, &unhandled), assertion(ty.span(), &agrees, &clash));
            quote!(#handled #agrees)
        });
        let handled = timers.iter().enumerate().map(|(index, path)| {
            let name = last(path);
            let unhandled = format!(
                "`{name}` sets a timer that nothing handles: list its handler in timers(…), too"
            );
            let clash = format!("`{name}` and another timer handler use one name for two things");
            let all = quote!(::tidemill_sdk::macros::are_handled(&#handlers[#index], #handlers));
            let agree = quote!(::tidemill_sdk::macros::handlers_agree(#index, #handlers));
            let (all, agree) =
                (assertion(path.span(), &all, &unhandled), assertion(path.span(), &agree, &clash));
            quote!(#all #agree)
        });
        let no_fired = quote!(::tidemill_sdk::macros::fired(#parameters) == 0);
        let no_fired = assertion(ident.span(), &no_fired, &fired);
        let input = quote_spanned! {ident.span()=>
            const _: () = match ::tidemill_sdk::macros::inputs(#parameters) {
                0 => ::std::panic!(#none),
                1 => {}
                _ => ::std::panic!(#several),
            };
        };
        quote!(#input #no_fired #named #(#agreed)* #(#handled)*)
    }

    fn on_timer_checks(&self) -> TokenStream {
        let ident = &self.function.sig.ident;
        let parameters = quote!(<#ident as ::tidemill_sdk::OnTimer>::PARAMETERS);
        let named = self.named(&parameters);
        let input = format!(
            "`{ident}` handles a timer, and takes no record: what the timer brings is a `Fired<P>`"
        );
        let none = format!(
            "`{ident}` does not take what its timer brings: for example `fired: Fired<Json<Reminder>>`"
        );
        let no_input = quote!(::tidemill_sdk::macros::inputs(#parameters) == 0);
        let no_input = assertion(ident.span(), &no_input, &input);
        let fired = quote!(::tidemill_sdk::macros::fired(#parameters) == 1);
        let fired = assertion(ident.span(), &fired, &none);
        quote!(#no_input #fired #named)
    }

    /// That whatever is found by its name has one, of its own.
    fn named(&self, parameters: &TokenStream) -> TokenStream {
        let unnamed =
            "this parameter is found by its name, and its pattern has none: add #[name(\"…\")]";
        let check = |(index, (name, ty)): (usize, (&str, &Type))| {
            if name.is_empty() {
                return assertion(ty.span(), &quote!(!#parameters[#index].1.is_named()), unnamed);
            }
            let one = quote!(::tidemill_sdk::macros::is_one_thing(#index, #parameters));
            assertion(
                ty.span(),
                &one,
                &format!("two parameters are named `{name}`, and are not one thing"),
            )
        };
        self.typed().enumerate().map(check).collect()
    }
}

/// A check when the function is compiled, by what the types say.
fn assertion(span: Span, condition: &TokenStream, why: &str) -> TokenStream {
    quote_spanned! {span=>
        const _: () = if #condition {} else { ::std::panic!(#why) };
    }
}
