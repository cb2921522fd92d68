//! The limits of a function, their defaults and how far each may be moved: one place.
//!
//! A limit is a newtype with its unit ([`CpuTime`], [`HeapBytes`], …), a row in [`table`], and a
//! field of [`Limits`]. Nothing here enforces anything: the meter, the watchdog, the heap and the
//! pool read the values from here, and the configuration checks what people write against the
//! rows. This module links no V8, so that configuration can be tested without it.
//!
//! - [`table`]: every limit's key, default, floor and ceiling, with the reason of each
//! - [`mod@unit`]: "50ms" and "128MiB", both ways
//!
//! ```
//! use holm_model::limits::{CpuTime, Limits};
//!
//! let cpu: CpuTime = "10ms".parse()?;
//! let limits = Limits { cpu, ..Limits::DEFAULT };
//! assert!(limits.cpu < Limits::MAX.cpu);
//! # Ok::<(), holm_model::limits::UnitError>(())
//! ```

pub mod table;
pub mod unit;

mod quantity;

pub use quantity::{
    BodyBytes, CpuTime, HeapBytes, Isolates, LogBytes, NodeBytes, QueueSlots, Subrequests, WallTime,
};
pub use unit::UnitError;

/// What one function, and each of its requests, may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// CPU time of one request on its isolate's thread, work charged to it elsewhere included.
    /// On breach: `exceededCpu`, 503.
    pub cpu: CpuTime,
    /// Time from the start of a request's execution to the end of its response.
    /// On breach: `exceededWallTime`, 504.
    pub wall: WallTime,
    /// Memory of one isolate: heap, ArrayBuffers and WebAssembly memory together.
    /// On breach: `exceededMemory`, 503.
    pub memory: HeapBytes,
    /// CPU time for evaluating the top level of a function's modules.
    /// On breach: the deployment is rejected, or `startupFailed` at a cold start.
    pub startup_cpu: CpuTime,
    /// Requests that one request may make with `fetch()`. On breach: an exception in the function.
    pub subrequests: Subrequests,
    /// Length of a request's body. On breach: 413.
    pub request_body: BodyBytes,
    /// Log text kept per request. On breach: truncated, and counted.
    pub log: LogBytes,
    /// Time that `ctx.waitUntil` work may take after the response. On breach: ended, and logged.
    pub wait_until: WallTime,
    /// Requests that may wait for an isolate of the function. On breach: `overloaded`, 503.
    pub queue: QueueSlots,
    /// Isolates that the function may have at the same time.
    pub max_isolates: Isolates,
    /// Isolates that are started with the configuration, and kept however long they are idle.
    pub min_isolates: Isolates,
    /// Time without a request after which an isolate beyond those ends.
    pub idle: WallTime,
}

impl Limits {
    /// What a function gets when nobody says otherwise.
    pub const DEFAULT: Self = Self {
        cpu: table::CPU.default,
        wall: table::WALL.default,
        memory: table::MEMORY.default,
        startup_cpu: table::STARTUP_CPU.default,
        subrequests: table::SUBREQUESTS.default,
        request_body: table::REQUEST_BODY.default,
        log: table::LOG.default,
        wait_until: table::WAIT_UNTIL.default,
        queue: table::QUEUE.default,
        max_isolates: table::MAX_ISOLATES.default,
        min_isolates: table::MIN_ISOLATES.default,
        idle: table::IDLE.default,
    };

    /// What an operator may allow at most, and does allow unless `[limits.max]` says less.
    pub const MAX: Self = Self {
        cpu: table::CPU.ceiling,
        wall: table::WALL.ceiling,
        memory: table::MEMORY.ceiling,
        startup_cpu: table::STARTUP_CPU.ceiling,
        subrequests: table::SUBREQUESTS.ceiling,
        request_body: table::REQUEST_BODY.ceiling,
        log: table::LOG.ceiling,
        wait_until: table::WAIT_UNTIL.ceiling,
        queue: table::QUEUE.ceiling,
        max_isolates: table::MAX_ISOLATES.ceiling,
        min_isolates: table::MIN_ISOLATES.ceiling,
        idle: table::IDLE.ceiling,
    };
}

#[cfg(test)]
mod tests {
    use super::Limits;

    #[test]
    fn defaults_are_those_of_the_design() {
        let Limits {
            cpu,
            wall,
            memory,
            startup_cpu,
            subrequests,
            request_body,
            log,
            wait_until,
            queue,
            max_isolates,
            min_isolates,
            idle,
        } = Limits::DEFAULT;
        let shown = [
            cpu.to_string(),
            wall.to_string(),
            memory.to_string(),
            startup_cpu.to_string(),
            subrequests.to_string(),
            request_body.to_string(),
            log.to_string(),
            wait_until.to_string(),
            queue.to_string(),
            max_isolates.to_string(),
            min_isolates.to_string(),
            idle.to_string(),
        ];
        assert_eq!(
            shown,
            [
                "50ms", "30s", "128MiB", "400ms", "50", "100MiB", "64KiB", "30s", "256", "64", "0",
                "1min"
            ]
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
