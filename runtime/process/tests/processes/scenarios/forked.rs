//! What a fork copies, what it leaves, and when there is none.

use std::fs;
use std::os::fd::AsFd;

use holm_process::ForkFailure;
use holm_process::bounds;
use holm_process::spawn::SpawnError;
use rustix::process::Pid;
use rustix::process::Resource;
use rustix::process::Rlimit;

use super::skip;
use crate::node::Cell;
use crate::node::LONG;
use crate::node::Node;

pub(crate) fn nothing_is_inherited_but_what_was_passed() {
    // A descriptor and a variable that an edge would rather keep.
    let (read, _write) = rustix::pipe::pipe().expect("pipe");
    rustix::io::fcntl_setfd(&read, rustix::io::FdFlags::empty()).expect("inheritable");
    assert!(std::env::vars().count() > 0);
    let node = Node::start();
    let template = node.template("shop");
    template.freeze();
    for cell in [node.cell("cell"), node.copy(&template, "copy")] {
        // Beside its socket: nothing to read, its lifeline, standard error.
        assert_eq!(cell.says("descriptors"), "[0, 1, 2]");
        assert_eq!(cell.says("environment"), r#"[("TZ", "UTC")]"#);
    }
}

pub(crate) fn signals_are_as_at_the_start() {
    crate::acts::disturb_signals();
    let node = Node::with(&["auto", "disturbed"]).expect("a zygote");
    let template = node.template("shop");
    // Rust ignores SIGPIPE in all programs, and nobody is to be stopped for writing to a terminal. Nothing is blocked.
    let usual = format!("[{}, {}] []", libc::SIGPIPE, libc::SIGTTOU);
    assert_eq!(template.cell.says("signals"), usual);
    template.freeze();
    assert_eq!(node.cell("cell").says("signals"), usual);
    assert_eq!(node.copy(&template, "copy").says("signals"), usual);
}

pub(crate) fn kept_mappings_are_copied() {
    let node = Node::with(&["auto", "kept"]).expect("a zygote");
    let template = node.template("shop");
    template.freeze();
    assert_eq!(node.cell("cell").says("kept"), "42");
    assert_eq!(node.copy(&template, "copy").says("kept"), "42");
}

fn failed(asked: Result<Cell, SpawnError>) -> ForkFailure {
    match asked {
        Err(SpawnError::Failed(why)) => why,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("there is a process"),
    }
}

pub(crate) fn threads_are_refused() {
    // Without a user namespace, which a process with threads could not enter either.
    let node = Node::with(&["off", "thread"]).expect("a zygote");
    assert_eq!(failed(node.try_cell("hello")), ForkFailure::Threads(2));
    let node = Node::start();
    let template = node.template("shop");
    assert_eq!(template.cell.says("thread-forever"), "started");
    template.freeze();
    let why = failed(node.try_copy(&template, "copy"));
    assert_eq!(
        why.to_string(),
        "it has 2 threads, and only a process with one can be copied"
    );
}

pub(crate) fn panics_and_crashes_end_one_process() {
    let node = Node::start();
    let neighbour = node.cell("neighbour");
    let panics = node.cell("panics");
    assert!(panics.has_ended());
    for crash in ["segv", "abort"] {
        let cell = node.cell("crashes");
        assert_eq!(cell.ask(crash), None, "{crash}");
        assert!(cell.has_ended());
    }
    assert!(neighbour.lives() && node.cell("hello").lives());
}

pub(crate) fn garbage_is_answered() {
    let node = Node::start();
    let control = node.zygote.control();
    let fork = [&[1, 0, 2, 0][..], b"hi"].concat();
    // Nonsense, a name that is cut off, no lifeline, too long a frame, a lifeline that is none.
    for (bytes, fds) in [(&[9][..], &[][..]), (&fork[..4], &[]), (&fork, &[])] {
        control.send(bytes, fds).expect("sent");
        assert!(matches!(
            said(&node),
            Err(SpawnError::Failed(ForkFailure::Other(_)))
        ));
    }
    rustix::net::send(control, &[1; 5_000], rustix::net::SendFlags::empty()).expect("sent");
    assert!(matches!(
        said(&node),
        Err(SpawnError::Failed(ForkFailure::Other(_)))
    ));
    let (read, _write) = rustix::pipe::pipe().expect("pipe");
    control.send(&fork, &[read.as_fd()]).expect("sent");
    let odd = said(&node).expect("it was forked");
    assert!(odd.ended(LONG).expect("wait"), "it has no socket");
    assert!(node.cell("hello").lives());
}

fn said(node: &Node) -> Result<holm_process::spawn::Process, SpawnError> {
    let control = node.zygote.control();
    assert!(control.wait(LONG).expect("wait"));
    holm_process::spawn::answer(control.receive().expect("received").expect("it lives"))
}

/// Descriptors of a process, or `None` where they cannot be seen.
fn descriptors(pid: Pid) -> Option<usize> {
    Some(fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count())
}

/// Children of a process, ended or not.
fn children(of: Pid) -> usize {
    let entries = fs::read_dir("/proc").expect("/proc").filter_map(Result::ok);
    let stats = entries.filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok());
    let parents = stats.filter_map(|stat| {
        let (_, rest) = stat.rsplit_once(')')?;
        rest.split_ascii_whitespace().nth(1)?.parse().ok()
    });
    parents
        .filter(|parent| Pid::from_raw(*parent) == Some(of))
        .count()
}

pub(crate) fn a_thousand_forks_leave_nothing() {
    let node = Node::start();
    let template = node.template("shop");
    template.freeze();
    // The first of each sort may open something for good.
    drop((node.cell("first"), node.copy(&template, "first")));
    let this = rustix::process::getpid();
    let forking = [node.zygote.pid(), template.cell.process.pid()];
    let before: Vec<_> = [this, forking[0], forking[1]].map(descriptors).into();
    assert!(before[0].is_some());
    if before.contains(&None) {
        skip("descriptors of a zygote that is not dumpable are seen by root alone");
    }
    for n in 0..1_000 {
        let cell = match n % 2 {
            0 => node.cell("short"),
            _ => node.copy(&template, "short"),
        };
        if n % 10 == 0 {
            assert!(cell.lives());
        }
        if n % 100 < 2 {
            cell.kill();
        }
    }
    let last = [node.cell("last"), node.copy(&template, "last")];
    for cell in &last {
        cell.kill();
    }
    drop(last);
    let after: Vec<_> = [this, forking[0], forking[1]].map(descriptors).into();
    for (after, before) in after.iter().zip(&before) {
        // Whoever forks answers before it lets go of the pidfd that it has sent.
        assert!(
            *after <= before.map(|before| before + 1),
            "{after:?} {before:?}"
        );
    }
    // The zygote has the template. Killed ones may still be on their way out.
    let deadline = std::time::Instant::now() + LONG;
    while forking.map(children) != [1, 0] {
        assert!(
            std::time::Instant::now() < deadline,
            "children are left: {:?}",
            forking.map(children)
        );
        std::thread::yield_now();
    }
}

/// A pids cgroup for this test, if one can be made: version 2 where this process is, or version 1.
fn pids_cgroup() -> Option<std::path::PathBuf> {
    let name = format!("holm-test-{}", std::process::id());
    let groups = ["/sys/fs/cgroup/pids", "/sys/fs/cgroup"]
        .map(|root| std::path::Path::new(root).join(&name));
    groups.into_iter().find(|group| {
        let made = fs::create_dir(group).is_ok();
        if made && !group.join("pids.max").exists() {
            let _ = fs::remove_dir(group);
            return false;
        }
        made
    })
}

pub(crate) fn a_full_cgroup_is_told() {
    let Some(group) = pids_cgroup() else {
        return skip("no cgroup with pids.max can be made here");
    };
    let node = Node::start();
    let this = rustix::process::getpid();
    for process in [this, node.zygote.pid()] {
        fs::write(group.join("cgroup.procs"), process.to_string()).expect("moved");
    }
    fs::write(group.join("pids.max"), "3").expect("bounded");
    let cell = node.cell("fits");
    assert_eq!(failed(node.try_cell("does not")), ForkFailure::Processes);
    let bound = bounds::tightest().expect("one");
    let name = format!("{}/pids.max", group.display());
    assert!(
        bound.name.starts_with(&name) && bound.left() == 0,
        "{bound}"
    );
    // Room is made, and is used.
    cell.kill();
    assert!(node.cell("fits").lives());
    drop((cell, node));
    let root = group.parent().expect("a root").join("cgroup.procs");
    fs::write(root, this.to_string()).expect("moved back");
    // It is empty once the last one has gone.
    while fs::remove_dir(&group).is_err() {
        std::thread::yield_now();
    }
}

pub(crate) fn a_full_user_is_told() {
    if rustix::process::getuid().is_root() {
        return skip("RLIMIT_NPROC does not bind root; nobody plays this, too");
    }
    let node = Node::start();
    let before = node.cell("before");
    let bound = |most| {
        let limit = Rlimit {
            current: Some(most),
            maximum: rustix::process::getrlimit(Resource::Nproc).maximum,
        };
        let zygote = Some(node.zygote.pid());
        rustix::process::prlimit(zygote, Resource::Nproc, limit).expect("bounded")
    };
    let usual = bound(0).current.unwrap_or(u64::MAX);
    assert_eq!(
        failed(node.try_cell("one too many")),
        ForkFailure::Processes
    );
    assert!(before.lives());
    bound(usual);
    assert!(node.cell("after").lives());
    // The edge looks at its own limits, which the zygote has inherited from it.
    let none = Rlimit {
        current: Some(0),
        maximum: rustix::process::getrlimit(Resource::Nproc).maximum,
    };
    rustix::process::setrlimit(Resource::Nproc, none).expect("bounded");
    let tightest = bounds::tightest().expect("one");
    assert!(
        tightest.name.starts_with("RLIMIT_NPROC") && tightest.left() == 0,
        "{tightest}"
    );
    assert!(matches!(
        Node::with(&["auto"]).map(drop),
        Err(SpawnError::Start(_))
    ));
}

/// A template that has been taken over names others as its copies, so that the edge kills them.
pub(crate) fn lies_are_noticed() {
    let node = Node::start();
    let (neighbour, template) = (node.cell("neighbour"), node.template("liar"));
    let this = rustix::process::getpid();
    for (victim, pidfd_of) in [
        (this, this),
        (neighbour.process.pid(), neighbour.process.pid()),
        (node.zygote.pid(), node.zygote.pid()),
        // A number and a pidfd that do not belong together.
        (template.cell.process.pid(), this),
    ] {
        let lie = format!("lie {victim} {pidfd_of}");
        assert_eq!(template.cell.says(&lie), "lied");
        let asked = node.try_copy(&template, "copy").map(drop);
        assert!(matches!(asked, Err(SpawnError::Garbled(_))), "{asked:?}");
    }
    assert!(neighbour.lives() && node.cell("next").lives());
}
