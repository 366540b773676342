//! `#[derive(Columns)]`.

use crate::names;
use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{Data, DeriveInput, Error, Field, Fields, Ident, Result, Type, parse2, spanned::Spanned};

struct Column {
    ident: Ident,
    name: String,
    ty: Type,
}

pub(crate) fn expand(item: TokenStream) -> Result<TokenStream> {
    let item: DeriveInput = parse2(item)?;
    let fields = match &item.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) if !fields.named.is_empty() => &fields.named,
            _ => return Err(not_that(&item.ident)),
        },
        _ => return Err(not_that(&item.ident)),
    };
    if !item.generics.params.is_empty() {
        let why = "a struct of columns has no generics: it owns what it reads";
        return Err(Error::new_spanned(&item.generics, why));
    }
    let columns = fields.iter().filter_map(column).collect::<Result<Vec<_>>>()?;
    for (index, column) in columns.iter().enumerate() {
        if columns[..index].iter().any(|other| other.name == column.name) {
            let why = format!("two columns are named `{}`", column.name);
            return Err(Error::new(column.ident.span(), why));
        }
    }
    Ok(implementation(&item.ident, &columns))
}

fn not_that(ident: &Ident) -> Error {
    Error::new_spanned(
        ident,
        "#[derive(Columns)] goes on a struct with named fields: one for each column that is read",
    )
}

/// `None` where the field has no name, which `Fields::Named` rules out.
fn column(field: &Field) -> Option<Result<Column>> {
    let ident = field.ident.clone()?;
    let attribute = field.attrs.iter().find(|attribute| attribute.path().is_ident("name"));
    let name = match attribute {
        Some(attribute) => names::of_attribute(attribute),
        None => names::of_ident(&ident),
    };
    Some(name.map(|name| Column { ident, name, ty: field.ty.clone() }))
}

fn implementation(ident: &Ident, columns: &[Column]) -> TokenStream {
    let described = columns.iter().map(|Column { name, ty, .. }| {
        quote_spanned! {ty.span()=> ::tidemill_sdk::Column {
            name: #name,
            reads: <#ty as ::tidemill_sdk::ColumnValue>::TYPE,
        }}
    });
    let read = columns.iter().map(|Column { ident, name, ty }| {
        quote_spanned!(ty.span()=> #ident: ::tidemill_sdk::macros::column(row, #name)?)
    });
    quote! {
        impl ::tidemill_sdk::Columns for #ident {
            const COLUMNS: &'static [::tidemill_sdk::Column] = &[#(#described),*];

            fn read<'d, A: ::tidemill_sdk::macros::SeqAccess<'d>>(
                row: &mut A,
            ) -> ::std::result::Result<Self, A::Error> {
                ::std::result::Result::Ok(#ident { #(#read),* })
            }
        }
    }
}
