//! Connections that live on their function's own thread, because they keep asking for it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{bail, ensure};
use libtest_mimic::Trial;

use crate::harness::area::{function, node, table};
use crate::harness::client::{Answer, Version};
use crate::harness::{Connection, Request, Server, World, program};

/// Requests after which a connection has moved in for sure.
const HOT: usize = 200;

/// Times that they are asked for until they are seen to have moved in.
const ROUNDS: usize = 20;

/// No answer and no end of the connection takes that long, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(20);

const WORKER: &str = r#"export default {
  fetch(request, env) {
    switch (new URL(request.url).pathname) {
      case "/loop":
        for (;;);
      case "/stuck": {
        // A search inside V8 that takes minutes and does not look up.
        const needle = "a".repeat(5e6) + "b" + "a".repeat(5e6);
        return new Response(String("a".repeat(2e7).indexOf(needle)));
      }
      default:
        return new Response(env.NAME);
    }
  },
};
"#;

pub(super) fn trials(world: &Arc<World>) -> Vec<Trial> {
    vec![
        world.trial("home::moves_between_functions", async |_| between().await),
        world.trial("home::survives_its_isolate", async |_| condemned().await),
        world.trial("home::of_a_stuck_isolate_is_answered", async |_| {
            stuck().await
        }),
    ]
}

async fn serve() -> anyhow::Result<Server> {
    let mut functions = toml::Table::new();
    for name in ["a", "b"] {
        let mut keys = function("worker.js", &host(name));
        keys.insert("vars".to_owned(), table([("NAME", name.into())]).into());
        functions.insert(name.to_owned(), keys.into());
    }
    Server::serve(&node(functions), &[("worker.js", WORKER)]).await
}

fn host(name: &str) -> String {
    format!("{name}.home.test")
}

async fn ask(connection: &mut Connection, name: &str) -> anyhow::Result<()> {
    let answer = connection.exchange(Request::get(&host(name), "/")).await?;
    let text = String::from_utf8_lossy(&answer.body);
    ensure!(
        answer.status == 200 && text == name,
        "{} {text}",
        answer.status
    );
    Ok(())
}

fn check_exceeded_cpu(answer: &Answer) -> anyhow::Result<()> {
    ensure!(
        answer.status == 503 && answer.headers["holm-outcome"] == "exceededCpu",
        "{} {:?}",
        answer.status,
        answer.headers
    );
    Ok(())
}

async fn between() -> anyhow::Result<()> {
    let server = serve().await?;
    let mut connection = Connection::open(server.address(), Version::Http1).await?;
    for name in ["a", "b", "a"] {
        for _ in 0..HOT {
            ask(&mut connection, name).await?;
        }
        moved_in(&server, &mut connection, name).await?;
    }
    server.assert_healthy().await
}

/// Whether the connection is where its function is: the work of requests is all done on that thread,
/// and the I/O threads, which take more than half of it otherwise, have none.
async fn moved_in(server: &Server, connection: &mut Connection, name: &str) -> anyhow::Result<()> {
    let thread = format!("holm-{name}");
    let spent = || -> anyhow::Result<_> {
        let io = program::thread_cpu(server.pid(), "holm-io")?;
        Ok((io, program::thread_cpu(server.pid(), &thread)?))
    };
    let mut seen = Vec::new();
    // It does not while its function is slow, as functions are on a busy machine.
    for _ in 0..ROUNDS {
        let (io, own) = spent()?;
        for _ in 0..HOT {
            ask(connection, name).await?;
        }
        let (io_after, own_after) = spent()?;
        let (io, own) = (io_after - io, own_after - own);
        if io * 4 < own {
            return Ok(());
        }
        seen.push((io, own));
    }
    bail!("{name}: CPU time on I/O threads and at home: {seen:?}")
}

/// The isolate ends; its connections go on.
async fn condemned() -> anyhow::Result<()> {
    let server = serve().await?;
    let mut guest = Connection::open(server.address(), Version::Http1).await?;
    let mut other = Connection::open(server.address(), Version::Http1).await?;
    for _ in 0..3 {
        for _ in 0..HOT {
            ask(&mut guest, "a").await?;
            ask(&mut other, "a").await?;
        }
        let looped = guest.exchange(Request::get(&host("a"), "/loop")).await?;
        check_exceeded_cpu(&looped)?;
    }
    ask(&mut guest, "a").await?;
    ask(&mut other, "b").await?;
    server.assert_healthy().await
}

/// The isolate's thread is lost, and its connections with it: the request is answered all the same.
async fn stuck() -> anyhow::Result<()> {
    let server = serve().await?;
    let mut guest = Connection::open(server.address(), Version::Http1).await?;
    let mut other = Connection::open(server.address(), Version::Http1).await?;
    for _ in 0..HOT {
        ask(&mut guest, "a").await?;
        ask(&mut other, "b").await?;
    }
    let stuck = guest.exchange(Request::get(&host("a"), "/stuck"));
    let answer = tokio::time::timeout(PATIENCE, stuck).await?;
    check_exceeded_cpu(&answer?)?;
    // Neither the neighbour nor the function's next client sees anything of it.
    ask(&mut other, "b").await?;
    let mut next = Connection::open(server.address(), Version::Http1).await?;
    for _ in 0..HOT {
        ask(&mut next, "a").await?;
    }
    server.assert_healthy().await
}
