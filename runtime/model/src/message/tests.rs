use http::HeaderMap;
use http::HeaderValue;
use proptest::prelude::*;

use super::*;
use crate::body::BodyError;
use crate::log::Level;
use crate::outcome::Outcome;

fn fields() -> HeaderMap {
    let mut map = HeaderMap::new();
    map.append("set-cookie", HeaderValue::from_static("a=1"));
    map.append("set-cookie", HeaderValue::from_static("b=2"));
    map.append("x", HeaderValue::from_bytes(b"\xe9").expect("a value"));
    map
}

#[test]
fn messages_come_back_as_they_were() {
    let map = fields();
    let mut wire = Vec::new();
    let request = ToCell::Request {
        seq: 7,
        method: "POST",
        url: "http://a/b?c",
        fields: Fields::Map(&map),
        body: BodyKind::Whole,
    };
    put(&mut wire, &request, b"body");
    let broken = StreamMessage::Broken(BodyError::TooLarge { limit: 9 });
    put(
        &mut wire,
        &ToCell::Stream(StreamId::Fetched(3), broken.clone()),
        b"",
    );
    let mut frames = Frames::of(&wire);
    let Ok(Some((
        ToCell::Request {
            seq: 7,
            method: "POST",
            url,
            fields,
            body,
        },
        payload,
    ))) = frames.next()
    else {
        panic!("another message")
    };
    assert_eq!(
        (url, body, payload),
        ("http://a/b?c", BodyKind::Whole, &b"body"[..])
    );
    assert_eq!(fields.to_map(), Ok(map));
    let Ok(Some((ToCell::Stream(StreamId::Fetched(3), message), b""))) = frames.next() else {
        panic!("another message")
    };
    assert_eq!(message, broken);
    assert!(matches!(frames.next::<ToCell<'_>>(), Ok(None)));
    assert_eq!(frames.used(), wire.len());
}

#[test]
fn a_frame_that_is_not_all_there_waits() {
    let mut wire = Vec::new();
    let log = FromCell::Log {
        seq: 1,
        level: Level::Warn,
        dropped: 0,
    };
    put(&mut wire, &log, b"text");
    for end in 0..wire.len() {
        let mut frames = Frames::of(&wire[..end]);
        assert!(matches!(frames.next::<FromCell<'_>>(), Ok(None)), "{end}");
        assert_eq!(frames.used(), 0);
    }
}

#[test]
fn a_frame_that_is_too_long_is_none() {
    let long = u32::try_from(MAX_FRAME + 1).expect("it fits").to_le_bytes();
    assert_eq!(Frames::of(&long).needs(), Err(Garbled));
    assert_eq!(Frames::of(&[0; 4]).needs(), Err(Garbled));
}

#[test]
fn fields_that_http_does_not_allow_are_none() {
    let bad: [(&[u8], &[u8]); 3] = [(b"a b", b"c"), (b"a", b"c\r\nd"), (b"", b"")];
    for (name, value) in bad {
        let came = vec![(
            serde_bytes::Bytes::new(name),
            serde_bytes::Bytes::new(value),
        )];
        assert_eq!(Fields::Came(came).to_map(), Err(Garbled));
    }
}

proptest! {
    #[test]
    fn garbage_does_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut wire = u32::try_from(bytes.len()).expect("short").to_le_bytes().to_vec();
        wire.extend_from_slice(&bytes);
        let _ = Frames::of(&wire).next::<FromCell<'_>>();
        let _ = Frames::of(&wire).next::<ToCell<'_>>();
    }

    #[test]
    fn what_a_cell_settles_comes_back(seq: u32, cpu: u64, wall: u64, memory: u64, is_fit: bool) {
        let mut wire = Vec::new();
        let settled = Settled { cpu, wall, memory, is_fit };
        put(&mut wire, &FromCell::Settled { seq, settled }, b"");
        put(&mut wire, &FromCell::Failed { seq, outcome: Outcome::NoResponse, thrown: None }, b"");
        let mut frames = Frames::of(&wire);
        let Ok(Some((FromCell::Settled { seq: other, settled: came }, _))) = frames.next() else {
            panic!("another message")
        };
        prop_assert_eq!((other, came), (seq, settled));
        let is_failure = matches!(frames.next(), Ok(Some((FromCell::Failed { .. }, _))));
        prop_assert!(is_failure);
    }
}
