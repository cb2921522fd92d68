//! The fixes that problems suggest.

use std::path::Path;

/// Folder entries looked at for a "did you mean".
const ENTRIES_LOOKED_AT: usize = 1_000;
/// Edits (insert, delete, replace, swap) between a name and the one that may be meant.
const EDITS: usize = 2;

/// For CommonJS, wherever it turns up.
pub(super) const COMMON_JS: &str = "use `import` and `export`, or bundle it: npx esbuild <file> --bundle --format=esm --outfile=dist/index.js";

/// For bare specifiers. `from` is the importing file.
pub(super) fn package(specifier: &str, from: &str) -> String {
    if specifier.ends_with("/jsx-runtime") || specifier.ends_with("/jsx-dev-runtime") {
        return format!(
            "JSX compiles to this import. Bundle the function with its JSX library:\n  {}\n\
             or write `/** @jsxImportSource ./folder */` for a folder of yours with a jsx-runtime.js",
            esbuild(from)
        );
    }
    if let Some(instead) = node_builtin(specifier) {
        return format!("this is a module of Node.js; {instead}");
    }
    format!(
        "bundle npm packages into one file and set `main` to it:\n  {}\n\
         or start the path of a file with \"./\"",
        esbuild(from)
    )
}

fn esbuild(from: &str) -> String {
    format!("npx esbuild {from} --bundle --format=esm --sourcemap --outfile=dist/index.js")
}

/// For `scheme:` specifiers.
pub(super) fn scheme(scheme: &str, specifier: &str, from: &str) -> String {
    match scheme {
        "node:" => {
            let name = specifier.trim_start_matches("node:");
            let instead = node_builtin(name).unwrap_or("Holm has the web's APIs, not Node's");
            format!("{instead}\nfor a package that needs it, bundle with a polyfill")
        }
        "npm:" | "jsr:" => format!("install the package and bundle it:\n  {}", esbuild(from)),
        "http:" | "https:" => {
            "download the file into the function's folder and import it from there".into()
        }
        "data:" => "write the contents into a file and import that".into(),
        "file:" => {
            "write a path relative to this file (\"./…\") or to the function's folder (\"/…\")"
                .into()
        }
        "cloudflare:" => "bindings and vars are in `env`, the second argument of a handler".into(),
        _ => "import a file of the function's folder by a path that starts with \"./\"".into(),
    }
}

/// What to use in place of a module of Node.js, when the name is one.
fn node_builtin(name: &str) -> Option<&'static str> {
    Some(match name.split('/').next().unwrap_or(name) {
        "buffer" => "use Uint8Array with TextEncoder and TextDecoder",
        "crypto" => "use the global `crypto` (crypto.subtle, crypto.getRandomValues)",
        "fs" => {
            "a function has no file system; import the file with { type: \"text\" } or { type: \"bytes\" }"
        }
        "http" | "https" | "http2" => {
            "export `default { fetch(request) { … } }` to serve, and call fetch() to request"
        }
        "stream" => "use ReadableStream, WritableStream and TransformStream",
        "url" | "querystring" | "punycode" => "use the globals `URL` and `URLSearchParams`",
        "util" | "string_decoder" => "use the globals TextEncoder, TextDecoder and structuredClone",
        "events" => "use the globals `EventTarget` and `Event`",
        "timers" => "use the globals `setTimeout` and `setInterval`",
        "process" => "vars and secrets are in `env`, the second argument of a handler",
        "zlib" => "use CompressionStream and DecompressionStream",
        "perf_hooks" => "use the global `performance`",
        "assert"
        | "async_hooks"
        | "child_process"
        | "cluster"
        | "dgram"
        | "diagnostics_channel"
        | "dns"
        | "inspector"
        | "module"
        | "net"
        | "os"
        | "path"
        | "readline"
        | "repl"
        | "tls"
        | "tty"
        | "v8"
        | "vm"
        | "worker_threads" => "Holm has the web's APIs, not Node's",
        _ => return None,
    })
}

/// For a file whose extension does not say how to import it.
pub(super) fn unknown_kind(specifier: &str) -> String {
    format!(
        "say how: import … from \"{specifier}\" with {{ type: \"text\" }} (or \"bytes\", \"json\")"
    )
}

/// A specifier that exists and looks like the one that does not.
///
/// `specifier` is as written, `wanted` the path it would be; both name the same last segment.
pub(super) fn did_you_mean(specifier: &str, wanted: &Path) -> Option<String> {
    let found = similar_name(wanted)?;
    let folder = specifier
        .trim_end_matches('/')
        .rfind('/')
        .map_or("", |slash| &specifier[..=slash]);
    Some(format!("did you mean \"{folder}{found}\"?"))
}

/// An index file of a folder that was imported.
pub(super) fn index_of(specifier: &str, folder: &Path) -> Option<String> {
    let specifier = specifier.trim_end_matches('/');
    INDEXES
        .iter()
        .find(|name| folder.join(name).is_file())
        .map(|name| format!("did you mean \"{specifier}/{name}\"?"))
}

const INDEXES: [&str; 6] = [
    "index.js",
    "index.ts",
    "index.mjs",
    "index.tsx",
    "index.jsx",
    "index.mts",
];

/// What may be meant by a path without or with another extension, most likely first.
const EXTENSIONS: [&str; 7] = ["ts", "js", "tsx", "jsx", "mts", "mjs", "json"];

fn similar_name(wanted: &Path) -> Option<String> {
    let name = wanted.file_name()?.to_str()?;
    let folder = wanted.parent()?;
    let stem = wanted.file_stem()?.to_str()?;
    let swapped = EXTENSIONS.iter().flat_map(|extension| {
        // `./x.js` may mean `x.ts`; `./x` and `./x.config` may mean `x.config.ts`.
        [format!("{stem}.{extension}"), format!("{name}.{extension}")]
    });
    for candidate in swapped {
        if folder.join(&candidate).is_file() {
            return Some(candidate);
        }
    }
    let lower = name.to_lowercase();
    std::fs::read_dir(folder)
        .ok()?
        .take(ENTRIES_LOOKED_AT)
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .map(|entry| {
            let edits = if entry.to_lowercase() == lower {
                0
            } else {
                strsim::damerau_levenshtein(&entry.to_lowercase(), &lower)
            };
            (edits, entry)
        })
        .filter(|(edits, entry)| *edits <= EDITS && *edits < entry.len() / 2)
        .min()
        .map(|(_, entry)| entry)
}
