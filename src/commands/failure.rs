//! What a command that fails tells the person and the script that ran it.

use std::io::IsTerminal;
use std::io::stderr;
use std::process::ExitCode;

use holm_runtime::visible::visible;

use super::print;
use crate::app::FunctionProblem;
use crate::config::Problems;

/// Exit code of a server that a second signal ended at once.
pub(super) const CUT_SHORT: u8 = 5;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The configuration is wrong.
    #[error("the configuration has problems")]
    Config(Problems),
    /// Functions do not start.
    #[error("functions do not start")]
    Functions(Vec<FunctionProblem>),
    /// An address cannot be had.
    #[error(transparent)]
    Listen(#[from] holm_router::BindError),
    /// No function answers a URL. That has been said, as the result that was asked for.
    #[error("no function answers it")]
    Nowhere,
    /// Nobody took the end of the log: so many lines.
    #[error("{0} lines of the log could not be written: nobody reads it")]
    Unwritten(usize),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        Self::Config(problems)
    }
}

impl Failure {
    /// Prints it to stderr.
    pub(crate) fn print(&self) {
        let colour = stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        match self {
            Self::Config(problems) => {
                let width = stderr().is_terminal().then_some(100);
                print::err(&problems.render(colour, width));
            }
            Self::Functions(problems) => {
                for problem in problems {
                    print::err(&visible(&format!("error: {problem}\n\n")));
                }
            }
            Self::Listen(_) | Self::Other(_) => {
                print::err(&visible(&format!("error: {self}\n")));
            }
            // The log has tried, and stderr would keep the process waiting for ever.
            Self::Unwritten(_) => {}
            Self::Nowhere => {}
        }
    }

    /// The code that scripts tell it by.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Nowhere | Self::Unwritten(_) | Self::Other(_) => 1,
            Self::Config(_) => 2,
            Self::Functions(_) => 3,
            Self::Listen(_) => 4,
        })
    }
}
