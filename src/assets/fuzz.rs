//! Ways in for fuzz targets (`fuzz/`) to what reads the files of rules and the fields of clients. Compiled for them
//! alone.

use std::path::Path;

use holm_router::path;
use http::HeaderMap;
use http::HeaderValue;
use url::Url;

use super::find::Found;
use super::find::find;
use super::folder::Folder;
use super::headers::Headers;
use super::negotiate;
use super::negotiate::Coding;
use super::negotiate::Part;
use super::redirects::Led;
use super::redirects::Redirects;
use crate::config::HtmlHandling;

/// Reads both files of rules, and applies them to requests for `paths`.
///
/// # Panics
/// A rule leads to another host than it says.
pub fn rules(headers: &str, redirects: &str, paths: &[&str]) {
    let mut faults = Vec::new();
    let headers = Headers::parse(headers, Path::new("_headers"), &mut faults);
    let rules = Redirects::parse(redirects, Path::new("_redirects"), &mut faults);
    for fault in &faults {
        assert!(!fault.to_string().is_empty());
    }
    let hosts: Vec<_> = redirects.split_whitespace().filter_map(host).collect();
    for asked in paths {
        let (path, query) = match asked.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (*asked, None),
        };
        if !may_be_asked(path) {
            continue;
        }
        let mut fields = HeaderMap::new();
        headers.apply(path, &mut fields);
        assert!(!fields.contains_key(http::header::CONTENT_LENGTH));
        match rules.find(path, query) {
            Some(Led::Away(status, to)) => {
                assert!(status.is_redirection());
                let to = to.to_str().expect("it was made of text");
                match to.starts_with('/') {
                    true => assert!(!to.starts_with("//"), "{path} leads to {to}"),
                    false => assert!(
                        hosts.contains(&host(to).expect("a host")),
                        "{path} leads to {to}"
                    ),
                }
            }
            Some(Led::To(to)) => assert!(to.starts_with('/') && !to.starts_with("//"), "{to}"),
            None => {}
        }
    }
}

/// A folder of files, as it is read once.
#[derive(Debug)]
pub struct Files(Folder);

impl Files {
    /// Reads the folder at `dir`.
    ///
    /// # Panics
    /// It cannot be read.
    pub fn read(dir: &Path) -> Self {
        Self(Folder::read(dir, None).expect("a folder"))
    }

    /// Looks `path` up.
    ///
    /// # Panics
    /// It leads to what is not in the folder, or to another host.
    pub fn find(&self, path: &str) {
        if !may_be_asked(path) {
            return;
        }
        for html in [HtmlHandling::None, HtmlHandling::AutoTrailingSlash] {
            match find(&self.0, path, html) {
                Some(Found::File(asset, name)) => {
                    assert_eq!(
                        self.0.get(&name).map(|found| &found.path),
                        Some(&asset.path)
                    );
                    assert!(
                        !asset
                            .path
                            .split('/')
                            .any(|part| part == ".." || part.is_empty())
                    );
                }
                Some(Found::Elsewhere(to)) => {
                    assert!(to.starts_with('/') && !to.starts_with("//"), "{to}");
                    assert!(HeaderValue::from_str(&to).is_ok(), "{to}");
                    assert!(
                        matches!(find(&self.0, &to, html), Some(Found::File(..))),
                        "{path} leads to {to}, and that to no file"
                    );
                }
                None => {}
            }
        }
    }
}

/// Reads the fields of a request for a file of `length` bytes.
///
/// # Panics
/// A range is empty, or not within the file.
pub fn negotiate(headers: &HeaderMap, length: u64) {
    let etag = HeaderValue::from_static("\"0123456789abcdef\"");
    if let Part::Bytes(range) = negotiate::part(headers, &etag, length) {
        assert!(
            range.start < range.end && range.end <= length,
            "{range:?} of {length}"
        );
    }
    let _ = negotiate::condition(headers, &etag);
    for coding in Coding::ALL {
        assert!(negotiate::wish(headers, coding) <= 1_000);
    }
}

/// The host of a URL.
fn host(text: &str) -> Option<String> {
    Url::parse(text).ok()?.host_str().map(str::to_owned)
}

/// What the edge lets in.
fn may_be_asked(path: &str) -> bool {
    path.starts_with('/') && path::check(path).is_ok() && path::encode(path) == path
}
