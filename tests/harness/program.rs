//! The built program: running it to its end, and signals.

use std::ffi::OsString;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::process::Command;

/// How long a command of the program other than `serve` and `dev` may take. `holm check` compiles
/// functions in a debug build on a busy machine, so this is generous.
const RUN_DEADLINE: Duration = Duration::from_secs(60);

/// Time between two looks at another process.
const LOOK: Duration = Duration::from_millis(5);

/// Looks after which what is waited for will not happen.
const LOOKS: usize = 4_000;

/// Names another program to test, such as a release build.
const OTHER: &str = "HOLM_PROGRAM";

/// The program under test.
pub(crate) fn holm() -> OsString {
    std::env::var_os(OTHER).unwrap_or_else(|| env!("CARGO_BIN_EXE_holm").into())
}

/// What a finished run left behind.
#[derive(Debug)]
pub(crate) struct Finished {
    /// Exit status.
    pub(crate) status: ExitStatus,
    /// All of stdout.
    pub(crate) stdout: String,
    /// All of stderr.
    pub(crate) stderr: String,
}

/// Runs `holm ARGS` in `folder` to its end.
pub(crate) async fn run(folder: &Path, args: &[String]) -> anyhow::Result<Finished> {
    let holm = holm();
    let child = Command::new(&holm)
        .args(args)
        .current_dir(folder)
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot start {}", holm.display()))?;
    let Ok(output) = tokio::time::timeout(RUN_DEADLINE, child.wait_with_output()).await else {
        bail!(
            "`holm {}` still runs after {RUN_DEADLINE:?}",
            args.join(" ")
        );
    };
    let output = output?;
    Ok(Finished {
        status: output.status,
        stdout: String::from_utf8(output.stdout).context("stdout is not UTF-8")?,
        stderr: String::from_utf8(output.stderr).context("stderr is not UTF-8")?,
    })
}

/// Sends a signal to one process, by its name without SIG.
///
/// Through kill(1): the standard library has no call for it, and one line of it does not earn a
/// dependency.
pub(crate) async fn signal(pid: u32, name: &str) -> anyhow::Result<()> {
    let status = Command::new("kill")
        .arg(format!("-{name}"))
        .arg(pid.to_string())
        .status()
        .await
        .context("cannot run kill(1)")?;
    if !status.success() {
        bail!("kill -{name} {pid}: {status}");
    }
    Ok(())
}

/// Soft and hard limit of a process's open files.
pub(crate) fn file_limits(pid: u32) -> anyhow::Result<(String, String)> {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits"))?;
    let files = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))
        .with_context(|| limits.clone())?;
    let mut numbers = files.split_whitespace().map(str::to_owned);
    match (numbers.next(), numbers.next()) {
        (Some(soft), Some(hard)) => Ok((soft, hard)),
        _ => bail!("{files}"),
    }
}

/// A field of what the system says of a process's memory, in bytes.
pub(crate) fn memory(pid: u32, field: &str) -> anyhow::Result<u64> {
    let path = format!("/proc/{pid}/status");
    let status = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))
        .and_then(|rest| rest.trim().strip_suffix(" kB"))
        .with_context(|| format!("{path} has no {field}"))?;
    Ok(kib.trim().parse::<u64>()? * 1024)
}

/// CPU time that the threads of this name have had, to the nanosecond. Threads that have ended are
/// not in it.
pub(crate) fn thread_cpu(pid: u32, name: &str) -> anyhow::Result<Duration> {
    cpu_of_threads(pid, |other| other == name)
}

/// The same, of the threads whose names `accept` takes.
pub(crate) fn cpu_of_threads(pid: u32, accept: impl Fn(&str) -> bool) -> anyhow::Result<Duration> {
    let mut all = Duration::ZERO;
    for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let folder = thread?.path();
        // Other threads may end while they are looked at.
        let other = std::fs::read_to_string(folder.join("comm"));
        if !other.is_ok_and(|other| accept(other.trim_end())) {
            continue;
        }
        let Ok(stat) = std::fs::read_to_string(folder.join("schedstat")) else {
            continue;
        };
        let nanos = stat.split_whitespace().next().unwrap_or_default();
        let nanos = nanos
            .parse()
            .with_context(|| format!("schedstat: {stat}"))?;
        all += Duration::from_nanos(nanos);
    }
    Ok(all)
}

/// Looks until there is something to see; the system tells nobody when another process changes.
pub(crate) async fn until<T>(
    mut look: impl FnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<Option<T>> {
    for _ in 0..LOOKS {
        let seen = look()?;
        if seen.is_some() {
            return Ok(seen);
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(None)
}
