//! Which file a path is.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::ensure;

use super::{field, get, serve};
use crate::harness::Request;

pub(super) async fn paths() -> anyhow::Result<()> {
    let (server, _folder) = serve().await?;
    for (host, path, status, expected) in [
        ("files", "/", 200, "<h1>index</h1>"),
        ("files", "/index.html", 307, "/"),
        ("files", "/index", 307, "/"),
        ("files", "/about", 200, "<h1>about</h1>"),
        ("files", "/about.html?a=b", 307, "/about?a=b"),
        ("files", "/about/", 307, "/about"),
        ("files", "/docs/", 200, "<h1>docs</h1>"),
        ("files", "/docs", 307, "/docs/"),
        ("files", "/docs/index", 307, "/docs/"),
        ("files", "/docs/index.html", 307, "/docs/"),
        ("files", "/docs/a%20b%c3%a9", 200, "<h1>spaced</h1>"),
        ("files", "/docs/a%20b%c3%a9.html", 307, "/docs/a%20b%C3%A9"),
        ("files", "/a.txt", 200, "0123456789"),
        ("files", "/%61.txt", 200, "0123456789"),
        ("files", "/empty.txt", 200, ""),
        ("files", "/A.txt", 404, ""),
        ("files", "//a.txt", 404, ""),
        ("files", "/a.txt/", 404, ""),
        ("files", "/.well-known/security.txt", 200, "mail"),
        ("plain", "/about.html", 200, "<h1>about</h1>"),
        ("plain", "/about", 404, ""),
        ("plain", "/", 404, ""),
        ("with", "/a.txt", 200, "0123456789"),
        ("with", "/api", 200, "function GET /api"),
        ("first", "/a.txt", 200, "function GET /a.txt"),
    ] {
        let answer = get(&server, &format!("{host}.test"), path).await?;
        ensure!(answer.status == status, "{host} {path}: {answer:?}");
        match status {
            307 => ensure!(field(&answer, "location") == expected, "{path}: {answer:?}"),
            404 => {}
            _ => ensure!(answer.body == expected, "{host} {path}: {answer:?}"),
        }
    }
    // Only files are read by the edge, and only read.
    let answer = Request::post("with.test", "/a.txt", "x")
        .send(server.address())
        .await?;
    ensure!(answer.body == "function POST /a.txt", "{answer:?}");
    let answer = Request::post("files.test", "/a.txt", "x")
        .send(server.address())
        .await?;
    ensure!(answer.status == 405, "{answer:?}");
    ensure!(field(&answer, "allow") == "GET, HEAD", "{answer:?}");
    for (host, path, status) in [("with.test", "/a.txt", 200), ("files.test", "/A.txt", 404)] {
        let record = server.record(host, "GET", path, 0).await?;
        ensure!(
            record["outcome"] == "ok" && record["status"] == status,
            "{record}"
        );
        ensure!(
            record["cpuUs"] == 0 && record["coldStart"] == false,
            "{record}"
        );
        ensure!(
            host.starts_with(record["function"].as_str().unwrap_or("?")),
            "{record}"
        );
    }
    let record = server.record("with.test", "GET", "/a.txt", 0).await?;
    ensure!(record["bytesOut"] == 10, "{record}");
    server.assert_healthy().await
}

/// None of them gets out of the folder, or at what is hidden in it; a neighbour is served all the while.
pub(super) async fn hostile_paths() -> anyhow::Result<()> {
    let (server, _folder) = serve().await?;
    for path in [
        "/../secret.txt",
        "/docs/../../secret.txt",
        "/%2e%2e/secret.txt",
        "/.%2e/secret.txt",
        "/%2e%2e%2fsecret.txt",
        "/..%2fsecret.txt",
        "/docs%2f..%2f..%2fsecret.txt",
        "/..%5csecret.txt",
        "/%5c..%5csecret.txt",
        "/%252e%252e/secret.txt",
        "/....//secret.txt",
        "/a.txt%00",
        "/a.txt%00.html",
        "/%00",
        "/docs%2findex.html",
        "/docs%5cindex.html",
        "/.hidden",
        "/%2ehidden",
        "/.git/config",
        "/%2egit/config",
        "/sub/.env",
        "/_headers",
        "/_redirects",
        "/worker.js",
        "/holm.toml",
        "/%ff%fe",
        "/%c0%ae%c0%ae/secret.txt",
        "/%zz",
        "//etc/passwd",
        "/etc/passwd",
        "/proc/self/environ",
        "/a.txt/../../secret.txt",
        "/shown/../../secret.txt",
        "/r//../secret.txt",
    ] {
        for host in ["files.test", "page.test"] {
            let answer = get(&server, host, path).await?;
            let refused = [400, 404].contains(&answer.status.as_u16());
            ensure!(refused, "{host} {path}: {answer:?}");
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            ensure!(
                !text.contains("secret\n") && text != "secret",
                "{path}: {text}"
            );
        }
        let neighbour = get(&server, "with.test", "/a.txt").await?;
        ensure!(neighbour.body == "0123456789", "{path}: {neighbour:?}");
    }
    // What is put behind a redirect is no host.
    let answer = get(&server, "files.test", "/r//away.test/x").await?;
    ensure!(field(&answer, "location") == "/away.test/x", "{answer:?}");
    let long = format!("/{}", "a/".repeat(4_000));
    let answer = get(&server, "page.test", &long).await?;
    ensure!(answer.status == 404, "{:?}", answer.status);
    server.assert_healthy().await
}

/// A file that a link takes the place of after it was loaded.
pub(super) async fn links() -> anyhow::Result<()> {
    let (server, folder) = serve().await?;
    let public = folder.path().join("public");
    for (name, target) in [
        ("a.txt", folder.path().join("secret.txt")),
        ("b.txt", Path::new("../secret.txt").to_owned()),
    ] {
        fs::remove_file(public.join(name))?;
        symlink(target, public.join(name))?;
        let answer = get(&server, "files.test", &format!("/{name}")).await?;
        ensure!(answer.status == 404, "{name}: {answer:?}");
    }
    fs::rename(public.join("docs"), public.join("moved"))?;
    symlink(folder.path(), public.join("docs"))?;
    let answer = get(&server, "files.test", "/docs/").await?;
    ensure!(answer.status == 404, "{answer:?}");
    server.assert_healthy().await
}

pub(super) async fn rules() -> anyhow::Result<()> {
    let (server, _folder) = serve().await?;
    for (path, cached, all) in [
        ("/a.txt", "no-store", "1, 2"),
        ("/b.txt", "public, max-age=0, must-revalidate", "1"),
        ("/about", "", "1"),
    ] {
        let answer = get(&server, "files.test", path).await?;
        ensure!(
            field(&answer, "cache-control") == cached,
            "{path}: {answer:?}"
        );
        ensure!(field(&answer, "x-all") == all, "{path}: {answer:?}");
    }
    for (host, path, status, expected) in [
        ("files.test", "/old/a?b=c", 301, "/docs/a?b=c"),
        ("with.test", "/old/a", 301, "/docs/a"),
        ("files.test", "/away", 302, "https://away.test/x"),
        ("files.test", "/shown/x/y", 200, "<h1>about</h1>"),
    ] {
        let answer = get(&server, host, path).await?;
        ensure!(answer.status == status, "{path}: {answer:?}");
        if status == 200 {
            ensure!(answer.body == expected, "{path}: {answer:?}");
        } else {
            ensure!(field(&answer, "location") == expected, "{path}: {answer:?}");
        }
    }
    server.assert_healthy().await
}

pub(super) async fn not_found() -> anyhow::Result<()> {
    let (server, _folder) = serve().await?;
    for (host, path, navigates, status, body) in [
        ("page.test", "/x/y", false, 404, "<h1>none</h1>"),
        ("page.test", "/docs/x/y", false, 404, "<h1>no docs</h1>"),
        ("spa.test", "/x/y", false, 200, "<h1>index</h1>"),
        ("spa.test", "/a.txt", true, 200, "0123456789"),
        ("app.test", "/x/y", true, 200, "<h1>index</h1>"),
        ("app.test", "/x/y", false, 200, "function GET /x/y"),
        ("with.test", "/x/y", true, 200, "function GET /x/y"),
    ] {
        let mut request = Request::get(host, path);
        if navigates {
            request = request.header("sec-fetch-mode", "navigate");
        }
        let answer = request.send(server.address()).await?;
        ensure!(answer.status == status, "{host} {path}: {answer:?}");
        ensure!(answer.body == body, "{host} {path}: {answer:?}");
        // A page for what is not there is no version of anything.
        let has_etag = answer.headers.contains_key("etag");
        ensure!(!(has_etag && status == 404), "{answer:?}");
    }
    server.assert_healthy().await
}
