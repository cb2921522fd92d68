//! HTTP/2 clients that send what costs them nothing: GOAWAY, and soon.

use std::time::{Duration, Instant};

use crate::frames::{
    ACK, CANCEL, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, GOAWAY, HEADERS,
    PING, PREFACE, PRIORITY, RST_STREAM, SETTINGS, UNKNOWN, WINDOW_UPDATE, frame, head, head_of,
    next_frame, number,
};
use crate::support::{Client, Event, Served};

/// Sends the flood again and again until the server has had enough; returns the error code of
/// its GOAWAY.
fn flood(served: &Served, next: impl Fn(u32) -> Vec<u8>) -> Option<u32> {
    let mut client = served.client();
    client.send(PREFACE);
    client.send(frame(SETTINGS, 0, 0, &[]));
    let mut writer = client.stream.try_clone().expect("a second handle");
    let began = Instant::now();
    let sender = std::thread::spawn({
        let frames: Vec<Vec<u8>> = (0..40_000).map(&next).collect();
        move || {
            use std::io::Write as _;
            for frame in frames {
                if writer.write_all(&frame).is_err() {
                    return;
                }
            }
        }
    });
    let code = goaway(&mut client);
    let took = began.elapsed();
    drop(client);
    sender.join().expect("no panic");
    assert!(took < Duration::from_secs(10), "{took:?}");
    code
}

/// Reads frames to the end of the connection.
fn goaway(client: &mut Client) -> Option<u32> {
    let mut all = Vec::new();
    let _ = std::io::Read::read_to_end(&mut client.stream, &mut all);
    let mut rest = &all[..];
    while let Some((header, behind)) = rest.split_first_chunk::<9>() {
        let length = usize::from(header[1]) << 8 | usize::from(header[2]);
        let (payload, next) = behind.split_at_checked(length)?;
        if header[3] == GOAWAY {
            return Some(number(payload.get(4..)?));
        }
        rest = next;
    }
    None
}

#[test]
fn floods_end_in_goaway() {
    let served = Served::new();
    let stream = |n: u32| n * 2 + 1;
    let open_and_reset = move |n| {
        let mut frames = frame(HEADERS, END_HEADERS | END_STREAM, stream(n), &head());
        frames.extend(frame(RST_STREAM, 0, stream(n), &8_u32.to_be_bytes()));
        frames
    };
    let continuation = |n| match n {
        0 => frame(HEADERS, END_STREAM, 1, &head()),
        _ => frame(CONTINUATION, 0, 1, &[]),
    };
    let empty_data = |n| match n {
        0 => frame(HEADERS, END_HEADERS, 1, &head()),
        _ => frame(DATA, 0, 1, &[]),
    };
    // Answered before its body has come, so the stream is reset; what still comes is passed over.
    let ends = |n| match n {
        0 => frame(HEADERS, END_HEADERS, 1, &head_of("/ignore-body")),
        _ => frame(DATA, END_STREAM, 1, &[]),
    };
    let trailers = |n| match n {
        0 => frame(HEADERS, END_HEADERS, 1, &head_of("/ignore-body")),
        _ => frame(HEADERS, END_HEADERS | END_STREAM, 1, &[]),
    };
    type Flood = Box<dyn Fn(u32) -> Vec<u8>>;
    let floods: [(&str, Flood); 15] = [
        ("rapid reset", Box::new(open_and_reset)),
        ("continuation", Box::new(continuation)),
        ("ping", Box::new(|_| frame(PING, 0, 0, &[0; 8]))),
        ("settings", Box::new(|_| frame(SETTINGS, 0, 0, &[]))),
        ("empty data", Box::new(empty_data)),
        (
            "priority",
            Box::new(|_| frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 0])),
        ),
        (
            "window update",
            Box::new(|_| frame(WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes())),
        ),
        ("ping ack", Box::new(|_| frame(PING, ACK, 0, &[0; 8]))),
        ("settings ack", Box::new(|_| frame(SETTINGS, ACK, 0, &[]))),
        (
            "priority with the bit of an ACK",
            Box::new(|_| frame(PRIORITY, ACK, 1, &[0, 0, 0, 3, 0])),
        ),
        ("unknown", Box::new(|_| frame(UNKNOWN, 0, 0, &[]))),
        (
            "unknown with the bit of an ACK",
            Box::new(|_| frame(UNKNOWN, ACK, 0, &[])),
        ),
        (
            "window update with the bit of an ACK",
            Box::new(|_| frame(WINDOW_UPDATE, ACK, 0, &1_u32.to_be_bytes())),
        ),
        ("ends of a stream", Box::new(ends)),
        ("trailers of a stream", Box::new(trailers)),
    ];
    for (name, next) in floods {
        let code = flood(&served, next);
        assert!(code.is_some_and(|code| code != 0), "{name}: {code:?}");
    }
    // The server is none the worse for it.
    let answer = served.send("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

/// A few bytes that unpack to megabytes (RFC 7541, 7.3): one long field in the table, and then
/// references to it.
#[test]
fn a_small_head_that_unpacks_to_a_large_one_is_refused() {
    let served = Served::new();
    let mut client = served.client();
    client.send(PREFACE);
    client.send(frame(SETTINGS, 0, 0, &[]));
    let mut block = head();
    // Literal with indexing: name "a", value of 3,900 bytes.
    block.extend([0x40, 1, b'a', 0x7F]);
    block.extend([0xBD, 0x1D]);
    block.extend([b'b'; 3900]);
    // Index 62 is the newest entry; 8,000 of them are 31 MB.
    block.extend([0x80 | 62; 8000]);
    client.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, &block));
    assert_eq!(goaway(&mut client), Some(ENHANCE_YOUR_CALM));
    assert_eq!(served.began(), Vec::<String>::new());
    assert_eq!(served.stats.requests(), 0);
}

/// A client that opens no window holds back what is ready for it, and is not waited for.
#[test]
fn a_stream_that_is_not_taken_is_reset() {
    let served = Served::with(holm_router::Settings {
        stall_time: Duration::from_millis(200),
        ..holm_router::Settings::default()
    });
    for (path, last) in [("/text", None), ("/endless", Some(Event::Unheard))] {
        let mut client = served.client();
        client.send(PREFACE);
        // SETTINGS_INITIAL_WINDOW_SIZE = 0.
        client.send(frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]));
        client.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, &head_of(path)));
        let began = Event::Began(format!("GET a.test {path}"));
        assert_eq!(served.event(), began);
        assert_eq!(number(&next_frame(&mut client, RST_STREAM, 1)), CANCEL);
        if let Some(last) = last {
            assert_eq!(served.event(), last);
        }
    }
}
