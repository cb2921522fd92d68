//! Files beside a function: what is served, how, and what never is.

mod paths;
mod sent;

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Arc;

use anyhow::Context as _;
use anyhow::ensure;
use http::Method;
use http::StatusCode;
use libtest_mimic::Trial;
use tempfile::TempDir;
use toml::Table;

use crate::harness::area::{function, merge, node, table};
use crate::harness::client::Answer;
use crate::harness::{Request, Server, World};

const WORKER: &str = "export default {
  async fetch(request, env) {
    const url = new URL(request.url);
    if (url.pathname.startsWith('/asset/')) {
      const path = url.pathname.slice('/asset'.length);
      const init = { method: request.method, headers: request.headers };
      return env.ASSETS.fetch(new URL(path, url), init);
    }
    if (url.pathname === '/many') {
      for (let i = 0; i < 4; i++) await env.ASSETS.fetch('http://x.test/a.txt');
    }
    if (url.pathname === '/length') {
      const response = await env.ASSETS.fetch('http://x.test/large.bin');
      return new Response(String((await response.arrayBuffer()).byteLength));
    }
    if (url.pathname === '/neighbour') {
      const response = await fetch('http://files.test/a.txt');
      return new Response(`${response.status} ${await response.text()}`);
    }
    return new Response(`function ${request.method} ${url.pathname}`);
  },
};
";

/// Bytes of the file that is sent in many pieces.
const LARGE: usize = 1 << 20;

pub(super) fn trials(world: &Arc<World>) -> Vec<Trial> {
    vec![
        world.trial("assets::paths", async |_| paths::paths().await),
        world.trial("assets::hostile_paths", async |_| {
            paths::hostile_paths().await
        }),
        world.trial("assets::links_made_later", async |_| paths::links().await),
        world.trial("assets::validators_and_ranges", async |_| {
            sent::ranges().await
        }),
        world.trial("assets::codings", async |_| sent::codings().await),
        world.trial("assets::rules", async |_| paths::rules().await),
        world.trial("assets::what_is_not_there", async |_| {
            paths::not_found().await
        }),
        world.trial("assets::binding", async |_| binding().await),
        world.trial("assets::files_that_change", async |_| changes().await),
        world.trial("assets::slow_and_leaving_clients", async |_| {
            sent::leaving().await
        }),
        world.trial("assets::faults", async |_| faults().await),
    ]
}

/// A folder with files, and a secret beside it.
fn site() -> anyhow::Result<TempDir> {
    let folder = tempfile::tempdir()?;
    let large: Vec<u8> = (0..LARGE).map(|n| (n % 251) as u8).collect();
    let files: [(&str, &[u8]); 22] = [
        ("worker.js", WORKER.as_bytes()),
        ("secret.txt", b"secret"),
        ("public/index.html", b"<h1>index</h1>"),
        ("public/404.html", b"<h1>none</h1>"),
        ("public/docs/404.html", b"<h1>no docs</h1>"),
        ("public/about.html", b"<h1>about</h1>"),
        ("public/docs/index.html", b"<h1>docs</h1>"),
        ("public/docs/a b\u{e9}.html", b"<h1>spaced</h1>"),
        ("public/a.txt", b"0123456789"),
        ("public/b.txt", b"other"),
        ("public/empty.txt", b""),
        ("public/app.js", b"let plain = 'plain text';"),
        ("public/app.js.br", b"brotli"),
        ("public/app.js.gz", b"gzipped!"),
        ("public/app.js.zst", b"zstd"),
        ("public/.hidden", b"secret"),
        ("public/.git/config", b"secret"),
        ("public/.well-known/security.txt", b"mail"),
        ("public/sub/.env", b"secret"),
        ("public/large.bin", &large),
        (
            "public/_headers",
            b"/*\n  X-All: 1\n/a.txt\n  Cache-Control: no-store\n  X-All: 2\n/about\n  ! Cache-Control\n",
        ),
        (
            "public/_redirects",
            b"/old/* /docs/:splat 301\n/away https://away.test/x\n/shown/* /about.html 200\n/r/* /:splat\n",
        ),
    ];
    for (name, text) in files {
        let file = folder.path().join(name);
        fs::create_dir_all(file.parent().context("a folder")?)?;
        fs::write(file, text)?;
    }
    Ok(folder)
}

fn assets(keys: &[(&str, toml::Value)]) -> Table {
    let mut all = table([("dir", "public".into())]);
    for (key, value) in keys {
        all.insert((*key).to_owned(), value.clone());
    }
    all
}

/// `with.test`: a function and files. `files.test`: the files alone. `page.test`, `spa.test`: the same, with
/// something for what is not there. `app.test`: a function beside an application of one page. `first.test`:
/// the function is asked first. `plain.test`: files by their names.
fn config() -> Table {
    let with = |name: &str, has_main: bool, keys: &[(&str, toml::Value)]| {
        let mut all = function("worker.js", &format!("{name}.test"));
        if !has_main {
            all.remove("main");
        }
        all.insert("assets".to_owned(), assets(keys).into());
        toml::Value::from(all)
    };
    let binding = ("binding", "ASSETS".into());
    let spa = ("not_found", "single-page-application".into());
    let mut config = node(table([
        ("with", with("with", true, std::slice::from_ref(&binding))),
        ("files", with("files", false, &[])),
        (
            "page",
            with("page", false, &[("not_found", "404-page".into())]),
        ),
        ("spa", with("spa", false, std::slice::from_ref(&spa))),
        ("app", with("app", true, &[spa])),
        (
            "first",
            with("first", true, &[binding, ("run_worker_first", true.into())]),
        ),
        (
            "plain",
            with("plain", false, &[("html_handling", "none".into())]),
        ),
    ]));
    // What is served of files that have changed before anybody reads the folder again.
    let watch = table([("node", table([("watch", false.into())]).into())]);
    merge(&mut config, watch);
    config
}

async fn serve() -> anyhow::Result<(Server, TempDir)> {
    let folder = site()?;
    fs::write(folder.path().join("holm.toml"), toml::to_string(&config())?)?;
    let server = Server::spawn(&["serve", "holm.toml"], folder.path()).await?;
    Ok((server, folder))
}

async fn get(server: &Server, host: &str, path: &str) -> anyhow::Result<Answer> {
    Request::get(host, path).send(server.address()).await
}

fn field<'a>(answer: &'a Answer, name: &str) -> &'a str {
    let value = answer.headers.get(name);
    value.map_or("", |value| value.to_str().unwrap_or("?"))
}

async fn binding() -> anyhow::Result<()> {
    let (server, _folder) = serve().await?;
    for (path, accepted, status, body) in [
        ("/asset/a.txt", "", 200, "0123456789"),
        ("/asset/about.html", "", 307, ""),
        ("/asset/nothing", "", 404, ""),
        ("/asset/app.js", "br", 200, "let plain = 'plain text';"),
        ("/length", "", 200, "1048576"),
        ("/neighbour", "", 200, "200 0123456789"),
    ] {
        let mut request = Request::get("first.test", path);
        if !accepted.is_empty() {
            request = request.header("accept-encoding", accepted);
        }
        let answer = request.send(server.address()).await?;
        ensure!(answer.status == status, "{path}: {answer:?}");
        ensure!(answer.body == body, "{path}: {answer:?}");
    }
    // It passes through the function without being taken in.
    let answer = get(&server, "first.test", "/asset/large.bin").await?;
    ensure!(answer.body.len() == LARGE, "{} bytes", answer.body.len());
    let answer = Request::get("first.test", "/asset/a.txt")
        .header("range", "bytes=1-2")
        .send(server.address())
        .await?;
    ensure!(answer.status == 206 && answer.body == "12", "{answer:?}");
    let mut request = Request::post("first.test", "/asset/a.txt", "");
    request.method = Method::DELETE;
    let answer = request.send(server.address()).await?;
    ensure!(
        answer.status == StatusCode::METHOD_NOT_ALLOWED,
        "{answer:?}"
    );
    get(&server, "first.test", "/many").await?;
    let record = server.record("first.test", "GET", "/many", 0).await?;
    ensure!(record["subrequests"] == 4, "{record}");
    // A function that names no binding has none.
    let answer = get(&server, "app.test", "/asset/a.txt").await?;
    ensure!(answer.status == 500, "{answer:?}");
    server.assert_healthy().await
}

async fn changes() -> anyhow::Result<()> {
    let (server, folder) = serve().await?;
    let public = folder.path().join("public");
    fs::write(public.join("a.txt"), "changed, and longer")?;
    fs::remove_file(public.join("b.txt"))?;
    fs::write(public.join("new.txt"), "new")?;
    let request = Request::get("files.test", "/a.txt").header("range", "bytes=0-1");
    let answer = request.send(server.address()).await?;
    ensure!(answer.status == 200, "{answer:?}");
    ensure!(answer.body == "changed, and longer", "{answer:?}");
    ensure!(!answer.headers.contains_key("etag"), "{answer:?}");
    ensure!(field(&answer, "cache-control") == "no-store", "{answer:?}");
    for path in ["/b.txt", "/new.txt"] {
        let answer = get(&server, "files.test", path).await?;
        ensure!(answer.status == 404, "{path}: {answer:?}");
    }
    server.assert_healthy().await
}

/// `holm check` names each, with its line and what to do.
async fn faults() -> anyhow::Result<()> {
    let folder = site()?;
    let public = folder.path().join("public");
    fs::write(folder.path().join("holm.toml"), toml::to_string(&config())?)?;
    fs::write(public.join("_headers"), "/a\n  X: y\n  nonsense\n")?;
    fs::write(public.join("_redirects"), "/a /b\n/c\n")?;
    symlink("../secret.txt", public.join("out"))?;
    let output = tokio::process::Command::new(crate::harness::program::holm())
        .args(["check", "holm.toml"])
        .current_dir(folder.path())
        .env("NO_COLOR", "1")
        .output()
        .await?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(!output.status.success(), "{said}");
    for expected in [
        "public/_headers:3: `nonsense` is not a field (write `Name: value`",
        "public/_redirects:2: `/c` is not a rule (write",
        "public/out: it is a link that leads out of the folder (copy",
    ] {
        ensure!(said.contains(expected), "{expected}\n{said}");
    }
    Ok(())
}
