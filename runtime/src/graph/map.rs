//! Source maps that a script ships itself, as bundlers write them.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::limits::Size;
use super::resolve;

/// Text at the end of a script in which `//# sourceMappingURL=` with a file name is looked
/// for. Inline maps are found by their own prefix.
const TAIL_BYTES: usize = 4096;
const MARK: &str = "//# sourceMappingURL=";

/// The map of a script, and its file when it has one of its own.
pub(super) struct Shipped {
    pub(super) json: Vec<u8>,
    pub(super) file: Option<PathBuf>,
}

/// Finds the source map that `text`, the script at `path` below `root`, names in its last
/// comment. A missing, oversized, remote or undecodable map is no error: the script runs
/// without it, and its stack traces stay unmapped.
pub(super) fn shipped(text: &str, path: &Path, root: &Path, limit: Size) -> Option<Shipped> {
    let url = url_of(text)?;
    if let Some(data) = url.strip_prefix("data:application/json") {
        let (parameters, data) = data.split_once(',')?;
        let fits = data.len() as u64 / 4 * 3 <= limit.0;
        if !parameters.ends_with(";base64") || !fits {
            return None;
        }
        let json = BASE64_STANDARD.decode(data).ok()?;
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

/// The URL of the last line that holds code or comment, when it is a source map's.
fn url_of(text: &str) -> Option<&str> {
    let text = text.trim_end();
    let line_start = text.rfind(['\n', '\r']).map_or(0, |end| end + 1);
    let line = &text[line_start..];
    // A minified bundle may end `…;//# sourceMappingURL=x`, in one line of a megabyte.
    let mark = match line.len() > TAIL_BYTES {
        true if line.starts_with(MARK) => 0,
        true => {
            let mut tail = line.len() - TAIL_BYTES;
            while !line.is_char_boundary(tail) {
                tail += 1;
            }
            tail + line[tail..].rfind(MARK)?
        }
        false => line.rfind(MARK)?,
    };
    let url = &line[mark + MARK.len()..];
    (!url.is_empty() && !url.contains(char::is_whitespace)).then_some(url)
}
