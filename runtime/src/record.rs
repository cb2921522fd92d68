//! One record per request: log line, metrics and usage are views of it.

use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;

use holm_js_api::log::Log;
use holm_js_api::log::Thrown;
use http::Method;
use http::StatusCode;

use crate::deployment::Deployment;
use crate::outcome::Outcome;

/// What one request was and used, from its start in the function to the end of its execution,
/// `waitUntil` included.
#[derive(Clone, Debug)]
pub struct Record {
    /// Name of the function.
    pub function: Arc<str>,
    /// Version of its deployment.
    pub deployment: Arc<str>,
    /// Id of the request.
    pub request: Arc<str>,
    /// Method.
    pub method: Method,
    /// URL.
    pub url: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Status of the handler's answer, if it gave one.
    pub status: Option<StatusCode>,
    /// When the request reached the function.
    pub start: SystemTime,
    /// From there to the end of its execution.
    pub wall: Duration,
    /// CPU time of its isolate's thread in it.
    pub cpu: Duration,
    /// Time that it waited for an isolate.
    pub queued: Duration,
    /// Bytes that the isolate's heap and buffers held at the end.
    pub memory: u64,
    /// Bytes of the request's body that the function was given.
    pub bytes_in: u64,
    /// Bytes of the answer's body that the function gave.
    pub bytes_out: u64,
    /// Requests that it made with `fetch()`.
    pub subrequests: u32,
    /// Whether an isolate was started for it.
    pub cold: bool,
    /// What it wrote with `console`.
    pub log: Log,
    /// What its handler threw.
    pub thrown: Option<Thrown>,
}

impl Record {
    /// The record of request `request` of `deployment`, of which nothing else is known yet.
    pub fn empty(deployment: &Deployment, request: Arc<str>, start: SystemTime) -> Self {
        Self {
            function: deployment.name.clone(),
            deployment: deployment.version.clone(),
            request,
            method: Method::GET,
            url: String::new(),
            outcome: Outcome::InternalError,
            status: None,
            start,
            wall: Duration::ZERO,
            cpu: Duration::ZERO,
            queued: Duration::ZERO,
            memory: 0,
            bytes_in: 0,
            bytes_out: 0,
            subrequests: 0,
            cold: false,
            log: Log::default(),
            thrown: None,
        }
    }
}

/// Where records go. Called on isolate threads: must not block.
pub trait Recorder: Send + Sync + 'static {
    /// Takes one record.
    fn record(&self, record: Record);
}
