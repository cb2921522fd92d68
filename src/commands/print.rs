//! What a command says, to a person or to the next program of a pipe.

use std::io::ErrorKind;
use std::io::Write;
use std::io::stderr;
use std::io::stdout;

use holm_model::visible::visible;
use signal_hook::consts::SIGPIPE;
use signal_hook::low_level::emulate_default_handler;

use super::Failure;

/// Prints the result of a command. If nobody wants it, the process ends as other tools do.
///
/// # Errors
/// It cannot be written.
pub(super) fn out(text: &str) -> Result<(), Failure> {
    let mut stdout = stdout().lock();
    let written = stdout.write_all(visible(text).as_bytes());
    match written.and_then(|()| stdout.flush()) {
        Ok(()) => Ok(()),
        Err(error) => {
            if error.kind() == ErrorKind::BrokenPipe {
                // Rust has it ignored, so that sockets give errors. It ends the process.
                let _ = emulate_default_handler(SIGPIPE);
            }
            Err(Failure::Stdout(error))
        }
    }
}

/// Says what is wrong. If nobody reads it, the exit code has to do.
pub(super) fn err(text: &str) {
    let _ = stderr().write_all(text.as_bytes());
}
