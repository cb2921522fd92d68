//! Functions: what their requests came to, and how they are now.

use std::fmt;

use super::Label;
use super::Out;
use crate::admin::status::FunctionStatus;
use crate::admin::status::Isolates;
use crate::admin::status::Status;
use crate::admin::status::Totals;
use crate::telemetry::OTHER;

/// A metric: its name, its help, and where its value is.
type Kind<T, V> = (&'static str, &'static str, fn(&T) -> V);

impl Out<'_> {
    /// What records say, by function.
    pub(super) fn of_requests(&mut self, status: &Status) -> fmt::Result {
        let named = status.functions.iter();
        let named = named.filter_map(|f| Some((f.name.as_str(), f.totals.as_ref()?)));
        let others = status.others.iter().map(|(name, t)| (name.as_str(), t));
        let all: Vec<(&str, &Totals)> = others.chain(named).collect();
        self.counters(
            "holm_requests",
            "Requests that have ended, by function and outcome: one for each record",
            all.iter().flat_map(|(function, totals)| {
                totals.outcomes.iter().map(|(outcome, count)| {
                    let labels = [("function", *function), ("outcome", outcome.as_str())];
                    (labels, *count)
                })
            }),
        )?;
        // Nobody wants seventy lines of zeros.
        let used = || all.iter().filter(|(_, totals)| totals.requests > 0);
        self.histograms(
            "holm_request_duration_seconds",
            "From a function's queue to the end of its work",
            used().map(|(function, totals)| (*function, &totals.wall)),
        )?;
        self.histograms(
            "holm_request_cpu_seconds",
            "CPU time of a request",
            used().map(|(function, totals)| (*function, &totals.cpu)),
        )?;
        self.histograms(
            "holm_request_queue_seconds",
            "Time that a request waited for an isolate",
            used().map(|(function, totals)| (*function, &totals.queued)),
        )?;
        let counters: [Kind<Totals, u64>; 5] = [
            (
                "holm_cold_starts",
                "Requests that an isolate was started for",
                |totals| totals.cold_starts,
            ),
            (
                "holm_subrequests",
                "Calls of fetch() that sent something",
                |totals| totals.subrequests,
            ),
            (
                "holm_request_body_bytes",
                "Bytes of requests' bodies that functions were given",
                |totals| totals.bytes_in,
            ),
            (
                "holm_response_body_bytes",
                "Bytes of answers' bodies that functions gave",
                |totals| totals.bytes_out,
            ),
            (
                "holm_log_dropped_bytes",
                "Bytes that functions logged over their limit",
                |totals| totals.log_bytes_dropped,
            ),
        ];
        for (name, help, of) in counters {
            let rows = used().map(|(function, totals)| ([("function", *function)], of(totals)));
            self.counters(name, help, rows)?;
        }
        Ok(())
    }

    /// How functions are now.
    pub(super) fn of_functions(&mut self, status: &Status) -> fmt::Result {
        let (named, rest): (Vec<_>, Vec<_>) =
            status.functions.iter().partition(|f| f.totals.is_some());
        let mut gauges: Vec<Gauges<'_>> = named.iter().map(|f| Gauges::of(&f.name, &[f])).collect();
        if !rest.is_empty() {
            gauges.push(Gauges::of(OTHER, &rest));
        }
        let broken = status
            .functions
            .iter()
            .filter(|f| f.state != "ready")
            .count();
        let ready = status.functions.len() - broken;
        self.gauges(
            "holm_functions",
            "Functions, by whether they start",
            [("ready", ready), ("broken", broken)]
                .into_iter()
                .map(|(state, count)| ([("state", state)], count as f64)),
        )?;
        let templates = status.functions.iter().filter(|f| f.has_template).count();
        self.gauge(
            "holm_templates",
            "Functions whose isolates are copies of one that has started",
            templates as f64,
        )?;
        self.gauges(
            "holm_function_info",
            "The deployment that is served; always 1",
            named.iter().filter_map(|function| {
                let deployment = function.deployment.as_deref()?;
                let labels = [("function", &*function.name), ("deployment", deployment)];
                Some((labels, 1.0))
            }),
        )?;
        self.gauges(
            "holm_isolates",
            "Isolates, by what they do: compute, wait for something, nothing, start",
            gauges.iter().flat_map(Gauges::isolates),
        )?;
        let kinds: [Kind<Gauges<'_>, f64>; 3] = [
            (
                "holm_queue_requests",
                "Requests that wait for an isolate",
                |gauges| gauges.waiting as f64,
            ),
            (
                "holm_queue_oldest_seconds",
                "How long the first of them has waited",
                |gauges| gauges.oldest,
            ),
            (
                "holm_function_memory_bytes",
                "Memory of a function's isolates and template, as it was last read",
                |gauges| gauges.memory as f64,
            ),
        ];
        for (name, help, of) in kinds {
            let rows = gauges.iter();
            self.gauges(
                name,
                help,
                rows.map(|gauges| ([("function", gauges.name)], of(gauges))),
            )?;
        }
        Ok(())
    }
}

/// One function, or those that have no name of their own.
struct Gauges<'a> {
    name: &'a str,
    isolates: Isolates,
    waiting: usize,
    oldest: f64,
    memory: u64,
}

impl<'a> Gauges<'a> {
    fn of(name: &'a str, functions: &[&FunctionStatus]) -> Self {
        let sum = |of: fn(&FunctionStatus) -> usize| functions.iter().map(|f| of(f)).sum();
        Self {
            name,
            isolates: Isolates {
                computing: sum(|f| f.isolates.computing),
                waiting: sum(|f| f.isolates.waiting),
                idle: sum(|f| f.isolates.idle),
                starting: sum(|f| f.isolates.starting),
            },
            waiting: sum(|f| f.waiting),
            oldest: functions
                .iter()
                .map(|f| f.oldest_seconds)
                .fold(0.0, f64::max),
            memory: functions.iter().map(|f| f.memory_bytes).sum(),
        }
    }

    fn isolates(&self) -> impl Iterator<Item = ([Label<'a>; 2], f64)> {
        let Isolates {
            computing,
            waiting,
            idle,
            starting,
        } = self.isolates;
        let name = self.name;
        [
            ("computing", computing),
            ("waiting", waiting),
            ("idle", idle),
            ("starting", starting),
        ]
        .into_iter()
        .map(move |(state, count)| ([("function", name), ("state", state)], count as f64))
    }
}
