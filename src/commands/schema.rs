//! `holm schema`.

use super::Failure;
use super::print;
use crate::config;

/// Prints the JSON Schema of the configuration.
pub(crate) fn run() -> Result<(), Failure> {
    print::out(&format!("{}\n", config::schema()))
}
