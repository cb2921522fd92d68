//! Commands in pipes whose other end is gone: `holm schema | head`.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Output, Stdio};
use std::sync::Arc;

use anyhow::ensure;
use libtest_mimic::Trial;
use tokio::process::Command;

use crate::harness::{World, program};

const SIGPIPE: i32 = 13;

const CONFIG: &str = "version = 1\n[functions.a]\nmain = \"a.js\"\nroutes = [\"a.test\"]\n";
const WORKER: &str = "export default { fetch() { return new Response(); } };\n";

pub(super) fn trials(world: &Arc<World>) -> Vec<Trial> {
    vec![
        world.trial("pipes::nobody_reads_the_result", async |_| results().await),
        world.trial("pipes::nobody_reads_the_problems", async |_| {
            problems().await
        }),
    ]
}

/// It ends as `cat` does: of SIGPIPE, and without a word.
async fn results() -> anyhow::Result<()> {
    for args in [
        &["schema"][..],
        &["check", "holm.toml"],
        &["check", "holm.toml", "--explain", "http://a.test/"],
        &["new", "b"],
    ] {
        let (_, output) = run(args, |command, gone| command.stdout(gone)).await?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(said.is_empty(), "{args:?}: {said}");
        let signal = output.status.signal();
        ensure!(signal == Some(SIGPIPE), "{args:?}: {}", output.status);
    }
    // The result is there, whether or not anybody wanted to hear of it.
    let (folder, _) = run(&["new", "b"], |command, gone| command.stdout(gone)).await?;
    ensure!(folder.path().join("b/index.js").exists());
    Ok(())
}

/// The exit code says it then.
async fn problems() -> anyhow::Result<()> {
    for (args, code) in [
        (&["check", "missing.toml"][..], 2),
        (&["check", "broken.toml"], 3),
        (&["new", "a.js"], 1),
        (&["serve", "missing.toml"], 2),
    ] {
        let (_, output) = run(args, |command, gone| command.stderr(gone)).await?;
        let seen = output.status.code();
        ensure!(seen == Some(code), "{args:?}: {}", output.status);
    }
    Ok(())
}

/// Runs the program with a pipe that has no reader.
async fn run(
    args: &[&str],
    connect: impl FnOnce(&mut Command, Stdio) -> &mut Command,
) -> anyhow::Result<(tempfile::TempDir, Output)> {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("a.js"), WORKER)?;
    std::fs::write(folder.path().join("holm.toml"), CONFIG)?;
    let broken = CONFIG.replace("a.js", "broken.js");
    std::fs::write(folder.path().join("broken.toml"), broken)?;
    std::fs::write(folder.path().join("broken.js"), "throw 1")?;
    let (reader, writer) = std::io::pipe()?;
    drop(reader);
    let mut command = Command::new(program::holm());
    command
        .args(args)
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    connect(&mut command, writer.into());
    // `output()` would take both ends for itself.
    let output = command.spawn()?.wait_with_output().await?;
    Ok((folder, output))
}
