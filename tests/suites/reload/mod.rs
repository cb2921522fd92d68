//! What changes in files is served, what is wrong in them is not, and no client notices either.

mod front;
mod site;

use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use http_body_util::BodyExt as _;
use libtest_mimic::Trial;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;

use crate::harness::area::{egress_to_loopback, function, merge, table};
use crate::harness::client::Version;
use crate::harness::processes::{self, Kind};
use crate::harness::program::{self, until};
use crate::harness::{Connection, Request, World};
use site::{DEADLINE, Load, POLL, Site, config, host, says};

/// Reloads of the long test, and every how many one of them is of a bad file.
const RELOADS: usize = 40;
const BAD: usize = 10;

/// What the edge may have more of behind all of them: connections that are about to be closed.
const SPARE_FILES: usize = 8;

/// What all processes may hold more behind all of them, in bytes.
const SPARE_MEMORY: u64 = 24 << 20;

pub(super) fn trials(world: &Arc<World>) -> Vec<Trial> {
    let trial =
        |name: &str, body: fn(Arc<World>) -> Boxed| world.trial(format!("reload::{name}"), body);
    vec![
        trial("an_edit_under_load", |_| Box::pin(edit())),
        trial("a_bad_file_changes_nothing", |_| Box::pin(bad_file())),
        trial("a_script_that_does_not_compile", |_| Box::pin(bad_script())),
        trial("files_that_go_and_come_back", |_| Box::pin(missing())),
        trial("a_file_that_is_half_written", |_| Box::pin(half_written())),
        trial("files_replaced_by_rename", |_| Box::pin(renamed())),
        trial("links_moved_as_kubernetes_does", |_| Box::pin(links())),
        trial("a_link_to_a_module", |_| Box::pin(linked_module())),
        trial("routes_and_limits", |_| Box::pin(routes())),
        trial("what_the_whole_node_is_told", |world| {
            Box::pin(node_wide(world))
        }),
        trial(
            "requests_in_flight_finish_on_what_they_began_with",
            |world| Box::pin(in_flight(world)),
        ),
        trial("a_function_that_is_removed_leaves_nothing", |_| {
            Box::pin(removed())
        }),
        trial("proxies", |_| Box::pin(front::proxies())),
        trial("a_listener_that_moves", |_| Box::pin(moved())),
        trial("an_address_that_cannot_be_had", |_| Box::pin(taken())),
        trial("by_signal_alone", |_| Box::pin(by_signal())),
        trial("assets_that_come_change_and_go", |_| Box::pin(assets())),
        trial("assets_that_cannot_be_served", |_| Box::pin(bad_assets())),
        trial("many_under_load", |_| Box::pin(many())),
    ]
}

type Boxed = std::pin::Pin<Box<dyn Future<Output = anyhow::Result<()>>>>;

async fn edit() -> anyhow::Result<()> {
    let site = Site::serve(&["a", "b"]).await?;
    let load = Load::on(site.server.address(), "a");
    load.more(50).await?;
    let before = site.server.record(&host("a"), "GET", "/", 0).await?;
    let others = site.server.family().templates("b")?;
    for word in ["one", "two", "three"] {
        site.write("a.js", &says(word))?;
        site.until("a", 200, word).await?;
        load.more(20).await?;
    }
    let reloaded = |line: &Value| line["msg"] == "reloaded";
    let line = site
        .server
        .log()
        .first("`reloaded` event", reloaded)
        .await?;
    ensure!(line["changed"] == "a" && line["functions"] == 2, "{line}");
    ensure!(load.end().await? == ["a", "one", "two", "three"]);
    // Each version has a name of its own in the records.
    let records = site.server.log().records();
    let version = |record: &Value| record["deployment"].as_str().map(str::to_owned);
    let mut versions: Vec<_> = records.iter().filter_map(version).collect();
    versions.dedup();
    versions.sort();
    versions.dedup();
    ensure!(versions.len() >= 4, "{versions:?}");
    ensure!(version(&before).is_some(), "{before}");
    // What did not change was left alone.
    ensure!(site.server.family().templates("b")? == others);
    site.server.assert_healthy().await
}

async fn bad_file() -> anyhow::Result<()> {
    let site = Site::serve(&["a"]).await?;
    let load = Load::on(site.server.address(), "a");
    load.more(20).await?;
    let good = std::fs::read_to_string(site.path("holm.toml"))?;
    site.write("a.js", &says("new"))?;
    site.until("a", 200, "new").await?;
    site.write("holm.toml", &format!("{good}\nthis is no TOML\n"))?;
    site.logged(
        "error",
        &["not reloaded: ", "holm.toml:", "this is not TOML"],
    )
    .await?;
    // Every problem, in the words of `holm check`.
    site.write("holm.toml", &good.replace("version = 1", "version = 7"))?;
    let said = site
        .logged("error", &["not reloaded: ", "version 7"])
        .await?;
    ensure!(said.to_string().contains("holm.toml:1:"), "{said}");
    site.write(
        "holm.toml",
        &format!("{good}\n[node]\nmemry = 1\nsandbx = 1\n"),
    )?;
    for key in ["memry", "sandbx"] {
        site.logged("error", &["not reloaded: ", "unknown", key])
            .await?;
    }
    // Files of functions are not read while it is bad.
    site.write("a.js", &says("newer"))?;
    load.more(50).await?;
    site.write("holm.toml", &good)?;
    site.until("a", 200, "newer").await?;
    ensure!(load.end().await? == ["a", "new", "newer"]);
    site.server.assert_healthy().await
}

async fn bad_script() -> anyhow::Result<()> {
    let site = Site::serve(&["a", "b"]).await?;
    let load = Load::on(site.server.address(), "a");
    load.more(20).await?;
    for (text, part) in [
        ("export default { fetch() { return (; } };\n", "a.js:1"),
        ("throw new Error('at the start');\n", "at the start"),
        ("export default {};\n", "fetch"),
    ] {
        site.write("a.js", text)?;
        site.logged("error", &["function a ", "does not start", part])
            .await?;
        load.more(20).await?;
    }
    site.logged("warn", &["reloaded in part"]).await?;
    // Nobody else has to wait for it.
    site.write("b.js", &says("better"))?;
    site.until("b", 200, "better").await?;
    // It has the routes of the file, where it is older than that, too.
    let mut moved = config(&["a", "b"]);
    moved["functions"]["a"]["routes"] = vec![host("a"), host("also-a")].into();
    site.configure(&moved)?;
    site.until("also-a", 200, "a").await?;
    site.write("a.js", &says("mended"))?;
    site.until("a", 200, "mended").await?;
    ensure!(load.end().await? == ["a", "mended"]);
    // A new one that does not start keeps nobody from the rest.
    site.write("c.js", "throw new Error('new');\n")?;
    site.configure(&config(&["a", "b", "c"]))?;
    site.until("c", 500, "").await?;
    site.write("c.js", &says("c"))?;
    site.until("c", 200, "c").await?;
    site.server.assert_healthy().await
}

async fn missing() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let main = "import text from './text.txt';\n\
        export default { fetch: () => new Response(text) };\n";
    std::fs::write(folder.path().join("a.js"), main)?;
    std::fs::write(folder.path().join("text.txt"), "one")?;
    let site = Site::start(folder, &config(&["a"])).await?;
    let load = Load::on(site.server.address(), "a");
    load.more(20).await?;
    std::fs::remove_file(site.path("text.txt"))?;
    site.logged("error", &["function a ", "text.txt"]).await?;
    load.more(20).await?;
    site.write("text.txt", "two")?;
    site.until("a", 200, "two").await?;
    std::fs::remove_file(site.path("a.js"))?;
    site.logged("error", &["not reloaded: ", "a.js does not exist"])
        .await?;
    load.more(20).await?;
    site.write("a.js", &says("three"))?;
    site.until("a", 200, "three").await?;
    // What would be waited for without end, were it opened.
    std::fs::remove_file(site.path("a.js"))?;
    let made = Command::new("mkfifo")
        .arg(site.path("a.js"))
        .status()
        .await?;
    ensure!(made.success(), "mkfifo: {made}");
    site.logged("error", &["not reloaded: ", "a pipe or a socket"])
        .await?;
    site.replace("a.js", &says("four"))?;
    site.until("a", 200, "four").await?;
    // A file that was never there, in a folder that was not either.
    let mut more = config(&["a"]);
    let keys = function("far/away/b.js", &host("b"));
    merge(
        &mut more,
        table([("functions", table([("b", keys.into())]).into())]),
    );
    site.configure(&more)?;
    site.logged("error", &["not reloaded: ", "b.js does not exist"])
        .await?;
    std::fs::create_dir_all(site.path("far/away"))?;
    site.write("far/away/b.js", &says("b"))?;
    site.until("b", 200, "b").await?;
    ensure!(load.end().await? == ["one", "two", "three", "four"]);
    site.server.assert_healthy().await
}

async fn half_written() -> anyhow::Result<()> {
    let site = Site::serve(&["a"]).await?;
    let load = Load::on(site.server.address(), "a");
    load.more(20).await?;
    let whole = says("whole");
    site.write("a.js", &whole[..whole.len() / 2])?;
    site.logged("error", &["function a ", "does not start"])
        .await?;
    load.more(20).await?;
    site.write("a.js", &whole)?;
    site.until("a", 200, "whole").await?;
    ensure!(load.end().await? == ["a", "whole"]);
    Ok(())
}

async fn renamed() -> anyhow::Result<()> {
    let site = Site::serve(&["a"]).await?;
    let load = Load::on(site.server.address(), "a");
    for word in ["one", "two"] {
        site.replace("a.js", &says(word))?;
        site.until("a", 200, word).await?;
    }
    let mut other = config(&["a"]);
    other["functions"]["a"]["main"] = "sub/b.js".into();
    std::fs::create_dir(site.path("sub"))?;
    site.write("sub/b.js", &says("moved"))?;
    site.configure(&other)?;
    site.until("a", 200, "moved").await?;
    // The folder as a whole, with the old one gone.
    std::fs::create_dir(site.path("new"))?;
    site.write("new/b.js", &says("as a whole"))?;
    std::fs::rename(site.path("sub"), site.path("old"))?;
    std::fs::rename(site.path("new"), site.path("sub"))?;
    site.until("a", 200, "as a whole").await?;
    load.end().await?;
    Ok(())
}

/// A ConfigMap: every file is a link into a folder that is one, and only that is replaced.
async fn links() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let map = folder.path().join("map");
    std::fs::create_dir_all(map.join("..1"))?;
    std::fs::write(map.join("..1/a.js"), says("first"))?;
    symlink("..1", map.join("..data"))?;
    symlink("..data/a.js", map.join("a.js"))?;
    let mut config = config(&["a"]);
    config["functions"]["a"]["main"] = "map/a.js".into();
    let site = Site::start(folder, &config).await?;
    let load = Load::on(site.server.address(), "a");
    load.more(20).await?;
    for (number, word) in [("..2", "second"), ("..3", "third"), ("..4", "third")] {
        let before = std::fs::read_link(map.join("..data"))?;
        std::fs::create_dir(map.join(number))?;
        std::fs::write(map.join(number).join("a.js"), says(word))?;
        symlink(number, map.join("..data_tmp"))?;
        std::fs::rename(map.join("..data_tmp"), map.join("..data"))?;
        site.until("a", 200, word).await?;
        // The kubelet does so behind that.
        std::fs::remove_dir_all(map.join(before))?;
    }
    // The last one was the same again, elsewhere: what ran could stay.
    site.until("a", 200, "third").await?;
    ensure!(load.end().await? == ["first", "second", "third"]);
    site.server.assert_healthy().await
}

async fn linked_module() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path();
    for word in ["one", "two"] {
        let text = format!("export default '{word}';\n");
        std::fs::write(path.join(format!("{word}.js")), text)?;
    }
    symlink("one.js", path.join("word.js"))?;
    let main = "import word from './word.js';\n\
        export default { fetch: () => new Response(word) };\n";
    std::fs::write(path.join("a.js"), main)?;
    let site = Site::start(folder, &config(&["a"])).await?;
    site.until("a", 200, "one").await?;
    symlink("two.js", site.path("new"))?;
    std::fs::rename(site.path("new"), site.path("word.js"))?;
    site.until("a", 200, "two").await
}

async fn routes() -> anyhow::Result<()> {
    let site = Site::serve(&["a", "b"]).await?;
    let load = Load::on(site.server.address(), "a");
    load.more(20).await?;
    let mut config = config(&["a", "b"]);
    config["functions"]["b"]["routes"] = vec![host("b"), host("new")].into();
    site.configure(&config)?;
    site.until("new", 200, "b").await?;
    // From one function to another, with nobody in between.
    let moved = Load::on(site.server.address(), "new");
    moved.more(20).await?;
    config["functions"]["b"]["routes"] = vec![host("b")].into();
    config["functions"]["a"]["routes"] = vec![host("a"), host("new")].into();
    site.configure(&config)?;
    site.until("new", 200, "a").await?;
    ensure!(moved.end().await? == ["b", "a"]);
    config["functions"]["a"]["routes"] = vec![host("a")].into();
    site.configure(&config)?;
    site.until("new", 404, "").await?;
    // Nothing of that is a reason to start a function anew, a variable is.
    let untouched = site.server.family().templates("b")?;
    let vars = table([("W", "!".into())]);
    let keys = config["functions"]["a"].as_table_mut().context("a table")?;
    keys.insert("vars".to_owned(), vars.into());
    site.configure(&config)?;
    site.until("a", 200, "a!").await?;
    let post = || Request::post(&host("a"), "/", vec![b'x'; 2_000]).send(site.server.address());
    ensure!(post().await?.status == 200);
    let limits = table([("request_body", "1KiB".into())]);
    let keys = config["functions"]["a"].as_table_mut().context("a table")?;
    keys.insert("limits".to_owned(), limits.into());
    site.configure(&config)?;
    let begin = Instant::now();
    while post().await?.status != 413 {
        ensure!(begin.elapsed() < DEADLINE, "the limit does not come");
    }
    ensure!(site.server.family().templates("b")? == untouched);
    ensure!(load.end().await? == ["a", "a!"]);
    site.server.assert_healthy().await
}

/// Keys that are no function's: they hold without a restart, and the one that cannot is named.
async fn node_wide(world: Arc<World>) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let worker = "export default { fetch: (_, env) => fetch(env.ORIGIN + '/echo')\n\
        .then(() => new Response('reached'), () => new Response('refused')) };\n";
    std::fs::write(folder.path().join("a.js"), worker)?;
    let mut config = config(&["a"]);
    let vars = table([("ORIGIN", world.origin().url().into())]);
    let keys = config["functions"]["a"].as_table_mut().context("a table")?;
    keys.insert("vars".to_owned(), vars.into());
    let base = config.clone();
    let site = Site::start(folder, &config).await?;
    site.until("a", 200, "refused").await?;
    let template = site.server.family().templates("a")?;
    merge(&mut config, egress_to_loopback());
    site.configure(&config)?;
    site.until("a", 200, "reached").await?;
    // Connections that were made before are no way around.
    site.configure(&base)?;
    site.until("a", 200, "refused").await?;
    let mut other = base.clone();
    merge(
        &mut other,
        table([
            ("node", table([("sandbox", "off".into())]).into()),
            ("log", table([("requests", "none".into())]).into()),
        ]),
    );
    site.configure(&other)?;
    let line = site
        .logged("warn", &["`node.sandbox`", "started again"])
        .await?;
    ensure!(line.to_string().contains("holm.toml:"), "{line}");
    // The function itself was in nobody's way.
    ensure!(site.server.family().templates("a")? == template);
    let mut one = base;
    merge(
        &mut one,
        table([("server", table([("max_connections", 1.into())]).into())]),
    );
    site.configure(&one)?;
    let begin = Instant::now();
    loop {
        // New each time: one that is idle for long makes room.
        let _held = Connection::open(site.server.address(), Version::Http1).await;
        // Too many are told so, or closed.
        let answer = Request::get(&host("a"), "/").send(site.server.address());
        if answer.await.map_or(true, |answer| answer.status == 503) {
            break;
        }
        ensure!(begin.elapsed() < DEADLINE, "the bound does not come");
    }
    Ok(())
}

async fn in_flight(world: Arc<World>) -> anyhow::Result<()> {
    const SLOW: &str = "export default { async fetch(request, env) {
      const { readable, writable } = new TransformStream();
      const writer = writable.getWriter();
      writer.write(new TextEncoder().encode('begin '));
      fetch(`${env.ORIGIN}/gone?${env.KEY}`).then(async (response) => {
        await writer.write(new TextEncoder().encode(await response.text()));
        await writer.close();
      });
      return new Response(readable);
    } };\n";
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("a.js"), SLOW)?;
    let mut config = config(&["a"]);
    merge(&mut config, egress_to_loopback());
    let vars = table([
        ("ORIGIN", world.origin().url().into()),
        ("KEY", "reload".into()),
    ]);
    let keys = config["functions"]["a"].as_table_mut().context("a table")?;
    keys.insert("vars".to_owned(), vars.into());
    let site = Site::start(folder, &config).await?;
    let mut connection = Connection::open(site.server.address(), Version::Http1).await?;
    let answer = connection.head(Request::get(&host("a"), "/")).await?;
    ensure!(answer.status() == 200, "status {}", answer.status());
    let old = site.server.family().cells("a")?;
    ensure!(old.len() == 1, "{old:?}");
    site.write("a.js", &says("new"))?;
    let reloaded = |line: &Value| line["msg"] == "reloaded";
    site.server
        .log()
        .first("`reloaded` event", reloaded)
        .await?;
    site.until("a", 200, "new").await?;
    ensure!(processes::is_alive(old[0]), "its isolate was ended");
    world.origin().release("reload");
    let body = answer.into_body().collect().await?.to_bytes();
    ensure!(body == "begin gone", "{body:?}");
    // Nobody keeps it for longer than that, nor what it was copied from.
    let gone = || Ok((!processes::is_alive(old[0])).then_some(()));
    until(gone).await?.context("the old isolate stays")?;
    let one = || Ok((site.server.family().templates("a")?.len() == 1).then_some(()));
    until(one).await?.context("the old template stays")?;
    let record = site.server.record(&host("a"), "GET", "/", 0).await?;
    ensure!(record["outcome"] == "ok", "{record}");
    site.server.assert_healthy().await
}

async fn removed() -> anyhow::Result<()> {
    let mut both = config(&["a", "b"]);
    let limits = table([("min_isolates", 2.into())]);
    let keys = both["functions"]["b"].as_table_mut().context("a table")?;
    keys.insert("limits".to_owned(), limits.into());
    let site = Site::serve_as(&["a", "b"], both).await?;
    site.until("b", 200, "b").await?;
    ensure!(site.server.family().cells("b")?.len() >= 2);
    site.configure(&config(&["a"]))?;
    site.until("b", 404, "").await?;
    let gone = || {
        let left = site.server.family().all()?;
        let is_left = left
            .iter()
            .any(|process| process.name == "b" || process.name == "b, template");
        Ok((!is_left).then_some(()))
    };
    until(gone).await?.context("processes stay")?;
    let reloaded = |line: &Value| line["msg"] == "reloaded" && line["removed"] == "b";
    site.server
        .log()
        .first("`reloaded` event", reloaded)
        .await?;
    site.until("a", 200, "a").await
}

/// An address that nobody has at the moment.
async fn free() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0").await?.local_addr()?)
}

async fn moved() -> anyhow::Result<()> {
    let at = |address: String| {
        let mut config = config(&["a"]);
        config["server"]["http"] = address.into();
        config
    };
    let (first, second) = (free().await?, free().await?);
    let site = Site::serve_as(&["a"], at(first.to_string())).await?;
    ensure!(site.server.address() == first);
    let load = Load::on(first, "a");
    load.more(50).await?;
    // The other one can be had before this one goes: both answer for a moment.
    load.move_to(second);
    site.configure(&at(second.to_string()))?;
    until_listening(second).await?;
    site.until_at(second, "a", 200, "a").await?;
    let closed = || async { TcpStream::connect(first).await.is_err() };
    let begin = Instant::now();
    while !closed().await {
        ensure!(begin.elapsed() < DEADLINE, "the first one stays open");
    }
    load.more(100).await?;
    // From this machine to everyone, on the same port.
    let all = format!("0.0.0.0:{}", second.port());
    site.configure(&at(all.clone()))?;
    let listens = |line: &Value| line["msg"] == "listening" && line["addr"] == all.as_str();
    site.server
        .log()
        .first("`listening` event", listens)
        .await?;
    load.more(100).await?;
    site.until_at(second, "a", 200, "a").await?;
    ensure!(load.end().await? == ["a"]);
    site.server.assert_healthy().await?;
    site.server.terminate().await?;
    let status = site.server.ended().await?;
    ensure!(status.success(), "ended with {status}");
    Ok(())
}

async fn until_listening(address: SocketAddr) -> anyhow::Result<()> {
    let begin = Instant::now();
    while TcpStream::connect(address).await.is_err() {
        ensure!(begin.elapsed() < DEADLINE, "nobody listens on {address}");
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

/// The rest of such a file is not applied either.
async fn taken() -> anyhow::Result<()> {
    let site = Site::serve(&["a"]).await?;
    let other = TcpListener::bind("127.0.0.1:0").await?;
    let mut config = config(&["a"]);
    config["server"]["http"] = other.local_addr()?.to_string().into();
    config["functions"]["a"]["routes"] = vec![host("other")].into();
    site.configure(&config)?;
    let line = site.logged("error", &["not reloaded: ", "in use"]).await?;
    ensure!(line.to_string().contains("holm.toml:"), "{line}");
    site.until("a", 200, "a").await?;
    site.until("other", 404, "").await
}

async fn by_signal() -> anyhow::Result<()> {
    let mut config = config(&["a"]);
    merge(
        &mut config,
        table([("node", table([("watch", false.into())]).into())]),
    );
    let site = Site::serve_as(&["a"], config).await?;
    site.write("a.js", &says("new"))?;
    // What watches would have seen it by now, however busy the machine is: a file of another server was.
    let other = Site::serve(&["a"]).await?;
    other.write("a.js", &says("new"))?;
    other.until("a", 200, "new").await?;
    let answer = Request::get(&host("a"), "/").send(site.server.address());
    ensure!(answer.await?.body == "a");
    site.server.signal("HUP").await?;
    site.until("a", 200, "new").await?;
    site.server.assert_healthy().await
}

/// `files`: files alone. `a`: a function that asks for one of them. `b`: one beside them.
async fn served(folder: TempDir) -> anyhow::Result<Site> {
    let ask = "export default {\n\
        fetch: (request, env) => env.ASSETS.fetch(new URL('/one.txt', request.url)),\n\
        };\n";
    std::fs::write(folder.path().join("a.js"), ask)?;
    std::fs::write(folder.path().join("b.js"), says("b"))?;
    let mut config = config(&["files", "a", "b"]);
    let first = table([
        ("binding", "ASSETS".into()),
        ("run_worker_first", true.into()),
    ]);
    for (name, mut assets) in [("files", table([])), ("a", first), ("b", table([]))] {
        assets.insert("dir".to_owned(), "public".into());
        let function = config["functions"][name].as_table_mut();
        let function = function.context("a table")?;
        function.insert("assets".to_owned(), assets.into());
        if name == "files" {
            function.remove("main");
        }
    }
    Site::start(folder, &config).await
}

async fn assets() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    std::fs::create_dir(folder.path().join("public"))?;
    std::fs::write(folder.path().join("public/one.txt"), "one")?;
    let site = served(folder).await?;
    site.until_path("files", "/one.txt", 200, "one").await?;
    site.until("a", 200, "one").await?;
    site.until("b", 200, "b").await?;
    let others = site.server.family().templates("b")?;

    // A validator says that the folder has been read again: without that there is none.
    site.write("public/one.txt", "another")?;
    site.until_path("files", "/one.txt", 200, "another").await?;
    let etag = async || {
        let request = Request::get(&host("files"), "/one.txt");
        let answer = request.send(site.server.address()).await?;
        anyhow::Ok(answer.headers.contains_key("etag").then_some(()))
    };
    let begin = Instant::now();
    while etag().await?.is_none() {
        ensure!(begin.elapsed() < DEADLINE, "not read again");
        tokio::time::sleep(POLL).await;
    }
    site.until("a", 200, "another").await?;

    site.write("public/two.txt", "two")?;
    site.until_path("files", "/two.txt", 200, "two").await?;
    site.until_path("b", "/two.txt", 200, "two").await?;
    std::fs::create_dir_all(site.path("public/x/y"))?;
    site.write("public/x/y/three.txt", "three")?;
    site.until_path("files", "/x/y/three.txt", 200, "three")
        .await?;
    site.write("public/_redirects", "/old /two.txt 200\n")?;
    site.until_path("files", "/old", 200, "two").await?;
    std::fs::remove_file(site.path("public/two.txt"))?;
    site.until_path("files", "/two.txt", 404, "").await?;
    site.until_path("b", "/two.txt", 200, "b").await?;
    // A function that does not ask for them was left alone.
    ensure!(site.server.family().templates("b")? == others);
    site.server.assert_healthy().await
}

async fn bad_assets() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    std::fs::create_dir_all(folder.path().join("v1"))?;
    std::fs::create_dir_all(folder.path().join("v2"))?;
    std::fs::write(folder.path().join("v1/one.txt"), "one")?;
    std::fs::write(folder.path().join("v2/one.txt"), "of v2")?;
    symlink("v1", folder.path().join("public"))?;
    let site = served(folder).await?;
    site.until_path("files", "/one.txt", 200, "one").await?;

    site.write("public/_redirects", "nonsense\n")?;
    let parts = ["function files ", "assets cannot be served", "_redirects:1"];
    site.logged("error", &parts).await?;
    // They stay what they were.
    for name in ["files", "b"] {
        site.until_path(name, "/one.txt", 200, "one").await?;
    }
    site.until("b", 200, "b").await?;
    site.write("public/two.txt", "two")?;
    site.write("public/_redirects", "/old /two.txt 200\n")?;
    site.until_path("files", "/old", 200, "two").await?;

    // Another folder takes its place.
    symlink("v2", site.path("link~"))?;
    std::fs::rename(site.path("link~"), site.path("public"))?;
    site.until_path("files", "/one.txt", 200, "of v2").await?;
    site.until("a", 200, "of v2").await?;
    site.server.assert_healthy().await
}

async fn many() -> anyhow::Result<()> {
    let mut config = config(&["a", "b", "c"]);
    // Isolates that rest are gone before anybody counts.
    let limits = table([("idle", "200ms".into())]);
    config.insert("limits".to_owned(), limits.into());
    let site = Site::serve_as(&["a", "b", "c"], config).await?;
    let load = Load::on(site.server.address(), "a");
    let good = std::fs::read_to_string(site.path("holm.toml"))?;
    let edge = site.server.pid();
    let mut before = None;
    for number in 1..=RELOADS {
        if number % BAD == 0 {
            site.write("holm.toml", &format!("{good}\nnumber-{number}\n"))?;
            let is_refused = |line: &Value| {
                let text = line["msg"].as_str().unwrap_or_default();
                text.contains("not reloaded")
            };
            site.server
                .log()
                .nth("refusal", number / BAD - 1, is_refused)
                .await?;
            site.write("holm.toml", &good)?;
        } else {
            let word = format!("v{number}");
            let name = ["a", "b"][number % 2];
            site.replace(&format!("{name}.js"), &says(&word))?;
            site.until(name, 200, &word).await?;
        }
        load.more(5).await?;
        if number == RELOADS / 4 {
            before = Some((processes::files(edge)?, site.server.memory()?));
        }
    }
    load.end().await?;
    let (files, memory) = before.context("not measured")?;
    // One template for each, and the zygote.
    let settled = || {
        let all = site.server.family().all()?;
        let templates = all.iter().filter(|one| one.kind == Kind::Template).count();
        let cells = all.iter().filter(|one| one.kind == Kind::Cell).count();
        let is_settled = templates == 3 && cells == 0 && all.len() == 4;
        Ok((is_settled && processes::files(edge)? <= files + SPARE_FILES).then_some(()))
    };
    let left = || {
        format!(
            "{:?} {:?}",
            site.server.family().all(),
            processes::files(edge)
        )
    };
    until(settled)
        .await?
        .with_context(|| format!("left over ({files} files before): {}", left()))?;
    let after = site.server.memory()?;
    ensure!(
        after <= memory + SPARE_MEMORY,
        "{memory} bytes became {after}"
    );
    ensure!(program::memory(edge, "VmRSS")? > 0);
    site.server.assert_healthy().await
}
