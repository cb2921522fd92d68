//! Answers that are compressed on their way out: what clients of another make read, what is not held
//! back, and who pays.

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use async_compression::tokio::bufread::GzipDecoder;
use http::Method;
use http_body_util::BodyExt as _;
use libtest_mimic::Trial;
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;

use crate::harness::area::{egress_to_loopback, function, merge, node, table};
use crate::harness::client::Version;
use crate::harness::{Connection, Request, Server, World};

const HOST: &str = "pack.test";

/// Text of half a megabyte that does not repeat itself, and answers of all kinds.
const WORKER: &str = "const words = [];
let seed = 1;
for (let n = 0; n < 80000; n++) {
  seed = (seed * 1103515245 + 12345) % 2147483648;
  words.push(seed.toString(36));
}
const text = words.join(' ');
const page = text.slice(0, 100000);
const type = { 'content-type': 'text/plain' };

export default {
  async fetch(request, env) {
    const { pathname, search } = new URL(request.url);
    switch (pathname) {
      case '/page': return new Response(page, { headers: { ...type, etag: '\"x\"' } });
      case '/large': return new Response(text, { headers: type });
      case '/short': return new Response('short', { headers: type });
      case '/png': return new Response(page, { headers: { 'content-type': 'image/png' } });
      case '/stream': {
        const { readable, writable } = new TransformStream();
        const writer = writable.getWriter();
        writer.write(new TextEncoder().encode('begin '));
        fetch(`${env.ORIGIN}/gone${search}`).then(async (response) => {
          await writer.write(new TextEncoder().encode(await response.text()));
          await writer.close();
        });
        return new Response(readable, { headers: type });
      }
    }
  },
};
";

pub(super) fn trials(world: &Arc<World>) -> Vec<Trial> {
    vec![
        world.trial("compress::curl_reads_all_of_it", async |world| {
            curl(&world).await
        }),
        world.trial("compress::only_what_gets_shorter", async |world| {
            fitting(&world).await
        }),
        world.trial("compress::a_head_says_what_a_get_would", async |world| {
            head(&world).await
        }),
        world.trial("compress::chunks_are_not_held_back", async |world| {
            streamed(&world).await
        }),
        world.trial("compress::the_request_pays", async |world| {
            paid(&world).await
        }),
    ]
}

/// A node whose function `plain` leaves its answers as they are.
async fn serve(world: &World) -> anyhow::Result<Server> {
    let mut plain = function("worker.js", "plain.test");
    let mut pack = function("worker.js", HOST);
    let origin = table([("ORIGIN", world.origin().url().into())]);
    pack.insert("vars".to_owned(), origin.into());
    plain.insert("compress".to_owned(), false.into());
    let mut config = node(table([("pack", pack.into()), ("plain", plain.into())]));
    let server = table([("compress", true.into())]);
    let limits = table([("cpu", "2s".into()), ("startup_cpu", "5s".into())]);
    merge(&mut config, table([("server", server.into())]));
    merge(&mut config, table([("limits", limits.into())]));
    merge(&mut config, egress_to_loopback());
    Server::serve(&config, &[("worker.js", WORKER)]).await
}

fn get(path: &str, accept: &'static str) -> Request {
    Request::get(HOST, path).header("accept-encoding", accept)
}

async fn curl(world: &World) -> anyhow::Result<()> {
    let server = serve(world).await?;
    let to = server.address();
    for path in ["/page", "/large"] {
        let whole = Request::get(HOST, path).send(to).await?;
        ensure!(
            !whole.headers.contains_key("content-encoding"),
            "{:?}",
            whole.headers
        );
        for coding in ["gzip", "br", "zstd"] {
            let packed = get(path, coding).send(to).await?;
            ensure!(
                packed.headers["content-encoding"] == coding,
                "{:?}",
                packed.headers
            );
            ensure!(packed.body.len() < whole.body.len(), "{coding} {path}");
            let curl = Command::new("curl")
                .args(["--silent", "--show-error", "--compressed"])
                .args(["--header", &format!("accept-encoding: {coding}")])
                .args(["--header", &format!("host: {HOST}")])
                .arg(format!("http://{to}{path}"))
                .output()
                .await?;
            let errors = String::from_utf8_lossy(&curl.stderr);
            ensure!(curl.stdout == whole.body, "{coding} {path}: {errors}");
        }
    }
    server.assert_healthy().await
}

async fn fitting(world: &World) -> anyhow::Result<()> {
    let server = serve(world).await?;
    let to = server.address();
    let packed = get("/page", "gzip, br;q=0.5").send(to).await?;
    ensure!(
        packed.headers["content-encoding"] == "gzip",
        "{:?}",
        packed.headers
    );
    ensure!(packed.headers["vary"] == "accept-encoding");
    ensure!(packed.headers["etag"] == "W/\"x\"");
    let length = packed.headers["content-length"]
        .to_str()?
        .parse::<usize>()?;
    ensure!(length == packed.body.len() && length < 90_000, "{length}");
    for (path, accept, varies) in [
        ("/page", "identity", true),
        ("/page", "gzip;q=0", true),
        ("/short", "gzip", false),
        ("/png", "gzip", false),
    ] {
        let answer = get(path, accept).send(to).await?;
        let headers = &answer.headers;
        ensure!(
            !headers.contains_key("content-encoding"),
            "{path}: {headers:?}"
        );
        ensure!(
            headers.contains_key("vary") == varies,
            "{path}: {headers:?}"
        );
    }
    let mut plain = get("/page", "gzip");
    plain.host = "plain.test".to_owned();
    let answer = plain.send(to).await?;
    ensure!(!answer.headers.contains_key("content-encoding"));
    ensure!(!answer.headers.contains_key("vary"));
    ensure!(answer.headers["etag"] == "\"x\"");
    server.assert_healthy().await
}

/// But for the length, which nobody knows.
async fn head(world: &World) -> anyhow::Result<()> {
    let server = serve(world).await?;
    let to = server.address();
    for (path, accept) in [
        ("/page", "gzip"),
        ("/large", "br"),
        ("/page", "identity"),
        ("/short", "gzip"),
        ("/png", "gzip"),
    ] {
        let of_get = get(path, accept).send(to).await?.headers;
        let mut request = get(path, accept);
        request.method = Method::HEAD;
        let of_head = request.send(to).await?;
        ensure!(of_head.body.is_empty(), "{path}");
        let of_head = of_head.headers;
        for name in ["content-encoding", "content-type", "etag", "vary"] {
            let same = of_get.get(name) == of_head.get(name);
            ensure!(same, "{path} {accept} {name}: {of_get:?} {of_head:?}");
        }
        let length = of_head.get("content-length");
        ensure!(
            length.is_none_or(|length| of_get.get("content-length") == Some(length)),
            "{path} {accept}: {of_get:?} {of_head:?}"
        );
        let is_packed = of_head.contains_key("content-encoding");
        ensure!(
            length.is_some() != is_packed,
            "{path} {accept}: {of_head:?}"
        );
    }
    server.assert_healthy().await
}

async fn streamed(world: &World) -> anyhow::Result<()> {
    let server = serve(world).await?;
    let mut connection = Connection::open(server.address(), Version::Http1).await?;
    let answer = connection.head(get("/stream?pack", "gzip")).await?;
    ensure!(answer.headers()["content-encoding"] == "gzip");
    let mut body = answer.into_body();
    let mut packed = Vec::new();
    // What was given so far can be read, although the rest has not been asked for.
    loop {
        let mut text = [0; 6];
        let mut decoder = GzipDecoder::new(packed.as_slice());
        if decoder.read_exact(&mut text).await.is_ok() {
            ensure!(&text == b"begin ", "{text:?}");
            break;
        }
        let frame = body.frame().await.context("no more")??;
        packed.extend(frame.into_data().ok().context("trailers")?);
    }
    world.origin().release("pack");
    packed.extend(body.collect().await?.to_bytes());
    let mut text = String::new();
    let mut decoder = GzipDecoder::new(packed.as_slice());
    decoder.read_to_string(&mut text).await?;
    ensure!(text == "begin gone", "{text}");
    server.assert_healthy().await
}

/// Compressing takes longer than making the answer, and is in the record.
async fn paid(world: &World) -> anyhow::Result<()> {
    const TIMES: usize = 4;
    let server = serve(world).await?;
    // At once, and in pieces.
    for path in ["/page", "/large"] {
        let mut least = Vec::new();
        for (round, accept) in ["identity", "br"].into_iter().enumerate() {
            let mut spent = Vec::new();
            for n in 0..TIMES {
                get(path, accept).send(server.address()).await?;
                let record = server.record(HOST, "GET", path, round * TIMES + n).await?;
                spent.push(record["cpuUs"].as_u64().context("no CPU time")?);
            }
            least.push(spent.into_iter().min().context("no record")?);
        }
        ensure!(least[1] > least[0] + 1_000, "{path}: {least:?}");
    }
    server.assert_healthy().await
}
