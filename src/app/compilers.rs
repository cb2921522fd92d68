//! Processes that compile scripts: one for each, forked and killed.

use std::io;
use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use holm_graph::Elsewhere;
use holm_graph::Unanswered;
use holm_model::message::Purpose;
use holm_process::lifeline::Anchor;
use holm_process::spawn;
use holm_process::spawn::Process;
use holm_process::spawn::SpawnError;
use holm_process::spawn::ZygoteProcess;

use crate::zygote;

/// How long a zygote may take to be ready.
const READY: Duration = Duration::from_secs(10);

/// How long one script may take, on a debug build and a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where scripts are compiled: a zygote, and what is forked from it. All of them end with this
/// process.
#[derive(Debug)]
pub(super) struct Compilers {
    anchor: Anchor,
    zygote: Mutex<ZygoteProcess>,
}

impl Compilers {
    /// Starts the zygote.
    ///
    /// # Errors
    /// The system does not let it.
    pub(super) fn start() -> Result<Self, SpawnError> {
        let anchor = Anchor::new()?;
        let zygote = Mutex::new(start(&anchor)?);
        Ok(Self { anchor, zygote })
    }

    /// A process, with the other end of `theirs`. A zygote that is gone is replaced.
    fn fork(&self, theirs: &UnixStream) -> Result<Process, SpawnError> {
        let mut zygote = self.zygote.lock().unwrap_or_else(PoisonError::into_inner);
        let fds = [theirs.as_fd()];
        match spawn::fork(
            zygote.control(),
            &self.anchor,
            Purpose::Compiler as u8,
            "compiler",
            &fds,
        ) {
            Err(SpawnError::Gone | SpawnError::Passing(_)) => {
                *zygote = start(&self.anchor)?;
                spawn::fork(
                    zygote.control(),
                    &self.anchor,
                    Purpose::Compiler as u8,
                    "compiler",
                    &fds,
                )
            }
            outcome => outcome,
        }
    }
}

fn start(anchor: &Anchor) -> Result<ZygoteProcess, SpawnError> {
    let zygote = spawn::spawn(anchor, [zygote::ARGUMENT], &[])?;
    let layers = zygote.ready(READY)?;
    tracing::debug!(sandbox = %layers, "scripts are compiled in processes of their own");
    Ok(zygote)
}

impl Elsewhere for Compilers {
    fn answer(&self, request: &[u8]) -> Result<Vec<u8>, Unanswered> {
        let no_process = |error: &dyn std::fmt::Display| Unanswered::NoProcess(error.to_string());
        let (mut ours, theirs) = UnixStream::pair().map_err(|error| no_process(&error))?;
        let process = self.fork(&theirs).map_err(|error| no_process(&error))?;
        // Else its end would not be the stream's.
        drop(theirs);
        let answer = exchange(&mut ours, request);
        // It is killed here, whatever it still does.
        drop(process);
        match answer {
            Ok(answer) if !answer.is_empty() => Ok(answer),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(Unanswered::Late {
                seconds: PATIENCE.as_secs(),
            }),
            Ok(_) | Err(_) => Err(Unanswered::Died {
                memory: zygote::MEMORY_SHOWN,
            }),
        }
    }
}

fn exchange(stream: &mut UnixStream, request: &[u8]) -> io::Result<Vec<u8>> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(request)?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer)
}
