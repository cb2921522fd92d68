//! Who is seen to, and when.

use rcgen::{CertificateParams, KeyPair};

use super::*;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3600);

fn name(host: &str) -> Hostname {
    Hostname::parse(host).expect(host)
}

fn authority(directory: &str) -> Arc<Authority> {
    Arc::new(Authority {
        directory: directory.to_owned(),
        roots: Vec::new(),
        roots_file: None,
        email: None,
        bound_to: None,
        dir: "acme".into(),
    })
}

fn pair(host: &str, from: SystemTime, life: Duration) -> Arc<Pair> {
    let mut params = CertificateParams::new([host.to_owned()]).expect("a name");
    params.not_before = from.into();
    params.not_after = (from + life).into();
    let key = KeyPair::generate().expect("a key");
    let certificate = params.self_signed(&key).expect("a certificate");
    let pair = Pair::new(vec![certificate.der().clone()], key.into());
    Arc::new(pair.expect("a pair"))
}

fn later(now: Now, by: Duration) -> Now {
    Now {
        wall: now.wall + by,
        run: now.run + by,
    }
}

fn fault(kind: Kind) -> Fault {
    Fault::new(kind, "why")
}

/// Two hosts without certificates.
fn two() -> (Hosts, Arc<Authority>) {
    let mut hosts = Hosts::default();
    let authority = authority("https://ca.test/dir");
    hosts.keep(
        &[name("a.test"), name("b.test")],
        Some(&authority),
        BTreeMap::new(),
    );
    (hosts, authority)
}

#[test]
fn hosts_without_certificates_are_due_one_after_the_other() {
    let (mut hosts, _) = two();
    let now = Now::new();
    assert_eq!(hosts.due(now), Some((name("a.test"), Duration::ZERO)));
    hosts.begin(&name("a.test"));
    assert_eq!(hosts.views(now)[0].state, State::Ordering);
    hosts.failed(&name("a.test"), &fault(Kind::Refused), now, 0.5);
    // That is of one host; the other is not kept waiting.
    assert_eq!(hosts.due(now), Some((name("b.test"), Duration::ZERO)));
    let issued = pair("b.test", now.wall, 90 * DAY);
    hosts.issued_to(&name("b.test"), issued, now);
    assert_eq!(hosts.due(now), Some((name("a.test"), 5 * MINUTE)));
    let view = &hosts.views(now)[0];
    assert_eq!((view.state, view.failures), (State::Missing, 1));
    assert!(view.problem.as_ref().is_some_and(|(_, why)| why == "why"));
    let now = later(now, 59 * DAY);
    let issued = pair("a.test", now.wall, 90 * DAY);
    hosts.issued_to(&name("a.test"), issued, now);
    let (host, wait) = hosts.due(now).expect("two hosts");
    assert_eq!(host, name("b.test"));
    assert!(wait <= DAY && wait > DAY - MINUTE, "{wait:?}");
    assert_eq!(
        hosts.counts(),
        Counts {
            issued: 2,
            failed: 1
        }
    );
}

#[test]
fn a_directory_that_cannot_be_had_keeps_all_waiting_and_all_get_their_turn() {
    let (mut hosts, _) = two();
    let mut now = Now::new();
    for (turn, (host, wait)) in [
        ("a.test", 5),
        ("b.test", 10),
        ("a.test", 20),
        ("b.test", 40),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(hosts.due(now), Some((name(host), Duration::ZERO)), "{turn}");
        hosts.begin(&name(host));
        hosts.failed(&name(host), &fault(Kind::Unavailable), now, 0.5);
        let (_, next) = hosts.due(now).expect("two hosts");
        assert_eq!(next, Duration::from_secs(wait), "{turn}");
        now = later(now, next);
    }
    // It is there again.
    let issued = pair("a.test", now.wall, 90 * DAY);
    hosts.issued_to(&name("a.test"), issued, now);
    assert_eq!(hosts.failures, 0);
}

#[test]
fn a_time_that_was_asked_for_holds_whoever_asks_to_retry() {
    let (mut hosts, _) = two();
    let now = Now::new();
    let limited = Fault {
        retry_after: Some(3 * DAY),
        ..fault(Kind::Limited)
    };
    hosts.failed(&name("a.test"), &limited, now, 0.5);
    hosts.retry();
    // The limit may be that of one host: the others wait for an hour.
    assert_eq!(hosts.due(now), Some((name("b.test"), LONGEST_FOR_ALL)));
    let views = hosts.views(now);
    assert_eq!(views[0].next_try, now.wall + 3 * DAY);

    let (mut hosts, _) = two();
    hosts.failed(&name("a.test"), &fault(Kind::Unavailable), now, 0.5);
    hosts.retry();
    assert!(hosts.due(now).is_some_and(|(_, wait)| wait.is_zero()));
}

#[test]
fn what_is_kept_goes_on_and_another_authority_begins_anew() {
    let (mut hosts, first) = two();
    let now = Now::new();
    let a = pair("a.test", now.wall, 90 * DAY);
    hosts.issued_to(&name("a.test"), a, now);
    hosts.failed(&name("b.test"), &fault(Kind::Refused), now, 0.5);
    let names = [name("b.test"), name("a.test"), name("c.test")];
    assert!(hosts.keep(&names, Some(&first), BTreeMap::new()));
    assert!(
        !hosts.keep(&names, Some(&first), BTreeMap::new()),
        "nothing new"
    );
    assert!(hosts.has(&name("a.test"), &first));
    assert_eq!(hosts.due(now), Some((name("c.test"), Duration::ZERO)));
    assert_eq!(hosts.views(now)[1].failures, 1);

    let second = authority("https://other.test/dir");
    let found = BTreeMap::from([(name("c.test"), pair("c.test", now.wall, 90 * DAY))]);
    assert!(hosts.keep(&names, Some(&second), found));
    // Shown until there is another.
    assert_eq!(hosts.issued().len(), 2);
    assert!(!hosts.has(&name("a.test"), &first));
    assert_eq!(hosts.due(now), Some((name("a.test"), Duration::ZERO)));
    let views = hosts.views(now);
    assert!(views[2].next_try > now.wall + 59 * DAY);
    hosts.keep(&[], None, BTreeMap::new());
    assert_eq!(hosts.due(now), None);
    assert!(hosts.issued().is_empty());
}

#[test]
fn one_that_is_over_is_due_and_told() {
    let (mut hosts, authority) = two();
    let now = Now::new();
    let over = pair("a.test", now.wall - 90 * DAY, 89 * DAY);
    let found = BTreeMap::from([(name("a.test"), over)]);
    hosts.keep(&[name("a.test")], Some(&authority), found);
    assert_eq!(hosts.views(now)[0].state, State::Expired);
    assert_eq!(hosts.due(now), Some((name("a.test"), Duration::ZERO)));
}
