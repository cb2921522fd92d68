//! Folders that keys cannot be kept in, and what `holm check` says of certificates that are issued.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::ensure;
use libtest_mimic::Trial;

use super::{WORKER, acme, config};
use crate::harness::tls::Pair;
use crate::harness::{World, program, server};

pub(super) fn trials(world: &Arc<World>) -> Vec<Trial> {
    vec![
        world.trial("acme::keys_are_kept_from_others", async |_| refused().await),
        world.trial("acme::check_tells_of_it", async |_| explained().await),
    ]
}

/// A folder with a configuration whose directory is never asked.
fn folder() -> anyhow::Result<tempfile::TempDir> {
    let own = Pair::new(&["own.test"])?;
    let files = [
        ("worker.js", WORKER),
        ("own.pem", &own.cert),
        ("own.key", &own.key),
    ];
    let acme = acme(&["a.test"], "https://127.0.0.1:1/dir", Path::new("own.pem"));
    server::folder(&config(acme), &files)
}

/// What a command that is refused says.
async fn said(folder: &Path, command: &str) -> anyhow::Result<String> {
    let args = [command.to_owned(), "holm.toml".to_owned()];
    let finished = program::run(folder, &args).await?;
    ensure!(
        finished.status.code() == Some(2),
        "{command}: {}",
        finished.stderr
    );
    Ok(finished.stderr.replace("\n  │", ""))
}

async fn refused() -> anyhow::Result<()> {
    let folder = folder()?;
    let dir = folder.path().join("acme");
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
    fs::create_dir(&dir)?;
    for open in [0o755, 0o750, 0o701] {
        mode(&dir, open)?;
        for command in ["check", "serve"] {
            let said = said(folder.path(), command).await?;
            for part in [
                "`tls.acme.dir`",
                "others may get at",
                "chmod go=",
                "holm.toml:",
            ] {
                ensure!(said.contains(part), "no {part:?} in {said}");
            }
        }
    }
    fs::remove_dir(&dir)?;
    fs::write(&dir, "")?;
    for command in ["check", "serve"] {
        let said = said(folder.path(), command).await?;
        ensure!(said.contains("is not a folder"), "{said}");
    }
    Ok(())
}

async fn explained() -> anyhow::Result<()> {
    let folder = folder()?;
    let check = |args: &[&str]| args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>();
    let finished = program::run(folder.path(), &check(&["check", "holm.toml"])).await?;
    ensure!(finished.status.success(), "{}", finished.stderr);
    for part in [
        "certificates of a.test are issued by https://127.0.0.1:1/dir (tls-alpn-01)",
        "connects to port 443",
    ] {
        ensure!(
            finished.stdout.contains(part),
            "no {part:?}: {}",
            finished.stdout
        );
    }
    let explain = check(&["check", "holm.toml", "--explain", "https://a.test/"]);
    let finished = program::run(folder.path(), &explain).await?;
    let expected = "acme     its certificate is issued by https://127.0.0.1:1/dir";
    ensure!(finished.stdout.contains(expected), "{}", finished.stdout);
    ensure!(
        !folder.path().join("acme").exists(),
        "a check makes nothing"
    );
    Ok(())
}
