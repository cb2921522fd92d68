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

/// Shows a page on a terminal in place of the one before, its first line in bold where `colour` says so. The text
/// has nothing in it that a terminal would obey.
///
/// # Errors
/// It cannot be written.
pub(super) fn screen(page: &str, colour: bool) -> Result<(), Failure> {
    let (first, rest) = page.split_once('\n').unwrap_or((page, ""));
    let (bold, plain) = if colour {
        ("\x1b[1m", "\x1b[0m")
    } else {
        ("", "")
    };
    // To the top, and what is below it away (ECMA-48: CUP, ED).
    let page = format!("\x1b[H\x1b[2J{bold}{first}{plain}\n{rest}");
    let mut stdout = stdout().lock();
    let written = stdout.write_all(page.as_bytes());
    written
        .and_then(|()| stdout.flush())
        .map_err(Failure::Stdout)
}

/// Says what is wrong. If nobody reads it, the exit code has to do.
pub(super) fn err(text: &str) {
    let _ = stderr().write_all(text.as_bytes());
}
