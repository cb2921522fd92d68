//! Requests: given ahead, one by one, several at once; what they fetch, log and throw.

use std::collections::HashSet;

use holm_model::log::Level;
use holm_model::message::BodyKind;
use holm_model::message::Fields;
use holm_model::message::StreamId;
use holm_model::message::StreamMessage;
use holm_model::message::ToCell;
use holm_model::outbound::OutboundError;
use holm_model::outcome::Outcome;
use http::HeaderMap;

use crate::node::Node;
use crate::node::Said;
use crate::node::start;

pub(super) fn requests_ahead() {
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
pub(super) fn many_ahead() {
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

/// A request whose time is up is not heard of again, and others go on.
pub(super) fn over() {
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

pub(super) fn fetches() {
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

pub(super) fn logs() {
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

pub(super) fn exceptions() {
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

pub(super) fn several_at_once() {
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
