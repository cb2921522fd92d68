//! Which file a path means.

use percent_encoding::AsciiSet;
use percent_encoding::CONTROLS;
use percent_encoding::percent_decode_str;
use percent_encoding::utf8_percent_encode;

use super::folder::Asset;
use super::folder::Folder;
use crate::config::HtmlHandling;

/// What is encoded in the path of a URL, and what would end it.
const ENCODED: AsciiSet = CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'}');

/// What a path leads to.
#[derive(Debug)]
pub(super) enum Found<'a> {
    /// This file, and the name that it was found under.
    File(&'a Asset, String),
    /// The file has one address, and it is another: this path, encoded.
    Elsewhere(String),
}

/// The file that `path` means, as it came.
pub(super) fn find<'a>(folder: &'a Folder, path: &str, html: HtmlHandling) -> Option<Found<'a>> {
    let path = decoded(path)?;
    let file = |name: String| Some(Found::File(folder.get(&name)?, name));
    match html {
        HtmlHandling::None => return file(path),
        HtmlHandling::AutoTrailingSlash => {}
    }
    let has = |name: &str| folder.get(name).is_some();
    let elsewhere = |path: &str| {
        let path = utf8_percent_encode(path, &ENCODED).to_string();
        Some(Found::Elsewhere(path))
    };
    if let Some(stem) = path.strip_suffix(".html").filter(|_| has(&path)) {
        if let Some(folder) = stem.strip_suffix("index").filter(|f| f.ends_with('/')) {
            return elsewhere(folder);
        }
        // A file without the ending has that address.
        if !has(stem) && !stem.ends_with('/') {
            return elsewhere(stem);
        }
    }
    if let Some(found) = file(path.clone()) {
        return Some(found);
    }
    let page = |stem: &str| [stem, ".html"].concat();
    if let Some(stem) = path.strip_suffix('/') {
        let index = [&path, "index.html"].concat();
        if has(&index) {
            return file(index);
        }
        return elsewhere(stem).filter(|_| !stem.is_empty() && has(&page(stem)));
    }
    if let Some(folder) = path.strip_suffix("index").filter(|f| f.ends_with('/'))
        && has(&page(&path))
    {
        return elsewhere(folder);
    }
    if has(&page(&path)) {
        return file(page(&path));
    }
    let folder_of = [&path, "/"].concat();
    elsewhere(&folder_of).filter(|_| has(&[&folder_of, "index.html"].concat()))
}

/// The page for what is not there: the nearest `404.html`, from the folder of `path` up.
pub(super) fn not_found<'a>(folder: &'a Folder, path: &str) -> Option<(&'a Asset, String)> {
    let path = decoded(path).unwrap_or_default();
    let mut above = path.as_str();
    loop {
        above = above.rfind('/').map_or("", |slash| &above[..slash]);
        let name = [above, "/404.html"].concat();
        if let Some(asset) = folder.get(&name) {
            return Some((asset, name));
        }
        if above.is_empty() {
            return None;
        }
    }
}

/// The text of a path; nothing where an encoded byte would mean more than itself. (A name that was found in
/// a folder has none of those anyway.)
fn decoded(path: &str) -> Option<String> {
    let bytes = path.as_bytes();
    let hides = bytes.windows(3).any(|triple| {
        triple[0] == b'%'
            && [&b"2f"[..], b"5c", b"00"]
                .iter()
                .any(|hidden| triple[1..].eq_ignore_ascii_case(hidden))
    });
    if hides {
        return None;
    }
    let path = percent_decode_str(path).decode_utf8().ok()?;
    Some(path.into_owned())
}
