//! What somebody else wrote does to no terminal what it says.

use std::time::Duration;
use std::time::SystemTime;

use holm_model::log::Level as LineLevel;
use holm_model::log::Log;
use holm_model::log::LogBudget;
use holm_model::log::Thrown;
use holm_model::outcome::Outcome;
use holm_model::record::Record;
use http::Method;
use tracing::Level;

use super::json;
use super::sink::Entry;
use super::text;

/// Clears the screen, rings, colours, and turns the line around.
const RUDE: &str = "\u{1b}[2J\u{7}\u{7f}\u{9b}31m\u{202e}";

fn request() -> Entry {
    let mut log = Log::default();
    let line = format!("one{RUDE}\r\n\ttwo\rthree");
    log.push(LineLevel::Info, line, LogBudget(1_000));
    Entry::Request(Box::new(Record {
        function: Some("f".into()),
        deployment: Some("d".into()),
        request: "r".into(),
        method: Some(Method::GET),
        url: Some(format!("http://f.test/{RUDE}")),
        client: None,
        outcome: Outcome::Exception,
        status: None,
        start: SystemTime::UNIX_EPOCH,
        wall: Duration::ZERO,
        cpu: Duration::ZERO,
        queued: Duration::ZERO,
        memory: 0,
        bytes_in: 0,
        bytes_out: 0,
        subrequests: 0,
        websocket: None,
        cold: false,
        log,
        thrown: Some(Thrown {
            message: RUDE.into(),
            stack: format!("Error: {RUDE}\n    at {RUDE}"),
        }),
    }))
}

fn event() -> Entry {
    Entry::Event {
        time: SystemTime::UNIX_EPOCH,
        level: Level::ERROR,
        message: format!("first {RUDE}\n00:00:00.000 info {RUDE}"),
        fields: vec![("field", format!("{RUDE}\n").into())],
    }
}

fn shown(render: impl Fn(&mut Vec<u8>, &Entry)) -> String {
    let mut out = Vec::new();
    render(&mut out, &request());
    render(&mut out, &event());
    String::from_utf8(out).expect("text")
}

#[test]
fn as_text() {
    let shown = shown(|out, entry| text::render(out, entry, false));
    let rude = r"\u{1b}[2J\u{7}\u{7f}\u{9b}31m\u{202e}";
    let expected = format!(
        "00:00:00.000 500 GET http://f.test/{rude} exception 0us cpu 0us f r
             one{rude}
             \ttwo\\u{{d}}three
             Error: {rude}
                 at {rude}
00:00:00.000 error first {rude} field={rude}\\n
             00:00:00.000 info {rude}
"
    );
    assert_eq!(shown, expected);
}

#[test]
fn as_json() {
    let shown = shown(json::render);
    assert!(
        !shown.contains(|c: char| c != '\n' && c.is_control()),
        "{shown:?}"
    );
    assert!(!shown.contains('\u{202e}'), "{shown:?}");
    let mut lines = shown.lines().map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
        line
    });
    let request = lines.next().expect("a record");
    let message = format!("one{RUDE}\r\n\ttwo\rthree");
    assert_eq!(request["logs"][0]["message"], message.as_str());
    let event = lines.next().expect("an event");
    assert_eq!(event["field"], format!("{RUDE}\n").as_str());
}
