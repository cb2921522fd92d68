//! From the parsed document to [`RawConfig`]: which key is read as what.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{
    RawAccess, RawAssets, RawConfig, RawEgress, RawFunction, RawLimits, RawLog, RawNode,
    RawNodeLimits, RawServer,
};
use crate::config::at::At;
use crate::config::fields::{Fields, FromToml, Table};
use crate::config::problem::{Findings, Problem};

impl RawConfig {
    /// Reads a parsed document.
    pub(in crate::config) fn read(
        document: &Spanned<DeTable<'_>>,
        findings: &mut Findings,
    ) -> Self {
        let mut fields = Fields::of_document(document, findings);
        let config = Self {
            version: fields.required("version", "begin the file with `version = 1`"),
            server: fields.optional("server"),
            tls: fields.optional("tls"),
            log: fields.optional("log"),
            node: fields.optional("node"),
            egress: fields.optional("egress"),
            limits: fields.optional("limits"),
            functions: fields
                .optional::<Functions>("functions")
                .map(|table| table.0),
        };
        let asked_for_functions = document.get_ref().contains_key("functions");
        // `[function.hello]` is a misspelling, not a lack of functions.
        if !fields.finish() && !asked_for_functions {
            findings.report(no_functions(0..0));
        }
        config
    }
}

/// The value of `functions`.
struct Functions(Vec<(At<String>, RawFunction)>);

impl FromToml for Functions {
    fn from_toml(
        value: &Spanned<DeValue<'_>>,
        name: &str,
        findings: &mut Findings,
    ) -> Option<Self> {
        let mut fields = Fields::of_value(value, name, findings)?;
        let functions = fields.entries();
        let is_empty = value.get_ref().as_table().is_some_and(DeTable::is_empty);
        if is_empty {
            findings.report(no_functions(value.span()));
        }
        Some(Self(functions))
    }
}

fn no_functions(span: Range<usize>) -> Problem {
    Problem::new("there is no function to serve")
        .at(span, "no [functions.NAME] here")
        .help("`holm new hello` makes one, with the lines to put here")
}

impl Table for RawNode {
    fn of_fields(fields: &mut Fields<'_, '_>) -> Self {
        Self {
            memory: fields.optional("memory"),
            sandbox: fields.optional("sandbox"),
            watch: fields.optional("watch"),
        }
    }
}

impl Table for RawServer {
    fn of_fields(fields: &mut Fields<'_, '_>) -> Self {
        Self {
            http: fields.optional("http"),
            admin: fields.optional("admin"),
            admin_token: fields.optional("admin_token"),
            https: fields.optional("https"),
            redirect_to_https: fields.optional("redirect_to_https"),
            trusted_proxies: fields.optional("trusted_proxies"),
            proxy_headers: fields.optional("proxy_headers"),
            proxy_protocol: fields.optional("proxy_protocol"),
            request_id_header: fields.optional("request_id_header"),
            hsts: fields.optional("hsts"),
            compress: fields.optional("compress"),
            handshake_time: fields.optional("handshake_time"),
            max_handshakes: fields.optional("max_handshakes"),
            max_head: fields.optional("max_head"),
            head_time: fields.optional("head_time"),
            keep_alive: fields.optional("keep_alive"),
            max_streams: fields.optional("max_streams"),
            max_resets: fields.optional("max_resets"),
            max_connections: fields.optional("max_connections"),
            max_connections_per_address: fields.optional("max_connections_per_address"),
            max_requests_per_address: fields.optional("max_requests_per_address"),
            max_queued: fields.optional("max_queued"),
            max_unsent: fields.optional("max_unsent"),
            upload_rate: fields.optional("upload_rate"),
            upload_time: fields.optional("upload_time"),
            upload_idle: fields.optional("upload_idle"),
            upload_ahead: fields.optional("upload_ahead"),
            websocket_ping: fields.optional("websocket_ping"),
            websocket_compression: fields.optional("websocket_compression"),
            upgrade_time: fields.optional("upgrade_time"),
            drain: fields.optional("drain"),
        }
    }
}

impl Table for RawLog {
    fn of_fields(fields: &mut Fields<'_, '_>) -> Self {
        Self {
            format: fields.optional("format"),
            requests: fields.optional("requests"),
        }
    }
}

impl Table for RawEgress {
    fn of_fields(fields: &mut Fields<'_, '_>) -> Self {
        Self {
            allow: fields.optional("allow"),
        }
    }
}

impl Table for RawNodeLimits {
    fn of_fields(fields: &mut Fields<'_, '_>) -> Self {
        Self {
            defaults: RawLimits::read(fields),
            max: fields.optional("max"),
        }
    }
}

impl FromToml for RawFunction {
    fn from_toml(
        value: &Spanned<DeValue<'_>>,
        name: &str,
        findings: &mut Findings,
    ) -> Option<Self> {
        let mut fields = Fields::of_value(value, name, findings)?;
        let last = name.rsplit('.').next().unwrap_or(name);
        let table = value.get_ref().as_table();
        let has_assets = table.is_some_and(|table| table.contains_key("assets"));
        let function = Self {
            main: if has_assets {
                fields.optional("main")
            } else {
                fields.required("main", "name its file: main = \"hello/index.js\"")
            },
            routes: fields.required(
                "routes",
                &format!("without a route nobody reaches it: routes = [\"{last}.localhost\"]"),
            ),
            vars: fields.optional("vars"),
            limits: fields.optional("limits"),
            concurrency: fields.optional("concurrency"),
            eval: fields.optional("eval"),
            access: fields.optional("access"),
            redirect_to_https: fields.optional("redirect_to_https"),
            hsts: fields.optional("hsts"),
            compress: fields.optional("compress"),
            assets: fields.optional("assets"),
        };
        fields.finish();
        Some(function)
    }
}

impl Table for RawAssets {
    fn of_fields(fields: &mut Fields<'_, '_>) -> Self {
        Self {
            dir: fields.required("dir", "name the folder of the files: dir = \"public\""),
            binding: fields.optional("binding"),
            not_found: fields.optional("not_found"),
            html_handling: fields.optional("html_handling"),
            run_worker_first: fields.optional("run_worker_first"),
        }
    }
}

impl FromToml for RawAccess {
    fn from_toml(
        value: &Spanned<DeValue<'_>>,
        name: &str,
        findings: &mut Findings,
    ) -> Option<Self> {
        let mut fields = Fields::of_value(value, name, findings)?;
        let access = Self {
            allow: fields.optional("allow"),
            deny: fields.optional("deny"),
            token: fields.optional("token"),
        };
        let is_misspelt = fields.finish();
        let is_empty = value.get_ref().as_table().is_some_and(DeTable::is_empty);
        if is_empty && !is_misspelt {
            findings.report(
                Problem::new(format!("`{name}` says nothing"))
                    .at(value.span(), "everybody may ask")
                    .help("write `allow`, `deny` or `token` in it, or remove it"),
            );
        }
        Some(access)
    }
}
