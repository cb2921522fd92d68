//! What passes and what does not; and that it does not matter how the bytes were cut.

use proptest::prelude::*;

use super::*;

const LIMITS: Limits = Limits {
    head: 4096,
    url: 1024,
    fields: 20,
};

fn once(bytes: &[u8]) -> (Framing, Advance) {
    let mut framing = Framing::new(LIMITS);
    let advance = framing.advance(bytes);
    (framing, advance)
}

/// Feeds the bytes in pieces, as the wire does, and says what was passed on in all.
fn in_pieces(bytes: &[u8], cuts: &[usize]) -> (u64, Vec<u8>, Rest) {
    let mut framing = Framing::new(LIMITS);
    let (mut held, mut passed) = (Vec::new(), Vec::new());
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    ends.sort_unstable();
    ends.push(bytes.len());
    let mut from = 0;
    for end in ends {
        held.extend_from_slice(&bytes[from..end]);
        from = end;
        let advance = framing.advance(&held);
        passed.extend(held.drain(..advance.pass));
        match advance.rest {
            Rest::None => assert!(held.is_empty()),
            Rest::Hold => {}
            rest @ (Rest::Refuse(_) | Rest::Break) => return (framing.heads(), passed, rest),
        }
    }
    let rest = if held.is_empty() {
        Rest::None
    } else {
        Rest::Hold
    };
    (framing.heads(), passed, rest)
}

/// Sound requests, one after the other, with bodies of each kind.
const SOUND: &[&str] = &[
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "\r\nGET /a?b=c&d=%20 HTTP/1.0\r\n\r\n",
    "POST /\u{e9}{} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nGET /",
    "POST http://a:80/ HTTP/1.1\r\ncontent-length:\t0 \r\nX: \u{e9}\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
    "PUT / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n5\r\nGET /\r\n00A;x=y\r\n0123456789\r\n0\r\n\r\n",
    "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\nC:\r\n\r\n",
];

#[test]
fn sound_requests_pass_and_are_counted() {
    for request in SOUND {
        let (framing, advance) = once(request.as_bytes());
        let all = Advance {
            pass: request.len(),
            rest: Rest::None,
        };
        assert_eq!(advance, all, "{request:?}");
        assert_eq!(framing.heads(), 1, "{request:?}");
        assert!(framing.expects_head(), "{request:?}");
    }
}

#[test]
fn heads_that_two_parsers_could_read_in_two_ways_are_refused() {
    for head in [
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 3, 3\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: +3\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: -3\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 0x3\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 3 3\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: \r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 18446744073709551615\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length : 3\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding : chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked, identity\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: \"chunked\"\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding:\u{b}chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding:\r\n chunked\r\n\r\n",
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
        "GET / HTTP/1.1\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\n",
        "GET / HTTP/1.1\r\nX: a\rb\r\n\r\n",
        "GET / HTTP/1.1\r\nX: a\0b\r\n\r\n",
        "GET / HTTP/1.1\r\nX\0: a\r\n\r\n",
        "GET / HTTP/1.1\r\nX\r\n\r\n",
        "GET / HTTP/1.1\r\n: a\r\n\r\n",
        "GET  / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1 \r\n\r\n",
        "GET\t/\tHTTP/1.1\r\n\r\n",
        "GET / x HTTP/1.1\r\n\r\n",
        "GET /\r\n\r\n",
        "GET / HTTP/2.0\r\n\r\n",
        "GET / http/1.1\r\n\r\n",
        "GET a HTTP/1.1\r\n\r\n",
        "GET a:80 HTTP/1.1\r\n\r\n",
        "GET * HTTP/1.1\r\n\r\n",
        "GET ftp://a/ HTTP/1.1\r\n\r\n",
        "GET http://u@a/ HTTP/1.1\r\n\r\n",
        "GET /\u{7f} HTTP/1.1\r\n\r\n",
        "G(T / HTTP/1.1\r\n\r\n",
        "\r\n\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        "\nGET / HTTP/1.1\r\n\r\n",
    ] {
        let (framing, advance) = once(head.as_bytes());
        assert!(
            matches!(&advance.rest, Rest::Refuse(Refusal::Malformed(_))),
            "{head:?}: {advance:?}"
        );
        assert_eq!((advance.pass, framing.heads()), (0, 0), "{head:?}");
    }
}

#[test]
fn bodies_that_are_not_well_chunked_break_off() {
    const HEAD: &str = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    for body in [
        "+5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "5;a\rb\r\nhello\r\n0\r\n\r\n",
        "5\r\nhelloo\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "1000000000000000\r\n",
        "\r\n",
        "0\r\nA b: c\r\n\r\n",
        "0\r\nA: b\n\r\n",
        "0\r\n\n",
        "0\r\n X: y\r\n\r\n",
    ] {
        let (framing, advance) = once(format!("{HEAD}{body}").as_bytes());
        assert_eq!(advance.rest, Rest::Break, "{body:?}");
        assert_eq!(framing.heads(), 1, "{body:?}");
    }
}

#[test]
fn limits_hold_before_the_head_is_complete() {
    let refusal = |bytes: &[u8]| match once(bytes).1.rest {
        Rest::Refuse(refusal) => Some(refusal),
        Rest::None | Rest::Hold | Rest::Break => None,
    };
    let path = |length: usize| format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(length));
    assert_eq!(refusal(path(1023).as_bytes()), None);
    assert_eq!(
        refusal(path(1024).as_bytes()),
        Some(Refusal::UrlTooLong(1024))
    );
    let endless = format!("GET /{}", "a".repeat(2000));
    assert_eq!(refusal(endless.as_bytes()), Some(Refusal::UrlTooLong(1024)));
    let endless = format!("GET / HTTP/1.1\r\nA: {}", "a".repeat(4096));
    assert_eq!(
        refusal(endless.as_bytes()),
        Some(Refusal::HeadTooLarge(4096))
    );
    let fields = |count| format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(count));
    assert_eq!(refusal(fields(20).as_bytes()), None);
    assert_eq!(
        refusal(fields(21).as_bytes()),
        Some(Refusal::TooManyFields(20))
    );
}

#[test]
fn a_sound_request_in_front_of_a_bad_one_passes() {
    let both = format!("{}{}", SOUND[0], "GET / HTTP/1.1\r\nX: a\nb\r\n\r\n");
    let (framing, advance) = once(both.as_bytes());
    assert_eq!(advance.pass, SOUND[0].len());
    assert_eq!(framing.heads(), 1);
    assert!(matches!(advance.rest, Rest::Refuse(_)));
}

proptest! {
    #[test]
    fn cuts_do_not_matter(
        which in prop::collection::vec(0..SOUND.len(), 1..6),
        cuts in prop::collection::vec(any::<usize>(), 0..40),
    ) {
        let stream: String = which.iter().map(|index| SOUND[*index]).collect();
        let (heads, passed, rest) = in_pieces(stream.as_bytes(), &cuts);
        prop_assert_eq!(heads, which.len() as u64);
        prop_assert_eq!(passed, stream.as_bytes());
        prop_assert_eq!(rest, Rest::None);
    }

    /// Noise in a sound stream: whatever it does, it does the same however it is cut.
    #[test]
    fn cuts_do_not_matter_to_noise_either(
        which in prop::collection::vec(0..SOUND.len(), 1..4),
        noise in prop::collection::vec((any::<usize>(), any::<u8>()), 1..4),
        cuts in prop::collection::vec(any::<usize>(), 0..20),
    ) {
        let mut stream: Vec<u8> = which.iter().flat_map(|index| SOUND[*index].bytes()).collect();
        for (at, byte) in noise {
            let at = at % stream.len();
            stream[at] = byte;
        }
        let whole = in_pieces(&stream, &[]);
        prop_assert_eq!(in_pieces(&stream, &cuts), whole);
    }
}
