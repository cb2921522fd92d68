//! Runs the `[[run]]`s of a case: the program itself, to its end.

use std::path::Path;

use anyhow::{Context as _, bail};
use serde_json::json;

use super::bless::{self, Place};
use super::case::{CaseFile, Run};
use super::compare::{self, Mismatch};
use super::program::{self, Finished};
use super::step;
use super::world::World;

/// Runs every `[[run]]` of the case in one private copy of its folder.
pub(crate) async fn run_all(world: &World, file: &CaseFile) -> anyhow::Result<()> {
    let names = step::names(world, None);
    let case = file.case(&names)?;
    let folder = tempfile::tempdir().context("no temporary folder")?;
    // The program prints real paths; a temporary folder may lie behind a symbolic link.
    let folder_path = folder.path().canonicalize()?;
    copy_folder(&file.folder, &folder_path)?;
    let mut failures = Vec::new();
    for (index, run) in case.runs.iter().enumerate() {
        let label = format!("run {} (holm {})", index + 1, run.args.join(" "));
        let finished = program::run(&folder_path, &run.args)
            .await
            .context(label.clone())?;
        let found = compare_run(world, file, run, &finished, &folder_path)?;
        let found = if found.is_empty() || !world.bless() {
            found
        } else {
            bless::rewrite(&file.path, Place::Run(index), found, &names)?
        };
        failures.extend(
            found
                .into_iter()
                .map(|mismatch| format!("{label}: {}", mismatch.text)),
        );
    }
    if failures.is_empty() {
        Ok(())
    } else {
        bail!("{}", failures.join("\n"))
    }
}

fn compare_run(
    world: &World,
    file: &CaseFile,
    run: &Run,
    finished: &Finished,
    folder: &Path,
) -> anyhow::Result<Vec<Mismatch>> {
    let mut found = Vec::new();
    // A signal is never what a case expects, so it gets a number that none can name.
    let exit = finished.status.code().unwrap_or(-1);
    if exit != run.exit {
        found.push(Mismatch::equal(&["exit"], &json!(run.exit), json!(exit)));
        found.push(Mismatch::plain(
            &["exit"],
            format!("stdout:\n{}\nstderr:\n{}", finished.stdout, finished.stderr),
        ));
    }
    let stdout = normalise(&finished.stdout, folder);
    let stderr = normalise(&finished.stderr, folder);
    compare::contains("stdout_contains", &run.stdout_contains, &stdout, &mut found);
    compare::lacks("stdout_lacks", &run.stdout_lacks, &stdout, &mut found);
    compare::contains("stderr_contains", &run.stderr_contains, &stderr, &mut found);
    compare::lacks("stderr_lacks", &run.stderr_lacks, &stderr, &mut found);
    // A panic of the program is a failure whatever else a case says.
    compare::lacks("stderr", &["panicked at".to_owned()], &stderr, &mut found);
    for (key, snapshot, text) in [
        ("stdout", &run.stdout, &stdout),
        ("stderr", &run.stderr, &stderr),
    ] {
        if let Some(name) = snapshot {
            found.extend(compare_snapshot(world, key, &file.folder.join(name), text)?);
        }
    }
    if run.stdout_json
        && let Err(error) = serde_json::from_str::<serde_json::Value>(&finished.stdout)
    {
        found.push(Mismatch::plain(
            &["stdout_json"],
            format!("no JSON document: {error}"),
        ));
    }
    for name in run.exists.iter().filter(|name| !folder.join(name).exists()) {
        found.push(Mismatch::plain(&["exists"], format!("there is no {name}")));
    }
    Ok(found)
}

fn compare_snapshot(
    world: &World,
    key: &str,
    file: &Path,
    text: &str,
) -> anyhow::Result<Option<Mismatch>> {
    if world.bless() {
        std::fs::write(file, text)?;
        return Ok(None);
    }
    let expected = std::fs::read_to_string(file)
        .with_context(|| format!("no snapshot {}; BLESS=1 writes it", file.display()))?;
    Ok((expected != text).then(|| {
        let text = format!("differs from {}:\n--- seen\n{text}---", file.display());
        Mismatch::plain(&[key], text)
    }))
}

/// Takes out what differs from run to run: where the folder lies, and blanks at line ends.
fn normalise(text: &str, folder: &Path) -> String {
    let text = text.replace(&folder.display().to_string(), "[DIR]");
    text.lines()
        .fold(String::new(), |all, line| all + line.trim_end() + "\n")
}

fn copy_folder(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
