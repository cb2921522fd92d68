//! Files that are served beside functions.

use std::os::unix::fs::symlink;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use tempfile::TempDir;

use super::site::{DEADLINE, POLL, Site, config, host, says};
use crate::harness::Request;
use crate::harness::area::table;

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

pub(super) async fn assets() -> anyhow::Result<()> {
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

pub(super) async fn bad_assets() -> anyhow::Result<()> {
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
