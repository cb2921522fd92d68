//! The program, executed anew by itself: a process that others are forked from, to do what may go
//! wrong. It has one thread and starts nothing: no log, no V8, no runtime.
//!
//! What is forked from it compiles one script, behind the sandbox, and ends.

use std::fs::OpenOptions;
use std::io::Read;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use holm_process::sandbox::Limits;
use holm_process::sandbox::Mode;
use holm_process::sandbox::Sandbox;
use holm_process::zygote::Child;
use holm_process::zygote::Zygote;

/// The only argument of the program when it is a zygote. No command is called like that.
pub(crate) const ARGUMENT: &str = "--zygote";

/// Private memory that compiling a script may take, its stack of 512 MiB included: what swc
/// needs for the largest script that is allowed, and more.
const MEMORY: u64 = 3 << 30;

/// The same, for people.
pub(crate) const MEMORY_SHOWN: &str = "3 GiB";

/// Descriptors that it may have: the three standard ones, its socket, and some to spare.
const FILES: u64 = 16;

/// Whether the program was started to be a zygote.
pub(crate) fn is_meant() -> bool {
    let mut arguments = std::env::args_os().skip(1);
    arguments.next().is_some_and(|first| first == ARGUMENT) && arguments.next().is_none()
}

/// Forks as the node says, until the node is gone.
pub(crate) fn run() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: not started by a node of Holm: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> Result<(), Box<dyn std::error::Error>> {
    let zygote = Zygote::enter()?;
    // What a compiler says when it dies is for nobody's log; the node says what matters.
    let nowhere = OpenOptions::new().write(true).open("/dev/null")?;
    let sandbox = Sandbox::build(Mode::Auto)?;
    zygote.announce(&sandbox)?;
    zygote.serve(move |child| compile(child, &sandbox, nowhere.into()))?;
    Ok(())
}

/// The life of a forked process.
fn compile(child: Child, sandbox: &Sandbox, nowhere: OwnedFd) {
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
