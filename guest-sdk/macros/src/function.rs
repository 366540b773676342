//! `#[function]`.

use crate::names;
use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::{
    Error, FnArg, GenericParam, Ident, ItemFn, LitStr, Pat, PatType, Result, ReturnType, Type,
    parse2, spanned::Spanned,
};

/// What a parameter is taken by.
enum By {
    /// Its type, and its name, where its pattern has one.
    Type(Option<String>),
    /// A header of that name.
    Header(LitStr),
}

struct Parameter {
    by: By,
    ty: Type,
}

pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let mut function: ItemFn = parse2(item.clone())
        .map_err(|_| Error::new_spanned(first_line(&item), "#[function] goes on a `fn`"))?;
    if !arguments.is_empty() {
        return Err(Error::new_spanned(arguments, "#[function] takes no argument"));
    }
    check(&function)?;
    let name = names::of_ident(&function.sig.ident)?;
    let parameters = function.sig.inputs.iter_mut().map(parameter).collect::<Result<Vec<_>>>()?;
    let implementation = implementation(&function, &name, &parameters);
    // What a function takes is what it is: that it takes much is no fault.
    Ok(quote! {
        #[allow(clippy::too_many_arguments, reason = "a function takes what it uses")]
        #function
        #implementation
    })
}

/// Something to point at where the item is no `fn`.
fn first_line(item: &TokenStream) -> TokenStream {
    item.clone().into_iter().take(2).collect()
}

/// Refuses what cannot be called record by record.
fn check(function: &ItemFn) -> Result<()> {
    let signature = &function.sig;
    if let Some(keyword) = &signature.asyncness {
        let why = "a function is not async: it is called record by record, and whatever it calls answers at once";
        return Err(Error::new_spanned(keyword, why));
    }
    if let Some(keyword) = &signature.unsafety {
        return Err(Error::new_spanned(keyword, "a function is not unsafe: the host calls it"));
    }
    if let Some(abi) = &signature.abi {
        return Err(Error::new_spanned(
            abi,
            "a function has Rust's own ABI: `export!` writes the exports",
        ));
    }
    match signature.generics.params.first() {
        Some(GenericParam::Lifetime(_)) => {
            return Err(Error::new_spanned(
                &signature.generics,
                "a function names no lifetimes: write `'_`",
            ));
        }
        Some(_) => {
            let why = "a function is not generic: the host calls it with one set of types";
            return Err(Error::new_spanned(&signature.generics, why));
        }
        None => {}
    }
    if signature.inputs.is_empty() {
        let why = format!("`{}` takes no input: for example `order: Json<Order>`", signature.ident);
        return Err(Error::new_spanned(&signature.ident, why));
    }
    Ok(())
}

/// Reads a parameter and takes our attributes off it.
fn parameter(argument: &mut FnArg) -> Result<Parameter> {
    let argument = match argument {
        FnArg::Receiver(receiver) => {
            return Err(Error::new_spanned(
                receiver,
                "a function has no `self`: state is the host's, or a parameter",
            ));
        }
        FnArg::Typed(argument) => argument,
    };
    if let Type::ImplTrait(ty) = &*argument.ty {
        return Err(Error::new_spanned(ty, "a function is not generic: name the type"));
    }
    let mut name = None;
    let mut header = None;
    let mut kept = Vec::new();
    for attribute in argument.attrs.drain(..) {
        if attribute.path().is_ident("name") {
            name = Some(names::of_attribute(&attribute)?);
        } else if attribute.path().is_ident("header") {
            header = Some(names::argument(&attribute, "header")?);
        } else if ["allow", "deny", "expect", "forbid", "warn"]
            .iter()
            .any(|lint| attribute.path().is_ident(lint))
        {
            kept.push(attribute);
        } else {
            let why = "unknown attribute: a parameter has #[name(\"…\")] or #[header(\"…\")]";
            return Err(Error::new_spanned(attribute, why));
        }
    }
    argument.attrs = kept;
    let by = match (name, header) {
        (Some(_), Some(header)) => {
            return Err(Error::new(
                header.span(),
                "a header is taken by its own name: leave #[name] out",
            ));
        }
        (None, Some(header)) => By::Header(header),
        (Some(name), None) => By::Type(Some(name)),
        (None, None) => By::Type(pattern_name(argument)),
    };
    Ok(Parameter { by, ty: (*argument.ty).clone() })
}

/// The name in a pattern that binds one: `order`, `mut order`, `Json(order)`.
fn pattern_name(argument: &PatType) -> Option<String> {
    fn ident(pattern: &Pat) -> Option<&Ident> {
        match pattern {
            Pat::Ident(pattern) => Some(&pattern.ident),
            Pat::TupleStruct(pattern) if pattern.elems.len() == 1 => ident(&pattern.elems[0]),
            Pat::Paren(pattern) => ident(&pattern.pat),
            _ => None,
        }
    }
    names::of_ident(ident(&argument.pat)?).ok()
}

/// The struct of the same name, which implements the trait `Function`.
fn implementation(function: &ItemFn, name: &str, parameters: &[Parameter]) -> TokenStream {
    let (ident, visibility) = (&function.sig.ident, &function.vis);
    let docs = function.attrs.iter().filter(|attribute| attribute.path().is_ident("doc"));
    let prepared: Vec<_> =
        (0..parameters.len()).map(|index| format_ident!("prepared_{index}")).collect();
    let prepare =
        parameters.iter().zip(&prepared).filter_map(|(Parameter { by, ty }, prepared)| match by {
            By::Type(name) => {
                let name = name.as_deref().unwrap_or_default();
                Some(quote_spanned! {ty.span()=>
                    let #prepared = <#ty as ::tidemill_sdk::Param<'_>>::prepare(setup, #name)?;
                })
            }
            By::Header(_) => None,
        });
    let extract =
        parameters.iter().zip(&prepared).map(|(Parameter { by, ty }, prepared)| match by {
            By::Type(_) => {
                quote_spanned!(ty.span()=> ::tidemill_sdk::macros::extract(&#prepared, entry)?)
            }
            By::Header(header) => {
                quote_spanned!(ty.span()=> ::tidemill_sdk::macros::extract_header(#header, entry)?)
            }
        });
    // All of the call stands where the return type does, so that an error about the type points there.
    let answer = match &function.sig.output {
        ReturnType::Default => ident.span(),
        ReturnType::Type(_, ty) => ty.span(),
    };
    let mut called = ident.clone();
    called.set_span(answer);
    let call = quote_spanned!(answer=> ::tidemill_sdk::Answer::into_result(#called(#(#extract),*)));
    let checks = checks(ident, parameters);
    let roles = parameters.iter().filter_map(|Parameter { by, ty }| match by {
        By::Type(name) => {
            let name = name.as_deref().unwrap_or_default();
            Some(quote_spanned!(ty.span()=> (#name, <#ty as ::tidemill_sdk::Param<'_>>::ROLE)))
        }
        By::Header(_) => None,
    });
    quote! {
        #(#docs)*
        #[allow(non_camel_case_types, dead_code, reason = "it shares the name of the `fn`, and is never made")]
        #visibility struct #ident {}

        #checks

        impl ::tidemill_sdk::Function for #ident {
            const NAME: &'static str = #name;

            const PARAMETERS: &'static [(&'static str, ::tidemill_sdk::Role)] = &[#(#roles),*];

            fn start(
                setup: &mut ::tidemill_sdk::Setup<'_>,
            ) -> ::std::result::Result<
                ::std::boxed::Box<dyn ::tidemill_sdk::Instance>,
                ::std::string::String,
            > {
                #(#prepare)*
                ::std::result::Result::Ok(::tidemill_sdk::macros::instance(
                    setup,
                    move |entry| #call,
                ))
            }
        }
    }
}

/// What only the types know: that there is one input, and that whatever is found by its name has one.
fn checks(ident: &Ident, parameters: &[Parameter]) -> TokenStream {
    let types = parameters.iter().filter(|parameter| matches!(parameter.by, By::Type(_)));
    let unnamed = types.enumerate().filter(|(_, parameter)| matches!(parameter.by, By::Type(None)));
    let unnamed = unnamed.map(|(index, Parameter { ty, .. })| {
        quote_spanned! {ty.span()=>
            const _: () = if <#ident as ::tidemill_sdk::Function>::PARAMETERS[#index].1.is_named() {
                ::std::panic!("this parameter is found by its name, and its pattern has none: add #[name(\"…\")]");
            };
        }
    });
    let none = format!("`{ident}` takes no input: for example `order: Json<Order>`");
    let several = format!(
        "`{ident}` takes more than one input: let one enum with #[derive(Inputs)] hold them"
    );
    quote_spanned! {ident.span()=>
        const _: () = match ::tidemill_sdk::macros::inputs(<#ident as ::tidemill_sdk::Function>::PARAMETERS) {
            0 => ::std::panic!(#none),
            1 => {}
            _ => ::std::panic!(#several),
        };
        #(#unnamed)*
    }
}
