//! Many of them, one after the other, under load.

use anyhow::{Context as _, ensure};
use serde_json::Value;

use super::site::{Load, Site, config, says};
use crate::harness::area::table;
use crate::harness::processes::{self, Kind};
use crate::harness::program::{self, until};

/// Reloads of the long test, and every how many one of them is of a bad file.
const RELOADS: usize = 40;
const BAD: usize = 10;

/// What the edge may have more of behind all of them: connections that are about to be closed.
const SPARE_FILES: usize = 8;

/// What all processes may hold more behind all of them, in bytes.
const SPARE_MEMORY: u64 = 24 << 20;

pub(super) async fn many() -> anyhow::Result<()> {
    let mut config = config(&["a", "b", "c"]);
    // Isolates that rest are gone before anybody counts.
    let limits = table([("idle", "200ms".into())]);
    config.insert("limits".to_owned(), limits.into());
    let site = Site::serve_as(&["a", "b", "c"], config).await?;
    let load = Load::on(site.server.address(), "a");
    let good = std::fs::read_to_string(site.path("holm.toml"))?;
    let edge = site.server.pid();
    let mut before = None;
    for number in 1..=RELOADS {
        if number % BAD == 0 {
            site.write("holm.toml", &format!("{good}\nnumber-{number}\n"))?;
            let is_refused = |line: &Value| {
                let text = line["msg"].as_str().unwrap_or_default();
                text.contains("not reloaded")
            };
            site.server
                .log()
                .nth("refusal", number / BAD - 1, is_refused)
                .await?;
            site.write("holm.toml", &good)?;
        } else {
            let word = format!("v{number}");
            let name = ["a", "b"][number % 2];
            site.replace(&format!("{name}.js"), &says(&word))?;
            site.until(name, 200, &word).await?;
        }
        load.more(5).await?;
        if number == RELOADS / 4 {
            before = Some((processes::files(edge)?, site.server.memory()?));
        }
    }
    load.end().await?;
    let (files, memory) = before.context("not measured")?;
    // One template for each, and the zygote.
    let settled = || {
        let all = site.server.family().all()?;
        let templates = all.iter().filter(|one| one.kind == Kind::Template).count();
        let cells = all.iter().filter(|one| one.kind == Kind::Cell).count();
        let is_settled = templates == 3 && cells == 0 && all.len() == 4;
        Ok((is_settled && processes::files(edge)? <= files + SPARE_FILES).then_some(()))
    };
    let left = || {
        format!(
            "{:?} {:?}",
            site.server.family().all(),
            processes::files(edge)
        )
    };
    until(settled)
        .await?
        .with_context(|| format!("left over ({files} files before): {}", left()))?;
    let after = site.server.memory()?;
    ensure!(
        after <= memory + SPARE_MEMORY,
        "{memory} bytes became {after}"
    );
    ensure!(program::memory(edge, "VmRSS")? > 0);
    site.server.assert_healthy().await
}
