//! From the node to what is said of it.

use std::collections::BTreeMap;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use holm_model::for_each_limit;
use holm_model::limits::Limits;
use holm_model::limits::ROWS;
use holm_model::outcome::Outcome;
use holm_process::sandbox::State;
use holm_router::Stats;
use holm_runtime::pool::Load;

use super::Board;
use super::process;
use super::status::AcmeHost;
use super::status::AcmeStatus;
use super::status::CertificateStatus;
use super::status::EdgeStatus;
use super::status::FunctionStatus;
use super::status::Isolates;
use super::status::Layer;
use super::status::Listener;
use super::status::NodeStatus;
use super::status::Problem;
use super::status::Reload;
use super::status::Reloads;
use super::status::Status;
use super::status::Times;
use super::status::Totals;
use super::status::Upgrades;
use super::status::Zygote;
use crate::app::Node;
use crate::app::ReloadState;
use crate::app::Reloader;
use crate::app::View;
use crate::telemetry;
use crate::telemetry::BOUNDS;
use crate::telemetry::BUCKETS;
use crate::telemetry::Meters;
use crate::telemetry::timestamp;

/// The node as it is now. Reads a few files of `/proc`.
pub(super) fn look(board: &Board) -> Status {
    let readiness = board.readiness();
    let node = board.node();
    let meters = board.telemetry.meters();
    let views = node.as_ref().map(|node| node.views()).unwrap_or_default();
    let reloads = board.reloader.get().map(Reloader::state);
    Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        config: board.config.display().to_string(),
        stage: board.stage(),
        ready: readiness.is_ok(),
        why_not: readiness.err().map(str::to_owned),
        uptime_seconds: board.started.elapsed().unwrap_or_default().as_secs_f64(),
        listeners: listeners(board),
        node: of_node(board, node.as_deref()),
        edge: of_edge(board),
        reloads: reloads.map_or_else(Reloads::default, |state| of_reloads(&state)),
        upgrades: upgrades(board),
        certificates: certificates(board),
        acme: acme(board),
        bounds_seconds: BOUNDS[..BUCKETS - 1].to_vec(),
        functions: views.iter().map(|view| function(view, meters)).collect(),
        others: meters
            .totals()
            .iter()
            .filter(|(name, _)| name.starts_with('_'))
            .map(|(name, totals)| (name.to_string(), counted(totals)))
            .collect(),
    }
}

fn listeners(board: &Board) -> Vec<Listener> {
    let listeners = board.listeners();
    let open = listeners.map_or_else(Vec::new, |listeners| listeners.open_addresses());
    open.into_iter()
        .map(|(address, scheme)| Listener {
            address: address.to_string(),
            scheme: scheme.to_owned(),
        })
        .collect()
}

fn of_reloads(state: &ReloadState) -> Reloads {
    let problem = state.last_problem.as_ref().filter(|_| state.is_behind);
    Reloads {
        ok: state.applied,
        failed: state.refused,
        last_ok: state.applied_at.map(timestamp),
        last_problem: problem.map(|problem| Reload {
            time: timestamp(problem.at),
            message: problem.text.to_string(),
        }),
    }
}

fn upgrades(board: &Board) -> Upgrades {
    let Some(upgrader) = board.upgrader.get() else {
        return Upgrades::default();
    };
    let state = upgrader.state();
    Upgrades {
        failed: state.failed,
        last_problem: state.last_problem.as_ref().map(|(at, text)| Reload {
            time: timestamp(*at),
            message: text.to_string(),
        }),
        predecessor: state.predecessor,
    }
}

fn of_node(board: &Board, node: Option<&Node>) -> NodeStatus {
    let layer = |(layer, state): (holm_process::sandbox::Layer, &State)| {
        let (word, why) = match state {
            State::On => ("on", None),
            State::Off => ("off", None),
            State::Missing(why) => ("missing", Some(why.clone())),
        };
        Layer {
            name: layer.name().to_owned(),
            state: word.to_owned(),
            why,
        }
    };
    NodeStatus {
        pid: std::process::id(),
        memory_bytes: node.map_or(0, |node| node.memory().held()),
        memory_budget_bytes: node.and_then(|node| node.memory().budget()),
        zygote: node.map_or_else(Zygote::default, |node| Zygote {
            is_there: node.can_fork(),
            starts: node.zygote().starts(),
            deaths: node.zygote().deaths(),
        }),
        sandbox: node.map_or_else(Vec::new, |node| node.sandbox().iter().map(layer).collect()),
        process: process::this(),
        log_entries_lost: board.telemetry.lost(),
    }
}

fn of_edge(board: &Board) -> EdgeStatus {
    let stats = board.listeners().map(|listeners| listeners.stats());
    let sum = |of: fn(&Stats) -> u64| stats.as_deref().map_or(0, of);
    EdgeStatus {
        connections_open: sum(Stats::open),
        connections: sum(Stats::accepted),
        connections_shed: sum(Stats::shed),
        connections_too_slow: sum(Stats::too_slow),
        requests: sum(Stats::requests),
        requests_refused: sum(Stats::refused),
        handshakes: sum(Stats::handshakes) + sum(Stats::failed_handshakes),
        handshakes_failed: sum(Stats::failed_handshakes),
    }
}

fn certificates(board: &Board) -> Vec<CertificateStatus> {
    let listeners = board.listeners();
    let certificates = listeners.map_or_else(Vec::new, |listeners| listeners.expiries());
    certificates
        .into_iter()
        .map(|certificate| CertificateStatus {
            name: certificate.name,
            until: timestamp(certificate.not_after),
            until_seconds: seconds(certificate.not_after),
        })
        .collect()
}

fn acme(board: &Board) -> Option<AcmeStatus> {
    let listeners = board.listeners()?;
    let acme = listeners.acme();
    let (views, counts) = (acme.views(), acme.counts());
    let hosts = views.into_iter().map(|view| AcmeHost {
        host: view.host,
        state: view.state.word().to_owned(),
        until: view.until.map(timestamp),
        next_try: timestamp(view.next_try),
        next_try_seconds: seconds(view.next_try),
        failures: view.failures,
        last_problem: view.problem.map(|(at, message)| Reload {
            time: timestamp(at),
            message,
        }),
    });
    let hosts: Vec<_> = hosts.collect();
    (!hosts.is_empty()).then_some(AcmeStatus {
        issued: counts.issued,
        failed: counts.failed,
        hosts,
    })
}

fn function(view: &View, meters: &Meters) -> FunctionStatus {
    let series = meters.of(&view.name);
    let base = FunctionStatus {
        name: view.name.to_string(),
        // One that is made of files alone has no isolates, and is ready all the same.
        state: if view.why.is_some() && !view.is_older {
            "broken"
        } else {
            "ready"
        }
        .to_owned(),
        why: view.why.as_deref().map(str::to_owned),
        is_older: view.is_older,
        routes: view.routes.clone(),
        totals: series.as_ref().map(|series| counted(&series.totals())),
        last_problem: series.and_then(|series| series.last_problem()).map(problem),
        ..FunctionStatus::default()
    };
    let Some(pool) = &view.pool else {
        return base;
    };
    let (load, deployment) = (pool.load(), pool.deployment());
    FunctionStatus {
        state: "ready".to_owned(),
        deployment: Some(deployment.version.to_string()),
        isolates: isolates(&load),
        has_template: pool.has_template(),
        waiting: load.waiting,
        oldest_seconds: load.oldest.as_secs_f64(),
        memory_bytes: pool.memory(),
        limits: limits(&deployment.limits, &deployment.concurrency.to_string()),
        ..base
    }
}

fn isolates(load: &Load) -> Isolates {
    let computing = load.computing.min(load.isolates);
    // Each is told by someone else, a moment apart.
    let idle = load.idle.min(load.isolates - computing);
    Isolates {
        computing,
        waiting: load.isolates - computing - idle,
        idle,
        starting: load.starting,
    }
}

fn limits(limits: &Limits, concurrency: &str) -> BTreeMap<String, String> {
    macro_rules! all {
        ($($key:ident: $quantity:ty),*) => {
            [
                $((ROWS.$key.key.to_owned(), limits.$key.to_string()),)*
                ("concurrency".to_owned(), concurrency.to_owned()),
            ]
        };
    }
    for_each_limit!(all).into()
}

fn counted(totals: &telemetry::Totals) -> Totals {
    let outcomes = Outcome::ALL.into_iter();
    let outcomes = outcomes.map(|outcome| (outcome, totals.outcome(outcome)));
    let times = |times: &telemetry::Times| Times {
        seconds: times.sum.as_secs_f64(),
        counts: times.counts.to_vec(),
    };
    Totals {
        requests: totals.requests(),
        outcomes: outcomes
            .filter(|(_, count)| *count > 0)
            .map(|(outcome, count)| (outcome.word().to_owned(), count))
            .collect(),
        cold_starts: totals.cold,
        subrequests: totals.subrequests,
        bytes_in: totals.bytes_in,
        bytes_out: totals.bytes_out,
        log_bytes_dropped: totals.log_dropped,
        wall: times(&totals.wall),
        cpu: times(&totals.cpu),
        queued: times(&totals.queued),
    }
}

fn problem(problem: telemetry::Problem) -> Problem {
    Problem {
        time: problem.time,
        request_id: problem.request.to_string(),
        outcome: problem.outcome.word().to_owned(),
        message: problem.message,
    }
}

fn seconds(time: SystemTime) -> f64 {
    let since = time.duration_since(UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64())
}
