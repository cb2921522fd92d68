//! A cell whose process somebody else has taken over: it says what no cell may say.
//!
//! The words are put into its socket from outside, which takes the rights of root: without, this is skipped.

use std::fs;
use std::io::Write as _;
use std::os::unix::net::UnixStream;

use anyhow::{Context as _, ensure};
use holm_model::message::{BodyKind, Fields, FromCell, MAX_FRAME, StreamId, StreamMessage, put};
use holm_model::outbound::Way;
use holm_model::outcome::Outcome;
use http::HeaderMap;
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

use super::{FILES, config, host, impatient};
use crate::harness::processes::is_alive;
use crate::harness::program::until;
use crate::harness::{Request, Server, World};

/// The request that is in the cell: the second one that it has.
const SEQ: u32 = 2;

/// The subrequest that it has made.
const FETCH: u32 = 1;

fn frames(messages: &[(FromCell<'_>, &[u8])]) -> Vec<u8> {
    let mut wire = Vec::new();
    for (message, payload) in messages {
        put(&mut wire, message, payload);
    }
    wire
}

fn reply(status: u16, body: BodyKind, none: &HeaderMap) -> FromCell<'_> {
    FromCell::Reply {
        seq: SEQ,
        status,
        fields: Fields::Map(none),
        body,
        settled: None,
    }
}

fn fetch<'a>(
    number: u32,
    method: &'a str,
    url: &'a str,
    body: BodyKind,
    none: &'a HeaderMap,
) -> FromCell<'a> {
    FromCell::Fetch {
        seq: SEQ,
        fetch: number,
        way: Way::Out,
        method,
        url,
        fields: Fields::Map(none),
        body,
    }
}

/// What no cell says, each with its name. Words about streams and sockets that are over are passed over: they may have been
/// under way.
fn cases() -> Vec<(&'static str, Vec<u8>)> {
    let none = HeaderMap::new();
    let empty: &[u8] = b"";
    let one = |message: FromCell<'_>| frames(&[(message, empty)]);
    let url = "http://127.0.0.1:1/";
    let too_long = u32::try_from(MAX_FRAME + 1).unwrap_or(u32::MAX);
    let stream = BodyKind::Stream { length: None };
    let pass = |of| BodyKind::Pass { of, length: None };
    let failed = |outcome| FromCell::Failed {
        seq: SEQ,
        outcome,
        thrown: None,
    };
    let chunk = |id| FromCell::Stream(id, StreamMessage::Chunk);
    let mut floods = vec![(reply(200, stream, &none), empty)];
    floods.extend((0..100).map(|_| (chunk(StreamId::Reply(SEQ)), &b"x"[..])));
    let many: Vec<_> = (2..200)
        .map(|n| (fetch(n, "GET", url, BodyKind::Empty, &none), empty))
        .collect();
    vec![
        ("a frame of no end", vec![0xff; 64]),
        ("a frame that is too long", too_long.to_le_bytes().to_vec()),
        ("a message that there is not", vec![3, 0, 0, 0, 0x7f, 1, 2]),
        ("an empty message", vec![0, 0, 0, 0]),
        ("a message that ends early", vec![2, 0, 0, 0, 4, 2]),
        (
            "a status that there is not",
            one(reply(99, BodyKind::Empty, &none)),
        ),
        ("an interim answer", one(reply(103, BodyKind::Empty, &none))),
        (
            "an upgrade to nothing",
            one(reply(101, BodyKind::Empty, &none)),
        ),
        (
            "two answers",
            frames(&[
                (reply(200, stream, &none), empty),
                (reply(200, BodyKind::Empty, &none), empty),
            ]),
        ),
        (
            "more than its memory",
            one(reply(200, BodyKind::Large { length: 1 << 40 }, &none)),
        ),
        (
            "a body that nobody has",
            one(reply(200, pass(StreamId::Request(77)), &none)),
        ),
        (
            "a body of its own, passed on",
            one(reply(200, pass(StreamId::Fetch(1)), &none)),
        ),
        (
            "a verdict that is the node's",
            one(failed(Outcome::ExceededCpu)),
        ),
        ("a good end that failed", one(failed(Outcome::Ok))),
        (
            "chunks of what the node writes",
            frames(&[(chunk(StreamId::Request(SEQ)), b"x")]),
        ),
        ("chunks that nobody asked for", frames(&floods)),
        (
            "a line that is no text",
            frames(&[(
                FromCell::Log {
                    seq: SEQ,
                    level: holm_model::log::Level::Info,
                    dropped: 0,
                },
                &[0xff, 0xfe],
            )]),
        ),
        (
            "a subrequest again",
            one(fetch(FETCH, "GET", url, BodyKind::Empty, &none)),
        ),
        (
            "a subrequest without a URL",
            one(fetch(2, "GET", "nonsense", BodyKind::Empty, &none)),
        ),
        (
            "a subrequest of two words",
            one(fetch(2, "GET /", url, BodyKind::Empty, &none)),
        ),
        (
            "a subrequest that is a socket",
            one(fetch(2, "GET", url, BodyKind::Socket, &none)),
        ),
        ("more subrequests than it may", frames(&many)),
    ]
}

/// The end of the socket that `cell` has, if this process may have it.
fn socket_of(cell: u32) -> anyhow::Result<Option<UnixStream>> {
    let folder = fs::read_dir(format!("/proc/{cell}/fd"));
    let Ok(folder) = folder else {
        return Ok(None);
    };
    let pid = Pid::from_raw(i32::try_from(cell)?).context("a process")?;
    let process = pidfd_open(pid, PidfdFlags::empty())?;
    for entry in folder {
        let entry = entry?;
        let Ok(target) = fs::read_link(entry.path()) else {
            return Ok(None);
        };
        if !target.to_string_lossy().starts_with("socket:") {
            continue;
        }
        let number: i32 = entry.file_name().to_string_lossy().parse()?;
        return match pidfd_getfd(&process, number, PidfdGetfdFlags::empty()) {
            Ok(socket) => Ok(Some(UnixStream::from(socket))),
            Err(_) => Ok(None),
        };
    }
    Ok(None)
}

pub(super) async fn garbage(world: &World) -> anyhow::Result<()> {
    let mut limits = impatient();
    limits.insert("max_isolates".to_owned(), 1.into());
    limits.insert("idle".to_owned(), "10min".into());
    let server = Server::serve(&config(world, limits), FILES).await?;
    let address = server.address();
    let answer = Request::get(&host("b"), "/").send(address).await?;
    ensure!(answer.status == 200, "{answer:?}");
    let neighbours = server.family().cells("b")?;
    let zygote = server.family().zygote()?;
    for (number, (name, words)) in cases().into_iter().enumerate() {
        let answer = Request::get(&host("a"), "/").send(address).await?;
        ensure!(answer.status == 200, "before {name}: {answer:?}");
        let cells = server.family().cells("a")?;
        let [cell] = cells[..] else {
            anyhow::bail!("before {name}: {cells:?}");
        };
        let key = format!("faults-garbage-{number}");
        let held = Request::get(&host("a"), &format!("/hold?{key}"));
        let held = tokio::spawn(async move { held.send(address).await });
        world.origin().reached(&key).await;
        let Some(mut socket) = socket_of(cell)? else {
            println!("skipped: the socket of a cell cannot be had");
            return Ok(());
        };
        socket.set_nonblocking(false)?;
        // It is killed in the middle of it.
        let _ = socket.write_all(&words);
        drop(socket);
        let gone = until(|| Ok((!is_alive(cell)).then_some(()))).await?;
        ensure!(gone.is_some(), "{name}: it lives on");
        // Its request fails, or breaks off where it was answered; and what it asked of others goes with it.
        if let Ok(answer) = held.await? {
            ensure!(
                answer.status == 500 && answer.headers["holm-outcome"] == "crashed"
                    || answer.broken.is_some(),
                "{name}: {answer:?}"
            );
        }
        world.origin().gone(&key).await;
    }
    // Nobody else noticed, and it answers again.
    for name in ["a", "b", "c"] {
        let answer = Request::get(&host(name), "/").send(address).await?;
        ensure!(answer.status == 200, "{name}: {answer:?}");
    }
    ensure!(server.family().cells("b")? == neighbours);
    ensure!(server.family().zygote()? == zygote);
    let errors = server.log().events("error");
    ensure!(errors.is_empty(), "{errors:?}");
    server.assert_healthy().await
}
