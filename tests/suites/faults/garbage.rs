//! A cell that was taken over says what it may not.
//!
//! The test takes a copy of the cell's end of its socket, which takes the rights of root, and speaks in its name.

use std::fs;
use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;

use anyhow::Context as _;
use anyhow::ensure;
use holm_model::message::{BodyKind, Fields, FromCell, StreamId, StreamMessage, put};
use holm_model::outbound::Way;
use holm_model::outcome::Outcome;
use http::HeaderMap;
use rustix::io::Errno;
use rustix::net::sockopt::socket_peercred;
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

use super::{FILES, ask_behind, config, host, impatient, quick_cell};
use crate::harness::log::{is_record, record_path};
use crate::harness::processes::is_alive;
use crate::harness::program::until;
use crate::harness::{Request, Server, World};

/// Its process is killed, the request in it fails, and nothing else happens.
pub(super) async fn garbage(world: &World) -> anyhow::Result<()> {
    let mut limits = impatient();
    limits.insert("max_isolates".to_owned(), 1.into());
    limits.insert("idle".to_owned(), "1min".into());
    let server = Server::serve(&config(world, limits), FILES).await?;
    for (nth, (what, bytes)) in sayings().into_iter().enumerate() {
        let cell = quick_cell(&server).await?;
        let mut socket = match socket_of(cell, server.pid()) {
            Ok(socket) => socket,
            Err(error) if error.downcast_ref() == Some(&Errno::PERM) => {
                println!("skipped: no right to the descriptors of another process");
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let key = format!("faults-garbage-{nth}");
        let held = Request::get(&host("a"), &format!("/hold?{key}"));
        let address = server.address();
        let held = tokio::spawn(async move { held.send(address).await });
        world.origin().reached(&key).await;
        let mut asked = ask_behind(address);
        socket.write_all(&bytes)?;
        let answer = held.await??;
        let outcome = answer.headers.get("holm-outcome");
        let outcome = outcome.with_context(|| format!("{what}: {answer:?}"))?;
        ensure!(outcome == "crashed", "{what}: {answer:?}");
        while let Some(answer) = asked.join_next().await {
            let answer = answer??;
            ensure!(answer.status == 200, "{what}: {answer:?}");
        }
        let gone = until(|| Ok((!is_alive(cell)).then_some(()))).await?;
        gone.with_context(|| format!("{what}: it lives"))?;
        world.origin().gone(&key).await;
    }
    let of_it = |line: &serde_json::Value| is_record(line) && record_path(line) == "/hold";
    let record = server.log().first("its record", of_it).await?;
    ensure!(record["outcome"] == "crashed", "{record}");
    server.assert_healthy().await
}

/// What no cell says, each with a word for it.
fn sayings() -> Vec<(&'static str, Vec<u8>)> {
    let fields = HeaderMap::new();
    let say = |message: FromCell<'_>, payload: &[u8]| {
        let mut bytes = Vec::new();
        put(&mut bytes, &message, payload);
        bytes
    };
    let reply = FromCell::Reply {
        seq: 1,
        status: 42,
        fields: Fields::Map(&fields),
        body: BodyKind::Empty,
        settled: None,
    };
    let fetch = FromCell::Fetch {
        seq: 1,
        fetch: u32::MAX,
        way: Way::Out,
        method: "GET",
        url: "nowhere",
        fields: Fields::Map(&fields),
        body: BodyKind::Empty,
    };
    let failed = FromCell::Failed {
        seq: 1,
        outcome: Outcome::ExceededCpu,
        thrown: None,
    };
    let not_its = FromCell::Stream(StreamId::Request(1), StreamMessage::Chunk);
    vec![
        ("a frame of 4 GiB", vec![0xFF; 64]),
        ("a frame of nothing", vec![0; 4]),
        ("a kind that there is not", vec![1, 0, 0, 0, 0xFF]),
        ("a status that is none", say(reply, b"")),
        ("a URL that is none", say(fetch, b"")),
        ("an outcome that it does not know", say(failed, b"")),
        ("a chunk of a body that it reads", say(not_its, b"x")),
    ]
}

/// A copy of the socket between a cell and the edge: the only one that the edge has made.
fn socket_of(cell: u32, edge: u32) -> anyhow::Result<UnixStream> {
    let pid = |number: u32| Pid::from_raw(number.try_into()?).context("no process");
    let process = pidfd_open(pid(cell)?, PidfdFlags::empty())?;
    for entry in fs::read_dir(format!("/proc/{cell}/fd"))? {
        let entry = entry?;
        let target = fs::read_link(entry.path())?;
        if !target.to_string_lossy().starts_with("socket:") {
            continue;
        }
        let number = entry.file_name().to_string_lossy().parse()?;
        let socket = pidfd_getfd(process.as_fd(), number, PidfdGetfdFlags::empty())?;
        if socket_peercred(&socket)?.pid == pid(edge)? {
            return Ok(UnixStream::from(socket));
        }
    }
    anyhow::bail!("it has no such socket")
}
