//! Who may ask, and when.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use http::Method;
use libtest_mimic::Trial;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use super::{HOST, Node, config, in_server, open, refused, text, with_socket};
use crate::harness::area::{function, merge, table};
use crate::harness::{Request, Server, World, neighbour, program};

const TOKEN: &str = "a-token-that-nobody-guesses";

/// Connections of the flood, far more than the listener serves at a time.
const FLOOD: usize = 200;

pub(super) fn trials(world: &Arc<World>) -> Vec<Trial> {
    vec![
        world.trial("admin::each_path_and_method", async |world| {
            paths(&world).await
        }),
        world.trial("admin::browsers_are_refused", async |world| {
            browsers(&world).await
        }),
        world.trial("admin::a_token_is_asked_for", async |world| {
            token(&world).await
        }),
        world.trial(
            "admin::no_route_and_no_function_gets_there",
            async |world| apart(&world).await,
        ),
        world.trial("admin::a_socket_is_its_users", async |world| {
            socket(&world).await
        }),
        world.trial("admin::answers_until_the_drain_is_over", async |world| {
            draining(&world).await
        }),
        world.trial("admin::a_flood_hurts_nobody", async |world| {
            flood(&world).await
        }),
    ]
}

async fn paths(world: &World) -> anyhow::Result<()> {
    let node = Node::serve(&config(world), &[]).await?;
    for (method, path, status, part) in [
        (Method::GET, "/healthz", 200, "ok"),
        (Method::GET, "/readyz", 200, "ready"),
        (Method::GET, "/metrics", 200, "# EOF"),
        (Method::GET, "/status", 200, "\"stage\": \"serving\""),
        (Method::GET, "/", 200, "/metrics"),
        (Method::HEAD, "/status", 200, ""),
        (Method::GET, "/nothing", 404, "/status"),
        (Method::POST, "/status", 405, "GET, HEAD"),
        (Method::DELETE, "/metrics", 405, "GET, HEAD"),
        (Method::GET, "/reload", 405, "POST"),
        (Method::OPTIONS, "/reload", 405, "POST"),
        // Without the header that says that it is meant.
        (Method::POST, "/reload", 403, "holm-admin"),
    ] {
        let request = Request {
            method: method.clone(),
            ..Request::get("localhost:9090", path)
        };
        let answer = request.send(node.admin).await?;
        let said = text(&answer);
        ensure!(answer.status == status, "{method} {path}: {answer:?}");
        ensure!(said.contains(part), "{method} {path}: {said}");
        ensure!(answer.headers["cache-control"] == "no-store");
        let cors = answer.headers.keys();
        let mut cors = cors.filter(|name| name.as_str().starts_with("access-control"));
        ensure!(cors.next().is_none(), "{answer:?}");
    }
    node.server.assert_healthy().await
}

/// What a page on the same machine could send.
async fn browsers(world: &World) -> anyhow::Result<()> {
    let node = Node::serve(&config(world), &[]).await?;
    for host in ["attacker.example", "127.0.0.1.attacker.example", HOST, ""] {
        for path in ["/status", "/metrics", "/healthz"] {
            let answer = Request::get(host, path).send(node.admin).await?;
            ensure!(answer.status == 403, "{host} {path}: {answer:?}");
        }
    }
    let reload = Request::post("127.0.0.1", "/reload", "").header("holm-admin", "1");
    let answer = reload.clone().send(node.admin).await?;
    ensure!(answer.status != 403, "{answer:?}");
    for origin in ["http://attacker.example", "null", "http://127.0.0.1"] {
        let answer = reload
            .clone()
            .header("origin", origin)
            .send(node.admin)
            .await?;
        ensure!(answer.status == 403, "{origin}: {answer:?}");
    }
    Ok(())
}

async fn token(world: &World) -> anyhow::Result<()> {
    let mut config = config(world);
    merge(&mut config, in_server("admin_token", "file:token"));
    let node = Node::serve(&config, &[("token", TOKEN)]).await?;
    for (value, status) in [
        ("", 401),
        ("Bearer a-token-that-nobody-guesseS", 401),
        ("Bearer a-token-that-nobody-guesses0", 401),
        ("Bearer ", 401),
        ("a-token-that-nobody-guesses", 401),
        ("Bearer a-token-that-nobody-guesses", 200),
    ] {
        for path in ["/status", "/metrics"] {
            // Whatever the host: a page has no token.
            let mut request = Request::get("admin.example", path);
            if !value.is_empty() {
                request = request.header("authorization", value);
            }
            let answer = request.send(node.admin).await?;
            ensure!(answer.status == status, "{value} {path}: {answer:?}");
            let asks = answer.headers.contains_key("www-authenticate");
            ensure!(asks == (status == 401), "{answer:?}");
        }
    }
    // For probes, which have none.
    for path in ["/healthz", "/readyz"] {
        let answer = Request::get("10.0.0.1", path).send(node.admin).await?;
        ensure!(answer.status == 200, "{path}: {answer:?}");
    }
    let log = node.server.log();
    let all: Vec<_> = ["info", "warn", "error"]
        .map(|level| log.events(level))
        .concat();
    ensure!(
        !all.is_empty() && !format!("{all:?}").contains(TOKEN),
        "{all:?}"
    );
    Ok(())
}

/// What a function may reach, and which hosts it has, is no way in.
async fn apart(world: &World) -> anyhow::Result<()> {
    let node = Node::serve(&config(world), &[]).await?;
    for path in ["/metrics", "/status", "/healthz"] {
        for host in [HOST, "127.0.0.1", "localhost"] {
            let answer = Request::get(host, path).send(node.server.address()).await?;
            let said = text(&answer);
            ensure!(said == format!("function {path}"), "{host} {path}: {said}");
        }
    }
    let port = node.admin.port();
    for host in [
        "127.0.0.1",
        "localhost",
        "0.0.0.0",
        "[::ffff:127.0.0.1]",
        "2130706433",
    ] {
        let url = format!("http://{host}:{port}/status");
        let answer = node.ask(&format!("/fetch?url={url}")).await?;
        let said = text(&answer);
        ensure!(said.starts_with("refused: "), "{host}: {said}");
    }
    // It is not that nothing can be reached.
    let url = format!("{}/hello", world.origin().url());
    let answer = node.ask(&format!("/fetch?url={url}")).await?;
    ensure!(!text(&answer).starts_with("refused: "), "{answer:?}");
    Ok(())
}

async fn socket(world: &World) -> anyhow::Result<()> {
    let (server, folder) = with_socket(world).await?;
    let path = folder.path().join("admin.sock");
    let mode = std::fs::metadata(&path)?.permissions().mode();
    ensure!(mode & 0o777 == 0o600, "mode {mode:o}");
    let mut stream = UnixStream::connect(&path).await?;
    stream
        .write_all(b"GET /readyz HTTP/1.1\r\nhost: whatever.example\r\nconnection: close\r\n\r\n")
        .await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    ensure!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    // A second node does not take it away.
    let args = ["serve".to_owned(), "holm.toml".to_owned()];
    let second = program::run(folder.path(), &args).await?;
    ensure!(second.status.code() == Some(4), "{second:?}");
    ensure!(
        second.stderr.contains("in use by another program"),
        "{second:?}"
    );
    server.terminate().await?;
    let status = server.ended().await?;
    ensure!(status.success(), "ended with {status}");
    ensure!(!path.exists(), "the socket is still there");
    // What a killed node has left is cleared away; what is no socket is not.
    drop(std::os::unix::net::UnixListener::bind(&path)?);
    let again = Server::spawn(&["serve", "holm.toml"], folder.path()).await?;
    again.assert_healthy().await?;
    drop(again);
    let _ = std::fs::remove_file(&path);
    std::fs::write(&path, "mine")?;
    let third = program::run(folder.path(), &args).await?;
    ensure!(third.status.code() == Some(4), "{third:?}");
    ensure!(std::fs::read_to_string(&path)? == "mine");
    Ok(())
}

async fn draining(world: &World) -> anyhow::Result<()> {
    let node = Node::serve(&config(world), &[]).await?;
    let mut connection = open(node.server.address()).await?;
    let gate = "admin-drain";
    let waiting = connection.head(Request::get(HOST, "/wait?gate=?admin-drain"));
    let signal = async {
        // Its function has it.
        while node.status().await?["functions"][0]["isolates"]["waiting"] != 1 {
            tokio::task::yield_now().await;
        }
        node.server.terminate().await?;
        refused(node.server.address()).await;
        let ready = node.get("/readyz").await?;
        ensure!(
            ready.status == 503 && text(&ready).contains("draining"),
            "{ready:?}"
        );
        ensure!(node.get("/healthz").await?.status == 200);
        ensure!(node.get("/metrics").await?.status == 200);
        let status = node.status().await?;
        ensure!(
            status["stage"] == "draining" && status["ready"] == false,
            "{status}"
        );
        world.origin().release(gate);
        Ok(())
    };
    let (answer, signalled) = tokio::join!(waiting, signal);
    signalled?;
    let answer = answer.context("the request in flight failed")?;
    ensure!(answer.status() == 200, "status {}", answer.status());
    drop(answer);
    drop(connection);
    let status = node.server.ended().await?;
    ensure!(status.success(), "ended with {status}");
    refused(node.admin).await;
    Ok(())
}

/// Connections that say nothing, and such that ask without end.
async fn flood(world: &World) -> anyhow::Result<()> {
    let mut config = config(world);
    let neighbour_of = function("neighbour.js", neighbour::HOST);
    let functions = table([("neighbour", neighbour_of.into())]);
    merge(&mut config, table([("functions", functions.into())]));
    let worker =
        "export default { fetch() { return Response.json({ greeting: 'hi', polluted: 0 }); } };";
    let node = Node::serve(&config, &[("neighbour.js", worker)]).await?;
    let load = neighbour::Load::begin(node.server.address()).await?;
    let mut silent = Vec::new();
    for _ in 0..FLOOD {
        silent.push(tokio::net::TcpStream::connect(node.admin).await?);
    }
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let admin = node.admin;
        asking.spawn(async move {
            for _ in 0..FLOOD {
                let Ok(mut connection) = open(admin).await else {
                    continue;
                };
                // Some are cut off to make room for others.
                let _ = connection
                    .exchange(Request::get("127.0.0.1", "/metrics"))
                    .await;
                let _ = connection
                    .exchange(Request::get("127.0.0.1", "/healthz"))
                    .await;
            }
        });
    }
    // Nobody is kept out by those who say nothing.
    ensure!(node.get("/healthz").await.is_ok(), "kept out");
    let status = node.status().await?;
    let open = status["node"]["process"]["openFiles"].as_u64();
    ensure!(
        open.is_some_and(|open| open < FLOOD as u64),
        "{open:?} descriptors"
    );
    while let Some(ended) = asking.join_next().await {
        ended?;
    }
    load.end().await?;
    drop(silent);
    node.server.assert_healthy().await
}
