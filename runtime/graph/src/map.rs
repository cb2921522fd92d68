//! Source maps that a script ships itself, as bundlers write them.

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use percent_encoding::percent_decode_str;

use super::limits::Size;
use super::resolve;

const MARK: &str = "//# sourceMappingURL=";
const INLINE: &str = "data:application/json";
/// In any comment that V8 takes for one with a map.
const INLINE_MARK: &str = "sourceMappingURL=data:";

/// The map of a script, and its file when it has one of its own.
pub(super) struct Shipped {
    pub(super) json: Vec<u8>,
    pub(super) file: Option<PathBuf>,
}

/// Finds the source map that `text`, the script at `path` below `root`, names in its last
/// comment. A missing, oversized, remote or undecodable map is no error: the script runs
/// without it, and its stack traces stay unmapped.
pub(super) fn shipped(text: &str, path: &Path, root: &Path, limit: Size) -> Option<Shipped> {
    let url = &text[url_of(text)?];
    if let Some(data) = url.strip_prefix(INLINE) {
        let (parameters, data) = data.split_once(',')?;
        let json = if parameters.ends_with(";base64") {
            let fits = data.len() as u64 / 4 * 3 <= limit.0;
            fits.then(|| BASE64_STANDARD.decode(data).ok())??
        } else {
            let fits = data.len() as u64 <= limit.0;
            fits.then(|| percent_decode_str(data).collect())?
        };
        return Some(Shipped { json, file: None });
    }
    // `x.js.map` means the neighbour: a source map's URL is relative without a leading dot.
    let relative = match url.starts_with(['.', '/']) || url.contains(':') {
        true => url.to_owned(),
        false => format!("./{url}"),
    };
    let wanted = resolve::lexical(&relative, path).ok()?;
    let file = resolve::locate(&relative, &wanted, root).ok()?;
    let mut json = Vec::new();
    File::open(&file)
        .and_then(|handle| handle.take(limit.0 + 1).read_to_end(&mut json))
        .ok()
        .filter(|length| *length as u64 <= limit.0)?;
    Some(Shipped {
        json,
        file: Some(file),
    })
}

/// `text` as V8 is to see it, where that differs: without an inline map. deno_core would apply the
/// one that V8 tells it of, which is that of the last such comment anywhere in the text, and each
/// isolate would keep a copy of it.
pub(super) fn without_inline(text: &str) -> Option<String> {
    if !text.contains(INLINE_MARK) {
        return None;
    }
    let end = match url_of(text) {
        Some(url) => url.start,
        None => text.len(),
    };
    let mut quiet = text[..end].to_owned();
    if end == text.len() {
        quiet.push('\n');
        quiet.push_str(MARK);
    }
    // Names no map, and hides those before it.
    quiet.push_str("none");
    Some(quiet)
}

/// Where the URL of the source map stands: in the last lines, after which only comments follow.
fn url_of(text: &str) -> Option<Range<usize>> {
    let mut rest = text;
    loop {
        rest = rest.trim_end();
        let start = rest.rfind(['\n', '\r']).map_or(0, |end| end + 1);
        let line = &rest[start..];
        // A minified bundle may end `…;//# sourceMappingURL=x`, in one line of a megabyte.
        if let Some(mark) = line.rfind(MARK) {
            let url = mark + MARK.len()..line.len();
            let is_url = |c: char| !c.is_whitespace() && !matches!(c, '"' | '\'' | '`');
            if !url.is_empty() && line[url.clone()].chars().all(is_url) {
                return Some(start + url.start..start + url.end);
            }
        }
        if !line.trim_start().starts_with("//") {
            return None;
        }
        rest = &rest[..start];
    }
}
