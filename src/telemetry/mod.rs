//! What the operator reads: one line per request and per event of the node, on stderr.
//!
//! Readable on a terminal, JSON lines otherwise. Whoever serves requests only puts what happened
//! into a queue; one thread formats and writes it, so a slow terminal slows no request. Metrics count the
//! same records ([`meters`]).

mod counters;
mod events;
mod flood;
mod json;
mod meters;
mod sink;
#[cfg(test)]
mod tests;
mod text;

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use holm_model::outcome::Outcome;
use holm_model::record::Record;
use holm_model::record::Recorder;
use tracing::Level;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use self::counters::Counters;
use self::flood::Flood;
pub(crate) use self::json::timestamp;
pub(crate) use self::meters::BOUNDS;
pub(crate) use self::meters::BUCKETS;
pub(crate) use self::meters::Meters;
pub(crate) use self::meters::OTHER;
pub(crate) use self::meters::Problem;
pub(crate) use self::meters::Times;
pub(crate) use self::meters::Totals;
use self::sink::Entry;
use self::sink::Sink;
use crate::config::LogFormat;
use crate::config::LogRequests;
use crate::config::Plan;

/// A handle on the log; clones write to the same one.
#[derive(Clone, Debug)]
pub(crate) struct Telemetry {
    sink: Option<Arc<Sink>>,
    counters: Arc<Counters>,
    meters: Arc<Meters>,
    requests: Arc<ArcSwap<LogRequests>>,
    /// Requests that the edge has turned away.
    refused: Arc<Mutex<Flood>>,
}

/// How lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// For people; with colour or without.
    Text {
        /// ANSI colours.
        colour: bool,
    },
    /// For programs.
    Json,
}

impl Style {
    fn of(format: LogFormat) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let colour = terminal && std::env::var_os("NO_COLOR").is_none();
        match format {
            LogFormat::Json => Self::Json,
            LogFormat::Text => Self::Text { colour },
            LogFormat::Auto if terminal => Self::Text { colour },
            LogFormat::Auto => Self::Json,
        }
    }
}

impl Telemetry {
    /// Starts the log of the process.
    pub(crate) fn start(plan: &Plan) -> Self {
        let sink = Sink::start(Style::of(plan.log));
        let events = events::Layer::new(sink.clone());
        // A second start in one process, as in tests, keeps the first one's events.
        let _ = tracing_subscriber::registry().with(events).try_init();
        Self {
            sink: Some(sink),
            counters: Arc::default(),
            meters: Arc::new(Meters::new()),
            requests: Arc::new(ArcSwap::from_pointee(plan.log_requests)),
            refused: Arc::new(Mutex::new(Flood::new(Instant::now()))),
        }
    }

    /// Writes from now on as `plan` says.
    pub(crate) fn adjust(&self, plan: &Plan) {
        if let Some(sink) = &self.sink {
            sink.set_style(Style::of(plan.log));
            self.requests.store(Arc::new(plan.log_requests));
        }
    }

    /// Another process writes to the same log from now on, or none any more. What each of them says is kept in
    /// one piece.
    pub(crate) fn share(&self, is_shared: bool) {
        if let Some(sink) = &self.sink {
            sink.share(is_shared);
        }
    }

    /// A log that nobody reads.
    pub(crate) fn quiet() -> Self {
        Self {
            sink: None,
            counters: Arc::default(),
            meters: Arc::new(Meters::new()),
            requests: Arc::new(ArcSwap::from_pointee(LogRequests::None)),
            refused: Arc::new(Mutex::new(Flood::new(Instant::now()))),
        }
    }

    /// How many requests ended how, for people: `ok 12, exceededCpu 1`.
    pub(crate) fn outcomes(&self) -> String {
        self.counters.to_string()
    }

    /// What metrics count.
    pub(crate) fn meters(&self) -> &Arc<Meters> {
        &self.meters
    }

    /// Entries that were dropped because the log could not be written, or not as fast as it grew.
    pub(crate) fn lost(&self) -> u64 {
        self.sink.as_ref().map_or(0, |sink| sink.lost())
    }

    /// Waits until all that was logged has been written, for `deadline` at most: nobody may be
    /// reading.
    ///
    /// # Errors
    /// How many lines are lost.
    pub(crate) fn flush(&self, deadline: Duration) -> Result<(), usize> {
        let left_out = self.refused().rest();
        self.tell(left_out);
        self.sink
            .as_ref()
            .map_or(Ok(()), |sink| sink.flush(deadline))
    }

    fn refused(&self) -> std::sync::MutexGuard<'_, Flood> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says how many records were left out, if any were.
    fn tell(&self, left_out: Option<u64>) {
        if let (Some(left_out), Some(sink)) = (left_out, &self.sink) {
            sink.put(Entry::Event {
                time: SystemTime::now(),
                level: Level::WARN,
                message: "many requests are refused; records of them are left out".into(),
                fields: vec![("left_out", left_out.into())],
            });
        }
    }

    /// Whether one more request that the edge has turned away leaves its record in the log.
    fn has_room(&self) -> bool {
        let now = Instant::now();
        let (is_admitted, left_out) = {
            let mut refused = self.refused();
            (refused.admit(now), refused.due(now))
        };
        self.tell(left_out);
        is_admitted
    }
}

impl Recorder for Telemetry {
    fn record(&self, record: Record) {
        self.counters.count(record.outcome);
        self.meters.count(&record);
        let wanted = match **self.requests.load() {
            LogRequests::All => true,
            LogRequests::Failed => record.outcome != Outcome::Ok || !record.log.lines.is_empty(),
            LogRequests::None => false,
        };
        let is_turned_away = record.function.is_none() || record.outcome == Outcome::Refused;
        if !wanted || is_turned_away && !self.has_room() {
            return;
        }
        if let Some(sink) = &self.sink {
            sink.put(Entry::Request(Box::new(record)));
        }
    }
}
