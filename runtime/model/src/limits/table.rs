//! Every limit: key, default, floor, ceiling, and the reason of each.
//!
//! The defaults are those of the design page ("Limits"). A floor is where a limit stops being a
//! limit and becomes a function that can never answer; a ceiling is where it stops protecting the
//! node. The words under `floor_reason` and `ceiling_reason` are shown to whoever crosses them.

use super::{BodyBytes, CpuTime, HeapBytes, Isolates, LogBytes, QueueSlots, Subrequests, WallTime};

/// One limit.
#[derive(Clone, Copy, Debug)]
pub struct Limit<T> {
    /// The key in `[limits]`, in `[limits.max]` and in a function's `limits`.
    pub key: &'static str,
    /// What a function gets when nobody says otherwise.
    pub default: T,
    /// The least that makes sense.
    pub floor: T,
    /// Why not less.
    pub floor_reason: &'static str,
    /// The most that an operator may allow.
    pub ceiling: T,
    /// Why not more.
    pub ceiling_reason: &'static str,
}

/// CPU per request. 50 ms is what Cloudflare's paid plan began with, and some 20,000 times what a
/// hello costs.
pub const CPU: Limit<CpuTime> = Limit {
    key: "cpu",
    default: CpuTime::from_millis(50),
    floor: CpuTime::from_millis(1),
    floor_reason: "the watchdog reads CPU clocks about once a millisecond, so it cannot keep less",
    ceiling: CpuTime::from_secs(30),
    ceiling_reason: "a request that computes longer holds a thread of the node that other functions need",
};

/// Wall time per request.
pub const WALL: Limit<WallTime> = Limit {
    key: "wall",
    default: WallTime::from_secs(30),
    floor: WallTime::from_millis(1),
    floor_reason: "no response gets out in less",
    ceiling: WallTime::from_secs(15 * 60),
    ceiling_reason: "a request that waits longer holds an isolate all that time, and a drain waits for it",
};

/// Memory per isolate.
pub const MEMORY: Limit<HeapBytes> = Limit {
    key: "memory",
    default: HeapBytes::from_mib(128),
    floor: HeapBytes::from_mib(16),
    floor_reason: "an isolate with the web APIs and room to collect garbage takes about that much",
    ceiling: HeapBytes::from_mib(1024),
    ceiling_reason: "V8 needs its heap limit below 2GiB, and a breach is granted extra room to unwind in",
};

/// CPU for the top level of a function's modules. 400 ms is what Cloudflare allows.
pub const STARTUP_CPU: Limit<CpuTime> = Limit {
    key: "startup_cpu",
    default: CpuTime::from_millis(400),
    floor: CpuTime::from_millis(5),
    floor_reason: "compiling and evaluating a small module takes milliseconds",
    ceiling: CpuTime::from_secs(10),
    ceiling_reason: "every cold start pays this before it answers; move the work into a build step",
};

/// Subrequests per request. Zero is a sound wish: a function that must not call out.
pub const SUBREQUESTS: Limit<Subrequests> = Limit {
    key: "subrequests",
    default: Subrequests::new(50),
    floor: Subrequests::new(0),
    floor_reason: "a count cannot be negative",
    ceiling: Subrequests::new(10_000),
    ceiling_reason: "one request would become a flood at somebody else's door",
};

/// Length of a request's body. Zero is a sound wish: a function that takes no bodies.
pub const REQUEST_BODY: Limit<BodyBytes> = Limit {
    key: "request_body",
    default: BodyBytes::from_mib(100),
    floor: BodyBytes::from_bytes(0),
    floor_reason: "a length cannot be negative",
    ceiling: BodyBytes::from_mib(1024),
    ceiling_reason: "send larger files in parts, or straight to a store",
};

/// Log text kept per request.
pub const LOG: Limit<LogBytes> = Limit {
    key: "log",
    default: LogBytes::from_kib(64),
    floor: LogBytes::from_bytes(0),
    floor_reason: "a length cannot be negative",
    ceiling: LogBytes::from_mib(16),
    ceiling_reason: "it is held in memory until the request's record is written",
};

/// Time for `ctx.waitUntil` after the response.
pub const WAIT_UNTIL: Limit<WallTime> = Limit {
    key: "wait_until",
    default: WallTime::from_secs(30),
    floor: WallTime::from_millis(0),
    floor_reason: "a time cannot be negative",
    ceiling: WallTime::from_secs(15 * 60),
    ceiling_reason: "the isolate is held all that time; hand long work to another service",
};

/// Requests that wait for an isolate of one function.
pub const QUEUE: Limit<QueueSlots> = Limit {
    key: "queue",
    default: QueueSlots::new(256),
    floor: QueueSlots::new(1),
    floor_reason: "with no place to wait, a request is refused although an isolate is about to be free",
    ceiling: QueueSlots::new(65_536),
    ceiling_reason: "requests at the end of such a queue meet their wall-time limit before their turn",
};

/// Isolates of one function.
pub const MAX_ISOLATES: Limit<Isolates> = Limit {
    key: "max_isolates",
    default: Isolates::new(64),
    floor: Isolates::new(1),
    floor_reason: "a function without an isolate cannot run",
    ceiling: Isolates::new(1_024),
    ceiling_reason: "each takes a thread and some 18 memory maps, and Linux gives a process 65,530 of these",
};

/// Isolates of one function that are kept however long they are idle.
pub const MIN_ISOLATES: Limit<Isolates> = Limit {
    key: "min_isolates",
    default: Isolates::new(0),
    floor: Isolates::new(0),
    floor_reason: "a count cannot be negative",
    ceiling: Isolates::new(1_024),
    ceiling_reason: MAX_ISOLATES.ceiling_reason,
};

/// Time without a request after which an isolate ends. Zero is a sound wish: every request starts
/// from nothing.
pub const IDLE: Limit<WallTime> = Limit {
    key: "idle",
    default: WallTime::from_secs(60),
    floor: WallTime::from_millis(0),
    floor_reason: "a time cannot be negative",
    ceiling: WallTime::from_secs(24 * 60 * 60),
    ceiling_reason: "what is to stay for good stands in `min_isolates`",
};

#[cfg(test)]
mod tests {
    use super::*;

    fn ordered<T: Copy + Ord + std::fmt::Debug>(limit: Limit<T>) {
        assert!(limit.floor <= limit.default, "{limit:?}");
        assert!(limit.default <= limit.ceiling, "{limit:?}");
    }

    #[test]
    fn each_default_lies_between_its_floor_and_its_ceiling() {
        ordered(CPU);
        ordered(WALL);
        ordered(MEMORY);
        ordered(STARTUP_CPU);
        ordered(SUBREQUESTS);
        ordered(REQUEST_BODY);
        ordered(LOG);
        ordered(WAIT_UNTIL);
        ordered(QUEUE);
        ordered(MAX_ISOLATES);
        ordered(MIN_ISOLATES);
        ordered(IDLE);
    }

    #[test]
    fn v8_stays_below_two_gib_with_the_extra_grant() {
        assert!(MEMORY.ceiling < HeapBytes::from_mib(2048));
    }
}
