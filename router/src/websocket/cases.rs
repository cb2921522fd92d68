//! What the Autobahn test suite asks of a server that echoes, case by case, named as there (1 to 7; 9, 12 and 13 are
//! long messages and compression, in `tests.rs` and in `tests/suites/websockets.rs`). The suite itself runs on Python 2 alone.

use std::future::poll_fn;

use holm_model::outbound::Account;
use holm_model::websocket::{Item, Part, Socket};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Conversation, Keeping, Role};

/// A frame as a client sends it, its key zero.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match u16::try_from(payload.len()) {
        Ok(short @ 0..=125) => frame.push(0x80 | short as u8),
        Ok(middle) => {
            frame.push(0x80 | 126);
            frame.extend(middle.to_be_bytes());
        }
        Err(_) => {
            frame.push(0x80 | 127);
            frame.extend((payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend_from_slice(payload);
    frame
}

/// The same as a server sends it.
fn back(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = frame(first, payload);
    let head = frame.len() - payload.len();
    frame.drain(head - 4..head);
    frame[1] &= 0x7F;
    frame
}

fn close(code: u16) -> Vec<u8> {
    frame(0x88, &code.to_be_bytes())
}

/// What comes of `wire`, written in pieces of `cut`, at a server that echoes; up to the end of the connection, which the
/// client begins if the server does not.
async fn answer(wire: &[u8], cut: usize) -> Vec<u8> {
    let (near, far) = tokio::io::duplex(1 << 20);
    let (ours, theirs) = Socket::pair(16 << 20, Account::default());
    let conversation = Conversation::new(near, ours, Role::Server, false, Keeping::default());
    let conversation = tokio::spawn(conversation);
    let echo = tokio::spawn(async move {
        let mut open: Vec<u8> = Vec::new();
        while let Some(Item::Part(part)) = poll_fn(|cx| theirs.poll_next(cx)).await {
            open.extend_from_slice(&part.bytes);
            if part.is_last {
                let bytes = std::mem::take(&mut open).into();
                theirs.say(Item::Part(Part { bytes, ..part }));
            }
        }
        theirs
    });
    let (mut read, mut write) = tokio::io::split(far);
    let reads = tokio::spawn(async move {
        let mut all = Vec::new();
        let _ = read.read_to_end(&mut all).await;
        all
    });
    for piece in wire.chunks(cut) {
        // It may have ended.
        let _ = write.write_all(piece).await;
        tokio::task::yield_now().await;
    }
    // What was sent is answered before this is.
    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    let _ = write.write_all(&close(1000)).await;
    let all = reads.await.expect("no panic");
    drop(write);
    let _ = conversation.await.expect("no panic");
    drop(echo.await.expect("no panic"));
    all
}

/// Both whole and in single bytes.
async fn expect(name: &str, wire: &[u8], expected: &[u8]) {
    for cut in [wire.len().max(1), 1] {
        let got = answer(wire, cut).await;
        assert_eq!(got, expected, "{name}, in pieces of {cut}");
    }
}

/// Answered with this, and then with a close of that status.
async fn fails(name: &str, wire: &[u8], before: &[u8], code: u16) {
    for cut in [wire.len(), 1] {
        let got = answer(wire, cut).await;
        let Some(rest) = got.strip_prefix(before) else {
            panic!("{name}, in pieces of {cut}: {got:x?}");
        };
        let told = rest
            .get(2..4)
            .map(|code| u16::from_be_bytes([code[0], code[1]]));
        assert!(
            rest.first() == Some(&0x88)
                && told == Some(code)
                && rest.len() == 2 + usize::from(rest[1]),
            "{name}, in pieces of {cut}: {got:x?}"
        );
    }
}

const BYE: &[u8] = &[0x88, 2, 0x03, 0xE8];

fn and_bye(frames: &[Vec<u8>]) -> Vec<u8> {
    [frames.concat(), BYE.to_vec()].concat()
}

#[tokio::test(start_paused = true)]
async fn messages_of_all_lengths() {
    for (first, name) in [(0x81, "1.1"), (0x82, "1.2")] {
        for length in [0, 125, 126, 127, 128, 65_535] {
            let payload = vec![b'*'; length];
            expect(
                name,
                &frame(first, &payload),
                &and_bye(&[back(first, &payload)]),
            )
            .await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn pings_and_pongs() {
    for (name, payload) in [
        ("2.1", &b""[..]),
        ("2.2", b"Hello, world!"),
        ("2.3", b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff"),
        ("2.4", &[0xFE; 125]),
    ] {
        expect(
            name,
            &frame(0x89, payload),
            &and_bye(&[back(0x8A, payload)]),
        )
        .await;
    }
    fails("2.5", &frame(0x89, &[0xFE; 126]), b"", 1002).await;
    expect("2.7", &frame(0x8A, b""), BYE).await;
    expect("2.8", &frame(0x8A, b"unsolicited"), BYE).await;
    let wire = [frame(0x8A, b"unsolicited"), frame(0x89, b"ping")].concat();
    expect("2.9", &wire, &and_bye(&[back(0x8A, b"ping")])).await;
    let pings: Vec<_> = (0..10).map(|n| frame(0x89, &[b'0' + n])).collect();
    let pongs: Vec<_> = (0..10).map(|n| back(0x8A, &[b'0' + n])).collect();
    expect("2.10", &pings.concat(), &and_bye(&pongs)).await;
}

#[tokio::test(start_paused = true)]
async fn reserved_bits_and_kinds() {
    let hello = frame(0x81, b"Hello");
    for bits in 1..8_u8 {
        for first in [0x81, 0x82, 0x89, 0x88] {
            let wire = frame(first | bits << 4, b"Hello");
            fails("3.1 to 3.7", &wire, b"", 1002).await;
        }
    }
    for kind in (3..8).chain(11..16) {
        for payload in [&b""[..], b"reserved"] {
            fails("4.1, 4.2", &frame(0x80 | kind, payload), b"", 1002).await;
        }
    }
    // What came before is whole.
    let echoed = back(0x81, b"Hello");
    let got = answer(&hello, 1).await;
    assert_eq!(got, and_bye(&[echoed]));
}

#[tokio::test(start_paused = true)]
async fn fragments() {
    fails(
        "5.1",
        &[frame(0x09, b"a"), frame(0x80, b"b")].concat(),
        b"",
        1002,
    )
    .await;
    fails(
        "5.2",
        &[frame(0x0A, b"a"), frame(0x80, b"b")].concat(),
        b"",
        1002,
    )
    .await;
    let halves = [frame(0x01, b"frag1"), frame(0x80, b"frag2")];
    let echoed = |got: &[u8]| {
        // In as many frames as it may.
        let mut text = Vec::new();
        let mut rest = got;
        while let [_, length, more @ ..] = rest {
            let (payload, more) = more.split_at(usize::from(*length));
            text.extend_from_slice(payload);
            rest = more;
        }
        text
    };
    for (name, wire) in [
        ("5.3 to 5.5", halves.concat()),
        (
            "5.6 to 5.8",
            [&halves[0][..], &frame(0x8A, b"")[..], &halves[1][..]].concat(),
        ),
        (
            "5.19, 5.20",
            [&halves[0][..], &frame(0x00, b"")[..], &halves[1][..]].concat(),
        ),
    ] {
        for cut in [wire.len(), 1] {
            let got = answer(&wire, cut).await;
            let text = [&b"frag1frag2"[..], &1000_u16.to_be_bytes()].concat();
            assert_eq!(echoed(&got), text, "{name}");
        }
    }
    for first in [0x80, 0x00] {
        fails("5.9 to 5.14", &frame(first, b"not begun"), b"", 1002).await;
    }
    let wire = [frame(0x01, b"a"), frame(0x81, b"b")].concat();
    fails("5.18", &wire, b"", 1002).await;
}

#[tokio::test(start_paused = true)]
async fn utf8() {
    for text in [
        "κόσμε",
        "\u{80}",
        "\u{800}",
        "\u{10000}",
        "\u{7f}\u{7ff}\u{ffff}",
        "\u{10ffff}",
        "\u{d7ff}\u{e000}\u{fffd}",
    ] {
        expect(
            "6.2 to 6.9",
            &frame(0x81, text.as_bytes()),
            &and_bye(&[back(0x81, text.as_bytes())]),
        )
        .await;
    }
    for bytes in [
        &b"\xce\xba\xed\xa0\x80edited"[..],
        b"\xf8\x88\x80\x80\x80",
        b"\xfc\x84\x80\x80\x80\x80",
        b"\xf7\xbf\xbf\xbf",
        b"\xf4\x90\x80\x80",
        b"\x80",
        b"\xbf\x80",
        b"\xc0 \xc1 ",
        b"\xe0 ",
        b"\xc0\xaf",
        b"\xe0\x80\xaf",
        b"\xed\xbf\xbf",
        b"\xfe\xff",
        b"\xce\xba\xe1",
    ] {
        fails("6.3, 6.4, 6.6 to 6.21", &frame(0x81, bytes), b"", 1007).await;
    }
}

#[tokio::test(start_paused = true)]
async fn closes() {
    let hello = frame(0x81, b"Hello");
    let echoed = and_bye(&[back(0x81, b"Hello")]);
    expect("7.1.1", &[&hello[..], &close(1000)].concat(), &echoed).await;
    expect("7.1.2", &[close(1000), close(1000)].concat(), BYE).await;
    expect("7.1.3", &[close(1000), frame(0x89, b"ping")].concat(), BYE).await;
    expect("7.1.4", &[&close(1000)[..], &hello].concat(), BYE).await;
    expect(
        "7.1.5",
        &[frame(0x01, b"a"), close(1000), frame(0x80, b"b")].concat(),
        BYE,
    )
    .await;
    expect("7.3.1", &frame(0x88, b""), &[0x88, 0]).await;
    fails("7.3.2", &frame(0x88, b"a"), b"", 1002).await;
    expect("7.3.3", &close(1000), BYE).await;
    for length in [5, 123] {
        let payload = [&1000_u16.to_be_bytes()[..], &vec![b'*'; length]].concat();
        expect(
            "7.3.4, 7.3.5",
            &frame(0x88, &payload),
            &back(0x88, &payload),
        )
        .await;
    }
    fails("7.3.6", &frame(0x88, &[b'*'; 126]), b"", 1002).await;
    fails(
        "7.5.1",
        &frame(0x88, b"\x03\xe8\xce\xba\xed\xa0\x80"),
        b"",
        1007,
    )
    .await;
    for code in [
        1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999,
    ] {
        expect("7.7", &close(code), &back(0x88, &code.to_be_bytes())).await;
    }
    for code in [
        0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65_535,
    ] {
        fails("7.9, 7.13", &close(code), b"", 1002).await;
    }
}
