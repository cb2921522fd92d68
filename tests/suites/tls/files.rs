//! Certificates that `holm check` and `holm serve` refuse, or warn of.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::ensure;
use libtest_mimic::Trial;
use serde_json::Value;

use super::WORKER;
use crate::harness::area::{function, merge, node, table};
use crate::harness::server::folder;
use crate::harness::tls::Pair;
use crate::harness::{Server, World, program};

const DAY: Duration = Duration::from_secs(24 * 3600);

pub(super) fn trials(world: &Arc<World>) -> Vec<Trial> {
    vec![
        world.trial("tls::what_no_client_would_accept_is_refused", async |_| {
            refused().await
        }),
        world.trial("tls::what_ends_soon_is_told", async |_| soon().await),
    ]
}

/// A node whose one certificate is `cert.pem` and `cert.key`, shown for `hosts`.
fn config(hosts: &[&str]) -> toml::Table {
    let mut config = node(table([("hello", function("worker.js", "a.test").into())]));
    let https = table([("https", "127.0.0.1:0".into())]);
    merge(&mut config, table([("server", https.into())]));
    let pair = table([
        ("hosts", hosts.to_vec().into()),
        ("cert", "cert.pem".into()),
        ("key", "cert.key".into()),
    ]);
    config.insert("tls".to_owned(), vec![pair].into());
    config
}

async fn refused() -> anyhow::Result<()> {
    let now = SystemTime::now();
    let good = Pair::new(&["a.test"])?;
    let other = Pair::new(&["a.test"])?;
    let past = Pair::until(&["a.test"], now - 3 * DAY)?;
    let future = Pair::until(&["a.test"], now + 103 * DAY)?;
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    for (cert, key, host, said) in [
        (
            &past.cert,
            &past.key,
            "a.test",
            &["expired 3 days ago", "renew"][..],
        ),
        (
            &future.cert,
            &future.key,
            "a.test",
            &["not valid before", "clock"],
        ),
        (
            &good.cert,
            &other.key,
            "a.test",
            &["not the one of the certificate"],
        ),
        (
            &good.cert,
            &good.key,
            "b.test",
            &["is not for `b.test`", "it is for `a.test`"],
        ),
        (&good.key, &good.key, "a.test", &["no certificate in it"]),
        (&good.cert, &good.cert, "a.test", &["no private key in it"]),
        (
            &garbage.to_owned(),
            &good.key,
            "a.test",
            &["cannot be read"],
        ),
        (
            &good.cert,
            &encrypted.to_owned(),
            "a.test",
            &["encrypted", "openssl pkey"],
        ),
    ] {
        let files = [("worker.js", WORKER), ("cert.pem", cert), ("cert.key", key)];
        let folder = folder(&config(&[host]), &files)?;
        for command in ["check", "serve"] {
            let args = [command.to_owned(), "holm.toml".to_owned()];
            let finished = program::run(folder.path(), &args).await?;
            let stderr = &finished.stderr;
            ensure!(finished.status.code() == Some(2), "{said:?}: {stderr}");
            for part in said.iter().chain(&["holm.toml:"]) {
                // The terminal's width breaks lines.
                let flat = stderr.replace("\n  │", "");
                ensure!(flat.contains(part), "no {part:?} in {stderr}");
            }
        }
    }
    Ok(())
}

async fn soon() -> anyhow::Result<()> {
    let soon = Pair::until(&["a.test"], SystemTime::now() + 13 * DAY + DAY / 2)?;
    let files = [
        ("worker.js", WORKER),
        ("cert.pem", &soon.cert),
        ("cert.key", &soon.key),
    ];
    let config = config(&["a.test"]);
    let folder = folder(&config, &files)?;
    let args = ["check".to_owned(), "holm.toml".to_owned()];
    let finished = program::run(folder.path(), &args).await?;
    ensure!(finished.status.success(), "{}", finished.stderr);
    for part in ["a.test ends in 13 days", "cert.pem", "cert.key", "chmod"] {
        ensure!(
            finished.stderr.contains(part),
            "no {part:?}: {}",
            finished.stderr
        );
    }
    ensure!(
        finished.stdout.contains("2 warnings"),
        "{}",
        finished.stdout
    );

    let server = Server::serve(&config, &files).await?;
    for part in ["ends in 13 days", "private key"] {
        let told = |line: &Value| line["level"] == "warn" && line.to_string().contains(part);
        server.log().first(part, told).await?;
    }
    server.assert_healthy().await
}
