//! Who may ask for a function: by address and by token, from outside and from functions of the node.

use std::sync::Arc;

use anyhow::ensure;
use libtest_mimic::Trial;
use toml::{Table, Value};

use crate::harness::area::{function, node, table};
use crate::harness::client::Version;
use crate::harness::{Connection, Request, Server, World};

const TOKEN: &str = "preview-0123456789";

const WORKER: &str = "export default {
  async fetch(request) {
    const url = new URL(request.url).searchParams.get('url');
    if (url) {
      const shown = request.headers.get('x-show');
      const headers = shown ? { authorization: shown } : {};
      const response = await fetch(url, { headers });
      return new Response(`${response.status} ${await response.text()}`);
    }
    return new Response(`authorization ${request.headers.get('authorization')}`);
  },
};
";

pub(super) fn trials(world: &Arc<World>) -> Vec<Trial> {
    vec![
        world.trial("access::by_address", async |_| by_address().await),
        world.trial("access::by_token", async |_| by_token().await),
        world.trial("access::of_functions_of_the_node", async |_| inside().await),
    ]
}

/// Functions at `NAME.test`, each with what is said of its access.
async fn serve<const N: usize>(functions: [(&str, Option<Table>); N]) -> anyhow::Result<Server> {
    let functions = functions.map(|(name, access)| {
        let mut keys = function("worker.js", &format!("{name}.test"));
        if let Some(access) = access {
            keys.insert("access".to_owned(), access.into());
        }
        (name, Value::from(keys))
    });
    let token = format!("{TOKEN}\n");
    Server::serve(
        &node(table(functions)),
        &[("worker.js", WORKER), ("token", &token)],
    )
    .await
}

fn networks(key: &str, list: &[&str]) -> Option<Table> {
    let list: Vec<Value> = list.iter().map(|network| (*network).into()).collect();
    Some(table([(key, list.into())]))
}

fn token() -> Option<Table> {
    Some(table([("token", "file:token".into())]))
}

async fn by_address() -> anyhow::Result<()> {
    let both = table([
        ("allow", vec!["127.0.0.0/8"].into()),
        ("deny", vec!["127.0.0.1"].into()),
    ]);
    let server = serve([
        ("open", None),
        ("allowed", networks("allow", &["10.0.0.0/8", "127.0.0.1"])),
        ("elsewhere", networks("allow", &["10.0.0.0/8", "::/0"])),
        ("denied", networks("deny", &["127.0.0.0/8"])),
        ("spared", networks("deny", &["10.0.0.0/8"])),
        ("both", Some(both)),
    ])
    .await?;
    for (name, status) in [
        ("open", 200),
        ("allowed", 200),
        ("elsewhere", 403),
        ("denied", 403),
        ("spared", 200),
        ("both", 403),
    ] {
        let host = format!("{name}.test");
        let answer = Request::get(&host, "/").send(server.address()).await?;
        ensure!(answer.status == status, "{name}: {answer:?}");
        let record = server.record(&host, "GET", "/", 0).await?;
        let outcome = if status == 200 { "ok" } else { "refused" };
        ensure!(record["outcome"] == outcome, "{record}");
        ensure!(
            record["function"] == name && record["status"] == status,
            "{record}"
        );
        if status == 403 {
            // It never reached the function.
            ensure!(
                record["cpuUs"] == 0 && record["coldStart"] == false,
                "{record}"
            );
            ensure!(answer.headers["holm-outcome"] == "refused", "{answer:?}");
        }
    }
    server.assert_healthy().await
}

async fn by_token() -> anyhow::Result<()> {
    let server = serve([("private", token()), ("open", None)]).await?;
    // One connection: a refusal says nothing of the next request.
    let mut connection = Connection::open(server.address(), Version::Http1).await?;
    // base64 of ":preview-0123456789", "preview-0123456789:" and "me:wrong-0123456789".
    for (shown, status) in [
        ("", 401),
        ("Bearer preview-0123456789", 200),
        ("Bearer preview-0123456788", 401),
        ("Basic OnByZXZpZXctMDEyMzQ1Njc4OQ==", 200),
        ("Basic cHJldmlldy0wMTIzNDU2Nzg5Og==", 200),
        ("Basic bWU6d3JvbmctMDEyMzQ1Njc4OQ==", 401),
        ("preview-0123456789", 401),
    ] {
        let mut request = Request::post("private.test", "/", "body");
        if !shown.is_empty() {
            request = request.header("authorization", shown);
        }
        let answer = connection.exchange(request).await?;
        ensure!(answer.status == status, "{shown}: {answer:?}");
        let asks = answer.headers.get("www-authenticate");
        if status == 401 {
            let asks = asks.and_then(|asks| asks.to_str().ok()).unwrap_or_default();
            ensure!(asks.starts_with("Basic realm="), "{answer:?}");
        } else {
            ensure!(asks.is_none(), "{answer:?}");
            // The function does not get it.
            ensure!(answer.body == "authorization null", "{answer:?}");
        }
    }
    // A function without a token has its own use for the field.
    let request = Request::get("open.test", "/").header("authorization", "Bearer mine");
    let answer = connection.exchange(request).await?;
    ensure!(answer.body == "authorization Bearer mine", "{answer:?}");
    let refused = server.record("private.test", "POST", "/", 0).await?;
    ensure!(
        refused["outcome"] == "refused" && refused["status"] == 401,
        "{refused}"
    );
    ensure!(refused["function"] == "private", "{refused}");
    let log = format!(
        "{:?}{:?}",
        server.log().records(),
        server.log().events("info")
    );
    ensure!(!log.contains(TOKEN), "{log}");
    server.assert_healthy().await
}

/// The shortcut from function to function is no way around.
async fn inside() -> anyhow::Result<()> {
    let server = serve([
        ("open", None),
        ("private", token()),
        ("elsewhere", networks("allow", &["10.0.0.0/8"])),
        ("local", networks("allow", &["127.0.0.1"])),
    ])
    .await?;
    for (host, shown, expected) in [
        ("private.test", "", "401 "),
        (
            "private.test",
            "Bearer preview-0123456789",
            "200 authorization null",
        ),
        ("elsewhere.test", "", "403 "),
        ("local.test", "", "200 authorization null"),
    ] {
        let mut request = Request::get("open.test", &format!("/?url=http://{host}/"));
        if !shown.is_empty() {
            request = request.header("x-show", shown);
        }
        let answer = request.send(server.address()).await?;
        ensure!(answer.body == expected, "{host} {shown}: {answer:?}");
    }
    let refused = server.record("private.test", "GET", "/", 0).await?;
    ensure!(
        refused["outcome"] == "refused" && refused["status"] == 401,
        "{refused}"
    );
    server.assert_healthy().await
}
