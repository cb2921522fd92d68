//! Newtypes: a value and its unit, so that no `u64` of unknown unit is ever passed around.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::unit::{self, UnitError};

/// A newtype over [`Duration`], written like "50ms".
macro_rules! time {
    ($(#[$doc:meta])* $name:ident, usually in $usual:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Duration);

        impl $name {
            /// From milliseconds.
            pub const fn from_millis(millis: u64) -> Self {
                Self(Duration::from_millis(millis))
            }

            /// From seconds.
            pub const fn from_secs(secs: u64) -> Self {
                Self(Duration::from_secs(secs))
            }

            /// From the standard library's duration.
            pub const fn from_duration(duration: Duration) -> Self {
                Self(duration)
            }

            /// As the standard library's duration.
            pub const fn as_duration(self) -> Duration {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&unit::show_duration(self.0))
            }
        }

        impl FromStr for $name {
            type Err = UnitError;

            fn from_str(text: &str) -> Result<Self, UnitError> {
                unit::parse_duration(text, $usual).map(Self)
            }
        }
    };
}

/// A newtype over a count of bytes, written like "128MiB".
macro_rules! size {
    ($(#[$doc:meta])* $name:ident, usually in $usual:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u64);

        impl $name {
            /// From bytes.
            pub const fn from_bytes(bytes: u64) -> Self {
                Self(bytes)
            }

            /// From kibibytes (1024 bytes).
            pub const fn from_kib(kib: u64) -> Self {
                Self(kib << 10)
            }

            /// From mebibytes (1024² bytes).
            pub const fn from_mib(mib: u64) -> Self {
                Self(mib << 20)
            }

            /// In bytes.
            pub const fn as_u64(self) -> u64 {
                self.0
            }

            /// In bytes; on a machine whose addresses are shorter, the longest it can count.
            pub fn as_usize(self) -> usize {
                usize::try_from(self.0).unwrap_or(usize::MAX)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&unit::show_bytes(self.0))
            }
        }

        impl FromStr for $name {
            type Err = UnitError;

            fn from_str(text: &str) -> Result<Self, UnitError> {
                unit::parse_bytes(text, $usual).map(Self)
            }
        }
    };
}

/// A newtype over a count of things, written as a whole number.
macro_rules! count {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u32);

        impl $name {
            /// That many.
            pub const fn new(count: u32) -> Self {
                Self(count)
            }

            /// How many.
            pub const fn as_u32(self) -> u32 {
                self.0
            }

            /// How many, for indexing and capacities.
            pub const fn as_usize(self) -> usize {
                self.0 as usize
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

time! {
    /// Time that a process spent computing, as its CPU clock counts it, all its threads together.
    CpuTime, usually in "ms"
}

time! {
    /// Time that went by, as a clock on the wall counts it.
    WallTime, usually in "s"
}

size! {
    /// Memory of an isolate, in bytes.
    HeapBytes, usually in "MiB"
}

size! {
    /// Memory of a whole node, in bytes.
    NodeBytes, usually in "GiB"
}

size! {
    /// Length of a body, in bytes.
    BodyBytes, usually in "MiB"
}

size! {
    /// Length of log text, in bytes.
    LogBytes, usually in "KiB"
}

count! {
    /// Requests that a request makes with `fetch()`.
    Subrequests
}

count! {
    /// WebSockets that are open in one isolate.
    WebSockets
}

count! {
    /// Requests that wait for an isolate.
    QueueSlots
}

count! {
    /// Isolates of one function.
    Isolates
}

/// Requests that one isolate answers in its life: a count, or no bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestsServed(u32);

impl RequestsServed {
    /// How no bound is written.
    pub const UNLIMITED_WORD: &str = "unlimited";

    /// No bound. More than any count.
    pub const UNLIMITED: Self = Self(u32::MAX);

    /// That many. The largest number there is means no bound; nobody lives to see the difference.
    pub const fn new(count: u32) -> Self {
        Self(count)
    }

    /// How many, if there is a bound.
    pub const fn bound(self) -> Option<u32> {
        match self {
            Self::UNLIMITED => None,
            Self(count) => Some(count),
        }
    }
}

impl fmt::Display for RequestsServed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.bound() {
            Some(count) => fmt::Display::fmt(&count, f),
            None => f.pad(Self::UNLIMITED_WORD),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{CpuTime, HeapBytes, Isolates, RequestsServed};

    #[test]
    fn a_quantity_reads_back_what_it_shows() {
        for cpu in [
            CpuTime::from_millis(50),
            CpuTime::from_secs(90),
            CpuTime::from_duration(Duration::from_nanos(1)),
            CpuTime::from_duration(Duration::from_micros(1_500)),
        ] {
            assert_eq!(cpu.to_string().parse(), Ok(cpu));
        }
        for memory in [
            HeapBytes::from_mib(128),
            HeapBytes::from_kib(1_000),
            HeapBytes::from_bytes(1),
        ] {
            assert_eq!(memory.to_string().parse(), Ok(memory));
        }
    }

    #[test]
    fn no_bound_is_more_than_any_count() {
        let many = RequestsServed::new(u32::MAX - 1);
        assert!(many < RequestsServed::UNLIMITED);
        assert_eq!(many.bound(), Some(u32::MAX - 1));
        assert_eq!(many.to_string(), "4294967294");
        assert_eq!(RequestsServed::UNLIMITED.bound(), None);
        assert_eq!(format!("{:>10}|", RequestsServed::UNLIMITED), " unlimited|");
    }

    #[test]
    fn a_quantity_fills_a_column() {
        assert_eq!(format!("{:>8}|", CpuTime::from_millis(50)), "    50ms|");
        assert_eq!(format!("{:<8}|", Isolates::new(64)), "64      |");
    }
}
