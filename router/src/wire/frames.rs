//! HTTP/2 frames, as far as it takes to count those that cost their sender nothing.
//!
//! The h2 crate ends connections over rapid resets, endless CONTINUATION and empty DATA. It
//! answers any number of PING and SETTINGS, and reads any number of PRIORITY, WINDOW_UPDATE,
//! answers to PINGs that nobody sent, frames of unknown types, and ends of a stream that it has
//! reset (measured with h2 0.4.20; see `tests/edge/floods.rs`). Those are rationed here. The
//! rations are far above what clients do, and what a busy connection needs more of, it earns:
//! window updates by the bytes it takes, resets and ends by the requests it makes.

use std::time::{Duration, Instant};

const HEADERS: u8 = 1;
const DATA: u8 = 0;
const CONTINUATION: u8 = 9;
const WINDOW_UPDATE: u8 = 8;
const RST_STREAM: u8 = 3;
/// On DATA and HEADERS. The same bit is ACK on PING and SETTINGS, and nothing on other frames.
const END_STREAM: u8 = 1;

/// Length (24 bits), type, flags, stream (RFC 9113, 4.1).
const HEADER: usize = 9;

/// The number of a stream without the reserved bit in front of it.
const STREAM: u32 = 0x7FFF_FFFF;

/// A frame that is malformed in the simplest way, a PING of no length: what h2 reads where a
/// client has overdone it. It answers with GOAWAY and closes.
pub(super) const STAND_IN: &[u8] = &[0, 0, 0, 6, 0, 0, 0, 0, 0];

/// Outbound bytes for which a client may send one window update more. The smallest DATA frames
/// that a server has reason to send, of server-sent events, are some 60 bytes and bring two.
const BYTES_PER_UPDATE: usize = 16;

/// Follows the inbound frames of one connection.
#[derive(Debug)]
pub(super) struct Frames {
    header: [u8; HEADER],
    seen: usize,
    payload: usize,
    /// The last stream that the client has opened: streams are opened in order.
    last_stream: u32,
    chatter: Ration,
    updates: Ration,
    ends: Ration,
    is_over: bool,
}

impl Frames {
    pub(super) fn new() -> Self {
        Self {
            header: [0; HEADER],
            seen: 0,
            payload: 0,
            last_stream: 0,
            chatter: Ration::new(),
            updates: Ration::new(),
            ends: Ration::new(),
            is_over: false,
        }
    }

    /// Reads on. Returns how many bytes may pass; fewer than there are once a ration is spent.
    pub(super) fn advance(&mut self, input: &[u8]) -> usize {
        let mut at = 0;
        while at < input.len() {
            if self.payload > 0 {
                let here = self.payload.min(input.len() - at);
                self.payload -= here;
                at += here;
                continue;
            }
            // Only in front of a frame can a stand-in take its place.
            if self.seen == 0 && self.is_over {
                return at;
            }
            let here = (HEADER - self.seen).min(input.len() - at);
            self.header[self.seen..self.seen + here].copy_from_slice(&input[at..at + here]);
            self.seen += here;
            at += here;
            if self.seen == HEADER {
                self.seen = 0;
                let [high, mid, low, kind, flags, stream @ ..] = self.header;
                self.payload = usize::from(high) << 16 | usize::from(mid) << 8 | usize::from(low);
                self.is_over |= !self.afford(kind, flags, u32::from_be_bytes(stream) & STREAM);
            }
        }
        at
    }

    /// The client was sent something, and may say that it took it.
    pub(super) fn sent(&mut self, bytes: usize) {
        self.updates.earn(bytes.div_ceil(BYTES_PER_UPDATE));
    }

    fn afford(&mut self, kind: u8, flags: u8, stream: u32) -> bool {
        let is_end = flags & END_STREAM != 0;
        match kind {
            CONTINUATION => true,
            DATA => !is_end || self.ends.spend(1),
            HEADERS => {
                let is_new = stream > self.last_stream;
                if is_new {
                    self.last_stream = stream;
                    // Two requests pay for one reset: enough for any client, and a client that
                    // resets each of its requests still runs out.
                    self.chatter.earn(1);
                    self.ends.earn(1);
                }
                // Trailers have to end their stream, whatever they say.
                (is_new && !is_end) || self.ends.spend(1)
            }
            RST_STREAM => self.chatter.spend(2),
            WINDOW_UPDATE => self.updates.spend(1),
            // Answers to ours among them: a connection is sent SETTINGS once and a PING every few
            // seconds, and no client answers what was not asked.
            _ => self.chatter.spend(2),
        }
    }
}

/// So many at once, and so many per second.
#[derive(Debug)]
struct Ration {
    left: usize,
    filled: Instant,
}

impl Ration {
    const FULL: usize = 2_000;
    const EACH: Duration = Duration::from_millis(5);

    fn new() -> Self {
        Self {
            left: Self::FULL,
            filled: Instant::now(),
        }
    }

    fn earn(&mut self, count: usize) {
        self.left = (self.left + count).min(Self::FULL);
    }

    fn spend(&mut self, count: usize) -> bool {
        if self.left < count {
            // The clock is asked only here: most connections never come to it.
            let passed = self.filled.elapsed();
            self.filled += passed;
            let earned = passed.as_millis() / Self::EACH.as_millis();
            self.earn(usize::try_from(earned).unwrap_or(Self::FULL));
        }
        match self.left.checked_sub(count) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const END_HEADERS: u8 = 4;
    const ACK: u8 = 1;

    fn frame(kind: u8, flags: u8, length: u8) -> Vec<u8> {
        on(1, kind, flags, length)
    }

    fn on(stream: u32, kind: u8, flags: u8, length: u8) -> Vec<u8> {
        let mut frame = vec![0, 0, length, kind, flags];
        frame.extend(stream.to_be_bytes());
        frame.extend(std::iter::repeat_n(0, usize::from(length)));
        frame
    }

    #[test]
    fn what_a_client_has_reason_to_send_passes() {
        let mut frames = Frames::new();
        // A download: an update of stream and connection for each DATA frame.
        let updates = [frame(WINDOW_UPDATE, 0, 4), frame(WINDOW_UPDATE, 0, 4)].concat();
        for _ in 0..50_000 {
            frames.sent(60);
            assert_eq!(frames.advance(&updates), updates.len());
        }
        // Requests, one in three of them reset; and uploads, ended by DATA or by trailers.
        for round in 0..50_000 {
            let stream = round * 10 + 1;
            let requests = [
                on(stream, HEADERS, END_HEADERS | END_STREAM, 40),
                on(stream + 2, HEADERS, END_HEADERS, 40),
                on(stream + 2, DATA, 0, 40),
                on(stream + 2, DATA, END_STREAM, 0),
                on(stream + 4, HEADERS, END_HEADERS, 40),
                on(stream + 4, DATA, 0, 40),
                on(stream + 4, HEADERS, END_HEADERS | END_STREAM, 9),
                on(stream + 4, RST_STREAM, 0, 4),
            ]
            .concat();
            assert_eq!(frames.advance(&requests), requests.len());
        }
        // Answers to our SETTINGS, and to the PINGs of some hours.
        let mut frames = Frames::new();
        let acks = [frame(4, ACK, 0), frame(6, ACK, 8).repeat(900)].concat();
        assert_eq!(frames.advance(&acks), acks.len());
    }

    #[test]
    fn a_flood_is_stopped_in_front_of_a_frame() {
        for kind in [2, RST_STREAM, 4, 6, 7, WINDOW_UPDATE, 16, 0xFA] {
            for flags in [0, ACK, 0xFF] {
                let one = frame(kind, flags, 5);
                let passed = Frames::new().advance(&one.repeat(10_000));
                assert_eq!(passed % one.len(), 0, "{kind} {flags}");
                let count = passed / one.len();
                assert!(count <= Ration::FULL + 100, "{kind} {flags}: {count}");
            }
        }
    }

    #[test]
    fn a_stream_ends_once() {
        for (kind, flags) in [
            (DATA, END_STREAM),
            (HEADERS, END_HEADERS | END_STREAM),
            (HEADERS, END_HEADERS),
        ] {
            let one = frame(kind, flags, 0);
            let mut frames = Frames::new();
            frames.advance(&frame(HEADERS, END_HEADERS, 9));
            let count = frames.advance(&one.repeat(10_000)) / one.len();
            assert!(count <= Ration::FULL + 100, "{kind} {flags}: {count}");
        }
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(
            lengths in prop::collection::vec((0_u8..10, any::<u8>()), 1..50),
            cut in 1_usize..40,
        ) {
            let stream: Vec<u8> = lengths
                .iter()
                .flat_map(|(kind, length)| frame(*kind, 0, *length))
                .collect();
            let mut frames = Frames::new();
            let passed: usize = stream.chunks(cut).map(|piece| frames.advance(piece)).sum();
            prop_assert_eq!(passed, stream.len());
            prop_assert_eq!((frames.seen, frames.payload), (0, 0));
        }
    }
}
