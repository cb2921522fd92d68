//! The command line.

#![allow(rustdoc::bare_urls, reason = "the comments are what --help prints")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use clap::Subcommand;

use crate::app::Mode;
use crate::commands;
use crate::commands::admin::Which;

const AFTER_HELP: &str = "\
Start with one function:
  holm new hello              writes hello/index.js and hello/holm.toml
  holm dev hello              serves it at http://hello.localhost:8080/, reloads when you save
Then serve many by hostname from one file:
  holm check holm.toml        says everything that is wrong with it, with line and column
  holm serve holm.toml        serves it, and what you change in it; SIGTERM finishes what is running
And see how it does, if the file has `admin = \"127.0.0.1:9090\"` under [server]:
  holm status                 its functions, their isolates, requests and last problems
  holm top                    the same as it happens
And put another version of holm in its place:
  holm upgrade                no connection is refused, no request is lost

Exit codes: 0 done, 1 failed, 2 bad configuration or command line, 3 a function does not
start (check), 4 cannot listen, 5 ended at once by a second signal.";

/// An edge function runtime: requests by hostname, from one file, into V8 isolates.
#[derive(Debug, Parser)]
#[command(name = "holm", version, about, after_help = AFTER_HELP, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the functions of a holm.toml.
    ///
    /// Checks the file, starts every function once, then listens. A function that does not start
    /// answers 500; the others are served. Functions run in processes of their own, which `ps` shows as
    /// `holm: NAME`. What changes in the file, or in those of functions, is served when it is saved, or at
    /// SIGHUP; what does not hold changes nothing, and is logged. SIGTERM or Ctrl-C stops accepting and lets
    /// running requests finish, for at most `server.drain`; a second one ends it at
    /// once. One record per request goes to stderr: readable on a terminal, JSON lines otherwise.
    Serve {
        /// The configuration.
        #[arg(value_name = "FILE", default_value = "holm.toml")]
        file: PathBuf,
        /// For `make bench-limits`: end no isolate for a limit.
        #[arg(long, hide = true)]
        without_limits: bool,
    },
    /// Check a holm.toml and its functions without serving them.
    ///
    /// Says everything that is wrong at once: the file first, then each function: its modules,
    /// its top level, its handler.
    Check {
        /// The configuration.
        #[arg(value_name = "FILE", default_value = "holm.toml")]
        file: PathBuf,
        /// Say which function answers this URL, by which route, and why not another. Exit code 1 if
        /// none does.
        #[arg(long, value_name = "URL")]
        explain: Option<String>,
    },
    /// Show how a node does: its functions, their isolates, requests and last problems.
    ///
    /// Asks the admin listener of a node on this machine: `server.admin` in holm.toml.
    Status {
        #[command(flatten)]
        which: Which,
        /// Print all there is, as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show what each function of a node does, again and again.
    ///
    /// Requests a second, failures, times, CPU (100% is one core) and memory; the busiest first. Where stdout is no
    /// terminal, one interval is measured and printed. Times are estimated from buckets. NO_COLOR is honoured.
    Top {
        #[command(flatten)]
        which: Which,
        /// Seconds between two looks.
        #[arg(long, value_name = "SECONDS", default_value_t = 2.0, value_parser = interval)]
        interval: f64,
    },
    /// Have a node load its configuration anew.
    ///
    /// What is wrong with it is printed as `holm check` does, with its exit codes, and what ran goes on.
    Reload {
        #[command(flatten)]
        which: Which,
    },
    /// Have a node replaced by the program and the file as they are now, without a connection refused.
    ///
    /// The node starts the program anew, from the path and with the arguments that it was started with, and hands it the
    /// listening sockets. Once that is ready, it serves, and the old process finishes what it has begun, for at
    /// most `server.drain`. If it is not ready within `server.upgrade_time`, or a function that answers
    /// does not start in it, the old one goes on, and what was wrong is printed. SIGUSR2 to the node does the
    /// same, and logs it.
    Upgrade {
        #[command(flatten)]
        which: Which,
    },
    /// Print the JSON Schema of holm.toml, for editors.
    Schema,
    /// Serve one function, or a folder of them, and reload when a file is saved.
    ///
    /// Needs no holm.toml; if PATH is a folder that has one, its functions are served, at their own
    /// routes. Otherwise each function answers at http://NAME.localhost:8080/. A single one answers
    /// at http://localhost:8080/ too. What a function throws, and what does not compile, shows in the
    /// browser with the line it happened on.
    Dev {
        /// A script, a function's folder, or a folder of functions.
        #[arg(value_name = "PATH", default_value = ".")]
        path: PathBuf,
        /// Port to listen on, on 127.0.0.1.
        #[arg(long, default_value_t = 8080)]
        port: u16,
        /// Listen for HTTPS too, at port 8443 or this one, with a certificate by an authority of your own.
        /// It is made once, in ~/.local/share/holm; the log says where, for your browser to trust it.
        #[arg(long, value_name = "PORT", num_args = 0..=1, require_equals = true, default_missing_value = "8443")]
        https: Option<u16>,
    },
    /// Write a new function to start from.
    New {
        /// Its name; also the name of its folder.
        #[arg(value_name = "NAME")]
        name: String,
    },
}

/// Seconds that make sense between two looks.
fn interval(text: &str) -> Result<f64, String> {
    let seconds = text
        .parse()
        .ok()
        .filter(|seconds| (0.1..=3_600.0).contains(seconds));
    seconds.ok_or_else(|| "a number of seconds from 0.1 to 3600".to_owned())
}

/// Runs what the command line says.
pub(crate) fn run() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Serve {
            file,
            without_limits,
        } => {
            let mode = if without_limits {
                Mode::WithoutLimits
            } else {
                Mode::Serve
            };
            commands::serve::run(&file, mode)
        }
        Command::Check { file, explain } => match explain {
            Some(url) => commands::check::explain(&file, &url),
            None => commands::check::run(&file),
        },
        Command::Status { which, json } => commands::status::run(&which, json),
        Command::Top { which, interval } => {
            commands::top::run(&which, Duration::from_secs_f64(interval))
        }
        Command::Reload { which } => commands::reload::run(&which),
        Command::Upgrade { which } => commands::upgrade::run(&which),
        Command::Schema => commands::schema::run(),
        Command::Dev { path, port, https } => commands::dev::run(&path, port, https),
        Command::New { name } => commands::new::run(&name),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print();
            failure.exit_code()
        }
    }
}
