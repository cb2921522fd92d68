//! Entries for people.

use std::fmt::Write as _;
use std::io::Write;
use std::time::Duration;

use holm_model::log::Level as LineLevel;
use holm_model::outcome::Outcome;
use holm_model::record::Record;
use holm_model::visible::visible_line;
use http::Method;
use owo_colors::OwoColorize;
use owo_colors::Style;
use tracing::Level;

use super::json::status;
use super::json::timestamp;
use super::sink::Entry;

/// Adds `entry` and line breaks to `out`.
pub(super) fn render(out: &mut Vec<u8>, entry: &Entry, colour: bool) {
    let mut line = String::new();
    match entry {
        Entry::Request(record) => request(&mut line, record, colour),
        Entry::Event {
            time,
            level,
            message,
            fields,
        } => {
            let style = match *level {
                Level::ERROR => Style::new().red().bold(),
                Level::WARN => Style::new().yellow(),
                _ => Style::new().cyan(),
            };
            let clock = clock(&timestamp(*time));
            let word = level.as_str().to_ascii_lowercase();
            push(&mut line, &clock, Style::new().dimmed(), colour);
            line.push(' ');
            push(&mut line, &format!("{word:<5}"), style, colour);
            line.push(' ');
            let (first, more) = message.split_once('\n').unwrap_or((message, ""));
            line.push_str(&visible_line(first));
            for (name, value) in fields {
                let value = match value {
                    serde_json::Value::String(text) => text.clone(),
                    other => other.to_string(),
                };
                let _ = write!(line, " {name}={}", visible_line(&value));
            }
            line.push('\n');
            below(&mut line, more, Style::new(), colour);
        }
    }
    let _ = out.write_all(line.as_bytes());
}

fn request(line: &mut String, record: &Record, colour: bool) {
    let good = record.outcome == Outcome::Ok;
    let style = if good {
        Style::new().green()
    } else {
        Style::new().red().bold()
    };
    let start = clock(&timestamp(record.start));
    push(line, &start, Style::new().dimmed(), colour);
    let status = status(record).map_or_else(|| "---".into(), |status| status.as_u16().to_string());
    line.push(' ');
    push(line, &status, style, colour);
    let method = record.method.as_ref().map_or("-", Method::as_str);
    let url = record.url.as_deref().unwrap_or("-");
    let _ = write!(line, " {method} {} ", visible_line(url));
    if !good {
        push(line, record.outcome.word(), style, colour);
        line.push(' ');
    }
    let mut cost = format!("{} cpu {}", time(record.wall), time(record.cpu));
    if record.queued >= Duration::from_millis(1) {
        let _ = write!(cost, " queued {}", time(record.queued));
    }
    if record.cold {
        cost.push_str(" cold");
    }
    if let Some(function) = &record.function {
        let _ = write!(cost, " {function}");
    }
    let _ = write!(cost, " {}", record.request);
    push(line, &cost, Style::new().dimmed(), colour);
    line.push('\n');
    for entry in &record.log.lines {
        let style = match entry.level {
            LineLevel::Debug => Style::new().dimmed(),
            LineLevel::Info => Style::new(),
            LineLevel::Warn => Style::new().yellow(),
            LineLevel::Error => Style::new().red(),
        };
        below(line, &entry.message, style, colour);
    }
    if let Some(thrown) = &record.thrown {
        below(line, &thrown.stack, Style::new().red(), colour);
    }
    if record.log.dropped > 0 {
        let note = format!("({} bytes of log left out)", record.log.dropped);
        below(line, &note, Style::new().dimmed(), colour);
    }
}

/// Text under a line, each of its own lines set in: none can be taken for one of Holm's.
fn below(line: &mut String, text: &str, style: Style, colour: bool) {
    for text in text.lines() {
        line.push_str("             ");
        push(line, &visible_line(text), style, colour);
        line.push('\n');
    }
}

fn push(line: &mut String, text: &str, style: Style, colour: bool) {
    if colour {
        let _ = write!(line, "{}", text.style(style));
    } else {
        line.push_str(text);
    }
}

/// The time of day, to the millisecond, of an RFC 3339 time.
fn clock(timestamp: &str) -> String {
    timestamp.get(11..23).unwrap_or(timestamp).to_owned()
}

fn time(duration: Duration) -> String {
    let micros = duration.as_micros();
    if micros < 1_000 {
        format!("{micros}us")
    } else if micros < 10_000_000 {
        format!("{:.1}ms", duration.as_secs_f64() * 1e3)
    } else {
        format!("{:.1}s", duration.as_secs_f64())
    }
}
