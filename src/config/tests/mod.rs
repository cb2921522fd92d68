//! What a configuration means, and what is said about one that means nothing.

mod bad_input;
mod documented;
mod explained;
mod good_input;
mod never_panics;
mod without_file;

use std::path::{Path, PathBuf};

/// A file of that name beside the functions in `site/`.
fn beside_the_site(name: &str) -> PathBuf {
    folder().join(name)
}

/// This folder.
fn folder() -> &'static Path {
    Path::new(file!())
        .parent()
        .expect("a source file is in a folder")
}
