//! Real processes: an edge, its zygote, templates and cells.
//!
//! Whoever forks has to be the only thread, and a test harness never is. So this program is three: with
//! no argument of its own the harness, which runs each scenario in a process that plays the edge
//! (`edge NAME`), and which starts a zygote of its own (`zygote …`).

mod acts;
mod node;
mod scenarios;
mod zygote;

use std::process::Command;
use std::process::ExitCode;
use std::process::Stdio;

use libtest_mimic::Arguments;
use libtest_mimic::Failed;
use libtest_mimic::Trial;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .as_slice()
    {
        ["zygote", how @ ..] => zygote::run(how),
        ["edge", name] => {
            let (_, scenario) = scenarios::ALL
                .iter()
                .find(|(known, _)| known == name)
                .expect("a scenario of this name");
            scenario();
            ExitCode::SUCCESS
        }
        _ => harness(),
    }
}

fn harness() -> ExitCode {
    let trials = scenarios::ALL
        .iter()
        .filter(|(name, _)| !name.starts_with("inner::"))
        .flat_map(|(name, _)| {
            // Most of Holm's users are not root, and much is different for them.
            let nobody = rustix::process::getuid().is_root() && scenarios::FOR_ALL.contains(name);
            let own = Trial::test(*name, || play(name, false));
            let theirs =
                nobody.then(|| Trial::test(format!("{name}::as_nobody"), || play(name, true)));
            [Some(own), theirs].into_iter().flatten()
        })
        .collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// Runs one scenario in a process of its own.
fn play(name: &str, as_nobody: bool) -> Result<(), Failed> {
    let mut edge = Command::new("/proc/self/exe");
    edge.args(["edge", name]).stdin(Stdio::null());
    if as_nobody {
        use std::os::unix::process::CommandExt;
        edge.gid(65_534).uid(65_534);
    }
    let output = edge.output()?;
    if output.status.success() {
        // What could not be tried here is worth a line.
        let said = String::from_utf8_lossy(&output.stderr);
        for line in said.lines().filter(|line| line.starts_with("skipped")) {
            eprintln!("{name}: {line}");
        }
        return Ok(());
    }
    Err(format!(
        "{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    )
    .into())
}
