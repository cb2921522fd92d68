//! What `holm check --explain` says.

use super::beside_the_site;
use crate::config::{self, Plan};

const SOURCE: &str = r#"
version = 1
[functions.shop]
main = "site/hello/index.js"
routes = ["shop.example.com", "shop.example.com/api/*", "**.example.com"]
[functions.api]
main = "site/folder/index.ts"
routes = ["shop.example.com/api/v1", "*.example.com/api/*", "shop.example.com/api/v1/*"]
limits = { cpu = "10ms" }
"#;

fn plan() -> Plan {
    config::parse(SOURCE, &beside_the_site("holm.toml")).expect("a sound file")
}

/// The explanation, with the machine's own folder left out.
fn explained(url: &str) -> String {
    let plan = plan();
    let folder = plan.origin.parent().expect("a file is in a folder");
    let explained = config::explain(&plan, url).expect("a URL");
    let text = format!("{}{}", explained.text, explained.others);
    text.replace(&folder.display().to_string(), "FOLDER")
}

#[test]
fn the_winner_its_limits_and_why_the_others_lost() {
    assert_eq!(
        explained("https://Shop.Example.com/api/v1/x?y=z"),
        "\
https://shop.example.com/api/v1/x?y=z goes to function `api`.

  route    shop.example.com/api/v1/*  (exact host, path prefix)
  main     FOLDER/site/folder/index.ts
  from     FOLDER/holm.toml
  limits   cpu 10ms, wall 30s, memory 128MiB, startup_cpu 400ms,
           subrequests 50, request_body 100MiB, log 64KiB,
           wait_until 30s, queue 256, max_isolates 64,
           min_isolates 0, idle 1min, websockets 1000,
           websocket_message 1MiB, requests_per_isolate unlimited,
           concurrency 1
  sandbox  auto: every layer that the system offers

Other routes for this host, the strongest first:
  shop.example.com/api/v1  to api: takes /api/v1 only
  shop.example.com/api/*   to shop: a longer path is stronger
  shop.example.com         to shop: a route with a path is stronger
  *.example.com/api/*      to api: an exact host is stronger
  **.example.com           to shop: an exact host is stronger
"
    );
}

#[test]
fn each_rule_of_precedence_has_its_words() {
    let exact_path = explained("shop.example.com/api/v1");
    assert!(exact_path.contains("function `api`"), "{exact_path}");
    assert!(
        exact_path.contains("an exact path is stronger"),
        "{exact_path}"
    );
    let one_label = explained("x.example.com/api/y");
    assert!(one_label.contains("function `api`"), "{one_label}");
    assert!(
        one_label.contains("`*.` is stronger than `**.`"),
        "{one_label}"
    );
    let fallen_through = explained("x.example.com/y");
    assert!(
        fallen_through.contains("function `shop`"),
        "{fallen_through}"
    );
    assert!(
        fallen_through.contains("takes /api and what is below only"),
        "{fallen_through}"
    );
}

#[test]
fn who_is_reached_from_inside() {
    let wildcard = explained("x.example.com/api/y");
    assert!(wildcard.contains("  inside   no: what"), "{wildcard}");
    let exact = explained("shop.example.com/");
    assert!(!exact.contains("inside"), "{exact}");
}

#[test]
fn what_a_route_for_any_host_takes() {
    assert_eq!(config::notes(&plan()), [""; 0]);
    let source = SOURCE.replace("**.example.com", "*/rest/*");
    let plan = config::parse(&source, &beside_the_site("holm.toml")).expect("a sound file");
    let notes = config::notes(&plan).join("\n");
    assert!(
        notes.starts_with("`*/rest/*` gives function `shop` what clients ask"),
        "{notes}"
    );
    assert!(
        notes.contains("not what functions of this node fetch()"),
        "{notes}"
    );
}

#[test]
fn a_host_that_nobody_serves() {
    assert_eq!(
        explained("http://shop.exmple.com/"),
        "http://shop.exmple.com/ goes nowhere: Holm answers 404.\n\
         No route takes the host shop.exmple.com; did you mean `shop.example.com`?\n"
    );
    assert_eq!(
        explained("other.test"),
        "http://other.test/ goes nowhere: Holm answers 404.\n\
         No route takes the host other.test.\n"
    );
}

#[test]
fn what_is_no_url_is_refused() {
    let said = |url| {
        config::explain(&plan(), url)
            .expect_err("not explainable")
            .to_string()
    };
    assert_eq!(
        said("ftp://example.com/"),
        "`ftp://example.com/` is not an http or https URL, so no request for it reaches Holm"
    );
    assert_eq!(
        said("http://[::1"),
        "`http://[::1` is not a URL (invalid IPv6 address); write it like \
         https://hello.localhost/path"
    );
}
