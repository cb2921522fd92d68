//! The program started anew, to take the place of this process.
//!
//! The successor is what is at the program's path now, so another version may be. It is a child with this
//! process's arguments, environment, folder and limits, and inherits the standard descriptors and no other.
//! Its standard input is one end of a [`Socket`], over which it is handed whatever it is to have.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;

use rustix::net::SocketType;
use rustix::net::sockopt::socket_type;
use rustix::process::Pid;
use rustix::process::PidfdFlags;
use rustix::process::Signal;

use crate::activation;
use crate::passing::Socket;
use crate::sys;

/// Tells a program that it is a successor.
const VARIABLE: &str = "HOLM_SUCCESSOR";

/// What this process was started as, and can be started as again.
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
}

impl Program {
    /// Of this process. To be asked at its start: what is at the path may be another file later.
    ///
    /// # Errors
    /// There is no `/proc`.
    pub fn of_process() -> io::Result<Self> {
        let arguments: Vec<OsString> = env::args_os().collect();
        // As it was called, if that leads here: a link in its path may lead elsewhere tomorrow, and is
        // followed again.
        let called = arguments.first().and_then(|name| find(Path::new(name)));
        let path = match called.filter(|path| is_this(path)) {
            Some(path) => path,
            None => env::current_exe()?,
        };
        Ok(Self { path, arguments })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Starts it.
    ///
    /// # Errors
    /// It is not there, is no program, or the system has no room for it.
    pub fn start(&self) -> io::Result<Successor> {
        let (control, theirs) = Socket::pair()?;
        let mut arguments = self.arguments.iter();
        let mut command = Command::new(&self.path);
        if let Some(name) = arguments.next() {
            command.arg0(name);
        }
        command
            .args(arguments)
            .env(VARIABLE, "1")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::inherit())
            .stderr(Stdio::inherit());
        for variable in activation::VARIABLES {
            // They are for this process alone.
            command.env_remove(variable);
        }
        sys::inherit_only_stdio(&mut command);
        let mut child = command.spawn()?;
        match rustix::process::pidfd_open(Pid::from_child(&child), PidfdFlags::empty()) {
            Ok(pidfd) => Ok(Successor {
                child,
                pidfd,
                control,
                is_free: false,
            }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(error.into())
            }
        }
    }
}

/// A process that may take the place of this one. Dropping it kills it, unless it was let go.
#[derive(Debug)]
pub struct Successor {
    child: Child,
    pidfd: OwnedFd,
    control: Socket,
    is_free: bool,
}

impl Successor {
    /// Its number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it is spoken to over.
    pub fn control(&self) -> &Socket {
        &self.control
    }

    /// For whoever is to signal it.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Kills it, if it has not ended, and waits for its end.
    ///
    /// # Errors
    /// The system's.
    pub fn end(mut self) -> io::Result<ExitStatus> {
        self.is_free = true;
        self.child.kill()?;
        self.child.wait()
    }

    /// It lives on when this process has ended. What is returned tells it of that end.
    #[must_use = "dropped, it tells of an end"]
    pub fn let_go(mut self) -> io::Result<Socket> {
        self.is_free = true;
        self.control.share()
    }
}

impl Drop for Successor {
    fn drop(&mut self) {
        if !self.is_free {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Asks a process to end. That it has ended already is no error.
///
/// # Errors
/// The system's.
pub fn terminate(process: impl AsFd) -> io::Result<()> {
    signal(process, Signal::TERM)
}

/// Kills a process, as [`terminate`] otherwise.
///
/// # Errors
/// The system's.
pub fn kill(process: impl AsFd) -> io::Result<()> {
    signal(process, Signal::KILL)
}

fn signal(process: impl AsFd, signal: Signal) -> io::Result<()> {
    match rustix::process::pidfd_send_signal(process, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The process that this one is to take the place of, if it was started for that. Takes standard input, which is
/// empty from then on.
///
/// # Errors
/// The environment says so, and standard input is something else.
pub fn predecessor() -> io::Result<Option<Socket>> {
    if env::var_os(VARIABLE).is_none() {
        return Ok(None);
    }
    let input = rustix::stdio::stdin();
    let is_pair = socket_type(input).is_ok_and(|of| of == SocketType::SEQPACKET);
    if !is_pair {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{VARIABLE} is set, and standard input is not from a node"),
        ));
    }
    let control = input.try_clone_to_owned()?;
    rustix::stdio::dup2_stdin(fs::File::open("/dev/null")?)?;
    Ok(Some(Socket::from(control)))
}

/// Where a program called `name` is found.
fn find(name: &Path) -> Option<PathBuf> {
    if name.components().count() > 1 || name.is_absolute() {
        return Some(env::current_dir().ok()?.join(name));
    }
    let folders = env::var_os("PATH")?;
    let mut places = env::split_paths(&folders).map(|folder| folder.join(name));
    places.find(|place| place.is_absolute() && is_this(place))
}

fn is_this(path: &Path) -> bool {
    let of = |path: &Path| fs::metadata(path).map(|found| (found.dev(), found.ino()));
    matches!((of(path), of(Path::new("/proc/self/exe"))), (Ok(one), Ok(other)) if one == other)
}
