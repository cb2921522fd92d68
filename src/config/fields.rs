//! Reading a TOML table field by field, every problem noted, none of them final.
//!
//! serde stops at the first error, and an operator who fixes one line only to be shown the next
//! gives up on the tool. So the parsed document is walked here: a field that is missing or of
//! the wrong type is reported and read as `None`, and the walk goes on. A key that nobody asked for
//! is unknown; keys are thus listed nowhere but where they are read.

use std::ops::Range;

use holm_model::limits::{KEYS, ROWS};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::at::At;
use super::problem::{Findings, Problem};
use super::spelling;

/// What can be read from a TOML value.
///
/// `None` means that a problem has been reported.
pub(super) trait FromToml: Sized {
    /// Reads `value`, which is called `name` in messages.
    fn from_toml(value: &Spanned<DeValue<'_>>, name: &str, findings: &mut Findings)
    -> Option<Self>;
}

/// A table whose keys are known.
pub(super) trait Table: Sized {
    /// Takes its keys. Those that it does not ask for are reported.
    fn of_fields(fields: &mut Fields<'_, '_>) -> Self;
}

impl<T: Table> FromToml for T {
    fn from_toml(
        value: &Spanned<DeValue<'_>>,
        name: &str,
        findings: &mut Findings,
    ) -> Option<Self> {
        let mut fields = Fields::of_value(value, name, findings)?;
        let table = T::of_fields(&mut fields);
        fields.finish();
        Some(table)
    }
}

/// A table that is being read.
pub(super) struct Fields<'a, 'i> {
    table: &'a DeTable<'i>,
    name: String,
    /// Where the table stands: its header, or the whole of an inline table.
    span: Range<usize>,
    findings: &'a mut Findings,
    /// Keys that have a meaning here.
    asked: Vec<&'static str>,
}

impl<'a, 'i> Fields<'a, 'i> {
    /// The whole document.
    pub(super) fn of_document(
        document: &'a Spanned<DeTable<'i>>,
        findings: &'a mut Findings,
    ) -> Self {
        Self {
            table: document.get_ref(),
            name: String::new(),
            span: 0..0,
            findings,
            asked: Vec::new(),
        }
    }

    /// The table `value`, or a problem.
    pub(super) fn of_value(
        value: &'a Spanned<DeValue<'i>>,
        name: &str,
        findings: &'a mut Findings,
    ) -> Option<Self> {
        let Some(table) = value.get_ref().as_table() else {
            let help = format!("write [{name}] on a line of its own, and its keys below");
            findings.report(wrong_type(value, name, "a table").help(help));
            return None;
        };
        Some(Self {
            table,
            name: name.to_owned(),
            span: value.span(),
            findings,
            asked: Vec::new(),
        })
    }

    /// The value of a key that may be absent.
    pub(super) fn optional<T: FromToml>(&mut self, key: &'static str) -> Option<T> {
        let name = self.path(key);
        let value = self.ask(key)?;
        T::from_toml(value, &name, self.findings)
    }

    /// The value of a key that must be there; `fix` says what to write if it is not.
    pub(super) fn required<T: FromToml>(&mut self, key: &'static str, fix: &str) -> Option<T> {
        if !self.table.contains_key(key) {
            self.asked.push(key);
            if self.is_misspelt(key) {
                return None;
            }
            let place = self.place();
            self.findings.report(
                Problem::new(format!("`{key}` is missing{place}"))
                    .at(self.span.clone(), format!("has no `{key}`"))
                    .help(fix),
            );
            return None;
        }
        self.optional(key)
    }

    /// Every entry, for tables whose keys are names. In the order of the file.
    pub(super) fn entries<T: FromToml>(&mut self) -> Vec<(At<String>, T)> {
        let table = self.table;
        let mut keys: Vec<_> = table.iter().collect();
        // The parser keeps keys sorted by name.
        keys.sort_by_key(|(key, _)| key.span().start);
        let mut entries = Vec::with_capacity(keys.len());
        for (key, value) in keys {
            let name = self.path(key.get_ref());
            if let Some(entry) = T::from_toml(value, &name, self.findings) {
                let key = At {
                    value: key.get_ref().to_string(),
                    span: key.span(),
                };
                entries.push((key, entry));
            }
        }
        entries
    }

    /// Reports every key that was not asked for; returns whether there was one.
    pub(super) fn finish(self) -> bool {
        let mut unknown = false;
        for key in self.table.keys() {
            let typed: &str = key.get_ref();
            if self.asked.contains(&typed) {
                continue;
            }
            unknown = true;
            let place = self.place();
            let all = format!("keys here: {}", spelling::listed(&self.asked));
            let help = match spelling::did_you_mean(typed, self.asked.iter().copied()) {
                Some(meant) => format!("{meant} {all}"),
                None => match hint(typed) {
                    Some(hint) => hint.to_owned(),
                    None => all,
                },
            };
            self.findings.report(
                Problem::new(format!("unknown key `{typed}`{place}"))
                    .at(key.span(), "not a key of this table")
                    .help(help),
            );
        }
        unknown
    }

    /// Whether a key that is not there is there under another spelling; [`finish`](Self::finish)
    /// says so, and once is enough.
    fn is_misspelt(&self, key: &'static str) -> bool {
        let mut typed = self.table.keys();
        typed.any(|typed| spelling::closest(typed.get_ref(), [key]).is_some())
    }

    fn ask(&mut self, key: &'static str) -> Option<&'a Spanned<DeValue<'i>>> {
        self.asked.push(key);
        self.table.get(key)
    }

    fn path(&self, key: &str) -> String {
        if self.name.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.name)
        }
    }

    fn place(&self) -> String {
        if self.name.is_empty() {
            String::new()
        } else {
            format!(" in [{}]", self.name)
        }
    }
}

/// The problem of a value that is of another type than `expected`.
pub(super) fn wrong_type(value: &Spanned<DeValue<'_>>, name: &str, expected: &str) -> Problem {
    Problem::new(format!("`{name}` must be {expected}"))
        .at(value.span(), format!("this is {}", kind(value.get_ref())))
}

/// What a value is, with its article.
pub(super) fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

/// Where a key belongs that people put elsewhere, or bring along from another tool.
fn hint(key: &str) -> Option<&'static str> {
    // `log` may also be meant as the table of that name.
    let is_limit = key == "cpu_ms" || key != ROWS.log.key && KEYS.contains(&key);
    Some(match key {
        _ if is_limit => "limits stand in [limits], or in a function's `limits = { … }`",
        "max" => "the most that a function may ask for stands in [limits.max]",
        "main" | "routes" | "vars" | "access" | "assets" => {
            "this belongs into a function's table, [functions.NAME]"
        }
        "http"
        | "https"
        | "admin"
        | "admin_token"
        | "listen"
        | "port"
        | "host"
        | "max_connections"
        | "max_connections_per_address"
        | "max_requests_per_address"
        | "max_queued"
        | "max_unsent"
        | "max_handshakes"
        | "handshake_time"
        | "upload_rate"
        | "upload_time"
        | "upload_idle"
        | "upload_ahead"
        | "max_head"
        | "head_time"
        | "keep_alive"
        | "max_streams"
        | "max_resets"
        | "websocket_ping"
        | "websocket_compression"
        | "upgrade_time"
        | "drain"
        | "trusted_proxies"
        | "proxy_headers"
        | "proxy_protocol"
        | "request_id_header" => {
            "this belongs into [server]; the address is `http = \"127.0.0.1:8080\"`"
        }
        "acme" | "letsencrypt" => "certificates that an authority issues stand in [tls.acme]",
        "cert" | "certificate" | "key" | "ssl" => {
            "a certificate stands in [[tls]], with `cert` and `key`"
        }
        "sandbox" | "watch" => "this belongs into [node]",
        "dir" | "binding" | "not_found" | "html_handling" | "run_worker_first" => {
            "this belongs into a function's `assets = { … }`"
        }
        "deny" | "token" => "this belongs into a function's `access = { … }`",
        "hosts" | "hostname" | "hostnames" | "domain" | "domains" | "pattern" | "patterns" => {
            "hostnames stand in a function's `routes = [\"hello.localhost\"]`"
        }
        "script" | "entry" | "entrypoint" | "file" | "path" => {
            "the file of a function stands in its `main = \"hello/index.js\"`"
        }
        "env" | "environment" | "bindings" => {
            "what a function finds in `env` stands in its `vars = { … }`"
        }
        "name" => "the name of a function is the one of its table, [functions.NAME]",
        "compatibility_date" | "compatibility_flags" => {
            "Holm has no compatibility dates: remove it"
        }
        _ => return None,
    })
}
