//! Writes the seeds of the target `cell`: messages as a cell says them. `cargo run --example seeds`, in this folder.

use std::fs;

// Instrumented code calls it.
use libfuzzer_sys as _;

use holm_model::body::BodyError;
use holm_model::log::Level;
use holm_model::message::{
    BodyKind, Fields, FromCell, Settled, SocketId, SocketMessage, StreamId, StreamMessage, put,
};
use holm_model::outbound::Way;
use holm_model::outcome::Outcome;
use holm_model::websocket::{Close, Kind};
use http::{HeaderMap, HeaderValue};

fn main() -> std::io::Result<()> {
    let mut map = HeaderMap::new();
    map.insert("content-type", HeaderValue::from_static("text/plain"));
    map.append("set-cookie", HeaderValue::from_static("a=1"));
    map.append("set-cookie", HeaderValue::from_static("b=2"));
    let settled = Settled {
        cpu: 1_000_000,
        wall: 2_000_000,
        memory: 1 << 20,
        is_fit: true,
    };
    let reply = |body, settled| FromCell::Reply {
        seq: 1,
        status: 200,
        fields: Fields::Map(&map),
        body,
        settled,
    };
    let all: Vec<(&str, Vec<(FromCell<'_>, &[u8])>)> = vec![
        (
            "started",
            vec![
                (
                    FromCell::Started {
                        uncalled: vec!["queue".into()],
                        not_copyable: Some("a timer".into()),
                    },
                    b"",
                ),
                (FromCell::Ready, b""),
            ],
        ),
        (
            "reply",
            vec![(reply(BodyKind::Whole, Some(settled)), b"hello")],
        ),
        (
            "streamed",
            vec![
                (reply(BodyKind::Stream { length: Some(5) }, None), b""),
                (
                    FromCell::Stream(StreamId::Reply(1), StreamMessage::Chunk),
                    b"hello",
                ),
                (
                    FromCell::Stream(StreamId::Reply(1), StreamMessage::End),
                    b"",
                ),
                (FromCell::Settled { seq: 1, settled }, b""),
            ],
        ),
        (
            "broken",
            vec![
                (
                    FromCell::Stream(StreamId::Fetch(0), StreamMessage::Chunk),
                    b"x",
                ),
                (
                    FromCell::Stream(
                        StreamId::Fetch(0),
                        StreamMessage::Broken(BodyError::Disconnected),
                    ),
                    b"",
                ),
                (
                    FromCell::Stream(StreamId::Request(2), StreamMessage::Credit(4)),
                    b"",
                ),
                (
                    FromCell::Stream(StreamId::Request(2), StreamMessage::Left),
                    b"",
                ),
            ],
        ),
        (
            "socket",
            vec![
                (
                    FromCell::Socket(
                        SocketId::Request(1),
                        SocketMessage::Part {
                            kind: Kind::Text,
                            is_last: true,
                        },
                    ),
                    b"hello",
                ),
                (
                    FromCell::Socket(SocketId::Request(1), SocketMessage::Credit(9)),
                    b"",
                ),
                (
                    FromCell::Socket(
                        SocketId::Request(1),
                        SocketMessage::Close(Close::of(1000, "bye")),
                    ),
                    b"",
                ),
            ],
        ),
        (
            "fetch",
            vec![
                (
                    FromCell::Fetch {
                        seq: 1,
                        fetch: 1,
                        way: Way::Out,
                        method: "POST",
                        url: "https://a.test/x?y",
                        fields: Fields::Map(&map),
                        body: BodyKind::Pass {
                            of: StreamId::Request(1),
                            length: Some(3),
                        },
                    },
                    b"",
                ),
                (FromCell::FetchLeft { fetch: 1 }, b""),
            ],
        ),
        (
            "log",
            vec![
                (
                    FromCell::Log {
                        seq: 1,
                        level: Level::Warn,
                        dropped: 3,
                    },
                    b"a line",
                ),
                (
                    FromCell::Failed {
                        seq: 1,
                        outcome: Outcome::Exception,
                        thrown: None,
                    },
                    b"",
                ),
                (FromCell::Awake, b""),
            ],
        ),
    ];
    fs::create_dir_all("corpus/cell")?;
    for (name, messages) in all {
        let mut wire = Vec::new();
        for (message, payload) in messages {
            put(&mut wire, &message, payload);
        }
        fs::write(format!("corpus/cell/{name}"), wire)?;
    }
    // What a zygote says: it has forked, and it has not.
    fs::write(
        "corpus/cell/zygote-forked",
        [&[3][..], &4_242_i64.to_le_bytes()].concat(),
    )?;
    fs::write(
        "corpus/cell/zygote-failed",
        [&[4, 4, 3, 0][..], b"why"].concat(),
    )
}
