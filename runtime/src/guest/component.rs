//! A component: compiled, checked, described.

use std::{fmt, str::FromStr, sync::Arc};

use sha2::{Digest as _, Sha256};
use wasmtime::component::{InstancePre, types::ComponentItem};

use super::{
    Description, Engine, Error, Fault, Limits,
    context::Context,
    description,
    instance::{self, Exports},
};

/// The SHA-256 of a component's bytes: what a function is known by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Digest(Sha256::digest(bytes).into())
    }

    /// The first six hexadecimal digits, for people.
    pub fn short(&self) -> String {
        self.hex().chars().take(6).collect()
    }

    /// All 64 hexadecimal digits.
    pub fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// `sha256:` and 64 hexadecimal digits.
impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not `sha256:` and 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a digest: `sha256:` and 64 hexadecimal digits are right")]
pub struct NotADigest(String);

impl FromStr for Digest {
    type Err = NotADigest;

    fn from_str(text: &str) -> Result<Self, NotADigest> {
        let wrong = || NotADigest(text.chars().take(80).collect());
        let hex = text
            .strip_prefix("sha256:")
            .filter(|hex| hex.len() == 64 && hex.is_ascii())
            .ok_or_else(wrong)?;
        let mut digest = [0; 32];
        for (index, byte) in digest.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&hex[index * 2..index * 2 + 2], 16).map_err(|_| wrong())?;
        }
        Ok(Digest(digest))
    }
}

/// Which contract a component was written against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum World {
    /// `tidemill:function/function`: a batch in one list of bytes.
    Packed,
    /// `tidemill:function/function-plain`: WIT records.
    Plain,
}

/// Compiled code, checked, and what it said of itself. Cheap to clone.
#[derive(Clone)]
pub struct Component {
    inner: Arc<Inner>,
}

struct Inner {
    digest: Digest,
    size: usize,
    world: World,
    imports: Vec<String>,
    descriptions: Vec<Description>,
    engine: Engine,
    pre: InstancePre<Context>,
}

impl fmt::Debug for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Component").field("digest", &self.inner.digest).finish_non_exhaustive()
    }
}

impl Component {
    pub(super) fn load(engine: &Engine, bytes: &[u8]) -> Result<Self, Error> {
        if wasmtime::Engine::detect_precompiled(bytes).is_some() {
            let cause = "precompiled code of some machine".to_owned();
            return Err(Error::NotAComponent { cause });
        }
        if bytes.starts_with(b"\0asm\x01\0\0\0") {
            return Err(Error::CoreModule);
        }
        if !bytes.starts_with(b"\0asm") {
            let cause = "it does not begin as WebAssembly does".to_owned();
            return Err(Error::NotAComponent { cause });
        }
        let compiled = wasmtime::component::Component::from_binary(&engine.shared.engine, bytes)
            .map_err(|error| Error::NotAComponent { cause: format!("{error:#}") })?;
        let ty = compiled.component_type();
        let imports: Vec<String> = ty
            .imports(&engine.shared.engine)
            .filter(|(_, import)| !is_types_only(&import.ty, &engine.shared.engine))
            .map(|(name, _)| name.to_owned())
            .collect();
        let pre = engine
            .shared
            .linker
            .instantiate_pre(&compiled)
            .map_err(|error| unknown_import(&imports, &error))?;
        let exports: Vec<String> =
            ty.exports(&engine.shared.engine).map(|(name, _)| name.to_owned()).collect();
        let missing: Vec<&str> = ["describe", "init", "handle"]
            .into_iter()
            .filter(|name| !exports.iter().any(|have| have == name))
            .collect();
        if !missing.is_empty() {
            let what = format!("it does not export {}", missing.join(", "));
            return Err(Error::WrongWorld { what });
        }
        let (world, described) = describe(engine, &pre)?;
        let descriptions = description::check(described, world)?;
        let inner = Inner {
            digest: Digest::of(bytes),
            size: bytes.len(),
            world,
            imports,
            descriptions,
            engine: engine.clone(),
            pre,
        };
        Ok(Component { inner: Arc::new(inner) })
    }

    /// What it is known by.
    pub fn digest(&self) -> &Digest {
        &self.inner.digest
    }

    /// The size of its bytes.
    pub fn size(&self) -> usize {
        self.inner.size
    }

    /// Which contract it was written against.
    pub fn world(&self) -> World {
        self.inner.world
    }

    /// What it imports, by interface name: its capabilities.
    pub fn imports(&self) -> &[String] {
        &self.inner.imports
    }

    /// The functions it holds.
    pub fn descriptions(&self) -> &[Description] {
        &self.inner.descriptions
    }

    /// The function of that name and its index.
    pub fn function(&self, name: &str) -> Option<(u32, &Description)> {
        (0..).zip(self.descriptions()).find(|(_, description)| description.name == name)
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.inner.engine
    }

    pub(super) fn pre(&self) -> &InstancePre<Context> {
        &self.inner.pre
    }
}

/// An instance import that has types and no functions grants nothing.
fn is_types_only(item: &ComponentItem, engine: &wasmtime::Engine) -> bool {
    match item {
        ComponentItem::ComponentInstance(instance) => {
            instance.exports(engine).all(|(_, export)| matches!(export.ty, ComponentItem::Type(_)))
        }
        _ => false,
    }
}

fn unknown_import(imports: &[String], error: &wasmtime::Error) -> Error {
    let text = format!("{error:#}");
    let named = imports.iter().find(|import| text.contains(import.as_str()));
    Error::UnknownImport { import: named.cloned().unwrap_or(text) }
}

fn describe(
    engine: &Engine,
    pre: &InstancePre<Context>,
) -> Result<(World, Vec<super::bindings::types::Description>), Error> {
    let limits = Limits::default();
    let context =
        Context::new("describe".into(), limits.memory_bytes, limits.log_line_bytes, None, false);
    let mut store = instance::store(engine, context, limits.time);
    let live = pre
        .instantiate(&mut store)
        .map_err(|error| Error::Describe(instance::fault(&mut store, &error, &limits)))?;
    let exports = Exports::find(&live, &mut store).map_err(|what| Error::WrongWorld { what })?;
    let described = exports
        .describe(&mut store)
        .map_err(|error| Error::Describe(instance::fault(&mut store, &error, &limits)))?;
    Ok((exports.world(), described))
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Error::Describe(fault)
    }
}
