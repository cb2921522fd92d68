//! Files that are edited, broken, missing, half there, and reached by links.

use std::os::unix::fs::symlink;

use anyhow::ensure;
use serde_json::Value;
use tokio::process::Command;

use super::site::{Load, Site, config, host, says};
use crate::harness::area::{function, merge, table};

pub(super) async fn edit() -> anyhow::Result<()> {
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

pub(super) async fn bad_file() -> anyhow::Result<()> {
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

pub(super) async fn bad_script() -> anyhow::Result<()> {
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

pub(super) async fn missing() -> anyhow::Result<()> {
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

pub(super) async fn half_written() -> anyhow::Result<()> {
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

pub(super) async fn renamed() -> anyhow::Result<()> {
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
pub(super) async fn links() -> anyhow::Result<()> {
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

pub(super) async fn linked_module() -> anyhow::Result<()> {
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
