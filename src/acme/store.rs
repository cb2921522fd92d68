//! What is kept on disk: the account, and each host's certificate with its key.
//!
//! In `[tls.acme] dir` (0700) there is a folder for each directory (0700), so that another authority, or the
//! staging one, never gets or gives what is another's. In it are `account.json` and `HOST.pem` (0600): key and
//! chain in one file, which is replaced as one, so they always fit each other.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use holm_router::hostname::Hostname;
use rustix::fs::{Access, access};
use rustix::process::geteuid;
use url::Url;

/// Longest file that is read, in bytes. A chain with its key is a few KiB.
const MAX_FILE: u64 = 1 << 20;

/// Files that are looked at in one folder. There is one for each host.
const MAX_FILES: usize = 10_000;

/// The file of the account.
const ACCOUNT: &str = "account.json";

/// Permissions that others may not have.
const OTHERS: u32 = 0o077;

/// Account and certificates of one directory.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    folder: PathBuf,
}

/// Why something cannot be kept, or not be taken from there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// There is something else.
    #[error("{} is not a folder", .0.display())]
    NoFolder(PathBuf),
    /// There is nothing to make it in.
    #[error("{} does not exist, so no folder can be made in it", .0.display())]
    NoParent(PathBuf),
    /// Others could read keys.
    #[error("others may get at {}, which has private keys (its mode is {:o})", .path.display(), .mode & 0o7777)]
    Open {
        /// The folder or file.
        path: PathBuf,
        /// What the system says of it.
        mode: u32,
    },
    /// Whoever has it could read keys.
    #[error("{} belongs to another user (uid {uid})", .path.display())]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// Whose it is.
        uid: u32,
    },
    /// It may not be read or written.
    #[error("cannot write to {}: {}", .0.display(), .1)]
    Write(PathBuf, #[source] io::Error),
    /// It may not be read.
    #[error("cannot read {}: {}", .0.display(), .1)]
    Read(PathBuf, #[source] io::Error),
}

impl StoreError {
    /// What to do about it.
    pub(crate) fn fix(&self) -> String {
        match self {
            Self::NoFolder(_) => "name a folder, or one that is to be made".to_owned(),
            Self::NoParent(path) => format!("make it: mkdir -p {}", path.display()),
            Self::Open { path, .. } => format!("chmod go= {}", path.display()),
            Self::Foreign { path, .. } => format!(
                "it has to belong to the user who runs Holm: chown -R USER {}",
                path.display()
            ),
            Self::Write(..) | Self::Read(..) => {
                "check that the user who runs Holm may read and write it".to_owned()
            }
        }
    }

    /// In a few words, for the place in the configuration.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::NoFolder(_) => "not a folder",
            Self::NoParent(_) => "nowhere to make it",
            Self::Open { .. } => "open to others",
            Self::Foreign { .. } => "of another user",
            Self::Write(..) => "cannot be written",
            Self::Read(..) => "cannot be read",
        }
    }
}

impl Store {
    /// Whether things can be kept in `dir` for `directory`, as far as that can be seen without writing.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn inspect(dir: &Path, directory: &str) -> Result<(), StoreError> {
        let Some(metadata) = look(dir)? else {
            let parent = dir.parent().unwrap_or(dir);
            return match look(parent)? {
                None => Err(StoreError::NoParent(parent.to_owned())),
                Some(metadata) if metadata.is_dir() => may_write(parent),
                Some(_) => Err(StoreError::NoFolder(parent.to_owned())),
            };
        };
        closed_folder(dir, &metadata)?;
        may_write(dir)?;
        let folder = dir.join(name_of(directory));
        let Some(metadata) = look(&folder)? else {
            return Ok(());
        };
        closed_folder(&folder, &metadata)?;
        may_write(&folder)?;
        let unreadable = |error| StoreError::Read(folder.clone(), error);
        for entry in fs::read_dir(&folder).map_err(unreadable)?.take(MAX_FILES) {
            let path = entry.map_err(unreadable)?.path();
            // One that is gone by now was being written.
            if let Some(metadata) = look(&path)? {
                closed(&path, &metadata)?;
            }
        }
        Ok(())
    }

    /// Opens it, and makes the folders that are not there.
    ///
    /// # Errors
    /// They cannot be made or written, or others may look into them.
    pub(crate) fn open(dir: &Path, directory: &str) -> Result<Self, StoreError> {
        let folder = dir.join(name_of(directory));
        for path in [dir, &folder] {
            let unwritable = |error| StoreError::Write(path.to_owned(), error);
            match DirBuilder::new().mode(0o700).create(path) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(unwritable(error)),
            }
            let metadata = fs::metadata(path).map_err(unwritable)?;
            closed_folder(path, &metadata)?;
            // As root, Holm could write into anybody's.
            if metadata.uid() != geteuid().as_raw() {
                return Err(StoreError::Foreign {
                    path: path.to_owned(),
                    uid: metadata.uid(),
                });
            }
        }
        let store = Self { folder };
        // Now, not when there is a certificate to keep.
        store.write("probe", b"")?;
        let probe = store.folder.join("probe");
        fs::remove_file(&probe).map_err(|error| StoreError::Write(probe, error))?;
        Ok(store)
    }

    /// The account, if there is one.
    ///
    /// # Errors
    /// It cannot be read, or others can.
    pub(super) fn account(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(ACCOUNT)
    }

    /// Keeps the account in the place of the one that was there.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn keep_account(&self, account: &[u8]) -> Result<(), StoreError> {
        self.write(ACCOUNT, account)
    }

    /// Forgets the account, which the directory does not know any more.
    ///
    /// # Errors
    /// It cannot be removed.
    pub(super) fn forget_account(&self) -> Result<(), StoreError> {
        let path = self.folder.join(ACCOUNT);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(StoreError::Write(path, error))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Key and chain of `host`, in PEM, if they are there.
    ///
    /// # Errors
    /// They cannot be read, or others can.
    pub(crate) fn certificate(&self, host: &Hostname) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(&format!("{host}.pem"))
    }

    /// Keeps key and chain of `host` in the place of those that were there.
    ///
    /// # Errors
    /// They cannot be written.
    pub(super) fn keep_certificate(&self, host: &Hostname, pem: &[u8]) -> Result<(), StoreError> {
        self.write(&format!("{host}.pem"), pem)
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.folder.join(name);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::Read(path, error)),
        };
        let unreadable = |error| StoreError::Read(path.clone(), error);
        let metadata = file.metadata().map_err(unreadable)?;
        closed(&path, &metadata)?;
        let mut bytes = Vec::new();
        let read = (&file).take(MAX_FILE).read_to_end(&mut bytes);
        read.map_err(unreadable)?;
        Ok(Some(bytes))
    }

    /// Whoever reads it sees what was there before, or all of this; after a loss of power, too.
    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        // A name that no other writer has: there may be another process, which takes over from this one.
        let new = format!(".{name}.{}", std::process::id());
        let (path, new) = (self.folder.join(name), self.folder.join(new));
        let written = || {
            match fs::remove_file(&new) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                // One that was left over may have been written to the half.
                Ok(()) | Err(_) => {}
            }
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&new)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&new, &path)?;
            File::open(&self.folder)?.sync_all()
        };
        written().map_err(|error| StoreError::Write(path.clone(), error))
    }
}

/// The folder of a directory: its host, for people, and what tells it from all others.
fn name_of(directory: &str) -> String {
    let url = Url::parse(directory).ok();
    let host = url.as_ref().and_then(Url::host_str).unwrap_or("directory");
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let host: String = host.chars().map(plain).take(64).collect();
    let digest = digest(&SHA256, directory.as_bytes());
    let id: String = digest.as_ref()[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{host}-{id}")
}

fn look(path: &Path) -> Result<Option<Metadata>, StoreError> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Err(StoreError::NoFolder(
            path.parent().unwrap_or(path).to_owned(),
        )),
        Err(error) => Err(StoreError::Read(path.to_owned(), error)),
    }
}

fn closed_folder(path: &Path, metadata: &Metadata) -> Result<(), StoreError> {
    if !metadata.is_dir() {
        return Err(StoreError::NoFolder(path.to_owned()));
    }
    closed(path, metadata)
}

fn closed(path: &Path, metadata: &Metadata) -> Result<(), StoreError> {
    let mode = metadata.mode();
    if mode & OTHERS != 0 {
        let path = path.to_owned();
        return Err(StoreError::Open { path, mode });
    }
    Ok(())
}

fn may_write(folder: &Path) -> Result<(), StoreError> {
    let wanted = Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK;
    access(folder, wanted).map_err(|error| StoreError::Write(folder.to_owned(), error.into()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const DIRECTORY: &str = "https://ca.test:14000/dir";

    fn host() -> Hostname {
        Hostname::parse("a.test").expect("a host")
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("it is there").mode() & 0o7777
    }

    #[test]
    fn what_is_kept_is_for_its_owner_alone_and_comes_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let dir = folder.path().join("acme");
        Store::inspect(&dir, DIRECTORY).expect("it can be made");
        assert!(!dir.exists(), "looking makes nothing");
        let store = Store::open(&dir, DIRECTORY).expect("open");
        assert!(store.certificate(&host()).expect("read").is_none());
        store.keep_certificate(&host(), b"one").expect("kept");
        store.keep_certificate(&host(), b"two").expect("kept");
        store.keep_account(b"me").expect("kept");
        let again = Store::open(&dir, DIRECTORY).expect("open");
        assert_eq!(
            again.certificate(&host()).expect("read"),
            Some(b"two".to_vec())
        );
        assert_eq!(again.account().expect("read"), Some(b"me".to_vec()));
        assert_eq!(mode(&dir), 0o700);
        assert_eq!(mode(&store.folder), 0o700);
        let files = fs::read_dir(&store.folder).expect("read");
        let mut names = Vec::new();
        for file in files {
            let path = file.expect("an entry").path();
            assert_eq!(mode(&path), 0o600, "{}", path.display());
            names.push(path.file_name().expect("a name").to_owned());
        }
        names.sort();
        assert_eq!(names, ["a.test.pem", ACCOUNT], "nothing is left over");
        let other = Store::open(&dir, "https://ca.test:14000/staging").expect("open");
        assert!(other.certificate(&host()).expect("read").is_none());
    }

    #[test]
    fn what_others_may_read_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let dir = folder.path().join("acme");
        let store = Store::open(&dir, DIRECTORY).expect("open");
        store.keep_certificate(&host(), b"key").expect("kept");
        let file = store.folder.join("a.test.pem");
        for path in [&file, &store.folder, &dir] {
            let before = mode(path);
            for open in [0o004, 0o040, 0o010, 0o001] {
                let permissions = fs::Permissions::from_mode(before | open);
                fs::set_permissions(path, permissions).expect("set");
                let fault = Store::inspect(&dir, DIRECTORY).expect_err("open to others");
                assert!(matches!(&fault, StoreError::Open { path: at, .. } if at == path));
                assert!(fault.fix().contains("chmod"), "{}", fault.fix());
                if *path == file {
                    store.certificate(&host()).expect_err("open to others");
                } else {
                    Store::open(&dir, DIRECTORY).expect_err("open to others");
                }
            }
            fs::set_permissions(path, fs::Permissions::from_mode(before)).expect("set");
        }
        Store::inspect(&dir, DIRECTORY).expect("all is as it was");
    }

    #[test]
    fn what_another_user_has_is_refused() {
        if !geteuid().is_root() {
            eprintln!("skipped: only root can give a folder away");
            return;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let dir = folder.path().join("acme");
        Store::open(&dir, DIRECTORY).expect("open");
        std::os::unix::fs::chown(&dir, Some(65_534), None).expect("given away");
        // Whoever checks the file may be another than who serves it.
        Store::inspect(&dir, DIRECTORY).expect("it is closed");
        let fault = Store::open(&dir, DIRECTORY).expect_err("of another user");
        assert!(matches!(fault, StoreError::Foreign { uid: 65_534, .. }));
    }

    #[test]
    fn where_nothing_can_be_kept_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("file");
        fs::write(&file, "").expect("written");
        let at = |name: &str| Store::inspect(&folder.path().join(name), DIRECTORY);
        assert!(matches!(at("file"), Err(StoreError::NoFolder(_))));
        assert!(matches!(at("file/acme"), Err(StoreError::NoFolder(_))));
        assert!(matches!(at("no/acme"), Err(StoreError::NoParent(_))));
        let none = Store::open(&folder.path().join("no/acme"), DIRECTORY);
        assert!(matches!(none, Err(StoreError::Write(..))));
    }
}
