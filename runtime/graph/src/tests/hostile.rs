//! Files that try to hurt the process that loads them.

use super::*;
use crate::{GraphProblem, ProblemKind};

/// A quarter of a million levels of the shortest nests.
const BOMB_BYTES: usize = 512 << 10;

pub(super) fn problems(name: &str, text: &str) -> Vec<GraphProblem> {
    match Folder::with(&[(name, text)]).try_load(name) {
        Ok(_) => Vec::new(),
        Err(error) => error.problems,
    }
}

/// `count` times `open`, `middle`, `count` times `close`.
fn nest(count: usize, open: &str, middle: &str, close: &str) -> String {
    format!("{}{middle}{}", open.repeat(count), close.repeat(count))
}

#[test]
fn bombs_are_refused_and_dropped_without_overflow() {
    for (name, text) in [
        ("a.js", nest(BOMB_BYTES / 2, "(", "1", ")")),
        ("a.js", nest(BOMB_BYTES / 2, "a.", "a", "")),
        ("a.js", nest(BOMB_BYTES / 2, "1+", "1", "")),
        ("a.ts", nest(BOMB_BYTES / 2, "a", "", "!")),
        ("a.ts", format!("let x:A{}", "[]".repeat(BOMB_BYTES / 2))),
    ] {
        let found = problems(name, &text);
        assert!(
            matches!(&found[..], [one] if matches!(one.kind, ProblemKind::TooDeep { .. })),
            "{name}: {found:?}"
        );
    }
}

#[test]
fn a_chain_as_long_as_generated_code_makes_it_compiles() {
    let text = nest(4_000, "'a' +\n", "'b'", "");
    assert!(problems("a.js", &text).is_empty());
    assert!(problems("a.ts", &text).is_empty());
}

#[test]
fn exponential_backtracking_is_cut_off() {
    let found = problems("a.ts", &nest(60, "<T>(", "a", ")"));
    assert!(
        matches!(&found[..], [one] if matches!(one.kind, ProblemKind::TooComplex { .. })),
        "{found:?}"
    );
}
