//! Whatever the bytes, there is a plan or there are problems that can be printed.

use std::path::Path;

use holm_model::visible::is_hidden;
use proptest::prelude::*;

use crate::config::{self, Plan, Problems};

/// Pieces of configuration, sound and otherwise, that meet in every order.
const PIECES: &[&str] = &[
    "version = 1\n",
    "[server]\n",
    "http = \"[::]:0\"\n",
    "http = 80\n",
    "[limits]\n",
    "[limits.max]\n",
    "cpu = \"10ms\"\n",
    "cpu = 0x1F\n",
    "memory = '''\n1MiB'''\n",
    "queue = 99999999999999999999\n",
    "min_isolates = 65\n",
    "[node]\n",
    "sandbox = \"auto\"\n",
    "requests_per_isolate = 1\n",
    "concurrency = 2\n",
    "[functions.a]\n",
    "[functions.\"ä\\u0000\"]\n",
    "[functions.\"\\u001b[2J\\u009b\\u202e\"]\n",
    "\"\\u001b\\n\" = \"\\u007f\"\n",
    "\u{1b}",
    "\r",
    "# \u{202e}\u{9b}\u{7f}\n",
    "main = \"a.js\"\n",
    "main = \"\\u0000\"\n",
    "main = \"\"\n",
    "routes = [\"a.localhost\", \"*.é.com/ü\", \"\\u00e9:1\"]\n",
    "routes = ['''\n\u{1F600}''', \"x\\\"y\"]\n",
    "routes = []\n",
    "vars = { a = 1, b = [nan, {c = 1979-05-27}], __proto__ = {} }\n",
    "vars.a.b.c = 1\n",
    "[[tls]]\n",
    "https = \"[::]:0\"\n",
    "cert = \"site/tls/example.pem\"\n",
    "key = \"/dev/zero\"\n",
    "hosts = [\"*.a.test\", \"*\", \"\\u0000\"]\n",
    "default = true\n",
    "[tls.acme]\n",
    "hosts = [\"a.test\", \"A.test\"]\n",
    "dir = \"acme\"\n",
    "dir = \"\\u0000\"\n",
    "terms_agreed = true\n",
    "email = \"\\u001b@\"\n",
    "directory = \"https://[\"\n",
    "directory_ca = \"/dev/zero\"\n",
    "eab_key = \"env:PATH\"\n",
    "[egress]\n",
    "allow = [\"*\", \"1.2.3.4/40\", 1]\n",
    "[log]\nformat = \"\"\n",
    "\u{feff}",
    "\r\n",
    "\u{1F600} = 1\n",
    "\"",
    "[",
    "]",
    "=",
    "{",
];

fn check(source: &str) -> Result<(), TestCaseError> {
    let outcome: Result<Plan, Problems> = config::parse(source, Path::new("holm.toml"));
    match outcome {
        Ok(plan) => prop_assert!(!plan.functions.is_empty()),
        Err(problems) => {
            prop_assert!(problems.lines().count() > 0);
            for line in problems.lines() {
                let is_hidden = |c| c != '\t' && is_hidden(c);
                prop_assert!(!line.contains(is_hidden), "{line:?}");
            }
            let text = problems.render(false, Some(80));
            prop_assert!(text.contains("holm.toml"));
            let hidden = text
                .chars()
                .find(|&c| !matches!(c, '\n' | '\t') && is_hidden(c));
            prop_assert!(hidden.is_none(), "{hidden:?} in {text:?}");
            prop_assert!(problems.render(true, Some(20)).contains("holm.toml"));
        }
    }
    Ok(())
}

/// More cases where more are asked for: `make fuzz`.
fn at_least(cases: u32) -> ProptestConfig {
    let config = ProptestConfig::default();
    ProptestConfig {
        cases: config.cases.max(cases),
        ..config
    }
}

proptest! {
    #![proptest_config(at_least(512))]

    #[test]
    fn on_any_order_of_pieces(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..24)) {
        check(&pieces.concat())?;
    }

    #[test]
    fn on_a_file_with_characters_changed(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<char>()), 1..8),
    ) {
        let mut file: Vec<char> = PIECES.concat().chars().collect();
        for (at, character) in changes {
            let at = at.index(file.len());
            file[at] = character;
        }
        check(&file.into_iter().collect::<String>())?;
    }

    #[test]
    fn on_a_sound_file_that_is_cut_short(at in any::<prop::sample::Index>()) {
        let file = include_str!("bad/types.toml");
        check(&file[..at.index(file.len() + 1)])?;
    }

    #[test]
    fn on_any_text(text in any::<String>()) {
        check(&text)?;
    }
}
