//! What the numbers are: those of the log's records.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use libtest_mimic::Trial;
use serde_json::Value;

use super::{HOST, Node, config, text};
use crate::harness::area::function;
use crate::harness::{Request, World, program};

/// The dashboard that is shipped.
const DASHBOARD: &str = include_str!("../../../docs/grafana-dashboard.json");

pub(super) fn trials(world: &Arc<World>) -> Vec<Trial> {
    vec![
        world.trial("admin::metrics_are_the_records", async |world| {
            records(&world).await
        }),
        world.trial("admin::status_tells_of_every_function", async |world| {
            status(&world).await
        }),
        world.trial("admin::a_zygote_that_dies_is_counted", async |world| {
            zygote(&world).await
        }),
        world.trial(
            "admin::the_dashboard_asks_for_what_there_is",
            async |world| dashboard(&world).await,
        ),
    ]
}

/// Samples by name and labels, as they stand.
fn samples(text: &str) -> anyhow::Result<BTreeMap<String, f64>> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').context("no value")?;
            Ok((name.to_owned(), value.parse()?))
        })
        .collect()
}

async fn metrics(node: &Node) -> anyhow::Result<BTreeMap<String, f64>> {
    let answer = node.get("/metrics").await?;
    ensure!(answer.status == 200, "{answer:?}");
    let content_type = &answer.headers["content-type"];
    ensure!(
        content_type
            .to_str()?
            .starts_with("application/openmetrics-text")
    );
    let text = text(&answer);
    ensure!(text.ends_with("# EOF\n"), "{text}");
    samples(&text)
}

/// Each request that left a record is counted once, and what the records say adds up to what is counted.
async fn records(world: &World) -> anyhow::Result<()> {
    let mut config = config(world);
    // Hosts that nobody serves.
    config["functions"]["site"]["routes"] = vec![HOST].into();
    let node = Node::serve(&config, &[]).await?;
    let address = node.server.address();
    for _ in 0..20 {
        node.ask("/").await?;
    }
    for _ in 0..3 {
        node.ask("/throw").await?;
    }
    node.ask("/loop").await?;
    Request::post(HOST, "/", "12345").send(address).await?;
    for _ in 0..2 {
        Request::get("nobody.test", "/").send(address).await?;
    }
    let all = 20 + 3 + 1 + 1 + 2;
    let is_record = |line: &Value| line["type"] == "request";
    node.server.log().nth("record", all - 1, is_record).await?;

    let mut expected: BTreeMap<String, f64> = BTreeMap::new();
    let (mut cpu, mut cold, mut out) = (0.0, 0.0, 0.0);
    for record in node.server.log().records() {
        let function = record["function"].as_str().unwrap_or("_none");
        let outcome = record["outcome"].as_str().context("no outcome")?;
        let name = format!("holm_requests_total{{function=\"{function}\",outcome=\"{outcome}\"}}");
        *expected.entry(name).or_default() += 1.0;
        if function == "site" {
            cpu += record["cpuUs"].as_f64().context("no cpuUs")? / 1e6;
            cold += f64::from(u8::from(record["coldStart"] == true));
            out += record["bytesOut"].as_f64().context("no bytesOut")?;
        }
    }
    ensure!(expected.len() == 4, "{expected:?}");
    let found = metrics(&node).await?;
    let counted: BTreeMap<_, _> = found
        .iter()
        .filter(|(name, _)| name.starts_with("holm_requests_total"))
        .map(|(name, count)| (name.clone(), *count))
        .collect();
    ensure!(counted == expected, "{counted:?}, not {expected:?}");
    let sample = |name: &str| {
        let value = found.get(name).copied();
        value.with_context(|| format!("no {name}"))
    };
    let of_site = |name: &str| sample(&format!("{name}{{function=\"site\"}}"));
    for histogram in ["duration", "cpu", "queue"] {
        let name = format!("holm_request_{histogram}_seconds");
        ensure!(of_site(&format!("{name}_count"))? == 25.0, "{histogram}");
        let last = format!("{name}_bucket{{le=\"+Inf\",function=\"site\"}}");
        ensure!(sample(&last)? == 25.0, "{histogram}");
    }
    // Records are cut to microseconds.
    let counted = of_site("holm_request_cpu_seconds_sum")?;
    ensure!((counted - cpu).abs() < 25e-6, "{counted} s, not {cpu}");
    ensure!(of_site("holm_cold_starts_total")? == cold);
    ensure!(of_site("holm_response_body_bytes_total")? == out);
    ensure!(sample("holm_edge_requests_total")? == all as f64);
    ensure!(sample("holm_ready")? == 1.0);
    ensure!(sample("process_open_fds")? > 3.0);
    ensure!(sample("process_cpu_seconds_total")? >= 0.0);
    ensure!(sample("holm_node_memory_bytes")? > 1e6);
    ensure!(sample("holm_log_entries_lost_total")? == 0.0);
    Ok(())
}

async fn status(world: &World) -> anyhow::Result<()> {
    let mut config = config(world);
    let broken = function("broken.js", "broken.test");
    config["functions"]
        .as_table_mut()
        .context("no functions")?
        .insert("broken".to_owned(), broken.into());
    let node = Node::serve(&config, &[("broken.js", "nonsense(;\n")]).await?;
    node.ask("/throw").await?;
    let record = node.server.record(HOST, "GET", "/throw", 0).await?;
    let status = node.status().await?;
    let named = |name: &str| -> anyhow::Result<&Value> {
        let functions = status["functions"].as_array().context("no functions")?;
        let mut found = functions.iter().filter(|function| function["name"] == name);
        found
            .next()
            .with_context(|| format!("no {name} in {status}"))
    };
    let site = named("site")?;
    ensure!(site["state"] == "ready", "{site}");
    ensure!(site["deployment"] == record["deployment"], "{site}");
    ensure!(site["routes"] == serde_json::json!([HOST, "*"]), "{site}");
    ensure!(site["limits"]["cpu"] == "50ms", "{site}");
    ensure!(site["limits"]["concurrency"] == "1", "{site}");
    let problem = &site["lastProblem"];
    ensure!(problem["requestId"] == record["requestId"], "{problem}");
    ensure!(problem["time"] == record["start"], "{problem}");
    ensure!(problem["outcome"] == "exception", "{problem}");
    let message = problem["message"].as_str().unwrap_or_default();
    ensure!(message.contains("no stock"), "{problem}");
    ensure!(site["totals"]["outcomes"]["exception"] == 1, "{site}");
    let broken = named("broken")?;
    ensure!(broken["state"] == "broken", "{broken}");
    let why = broken["why"].as_str().unwrap_or_default();
    ensure!(why.contains("does not start"), "{broken}");
    let address = node.server.address().to_string();
    ensure!(
        status["listeners"][0]["address"] == address.as_str(),
        "{status}"
    );
    ensure!(status["node"]["pid"] == node.server.pid(), "{status}");
    let layers = status["node"]["sandbox"].as_array();
    ensure!(layers.is_some_and(|layers| layers.len() == 8), "{status}");
    Ok(())
}

async fn zygote(world: &World) -> anyhow::Result<()> {
    let node = Node::serve(&config(world), &[]).await?;
    let zygote = node.server.family().zygote()?.context("no zygote")?;
    program::signal(zygote, "KILL").await?;
    loop {
        let found = metrics(&node).await?;
        if found["holm_zygote_deaths_total"] == 1.0 {
            ensure!(found["holm_zygote_starts_total"] == 2.0);
            break;
        }
    }
    loop {
        if node.get("/readyz").await?.status == 200 {
            break;
        }
    }
    Ok(())
}

/// Every name of a metric in the dashboard's queries is one that the node has.
async fn dashboard(world: &World) -> anyhow::Result<()> {
    let node = Node::serve(&config(world), &[]).await?;
    node.ask("/").await?;
    node.server.record(HOST, "GET", "/", 0).await?;
    let page = text(&node.get("/metrics").await?);
    let mut known: BTreeMap<&str, &str> = BTreeMap::new();
    for line in page.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').context("no type")?;
        known.insert(name, kind);
    }
    let dashboard: Value = serde_json::from_str(DASHBOARD)?;
    let mut queries = Vec::new();
    expressions(&dashboard, &mut queries);
    ensure!(queries.len() >= 12, "{queries:?}");
    for query in &queries {
        let mut names = query
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .filter(|word| word.starts_with("holm_") || word.starts_with("process_"))
            .peekable();
        ensure!(names.peek().is_some(), "no metric in {query}");
        for name in names {
            let is_known = known.iter().any(|(family, kind)| match *kind {
                "counter" => name == format!("{family}_total"),
                "histogram" => ["bucket", "sum", "count"]
                    .iter()
                    .any(|part| name == format!("{family}_{part}")),
                _ => name == *family,
            });
            ensure!(is_known, "{query}: there is no {name}");
        }
    }
    Ok(())
}

fn expressions<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value {
                    Value::String(text) if key == "expr" => found.push(text),
                    other => expressions(other, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| expressions(item, found)),
        _ => {}
    }
}
