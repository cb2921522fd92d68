//! What the edge can read of a process.

use std::io::ErrorKind;
use std::time::Duration;

use holm_process::memory::Gauge;
use holm_process::memory::Resident;

use crate::node::Node;

pub(crate) fn cpu_time() {
    let node = Node::start();
    let cell = node.cell("busy");
    assert!(cell.lives());
    let clock = cell.process.clock().expect("clock");
    let before = clock.read().expect("it lives");
    assert_eq!(cell.says("busy 50"), "tired");
    let used = clock.read().expect("it lives") - before;
    assert!(
        used > Duration::ZERO && used <= Duration::from_secs(20),
        "{used:?}"
    );
    cell.kill();
    // Readable is a process that has ended, and gone is it a moment later.
    while clock.read().is_ok() {
        std::thread::yield_now();
    }
    assert!(cell.process.clock().is_err());
}

pub(crate) fn memory() {
    for mode in ["auto", "off"] {
        let node = Node::with(&[mode]).expect("a zygote");
        let cell = node.cell("holds");
        assert!(cell.lives());
        let pid = cell.process.pid();
        let gauge = Gauge::of(pid);
        let before = Resident::of(pid).expect("it lives");
        if mode == "off" {
            // Whoever has its gauge already keeps it.
            assert_eq!(cell.says("undumpable"), "done 0");
            let late = Gauge::of(pid).map(drop);
            assert_eq!(late.is_ok(), rustix::process::getuid().is_root());
        }
        let private = gauge
            .as_ref()
            .map(|gauge| gauge.private().expect("it lives"));
        assert_eq!(cell.says("hold 64"), "held");
        let after = Resident::of(pid).expect("it lives");
        for grown in [after.anonymous - before.anonymous, after.data - before.data] {
            assert!(grown >= 64 << 20, "{before:?} {after:?}");
        }
        // One page of them for every 512.
        assert!(
            after.page_tables - before.page_tables >= 32 * 4096,
            "{before:?} {after:?}"
        );
        // Pages of the program's file are private for as long as nobody else looks at them, so it may have
        // lost a few meanwhile.
        match (&gauge, private) {
            (Ok(gauge), Ok(private)) => {
                assert!(gauge.private().expect("it lives") >= private + (60 << 20))
            }
            (Err(error), _) => {
                assert_eq!(error.kind(), ErrorKind::PermissionDenied);
                assert!(mode == "auto" && !rustix::process::getuid().is_root());
            }
            (Ok(_), Err(_)) => unreachable!("both are of the gauge"),
        }
        cell.kill();
        while Resident::of(pid).is_ok() {
            std::thread::yield_now();
        }
        assert!(gauge.is_err() || gauge.is_ok_and(|gauge| gauge.private().is_err()));
    }
}
