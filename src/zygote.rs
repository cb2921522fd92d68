//! The program, executed anew by itself: the process that others are forked from, to run what may go
//! wrong (`holm-cell`).

use std::process::ExitCode;

use holm_runtime::fork::zygote::ARGUMENT;

/// Whether the program was started to be a zygote.
pub(crate) fn is_meant() -> bool {
    let mut arguments = std::env::args_os().skip(1);
    arguments.next().is_some_and(|first| first == ARGUMENT) && arguments.next().is_none()
}

/// Forks as the node says, until the node is gone.
pub(crate) fn run() -> ExitCode {
    holm_cell::zygote::run()
}
