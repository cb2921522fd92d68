//! Processes that compile scripts: one for each, forked and killed.

use std::io;
use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use holm_cell::COMPILER_MEMORY;
use holm_graph::Elsewhere;
use holm_graph::Unanswered;
use holm_model::message::Purpose;
use holm_process::schedule;
use holm_runtime::fork::zygote::Zygote;
use tokio::runtime::Handle;

/// How long one script may take, on a debug build and a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where scripts are compiled: processes forked from the zygote, one for each.
#[derive(Debug)]
pub(super) struct Compilers {
    zygote: Zygote,
    io: Handle,
    /// Requests are served meanwhile, and go first.
    is_serving: bool,
}

impl Compilers {
    /// Forks from `zygote`, whose answers are read on `io`.
    pub(super) fn new(zygote: Zygote, io: Handle, is_serving: bool) -> Self {
        Self {
            zygote,
            io,
            is_serving,
        }
    }
}

impl Elsewhere for Compilers {
    fn answer(&self, request: &[u8]) -> Result<Vec<u8>, Unanswered> {
        let no_process = |error: &dyn std::fmt::Display| Unanswered::NoProcess(error.to_string());
        let (mut ours, theirs) = UnixStream::pair().map_err(|error| no_process(&error))?;
        // Given away, or its end would not be the stream's.
        let fds = [theirs.into()];
        let forked = self.zygote.fork(Purpose::Compiler, "compiler", &fds);
        let process = self.io.block_on(forked);
        let process = process.map_err(|error| no_process(&error))?;
        drop(fds);
        if self.is_serving {
            schedule::stand_back(process.pid());
        }
        let answer = exchange(&mut ours, request);
        // It is killed here, whatever it still does.
        drop(process);
        match answer {
            Ok(answer) if !answer.is_empty() => Ok(answer),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(Unanswered::Late {
                seconds: PATIENCE.as_secs(),
            }),
            Ok(_) | Err(_) => Err(Unanswered::Died {
                memory: COMPILER_MEMORY,
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
