//! A folder, read once: which files there are, what each is, and the rules that lie beside them.
//!
//! Nothing that a client sends is ever part of a path: requests are looked up among the names that were found
//! here. Files are opened below the folder's descriptor, and the kernel sees to it that no link leads out of it.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use aws_lc_rs::digest;
use http::HeaderValue;
use new_mime_guess::from_path;
use rustix::fs::CWD;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::ResolveFlags;
use rustix::fs::Stat;
use rustix::fs::fstat;
use rustix::fs::openat;
use rustix::fs::openat2;
use rustix::io::Errno;

use super::fault::Fault;
use super::headers::Headers;
use super::negotiate::Coding;
use super::redirects::Redirects;

/// The most files in a folder, and in all that are in it.
const FILES: usize = 20_000;

/// The deepest that folders lie in each other.
const DEPTH: usize = 32;

/// The longest file of rules, in bytes.
const RULES: u64 = 1 << 20;

/// Bytes of the digest that are in a validator: enough that two files never have the same one.
const ETAG: usize = 16;

/// Bytes that are hashed at a time.
const PIECE: usize = 256 << 10;

/// Where a hidden name is none (RFC 8615).
pub(crate) const WELL_KNOWN: &str = ".well-known";

/// A file, as it was found.
#[derive(Debug)]
pub(super) struct Asset {
    /// Where it lies below the folder.
    pub(super) path: Box<str>,
    pub(super) stamp: Stamp,
    pub(super) etag: HeaderValue,
    /// Its type. That of a file in another coding is the one of the file that it lies beside.
    pub(super) kind: HeaderValue,
}

/// Tells a file from what it was before, and from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    pub(super) size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev,
            inode: stat.st_ino,
            size: u64::try_from(stat.st_size).unwrap_or_default(),
            modified: (stat.st_mtime, stat.st_mtime_nsec as i64),
            changed: (stat.st_ctime, stat.st_ctime_nsec as i64),
        }
    }
}

/// What was read.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) root: OwnedFd,
    /// By the path that they are asked for, decoded, with a slash in front.
    pub(super) files: HashMap<Box<str>, Asset>,
    /// Those below it in which files may be, and itself: where they lie below it.
    pub(super) folders: Vec<Box<str>>,
    /// Those of `_headers` and `_redirects`.
    rules: [Option<Stamp>; 2],
    pub(super) headers: Headers,
    pub(super) redirects: Redirects,
}

impl Folder {
    /// Reads the folder at `path`. What `before` knows of files that have not changed is not computed again.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(super) fn read(path: &Path, before: Option<&Self>) -> Result<Self, Vec<Fault>> {
        let root = openat(
            CWD,
            path,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        );
        let root = root.map_err(|error| {
            let fix = "check that it is a folder, and that the user who runs Holm may read it";
            vec![Fault::at(path, format!("cannot open it: {error}"), fix)]
        })?;
        let mut walk = Walk {
            folder: path,
            root: &root,
            before,
            files: HashMap::new(),
            folders: Vec::new(),
            faults: Vec::new(),
        };
        walk.folder(&mut String::new(), 0);
        let Walk {
            files,
            folders,
            mut faults,
            ..
        } = walk;
        let text = |name: &str, faults: &mut Vec<Fault>| rules(&root, path, name, faults);
        let (headers, of_headers) = text("_headers", &mut faults);
        let headers = Headers::parse(&headers, &path.join("_headers"), &mut faults);
        let (redirects, of_redirects) = text("_redirects", &mut faults);
        let redirects = Redirects::parse(&redirects, &path.join("_redirects"), &mut faults);
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Self {
            root,
            files,
            folders,
            rules: [of_headers, of_redirects],
            headers,
            redirects,
        })
    }

    /// Whether all in it is what it was in `before`.
    pub(super) fn is_same(&self, before: &Self) -> bool {
        self.rules == before.rules
            && self.folders == before.folders
            && self.files.len() == before.files.len()
            && self.files.iter().all(|(path, asset)| {
                let known = before.get(path);
                known.is_some_and(|known| known.stamp == asset.stamp)
            })
    }

    /// The file at `path`, if there is one.
    pub(super) fn get(&self, path: &str) -> Option<&Asset> {
        self.files.get(path)
    }

    /// The file that has what the one at `path` has, in `coding`.
    pub(super) fn packed(&self, path: &str, coding: Coding) -> Option<&Asset> {
        self.files.get([path, coding.extension()].concat().as_str())
    }
}

/// Opens the file at `path` below `root`, which no link may lead out of.
///
/// # Errors
/// The system's words; [`Errno::XDEV`] for a link that leads out.
pub(super) fn open(root: &OwnedFd, path: &str) -> rustix::io::Result<(OwnedFd, Stamp)> {
    // A pipe that has taken the file's place does not make anybody wait.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let file = openat2(root, path, flags, Mode::empty(), resolve)?;
    let stat = fstat(&file)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(Errno::ISDIR);
    }
    Ok((file, Stamp::of(&stat)))
}

/// The text of a file of rules, and what it looks like; nothing if there is none.
fn rules(
    root: &OwnedFd,
    folder: &Path,
    name: &str,
    faults: &mut Vec<Fault>,
) -> (String, Option<Stamp>) {
    let path = folder.join(name);
    let (file, stamp) = match open(root, name) {
        Ok(opened) => opened,
        Err(Errno::NOENT) => return (String::new(), None),
        Err(error) => {
            faults.push(refused(&path, error));
            return (String::new(), None);
        }
    };
    if stamp.size > RULES {
        let what = "it is longer than 1MiB";
        faults.push(Fault::at(&path, what, "is it the right file?"));
        return (String::new(), Some(stamp));
    }
    let mut text = String::new();
    if let Err(error) = fs::File::from(file).take(RULES).read_to_string(&mut text) {
        let fix = "save it as UTF-8 text that the user who runs Holm may read";
        faults.push(Fault::at(&path, format!("cannot read it: {error}"), fix));
        text.clear();
    }
    (text, Some(stamp))
}

struct Walk<'a> {
    folder: &'a Path,
    root: &'a OwnedFd,
    before: Option<&'a Folder>,
    files: HashMap<Box<str>, Asset>,
    folders: Vec<Box<str>>,
    faults: Vec<Fault>,
}

impl Walk<'_> {
    /// Takes in what is in the folder `below`, and in those in it. Returns whether there is room for more.
    fn folder(&mut self, below: &mut String, depth: usize) -> bool {
        let path = self.folder.join(&below);
        if depth > DEPTH {
            let what = format!("more than {DEPTH} folders lie in each other");
            self.fault(&path, what, "let them lie less deep");
            return true;
        }
        let entries = fs::read_dir(&path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let mut entries = match entries {
            Ok(entries) => entries,
            Err(error) => {
                let fix = "check that the user who runs Holm may read it";
                self.fault(&path, format!("cannot list it: {error}"), fix);
                return true;
            }
        };
        self.folders.push(below.as_str().into());
        // Problems come in an order that does not change.
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let (name, path) = (entry.file_name(), entry.path());
            if name.as_bytes().first() == Some(&b'.') && !(depth == 0 && name == WELL_KNOWN) {
                continue;
            }
            if depth == 0 && (name == "_headers" || name == "_redirects") {
                continue;
            }
            let Some(name) = name.to_str().filter(|name| !name.contains('\\')) else {
                let fix = "rename it: nobody could ask for it";
                self.fault(&path, "its name is not UTF-8, or has a backslash", fix);
                continue;
            };
            let length = below.len();
            if !below.is_empty() {
                below.push('/');
            }
            below.push_str(name);
            let has_room = match entry.file_type() {
                Ok(kind) if kind.is_dir() => self.folder(below, depth + 1),
                Ok(_) => self.file(below, &path),
                Err(error) => {
                    self.faults.push(unreadable(&path, &error));
                    true
                }
            };
            below.truncate(length);
            if !has_room {
                return false;
            }
        }
        true
    }

    fn file(&mut self, below: &str, path: &Path) -> bool {
        if self.files.len() == FILES {
            let what = format!("there are more than {FILES} files in it");
            let fix = "is it the right folder? Spread what is in it over several functions";
            let folder = self.folder;
            self.fault(folder, what, fix);
            return false;
        }
        let (file, stamp) = match open(self.root, below) {
            Ok(opened) => opened,
            Err(error) => {
                self.faults.push(refused(path, error));
                return true;
            }
        };
        let name: Box<str> = ["/", below].concat().into();
        let known = self.before.and_then(|before| before.get(&name));
        let etag = match known.filter(|known| known.stamp == stamp) {
            Some(known) => known.etag.clone(),
            None => match etag(file) {
                Ok(etag) => etag,
                Err(error) => {
                    self.faults.push(unreadable(path, &error));
                    return true;
                }
            },
        };
        let asset = Asset {
            path: below.into(),
            stamp,
            etag,
            kind: kind(below),
        };
        self.files.insert(name, asset);
        true
    }

    fn fault(&mut self, path: &Path, what: impl std::fmt::Display, fix: &str) {
        self.faults.push(Fault::at(path, what, fix));
    }
}

/// Why a file cannot be opened.
fn refused(path: &Path, error: Errno) -> Fault {
    match error {
        Errno::XDEV => {
            let fix =
                "copy the file into the folder, or make the link relative and let it stay inside";
            Fault::at(path, "it is a link that leads out of the folder", fix)
        }
        Errno::NOENT | Errno::LOOP => {
            Fault::at(path, "it is a link that leads nowhere", "mend or remove it")
        }
        Errno::ISDIR | Errno::NXIO => {
            let fix =
                "remove it, or put the files themselves here: links to folders are not followed";
            Fault::at(path, "it is not a file", fix)
        }
        Errno::NOSYS => {
            let fix = "Linux 5.6 or later is needed, and a container that lets `openat2` pass";
            Fault::at(path, "the system cannot keep links inside the folder", fix)
        }
        other => unreadable(path, &other.into()),
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Fault {
    let fix = "check that the user who runs Holm may read it";
    Fault::at(path, format!("cannot read it: {error}"), fix)
}

/// A validator made of the content: the same on every node, and after every copy.
fn etag(file: OwnedFd) -> io::Result<HeaderValue> {
    let mut file = fs::File::from(file);
    let mut hash = digest::Context::new(&digest::SHA256);
    let mut piece = vec![0; PIECE];
    loop {
        match file.read(&mut piece)? {
            0 => break,
            length => hash.update(&piece[..length]),
        }
    }
    let digest = hash.finish();
    let mut text = String::with_capacity(2 + 2 * ETAG);
    text.push('"');
    for byte in &digest.as_ref()[..ETAG] {
        text.push_str(&format!("{byte:02x}"));
    }
    text.push('"');
    Ok(HeaderValue::try_from(text).expect("hexadecimal digits in quotes"))
}

/// The type of a file, by its name. Text is UTF-8, as everything on the web is that says nothing else.
fn kind(path: &str) -> HeaderValue {
    let guess = from_path(path).first_or_octet_stream();
    if guess.subtype() == "javascript" {
        // The one name that is left for it (RFC 9239).
        return HeaderValue::from_static("text/javascript; charset=utf-8");
    }
    let is_text = guess.type_() == "text"
        || guess.subtype() == "json"
        || guess.suffix().is_some_and(|suffix| suffix == "json");
    let text = if is_text && guess.get_param("charset").is_none() {
        format!("{guess}; charset=utf-8")
    } else {
        guess.to_string()
    };
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("application/octet-stream"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn types() {
        for (name, expected) in [
            ("a.html", "text/html; charset=utf-8"),
            ("a.css", "text/css; charset=utf-8"),
            ("a.js", "text/javascript; charset=utf-8"),
            ("a.mjs", "text/javascript; charset=utf-8"),
            ("a.json", "application/json; charset=utf-8"),
            ("a.webmanifest", "application/manifest+json; charset=utf-8"),
            ("a.svg", "image/svg+xml"),
            ("a.png", "image/png"),
            ("a.webp", "image/webp"),
            ("a.avif", "image/avif"),
            ("a.woff2", "font/woff2"),
            ("a.wasm", "application/wasm"),
            ("a.pdf", "application/pdf"),
            ("a.mp4", "video/mp4"),
            ("a.txt", "text/plain; charset=utf-8"),
            ("a.xml", "application/xml"),
            ("a.unheard-of", "application/octet-stream"),
            ("a", "application/octet-stream"),
        ] {
            assert_eq!(kind(name), expected, "{name}");
        }
    }

    #[test]
    fn what_is_served_and_what_is_not() {
        let outside = tempfile::tempdir().expect("a folder");
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path();
        fs::write(outside.path().join("secret"), "no").expect("written");
        for name in [
            "a.txt",
            ".hidden",
            "_headers",
            "sub/_headers",
            "sub/.git/x",
            ".well-known/x",
        ] {
            let file = path.join(name);
            fs::create_dir_all(file.parent().expect("a folder")).expect("made");
            fs::write(file, "/*\n").expect("written");
        }
        symlink("a.txt", path.join("inside")).expect("linked");
        let read = Folder::read(path, None).expect("no fault");
        let mut names: Vec<&str> = read.files.keys().map(|name| &**name).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            ["/.well-known/x", "/a.txt", "/inside", "/sub/_headers"]
        );
        let etag = |name: &str| read.get(name).map(|asset| asset.etag.clone());
        assert_eq!(etag("/a.txt"), etag("/inside"), "the same content");

        symlink(outside.path().join("secret"), path.join("b-out")).expect("linked");
        symlink("../", path.join("c-up")).expect("linked");
        symlink("sub", path.join("d-folder")).expect("linked");
        symlink("nothing", path.join("e-nowhere")).expect("linked");
        symlink("f-itself", path.join("f-itself")).expect("linked");
        fs::write(path.join("_redirects"), "/a\n").expect("written");
        let faults = Folder::read(path, Some(&read)).expect_err("faults");
        let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
        let expected = [
            "b-out: it is a link that leads out",
            "c-up: it is a link that leads out",
            "d-folder: it is not a file",
            "e-nowhere: it is a link that leads nowhere",
            "f-itself: it is a link that leads nowhere",
            "_redirects:1: `/a` is not a rule",
        ];
        assert_eq!(faults.len(), expected.len(), "{faults:#?}");
        for (fault, expected) in faults.iter().zip(expected) {
            assert!(fault.contains(expected), "{fault}");
        }
    }
}
