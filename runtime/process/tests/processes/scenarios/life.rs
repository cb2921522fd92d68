//! Beginnings, names and ends.

use std::io::BufRead;
use std::io::BufReader;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::process::Command;
use std::process::Stdio;

use holm_process::lifeline;
use holm_process::lifeline::Anchor;
use holm_process::lifeline::Edge;
use holm_process::passing::wait_readable;
use rustix::process::Pid;
use rustix::process::PidfdFlags;
use rustix::process::Signal;

use crate::node::LONG;
use crate::node::Node;
use crate::node::is_closed;

/// What others see of a process: the short name, and the command line.
fn names(pid: Pid) -> (String, String) {
    let read = |file| {
        std::fs::read_to_string(format!("/proc/{pid}/{file}")).expect("of a process that lives")
    };
    (
        read("comm").trim().to_owned(),
        read("cmdline").trim_end_matches('\0').to_owned(),
    )
}

pub(crate) fn cells_answer_and_are_named() {
    let node = Node::start();
    let (one, other) = (node.cell("hello"), node.cell("a-function-with-a-long-nüme"));
    assert!(one.lives() && other.lives());
    let expect = |pid, short: &str, long: &str| assert_eq!(names(pid), (short.into(), long.into()));
    expect(node.zygote.pid(), "holm: zygote", "holm: zygote");
    expect(one.process.pid(), "holm: hello", "holm: hello");
    expect(
        other.process.pid(),
        "holm: a-functio",
        "holm: a-function-with-a-long-nüme",
    );
    let endless = node.cell(&"x".repeat(1_000));
    assert!(endless.lives());
    let long = names(endless.process.pid()).1;
    assert!(
        long.starts_with("holm: x") && long.len() >= holm_process::title::ROOM - 1,
        "{long}"
    );
}

pub(crate) fn a_template_is_copied() {
    let node = Node::start();
    let template = node.template("shop");
    assert!(template.cell.lives());
    template.freeze();
    let copies: Vec<_> = (0..3)
        .map(|n| node.copy(&template, &format!("shop-{n}")))
        .collect();
    assert!(copies.iter().all(|copy| copy.lives()));
    assert_eq!(names(copies[2].process.pid()).1, "holm: shop-2");
    let status = std::fs::read_to_string(format!("/proc/{}/status", copies[2].process.pid()));
    assert!(status.expect("it lives").contains("\nTHP_enabled:\t0\n"));
    // What is typed at the edge's terminal, control-C for one, is for the edge alone.
    let copy = Some(copies[2].process.pid());
    assert_eq!(rustix::process::getpgid(copy), Ok(node.zygote.pid()));
    // The same session: the kernel shares cores out between those first, whatever is nice in one.
    assert_eq!(
        session_of(copies[2].process.pid()),
        session_of(rustix::process::getpid())
    );
    // The zygote serves beside it.
    assert!(node.cell("other").lives());
}

/// The session that a process is in. From `/proc`: `rustix::process::getsid()` has no answer for one
/// whose leader is outside of the PID namespace, as it may be in a container.
fn session_of(process: rustix::process::Pid) -> u32 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("it lives");
    let (_, fields) = stat.rsplit_once(')').expect("a name in brackets");
    let session = fields.split_whitespace().nth(3).expect("a session");
    session.parse().expect("a number")
}

pub(crate) fn a_copy_outlives_its_template() {
    let node = Node::start();
    let template = node.template("shop");
    template.freeze();
    let (copy, other) = (node.copy(&template, "copy"), node.copy(&template, "other"));
    template.cell.kill();
    // Nobody else has its socket.
    assert!(is_closed(&template.control));
    assert!(copy.lives() && other.lives());
    drop(copy.process);
    assert!(other.lives());
}

pub(crate) fn cells_outlive_the_zygote() {
    let node = Node::start();
    let template = node.template("shop");
    template.freeze();
    let cell = node.cell("cell");
    rustix::process::pidfd_send_signal(node.zygote.pidfd(), Signal::KILL).expect("killed");
    assert!(is_closed(node.zygote.control()));
    assert!(cell.lives());
    let copy = crate::node::Node {
        zygote: Node::start().zygote,
        ..node
    };
    // The template can still be asked, with the same anchor; and so can a zygote that replaces the other.
    assert!(copy.copy(&template, "copy").lives());
}

pub(crate) fn nothing_outlives_the_edge() {
    let mut edge = Command::new("/proc/self/exe")
        .args(["edge", "inner::edge_to_be_killed"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("an edge");
    let mut lines = BufReader::new(edge.stdout.take().expect("piped")).lines();
    let processes: Vec<Leftover> = lines
        .by_ref()
        .map(|line| line.expect("line"))
        .take_while(|line| line != "all")
        .map(|line| {
            let pid = Pid::from_raw(line.parse().expect("number")).expect("a number of a process");
            Leftover(rustix::process::pidfd_open(pid, PidfdFlags::empty()).expect("it lives"))
        })
        .collect();
    assert_eq!(processes.len(), 6);
    edge.kill().expect("killed");
    edge.wait().expect("ended");
    for (place, process) in processes.iter().enumerate() {
        assert!(
            wait_readable(process.0.as_fd(), LONG).expect("wait"),
            "process {place} lives on"
        );
    }
}

/// A process that must be gone by the end of a test, also of one that fails.
struct Leftover(OwnedFd);

impl Drop for Leftover {
    fn drop(&mut self) {
        let _ = rustix::process::pidfd_send_signal(&self.0, Signal::KILL);
    }
}

/// Prints the numbers of its processes, and waits to be killed. Some of them compute for ever, and one of
/// those has lost its template.
pub(crate) fn edge_to_be_killed() {
    let node = Node::start();
    let (orphaned, template) = (node.template("gone"), node.template("stays"));
    orphaned.freeze();
    template.freeze();
    let all = [
        node.cell("idle"),
        node.cell("loops"),
        node.copy(&orphaned, "orphan"),
        node.copy(&template, "copy"),
    ];
    for looping in &all[1..] {
        assert_eq!(looping.says("loop"), "looping");
    }
    orphaned.cell.kill();
    // It goes on computing.
    let clock = all[2].process.clock().expect("clock");
    let before = clock.read().expect("it lives");
    while clock.read().expect("it lives") <= before {
        std::thread::yield_now();
    }
    println!("{}\n{}", node.zygote.pid(), template.cell.process.pid());
    for cell in &all {
        println!("{}", cell.process.pid());
    }
    println!("all");
    std::thread::sleep(LONG);
}

pub(crate) fn an_edge_that_is_gone_is_noticed() {
    let anchor = Anchor::new().expect("anchor");
    let (one, other) = (anchor.line().expect("line"), anchor.line().expect("line"));
    assert_eq!(lifeline::hold(one).expect("held"), Edge::Alive);
    // Two lines have two owners: dropping this one closes nothing for the first.
    drop(other);
    let late = anchor.line().expect("line");
    // Let go of the line that is held, or this process is killed, too.
    rustix::stdio::dup2_stdout(rustix::stdio::stderr()).expect("let go");
    drop(anchor);
    assert_eq!(lifeline::hold(late).expect("held"), Edge::Gone);
}

pub(crate) fn a_zygote_ends_with_its_socket() {
    let node = Node::start();
    let cell = node.cell("hello");
    // All that it has of the edge is that socket.
    rustix::net::shutdown(node.zygote.control(), rustix::net::Shutdown::Both).expect("shut down");
    assert!(wait_readable(node.zygote.pidfd(), LONG).expect("wait"));
    assert!(cell.lives());
}

pub(crate) fn a_zygote_is_not_for_the_shell() {
    let output = Command::new("/proc/self/exe")
        .arg("zygote")
        .stdin(Stdio::null())
        .output()
        .expect("ran");
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.starts_with("this is started by Holm itself"), "{said}");
}
