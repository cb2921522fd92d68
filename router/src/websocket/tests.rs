use holm_model::outbound::Account;
use proptest::prelude::*;

use super::*;
use crate::websocket::encode::Encode;

fn decode(compresses: bool) -> Decode {
    Decode::new(Role::Server, compresses, 1 << 20)
}

fn all(decode: &mut Decode, wire: &[u8], cut: usize) -> Result<Vec<Event>, Fault> {
    let mut input = BytesMut::new();
    let mut events = Vec::new();
    for piece in wire.chunks(cut.max(1)) {
        input.extend_from_slice(piece);
        while let Some(event) = decode.next(&mut input)? {
            events.push(event);
        }
    }
    Ok(events)
}

/// The messages in `events`, put together.
fn messages(events: Vec<Event>) -> Vec<(Kind, Vec<u8>)> {
    let mut messages = Vec::new();
    let mut open = Vec::new();
    for event in events {
        if let Event::Part(part) = event {
            open.extend_from_slice(&part.bytes);
            if part.is_last {
                messages.push((part.kind, std::mem::take(&mut open)));
            }
        }
    }
    messages
}

fn text(bytes: &[u8]) -> Part {
    Part {
        kind: Kind::Text,
        is_last: true,
        bytes: Bytes::copy_from_slice(bytes),
    }
}

/// A frame as a client sends it, its key zero.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        short @ 0..=125 => frame.push(0x80 | short as u8),
        long => {
            frame.push(0x80 | 126);
            frame.extend((long as u16).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend_from_slice(payload);
    frame
}

fn fault(wire: &[u8]) -> u16 {
    all(&mut decode(false), wire, 1).expect_err("a fault").code
}

/// Autobahn's 6.4.3 and 6.4.4.
#[test]
fn text_is_judged_as_it_comes() {
    let text = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90\x80\x80edited";
    let mut decode = decode(false);
    let mut input = BytesMut::new();
    let first_bad = 6 + 12;
    for (at, byte) in frame(0x81, text).into_iter().enumerate() {
        input.extend_from_slice(&[byte]);
        match decode.next(&mut input) {
            Ok(event) => assert!(event.is_none() && at < first_bad, "{at}: {event:?}"),
            Err(fault) => {
                assert_eq!((at, fault.code), (first_bad, 1007));
                return;
            }
        }
    }
    panic!("it was taken for text");
}

#[test]
fn what_breaks_the_protocol() {
    for (wire, code) in [
        // Not masked.
        (vec![0x81, 0], 1002),
        // Reserved bits.
        (frame(0xC1, b"x"), 1002),
        (frame(0xA1, b"x"), 1002),
        (frame(0x91, b"x"), 1002),
        // Reserved kinds.
        (frame(0x83, b"x"), 1002),
        (frame(0x8B, b"x"), 1002),
        // A control frame that is fragmented, or too long.
        (frame(0x09, b"x"), 1002),
        (frame(0x89, &[0; 126]), 1002),
        // Continues nothing; begins within another.
        (frame(0x80, b"x"), 1002),
        ([frame(0x01, b"x"), frame(0x81, b"y")].concat(), 1002),
        // Closes.
        (frame(0x88, b"x"), 1002),
        (frame(0x88, &1005_u16.to_be_bytes()), 1002),
        (frame(0x88, &999_u16.to_be_bytes()), 1002),
        (frame(0x88, &5000_u16.to_be_bytes()), 1002),
        (frame(0x88, b"\x03\xe8\xff"), 1007),
        // Text that is none, wherever it is cut.
        (frame(0x81, b"\xff"), 1007),
        (frame(0x81, b"a\xf0\x9f"), 1007),
        (
            [frame(0x01, b"a\xf0\x9f"), frame(0x80, b"a")].concat(),
            1007,
        ),
    ] {
        assert_eq!(fault(&wire), code, "{wire:x?}");
    }
}

#[test]
fn a_message_is_too_long_as_soon_as_that_is_known() {
    let mut small = Decode::new(Role::Server, false, 10);
    let head = &frame(0x82, &[0; 200])[..8];
    assert_eq!(
        all(&mut small, head, 8).map_err(|fault| fault.code),
        Err(1009)
    );
    let mut small = Decode::new(Role::Server, false, 10);
    let two = [frame(0x02, &[0; 6]), frame(0x80, &[0; 6])].concat();
    assert_eq!(
        all(&mut small, &two, 100).map_err(|fault| fault.code),
        Err(1009)
    );
}

#[test]
fn a_bomb_is_stopped_at_the_limit() {
    let mut out = BytesMut::new();
    let bytes = vec![b'a'; 64 << 10];
    Encode::new(Role::Client, true).part(&text(&bytes), &mut out);
    assert!(out.len() < 1_000, "{}", out.len());
    let mut small = Decode::new(Role::Server, true, 10_000);
    assert_eq!(
        all(&mut small, &out, 1_000).map_err(|fault| fault.code),
        Err(1009)
    );
    let mut large = Decode::new(Role::Server, true, 64 << 10);
    let events = all(&mut large, &out, 1_000).expect("within the limit");
    assert_eq!(messages(events), [(Kind::Text, bytes)]);
}

#[test]
fn control_frames_come_between_fragments() {
    let wire = [frame(0x01, b"a"), frame(0x89, b"p"), frame(0x80, b"b")].concat();
    let events = all(&mut decode(false), &wire, 3).expect("sound");
    assert!(events.contains(&Event::Ping("p".into())));
    assert_eq!(messages(events), [(Kind::Text, b"ab".to_vec())]);
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        texts in prop::collection::vec(".{0,200}", 1..5),
        cut in 1_usize..600,
        compresses: bool,
    ) {
        let mut out = BytesMut::new();
        let mut encode = Encode::new(Role::Client, compresses);
        for each in &texts {
            encode.part(&text(each.as_bytes()), &mut out);
        }
        let events = all(&mut decode(compresses), &out, cut);
        let read = messages(events.expect("sound"));
        let texts: Vec<_> = texts.into_iter().map(|text| (Kind::Text, text.into_bytes())).collect();
        prop_assert_eq!(read, texts);
    }

    #[test]
    fn garbage_does_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), cut in 1_usize..50) {
        for compresses in [false, true] {
            let _ = all(&mut decode(compresses), &bytes, cut);
            let squeezed = frame(0xC1, &bytes);
            let _ = all(&mut decode(compresses), &squeezed, cut);
        }
    }

    #[test]
    fn masks_go_on_where_they_were(bytes in prop::collection::vec(any::<u8>(), 0..100), key: [u8; 4], at in 0_usize..100) {
        let mut whole = bytes.clone();
        mask(&mut whole, key, 0);
        let mut parts = bytes;
        let at = at.min(parts.len());
        mask(&mut parts[..at], key, 0);
        mask(&mut parts[at..], key, at);
        prop_assert_eq!(whole, parts);
    }
}

#[tokio::test(start_paused = true)]
async fn who_does_not_answer_a_ping_is_gone() {
    use holm_model::websocket::{Item, Socket};
    use tokio::io::AsyncReadExt;

    use crate::websocket::{Conversation, Keeping};

    let (near, mut far) = tokio::io::duplex(1 << 10);
    let (ours, theirs) = Socket::pair(1 << 20, Account::default());
    let keeping = Keeping::default();
    let conversation = Conversation::new(near, ours, Role::Server, false, keeping);
    let begun = tokio::time::Instant::now();
    let task = tokio::spawn(conversation);
    let mut ping = [0; 2];
    far.read_exact(&mut ping).await.expect("a ping");
    assert_eq!((ping, begun.elapsed()), ([0x89, 0], keeping.ping_every));
    assert!(task.await.expect("no panic").is_err());
    assert_eq!(begun.elapsed(), keeping.ping_every * 2);
    let item = std::future::poll_fn(|cx| theirs.poll_next(cx)).await;
    let Some(Item::Close(close)) = item else {
        panic!("{item:?}")
    };
    assert_eq!((close.code, close.is_clean), (code::ABNORMAL, false));
}
