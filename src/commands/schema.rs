//! `holm schema`.

use std::io::Write;

use super::Failure;
use crate::config;

/// Prints the JSON Schema of the configuration.
pub(crate) fn run() -> Result<(), Failure> {
    writeln!(std::io::stdout(), "{}", config::schema())
        .map_err(|error| Failure::Other(format!("cannot write the schema: {error}")))
}
