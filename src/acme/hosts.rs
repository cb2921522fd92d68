//! How each host is doing: what certificate it has, and when it is seen to next.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use holm_router::hostname::Hostname;
use holm_router::tls::Pair;

use super::Counts;
use super::order::Fault;
use super::schedule::{self, Kind};
use crate::config::Authority;

/// The most that one host's limit keeps all others waiting: it may be its own alone.
const LONGEST_FOR_ALL: Duration = Duration::from_secs(3600);

/// A moment, on the clock that certificates go by and on the one that is never set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    wall: SystemTime,
    run: Instant,
}

impl Now {
    /// This one.
    pub(super) fn new() -> Self {
        Self {
            wall: SystemTime::now(),
            run: Instant::now(),
        }
    }
}

/// All hosts of the file.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    authority: Option<Arc<Authority>>,
    hosts: BTreeMap<Hostname, Host>,
    /// Nobody is seen to before: the directory cannot be had, or wants to be asked less.
    directory: Hold,
    /// Failures of the directory in a row.
    failures: u32,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Host {
    pair: Option<Arc<Pair>>,
    /// `pair` is by another authority.
    is_others: bool,
    hold: Hold,
    failures: u32,
    problem: Option<(SystemTime, String)>,
    is_ordering: bool,
    /// When it was seen to last.
    tried: Option<Instant>,
}

/// Until when something waits.
#[derive(Clone, Copy, Debug, Default)]
struct Hold {
    until: Option<Instant>,
    /// The directory wants it; else it is a back-off.
    is_asked: bool,
}

impl Hold {
    fn left(self, now: Now) -> Duration {
        let until = self.until;
        until.map_or(Duration::ZERO, |until| {
            until.saturating_duration_since(now.run)
        })
    }
}

/// How one host is doing, for whoever asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostView {
    /// Its name.
    pub(crate) host: String,
    /// In a word.
    pub(crate) state: State,
    /// When its certificate ends.
    pub(crate) until: Option<SystemTime>,
    /// When it is seen to next.
    pub(crate) next_try: SystemTime,
    /// Failures in a row.
    pub(crate) failures: u32,
    /// The last failure, and when it was.
    pub(crate) problem: Option<(SystemTime, String)>,
}

/// How a host is doing, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It has a certificate.
    Valid,
    /// It has none yet.
    Missing,
    /// Its certificate is over.
    Expired,
    /// One is on its way.
    Ordering,
}

impl State {
    /// All of them.
    pub(crate) const ALL: [Self; 4] = [Self::Valid, Self::Missing, Self::Expired, Self::Ordering];

    /// The word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Missing => "missing",
            Self::Expired => "expired",
            Self::Ordering => "ordering",
        }
    }
}

impl Host {
    /// How long until its certificate is to be renewed, or it is to have one.
    fn life(&self, now: Now) -> Duration {
        match &self.pair {
            Some(pair) if !self.is_others => {
                let renewal = schedule::renewal(pair.not_before(), pair.not_after());
                renewal.duration_since(now.wall).unwrap_or_default()
            }
            Some(_) | None => Duration::ZERO,
        }
    }

    fn state(&self, now: Now) -> State {
        match &self.pair {
            _ if self.is_ordering => State::Ordering,
            Some(pair) if pair.not_after() <= now.wall => State::Expired,
            Some(_) => State::Valid,
            None => State::Missing,
        }
    }
}

impl Hosts {
    /// Whether there is a certificate of `host` by this authority.
    pub(super) fn has(&self, host: &Hostname, authority: &Authority) -> bool {
        self.authority.as_deref() == Some(authority)
            && self.hosts.get(host).is_some_and(|host| host.pair.is_some())
    }

    /// Sees to these hosts from now on, with what was `found` of them. Those of before go on as they are; under
    /// another authority with the certificates that they have until there are others. Returns whether there is
    /// anything new about it.
    pub(super) fn keep(
        &mut self,
        hosts: &[Hostname],
        authority: Option<&Arc<Authority>>,
        mut found: BTreeMap<Hostname, Arc<Pair>>,
    ) -> bool {
        let is_same = self.authority.as_ref() == authority;
        let mut before = std::mem::take(&mut self.hosts);
        let count = before.len();
        let mut is_new = !is_same;
        for name in hosts {
            let was = before.remove(name);
            is_new |= was.is_none();
            let host = match (was, found.remove(name)) {
                (Some(host), None) if is_same => host,
                (_, Some(pair)) => Host {
                    pair: Some(pair),
                    ..Host::default()
                },
                (was, None) => Host {
                    pair: was.and_then(|host| host.pair),
                    is_others: true,
                    ..Host::default()
                },
            };
            self.hosts.insert(name.clone(), host);
        }
        if !is_same {
            self.authority = authority.cloned();
            self.directory = Hold::default();
            self.failures = 0;
        }
        is_new || count != self.hosts.len()
    }

    /// The host that is to be seen to first, and how long it is until then.
    pub(super) fn due(&self, now: Now) -> Option<(Hostname, Duration)> {
        let waits = self.hosts.iter().map(|(name, host)| {
            // Of those that wait for the same, whoever was not seen to for longest.
            (self.wait(host, now), host.tried, name)
        });
        let (wait, _, name) = waits.min()?;
        Some((name.clone(), wait))
    }

    fn wait(&self, host: &Host, now: Now) -> Duration {
        let held = host.hold.left(now).max(self.directory.left(now));
        host.life(now).max(held)
    }

    /// An order begins.
    pub(super) fn begin(&mut self, host: &Hostname) {
        if let Some(host) = self.hosts.get_mut(host) {
            host.is_ordering = true;
            host.tried = Some(Instant::now());
        }
    }

    /// It was given up: nobody wants it any more.
    pub(super) fn give_up(&mut self, host: &Hostname) {
        if let Some(host) = self.hosts.get_mut(host) {
            host.is_ordering = false;
        }
    }

    /// It was a success.
    pub(super) fn issued_to(&mut self, host: &Hostname, pair: Arc<Pair>, now: Now) {
        self.counts.issued += 1;
        self.directory = Hold::default();
        self.failures = 0;
        // One that is not wanted any more is on disk, and that is all.
        if let Some(host) = self.hosts.get_mut(host) {
            let until = now.run + schedule::gap(now.wall, pair.not_after());
            *host = Host {
                pair: Some(pair),
                hold: Hold {
                    until: Some(until),
                    is_asked: true,
                },
                ..Host::default()
            };
        }
    }

    /// It was not. Returns how often in a row, and how long it is to the next try.
    pub(super) fn failed(
        &mut self,
        name: &Hostname,
        fault: &Fault,
        now: Now,
        chance: f64,
    ) -> (u32, Duration) {
        self.counts.failed += 1;
        let Fault {
            kind,
            why,
            retry_after,
        } = fault;
        let Some(host) = self.hosts.get_mut(name) else {
            return (0, Duration::ZERO);
        };
        host.failures += 1;
        host.is_ordering = false;
        host.problem = Some((now.wall, why.clone()));
        let failures = host.failures;
        let hold = |wait: Duration, is_asked| Hold {
            until: Some(now.run + wait),
            is_asked,
        };
        let is_asked = retry_after.is_some() || *kind == Kind::Limited;
        let own = schedule::back_off(*kind, failures, *retry_after, chance);
        host.hold = hold(own, is_asked);
        if kind.is_of_directory() {
            self.failures += 1;
            let all = schedule::back_off(*kind, self.failures, *retry_after, chance);
            self.directory = hold(all.min(LONGEST_FOR_ALL), is_asked);
        } else {
            self.failures = 0;
        }
        let wait = self.hosts.get(name).map(|host| self.wait(host, now));
        (failures, wait.unwrap_or_default())
    }

    /// What has failed is due now, unless the directory wants to be left alone.
    pub(super) fn retry(&mut self) {
        let holds = self.hosts.values_mut().map(|host| &mut host.hold);
        for hold in holds.chain([&mut self.directory]) {
            if !hold.is_asked {
                *hold = Hold::default();
            }
        }
    }

    /// The certificates that there are.
    pub(super) fn issued(&self) -> BTreeMap<Hostname, Arc<Pair>> {
        let hosts = self.hosts.iter();
        hosts
            .filter_map(|(name, host)| Some((name.clone(), host.pair.clone()?)))
            .collect()
    }

    /// How each is doing.
    pub(super) fn views(&self, now: Now) -> Vec<HostView> {
        let hosts = self.hosts.iter();
        hosts
            .map(|(name, host)| HostView {
                host: name.to_string(),
                state: host.state(now),
                until: host.pair.as_ref().map(|pair| pair.not_after()),
                next_try: now.wall + self.wait(host, now),
                failures: host.failures,
                problem: host.problem.clone(),
            })
            .collect()
    }

    /// What was issued since the start.
    pub(super) fn counts(&self) -> Counts {
        self.counts
    }
}

#[cfg(test)]
mod tests;
