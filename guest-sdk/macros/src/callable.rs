//! A `fn` with an attribute of ours, taken apart: what `#[function]` and `#[on_timer]` share.

use crate::names;
use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::{
    Error, FnArg, GenericParam, Ident, ItemFn, LitStr, Pat, PatType, Result, ReturnType, Type,
    parse2, spanned::Spanned,
};

/// What a parameter is taken by.
pub(crate) enum By {
    /// Its type, and its name, where its pattern has one.
    Type(Option<String>),
    /// A header of that name.
    Header(LitStr),
}

pub(crate) struct Parameter {
    pub(crate) by: By,
    ty: Type,
}

/// A `fn` that is taken apart.
pub(crate) struct Callable {
    pub(crate) function: ItemFn,
    pub(crate) name: String,
    pub(crate) parameters: Vec<Parameter>,
}

impl Callable {
    pub(crate) fn read(attribute: &str, item: &TokenStream) -> Result<Self> {
        let mut function: ItemFn = parse2(item.clone()).map_err(|_| {
            Error::new_spanned(first_line(item), format!("#[{attribute}] goes on a `fn`"))
        })?;
        check(attribute, &function)?;
        let name = names::of_ident(&function.sig.ident)?;
        let parameters =
            function.sig.inputs.iter_mut().map(parameter).collect::<Result<Vec<_>>>()?;
        Ok(Callable { function, name, parameters })
    }

    /// The `fn`, and beside it the struct of the same name with its implementation.
    pub(crate) fn write(&self, implementation: &TokenStream) -> TokenStream {
        let Callable { function, .. } = self;
        let (ident, visibility) = (&function.sig.ident, &function.vis);
        let docs = function.attrs.iter().filter(|attribute| attribute.path().is_ident("doc"));
        // What a function takes is what it is: that it takes much is no fault.
        quote! {
            #[allow(clippy::too_many_arguments, reason = "a function takes what it uses")]
            #function

            #(#docs)*
            #[allow(non_camel_case_types, dead_code, reason = "it shares the name of the `fn`, and is never made")]
            #visibility struct #ident {}

            #implementation
        }
    }

    /// The parameters that are taken by their types, with their names; the list `PARAMETERS` has them in this order.
    pub(crate) fn typed(&self) -> impl Iterator<Item = (&str, &Type)> {
        self.parameters.iter().filter_map(|Parameter { by, ty }| match by {
            By::Type(name) => Some((name.as_deref().unwrap_or_default(), ty)),
            By::Header(_) => None,
        })
    }

    pub(crate) fn roles(&self) -> impl Iterator<Item = TokenStream> {
        self.typed().map(|(name, ty)| {
            quote_spanned!(ty.span()=> (#name, <#ty as ::tidemill_sdk::Param<'_>>::ROLE))
        })
    }

    pub(crate) fn prepared(&self) -> impl Iterator<Item = (&Parameter, Ident)> {
        let idents = (0..).map(|index| format_ident!("prepared_{index}"));
        self.parameters.iter().zip(idents)
    }

    /// What is done once, when the instance starts.
    pub(crate) fn prepare(&self) -> TokenStream {
        self.prepared()
            .filter_map(|(Parameter { by, ty }, prepared)| match by {
                By::Type(name) => {
                    let name = name.as_deref().unwrap_or_default();
                    Some(quote_spanned! {ty.span()=>
                        let #prepared = <#ty as ::tidemill_sdk::Param<'_>>::prepare(setup, #name)?;
                    })
                }
                By::Header(_) => None,
            })
            .collect()
    }

    /// What is done for every entry. All of it stands where the return type does, so that an error about the type points
    /// there.
    pub(crate) fn call(&self) -> TokenStream {
        let extract = self.prepared().map(|(Parameter { by, ty }, prepared)| match by {
            By::Type(_) => {
                quote_spanned!(ty.span()=> ::tidemill_sdk::macros::extract(&#prepared, entry)?)
            }
            By::Header(header) => {
                quote_spanned!(ty.span()=> ::tidemill_sdk::macros::extract_header(#header, entry)?)
            }
        });
        let ident = &self.function.sig.ident;
        let answer = match &self.function.sig.output {
            ReturnType::Default => ident.span(),
            ReturnType::Type(_, ty) => ty.span(),
        };
        let mut called = ident.clone();
        called.set_span(answer);
        quote_spanned!(answer=> ::tidemill_sdk::Answer::into_result(#called(#(#extract),*)))
    }
}

/// Something to point at where the item is no `fn`.
fn first_line(item: &TokenStream) -> TokenStream {
    item.clone().into_iter().take(2).collect()
}

/// Refuses what cannot be called record by record.
fn check(attribute: &str, function: &ItemFn) -> Result<()> {
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
        let why = match attribute {
            "function" => "takes no input: for example `order: Json<Order>`",
            _ => "does not take what its timer brings: for example `fired: Fired<Json<Reminder>>`",
        };
        let why = format!("`{}` {why}", signature.ident);
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
