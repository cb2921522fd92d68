//! What a command that fails tells the person and the script that ran it.

use std::io;
use std::io::IsTerminal;
use std::io::stderr;
use std::net::SocketAddr;
use std::process::ExitCode;

use holm_model::visible::visible;

use super::new::NewError;
use super::print;
use crate::admin::AdminError;
use crate::admin::client::AskError;
use crate::app::FunctionProblem;
use crate::app::ListenError;
use crate::app::NodeError;
use crate::config::ExplainError;
use crate::config::LocalCaError;
use crate::config::Problems;
use crate::secret::Unreadable;
use crate::upgrade::HeirError;

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
    /// It was to take the place of another node.
    #[error(transparent)]
    Heir(#[from] HeirError),
    /// The service manager has passed what there is not.
    #[error("LISTEN_FDS: {0}")]
    Given(#[source] io::Error),
    /// Whoever has started it has been told why, and says so.
    #[error("the node that goes on says why")]
    Told(u8),
    /// An address cannot be had.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The admin address cannot be had.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// A node cannot be asked.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// The token for it cannot be had.
    #[error("HOLM_ADMIN_TOKEN: {0}")]
    Token(#[from] Unreadable),
    /// The system has nothing to ask it with.
    #[error("cannot connect to a node: {0}")]
    Client(#[source] io::Error),
    /// It was asked to load its configuration anew, which has problems.
    #[error("not all of the configuration is served")]
    NotReloaded {
        /// As `holm check` prints them.
        problems: String,
        /// The exit code that `holm check` has for them.
        code: u8,
    },
    /// No function answers a URL. That has been said, as the result that was asked for.
    #[error("no function answers it")]
    Nowhere,
    /// Nobody took the end of the log: so many lines.
    #[error("{0} lines of the log could not be written: nobody reads it")]
    Unwritten(usize),
    /// The node does not start.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// What `holm check --explain` was given is no URL of a request.
    #[error(transparent)]
    Explain(#[from] ExplainError),
    /// A function to start from cannot be written.
    #[error(transparent)]
    New(#[from] NewError),
    /// The system gives no thread to reload on.
    #[error("cannot start the thread that reloads: {0}")]
    ReloadThread(#[source] io::Error),
    /// The system gives no thread to upgrade on.
    #[error("cannot start the thread that upgrades: {0}")]
    UpgradeThread(#[source] io::Error),
    /// It was asked to have another process take its place, and goes on.
    #[error("not upgraded")]
    NotUpgraded {
        /// A line for each.
        problems: String,
        /// As `holm check` has it, for what is wrong with the configuration.
        code: u8,
    },
    /// Signals cannot be heard.
    #[error("cannot listen for signals: {0}")]
    Signals(#[source] io::Error),
    /// The listener broke.
    #[error("cannot serve on {address}: {source}")]
    Serve {
        /// Where it listened.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// There is no certificate for this machine.
    #[error(transparent)]
    LocalCa(#[from] LocalCaError),
    /// The result cannot be printed.
    #[error("cannot write to stdout: {0}")]
    Stdout(#[source] io::Error),
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
            Self::NotReloaded { problems, .. } | Self::NotUpgraded { problems, .. } => {
                print::err(&visible(&format!("{}\n", problems.trim_end())));
            }
            Self::Listen(_)
            | Self::Heir(_)
            | Self::Given(_)
            | Self::Admin(_)
            | Self::Ask(_)
            | Self::Token(_)
            | Self::Client(_)
            | Self::Node(_)
            | Self::Explain(_)
            | Self::New(_)
            | Self::ReloadThread(_)
            | Self::UpgradeThread(_)
            | Self::Signals(_)
            | Self::Serve { .. }
            | Self::LocalCa(_)
            | Self::Stdout(_) => {
                print::err(&visible(&format!("error: {self}\n")));
            }
            // The log has tried, and stderr would keep the process waiting for ever.
            Self::Unwritten(_) => {}
            Self::Nowhere | Self::Told(_) => {}
        }
    }

    /// The same, a line for each problem.
    pub(super) fn lines(&self) -> Vec<String> {
        match self {
            Self::Config(problems) => problems.lines().collect(),
            Self::Functions(problems) => problems.iter().map(ToString::to_string).collect(),
            other => vec![other.to_string()],
        }
    }

    /// The code that scripts tell it by.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code())
    }

    /// The same, as a number.
    pub(super) fn code(&self) -> u8 {
        match self {
            Self::NotReloaded { code, .. } | Self::NotUpgraded { code, .. } | Self::Told(code) => {
                *code
            }
            Self::Heir(_)
            | Self::Given(_)
            | Self::UpgradeThread(_)
            | Self::Nowhere
            | Self::Unwritten(_)
            | Self::Ask(_)
            | Self::Token(_)
            | Self::Client(_)
            | Self::Node(_)
            | Self::Explain(_)
            | Self::New(_)
            | Self::ReloadThread(_)
            | Self::Signals(_)
            | Self::Serve { .. }
            | Self::LocalCa(_)
            | Self::Stdout(_) => 1,
            Self::Config(_) => 2,
            Self::Functions(_) => 3,
            Self::Listen(_) | Self::Admin(_) => 4,
        }
    }
}
