//! What `holm status`, `holm top` and `holm reload` share: finding the node.

use std::path::PathBuf;

use clap::Args;
use http::Method;
use http::StatusCode;

use super::Failure;
use crate::admin::Address;
use crate::admin::client::AskError;
use crate::admin::client::Client;
use crate::admin::client::PATIENCE;
use crate::admin::status::Status;
use crate::config;
use crate::secret::Source;

/// The variable that holds the token where no file is read.
const TOKEN: &str = "HOLM_ADMIN_TOKEN";

/// Which node.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// The configuration of the node, which says where its admin listener is.
    #[arg(long, value_name = "FILE", default_value = "holm.toml")]
    config: PathBuf,
    /// Where its admin listener is, without a configuration: IP:PORT or unix:PATH. A token is
    /// taken from HOLM_ADMIN_TOKEN.
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<Address>,
}

impl Which {
    /// The node.
    pub(super) fn client(&self) -> Result<Client, Failure> {
        let (address, token) = match &self.admin {
            Some(address) => {
                let token = match std::env::var_os(TOKEN) {
                    Some(_) => Some(Source::Env(TOKEN.to_owned()).read(&PathBuf::new())?),
                    None => None,
                };
                (address.clone(), token)
            }
            None => {
                let nowhere = || AskError::Nowhere(self.config.clone());
                let plan = config::admin_of(&self.config)?.ok_or_else(nowhere)?;
                if matches!(plan.address, Address::Tcp(address) if address.port() == 0) {
                    return Err(AskError::AnyPort(self.config.clone()).into());
                }
                (plan.address, plan.token)
            }
        };
        Client::new(address, token).map_err(Failure::Client)
    }
}

/// The node as it is now: as it came, and read.
pub(super) fn status(client: &Client) -> Result<(String, Status), Failure> {
    let (status, body) = client.ask(Method::GET, "/status", PATIENCE)?;
    let text = String::from_utf8_lossy(&body).into_owned();
    if status != StatusCode::OK {
        return Err(refused(client, status, &text));
    }
    match serde_json::from_str(&text) {
        Ok(read) => Ok((text, read)),
        Err(error) => Err(AskError::Strange {
            address: client.address().clone(),
            reason: error.to_string(),
        }
        .into()),
    }
}

/// The node says no.
pub(super) fn refused(client: &Client, status: StatusCode, words: &str) -> Failure {
    AskError::Refused {
        address: client.address().clone(),
        status,
        words: words.trim_end().chars().take(500).collect(),
    }
    .into()
}
