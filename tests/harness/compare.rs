//! Compares what came back with what a case expects.

use serde_json::{Value, json};

use super::case::{Expect, HeaderRule};
use super::client::Answer;

/// One expectation that does not hold.
#[derive(Debug)]
pub(crate) struct Mismatch {
    /// Where it stands inside its table: one key, or two.
    pub(crate) key: Vec<String>,
    /// What was seen, where the expectation is an equality that can be rewritten.
    pub(crate) seen: Option<Value>,
    /// What to tell a person.
    pub(crate) text: String,
}

impl Mismatch {
    /// An equality that does not hold.
    pub(crate) fn equal(key: &[&str], expected: &Value, seen: Value) -> Self {
        let text = format!("{}: expected {expected}, got {seen}", key.join("."));
        Self {
            key: owned(key),
            seen: Some(seen),
            text,
        }
    }

    /// Anything else that does not hold.
    pub(crate) fn plain(key: &[&str], text: String) -> Self {
        Self {
            key: owned(key),
            seen: None,
            text: format!("{}: {text}", key.join(".")),
        }
    }
}

/// Compares an answer.
pub(crate) fn answer(expect: &Expect, answer: &Answer) -> Vec<Mismatch> {
    let mut found = Vec::new();
    let status = answer.status.as_u16();
    let body = String::from_utf8_lossy(&answer.body);
    if !expect.status_in.is_empty() {
        if !expect.status_in.contains(&status) {
            let text = format!("{status} {}", excerpt(&body));
            found.push(Mismatch::plain(&["status_in"], text));
        }
    } else if status != expect.status.unwrap_or(200) {
        let expected = json!(expect.status.unwrap_or(200));
        found.push(Mismatch::equal(&["status"], &expected, json!(status)));
        found.push(Mismatch::plain(
            &["body"],
            format!("(for the status) {}", excerpt(&body)),
        ));
    }
    headers(expect, answer, &mut found);
    if let Some(expected) = &expect.body
        && *expected != body
    {
        found.push(Mismatch::equal(&["body"], &json!(expected), json!(body)));
    }
    if let Some(expected) = &expect.body_json {
        match serde_json::from_slice::<Value>(&answer.body) {
            Ok(seen) if same_json(expected, &seen) => {}
            Ok(seen) => found.push(Mismatch::equal(&["body_json"], expected, seen)),
            Err(error) => {
                let text = format!("the body is no JSON ({error}): {}", excerpt(&body));
                found.push(Mismatch::plain(&["body_json"], text));
            }
        }
    }
    if let Some(expected) = expect.body_size
        && expected != answer.body.len()
    {
        found.push(Mismatch::equal(
            &["body_size"],
            &json!(expected),
            json!(answer.body.len()),
        ));
    }
    contains("body_contains", &expect.body_contains, &body, &mut found);
    lacks("body_lacks", &expect.body_lacks, &body, &mut found);
    match (&answer.broken, expect.aborted) {
        (None, true) => {
            found.push(Mismatch::plain(
                &["aborted"],
                "the body ended cleanly".to_owned(),
            ));
        }
        (Some(why), false) => {
            found.push(Mismatch::plain(
                &["aborted"],
                format!("the body broke off: {why}"),
            ));
        }
        (Some(_), true) | (None, false) => {}
    }
    found
}

/// Compares the record of a request.
pub(crate) fn record(expect: &Expect, record: &Value) -> Vec<Mismatch> {
    let mut found = Vec::new();
    if let Some(expected) = &expect.outcome
        && record["outcome"] != json!(expected)
    {
        let seen = record["outcome"].clone();
        found.push(Mismatch::equal(&["outcome"], &json!(expected), seen));
    }
    let outcome = record["outcome"].as_str().unwrap_or_default();
    if !expect.outcome_in.is_empty() && !expect.outcome_in.iter().any(|word| word == outcome) {
        found.push(Mismatch::plain(&["outcome_in"], outcome.to_owned()));
    }
    let lines = log_lines(record);
    if let Some(expected) = &expect.logs
        && *expected != lines
    {
        found.push(Mismatch::equal(&["logs"], &json!(expected), json!(lines)));
    }
    let messages: Vec<&str> = lines.iter().map(|(_, message)| message.as_str()).collect();
    let messages = messages.join("\n");
    contains("logs_contain", &expect.logs_contain, &messages, &mut found);
    lacks("logs_lack", &expect.logs_lack, &messages, &mut found);
    for (path, expected) in &expect.record {
        let seen = at(record, path);
        if !same_json(expected, seen) {
            found.push(Mismatch::equal(&["record", path], expected, seen.clone()));
        }
    }
    for (path, part) in &expect.record_contain {
        let seen = match at(record, path) {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        if part.is_empty() || !seen.contains(part) {
            let text = format!("expected {part:?} in {}", excerpt(&seen));
            found.push(Mismatch::plain(&["record_contain", path], text));
        }
    }
    for (path, form) in &expect.record_form {
        let seen = at(record, path);
        if !form.is_of(seen) {
            let text = format!("{seen} is no {form:?}");
            found.push(Mismatch::plain(&["record_form", path], text));
        }
    }
    found
}

/// Wants each of `parts` in `text`.
pub(crate) fn contains(key: &str, parts: &[String], text: &str, found: &mut Vec<Mismatch>) {
    for part in parts.iter().filter(|part| !text.contains(part.as_str())) {
        let text = format!("expected {part:?} in {}", excerpt(text));
        found.push(Mismatch::plain(&[key], text));
    }
}

/// Wants none of `parts` in `text`.
pub(crate) fn lacks(key: &str, parts: &[String], text: &str, found: &mut Vec<Mismatch>) {
    for part in parts.iter().filter(|part| text.contains(part.as_str())) {
        let text = format!("did not expect {part:?} in {}", excerpt(text));
        found.push(Mismatch::plain(&[key], text));
    }
}

fn headers(expect: &Expect, answer: &Answer, found: &mut Vec<Mismatch>) {
    for (name, rule) in &expect.headers {
        let seen = header_values(answer, name);
        let key = ["headers", name.as_str()];
        match rule {
            HeaderRule::Present(true) if seen.is_empty() => {
                found.push(Mismatch::plain(&key, "absent".to_owned()));
            }
            HeaderRule::Present(false) if !seen.is_empty() => {
                found.push(Mismatch::plain(&key, format!("present: {seen:?}")));
            }
            HeaderRule::Present(_) => {}
            HeaderRule::Is(texts) => {
                let expected: Vec<&str> = texts.iter().collect();
                if expected != seen {
                    let seen = if seen.len() == 1 {
                        json!(seen[0])
                    } else {
                        json!(seen)
                    };
                    found.push(Mismatch::equal(&key, &json!(expected), seen));
                }
            }
        }
    }
    for (name, part) in &expect.headers_contain {
        let seen = header_values(answer, name).join(", ");
        if !seen.contains(part) {
            let text = format!("expected {part:?} in {seen:?}");
            found.push(Mismatch::plain(&["headers_contain", name], text));
        }
    }
}

fn header_values(answer: &Answer, name: &str) -> Vec<String> {
    let values = answer.headers.get_all(name).iter();
    values
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        .collect()
}

/// Level and message of every log line of a record.
fn log_lines(record: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let lines = record["logs"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    lines
        .iter()
        .map(|line| (text(&line["level"]), text(&line["message"])))
        .collect()
}

/// The value at a dotted path; null where there is none.
fn at<'a>(value: &'a Value, path: &str) -> &'a Value {
    path.split('.')
        .fold(value, |value, key| match key.parse::<usize>() {
            Ok(index) if value.is_array() => &value[index],
            _ => &value[key],
        })
}

/// Equality that does not tell 1 from 1.0: TOML and JSON write numbers differently.
fn same_json(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            one == other || one.as_f64() == other.as_f64()
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(a, b)| same_json(a, b))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .all(|(key, a)| other.get(key).is_some_and(|b| same_json(a, b)))
        }
        _ => one == other,
    }
}

fn excerpt(text: &str) -> String {
    let cut: String = text.chars().take(1_500).collect();
    format!("{cut:?}")
}

fn owned(key: &[&str]) -> Vec<String> {
    key.iter().map(|&part| part.to_owned()).collect()
}
