//! `holm reload`.

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
    message: String,
}

#[derive(Deserialize)]
struct Problems {
    problems: String,
    code: u8,
}

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
            let Done { message } = serde_json::from_slice(&body).map_err(strange)?;
            print::out(&format!("{message}\n"))
        }
        StatusCode::UNPROCESSABLE_ENTITY => {
            let Problems { problems, code } = serde_json::from_slice(&body).map_err(strange)?;
            Err(Failure::NotReloaded { problems, code })
        }
        other => Err(refused(&client, other, &String::from_utf8_lossy(&body))),
    }
}
