//! `#[derive(Inputs)]`.

use crate::names;
use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{
    Data, DeriveInput, Error, Fields, GenericParam, Ident, Lifetime, Result, Type, Variant, parse2,
    spanned::Spanned,
};

struct Source {
    ident: Ident,
    name: String,
    ty: Type,
}

pub(crate) fn expand(item: TokenStream) -> Result<TokenStream> {
    let item: DeriveInput = parse2(item)?;
    let Data::Enum(data) = &item.data else {
        return Err(Error::new_spanned(
            &item.ident,
            "#[derive(Inputs)] goes on an enum: one variant for each input",
        ));
    };
    if data.variants.is_empty() {
        return Err(Error::new_spanned(
            &item.ident,
            "an enum of inputs has one variant for each input",
        ));
    }
    let lifetime = lifetime(&item)?;
    let sources = data.variants.iter().map(source).collect::<Result<Vec<_>>>()?;
    for (index, source) in sources.iter().enumerate() {
        if sources[..index].iter().any(|other| other.name == source.name) {
            return Err(Error::new(
                source.ident.span(),
                format!("two inputs are named `{}`", source.name),
            ));
        }
    }
    Ok(implementation(&item, &lifetime, &sources))
}

/// The lifetime of the batch: the enum's own where it has one.
fn lifetime(item: &DeriveInput) -> Result<Lifetime> {
    let mut parameters = item.generics.params.iter();
    match (parameters.next(), parameters.next()) {
        (None, _) => Ok(Lifetime::new("'e", item.ident.span())),
        (Some(GenericParam::Lifetime(parameter)), None) => Ok(parameter.lifetime.clone()),
        _ => Err(Error::new_spanned(
            &item.generics,
            "an enum of inputs has no generics but one lifetime",
        )),
    }
}

fn source(variant: &Variant) -> Result<Source> {
    let ty = match &variant.fields {
        Fields::Unnamed(fields) if fields.unnamed.len() == 1 => fields.unnamed[0].ty.clone(),
        _ => {
            let why = format!(
                "one field is expected, what its values are taken as: {}(Json<…>)",
                variant.ident
            );
            return Err(Error::new_spanned(variant, why));
        }
    };
    let mut name = None;
    for attribute in variant.attrs.iter().filter(|attribute| attribute.path().is_ident("name")) {
        name = Some(names::of_attribute(attribute)?);
    }
    let name = match name {
        Some(name) => name,
        None => names::of_variant(&variant.ident)?,
    };
    Ok(Source { ident: variant.ident.clone(), name, ty })
}

fn implementation(item: &DeriveInput, lifetime: &Lifetime, sources: &[Source]) -> TokenStream {
    let ident = &item.ident;
    let arguments = if item.generics.params.is_empty() { quote!() } else { quote!(<#lifetime>) };
    let described = sources.iter().map(|Source { name, ty, .. }| {
        quote_spanned! {ty.span()=> ::tidemill_sdk::Source {
            name: ::std::option::Option::Some(#name),
            ..<#ty as ::tidemill_sdk::Value<#lifetime>>::SOURCE
        }}
    });
    let arms = sources.iter().enumerate().map(|(index, Source { ident: variant, ty, .. })| {
        let index = u16::try_from(index).expect("an enum has few variants");
        quote_spanned! {ty.span()=>
            #index => ::std::result::Result::Ok(#ident::#variant(::tidemill_sdk::Value::take(entry)?))
        }
    });
    quote! {
        impl<#lifetime> ::tidemill_sdk::Param<#lifetime> for #ident #arguments {
            const ROLE: ::tidemill_sdk::Role = ::tidemill_sdk::Role::Input { sources: &[#(#described),*] };
            type Prepared = ();

            fn prepare(
                _setup: &mut ::tidemill_sdk::Setup<'_>,
                _name: &str,
            ) -> ::std::result::Result<(), ::std::string::String> {
                ::std::result::Result::Ok(())
            }

            fn extract(
                (): &(),
                entry: &::tidemill_sdk::Entry<#lifetime>,
            ) -> ::std::result::Result<Self, ::tidemill_sdk::Failure> {
                match entry.source() {
                    #(#arms,)*
                    other => ::std::result::Result::Err(::tidemill_sdk::Failure::error(
                        ::std::format!("the host names input {other}, which this function does not have"),
                    )),
                }
            }
        }
    }
}
