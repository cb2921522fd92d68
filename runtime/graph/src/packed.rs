//! A module graph as bytes: read in one process, run in others that map the same memory.
//!
//! A header in postcard, behind its length, and then texts and bytes one behind the other, as they are. What
//! is unpacked refers to them where they lie, so a text is in RAM once for all processes. Beside the
//! modules there is room for what V8 has compiled of them, which is opaque here.

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use bytes::Bytes;
use serde::Deserialize;
use serde::Serialize;

use super::Module;
use super::ModuleGraph;
use super::ModuleKind;
use super::Source;
use super::Text;

/// Bytes of the header's length.
const PREFIX: usize = 8;

/// These bytes are no packed graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the function's code is damaged")]
pub struct Damaged;

/// One part of a packed graph; they follow each other without a gap.
#[derive(Debug)]
pub enum Part<'a> {
    /// The header.
    Made(Vec<u8>),
    /// What the graph has.
    Lent(&'a [u8]),
}

impl AsRef<[u8]> for Part<'_> {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Made(bytes) => bytes,
            Self::Lent(bytes) => bytes,
        }
    }
}

/// What V8 has compiled, by specifier.
pub type Compiled = HashMap<String, &'static [u8]>;

/// What was unpacked.
#[derive(Debug)]
pub struct Packed {
    /// The modules. No files to watch are known.
    pub graph: ModuleGraph,
    /// What V8 compiled of them before.
    pub compiled: Compiled,
}

#[derive(Deserialize, Serialize)]
struct Header {
    version: String,
    modules: Vec<Entry>,
    /// Specifier, and bytes of code.
    compiled: Vec<(String, u64)>,
}

#[derive(Deserialize, Serialize)]
struct Entry {
    specifier: String,
    kind: ModuleKind,
    path: Vec<u8>,
    imports: Vec<(String, String)>,
    /// Bytes of the source, of the text as it was written where that differs, and of each map: they follow
    /// each other in this order.
    source: u64,
    original: Option<u64>,
    maps: Vec<u64>,
}

impl ModuleGraph {
    /// All of it as bytes, with what V8 has `compiled` of it so far.
    pub fn pack<'a>(
        &'a self,
        compiled: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Vec<Part<'a>> {
        let mut parts = vec![Part::Made(Vec::new())];
        let mut lend = |bytes: &'a [u8]| {
            parts.push(Part::Lent(bytes));
            bytes.len() as u64
        };
        let modules = self.modules.iter().map(|module| Entry {
            specifier: module.specifier.clone(),
            kind: module.kind,
            path: module.path.as_os_str().as_bytes().to_vec(),
            imports: module.imports.clone().into_iter().collect(),
            source: lend(module.source.as_bytes()),
            original: module.original.as_ref().map(|text| lend(text.as_bytes())),
            maps: module.source_maps.iter().map(|map| lend(map)).collect(),
        });
        let modules = modules.collect();
        let compiled = compiled
            .into_iter()
            .map(|(specifier, code)| (specifier.to_owned(), lend(code)))
            .collect();
        let header = Header {
            version: self.version.clone(),
            modules,
            compiled,
        };
        let mut made = vec![0; PREFIX];
        // A vector takes everything, and the header has nothing that postcard does not know.
        let encoded = postcard::to_io(&header, &mut made);
        debug_assert!(encoded.is_ok(), "a header that cannot be encoded");
        let length = (made.len() - PREFIX) as u64;
        made[..PREFIX].copy_from_slice(&length.to_le_bytes());
        parts[0] = Part::Made(made);
        parts
    }

    /// The graph that [`ModuleGraph::pack`] made `bytes` of. It refers to them.
    ///
    /// # Errors
    /// They are something else.
    pub fn unpack(bytes: &'static [u8]) -> Result<Packed, Damaged> {
        let (prefix, rest) = bytes.split_first_chunk::<PREFIX>().ok_or(Damaged)?;
        let length = usize::try_from(u64::from_le_bytes(*prefix)).map_err(|_| Damaged)?;
        let (header, contents) = rest.split_at_checked(length).ok_or(Damaged)?;
        let header: Header = postcard::from_bytes(header).map_err(|_| Damaged)?;
        let mut rest = Rest(contents);
        let mut modules = Vec::with_capacity(header.modules.len());
        for entry in header.modules {
            let source = rest.take(entry.source)?;
            let source = match entry.kind {
                ModuleKind::Script | ModuleKind::Json | ModuleKind::Text => {
                    Source::Text(text(source)?)
                }
                ModuleKind::Bytes | ModuleKind::Wasm => Source::Bytes(Bytes::from_static(source)),
            };
            let original = entry.original.map(|length| rest.take(length)).transpose()?;
            let maps = entry.maps.into_iter().map(|length| rest.take(length));
            modules.push(Module {
                specifier: entry.specifier,
                kind: entry.kind,
                source,
                source_maps: maps
                    .map(|map| map.map(Bytes::from_static))
                    .collect::<Result<_, _>>()?,
                original: original.map(text).transpose()?,
                path: PathBuf::from(OsString::from_vec(entry.path)),
                imports: entry.imports.into_iter().collect(),
            });
        }
        let compiled = header.compiled.into_iter();
        let compiled = compiled.map(|(specifier, length)| Ok((specifier, rest.take(length)?)));
        let compiled = compiled.collect::<Result<_, Damaged>>()?;
        if modules.is_empty() {
            return Err(Damaged);
        }
        Ok(Packed {
            graph: Self::of_version(modules, Vec::new(), header.version),
            compiled,
        })
    }
}

fn text(bytes: &'static [u8]) -> Result<Text, Damaged> {
    std::str::from_utf8(bytes)
        .map(Text::Mapped)
        .map_err(|_| Damaged)
}

/// What has not been taken yet.
struct Rest(&'static [u8]);

impl Rest {
    fn take(&mut self, length: u64) -> Result<&'static [u8], Damaged> {
        let length = usize::try_from(length).map_err(|_| Damaged)?;
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Damaged)?;
        self.0 = rest;
        Ok(taken)
    }
}
