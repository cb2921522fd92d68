//! Runs the steps of a case against a server.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::Value;

use super::bless::{self, Place};
use super::case::{Case, CaseFile, HttpVersion, Step};
use super::client::{Connection, Payload, Request, Version};
use super::compare::{self, Mismatch};
use super::log::record_host;
use super::server::Server;
use super::world::World;

/// Names that case files may use.
pub(crate) fn names(world: &World, server: Option<&Server>) -> Vec<(&'static str, String)> {
    let mut names = vec![("ORIGIN", world.origin().url())];
    if let Some(server) = server {
        names.push(("PORT", server.address().port().to_string()));
    }
    names
}

/// Runs every step of the case and fails with all that did not hold. Returns how long each took
/// to be answered.
pub(crate) async fn run_all(
    world: &World,
    file: &CaseFile,
    default_host: &str,
    server: &Server,
) -> anyhow::Result<Vec<Duration>> {
    let names = names(world, Some(server));
    let case: Case = file.case(&names)?;
    if case.steps.is_empty() {
        bail!("{} has no [[step]]", file.path.display());
    }
    let mut failures = Vec::new();
    let mut times = Vec::new();
    let mut sent: HashMap<(String, String, String), usize> = HashMap::new();
    for (index, step) in case.steps.iter().enumerate() {
        let host = step.host.as_deref().unwrap_or(default_host);
        let request = request(step, host)?;
        let path = step
            .path
            .split_once('?')
            .map_or(step.path.as_str(), |(path, _)| path);
        let key = (host.to_owned(), request.method.to_string(), path.to_owned());
        let nth = sent.entry(key).and_modify(|count| *count += 1).or_default();

        let label = format!(
            "step {} ({} {host}{})",
            index + 1,
            request.method,
            step.path
        );
        let (found, time) = exchange(step, request, host, *nth, server)
            .await
            .context(label.clone())?;
        times.push(time);
        let found = match (found.is_empty(), world.bless()) {
            (true, _) | (false, false) => found,
            (false, true) => bless::rewrite(&file.path, Place::Step(index), found, &names)?,
        };
        if !found.is_empty() {
            let of_host = |record: &&Value| record_host(record) == host;
            let record = server
                .log()
                .records()
                .iter()
                .rev()
                .find(of_host)
                .map(Value::to_string);
            let record = record.unwrap_or_else(|| server.log().tail());
            let texts = found.iter().map(|mismatch| mismatch.text.as_str());
            failures.extend(texts.map(|text| format!("{label}: {text}")));
            failures.push(format!("{label}: its record is {record}"));
        }
    }
    server.assert_healthy().await?;
    if failures.is_empty() {
        Ok(times)
    } else {
        bail!("{}", failures.join("\n"))
    }
}

async fn exchange(
    step: &Step,
    request: Request,
    host: &str,
    nth: usize,
    server: &Server,
) -> anyhow::Result<(Vec<Mismatch>, Duration)> {
    let method = request.method.clone();
    let version = match step.version {
        HttpVersion::Http1 => Version::Http1,
        HttpVersion::Http2 => Version::Http2,
    };
    let mut connection = Connection::open(server.address(), version).await?;
    let begin = Instant::now();
    let answer = connection.exchange(request).await;
    let time = begin.elapsed();
    let mut found = match answer {
        Ok(answer) => compare::answer(&step.expect, &answer),
        // Broken off before the head is as good as in the body, for a client that must not take
        // the answer for whole.
        Err(_) if step.expect.aborted && step.expect.body_contains.is_empty() => Vec::new(),
        Err(error) => return Err(error.context(server.log().tail())),
    };
    if wants_record(step) {
        let record = server
            .record(host, method.as_str(), &step.path, nth)
            .await?;
        found.extend(compare::record(&step.expect, &record));
    }
    Ok((found, time))
}

/// The request that a step describes.
pub(crate) fn request(step: &Step, host: &str) -> anyhow::Result<Request> {
    let mut headers = HeaderMap::new();
    for (name, texts) in &step.headers {
        for text in texts.iter() {
            let name: HeaderName = name.parse().with_context(|| format!("header {name:?}"))?;
            headers.append(name, HeaderValue::from_bytes(text.as_bytes())?);
        }
    }
    let payload = payload(step)?;
    let method = match (&step.method, &payload) {
        (Some(method), _) => method
            .parse()
            .with_context(|| format!("method {method:?}"))?,
        (None, Payload::None) => Method::GET,
        (None, Payload::Bytes(_) | Payload::Sized(_)) => Method::POST,
    };
    Ok(Request {
        host: host.to_owned(),
        method,
        path: step.path.clone(),
        headers,
        payload,
    })
}

fn payload(step: &Step) -> anyhow::Result<Payload> {
    let mut payloads = Vec::new();
    payloads.extend(
        step.body
            .as_ref()
            .map(|text| Payload::Bytes(Bytes::from(text.clone()))),
    );
    if let Some(json) = &step.body_json {
        payloads.push(Payload::Bytes(serde_json::to_vec(json)?.into()));
    }
    if let Some(hex) = &step.body_hex {
        payloads.push(Payload::Bytes(unhex(hex)?.into()));
    }
    payloads.extend(step.body_size.map(Payload::Sized));
    if payloads.len() > 1 {
        bail!("a step has one body");
    }
    Ok(payloads.pop().unwrap_or_default())
}

fn unhex(hex: &str) -> anyhow::Result<Vec<u8>> {
    if !hex.len().is_multiple_of(2) || !hex.is_ascii() {
        bail!("{hex:?} is not hexadecimal");
    }
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).with_context(|| format!("in {hex:?}")))
        .collect()
}

fn wants_record(step: &Step) -> bool {
    let expect = &step.expect;
    expect.outcome.is_some()
        || !expect.outcome_in.is_empty()
        || expect.logs.is_some()
        || !expect.logs_contain.is_empty()
        || !expect.logs_lack.is_empty()
        || !expect.record.is_empty()
        || !expect.record_contain.is_empty()
        || !expect.record_form.is_empty()
}
