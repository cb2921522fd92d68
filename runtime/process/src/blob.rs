//! Bytes that many processes read and none changes: a function's code.
//!
//! They lie in a sealed memory file, so they are in RAM once, however many processes map them.

use std::io;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;

use crate::sys;

/// A file of `parts`, one behind the other, that nobody can change.
///
/// # Errors
/// The system has no memory, or no more descriptors.
pub fn create(parts: &[&[u8]]) -> io::Result<OwnedFd> {
    sys::memory_file("holm-code", sys::Sealed::Contents(parts))
}

/// The contents of a file that [`create`] made, mapped until the process ends.
///
/// # Errors
/// It is none, or there is no room for it.
pub fn map(fd: BorrowedFd<'_>) -> io::Result<&'static [u8]> {
    sys::map_sealed(fd)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let fd = create(&[b"one", b"", b"two"]).expect("a blob");
        assert_eq!(map(fd.as_fd()).expect("mapped"), b"onetwo");
        assert!(rustix::io::write(&fd, b"x").is_err());
        let empty = create(&[]).expect("a blob");
        assert_eq!(map(empty.as_fd()).expect("mapped"), b"");
    }

    #[test]
    fn what_could_change_is_not_mapped() {
        let fd = rustix::fs::memfd_create("open", rustix::fs::MemfdFlags::CLOEXEC).expect("a file");
        assert!(map(fd.as_fd()).is_err());
    }
}
