//! Requests, over the whole of the edge: its wire, hyper with the settings of the edge, and what is checked behind it.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Buf, Bytes};
use holm_router::{Dispatch, Edge, Exchange, Origin, ResponseBody, Settings, Stats, path};
use http::Response;
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::runtime::{Builder, Runtime};

/// A request as it was dispatched, or as it stands in the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    method: String,
    target: String,
    /// Nothing if it broke off.
    body: Option<Vec<u8>>,
}

/// Keeps what it is asked.
#[derive(Debug, Default)]
struct Ear(Mutex<Vec<Seen>>);

impl Ear {
    fn all(&self) -> std::sync::MutexGuard<'_, Vec<Seen>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Dispatch for Ear {
    async fn dispatch(&self, exchange: Exchange) -> Response<ResponseBody> {
        let (head, body) = exchange.request.into_parts();
        let place = {
            let mut all = self.all();
            all.push(Seen {
                method: head.method.to_string(),
                target: head.uri.to_string(),
                body: None,
            });
            all.len() - 1
        };
        if let Ok(body) = body.collect().await {
            let mut body = body.aggregate();
            let body = body.copy_to_bytes(body.remaining()).to_vec();
            self.all()[place].body = Some(body);
        }
        Response::new(ResponseBody::from(Bytes::new()))
    }
}

struct Bench {
    runtime: Runtime,
    edge: Arc<Edge<Arc<Ear>>>,
    ear: Arc<Ear>,
}

impl Bench {
    fn new() -> Self {
        let ear = Arc::<Ear>::default();
        // Time does not pass but where everybody waits: then at once.
        let runtime = Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .expect("a runtime");
        let edge = Edge::new(ear.clone(), Settings::default(), Arc::new(Stats::default()));
        Self { runtime, edge, ear }
    }

    /// What is dispatched of `wire`, which comes in pieces.
    fn serve(&self, wire: &[u8], cut: usize) -> Vec<Seen> {
        self.ear.all().clear();
        let (mut client, server) = duplex(64 << 10);
        let peer = SocketAddr::from(([192, 0, 2, 1], 1234));
        let connection = self.edge.clone().connection(server, Origin::http(peer));
        self.runtime.block_on(async {
            let talk = async move {
                for piece in wire.chunks(cut.max(1)) {
                    if client.write_all(piece).await.is_err() {
                        break;
                    }
                    tokio::task::yield_now().await;
                }
                let _ = client.shutdown().await;
                let mut answers = Vec::new();
                let _ = client.read_to_end(&mut answers).await;
            };
            tokio::join!(connection, talk);
        });
        std::mem::take(&mut *self.ear.all())
    }
}

/// A byte for the length of pieces, then what a client sends. Over HTTP/1 what is dispatched is what a parser reads that
/// knows one way to say anything; over HTTP/2 nothing fails.
pub fn head(data: &[u8]) {
    thread_local! {
        static BENCH: RefCell<Option<Bench>> = const { RefCell::new(None) };
    }
    let Some((cut, wire)) = data.split_first() else {
        return;
    };
    BENCH.with_borrow_mut(|bench| {
        let bench = bench.get_or_insert_with(Bench::new);
        let seen = bench.serve(wire, usize::from(*cut));
        if wire.starts_with(b"PRI * HTTP/2.0") {
            return;
        }
        let mut plain = strictly(wire).into_iter();
        for request in &seen {
            // The edge answers those itself that nobody may be asked.
            let same = |expected: &Seen| {
                (&request.method, &request.target) == (&expected.method, &encoded(&expected.target))
            };
            let Some(expected) = plain.find(same) else {
                panic!("{request:?} of {seen:?} is not in {:?}", strictly(wire));
            };
            // One that was read whole is the same one; one that broke off was not all there.
            if request.body.is_some() {
                assert_eq!(request.body, expected.body);
            }
        }
    });
}

/// A target as it goes on: its scheme in small letters, with a path, in which what a URL
/// parser would encode is encoded.
fn encoded(target: &str) -> String {
    let (origin, rest) = match target.split_once("://") {
        Some((scheme, rest)) if !target.starts_with('/') => {
            let (authority, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
            (
                format!("{}://{authority}", scheme.to_ascii_lowercase()),
                rest,
            )
        }
        Some(_) | None => (String::new(), target),
    };
    let (path, query) = rest.split_at(rest.find('?').unwrap_or(rest.len()));
    let path = match path {
        "" => "/",
        path => path,
    };
    [&origin, &*path::encode(path), query].concat()
}

/// The requests in `wire`, up to the first thing that could be read in two ways.
fn strictly(mut wire: &[u8]) -> Vec<Seen> {
    let mut all = Vec::new();
    while let Some((request, rest)) = next(wire) {
        let is_whole = request.body.is_some();
        all.push(request);
        if !is_whole {
            break;
        }
        wire = rest;
    }
    all
}

fn next(mut wire: &[u8]) -> Option<(Seen, &[u8])> {
    // Some clients end a body with line breaks that are no part of it (RFC 9112, 2.2).
    while let Some(rest) = wire.strip_prefix(b"\r\n") {
        wire = rest;
    }
    let end = wire.windows(4).position(|four| four == b"\r\n\r\n")?;
    let (head, rest) = (&wire[..end], &wire[end + 4..]);
    let mut lines = head
        .split(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    if head.iter().filter(|byte| **byte == b'\n').count()
        != head.windows(2).filter(|two| two == b"\r\n").count()
    {
        return None;
    }
    let line = std::str::from_utf8(lines.next()?).ok()?;
    let [method, target, version] = line.split(' ').collect::<Vec<_>>().try_into().ok()?;
    let (mut length, mut is_chunked) = (None, false);
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = std::str::from_utf8(&line[..colon]).ok()?;
        if name.is_empty() || name.contains([' ', '\t']) {
            return None;
        }
        let value = line[colon + 1..].trim_ascii();
        if name.eq_ignore_ascii_case("content-length") {
            let digits = std::str::from_utf8(value).ok()?;
            let are_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            if length.is_some() || !are_digits {
                return None;
            }
            length = Some(digits.parse::<u64>().ok()?);
        }
        if name.eq_ignore_ascii_case("transfer-encoding") {
            if is_chunked || !value.eq_ignore_ascii_case(b"chunked") || version != "HTTP/1.1" {
                return None;
            }
            is_chunked = true;
        }
    }
    if is_chunked && length.is_some() {
        return None;
    }
    let (body, rest) = if is_chunked {
        chunks(rest).map_or((None, rest), |(body, rest)| (Some(body), rest))
    } else {
        let length = usize::try_from(length.unwrap_or(0)).unwrap_or(usize::MAX);
        match rest.split_at_checked(length) {
            Some((body, rest)) => (Some(body.to_vec()), rest),
            None => (None, rest),
        }
    };
    let request = Seen {
        method: method.to_owned(),
        target: target.to_owned(),
        body,
    };
    Some((request, rest))
}

/// A chunked body and what follows it.
fn chunks(mut wire: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let line = |wire: &mut &[u8]| {
        let end = wire.windows(2).position(|two| two == b"\r\n")?;
        let line = wire[..end].to_vec();
        *wire = &wire[end + 2..];
        Some(line)
    };
    let mut body = Vec::new();
    loop {
        let size = line(&mut wire)?;
        let digits = size.split(|byte| *byte == b';').next()?;
        let digits = std::str::from_utf8(digits).ok()?;
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let size = usize::from_str_radix(digits, 16).ok()?;
        if size == 0 {
            // Trailers.
            while !line(&mut wire)?.is_empty() {}
            return Some((body, wire));
        }
        let (chunk, rest) = wire.split_at_checked(size)?;
        body.extend_from_slice(chunk);
        wire = rest.strip_prefix(b"\r\n")?;
    }
}
