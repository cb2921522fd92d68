//! Every limit: key, unit, default, floor, ceiling, and the reason of each.
//!
//! The defaults are those of the design page ("Limits"). A floor is where a limit stops being a
//! limit and becomes a function that can never answer; a ceiling is where it stops protecting the
//! node. The words under `floor_reason` and `ceiling_reason` are shown to whoever crosses them,
//! `doc` is what editors show of the key, and `breach` stands in docs/limits.md.
//!
//! To add a limit, add a row, and enforce it. What reads, checks, settles and explains limits is
//! made from the rows. Tests of the configuration (`src/config/tests/`) then name the docs and
//! snapshots that must follow; `BLESS=1` writes the docs.

use super::row::{Limit, limits};
use super::{
    BodyBytes, CpuTime, HeapBytes, Isolates, LogBytes, QueueSlots, RequestsServed, Subrequests,
    WallTime, WebSockets,
};

/// Why a function has no more isolates.
const PROCESSES: &str =
    "each is a process, and the system bounds how many there are for all functions together";

limits! {
    /// Counted is the CPU clock of the isolate's process, and work of the node charged to the request.
    /// 50 ms is what Cloudflare's paid plan began with, and some 20,000 times what a hello costs.
    cpu: CpuTime {
        doc: "CPU time of one request.",
        breach: "503, `exceededCpu`",
        default: CpuTime::from_millis(50),
        floor: CpuTime::from_millis(1),
        floor_reason: "CPU clocks are read about once a millisecond, so less cannot be kept",
        ceiling: CpuTime::from_secs(30),
        ceiling_reason: "a request that computes longer keeps a core from other functions",
    }

    /// From the start of the request's execution to the end of its response.
    wall: WallTime {
        doc: "Wall time of one request.",
        breach: "504, `exceededWallTime`",
        default: WallTime::from_secs(30),
        floor: WallTime::from_millis(1),
        floor_reason: "no response gets out in less",
        ceiling: WallTime::from_secs(15 * 60),
        ceiling_reason: "a request that waits longer holds an isolate all that time, and a drain waits for it",
    }

    memory: HeapBytes {
        doc: "Memory of one isolate: heap, ArrayBuffers, WebAssembly, and what else its process holds.",
        breach: "503, `exceededMemory`; a buffer that does not fit: `RangeError`",
        default: HeapBytes::from_mib(128),
        floor: HeapBytes::from_mib(16),
        floor_reason: "an isolate with the web APIs and room to collect garbage takes about that much",
        ceiling: HeapBytes::from_mib(1024),
        ceiling_reason: "one isolate would hold what hundreds of others need; keep large data in a store",
    }

    /// 400 ms is what Cloudflare allows.
    startup_cpu: CpuTime {
        doc: "CPU time for the top level of the function's modules.",
        breach: "`holm check` fails; at a cold start 500, `startupFailed`",
        default: CpuTime::from_millis(400),
        floor: CpuTime::from_millis(5),
        floor_reason: "compiling and evaluating a small module takes milliseconds",
        ceiling: CpuTime::from_secs(10),
        ceiling_reason: "every cold start pays this before it answers; move the work into a build step",
    }

    /// Zero is a sound wish: a function that must not call out.
    subrequests: Subrequests {
        doc: "Requests that one request may make with `fetch()`.",
        breach: "`TypeError` in the function",
        default: Subrequests::new(50),
        floor: Subrequests::new(0),
        floor_reason: "a count cannot be negative",
        ceiling: Subrequests::new(10_000),
        ceiling_reason: "one request would become a flood at somebody else's door",
    }

    /// Zero is a sound wish: a function that takes no bodies.
    request_body: BodyBytes {
        doc: "Length of a request's body.",
        breach: "413",
        default: BodyBytes::from_mib(100),
        floor: BodyBytes::from_bytes(0),
        floor_reason: "a length cannot be negative",
        ceiling: BodyBytes::from_mib(1024),
        ceiling_reason: "send larger files in parts, or straight to a store",
    }

    log: LogBytes {
        doc: "Log text kept per request.",
        breach: "the rest is left out, and counted",
        default: LogBytes::from_kib(64),
        floor: LogBytes::from_bytes(0),
        floor_reason: "a length cannot be negative",
        ceiling: LogBytes::from_mib(16),
        ceiling_reason: "it is held in memory until the request's record is written",
    }

    wait_until: WallTime {
        doc: "Time for `ctx.waitUntil` after the response.",
        breach: "the work is ended, with a line in the log",
        default: WallTime::from_secs(30),
        floor: WallTime::from_millis(0),
        floor_reason: "a time cannot be negative",
        ceiling: WallTime::from_secs(15 * 60),
        ceiling_reason: "the isolate is held all that time; hand long work to another service",
    }

    queue: QueueSlots {
        doc: "Requests that may wait for an isolate of the function.",
        breach: "503, `overloaded`, `retry-after: 1`",
        default: QueueSlots::new(256),
        floor: QueueSlots::new(1),
        floor_reason: "with no place to wait, a request is refused although an isolate is about to be free",
        ceiling: QueueSlots::new(65_536),
        ceiling_reason: "requests at the end of such a queue meet their wall-time limit before their turn",
    }

    max_isolates: Isolates {
        doc: "Isolates that the function may have at the same time.",
        breach: "requests wait in the queue",
        default: Isolates::new(64),
        floor: Isolates::new(1),
        floor_reason: "a function without an isolate cannot run",
        ceiling: Isolates::new(1_024),
        ceiling_reason: PROCESSES,
    }

    min_isolates: Isolates {
        doc: "Isolates of the function that are started with the configuration, and kept however long \
              they are idle; not more than `max_isolates`.",
        breach: "another is started",
        default: Isolates::new(0),
        floor: Isolates::new(0),
        floor_reason: "a count cannot be negative",
        ceiling: Isolates::new(1_024),
        ceiling_reason: PROCESSES,
    }

    /// Only isolates beyond `min_isolates` end. Zero is a sound wish: every request starts from nothing.
    idle: WallTime {
        doc: "Time without a request after which an isolate ends; \"0ms\" ends it shortly after it has \
              answered.",
        breach: "the isolate ends",
        default: WallTime::from_secs(60),
        floor: WallTime::from_millis(0),
        floor_reason: "a time cannot be negative",
        ceiling: WallTime::from_secs(24 * 60 * 60),
        ceiling_reason: "what is to stay for good stands in `min_isolates`",
    }

    /// Zero is a sound wish: a function without WebSockets.
    websockets: WebSockets {
        doc: "WebSockets that may be open in one isolate at the same time. One that has so many is given no \
              more requests.",
        breach: "`RangeError` in the function",
        default: WebSockets::new(1_000),
        floor: WebSockets::new(0),
        floor_reason: "a count cannot be negative",
        ceiling: WebSockets::new(100_000),
        ceiling_reason: "when the isolate ends, all of them do",
    }

    websocket_message: BodyBytes {
        doc: "Length of a WebSocket message from the other side.",
        breach: "the WebSocket is closed, 1009",
        default: BodyBytes::from_mib(1),
        floor: BodyBytes::from_bytes(0),
        floor_reason: "a length cannot be negative",
        ceiling: BodyBytes::from_mib(32),
        ceiling_reason: "a message is put together in the isolate's memory; send larger data as a request",
    }

    /// One is a sound wish: nothing of one request can be seen by the next. `[limits.max]` does not
    /// have it: less of it is what costs more.
    requests_per_isolate: RequestsServed {
        doc: "Requests that one isolate answers before it ends: a number, or \"unlimited\"; 1 gives every \
              request a fresh isolate. Not for `[limits.max]`.",
        breach: "the isolate ends behind its last answer",
        default: RequestsServed::UNLIMITED,
        floor: RequestsServed::new(1),
        floor_reason: "an isolate is started to answer a request; with 1, every request has a fresh one",
        ceiling: RequestsServed::UNLIMITED,
        ceiling_reason: "nothing is more than no bound",
    }
}

#[cfg(test)]
mod tests {
    use super::{HeapBytes, Limit, Limits, ROWS};

    fn is_ordered<T: Copy + Ord + std::fmt::Debug>(limit: Limit<T>) {
        assert!(limit.floor <= limit.default, "{limit:?}");
        assert!(limit.default <= limit.ceiling, "{limit:?}");
    }

    #[test]
    fn each_default_lies_between_its_floor_and_its_ceiling() {
        macro_rules! check {
            ($($key:ident: $quantity:ty),*) => {$( is_ordered::<$quantity>(ROWS.$key); )*};
        }
        for_each_limit!(check);
    }

    #[test]
    fn v8_stays_below_two_gib_with_the_extra_grant() {
        assert!(ROWS.memory.ceiling < HeapBytes::from_mib(2048));
    }

    #[test]
    fn defaults_are_those_of_the_design() {
        assert_eq!(Limits::DEFAULT.cpu.to_string(), "50ms");
        assert_eq!(Limits::DEFAULT.wall.to_string(), "30s");
        assert_eq!(Limits::DEFAULT.memory.to_string(), "128MiB");
        assert_eq!(Limits::DEFAULT.startup_cpu.to_string(), "400ms");
        assert_eq!(Limits::DEFAULT.subrequests.to_string(), "50");
        assert_eq!(Limits::DEFAULT.request_body.to_string(), "100MiB");
        assert_eq!(Limits::DEFAULT.log.to_string(), "64KiB");
        assert_eq!(Limits::DEFAULT.wait_until.to_string(), "30s");
        assert_eq!(Limits::DEFAULT.queue.to_string(), "256");
        assert_eq!(Limits::DEFAULT.max_isolates.to_string(), "64");
        assert_eq!(Limits::DEFAULT.min_isolates.to_string(), "0");
        assert_eq!(Limits::DEFAULT.idle.to_string(), "1min");
        assert_eq!(
            Limits::DEFAULT.requests_per_isolate.to_string(),
            "unlimited"
        );
    }

    #[test]
    fn ceilings_are_those_of_the_design() {
        assert_eq!(Limits::MAX.cpu.to_string(), "30s");
        assert_eq!(Limits::MAX.wall.to_string(), "15min");
        assert_eq!(Limits::MAX.memory.to_string(), "1GiB");
        assert_eq!(Limits::MAX.request_body.to_string(), "1GiB");
    }
}
