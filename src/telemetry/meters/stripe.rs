//! Counters in stripes, one for each thread that counts, so that no two write the same cache line.
//!
//! A stripe is made when its thread counts for the first time: a function that nobody asks for holds
//! none.

use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use holm_model::outcome::Outcome;
use holm_model::record::Record;

use super::ladder::BUCKETS;
use super::ladder::bucket;

/// Stripes; further threads share them. The I/O threads of 32 cores.
pub(super) const STRIPES: usize = 16;

/// Threads that have counted. The only thing about them that is the process's: a thread has the same
/// stripe in every series.
static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static THIS: usize = THREADS.fetch_add(1, Relaxed) % STRIPES;
}

/// The counters of one name.
#[derive(Debug, Default)]
pub(super) struct Stripes([OnceLock<Box<Stripe>>; STRIPES]);

/// What one thread has counted. Aligned to two cache lines, which processors fetch together.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Stripe {
    outcomes: [AtomicU64; Outcome::ALL.len()],
    wall: Histogram,
    cpu: Histogram,
    queued: Histogram,
    cold: AtomicU64,
    subrequests: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    log_dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct Histogram {
    counts: [AtomicU64; BUCKETS],
    nanos: AtomicU64,
}

impl Histogram {
    fn add(&self, time: Duration) {
        self.counts[bucket(time)].fetch_add(1, Relaxed);
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.nanos.fetch_add(nanos, Relaxed);
    }
}

impl Stripes {
    pub(super) fn add(&self, record: &Record) {
        let stripe = THIS.with(|this| &self.0[*this]).get_or_init(Box::default);
        stripe.outcomes[record.outcome as usize].fetch_add(1, Relaxed);
        stripe.wall.add(record.wall);
        stripe.cpu.add(record.cpu);
        stripe.queued.add(record.queued);
        for (counter, more) in [
            (&stripe.cold, u64::from(record.cold)),
            (&stripe.subrequests, u64::from(record.subrequests)),
            (&stripe.bytes_in, record.bytes_in),
            (&stripe.bytes_out, record.bytes_out),
            (&stripe.log_dropped, record.log.dropped),
        ] {
            // Mostly there is none.
            if more > 0 {
                counter.fetch_add(more, Relaxed);
            }
        }
    }

    pub(super) fn totals(&self) -> Totals {
        let mut all = Totals::default();
        for stripe in self.0.iter().filter_map(OnceLock::get) {
            for (sum, counter) in all.outcomes.iter_mut().zip(&stripe.outcomes) {
                *sum += counter.load(Relaxed);
            }
            all.wall.add(&stripe.wall);
            all.cpu.add(&stripe.cpu);
            all.queued.add(&stripe.queued);
            all.cold += stripe.cold.load(Relaxed);
            all.subrequests += stripe.subrequests.load(Relaxed);
            all.bytes_in += stripe.bytes_in.load(Relaxed);
            all.bytes_out += stripe.bytes_out.load(Relaxed);
            all.log_dropped += stripe.log_dropped.load(Relaxed);
        }
        all
    }
}

/// What was counted under one name since it is counted. A record that is being added may be in some of
/// it and not yet in the rest.
#[derive(Clone, Debug, Default)]
pub(crate) struct Totals {
    outcomes: [u64; Outcome::ALL.len()],
    /// Time from the function's queue to the end of the work.
    pub(crate) wall: Times,
    /// CPU time.
    pub(crate) cpu: Times,
    /// Time in the queue.
    pub(crate) queued: Times,
    /// Requests that an isolate was started for.
    pub(crate) cold: u64,
    /// Calls of `fetch()`.
    pub(crate) subrequests: u64,
    /// Bytes of requests' bodies.
    pub(crate) bytes_in: u64,
    /// Bytes of answers' bodies.
    pub(crate) bytes_out: u64,
    /// Bytes of log over the limit.
    pub(crate) log_dropped: u64,
}

/// How long something took, each time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Times {
    /// How often, by bucket.
    pub(crate) counts: [u64; BUCKETS],
    /// Altogether.
    pub(crate) sum: Duration,
}

impl Times {
    fn add(&mut self, histogram: &Histogram) {
        for (sum, counter) in self.counts.iter_mut().zip(&histogram.counts) {
            *sum += counter.load(Relaxed);
        }
        self.sum += Duration::from_nanos(histogram.nanos.load(Relaxed));
    }
}

impl Totals {
    /// Requests that ended like this.
    pub(crate) fn outcome(&self, outcome: Outcome) -> u64 {
        self.outcomes[outcome as usize]
    }

    /// All requests.
    pub(crate) fn requests(&self) -> u64 {
        self.outcomes.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_is_at_its_place_in_the_list() {
        for (place, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, place);
        }
    }
}
