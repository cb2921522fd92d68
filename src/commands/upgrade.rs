//! `holm upgrade`.

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
#[serde(rename_all = "camelCase")]
struct Done {
    pid: u32,
    predecessor: u32,
    milliseconds: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Not {
    problems: Vec<String>,
    exit_code: u8,
}

/// Has another process take a node's place, and says what came of it.
pub(crate) fn run(which: &Which) -> Result<(), Failure> {
    let client = which.client()?;
    let (status, body) = client.ask(Method::POST, "/upgrade", RELOAD_PATIENCE)?;
    let strange = |error: serde_json::Error| AskError::Strange {
        address: client.address().clone(),
        reason: error.to_string(),
    };
    match status {
        StatusCode::OK => {
            let Done {
                pid,
                predecessor,
                milliseconds,
            } = serde_json::from_slice(&body).map_err(strange)?;
            print::out(&format!(
                "upgraded in {milliseconds} ms: process {pid} serves; process {predecessor} finishes what it has \
                 begun\n"
            ))
        }
        StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY => {
            let Not {
                problems,
                exit_code,
            } = serde_json::from_slice(&body).map_err(strange)?;
            Err(Failure::NotUpgraded {
                problems: problems.join("\n"),
                code: exit_code.max(1),
            })
        }
        other => Err(refused(&client, other, &String::from_utf8_lossy(&body))),
    }
}
