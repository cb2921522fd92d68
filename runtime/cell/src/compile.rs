//! A process that compiles one script, behind the sandbox, and ends.

use std::io::Read;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use holm_process::sandbox::Limits;
use holm_process::sandbox::Sandbox;
use holm_process::zygote::Child;

/// Private memory that compiling a script may take, its stack of 512 MiB included: what swc
/// needs for the largest script that is allowed, and more.
const MEMORY: u64 = 3 << 30;

/// The same, for people.
pub const MEMORY_SHOWN: &str = "3 GiB";

/// Descriptors that it may have: the three standard ones, its socket, and some to spare.
const FILES: u64 = 16;

/// The life of the process. What it says when it dies is for nobody's log and goes to `nowhere`; the node says
/// what matters.
pub(crate) fn live(child: Child, sandbox: &Sandbox, nowhere: OwnedFd) -> ! {
    let _ = rustix::stdio::dup2_stderr(&nowhere);
    drop(nowhere);
    let limits = Limits {
        data: MEMORY,
        files: FILES,
    };
    let answered = child.into_cell(sandbox, limits).and_then(|mut fds| {
        let mut stream = fds.pop().map(UnixStream::from);
        let Some(stream) = &mut stream else {
            return Ok(());
        };
        let mut request = Vec::new();
        stream.read_to_end(&mut request)?;
        stream.write_all(&holm_graph::answer(&request)?)
    });
    holm_process::exit(i32::from(answered.is_err()))
}
