//! `tracing` events into the log.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use serde_json::Value;
use tracing::Event;
use tracing::Level;
use tracing::Subscriber;
use tracing::field::Field;
use tracing::field::Visit;
use tracing_subscriber::layer::Context;

use super::sink::Entry;
use super::sink::Sink;

/// Takes the events of Holm's own crates: everything from INFO up, and warnings of others.
///
/// What h2 warns of are frames that a client may send as many of as it likes: not its warnings.
pub(super) struct Layer {
    sink: Arc<Sink>,
}

impl Layer {
    pub(super) fn new(sink: Arc<Sink>) -> Self {
        Self { sink }
    }
}

impl<S: Subscriber> tracing_subscriber::Layer<S> for Layer {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let metadata = event.metadata();
        let level = *metadata.level();
        if level > least(metadata.target()) {
            return;
        }
        let mut details = Details::default();
        event.record(&mut details);
        self.sink.put(Entry::Event {
            time: SystemTime::now(),
            level,
            message: details.message,
            fields: details.fields,
        });
    }
}

/// The least of what is taken from a crate's module.
fn least(module: &str) -> Level {
    match module.split("::").next() {
        Some("h2") => Level::ERROR,
        Some(name) if name.starts_with("holm") => Level::INFO,
        Some(_) | None => Level::WARN,
    }
}

#[derive(Default)]
struct Details {
    message: String,
    fields: Vec<(&'static str, Value)>,
}

impl Details {
    fn add(&mut self, field: &Field, value: Value) {
        if field.name() == "message" {
            self.message = match value {
                Value::String(text) => text,
                other => other.to_string(),
            };
        } else {
            self.fields.push((field.name(), value));
        }
    }
}

impl Visit for Details {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, format!("{value:?}").into());
    }
}
