//! `/status`: the words, for whoever writes them and whoever reads them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;

/// All of it.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Status {
    /// Of the program.
    pub(crate) version: String,
    /// The configuration file.
    pub(crate) config: String,
    /// How far the node is.
    pub(crate) stage: Stage,
    /// What `/readyz` says.
    pub(crate) ready: bool,
    /// Why it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) why_not: Option<String>,
    /// Seconds since it was started.
    pub(crate) uptime_seconds: f64,
    /// Where it listens.
    pub(crate) listeners: Vec<Listener>,
    /// The node as a whole.
    pub(crate) node: NodeStatus,
    /// Connections and requests.
    pub(crate) edge: EdgeStatus,
    /// Reloads of the configuration.
    pub(crate) reloads: Reloads,
    /// Attempts to have another process take the node's place.
    pub(crate) upgrades: Upgrades,
    /// Certificates, by the order of the file.
    pub(crate) certificates: Vec<CertificateStatus>,
    /// Those that an authority issues, if one is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) acme: Option<AcmeStatus>,
    /// Upper bounds of the histograms' buckets, in seconds; the last bucket has none.
    pub(crate) bounds_seconds: Vec<f64>,
    /// The functions, in the order of the file.
    pub(crate) functions: Vec<FunctionStatus>,
    /// What is counted under no function's name: `_none` for requests that are for no function, `_other` for
    /// functions that are not counted by name.
    pub(crate) others: BTreeMap<String, Totals>,
}

/// How far a node is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[repr(u8)]
pub(crate) enum Stage {
    /// Functions are loaded.
    #[default]
    Starting,
    /// It serves.
    Serving,
    /// It ends, as soon as what runs is done.
    Draining,
}

/// A listener.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Listener {
    /// IP and port.
    pub(crate) address: String,
    /// `http` or `https`.
    pub(crate) scheme: String,
}

/// The node as a whole.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct NodeStatus {
    /// Process of the edge.
    pub(crate) pid: u32,
    /// Bytes that all processes hold, as they were last read.
    pub(crate) memory_bytes: u64,
    /// `[node] memory`.
    pub(crate) memory_budget_bytes: Option<u64>,
    /// The process that functions are forked from.
    pub(crate) zygote: Zygote,
    /// The layers of the sandbox: `on`, `off`, or why it is missing.
    pub(crate) sandbox: Vec<Layer>,
    /// What the edge's process uses.
    pub(crate) process: Process,
    /// Log entries that were dropped.
    pub(crate) log_entries_lost: u64,
}

/// The process that functions are forked from.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Zygote {
    /// Whether there is one.
    pub(crate) is_there: bool,
    /// How many there have been.
    pub(crate) starts: u64,
    /// How many of them died.
    pub(crate) deaths: u64,
}

/// A layer of the sandbox.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Layer {
    /// Its name.
    pub(crate) name: String,
    /// `on`, `off` or `missing`.
    pub(crate) state: String,
    /// Why it is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<String>,
}

/// What a process uses.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Process {
    /// CPU time of all its threads.
    pub(crate) cpu_seconds: f64,
    /// Descriptors that are open.
    pub(crate) open_files: u64,
    /// How many there may be.
    pub(crate) max_files: u64,
    /// Bytes in RAM, shared ones included.
    pub(crate) resident_bytes: u64,
    /// When it was started, in seconds since 1970.
    pub(crate) start_time_seconds: f64,
}

/// Connections and requests, over all listeners.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct EdgeStatus {
    /// Connections that are open.
    pub(crate) connections_open: u64,
    /// Connections ever served.
    pub(crate) connections: u64,
    /// Connections turned away because there were too many.
    pub(crate) connections_shed: u64,
    /// Connections ended because their clients took too little.
    pub(crate) connections_too_slow: u64,
    /// Requests, with those that are under way.
    pub(crate) requests: u64,
    /// Requests that the edge itself turned away.
    pub(crate) requests_refused: u64,
    /// TLS handshakes.
    pub(crate) handshakes: u64,
    /// TLS handshakes that failed.
    pub(crate) handshakes_failed: u64,
}

/// Reloads of the configuration.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Reloads {
    /// Those that worked.
    pub(crate) ok: u64,
    /// Those that changed nothing, because of a problem.
    pub(crate) failed: u64,
    /// When the last one worked: RFC 3339, UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_ok: Option<String>,
    /// What keeps the files from being served as they are now, if anything does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_problem: Option<Reload>,
}

/// Attempts to have another process take the node's place. One that came off is the last.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Upgrades {
    /// Those that changed nothing, because of a problem.
    pub(crate) failed: u64,
    /// The last of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_problem: Option<Reload>,
    /// The process that this one has taken the place of, while it finishes what it had begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) predecessor: Option<u32>,
}

/// A reload, an upgrade, or an order of a certificate, that failed.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Reload {
    /// RFC 3339, UTC.
    pub(crate) time: String,
    /// Why.
    pub(crate) message: String,
}

/// A certificate.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct CertificateStatus {
    /// The first name that it is shown for; `*` for a default that has none.
    pub(crate) name: String,
    /// When it ends: RFC 3339, UTC.
    pub(crate) until: String,
    /// The same, in seconds since 1970.
    pub(crate) until_seconds: f64,
}

/// Certificates that an authority issues.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct AcmeStatus {
    /// Orders that gave a certificate.
    pub(crate) issued: u64,
    /// Orders that did not.
    pub(crate) failed: u64,
    /// The hosts, by name.
    pub(crate) hosts: Vec<AcmeHost>,
}

/// How a host does whose certificate an authority issues.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct AcmeHost {
    /// Its name.
    pub(crate) host: String,
    /// `valid`, `missing`, `expired`; `ordering` while there is an order.
    pub(crate) state: String,
    /// When its certificate ends: RFC 3339, UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) until: Option<String>,
    /// When the next order is made.
    pub(crate) next_try: String,
    /// The same, in seconds since 1970.
    pub(crate) next_try_seconds: f64,
    /// Orders that failed since the last one that did not.
    pub(crate) failures: u32,
    /// The last of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_problem: Option<Reload>,
}

/// One function.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct FunctionStatus {
    /// Its name.
    pub(crate) name: String,
    /// `ready`, or `broken` if it does not start.
    pub(crate) state: String,
    /// Why it does not start, as its files are now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<String>,
    /// What answers is older than its files, which do not start.
    pub(crate) is_older: bool,
    /// Version of its deployment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) deployment: Option<String>,
    /// The requests that go to it.
    pub(crate) routes: Vec<String>,
    /// Its isolates.
    pub(crate) isolates: Isolates,
    /// Whether isolates are copies of a template.
    pub(crate) has_template: bool,
    /// Requests that wait.
    pub(crate) waiting: usize,
    /// How long the first of them has, in seconds.
    pub(crate) oldest_seconds: f64,
    /// Bytes that its processes hold, as they were last read.
    pub(crate) memory_bytes: u64,
    /// Its limits, as the file would say them.
    pub(crate) limits: BTreeMap<String, String>,
    /// What was counted since it is there; none if it is not counted by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) totals: Option<Totals>,
    /// The last request that failed through no fault of its client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_problem: Option<Problem>,
}

/// Isolates by what they do.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Isolates {
    /// They compute.
    pub(crate) computing: usize,
    /// They have work, and wait for something.
    pub(crate) waiting: usize,
    /// They have no work, or room for more.
    pub(crate) idle: usize,
    /// They are about to be there.
    pub(crate) starting: usize,
}

impl Isolates {
    /// Those that are there.
    pub(crate) fn running(self) -> usize {
        self.computing + self.waiting + self.idle
    }
}

/// What was counted.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Totals {
    /// Records.
    pub(crate) requests: u64,
    /// Records, by how they ended.
    pub(crate) outcomes: BTreeMap<String, u64>,
    /// Requests that an isolate was started for.
    pub(crate) cold_starts: u64,
    /// Calls of `fetch()`.
    pub(crate) subrequests: u64,
    /// Bytes of requests' bodies.
    pub(crate) bytes_in: u64,
    /// Bytes of answers' bodies.
    pub(crate) bytes_out: u64,
    /// Bytes of log over the limit.
    pub(crate) log_bytes_dropped: u64,
    /// Wall time.
    pub(crate) wall: Times,
    /// CPU time.
    pub(crate) cpu: Times,
    /// Time in the queue.
    pub(crate) queued: Times,
}

/// How long something took, each time.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Times {
    /// Altogether.
    pub(crate) seconds: f64,
    /// How often, by bucket.
    pub(crate) counts: Vec<u64>,
}

/// A request that failed.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Problem {
    /// When it reached the function: RFC 3339, UTC.
    pub(crate) time: String,
    /// Its id.
    pub(crate) request_id: String,
    /// How it ended.
    pub(crate) outcome: String,
    /// Why, in a line.
    pub(crate) message: String,
}
