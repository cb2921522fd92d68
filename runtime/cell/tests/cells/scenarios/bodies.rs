//! Bodies, both ways and through.

use holm_model::message::BodyKind;
use holm_model::message::Fields;
use holm_model::message::StreamId;
use holm_model::message::StreamMessage;
use holm_model::message::ToCell;
use holm_model::outcome::Outcome;
use http::HeaderMap;

use crate::node::Node;
use crate::node::Said;

pub(super) fn bodies_stream_in() {
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

pub(super) fn bodies_stream_out() {
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

pub(super) fn bodies_pass() {
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

pub(super) fn cancel() {
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
