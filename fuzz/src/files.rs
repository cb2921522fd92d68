//! What an operator writes, and what clients ask of files.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::{assets, config as ours};

/// A folder with what a configuration may name, made once for a process.
fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = std::env::temp_dir().join(format!("holm-fuzz-{}", std::process::id()));
        let files = [
            "a.js",
            "b.ts",
            "site/index.html",
            "site/404.html",
            "site/a.html",
            "site/a/index.html",
            "site/b/b.css",
            "site/b/index",
            "site/caf\u{e9} 1.txt",
            "site/%41.txt",
            "site/.well-known/x",
            "site/.hidden",
        ];
        for file in files {
            let path = folder.join(file);
            fs::create_dir_all(path.parent().expect("it is in a folder")).expect("a folder");
            fs::write(&path, file).expect("a file");
        }
        folder
    })
}

/// The text of `holm.toml`: a plan, or problems that can be printed.
pub fn config(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        ours::fuzz::parse(text, &folder().join("holm.toml"));
    }
}

/// `_headers`, a line of `=`, `_redirects`, a line of `=`, and paths that are asked for, one a line.
pub fn asset_rules(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let mut parts = text.splitn(3, "\n=\n");
    let headers = parts.next().unwrap_or_default();
    let redirects = parts.next().unwrap_or_default();
    let paths: Vec<&str> = parts.next().unwrap_or("/").lines().take(64).collect();
    assets::fuzz::rules(headers, redirects, &paths);
}

/// A path that is asked for.
pub fn asset_paths(data: &[u8]) {
    static FILES: OnceLock<assets::fuzz::Files> = OnceLock::new();
    let files = FILES.get_or_init(|| assets::fuzz::Files::read(&folder().join("site")));
    if let Ok(path) = std::str::from_utf8(data) {
        files.find(path);
    }
}

/// The length of a file in four bytes, then lines, each a field that asks for something: `R` for `Range`, and so on.
pub fn negotiation(data: &[u8]) {
    let Some((length, fields)) = data.split_first_chunk::<4>() else {
        return;
    };
    let mut headers = HeaderMap::new();
    for line in fields.split(|byte| *byte == b'\n').take(32) {
        let Some((kind, value)) = line.split_first() else {
            continue;
        };
        let name = match kind {
            b'A' => "accept-encoding",
            b'I' => "if-none-match",
            b'M' => "if-match",
            b'J' => "if-range",
            _ => "range",
        };
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(HeaderName::from_static(name), value);
        }
    }
    assets::fuzz::negotiate(&headers, u32::from_le_bytes(*length).into());
}
