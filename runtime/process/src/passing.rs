//! Messages with descriptors, over a pair of sockets.
//!
//! `SOCK_SEQPACKET` keeps messages apart and tells when the other side is gone, so a message is a
//! frame and needs no length of its own. Descriptors arrive with close-on-exec set. A message of which
//! the kernel has dropped a part is an error and never half a message; what descriptors had come with it
//! are closed.

use std::io;
use std::io::IoSlice;
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::os::fd::RawFd;
use std::time::Duration;

use rustix::cmsg_space;
use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::event::Timespec;
use rustix::io::Errno;
use rustix::net::AddressFamily;
use rustix::net::RecvAncillaryBuffer;
use rustix::net::RecvAncillaryMessage;
use rustix::net::RecvFlags;
use rustix::net::ReturnFlags;
use rustix::net::SendAncillaryBuffer;
use rustix::net::SendAncillaryMessage;
use rustix::net::SendFlags;
use rustix::net::SocketFlags;
use rustix::net::SocketType;

/// Most bytes of a message.
pub const MAX_BYTES: usize = 4096;

/// Most descriptors that a message carries.
pub const MAX_FDS: usize = 16;

/// One end of a pair.
#[derive(Debug)]
pub struct Socket<F = OwnedFd>(F);

/// A message as it came.
#[derive(Debug)]
pub struct Frame {
    /// Its bytes, at least one.
    pub bytes: Vec<u8>,
    /// Its descriptors, in the order in which they were sent.
    pub fds: Vec<OwnedFd>,
}

/// Why a message was not sent or did not come.
#[derive(Debug, thiserror::Error)]
pub enum PassingError {
    /// What was to be sent is over a bound, or empty.
    #[error(
        "a message of {bytes} bytes with {fds} descriptors: from 1 to {MAX_BYTES} and up to {MAX_FDS} can be sent"
    )]
    Size {
        /// How many bytes it has.
        bytes: usize,
        /// How many descriptors it has.
        fds: usize,
    },
    /// A message came that is longer than any that this crate sends.
    #[error("a message came that is longer than {MAX_BYTES} bytes")]
    LongFrame,
    /// Descriptors of a message were lost: more than [`MAX_FDS`], or the process may not have as many.
    #[error(
        "descriptors of a message were lost: more than {MAX_FDS} came, or the process may not open as many (RLIMIT_NOFILE)"
    )]
    LostFds,
    /// The other end is closed.
    #[error("the other side is gone")]
    Gone,
    /// Anything else.
    #[error(transparent)]
    Io(io::Error),
}

impl From<Errno> for PassingError {
    fn from(error: Errno) -> Self {
        match error {
            Errno::PIPE | Errno::CONNRESET => Self::Gone,
            error => Self::Io(error.into()),
        }
    }
}

impl Socket {
    /// A pair of them, blocking.
    ///
    /// # Errors
    /// There are no more descriptors.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, other) = rustix::net::socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )?;
        Ok((Self(one), Self(other)))
    }

    /// Has this end answer `WouldBlock` where it would block.
    ///
    /// # Errors
    /// The system's.
    pub fn set_nonblocking(&self) -> io::Result<()> {
        Ok(rustix::io::ioctl_fionbio(&self.0, true)?)
    }

    /// Another descriptor of the same end.
    ///
    /// # Errors
    /// There are no more descriptors.
    pub fn share(&self) -> io::Result<Self> {
        Ok(Self(self.0.try_clone()?))
    }

    /// The same end as `wrap` makes of it, for who waits for it in another way.
    ///
    /// # Errors
    /// Those of `wrap`.
    pub fn wrapped<F: AsFd>(
        self,
        wrap: impl FnOnce(OwnedFd) -> io::Result<F>,
    ) -> io::Result<Socket<F>> {
        Ok(Socket(wrap(self.0)?))
    }

    /// Waits until there is something to receive, the end included. Returns whether there is.
    ///
    /// # Errors
    /// The system's.
    pub fn wait(&self, at_most: Duration) -> io::Result<bool> {
        wait_readable(self.as_fd(), at_most)
    }
}

impl<F: AsFd> Socket<F> {
    /// What the descriptor is wrapped in.
    pub fn inner(&self) -> &F {
        &self.0
    }

    /// Sends one message.
    ///
    /// # Errors
    /// [`PassingError::Size`], [`PassingError::Gone`], or `WouldBlock` if the socket does not block.
    pub fn send(&self, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<(), PassingError> {
        // Nothing is told apart from the end by the one who receives.
        if bytes.is_empty() || bytes.len() > MAX_BYTES || fds.len() > MAX_FDS {
            return Err(PassingError::Size {
                bytes: bytes.len(),
                fds: fds.len(),
            });
        }
        loop {
            let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MAX_FDS))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            if !fds.is_empty() {
                let fits = control.push(SendAncillaryMessage::ScmRights(fds));
                debug_assert!(fits, "there is space for MAX_FDS");
            }
            // A peer that is gone is an error to handle, not a signal to die of.
            let flags = SendFlags::NOSIGNAL;
            match rustix::net::sendmsg(&self.0, &[IoSlice::new(bytes)], &mut control, flags) {
                Err(Errno::INTR) => {}
                sent => return Ok(sent.map(|_| ())?),
            }
        }
    }

    /// Waits for the next message. `None`: the other end is closed, and all that it had sent is read.
    ///
    /// # Errors
    /// [`PassingError::LongFrame`], [`PassingError::LostFds`]: that message is lost, the next one is not.
    /// `WouldBlock` if the socket does not block.
    pub fn receive(&self) -> Result<Option<Frame>, PassingError> {
        let mut bytes = vec![0; MAX_BYTES];
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MAX_FDS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let message = loop {
            let mut into = [IoSliceMut::new(&mut bytes)];
            let flags = RecvFlags::CMSG_CLOEXEC;
            match rustix::net::recvmsg(&self.0, &mut into, &mut control, flags) {
                Err(Errno::INTR) => {}
                // It is gone, and has not read all that it was sent.
                Err(Errno::CONNRESET) => return Ok(None),
                received => break received?,
            }
        };
        // What was received is taken first: then an error closes it.
        let fds: Vec<OwnedFd> = control
            .drain()
            .filter_map(|part| match part {
                RecvAncillaryMessage::ScmRights(fds) => Some(fds),
                _ => None,
            })
            .flatten()
            .collect();
        // The space is aligned, so one or two more may have had room.
        if message.flags.contains(ReturnFlags::CTRUNC) || fds.len() > MAX_FDS {
            return Err(PassingError::LostFds);
        }
        if message.flags.contains(ReturnFlags::TRUNC) {
            return Err(PassingError::LongFrame);
        }
        if message.bytes == 0 {
            return Ok(None);
        }
        bytes.truncate(message.bytes);
        Ok(Some(Frame { bytes, fds }))
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl From<OwnedFd> for Socket {
    /// `fd` is one end of a [`Socket::pair`] that was passed here.
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}

impl From<Socket> for OwnedFd {
    fn from(socket: Socket) -> Self {
        socket.0
    }
}

/// Waits until there is something to read from `fd`, or its other side is gone.
///
/// # Errors
/// The system's.
pub fn wait_readable(fd: BorrowedFd<'_>, at_most: Duration) -> io::Result<bool> {
    let limit = Timespec::try_from(at_most).map_err(|_| Errno::INVAL)?;
    let mut asked = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
    match rustix::event::poll(&mut asked, Some(&limit)) {
        Ok(ready) => Ok(ready > 0),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn carries_bytes_and_descriptors() {
        let (one, other) = Socket::pair().expect("pair");
        let (read, write) = rustix::pipe::pipe().expect("pipe");
        one.send(b"hello", &[read.as_fd(), write.as_fd()])
            .expect("send");
        let frame = other.receive().expect("receive").expect("not the end");
        assert_eq!(frame.bytes, b"hello");
        assert_eq!(frame.fds.len(), 2);
        rustix::io::write(&frame.fds[1], b"x").expect("write");
        let mut byte = [0];
        rustix::io::read(&read, &mut byte).expect("read");
        assert_eq!(&byte, b"x");
        for fd in &frame.fds {
            let flags = rustix::io::fcntl_getfd(fd).expect("flags");
            assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
        }
    }

    #[test]
    fn tells_the_end_after_the_last_message() {
        let (one, other) = Socket::pair().expect("pair");
        one.send(b"last", &[]).expect("send");
        drop(one);
        assert!(other.wait(Duration::ZERO).expect("wait"));
        assert_eq!(
            other.receive().expect("receive").expect("last").bytes,
            b"last"
        );
        assert!(other.receive().expect("receive").is_none());
        assert!(matches!(other.send(b"x", &[]), Err(PassingError::Gone)));
    }

    #[test]
    fn a_peer_that_has_not_read_all_is_gone_all_the_same() {
        let (one, other) = Socket::pair().expect("pair");
        other.send(b"unread", &[]).expect("send");
        drop(one);
        assert!(other.receive().expect("receive").is_none());
    }

    #[test]
    fn refuses_what_is_too_much_or_nothing() {
        let (one, _other) = Socket::pair().expect("pair");
        for bytes in [&[][..], &[0; MAX_BYTES + 1]] {
            assert!(matches!(
                one.send(bytes, &[]),
                Err(PassingError::Size { .. })
            ));
        }
        let fds = [one.as_fd(); MAX_FDS + 1];
        assert!(matches!(
            one.send(b"x", &fds),
            Err(PassingError::Size { .. })
        ));
    }

    #[test]
    fn too_many_descriptors_are_an_error_and_closed() {
        let (one, other) = Socket::pair().expect("pair");
        let (read, write) = rustix::pipe::pipe().expect("pipe");
        for many in [MAX_FDS + 1, MAX_FDS * 2] {
            too_many(&one, &write, many);
            one.send(b"next", &[]).expect("send");
            assert!(matches!(other.receive(), Err(PassingError::LostFds)));
            let next = other.receive().expect("receive").expect("next");
            assert_eq!(next.bytes, b"next");
        }
        drop(write);
        // All copies are closed: the pipe is at its end.
        assert_eq!(rustix::io::read(&read, &mut [0; 1]).expect("read"), 0);
    }

    fn too_many(to: &Socket, fd: &OwnedFd, many: usize) {
        let fds = vec![fd.as_fd(); many];
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MAX_FDS * 2))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        assert!(control.push(SendAncillaryMessage::ScmRights(&fds)));
        let bytes = [IoSlice::new(b"x")];
        rustix::net::sendmsg(to, &bytes, &mut control, SendFlags::NOSIGNAL).expect("send");
    }

    #[test]
    fn a_long_message_is_an_error() {
        let (one, other) = Socket::pair().expect("pair");
        rustix::net::send(&one, &[0; MAX_BYTES + 1], SendFlags::NOSIGNAL).expect("send");
        assert!(matches!(other.receive(), Err(PassingError::LongFrame)));
        assert!(one.as_fd().as_raw_fd() > 2);
    }
}
