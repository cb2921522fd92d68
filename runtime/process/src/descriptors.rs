//! How many descriptors this process has open, and how many it may have.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;

use rustix::io::Errno;
use rustix::process::Resource;
use rustix::process::Rlimit;
use rustix::process::getrlimit;
use rustix::process::setrlimit;

/// How many it may have: `RLIMIT_NOFILE`. [`u64::MAX`] if there is no bound.
pub fn most() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Raises that as far as the system allows it. What a process gets by default is made for programs that use
/// `select`.
///
/// # Errors
/// The system's.
pub fn raise() -> io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let wanted = Rlimit {
        current: limit.maximum,
        ..limit
    };
    Ok(setrlimit(Resource::Nofile, wanted)?)
}

/// How many are open.
///
/// # Errors
/// There is no `/proc`, or not one more can be had.
pub fn open() -> io::Result<u64> {
    const LIST: &str = "/proc/self/fd";
    // Linux 6.2 and later say so at once; before, it is 0.
    match fs::metadata(LIST)?.size() {
        0 => Ok((fs::read_dir(LIST)?.count() as u64).saturating_sub(1)),
        count => Ok(count),
    }
}

/// Whether this is what went wrong: this process, or the system, may have no more.
pub fn are_missing(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::MFILE | Errno::NFILE)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_open_is_counted() {
        let before = open().expect("there is a /proc");
        let files: Vec<_> = (0..100).map(|_| fs::File::open("/dev/null")).collect();
        assert!(files.iter().all(Result::is_ok));
        // Other tests open and close some, too.
        let held = open().expect("there is a /proc");
        assert!(held > before + 50 && held < most(), "{before} {held}");
        drop(files);
        assert!(open().expect("there is a /proc") < held - 50);
    }
}
