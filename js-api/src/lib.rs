//! What a Holm function sees, and the host ports behind it.
pub mod body;
pub mod ports;
