//! The version of a deployment: a hash of what it was made from.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use super::{Module, ModuleKind};

/// Bytes of the digest that are kept. 128 bits, since code caches are shared by version and
/// a function's author can search for collisions.
const KEPT_BYTES: usize = 16;

/// Hex digits over `main` and every module's specifier, kind, contents and source map, and
/// over the compiler's version, which decides what runs.
pub(super) fn version(modules: &[Module]) -> String {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        // Lengths keep ("ab", "c") and ("a", "bc") apart.
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    part(deno_ast::VERSION.as_bytes());
    for module in modules {
        part(module.specifier.as_bytes());
        part(&[match module.kind {
            ModuleKind::Script => 0,
            ModuleKind::Json => 1,
            ModuleKind::Text => 2,
            ModuleKind::Bytes => 3,
            ModuleKind::Wasm => 4,
        }]);
        // What was written decides what runs; frames show what a shipped map says.
        match &module.original {
            Some(original) => part(original.as_bytes()),
            None => part(module.source.as_bytes()),
        }
        for map in &module.source_maps {
            part(map);
        }
    }
    hash.finalize()[..KEPT_BYTES]
        .iter()
        .fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").expect("writing to a String does not fail");
            hex
        })
}
