//! What metrics count: each record, once, for its function.
//!
//! Every request passes here, on whichever thread ends it, so a record costs a look-up and a few
//! additions to memory that no other thread writes ([`stripe`]). Whoever wants to know adds the stripes
//! up ([`Totals`]).
//!
//! A name is a label of dozens of series, so there is a bound on names ([`NAMES`]): functions beyond
//! it, in the order of the file, are counted together as [`OTHER`]. So is what ends after its function
//! was removed, whose own series are gone.

mod ladder;
mod stripe;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::TryLockError;

use arc_swap::ArcSwap;
use holm_model::outcome::Outcome;
use holm_model::record::Record;

pub(crate) use self::ladder::BOUNDS;
pub(crate) use self::ladder::BUCKETS;
use self::stripe::Stripes;
pub(crate) use self::stripe::Times;
pub(crate) use self::stripe::Totals;
use super::json;

/// Functions that are counted by name.
const NAMES: usize = 500;

/// The name for all others. No function can be called like that.
pub(crate) const OTHER: &str = "_other";

/// The name for requests that are for no function. No function can be called like that.
pub(crate) const NONE: &str = "_none";

/// Bytes of a problem's message that are kept, about.
const MESSAGE: usize = 500;

/// All counters.
#[derive(Debug)]
pub(crate) struct Meters {
    named: ArcSwap<HashMap<Arc<str>, Arc<Series>>>,
    none: Series,
    other: Series,
}

/// The counters of one function.
#[derive(Debug, Default)]
pub(crate) struct Series {
    stripes: Stripes,
    last: Mutex<Option<Problem>>,
}

/// A request that failed.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    /// When it reached the function: RFC 3339, UTC.
    pub(crate) time: String,
    /// Its id.
    pub(crate) request: Arc<str>,
    /// How it ended.
    pub(crate) outcome: Outcome,
    /// Why, in one line.
    pub(crate) message: String,
}

impl Meters {
    pub(super) fn new() -> Self {
        Self {
            named: ArcSwap::default(),
            none: Series::default(),
            other: Series::default(),
        }
    }

    /// Counts these functions by name from now on, in this order as far as there is room. Those that were
    /// counted before go on from where they are.
    pub(crate) fn name<'a>(&self, functions: impl Iterator<Item = &'a str>) {
        let before = self.named.load();
        let named = functions.take(NAMES).map(|name| {
            let known = before.get_key_value(name);
            match known {
                Some((name, series)) => (name.clone(), series.clone()),
                None => (name.into(), Arc::default()),
            }
        });
        self.named.store(Arc::new(named.collect()));
    }

    /// Counts one.
    pub(super) fn count(&self, record: &Record) {
        let Some(function) = record.function.as_deref() else {
            self.none.count(record);
            return;
        };
        match self.named.load().get(function) {
            Some(series) => series.count(record),
            None => self.other.count(record),
        }
    }

    /// The counters of `function`, if it has its own.
    pub(crate) fn of(&self, function: &str) -> Option<Arc<Series>> {
        self.named.load().get(function).cloned()
    }

    /// Every name with what was counted under it, in the order of the alphabet; [`NONE`] and [`OTHER`] first.
    pub(crate) fn totals(&self) -> Vec<(Arc<str>, Totals)> {
        let named = self.named.load();
        let mut all: Vec<_> = named
            .iter()
            .map(|(name, series)| (name.clone(), series.totals()))
            .collect();
        all.push((NONE.into(), self.none.totals()));
        all.push((OTHER.into(), self.other.totals()));
        all.sort_by(|(one, _), (other, _)| one.cmp(other));
        all
    }
}

impl Series {
    fn count(&self, record: &Record) {
        self.stripes.add(record);
        match record.outcome {
            // The client's doing, or nobody's.
            Outcome::Ok | Outcome::Canceled | Outcome::Refused => {}
            Outcome::Exception
            | Outcome::ExceededCpu
            | Outcome::ExceededMemory
            | Outcome::ExceededWallTime
            | Outcome::StartupFailed
            | Outcome::NoResponse
            | Outcome::Overloaded
            | Outcome::Crashed
            | Outcome::Reset
            | Outcome::InternalError => self.note(record),
        }
    }

    /// Remembers a failure; of those at the same moment, any.
    fn note(&self, record: &Record) {
        let mut last = match self.last.try_lock() {
            Ok(last) => last,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        let thrown = record.thrown.as_ref().map(|thrown| &thrown.message);
        let said = record.log.lines.last().map(|line| &line.message);
        let message = thrown.or(said).map(String::as_str).unwrap_or_default();
        let first = message.lines().next().unwrap_or_default();
        *last = Some(Problem {
            time: json::timestamp(record.start),
            request: record.request.clone(),
            outcome: record.outcome,
            message: first.chars().take(MESSAGE).collect(),
        });
    }

    /// What was counted.
    pub(crate) fn totals(&self) -> Totals {
        self.stripes.totals()
    }

    /// The last request that failed.
    pub(crate) fn last_problem(&self) -> Option<Problem> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;
    use std::time::SystemTime;

    use super::*;

    fn record(function: Option<&str>, outcome: Outcome) -> Record {
        let mut record = Record::empty("id".into(), SystemTime::UNIX_EPOCH);
        record.function = function.map(Into::into);
        record.outcome = outcome;
        record.wall = Duration::from_micros(600);
        record.cpu = Duration::from_millis(2);
        record
    }

    fn requests(meters: &Meters) -> Vec<(String, u64)> {
        let totals = meters.totals().into_iter();
        totals
            .map(|(name, totals)| (name.to_string(), totals.requests()))
            .collect()
    }

    #[test]
    fn each_record_counts_once_for_its_function() {
        let meters = Meters::new();
        meters.name(["a", "b"].into_iter());
        meters.count(&record(Some("a"), Outcome::Ok));
        meters.count(&record(Some("a"), Outcome::Exception));
        meters.count(&record(Some("gone"), Outcome::Ok));
        meters.count(&record(None, Outcome::Refused));
        let expected = [("_none", 1), ("_other", 1), ("a", 2), ("b", 0)];
        assert_eq!(
            requests(&meters),
            expected.map(|(n, c)| (n.to_owned(), c)).to_vec()
        );
        let a = meters.of("a").expect("it is named").totals();
        assert_eq!(a.outcome(Outcome::Exception), 1);
        assert_eq!(a.wall.counts.iter().sum::<u64>(), 2);
        assert_eq!(a.wall.sum, Duration::from_micros(1200));
        assert_eq!(a.cpu.sum, Duration::from_millis(4));
    }

    #[test]
    fn who_stays_goes_on_and_who_goes_takes_its_series_along() {
        let meters = Meters::new();
        meters.name(["a", "b"].into_iter());
        meters.count(&record(Some("a"), Outcome::Ok));
        meters.count(&record(Some("b"), Outcome::Ok));
        meters.name(["b", "c"].into_iter());
        assert!(meters.of("a").is_none());
        assert_eq!(meters.of("b").expect("named").totals().requests(), 1);
        assert_eq!(meters.of("c").expect("named").totals().requests(), 0);
    }

    #[test]
    fn names_are_bounded() {
        let meters = Meters::new();
        let names: Vec<String> = (0..NAMES + 10).map(|n| format!("f{n}")).collect();
        meters.name(names.iter().map(String::as_str));
        for name in &names {
            meters.count(&record(Some(name), Outcome::Ok));
        }
        let totals = requests(&meters);
        assert_eq!(totals.len(), NAMES + 2);
        assert!(totals.contains(&(OTHER.to_owned(), 10)));
    }

    #[test]
    fn the_last_failure_is_kept() {
        let series = Series::default();
        series.count(&record(None, Outcome::Crashed));
        series.count(&record(None, Outcome::ExceededCpu));
        series.count(&record(None, Outcome::Canceled));
        let last = series.last_problem().expect("two failed");
        assert_eq!(last.outcome, Outcome::ExceededCpu);
    }

    #[test]
    fn threads_add_up() {
        let meters = Meters::new();
        std::thread::scope(|scope| {
            for _ in 0..2 * stripe::STRIPES {
                scope.spawn(|| {
                    for _ in 0..100 {
                        meters.count(&record(None, Outcome::Ok));
                    }
                });
            }
        });
        let all = 200 * stripe::STRIPES as u64;
        assert!(requests(&meters).contains(&(NONE.to_owned(), all)));
    }
}
