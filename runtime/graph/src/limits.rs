//! How large a function may be on disk. The files are hostile input like everything else.

use std::fmt;

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

impl Size {
    /// A size of `count` binary megabytes.
    pub const fn mebibytes(count: u64) -> Self {
        Self(count << 20)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MEBIBYTE: u64 = 1 << 20;
        if self.0 >= MEBIBYTE && self.0.is_multiple_of(MEBIBYTE) {
            write!(f, "{} MiB", self.0 / MEBIBYTE)
        } else {
            write!(f, "{} bytes", self.0)
        }
    }
}

/// The most a function may be. [`GraphLimits::default`] is what Holm uses; tests use less.
#[derive(Clone, Copy, Debug)]
pub struct GraphLimits {
    /// All modules of a function together.
    pub function: Size,
    /// Modules of a function, counting a file once per kind it is imported as.
    pub modules: usize,
    /// One script. A syntax tree takes many times the memory of its text.
    pub script: Size,
    /// One WebAssembly module; equals V8's `--wasm-max-module-size` as Holm sets it.
    pub wasm: Size,
    /// All source maps that a function ships; those that do not fit are left unread.
    pub source_maps: Size,
}

impl Default for GraphLimits {
    fn default() -> Self {
        Self {
            function: Size::mebibytes(64),
            modules: 10_000,
            script: Size::mebibytes(16),
            wasm: Size::mebibytes(16),
            source_maps: Size::mebibytes(16),
        }
    }
}
