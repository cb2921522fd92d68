//! Secrets of the operator's file: where they stand, and what may be done with them.
//!
//! The file itself holds none. It names a file or an environment variable, which is read once. A
//! [`Secret`] can be compared, in a time that does not depend on how much of it agrees, and
//! shown to nobody: not by `Debug`, so not in a log.

use std::fmt;
use std::fs::File;
use std::io;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;
use std::str::FromStr;

use subtle::ConstantTimeEq;

/// The least length: what is shorter can be guessed.
pub(crate) const LEAST: usize = 16;

/// The most: a header has to hold it.
pub(crate) const MOST: usize = 512;

/// A token that clients show.
#[derive(Clone)]
pub(crate) struct Secret(Box<str>);

/// Where a secret stands: `env:NAME` or `file:PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// In an environment variable.
    Env(String),
    /// In a file: its text without the spaces and line breaks around it.
    File(PathBuf),
}

/// A text that says neither `env:NAME` nor `file:PATH`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("neither env:NAME nor file:PATH")]
pub(crate) struct NotASource;

/// Why a secret cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    /// The variable is not set.
    #[error("the environment variable {0} is not set")]
    Unset(String),
    /// The file cannot be read.
    #[error("cannot read {path}: {1}", path = .0.display())]
    File(PathBuf, #[source] io::Error),
    /// It is not one that a header can hold.
    #[error("a token is {LEAST} to {MOST} letters, digits and marks, without spaces: this one {0}")]
    Unfit(&'static str),
}

impl Secret {
    /// A token, if it is one.
    ///
    /// # Errors
    /// Why it is not. The text itself is not quoted.
    pub(crate) fn new(text: &str) -> Result<Self, Unreadable> {
        if text.len() < LEAST {
            return Err(Unreadable::Unfit("is shorter"));
        }
        if text.len() > MOST {
            return Err(Unreadable::Unfit("is longer"));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Unreadable::Unfit("has other characters"));
        }
        Ok(Self(text.into()))
    }

    /// Whether `shown` is it.
    pub(crate) fn is(&self, shown: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(shown).into()
    }

    /// The text, to be sent to whoever asks for it.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Source {
    /// Reads it. Relative paths start at `folder`.
    ///
    /// # Errors
    /// There is none, or it is unfit.
    pub(crate) fn read(&self, folder: &Path) -> Result<Secret, Unreadable> {
        match self {
            Self::Env(name) => match std::env::var(name) {
                Ok(text) => Secret::new(text.trim()),
                Err(std::env::VarError::NotPresent) => Err(Unreadable::Unset(name.clone())),
                Err(std::env::VarError::NotUnicode(_)) => {
                    Err(Unreadable::Unfit("has other characters"))
                }
            },
            Self::File(path) => {
                let path = folder.join(path);
                let mut bytes = Vec::new();
                // Much more than a token is another file, or a device.
                File::open(&path)
                    .and_then(|file| file.take(4 * MOST as u64).read_to_end(&mut bytes))
                    .map_err(|error| Unreadable::File(path, error))?;
                let text = std::str::from_utf8(&bytes);
                let text = text.map_err(|_| Unreadable::Unfit("has other characters"))?;
                Secret::new(text.trim())
            }
        }
    }
}

impl FromStr for Source {
    type Err = NotASource;

    fn from_str(text: &str) -> Result<Self, NotASource> {
        match text.split_once(':') {
            Some(("env", name)) if !name.is_empty() && !name.contains(['=', '\0']) => {
                Ok(Self::Env(name.to_owned()))
            }
            Some(("file", path)) if !path.is_empty() && !path.contains('\0') => {
                Ok(Self::File(path.into()))
            }
            _ => Err(NotASource),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    #[test]
    fn a_token_is_shown_to_nobody_and_known_again() {
        let secret = Secret::new(TOKEN).expect("long enough");
        assert!(secret.is(TOKEN.as_bytes()));
        for other in [
            "",
            "0123456789abcdeX",
            "0123456789abcdef0",
            "0123456789abcde",
        ] {
            assert!(!secret.is(other.as_bytes()), "{other}");
        }
        assert!(!format!("{secret:?}").contains("0123"));
    }

    #[test]
    fn what_can_be_guessed_or_not_be_sent_is_none() {
        for text in ["", "short", "0123456789 abcdef", "0123456789abcdefä"] {
            let error = Secret::new(text).expect_err(text).to_string();
            assert!(text.len() < 6 || !error.contains(text), "{error}");
        }
        assert!(Secret::new(&"a".repeat(MOST + 1)).is_err());
    }

    #[test]
    fn it_is_read_from_where_it_stands() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("token"), format!("{TOKEN}\n")).expect("written");
        let source: Source = "file:token".parse().expect("a source");
        assert!(
            source
                .read(folder.path())
                .is_ok_and(|read| read.is(TOKEN.as_bytes()))
        );
        let source: Source = "env:HOLM_TEST_NO_SUCH_VARIABLE".parse().expect("a source");
        assert!(matches!(
            source.read(folder.path()),
            Err(Unreadable::Unset(_))
        ));
        let missing: Source = "file:missing".parse().expect("a source");
        assert!(matches!(
            missing.read(folder.path()),
            Err(Unreadable::File(..))
        ));
        for text in [TOKEN, "env:", "file:", "ENV:X", "env:A=B"] {
            assert_eq!(text.parse::<Source>(), Err(NotASource), "{text}");
        }
    }
}
