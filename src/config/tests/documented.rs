//! What the docs say of limits is made from the table of limits, and that of outcomes agrees with their list.
//!
//! `BLESS=1 cargo test --bin holm documented` writes it; read what it wrote in `git diff`.

use std::error::Error;
use std::fmt::Display;
use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use holm_model::for_each_limit;
use holm_model::limits::{KEYS, Limit, ROWS};
use holm_model::outcome::Outcome;

use super::beside_the_site;
use crate::config::{self, wrap};

/// Held from reading a file to writing it: tests run side by side.
static FILES: Mutex<()> = Mutex::new(());

/// Asserts that `expected` is between `before` and the next `after` in a file, or puts it there.
fn keep(file: &str, before: &str, after: &str, expected: &str) -> Result<(), Box<dyn Error>> {
    let _held = FILES.lock().unwrap_or_else(PoisonError::into_inner);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let text = fs::read_to_string(&path)?;
    let (head, rest) = text
        .split_once(before)
        .ok_or_else(|| format!("{file} lacks {before:?}"))?;
    let (said, tail) = rest
        .split_once(after)
        .ok_or_else(|| format!("{file} lacks {after:?} behind {before:?}"))?;
    if std::env::var_os("BLESS").is_some_and(|value| value == "1") {
        if said != expected {
            fs::write(&path, [head, before, expected, after, tail].concat())?;
        }
        return Ok(());
    }
    assert_eq!(said, expected, "in {file}; BLESS=1 writes it");
    Ok(())
}

#[test]
fn the_table_of_limits() -> Result<(), Box<dyn Error>> {
    fn line<T: Display>(row: &Limit<T>) -> String {
        let Limit {
            key,
            breach,
            default,
            floor,
            ceiling,
            doc: _,
            floor_reason: _,
            ceiling_reason: _,
        } = row;
        format!("| `{key}` | {default} | {floor} | {ceiling} | {breach} |")
    }
    macro_rules! lines {
        ($($key:ident: $quantity:ty),*) => { [$(line(&ROWS.$key)),*] };
    }
    let header = "| key | default | least | most | on breach |\n|---|---|---|---|---|\n";
    let lines = for_each_limit!(lines).join("\n");
    keep("docs/limits.md", header, "\n\n", &lines)
}

#[test]
fn the_list_of_keys() -> Result<(), Box<dyn Error>> {
    let keys: Vec<String> = KEYS.iter().map(|key| format!("`{key}`")).collect();
    let list = wrap::lines(keys.join(", ").split(' '), 100).join("\n");
    let heading = "### `[limits]`, `[limits.max]`\n\n";
    keep("docs/configuration.md", heading, ": see ", &list)
}

#[test]
fn what_explain_prints() -> Result<(), Box<dyn Error>> {
    let source = "version = 1\n[functions.a]\nmain = 'site/hello/index.js'\nroutes = ['*']";
    let plan = config::parse(source, &beside_the_site("holm.toml"))?;
    let text = config::explain(&plan, "a.localhost")?.text;
    let (before, after) = ("\n  limits   ", "concurrency ");
    let (_, rest) = text.split_once(before).ok_or("no limits")?;
    let (limits, _) = rest.split_once(after).ok_or("no concurrency")?;
    // Samples stand in the docs as Markdown's code: four columns to the right.
    let indented = |text: &str| text.replace('\n', "\n    ");
    for file in ["README.md", "docs/configuration.md"] {
        keep(file, &indented(before), after, &indented(limits))?;
    }
    Ok(())
}

#[test]
fn the_table_of_outcomes() -> Result<(), Box<dyn Error>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/records.md");
    let text = fs::read_to_string(path)?;
    let header = "| word | status | what happened |\n|---|---|---|\n";
    let (_, rest) = text.split_once(header).ok_or("no table")?;
    let (rows, _) = rest.split_once("\n\n").ok_or("no end")?;
    let rows: Vec<_> = rows.lines().collect();
    assert_eq!(rows.len(), Outcome::ALL.len(), "one row for each");
    for (row, outcome) in rows.into_iter().zip(Outcome::ALL) {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        assert_eq!(cells[1], format!("`{outcome}`"), "in the order of the list");
        if let Some(status) = outcome.status() {
            assert_eq!(cells[2], status.as_str(), "{outcome}");
        }
    }
    Ok(())
}
