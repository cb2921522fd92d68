//! `holm status`.

use super::Failure;
use super::admin;
use super::admin::Which;
use super::print;
use super::table::bytes;
use super::table::quantile;
use super::table::seconds;
use super::table::table;
use super::table::uptime;
use crate::admin::status::AcmeHost;
use crate::admin::status::FunctionStatus;
use crate::admin::status::Stage;
use crate::admin::status::Status;
use crate::admin::status::Totals;

/// Prints how a node does, once.
pub(crate) fn run(which: &Which, json: bool) -> Result<(), Failure> {
    let (text, status) = admin::status(&which.client()?)?;
    if json {
        return print::out(&text);
    }
    let mut lines = head(&status);
    lines.push(String::new());
    lines.extend(functions(&status));
    lines.extend(problems(&status));
    print::out(&format!("{}\n", lines.join("\n")))
}

/// The node as a whole.
pub(super) fn head(status: &Status) -> Vec<String> {
    let node = &status.node;
    let edge = &status.edge;
    let stage = match status.stage {
        Stage::Starting => "starting",
        Stage::Serving => "serving",
        Stage::Draining => "draining",
    };
    let mut lines = vec![format!(
        "holm {}, {stage} {} after its start, process {}, {}",
        status.version,
        uptime(status.uptime_seconds),
        node.pid,
        status.config
    )];
    if let (Some(why), Stage::Serving) = (&status.why_not, status.stage) {
        lines.push(format!("not ready: {why}"));
    }
    let listeners = status.listeners.iter();
    let listeners: Vec<_> = listeners
        .map(|listener| format!("{}://{}", listener.scheme, listener.address))
        .collect();
    if !listeners.is_empty() {
        lines.push(format!("listens on {}", listeners.join(", ")));
    }
    let budget = node.memory_budget_bytes;
    let budget = budget.map_or(String::new(), |budget| format!(" of {}", bytes(budget)));
    lines.push(format!(
        "memory {}{budget}; edge: CPU {}, {} of {} descriptors; zygote {}, died {} times",
        bytes(node.memory_bytes),
        seconds(node.process.cpu_seconds),
        node.process.open_files,
        node.process.max_files,
        if node.zygote.is_there {
            "there"
        } else {
            "gone"
        },
        node.zygote.deaths,
    ));
    let missing = node.sandbox.iter().filter(|layer| layer.state != "on");
    let missing: Vec<_> = missing.map(|layer| layer.name.as_str()).collect();
    lines.push(match missing.as_slice() {
        [] => format!("sandbox: all {} layers", node.sandbox.len()),
        missing => format!("sandbox: no {}", missing.join(", no ")),
    });
    lines.push(format!(
        "connections {} open, {} shed, {} too slow; requests {}, {} refused by the edge; {} lines of the log lost",
        edge.connections_open,
        edge.connections_shed,
        edge.connections_too_slow,
        edge.requests,
        edge.requests_refused,
        node.log_entries_lost,
    ));
    let reloads = &status.reloads;
    if reloads.ok + reloads.failed > 0 {
        lines.push(format!(
            "reloads {} ok, {} failed",
            reloads.ok, reloads.failed
        ));
    }
    if let Some(problem) = &reloads.last_problem {
        lines.push(format!(
            "last reload failed at {}: {}",
            problem.time, problem.message
        ));
    }
    let upgrades = &status.upgrades;
    if let Some(problem) = &upgrades.last_problem {
        lines.push(format!(
            "last upgrade failed at {}: {}",
            problem.time, problem.message
        ));
    }
    if let Some(pid) = upgrades.predecessor {
        lines.push(format!(
            "process {pid}, the node before this one, finishes what it had begun"
        ));
    }
    for certificate in &status.certificates {
        lines.push(format!(
            "certificate for {} until {}",
            certificate.name, certificate.until
        ));
    }
    let hosts = status.acme.iter().flat_map(|acme| &acme.hosts);
    // Of the others there is nothing to say but what stands above.
    for host in hosts.filter(|host| host.state != "valid" || host.failures > 0) {
        lines.push(not_issued(host));
    }
    lines
}

/// How a host is doing that has no certificate of an authority yet, or no newer one.
fn not_issued(host: &AcmeHost) -> String {
    let AcmeHost {
        host: name,
        state,
        next_try,
        failures,
        last_problem,
        ..
    } = host;
    let mut line = format!("certificate of {name} by ACME: {state}");
    if state != "ordering" {
        line.push_str(&format!(", tried at {next_try}"));
    }
    if let Some(problem) = last_problem {
        let (time, message) = (&problem.time, &problem.message);
        line.push_str(&format!(
            ", failed {failures} times, last at {time}: {message}"
        ));
    }
    line
}

fn functions(status: &Status) -> Vec<String> {
    let titles = [
        "FUNCTION",
        "STATE",
        "ISOLATES",
        "BUSY",
        "QUEUE",
        "REQUESTS",
        "FAILED",
        "P50",
        "P99",
        "CPU/REQUEST",
        "MEMORY",
        "DEPLOYMENT",
    ];
    let mut rows = vec![titles.map(str::to_owned).to_vec()];
    for function in &status.functions {
        rows.push(row(function, &status.bounds_seconds));
    }
    table(&rows)
}

fn row(function: &FunctionStatus, bounds: &[f64]) -> Vec<String> {
    let isolates = function.isolates;
    let totals = function.totals.as_ref();
    let of = |say: &dyn Fn(&Totals) -> String| totals.map_or_else(|| "-".to_owned(), say);
    let deployment = function.deployment.as_deref().unwrap_or("-");
    vec![
        function.name.clone(),
        function.state.clone(),
        isolates.running().to_string(),
        (isolates.computing + isolates.waiting).to_string(),
        function.waiting.to_string(),
        of(&|totals| totals.requests.to_string()),
        of(&|totals| failed(totals).to_string()),
        of(&|totals| quantile(0.5, bounds, &totals.wall.counts)),
        of(&|totals| quantile(0.99, bounds, &totals.wall.counts)),
        of(&|totals| match totals.requests {
            0 => "-".to_owned(),
            requests => seconds(totals.cpu.seconds / requests as f64),
        }),
        bytes(function.memory_bytes),
        deployment.chars().take(8).collect(),
    ]
}

/// Requests that failed through no fault of their clients.
pub(super) fn failed(totals: &Totals) -> u64 {
    let outcomes = totals.outcomes.iter();
    outcomes
        .filter(|(outcome, _)| !["ok", "canceled", "refused"].contains(&outcome.as_str()))
        .map(|(_, count)| count)
        .sum()
}

fn problems(status: &Status) -> Vec<String> {
    let mut lines = Vec::new();
    for function in &status.functions {
        if let Some(why) = &function.why {
            lines.push(String::new());
            lines.push(why.clone());
        }
        if let Some(problem) = &function.last_problem {
            lines.push(String::new());
            lines.push(format!(
                "{}: last {} at {}, request {}: {}",
                function.name, problem.outcome, problem.time, problem.request_id, problem.message
            ));
        }
    }
    lines
}
