//! `holm reload`.

use holm_model::visible::visible;
use http::Method;
use http::StatusCode;
use serde::Deserialize;

use super::Failure;
use super::admin::Which;
use super::admin::refused;
use super::print;
use crate::admin::client::AskError;
use crate::admin::client::RELOAD_PATIENCE;

#[derive(Deserialize)]
struct Done {
    functions: usize,
    changed: Vec<String>,
    removed: Vec<String>,
    problems: Vec<String>,
    fixed: Vec<String>,
    milliseconds: u64,
}

#[derive(Deserialize)]
struct Refused {
    problems: Vec<String>,
}

/// The exit codes that `holm check` has for a bad configuration, and for a function that does not start.
const BAD_CONFIGURATION: u8 = 2;
const DOES_NOT_START: u8 = 3;

/// Has a node load its configuration anew, and says what came of it.
pub(crate) fn run(which: &Which) -> Result<(), Failure> {
    let client = which.client()?;
    let (status, body) = client.ask(Method::POST, "/reload", RELOAD_PATIENCE)?;
    let strange = |error: serde_json::Error| AskError::Strange {
        address: client.address().clone(),
        reason: error.to_string(),
    };
    match status {
        StatusCode::OK => {
            let done: Done = serde_json::from_slice(&body).map_err(strange)?;
            print::out(&done.told())?;
            if done.problems.is_empty() {
                return Ok(());
            }
            Err(Failure::NotReloaded {
                problems: done.problems.join("\n"),
                code: DOES_NOT_START,
            })
        }
        StatusCode::UNPROCESSABLE_ENTITY => {
            let Refused { problems } = serde_json::from_slice(&body).map_err(strange)?;
            Err(Failure::NotReloaded {
                problems: problems.join("\n"),
                code: BAD_CONFIGURATION,
            })
        }
        other => Err(refused(&client, other, &String::from_utf8_lossy(&body))),
    }
}

impl Done {
    /// A few lines for whoever has asked for it.
    fn told(&self) -> String {
        let mut text = format!(
            "reloaded in {} ms; functions that answer: {}\n",
            self.milliseconds, self.functions
        );
        for (what, names) in [("changed", &self.changed), ("removed", &self.removed)] {
            if !names.is_empty() {
                text.push_str(&format!("{what}: {}\n", names.join(", ")));
            }
        }
        for line in &self.fixed {
            text.push_str(line);
            text.push('\n');
        }
        visible(&text).into_owned()
    }
}
