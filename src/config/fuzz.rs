//! The way in for the fuzz target of configuration files (`fuzz/`). Compiled for it alone.

use std::path::Path;

use holm_model::visible::is_hidden;

/// Reads the text of a file that would stand at `path`.
///
/// # Panics
/// There is neither a plan nor a problem that can be printed.
pub fn parse(source: &str, path: &Path) {
    match super::parse(source, path) {
        Ok(plan) => assert!(!plan.functions.is_empty()),
        Err(problems) => {
            assert!(problems.lines().count() > 0);
            for text in [
                problems.render(false, Some(80)),
                problems.render(false, Some(20)),
            ] {
                let hidden = text
                    .chars()
                    .find(|&c| !matches!(c, '\n' | '\t') && is_hidden(c));
                assert!(hidden.is_none(), "{hidden:?} in {text:?}");
            }
        }
    }
}
