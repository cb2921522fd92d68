//! The node, its process, and its edge.

use std::fmt;

use super::Out;
use crate::acme::State;
use crate::admin::status::AcmeHost;
use crate::admin::status::AcmeStatus;
use crate::admin::status::Status;

impl Out<'_> {
    pub(super) fn of_node(&mut self, status: &Status) -> fmt::Result {
        let node = &status.node;
        let version = [("version", status.version.as_str())];
        self.gauges(
            "holm_build_info",
            "The program; always 1",
            [(version, 1.0)].into_iter(),
        )?;
        self.gauge(
            "holm_ready",
            "1 while the node takes requests, as /readyz says",
            f64::from(u8::from(status.ready)),
        )?;
        self.gauge(
            "holm_node_memory_bytes",
            "Memory that all processes of the node hold, as it was last read",
            node.memory_bytes as f64,
        )?;
        self.gauges(
            "holm_node_memory_budget_bytes",
            "[node] memory; absent if there is no bound",
            node.memory_budget_bytes
                .into_iter()
                .map(|bytes| ([], bytes as f64)),
        )?;
        self.gauge(
            "holm_zygote_up",
            "1 while there is a process to fork isolates from",
            f64::from(u8::from(node.zygote.is_there)),
        )?;
        self.counter(
            "holm_zygote_starts",
            "Zygotes that were started; one an hour is renewed",
            node.zygote.starts,
        )?;
        self.counter(
            "holm_zygote_deaths",
            "Zygotes that died and were started again",
            node.zygote.deaths,
        )?;
        self.counter(
            "holm_log_entries_lost",
            "Lines of the log that were dropped because nobody took them in time, or they could not be written",
            node.log_entries_lost,
        )?;
        let reloads = &status.reloads;
        self.counters(
            "holm_reloads",
            "Reloads of the configuration, by outcome",
            [("ok", reloads.ok), ("failed", reloads.failed)]
                .into_iter()
                .map(|(outcome, count)| ([("outcome", outcome)], count)),
        )?;
        self.gauge(
            "holm_reload_failed",
            "1 if the last reload of the configuration failed",
            f64::from(u8::from(reloads.last_problem.is_some())),
        )?;
        self.counter(
            "holm_upgrades_failed",
            "Upgrades after which the node went on as it was; one that comes off is its last",
            status.upgrades.failed,
        )?;
        self.gauge(
            "holm_predecessor_up",
            "1 while the node before this one finishes what it had begun",
            f64::from(u8::from(status.upgrades.predecessor.is_some())),
        )?;
        let certificates = status.certificates.iter();
        let names: Vec<_> = certificates.map(|of| escaped(&of.name)).collect();
        self.gauges(
            "holm_certificate_expiry_timestamp_seconds",
            "When a certificate ends, in seconds since 1970",
            names
                .iter()
                .zip(&status.certificates)
                .map(|(name, certificate)| ([("name", name.as_str())], certificate.until_seconds)),
        )?;
        if let Some(acme) = &status.acme {
            self.of_acme(acme)?;
        }
        self.of_process(status)
    }

    fn of_acme(&mut self, acme: &AcmeStatus) -> fmt::Result {
        self.counters(
            "holm_acme_orders",
            "Orders of certificates at the authority, by outcome",
            [("ok", acme.issued), ("failed", acme.failed)]
                .into_iter()
                .map(|(outcome, count)| ([("outcome", outcome)], count)),
        )?;
        self.gauges(
            "holm_acme_hosts",
            "Hosts whose certificates an authority issues, by state",
            State::ALL.into_iter().map(|state| {
                let word = state.word();
                let hosts = acme.hosts.iter();
                let count = hosts.filter(|host| host.state == word).count();
                ([("state", word)], count as f64)
            }),
        )?;
        let name = |host: &AcmeHost| escaped(&host.host);
        let names: Vec<_> = acme.hosts.iter().map(name).collect();
        let hosts = || names.iter().zip(&acme.hosts);
        self.gauges(
            "holm_acme_failures",
            "Orders of a host that failed since the last one that did not",
            hosts().map(|(name, host)| ([("name", name.as_str())], f64::from(host.failures))),
        )?;
        self.gauges(
            "holm_acme_next_try_timestamp_seconds",
            "When a host's certificate is ordered next, in seconds since 1970",
            hosts().map(|(name, host)| ([("name", name.as_str())], host.next_try_seconds)),
        )
    }

    fn of_process(&mut self, status: &Status) -> fmt::Result {
        let process = &status.node.process;
        self.counter(
            "process_cpu_seconds",
            "CPU time of the edge's process; isolates are processes of their own",
            process.cpu_seconds,
        )?;
        for (name, help, value) in [
            (
                "process_open_fds",
                "Open descriptors of the edge",
                process.open_files as f64,
            ),
            (
                "process_max_fds",
                "Descriptors that the edge may have open",
                process.max_files as f64,
            ),
            (
                "process_resident_memory_bytes",
                "Memory of the edge in RAM, shared pages included",
                process.resident_bytes as f64,
            ),
            (
                "process_start_time_seconds",
                "When the edge was started, in seconds since 1970",
                process.start_time_seconds,
            ),
        ] {
            self.gauge(name, help, value)?;
        }
        Ok(())
    }

    pub(super) fn of_edge(&mut self, status: &Status) -> fmt::Result {
        let edge = &status.edge;
        self.gauge(
            "holm_edge_connections_open",
            "Connections that are open",
            edge.connections_open as f64,
        )?;
        for (name, help, value) in [
            (
                "holm_edge_connections",
                "Connections that were served",
                edge.connections,
            ),
            (
                "holm_edge_connections_shed",
                "Connections turned away because there were too many",
                edge.connections_shed,
            ),
            (
                "holm_edge_connections_too_slow",
                "Connections ended because their clients took too little",
                edge.connections_too_slow,
            ),
            (
                "holm_edge_requests",
                "Requests received, those under way and those refused included",
                edge.requests,
            ),
            (
                "holm_edge_requests_refused",
                "Requests that the edge turned away before a function was looked for",
                edge.requests_refused,
            ),
        ] {
            self.counter(name, help, value)?;
        }
        let done = edge.handshakes - edge.handshakes_failed;
        self.counters(
            "holm_edge_handshakes",
            "TLS handshakes, by outcome",
            [("ok", done), ("failed", edge.handshakes_failed)]
                .into_iter()
                .map(|(outcome, count)| ([("outcome", outcome)], count)),
        )
    }
}

/// A label's value that is not known to be of letters, digits and hyphens: the crate writes values as they are.
fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}
