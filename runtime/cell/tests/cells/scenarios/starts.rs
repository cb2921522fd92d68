//! How cells come to be: of templates, and without; what does not start.

use std::collections::HashSet;
use std::time::Instant;

use holm_model::log::Level;
use holm_model::start::StartError;
use holm_process::memory::Gauge;
use holm_process::memory::Resident;

use crate::node::Node;
use crate::node::Said;
use crate::node::start;

pub(super) fn hello_from_many_copies() {
    let node = Node::start();
    let template = node.hello();
    for _ in 0..3 {
        let mut cell = node.copy(&template);
        for _ in 0..40 {
            assert_eq!(cell.ask("/"), "hello");
        }
        assert_eq!(cell.page.current().map(|(seq, _)| seq), Some(40));
    }
    let mut times: Vec<_> = (0..30)
        .map(|_| {
            let begin = Instant::now();
            let mut cell = node.fork_copy(&template);
            let seq = cell.send("/");
            let mut cell = cell.once_ready();
            let (text, _) = cell.answer(seq);
            assert_eq!(text, "hello");
            begin.elapsed()
        })
        .collect();
    times.sort();
    eprintln!("fork to answer: p50 {:?}, p90 {:?}", times[15], times[27]);
    let mut cell = node.copy(&template);
    cell.ask("/");
    let pid = cell.talk.process.pid();
    let tables = Resident::of(pid).expect("status").page_tables;
    if let Ok(gauge) = Gauge::of(pid) {
        let private = gauge.private().expect("private");
        eprintln!(
            "after one: {} KiB private, {} page tables",
            private >> 10,
            tables >> 10
        );
    }
    for _ in 0..2_000 {
        cell.ask("/");
    }
    let begin = Instant::now();
    let cpu = cell.talk.process.clock().expect("a clock");
    let before = cpu.read().expect("its time");
    for _ in 0..1_000 {
        cell.ask("/");
    }
    let spent = cpu.read().expect("its time") - before;
    eprintln!(
        "warm: {:?} each, CPU {:?}",
        begin.elapsed() / 1_000,
        spent / 1_000
    );
}

pub(super) fn a_cell_without_a_template() {
    let node = Node::start();
    let text = r#"
        console.log("starts");
        setTimeout(() => {}, 1);
        export default {
            fetch(request, env) {
                return new Response(env.NAME + request.headers.get("x-test") + new URL(request.url).pathname);
            },
            scheduled() {},
        };"#;
    let (mut cell, said) = node.own_cell(text, &start());
    assert!(
        matches!(&said[..], [Said::Started(uncalled, None)] if uncalled == &["scheduled"]),
        "{said:?}"
    );
    let seq = cell.send("/a");
    match cell.next() {
        Said::Log(own, Level::Info, 0, text) => assert_eq!((own, text.as_str()), (seq, "starts")),
        said => panic!("{said:?}"),
    }
    assert_eq!(cell.answer(seq).0, "valueyes/a");
}

pub(super) fn copies_differ() {
    let node = Node::start();
    let template = node.good_template(
        r#"
        const first = Math.random();
        const began = performance.now();
        performance.timeOrigin;
        export default { fetch(request) {
            switch (new URL(request.url).pathname) {
                case "/first": return new Response(String(first));
                case "/random": return new Response(String(Math.random()));
                case "/uuid": return new Response(crypto.randomUUID());
                case "/bytes": return new Response(String(crypto.getRandomValues(new Uint8Array(16))));
                case "/origin": return new Response(String(performance.timeOrigin));
                case "/time": return new Response(String(performance.now() >= began));
            }
        } }"#,
        &start(),
    );
    let mut cells: Vec<_> = (0..4).map(|_| node.copy(&template)).collect();
    let mut different = |path: &str| {
        let all: HashSet<_> = cells.iter_mut().map(|cell| cell.ask(path)).collect();
        all.len()
    };
    assert_eq!(different("/first"), 1);
    assert_eq!(different("/time"), 1);
    for path in ["/random", "/random", "/uuid", "/uuid", "/bytes", "/origin"] {
        assert_eq!(different(path), 4, "{path}");
    }
}

pub(super) fn what_cannot_be_copied() {
    let node = Node::start();
    let answer = "export default { fetch() { return new Response('ok') } };";
    for (begin, reason) in [
        ("setTimeout(() => {}, 100_000);", Some("pending")),
        ("crypto.randomUUID();", Some("randomness")),
        (
            "crypto.getRandomValues(new Uint8Array(1));",
            Some("randomness"),
        ),
        (
            "await crypto.subtle.generateKey({ name: 'HMAC', hash: 'SHA-256' }, true, ['sign']);",
            Some("randomness"),
        ),
        (
            "await crypto.subtle.digest('SHA-256', new Uint8Array(8));",
            Some("helper threads"),
        ),
        ("AbortSignal.timeout(50);", Some("pending")),
        ("AbortSignal.timeout(100_000);", Some("pending")),
        ("Math.random(); Date.now();", None),
        ("await new Promise((done) => setTimeout(done, 5));", None),
    ] {
        let (template, said) = node.template(&format!("{begin}\n{answer}"), &start());
        let Some(Said::Started(_, why)) = said.last() else {
            panic!("{begin}: {said:?}");
        };
        match (reason, why) {
            (None, None) => {
                let mut cell = node.copy(&template);
                assert_eq!(cell.ask("/"), "ok");
            }
            (Some(reason), Some(why)) => {
                assert!(why.contains(reason), "{begin}: {why}");
                assert!(template.has_ended());
            }
            other => panic!("{begin}: {other:?}"),
        }
    }
}

pub(super) fn copies_do_all_that_cells_do() {
    let node = Node::start();
    let mut cell = node.cell(
        r#"
        await new Promise((done) => setTimeout(done, 2));
        export default { async fetch() {
            await new Promise((done) => setTimeout(done, 2));
            const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode("x"));
            const keys = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, ["sign", "verify"]);
            const bytes = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]);
            const { instance } = await WebAssembly.instantiate(bytes);
            const packed = new Blob(["text".repeat(1000)]).stream().pipeThrough(new CompressionStream("gzip"));
            const text = await new Response(packed.pipeThrough(new DecompressionStream("gzip"))).text();
            const collected = new FinalizationRegistry(() => {});
            for (let i = 0; i < 1000; i++) collected.register({}, i);
            return Response.json([hash.byteLength, keys.publicKey.type, typeof instance.exports, text.length, structuredClone({ a: 1 }).a]);
        } }"#,
    );
    for _ in 0..20 {
        assert_eq!(cell.ask("/"), r#"[32,"public","object",4000,1]"#);
    }
}

pub(super) fn what_does_not_start() {
    let node = Node::start();
    for (text, expected) in [
        (
            "\nthrow new Error('no');",
            StartError::Threw("Error: no\n    at index.js:2:7".into()),
        ),
        (
            "import { x } from './a.js'; export default { fetch() { x } };",
            StartError::Threw("SyntaxError: The requested module './a.js' does not provide an export named 'x'\n    at index.js:1:10".into()),
        ),
        (
            "await new Promise(() => {});",
            StartError::Threw("Top-level await promise never resolved\n    at index.js:1:1".into()),
        ),
        (
            "export default {}",
            StartError::NoHandler("the default export has no fetch method; write `export default { fetch(request, env, ctx) { ... } }`".into()),
        ),
    ] {
        let graph = crate::node::graph(&[("index.js", text), ("a.js", "")]);
        let (template, said) = node.template_of(&graph, &start());
        match said.last() {
            Some(Said::StartFailed(error)) => assert_eq!(*error, expected),
            said => panic!("{said:?}"),
        }
        assert!(template.has_ended());
        let (cell, said) = node.own_cell_of(&graph, &start());
        assert!(matches!(said.last(), Some(Said::StartFailed(error)) if *error == expected));
        assert!(cell.has_ended());
    }
    let mut strict = start();
    strict.eval = false;
    let (_, said) = node.template("eval('1');", &strict);
    assert!(
        matches!(said.last(), Some(Said::StartFailed(StartError::Threw(text))) if text.contains("EvalError")),
        "{said:?}"
    );
}

pub(super) fn code_is_given_away() {
    let node = Node::start();
    let mut wanted = start();
    wanted.wants_code = true;
    let text = "new URLPattern({}); export default { fetch() { return new Response('ok') } }";
    let graph = crate::node::graph(&[("index.js", text)]);
    let codes = |said: Vec<Said>| -> Vec<_> {
        said.into_iter()
            .filter_map(|said| match said {
                Said::Code(specifier, code, false) => Some((specifier, code)),
                _ => None,
            })
            .collect()
    };
    let web = |codes: &[(String, Vec<u8>)]| codes.iter().any(|(code, _)| code.starts_with("ext:"));
    let (template, said) = node.template_of(&graph, &wanted);
    let first = codes(said);
    assert!(
        first
            .iter()
            .any(|(specifier, code)| specifier == "file:///index.js" && code.len() > 100)
    );
    assert!(web(&first));
    assert_eq!(node.copy(&template).ask("/"), "ok");
    // V8 takes it back, and has no more to give of what it knows.
    let (template, said) = node.template_with(&graph, &first, &wanted);
    assert!(!web(&codes(said)));
    assert_eq!(node.copy(&template).ask("/"), "ok");
}
