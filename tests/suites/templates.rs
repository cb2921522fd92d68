//! Functions whose start-up cannot be copied, or can although it looks odd: all are served the same.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use libtest_mimic::Trial;
use toml::Table;

use crate::harness::area::{function, node, table};
use crate::harness::log::is_record;
use crate::harness::processes::Kind;
use crate::harness::program::{self, until};
use crate::harness::{Request, Server, World};

/// What answers of a function that starts like this: `started` comes from its start-up.
struct Start {
    name: &'static str,
    /// Statements at the top level that set `started`.
    code: &'static str,
    /// Whether each isolate starts by itself, and has another `started`.
    alone: bool,
    /// Why, in the log and in `holm check`.
    why: Option<&'static str>,
}

const STARTS: &[Start] = &[
    Start {
        name: "timer",
        code: "const started = 'timer'; setTimeout(() => {}, 600_000);",
        alone: true,
        why: Some("leaves work pending"),
    },
    Start {
        name: "interval",
        code: "const started = 'interval'; setInterval(() => {}, 600_000);",
        alone: true,
        why: Some("leaves work pending"),
    },
    Start {
        name: "uuid",
        code: "const started = crypto.randomUUID();",
        alone: true,
        why: Some("cryptographic randomness"),
    },
    Start {
        name: "bytes",
        code: "const started = crypto.getRandomValues(new Uint8Array(8)).join();",
        alone: true,
        why: Some("cryptographic randomness"),
    },
    Start {
        name: "digest",
        code: "const bytes = await crypto.subtle.digest('SHA-256', new Uint8Array(1));
               const started = new Uint8Array(bytes).join();",
        alone: true,
        why: Some("helper threads"),
    },
    Start {
        name: "awaited",
        code: "const started = await new Promise((done) => setTimeout(() => done('awaited'), 5));",
        alone: false,
        why: None,
    },
    Start {
        name: "random",
        code: "const started = `${Math.random()} ${Date.now()}`;",
        alone: false,
        why: None,
    },
    Start {
        name: "plain",
        code: "const started = 'plain';",
        alone: false,
        why: None,
    },
];

pub(super) fn trials(world: &Arc<World>) -> Vec<Trial> {
    vec![
        world.trial("templates::every_start_is_served", async |_| served().await),
        world.trial("templates::check_says_why_not", async |_| check().await),
        world.trial("templates::copies_differ_where_they_must", async |_| {
            differ().await
        }),
    ]
}

fn host(name: &str) -> String {
    format!("{name}.templates.test")
}

fn worker(start: &Start) -> String {
    format!(
        "{}
export default {{
  fetch: () => Response.json([started, crypto.randomUUID(), Math.random(), performance.timeOrigin]),
}};
",
        start.code
    )
}

fn config() -> (Table, Vec<(String, String)>) {
    let mut functions = Table::new();
    let mut files = Vec::new();
    for start in STARTS {
        let file = format!("{}.js", start.name);
        let mut keys = function(&file, &host(start.name));
        // Each request comes to an isolate of its own.
        let limits = table([("requests_per_isolate", 1.into())]);
        keys.insert("limits".to_owned(), limits.into());
        functions.insert(start.name.to_owned(), keys.into());
        files.push((file, worker(start)));
    }
    (node(functions), files)
}

async fn serve() -> anyhow::Result<Server> {
    let (config, files) = config();
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    Server::serve(&config, &files).await
}

/// Answers of isolates of their own.
async fn answers(server: &Server, name: &str, count: usize) -> anyhow::Result<Vec<Vec<String>>> {
    let mut all = Vec::new();
    for _ in 0..count {
        let answer = Request::get(&host(name), "/")
            .send(server.address())
            .await?;
        let text = String::from_utf8_lossy(&answer.body);
        ensure!(answer.status == 200, "{name}: {} {text}", answer.status);
        let values: Vec<serde_json::Value> = serde_json::from_str(&text)?;
        all.push(values.iter().map(ToString::to_string).collect());
    }
    Ok(all)
}

async fn served() -> anyhow::Result<()> {
    let server = serve().await?;
    let templates: BTreeSet<String> = server
        .family()
        .kind(Kind::Template)?
        .into_iter()
        .map(|process| process.name)
        .collect();
    let copied: BTreeSet<String> = STARTS
        .iter()
        .filter(|start| !start.alone)
        .map(|start| start.name.to_owned())
        .collect();
    ensure!(templates == copied, "there are templates of {templates:?}");
    for start in STARTS {
        let name = start.name;
        let answers = answers(&server, name, 4).await?;
        let started: BTreeSet<&String> = answers.iter().map(|answer| &answer[0]).collect();
        let draws = matches!(name, "uuid" | "bytes");
        let expected = if draws { answers.len() } else { 1 };
        ensure!(started.len() == expected, "{name}: {started:?}");
        let told = server.log().events("warn");
        let told: Vec<_> = told
            .iter()
            .filter(|line| line["function"] == name)
            .collect();
        match (start.why, &told[..]) {
            (None, []) => {}
            (Some(why), [line]) => ensure!(line.to_string().contains(why), "{line}"),
            (_, lines) => anyhow::bail!("{name}: the log says {lines:?}"),
        }
    }
    server
        .log()
        .nth("last record", 4 * STARTS.len() - 1, is_record)
        .await?;
    for record in server.log().records() {
        ensure!(record["outcome"] == "ok", "{record}");
    }
    server.assert_healthy().await
}

/// Nothing is wrong with such a function: the check says so, and ends well.
async fn check() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (config, files) = config();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text)?;
    }
    std::fs::write(folder.path().join("holm.toml"), toml::to_string(&config)?)?;
    let args = ["check".to_owned(), "holm.toml".to_owned()];
    let ended = program::run(folder.path(), &args).await?;
    ensure!(ended.status.success(), "{} {}", ended.status, ended.stderr);
    for start in STARTS {
        let of = format!("function {}:", start.name);
        let said: Vec<_> = ended
            .stderr
            .lines()
            .filter(|line| line.contains(&of))
            .collect();
        match (start.why, &said[..]) {
            (None, []) => {}
            (Some(why), [line]) => ensure!(line.contains(why), "{line}"),
            (_, lines) => anyhow::bail!("{}: it says {lines:?}", start.name),
        }
    }
    for start in STARTS {
        let url = format!("http://{}/", host(start.name));
        let args = ["check", "holm.toml", "--explain", &url].map(str::to_owned);
        let ended = program::run(folder.path(), &args).await?;
        let mut lines = ended.stdout.lines();
        let starts = lines.find(|line| line.starts_with("  starts "));
        let starts = starts.with_context(|| format!("no such line: {}", ended.stdout))?;
        ensure!(
            starts.contains(start.why.unwrap_or("are copies of one")),
            "{starts}"
        );
    }
    Ok(())
}

/// What is drawn at request time differs, however its isolate came to be.
async fn differ() -> anyhow::Result<()> {
    let server = serve().await?;
    for start in STARTS {
        let answers = answers(&server, start.name, 6).await?;
        for (place, what) in [(1, "crypto.randomUUID()"), (2, "Math.random()")] {
            let drawn: BTreeSet<&String> = answers.iter().map(|answer| &answer[place]).collect();
            ensure!(
                drawn.len() == answers.len(),
                "{}: {what} repeats itself: {drawn:?}",
                start.name
            );
        }
    }
    // None of them answers twice, so none is there any more a while later, but spare ones.
    let used = || server.family().kind(Kind::Cell);
    until(|| Ok((used()?.len() <= 2 * STARTS.len() * num_cores()).then_some(())))
        .await?
        .with_context(|| format!("{:?} are left", used()))?;
    server.assert_healthy().await
}

fn num_cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
