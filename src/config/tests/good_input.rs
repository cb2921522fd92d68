//! What a sound file means.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs;
use std::path::Path;

use holm_model::for_each_limit;
use holm_model::limits::{CpuTime, Isolates, Limits, NodeBytes, RequestsServed, WallTime};
use holm_process::sandbox::Mode;
use holm_router::hostname::Hostname;
use holm_router::{Proxies, ProxyField};
use serde_json::{Value, json};

use super::beside_the_site;
use crate::admin::Address;
use crate::config::plan::ServerPlan;
use crate::config::tls::PairPlan;
use crate::config::{
    self, AcmeChallenge, AssetsPlan, HtmlHandling, LogFormat, NotFound, Plan, Problems, Secure,
};
use crate::egress::Allow;

const FULL: &str = r#"
version = 1
[server]
http = "0.0.0.0:80"
admin = "unix:run/admin.sock"
admin_token = "file:token"
handshake_time = "5s"
trusted_proxies = ["10.0.0.1/8", "fd00::1"]
proxy_protocol = ["http"]
request_id_header = "X-Request-Id"
max_handshakes = 200
max_head = "16KiB"
head_time = "3s"
keep_alive = "20s"
max_streams = 100
max_resets = 5
upload_idle = "4s"
max_connections = 500
upload_rate = "1MiB"
upload_time = "7s"
upload_ahead = "0B"
max_connections_per_address = 40
max_queued = 50
max_unsent = "64MiB"
websocket_ping = "10s"
websocket_compression = false
upgrade_time = "60s"
drain = "5s"
[log]
format = "json"
[node]
memory = "2GiB"
sandbox = "require"
watch = false
[egress]
allow = ["127.0.0.1/32", "fd00::/8"]
[limits]
cpu = "20ms"
[limits.max]
cpu = "5s"
wall = "10s"
[functions.hello]
main = "site/hello/index.js"
routes = ["Hello.Localhost", "*.example.com/hello/*"]
vars = { GREETING = "hi", n = 0x10, half = 0.5, on = true, list = [1, "a"], table = { x = 1 } }
limits = { cpu = "2s", max_isolates = 2, min_isolates = 2, idle = "0ms" }
[functions.other]
main = "site/folder/index.ts"
routes = ["*"]
concurrency = 100
eval = false
access = { allow = ["10.0.0.0/8"], deny = ["10.6.6.6"], token = "file:token" }
assets = { dir = "site/hello", binding = "FILES", not_found = "404-page", html_handling = "none", run_worker_first = true }
[functions.files]
routes = ["files.test"]
assets = { dir = "site/hello" }
"#;

fn plan(source: &str) -> Result<Plan, Problems> {
    config::parse(source, &beside_the_site("holm.toml"))
}

#[test]
fn everything_that_is_written_is_planned() -> Result<(), Box<dyn Error>> {
    let plan = plan(FULL)?;
    assert_eq!(
        plan.server,
        ServerPlan {
            proxies: Proxies {
                trusted: vec!["10.0.0.0/8".parse()?, "fd00::1/128".parse()?],
                fields: vec![ProxyField::For, ProxyField::Proto],
            },
            proxy_protocol: true,
            proxy_protocol_https: false,
            request_id: Some("x-request-id".parse()?),
            http: "0.0.0.0:80".parse()?,
            handshake_time: WallTime::from_secs(5),
            max_handshakes: 200,
            max_head: NodeBytes::from_kib(16),
            head_time: WallTime::from_secs(3),
            keep_alive: WallTime::from_secs(20),
            max_streams: 100,
            max_resets: 5,
            upload_idle: WallTime::from_secs(4),
            max_connections: 500,
            max_connections_per_address: 40,
            max_requests_per_address: 2_000,
            max_queued: 50,
            max_unsent: NodeBytes::from_mib(64),
            upload_rate: NodeBytes::from_mib(1),
            upload_time: WallTime::from_secs(7),
            upload_ahead: NodeBytes::from_mib(0),
            websocket_ping: WallTime::from_secs(10),
            websocket_compression: false,
            upgrade_time: WallTime::from_secs(60),
            drain: WallTime::from_secs(5),
        }
    );
    let admin = plan.admin.ok_or("no admin listener")?;
    let socket = std::path::absolute(beside_the_site("run/admin.sock"))?;
    assert_eq!(admin.address, Address::Unix(socket));
    assert!(
        admin
            .token
            .is_some_and(|token| token.is(b"not-a-secret-but-long-enough"))
    );
    assert_eq!(plan.memory, Some(NodeBytes::from_mib(2048)));
    assert_eq!(plan.sandbox, Mode::Require);
    assert!(!plan.watch);
    let sandbox = plan.places.sandbox.as_deref().ok_or("no place")?;
    assert!(sandbox.ends_with("holm.toml:33:11"), "{sandbox}");
    assert_eq!(plan.log, LogFormat::Json);
    let and = vec!["127.0.0.1".parse()?, "fd00::/8".parse()?];
    assert_eq!(plan.egress, Allow::Public { and });

    let [hello, other, files] = plan.functions.as_slice() else {
        panic!("three functions, in the order of the file");
    };
    let site = fs::canonicalize(beside_the_site("site"))?;
    assert_eq!(hello.name, "hello");
    assert_eq!(hello.place(), site.join("hello/index.js"));
    let file = hello.main.as_ref().ok_or("a module")?;
    assert_eq!(file.root, site.join("hello"));
    let routes: Vec<String> = hello.routes.iter().map(ToString::to_string).collect();
    assert_eq!(routes, ["hello.localhost", "*.example.com/hello/*"]);
    assert_eq!(
        Value::Object(hello.vars.clone()),
        json!({
            "GREETING": "hi", "n": 16, "half": 0.5, "on": true,
            "list": [1, "a"], "table": { "x": 1 },
        })
    );
    assert_eq!(other.place(), site.join("folder/index.ts"));
    assert!(hello.access.is_open());
    assert_eq!(other.access.allow, ["10.0.0.0/8".parse()?]);
    assert_eq!(other.access.deny, ["10.6.6.6".parse()?]);
    assert!(other.access.token.is_some());
    assert_eq!(hello.assets, None);
    let dir = site.join("hello");
    let typed = AssetsPlan {
        source: std::path::absolute(beside_the_site("site/hello"))?,
        dir: dir.clone(),
        binding: Some("FILES".to_owned()),
        not_found: NotFound::Page,
        html_handling: HtmlHandling::None,
        function_first: true,
    };
    assert_eq!(other.assets, Some(typed));
    let usual = AssetsPlan {
        source: std::path::absolute(beside_the_site("site/hello"))?,
        dir: dir.clone(),
        binding: None,
        not_found: NotFound::None,
        html_handling: HtmlHandling::AutoTrailingSlash,
        function_first: false,
    };
    assert_eq!(files.assets, Some(usual));
    assert!(files.main.is_none() && files.place() == dir);

    let found = |host: &str, path: &str| -> Result<_, Box<dyn Error>> {
        Ok(plan.routes.find(&Hostname::parse(host)?, path).copied())
    };
    assert_eq!(found("hello.localhost", "/")?, Some(0));
    assert_eq!(found("a.example.com", "/hello/x")?, Some(0));
    assert_eq!(found("a.example.com", "/other")?, Some(1));
    Ok(())
}

#[test]
fn certificates_are_read_and_shown_for_their_names() -> Result<(), Box<dyn Error>> {
    let source = r#"
        version = 1
        [server]
        https = "[::]:8443"
        redirect_to_https = true
        hsts = "8760h"
        [[tls]]
        hosts = ["A.example.com"]
        cert = "site/tls/example.pem"
        key = "site/tls/example.key"
        [[tls]]
        cert = "site/tls/example.pem"
        key = "site/tls/example.key"
        default = true
        [functions.a]
        main = "site/hello/index.js"
        routes = ["example.com"]
        [functions.b]
        main = "site/hello/index.js"
        routes = ["a.example.com"]
        redirect_to_https = false
        hsts = "0s"
        "#;
    let plan = plan(source)?;
    let tls = plan.tls.as_ref().ok_or("no TLS")?;
    assert_eq!(tls.https, "[::]:8443".parse()?);
    let [first, second] = tls.pairs.as_slice() else {
        panic!("two, in the order of the file");
    };
    assert_eq!(
        first.cert,
        std::path::absolute(beside_the_site("site/tls/example.pem"))?
    );
    assert_eq!(
        first.key,
        std::path::absolute(beside_the_site("site/tls/example.key"))?
    );
    let names =
        |pair: &PairPlan| -> Vec<String> { pair.hosts.iter().map(ToString::to_string).collect() };
    assert_eq!(names(first), ["a.example.com"]);
    assert!(!first.is_default);
    assert_eq!(names(second), ["example.com", "*.example.com"]);
    assert!(second.is_default);
    assert_eq!(tls.certificates(&BTreeMap::new()).expiries().count(), 2);

    let secure: Vec<Secure> = plan
        .functions
        .iter()
        .map(|function| function.secure)
        .collect();
    let of_node = Secure {
        redirect: true,
        hsts: Some(WallTime::from_secs(8760 * 3600)),
    };
    let own = Secure {
        redirect: false,
        hsts: Some(WallTime::from_secs(0)),
    };
    assert_eq!(secure, [of_node, own]);
    Ok(())
}

#[test]
fn isolates_are_shared_only_where_that_is_written() -> Result<(), Box<dyn Error>> {
    let plan = plan(FULL)?;
    assert!(!plan.functions[0].concurrency.is_shared());
    assert!(plan.functions[1].concurrency.is_shared());
    assert_eq!(plan.functions[1].concurrency.get(), 100);
    Ok(())
}

#[test]
fn code_from_strings_is_refused_only_where_that_is_written() -> Result<(), Box<dyn Error>> {
    let plan = plan(FULL)?;
    assert!(plan.functions[0].eval);
    assert!(!plan.functions[1].eval);
    Ok(())
}

#[test]
fn limits_are_settled_in_three_layers() -> Result<(), Box<dyn Error>> {
    let plan = plan(FULL)?;
    // A function's own, the node's default, Holm's default lowered to the node's maximum.
    let lowered = Limits {
        wall: WallTime::from_secs(10),
        ..Limits::DEFAULT
    };
    assert_eq!(
        plan.functions[0].limits,
        Limits {
            cpu: CpuTime::from_secs(2),
            max_isolates: Isolates::new(2),
            min_isolates: Isolates::new(2),
            idle: WallTime::from_secs(0),
            ..lowered
        }
    );
    assert_eq!(
        plan.functions[1].limits,
        Limits {
            cpu: CpuTime::from_millis(20),
            ..lowered
        }
    );
    Ok(())
}

#[test]
fn isolates_answer_as_many_requests_as_is_written() -> Result<(), Box<dyn Error>> {
    let plan = plan(
        r#"
        version = 1
        [limits]
        requests_per_isolate = 1
        [functions.node]
        main = "site/hello/index.js"
        routes = ["node.localhost"]
        [functions.own]
        main = "site/hello/index.js"
        routes = ["own.localhost"]
        concurrency = 8
        limits = { requests_per_isolate = 8 }
        [functions.none]
        main = "site/hello/index.js"
        routes = ["none.localhost"]
        concurrency = 8
        limits = { requests_per_isolate = "unlimited" }
        "#,
    )?;
    let served = plan
        .functions
        .iter()
        .map(|function| function.limits.requests_per_isolate);
    let expected = [
        RequestsServed::new(1),
        RequestsServed::new(8),
        RequestsServed::UNLIMITED,
    ];
    assert!(served.eq(expected));
    Ok(())
}

#[test]
fn what_is_left_out_has_its_default() -> Result<(), Box<dyn Error>> {
    let plan = plan("version = 1\nfunctions.a = { main = 'site/hello/index.js', routes = ['*'] }")?;
    assert_eq!(plan.server, ServerPlan::DEFAULT);
    assert!(plan.server.http.ip().is_loopback());
    assert_eq!(plan.memory, None);
    assert_eq!(plan.sandbox, Mode::Auto);
    assert!(plan.watch);
    assert_eq!(plan.places.http, None);
    assert_eq!(plan.log, LogFormat::Auto);
    assert_eq!(plan.egress, Allow::PUBLIC);
    assert_eq!(plan.functions[0].limits, Limits::DEFAULT);
    assert!(plan.functions[0].vars.is_empty());
    Ok(())
}

#[test]
fn a_star_allows_every_address() -> Result<(), Box<dyn Error>> {
    let open = FULL.replace(r#""127.0.0.1/32""#, r#""*""#);
    assert_eq!(plan(&open)?.egress, Allow::Everything);
    Ok(())
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_are_no_problem() -> Result<(), Box<dyn Error>> {
    let windows = format!("\u{feff}{}", FULL.replace('\n', "\r\n"));
    assert_eq!(plan(&windows)?.functions.len(), 3);
    Ok(())
}

#[test]
fn a_file_is_read_from_disk_and_its_paths_are_relative_to_it() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("holm.toml");
    fs::create_dir(folder.path().join("a"))?;
    fs::write(folder.path().join("a/index.mts"), "export default {}")?;
    fs::write(
        &file,
        "version = 1\n[functions.a]\nmain = \"a/index.mts\"\nroutes = [\"a.localhost\"]",
    )?;
    let plan = config::load(&file)?;
    assert_eq!(plan.origin, file);
    let main = fs::canonicalize(folder.path())?.join("a/index.mts");
    assert_eq!(plan.functions[0].place(), main);
    Ok(())
}

const ISSUED: &str = r#"
[tls.acme]
hosts = ["Example.org", "xn--bcher-kva.example"]
dir = "acme"
terms_agreed = true
"#;

/// TOML takes `[tls.acme]` for a part of the last `[[tls]]`, if there is one.
#[test]
fn certificates_are_issued_with_others_or_without() -> Result<(), Box<dyn Error>> {
    let server = "version = 1\n[server]\nhttps = \"[::]:8443\"\n";
    let own = "[[tls]]\ncert = \"site/tls/example.pem\"\nkey = \"site/tls/example.key\"\n";
    let function = "[functions.a]\nmain = \"site/hello/index.js\"\nroutes = [\"*\"]\n";
    for (before, pairs) in [("", 0), ("[[tls]]", 0), (own, 1)] {
        let plan = plan(&format!("{server}{before}{ISSUED}{function}"))?;
        let tls = plan.tls.as_ref().ok_or("no TLS")?;
        assert_eq!(tls.pairs.len(), pairs, "{before}");
        let acme = tls.acme.as_ref().ok_or("no ACME")?;
        let hosts: Vec<_> = acme.hosts.iter().map(Hostname::as_str).collect();
        assert_eq!(hosts, ["example.org", "xn--bcher-kva.example"]);
        assert_eq!(acme.challenge, AcmeChallenge::TlsAlpn01);
        let authority = &acme.authority;
        assert_eq!(
            authority.directory,
            "https://acme-v02.api.letsencrypt.org/directory"
        );
        assert_eq!(authority.dir, std::path::absolute(beside_the_site("acme"))?);
        assert!(authority.roots.is_empty() && authority.email.is_none());
        let line = acme.place.rsplit(':').nth(1).ok_or("no line")?.parse()?;
        let dir = format!("{server}{before}{ISSUED}");
        let dir = dir.lines().position(|line| line.starts_with("dir"));
        assert_eq!(dir.map(|before| before + 1), Some(line));
    }
    let all = "email = 'a@b.test'\ndirectory = 'https://CA.test/dir'\nchallenge = 'http-01'\n\
               directory_ca = 'site/tls/example.pem'\neab_key_id = 'kid'\neab_key = 'file:token'\n";
    let plan = plan(&format!("{server}{ISSUED}{all}{function}"))?;
    let tls = plan.tls.as_ref().ok_or("no TLS")?;
    let acme = tls.acme.as_ref().ok_or("no ACME")?;
    assert_eq!(acme.challenge, AcmeChallenge::Http01);
    assert_eq!(acme.authority.directory, "https://ca.test/dir");
    assert_eq!(acme.authority.email.as_deref(), Some("a@b.test"));
    assert_eq!(acme.authority.roots.len(), 1);
    let bound_to = acme.authority.bound_to.as_ref().ok_or("not bound")?;
    assert_eq!(bound_to.key_id, "kid");
    let shown = format!("{bound_to:?}");
    assert!(!shown.contains(&format!("{:?}", bound_to.key)), "{shown}");
    assert_eq!(tls.files().count(), 1, "whatever is read is watched");
    Ok(())
}

/// The keys that the reader knows in a table are those that the schema shows.
#[test]
fn the_schema_has_the_keys_that_are_read() -> Result<(), Box<dyn Error>> {
    let schema: Value = serde_json::from_str(&config::schema())?;
    assert_eq!(
        schema["$schema"],
        "https://json-schema.org/draft/2020-12/schema"
    );
    for (table, definition) in [
        ("", &schema),
        ("server", &schema["$defs"]["Server"]),
        ("[tls]", &schema["$defs"]["Tls"]),
        ("tls.acme", &schema["$defs"]["Acme"]),
        ("log", &schema["$defs"]["Log"]),
        ("node", &schema["$defs"]["Node"]),
        ("egress", &schema["$defs"]["Egress"]),
        ("limits", &schema["$defs"]["NodeLimits"]),
        ("limits.max", &schema["$defs"]["Limits"]),
        ("functions.a", &schema["$defs"]["Function"]),
        ("functions.a.access", &schema["$defs"]["Access"]),
    ] {
        let shown = definition["properties"].as_object().ok_or(table)?;
        let shown: BTreeSet<&str> = shown.keys().map(String::as_str).collect();
        let header = if table.is_empty() {
            String::new()
        } else {
            format!("[{table}]\n")
        };
        let problems = config::parse(&format!("{header}zzzzzzzz = 1"), Path::new("x"))
            .expect_err("an unknown key");
        let line = problems
            .lines()
            .find(|line| line.contains("zzzzzzzz"))
            .ok_or(table)?;
        let (_, listed) = line.split_once("keys here: ").ok_or("no list")?;
        let read: BTreeSet<&str> = listed.split('`').skip(1).step_by(2).collect();
        assert_eq!(read, shown, "in [{table}]");
    }
    Ok(())
}

/// The defaults and ceilings in the schema's words are those of the table.
#[test]
fn the_schema_tells_the_defaults_that_hold() -> Result<(), Box<dyn Error>> {
    let schema: Value = serde_json::from_str(&config::schema())?;
    macro_rules! rows {
        ($($key:ident: $quantity:ty),*) => {
            [$((
                stringify!($key),
                Limits::DEFAULT.$key.to_string(),
                Limits::MAX.$key.to_string(),
            )),*]
        };
    }
    for (key, default, most) in for_each_limit!(rows) {
        let property = &schema["$defs"]["Limits"]["properties"][key];
        let words = property["description"].as_str().ok_or(key)?;
        let words = words.replace('\n', " ").replace('"', "");
        let expected = if default == most {
            format!("Default: {default}.")
        } else {
            format!("Default: {default}, at most {most}.")
        };
        assert!(words.ends_with(&expected), "{key}: {words}");
    }
    Ok(())
}
