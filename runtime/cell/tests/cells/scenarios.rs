//! What is tried.

use std::collections::HashSet;
use std::time::Instant;

use holm_model::log::Level;
use holm_model::message::BodyKind;
use holm_model::message::Fields;
use holm_model::message::StreamId;
use holm_model::message::StreamMessage;
use holm_model::message::ToCell;
use holm_model::outbound::OutboundError;
use holm_model::outcome::Outcome;
use holm_model::start::StartError;
use holm_process::memory::Gauge;
use holm_process::memory::Resident;
use http::HeaderMap;

use crate::node::Node;
use crate::node::Said;
use crate::node::start;

pub(crate) const ALL: &[(&str, fn())] = &[
    ("hello_from_many_copies", hello_from_many_copies),
    ("a_cell_without_a_template", a_cell_without_a_template),
    ("requests_ahead", requests_ahead),
    ("many_ahead", many_ahead),
    ("cells_end_with_their_socket", cells_end_with_their_socket),
    ("over", over),
    ("what_was_said_is_not_lost", what_was_said_is_not_lost),
    ("bodies_stream_in", bodies_stream_in),
    ("bodies_stream_out", bodies_stream_out),
    ("bodies_pass", bodies_pass),
    ("cancel", cancel),
    ("fetches", fetches),
    ("logs", logs),
    ("exceptions", exceptions),
    ("copies_differ", copies_differ),
    ("what_cannot_be_copied", what_cannot_be_copied),
    ("copies_do_all_that_cells_do", copies_do_all_that_cells_do),
    ("out_of_memory", out_of_memory),
    ("what_does_not_start", what_does_not_start),
    ("code_is_given_away", code_is_given_away),
    ("several_at_once", several_at_once),
    (
        "deep_recursion_is_an_exception",
        deep_recursion_is_an_exception,
    ),
    ("one_liners_that_ended_nodes", one_liners_that_ended_nodes),
];

fn hello_from_many_copies() {
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

fn a_cell_without_a_template() {
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

fn requests_ahead() {
    let node = Node::start();
    let mut cell = node.cell(
        r#"export default { async fetch(request) {
            await new Promise((done) => setTimeout(done, 5));
            return new Response(new URL(request.url).pathname);
        } }"#,
    );
    let all: Vec<_> = (0..10)
        .map(|number| cell.send(&format!("/{number}")))
        .collect();
    // The last one is taken back, unless it has begun.
    let is_back = cell.page.revoke(all[9]);
    assert!(is_back);
    for (number, seq) in all.iter().enumerate().take(9) {
        assert_eq!(cell.answer(*seq), (format!("/{number}"), None));
        assert!(cell.settled(*seq).is_fit);
    }
    assert_eq!(cell.ask("/last"), "/last");
}

/// Quick ones, of which many are answered with one write.
fn many_ahead() {
    let node = Node::start();
    let template = node.hello();
    let mut cell = node.copy(&template);
    for _ in 0..5 {
        let all: Vec<_> = (0..200).map(|_| cell.send("/")).collect();
        for seq in all {
            assert_eq!(cell.whole(seq), "hello");
        }
    }
    assert!(cell.page.has_begun(1_000));
}

fn cells_end_with_their_socket() {
    let node = Node::start();
    let text = "export default { async fetch() { await new Promise((r) => setTimeout(r, 1e6)) } }";
    for is_busy in [false, true] {
        let mut cell = node.cell(text);
        if is_busy {
            cell.send("/");
        }
        cell.talk.hang_up();
        assert!(cell.has_ended());
    }
}

/// A request whose time is up is not heard of again, and others go on.
fn over() {
    let node = Node::start();
    let mut cell = node.cell(
        r#"export default { async fetch(request) {
            if (request.url.endsWith("/long")) {
                request.signal.addEventListener("abort", () => console.log("told"));
                console.log("begun");
                await new Promise((r) => setTimeout(r, 100_000));
            }
            return new Response("ok");
        } }"#,
    );
    for _ in 0..2 {
        let seq = cell.send("/long");
        assert!(matches!(cell.next(), Said::Log(own, _, _, text) if own == seq && text == "begun"));
        cell.say(&ToCell::Over { seq }, b"");
        assert!(matches!(cell.next(), Said::Log(own, _, _, text) if own == seq && text == "told"));
        assert!(cell.settled(seq).is_fit);
    }
    assert_eq!(cell.ask("/"), "ok");
}

/// Answers of a quick function are written together; if the last of those requests never comes back, those before
/// it can be had all the same.
fn what_was_said_is_not_lost() {
    let node = Node::start();
    let mut cell = node.cell(
        r#"export default { fetch(request) {
            if (request.url.endsWith("/loop")) for (;;);
            return new Response("ok");
        } }"#,
    );
    for _ in 0..100 {
        assert_eq!(cell.ask("/"), "ok");
    }
    let all = cell.send_together(&["/", "/", "/", "/", "/", "/loop"]);
    while !cell.page.has_begun(all[5]) {
        std::thread::yield_now();
    }
    cell.talk.process.ask_for_the_rest().expect("asked");
    for seq in &all[..5] {
        assert_eq!(cell.whole(*seq), "ok");
    }
}

fn bodies_stream_in() {
    let node = Node::start();
    let mut cell = node.cell(
        r#"export default { async fetch(request) {
            if (request.url.endsWith("/part")) {
                const reader = request.body.getReader();
                const { value } = await reader.read();
                await reader.cancel();
                return new Response(value);
            }
            return new Response(await request.text());
        } }"#,
    );
    assert_eq!(cell.send_with("POST", "/", BodyKind::Whole, b"whole"), 1);
    assert_eq!(cell.whole(1), "whole");

    let stream = BodyKind::Stream { length: None };
    let seq = cell.send_with("POST", "/", stream, b"");
    let id = StreamId::Request(seq);
    let credit = |said: Said| match said {
        Said::Stream(own, StreamMessage::Credit(more), _) if own == id => more,
        said => panic!("{said:?}"),
    };
    assert_eq!(credit(cell.next()), 4);
    let mut given = 4;
    for _ in 0..20 {
        while given == 0 {
            given += credit(cell.next());
        }
        given -= 1;
        cell.stream(id, StreamMessage::Chunk, &[b'x'; 1000]);
    }
    cell.stream(id, StreamMessage::End, b"");
    let text = loop {
        match cell.next() {
            Said::Stream(_, StreamMessage::Credit(_), _) => {}
            Said::Reply(_, 200, _, BodyKind::Whole, text, _) => break text,
            said => panic!("{said:?}"),
        }
    };
    assert_eq!(text.len(), 20_000);
    cell.settled(seq);

    let seq = cell.send_with("POST", "/part", stream, b"");
    let id = StreamId::Request(seq);
    cell.next();
    cell.stream(id, StreamMessage::Chunk, b"first");
    let mut was_left = false;
    let text = loop {
        match cell.next() {
            Said::Stream(own, StreamMessage::Left, _) => was_left = own == id,
            Said::Stream(_, StreamMessage::Credit(_), _) => {}
            Said::Reply(_, 200, _, BodyKind::Whole, text, _) => break text,
            said => panic!("{said:?}"),
        }
    };
    assert_eq!(text, b"first");
    while !was_left {
        match cell.next() {
            Said::Stream(own, StreamMessage::Left, _) => was_left = own == id,
            Said::Settled(..) => {}
            said => panic!("{said:?}"),
        }
    }
}

fn bodies_stream_out() {
    let node = Node::start();
    let mut cell = node.cell(
        r#"export default { fetch(request) {
            let left = 100;
            return new Response(new ReadableStream({
                pull(controller) {
                    if (request.url.endsWith("/breaks") && left < 95) throw new Error("breaks");
                    controller.enqueue(new Uint8Array(30_000).fill(left--));
                    if (left === 0) controller.close();
                },
            }));
        } }"#,
    );
    let seq = cell.send("/");
    let id = StreamId::Reply(seq);
    assert!(matches!(
        cell.next(),
        Said::Reply(1, 200, headers, BodyKind::Stream { length: None }, _, None) if headers.is_empty()
    ));
    let (mut bytes, mut chunks) = (0, 0);
    let settled = loop {
        match cell.next() {
            Said::Stream(own, StreamMessage::Chunk, chunk) => {
                assert!(own == id && chunk.len() <= 64 << 10);
                (bytes, chunks) = (bytes + chunk.len(), chunks + 1);
                cell.stream(id, StreamMessage::Credit(1), b"");
            }
            Said::Stream(_, StreamMessage::End, _) => {}
            Said::Settled(_, settled) => break settled,
            said => panic!("{said:?}"),
        }
    };
    assert_eq!(bytes, 3_000_000);
    // Those that waited for credit went together.
    assert!(chunks < 100, "{chunks}");
    assert!(settled.is_fit && settled.cpu > 0);

    let seq = cell.send("/breaks");
    let id = StreamId::Reply(seq);
    let (mut broke, mut failed) = (false, false);
    loop {
        match cell.next() {
            Said::Reply(..) | Said::Stream(_, StreamMessage::Chunk, _) => {
                cell.stream(id, StreamMessage::Credit(1), b"");
            }
            Said::Stream(_, StreamMessage::Broken(_), _) => broke = true,
            Said::Failed(_, Outcome::Exception, Some(thrown)) => {
                failed = thrown.message == "Error: breaks";
            }
            Said::Settled(..) => break,
            said => panic!("{said:?}"),
        }
    }
    assert!(broke && failed);

    // A reader that goes.
    let seq = cell.send("/");
    assert!(matches!(cell.next(), Said::Reply(..)));
    cell.stream(StreamId::Reply(seq), StreamMessage::Left, b"");
    loop {
        match cell.next() {
            Said::Stream(_, StreamMessage::Chunk, _) => {}
            Said::Settled(own, settled) => break assert!(own == seq && settled.is_fit),
            said => panic!("{said:?}"),
        }
    }
    // A long text.
    let mut cell =
        node.cell(r#"export default { fetch() { return new Response("x".repeat(1_000_000)) } }"#);
    for _ in 0..2 {
        let seq = cell.send("/");
        let id = StreamId::Reply(seq);
        let mut bytes = 0;
        loop {
            match cell.next() {
                Said::Reply(_, 200, _, BodyKind::Large { length }, _, None) => {
                    assert_eq!(length, 1_000_000);
                }
                // All of it, without credit.
                Said::Stream(own, StreamMessage::Chunk, chunk) => {
                    assert_eq!(own, id);
                    bytes += chunk.len();
                }
                Said::Stream(_, StreamMessage::End, _) => {}
                Said::Settled(..) => break,
                said => panic!("{said:?}"),
            }
        }
        assert_eq!(bytes, 1_000_000);
    }
}

fn bodies_pass() {
    let node = Node::start();
    let mut cell = node.cell(
        r#"export default { async fetch(request) {
            if (request.url.endsWith("/proxy")) return fetch("http://other.test/", request);
            return new Response(request.body, { headers: { "x-passes": "1" } });
        } }"#,
    );
    // One that came whole.
    for _ in 0..3 {
        let seq = cell.send_with("POST", "/", BodyKind::Whole, b"whole");
        assert_eq!(cell.whole(seq), "whole");
    }
    for is_complete in [true, false] {
        let seq = cell.send_with("POST", "/", BodyKind::Stream { length: Some(5) }, b"");
        match cell.next() {
            Said::Reply(own, 200, _, BodyKind::Pass { of, length }, _, None) => {
                assert_eq!((own, of), (seq, StreamId::Request(seq)));
                assert_eq!(length, Some(5));
            }
            said => panic!("{said:?}"),
        }
        cell.say(&ToCell::Passed { seq, is_complete }, b"");
        assert!(cell.settled(seq).is_fit);
    }
    let seq = cell.send_with("POST", "/proxy", BodyKind::Stream { length: None }, b"");
    let of = StreamId::Request(seq);
    match cell.next() {
        Said::Fetch(
            _,
            1,
            what,
            _,
            BodyKind::Pass {
                of: own,
                length: None,
            },
            _,
        ) => {
            assert_eq!((what.as_str(), own), ("POST http://other.test/", of));
        }
        said => panic!("{said:?}"),
    }
    let fetched = ToCell::Fetched {
        fetch: 1,
        status: 201,
        fields: Fields::Map(&HeaderMap::new()),
        body: BodyKind::Stream { length: None },
        decoded: false,
    };
    cell.say(&fetched, b"");
    match cell.next() {
        Said::Reply(_, 201, _, BodyKind::Pass { of, .. }, _, None) => {
            assert_eq!(of, StreamId::Fetched(1));
        }
        said => panic!("{said:?}"),
    }
    cell.say(
        &ToCell::Passed {
            seq,
            is_complete: true,
        },
        b"",
    );
    assert!(cell.settled(seq).is_fit);
}

fn cancel() {
    let node = Node::start();
    let mut cell = node.cell(
        r#"export default { async fetch(request, env, ctx) {
            setTimeout(() => {}, 100_000);
            const aborted = new Promise((go) => request.signal.addEventListener("abort", go));
            if (request.url.endsWith("/waits")) {
                ctx.waitUntil(aborted.then(() => new Promise((go) => setTimeout(go, 10))).then(() => console.log("done")));
            }
            await aborted;
            console.log("aborted");
            throw new Error("aborted");
        } }"#,
    );
    for (path, lines) in [("/", vec!["aborted"]), ("/waits", vec!["aborted", "done"])] {
        let seq = cell.send(path);
        cell.say(&ToCell::Cancel { seq }, b"");
        let mut written = Vec::new();
        loop {
            match cell.next() {
                Said::Log(_, _, _, text) => written.push(text),
                Said::Failed(_, Outcome::Exception, _) => {}
                Said::Settled(own, settled) => break assert!(own == seq && settled.is_fit),
                said => panic!("{said:?}"),
            }
        }
        assert_eq!(written, lines);
    }
}

fn fetches() {
    let node = Node::start();
    let mut cell = node.cell(
        r#"export default { async fetch(request) {
            const path = new URL(request.url).pathname;
            try {
                if (path === "/many") {
                    const headers = [];
                    for (let i = 0; i < 25_000; i++) headers.push(["x-" + i, "value"]);
                    await fetch(new Request("http://other.test/", { headers }));
                }
                if (path === "/left") {
                    const controller = new AbortController();
                    const gone = fetch("http://other.test/", { signal: controller.signal });
                    setTimeout(() => controller.abort(), 1);
                    await gone;
                }
                const answer = await fetch("http://user:pass@other.test/x", { method: "POST", body: "sent" });
                return new Response(answer.status + await answer.text());
            } catch (error) {
                return new Response(`${error.name}: ${error.message} ${error.cause?.message}`);
            }
        } }"#,
    );
    let fields = HeaderMap::new();
    let seq = cell.send("/");
    match cell.next() {
        Said::Fetch(own, 1, what, headers, BodyKind::Whole, body) => {
            assert_eq!((own, what.as_str()), (seq, "POST http://other.test/x"));
            assert_eq!(body, b"sent");
            assert_eq!(headers["authorization"], "Basic dXNlcjpwYXNz");
        }
        said => panic!("{said:?}"),
    }
    let fetched = |fetch, body| ToCell::Fetched {
        fetch,
        status: 202,
        fields: Fields::Map(&fields),
        body,
        decoded: false,
    };
    cell.say(&fetched(1, BodyKind::Whole), b"answer");
    assert_eq!(cell.whole(seq), "202answer");

    let seq = cell.send("/");
    assert!(matches!(cell.next(), Said::Fetch(..)));
    cell.say(&fetched(2, BodyKind::Stream { length: None }), b"");
    let id = StreamId::Fetched(2);
    assert!(matches!(cell.next(), Said::Stream(own, StreamMessage::Credit(4), _) if own == id));
    cell.stream(id, StreamMessage::Chunk, b"in ");
    cell.stream(id, StreamMessage::Chunk, b"parts");
    cell.stream(id, StreamMessage::End, b"");
    loop {
        match cell.next() {
            Said::Stream(..) => {}
            Said::Reply(_, _, _, _, text, _) => break assert_eq!(text, b"202in parts"),
            said => panic!("{said:?}"),
        }
    }
    cell.settled(seq);

    let seq = cell.send("/");
    assert!(matches!(cell.next(), Said::Fetch(..)));
    let error = OutboundError::Forbidden {
        host: "other.test".into(),
    };
    cell.say(&ToCell::FetchFailed { fetch: 3, error }, b"");
    let text = cell.whole(seq);
    assert!(
        text.contains("other.test is not a public address"),
        "{text}"
    );

    let text = cell.ask("/many");
    assert!(
        text.starts_with("RangeError: too many request headers"),
        "{text}"
    );

    let seq = cell.send("/left");
    assert!(matches!(cell.next(), Said::Fetch(..)));
    assert!(matches!(cell.next(), Said::FetchLeft(4)));
    assert!(cell.whole(seq).starts_with("AbortError"));
}

fn logs() {
    let node = Node::start();
    let mut limited = start();
    limited.log = 1_000;
    let mut cell = node.cell_with(
        r#"
        console.log("start-up");
        export default { fetch(request) {
            if (request.url.endsWith("/loops")) { console.error("before"); for (;;); }
            for (let i = 0; i < 10; i++) console.warn("x".repeat(300));
            return new Response("ok");
        } }"#,
        &limited,
    );
    let seq = cell.send("/");
    let (mut kept, mut dropped) = (0, 0);
    loop {
        match cell.next() {
            Said::Log(own, _, left_out, text) => {
                assert_eq!(own, seq);
                (kept, dropped) = (kept + text.len() as u64, dropped + left_out);
            }
            Said::Reply(_, _, _, _, _, settled) if settled.is_none() => {}
            Said::Reply(..) | Said::Settled(..) => break,
            said => panic!("{said:?}"),
        }
    }
    assert_eq!((kept, dropped), (1_000, 3_000 + 8 - 1_000));
    cell.send("/loops");
    assert!(matches!(cell.next(), Said::Log(_, Level::Error, 0, text) if text == "before"));
    assert!(cell.page.is_computing());
    cell.talk.process.kill().expect("killed");
    assert!(cell.has_ended());
}

fn exceptions() {
    let node = Node::start();
    let graph = crate::node::graph(&[(
        "index.ts",
        "interface A { a: string }\n\nexport default {\n  fetch(request: Request) {\n    const url = new URL(request.url);\n    if (url.pathname === '/never') return new Promise(() => {});\n    throw new TypeError('thrown');\n  },\n};\n",
    )]);
    let (template, said) = node.template_of(&graph, &start());
    assert!(matches!(&said[..], [Said::Started(_, None)]), "{said:?}");
    let mut cell = node.copy(&template);
    let seq = cell.send("/");
    match cell.next() {
        Said::Failed(own, Outcome::Exception, Some(thrown)) => {
            assert_eq!(own, seq);
            assert_eq!(thrown.message, "TypeError: thrown");
            assert!(thrown.stack.contains("(index.ts:7:11)"), "{}", thrown.stack);
        }
        said => panic!("{said:?}"),
    }
    assert!(cell.settled(seq).is_fit);
    let seq = cell.send("/never");
    assert!(
        matches!(cell.next(), Said::Log(_, Level::Error, 0, text) if text.contains("never settled"))
    );
    assert!(matches!(
        cell.next(),
        Said::Failed(_, Outcome::NoResponse, None)
    ));
    assert!(cell.settled(seq).is_fit);
}

fn copies_differ() {
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

fn what_cannot_be_copied() {
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

fn copies_do_all_that_cells_do() {
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

fn out_of_memory() {
    let node = Node::start();
    let bomb = "const all = []; for (;;) all.push(new Array(1000).fill(1.5));";
    let mut tight = start();
    tight.data = 24 << 20;
    let blobs = "const all = []; for (;;) all.push(new Blob([new Uint8Array(1 << 20)]));";
    // Where the heap's limit does not see it, the kernel's does.
    for (text, start) in [(bomb, start()), (bomb, tight.clone()), (blobs, tight)] {
        let text = format!("export default {{ fetch() {{ {text} }} }}");
        let mut cell = node.cell_with(&text, &start);
        cell.send("/");
        assert!(cell.talk.next().is_none());
        assert!(cell.has_ended());
        assert!(cell.page.is_out_of_memory(), "{text}");
    }
    let mut cell = node.cell(
        r#"export default { fetch() {
            try { new ArrayBuffer(100 << 20); } catch (error) { return new Response(error.name); }
        } }"#,
    );
    assert_eq!(cell.ask("/"), "RangeError");
    let (template, said) = node.template(bomb, &start());
    match said.last() {
        Some(Said::StartFailed(error)) => assert_eq!(
            error.to_string(),
            "the top level of the module ran over its memory of 64MiB; `limits.memory` raises it"
        ),
        said => panic!("{said:?}"),
    }
    assert!(template.has_ended());
}

fn what_does_not_start() {
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

fn code_is_given_away() {
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

fn several_at_once() {
    let node = Node::start();
    let mut shared = start();
    shared.concurrency = 8;
    let mut cell = node.cell_with(
        r#"
        let waiting = [];
        export default { async fetch(request) {
            const path = new URL(request.url).pathname;
            if (path === "/last") for (const go of waiting.splice(0)) go();
            else await new Promise((go) => waiting.push(go));
            console.log(path);
            return new Response(path);
        } }"#,
        &shared,
    );
    let over = cell.send("/over");
    let all: Vec<_> = (0..3).map(|_| cell.send("/first")).collect();
    cell.say(&ToCell::Over { seq: over }, b"");
    let last = cell.send("/last");
    // That one, too, says when it is over.
    let mut left: HashSet<_> = all.iter().copied().chain([last, over]).collect();
    while !left.is_empty() {
        match cell.next() {
            Said::Log(own, _, _, text) => {
                assert_eq!(text, if own == last { "/last" } else { "/first" });
                assert_ne!(own, over);
            }
            Said::Reply(own, 200, _, _, _, settled) => {
                if settled.is_some() {
                    assert!(left.remove(&own));
                }
            }
            Said::Settled(own, settled) => assert!(settled.is_fit && left.remove(&own)),
            said => panic!("{said:?}"),
        }
    }
}

fn deep_recursion_is_an_exception() {
    let node = Node::start();
    let mut cell = node.cell(
        r#"export default { fetch() {
            const dive = () => dive() + 1;
            let text = "";
            try { dive(); } catch (error) { text += error.name; }
            try { JSON.parse("[".repeat(1e6)); } catch (error) { text += error.name; }
            return new Response(text);
        } }"#,
    );
    assert_eq!(cell.ask("/"), "RangeErrorSyntaxError");
}

fn one_liners_that_ended_nodes() {
    let node = Node::start();
    let mut cell = node.cell(
        r#"export default { fetch() {
            try {
                structuredClone({ [Symbol.for("Deno.core.hostObject")]: () => ({ type: "x" }) });
            } catch (error) {
                return new Response(error.name);
            }
            return new Response("cloned");
        } }"#,
    );
    assert_eq!(cell.ask("/"), "cloned");
    assert_eq!(cell.ask("/"), "cloned");
}
