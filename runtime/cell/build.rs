//! Makes the base snapshot: an isolate with the web APIs set up, from which every isolate of a
//! function starts.
//!
//! Writes to `OUT_DIR`: `base.snapshot`, and `lazy.rs`, a table of the JavaScript that the
//! snapshot leaves out and that is loaded when a function first needs it.

use std::collections::HashSet;
use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use deno_core::snapshot::CreateSnapshotOptions;
use deno_core::snapshot::create_snapshot;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let snapshot = create_snapshot(
        CreateSnapshotOptions {
            cargo_manifest_dir: env!("CARGO_MANIFEST_DIR"),
            startup_snapshot: None,
            skip_op_registration: false,
            extensions: holm_js_api::extensions(),
            extension_transpiler: None,
            with_runtime_cb: None,
        },
        None,
    )?;
    for file in &snapshot.files_loaded_during_snapshot {
        println!("cargo:rerun-if-changed={}", file.display());
    }
    fs::write(out.join("base.snapshot"), &snapshot.output)?;

    let evaluated: HashSet<_> = snapshot
        .consumed_lazy_specifiers
        .iter()
        .map(String::as_str)
        .collect();
    let mut table = String::from("&[\n");
    let mut sources = holm_js_api::lazy_sources()?;
    // deno_core looks specifiers up by binary search.
    sources.sort_by_key(|(specifier, _)| *specifier);
    for (number, (specifier, source)) in sources.into_iter().enumerate() {
        if evaluated.contains(specifier) {
            continue;
        }
        let file = out.join(format!("lazy{number}.js"));
        fs::write(&file, source)?;
        writeln!(table, "({specifier:?}, include_str!({file:?})),")?;
    }
    table.push_str("]\n");
    fs::write(out.join("lazy.rs"), table)?;
    Ok(())
}
