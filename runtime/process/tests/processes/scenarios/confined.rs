//! What a cell may do, and what becomes of one that tries more.

use holm_process::sandbox::Layer;
use holm_process::sandbox::State;
use holm_process::spawn::SpawnError;

use super::skip;
use crate::node::Cell;
use crate::node::Node;

pub(crate) fn libraries_work() {
    let node = Node::start();
    let template = node.template("shop");
    assert_eq!(template.cell.says("malloc"), "true");
    template.freeze();
    for cell in [node.cell("cell"), node.copy(&template, "copy")] {
        assert_eq!(cell.says("limits"), "[268435456, 64, 0]");
        assert_eq!(cell.says("threads"), "140");
        assert_eq!(cell.says("malloc"), "true");
        assert_eq!(cell.says("tokio"), "42 3");
        assert_eq!(cell.says("streams"), "done 0");
        assert_eq!(cell.says("reserve"), "done 1");
    }
}

/// Answered with an error, in a cell and in a template.
const REFUSED: &[(&str, &str)] = &[
    ("openat", "EPERM"),
    ("openat-root", "EPERM"),
    ("openat-proc", "EPERM"),
    ("openat2", "EPERM"),
    ("stat", "EPERM"),
    ("socket", "EPERM"),
    ("connect", "EPERM"),
    ("tgkill", "EPERM"),
    ("close-line", "EPERM"),
    ("deafen-line", "EPERM"),
    ("signal-line", "EPERM"),
    ("async", "EPERM"),
    ("dumpable", "EPERM"),
    ("ptracer", "EPERM"),
    ("limit-up", "EPERM"),
    ("limit-other", "EPERM"),
    ("clone3", "ENOSYS"),
    ("mmap", "ENOMEM"),
    ("mmap-shared", "EPERM"),
    ("mmap-shared-validated", "EPERM"),
    ("mmap-stack", "EPERM"),
    ("unreserve", "ENOMEM"),
    ("streams-until-full", "EMFILE"),
    #[cfg(target_arch = "x86_64")]
    ("open", "EPERM"),
];

/// Killed for, in a cell and in a template.
const KILLED: &[&str] = &[
    "execve",
    "execveat",
    "clone-namespace",
    "unshare",
    "setns",
    "mount",
    "ptrace",
    "peek",
    "kill",
    "sigqueue",
    "datagrams",
    "close-range",
    "bpf",
    "io-uring",
    "userfault",
    "keys",
    "no-such-call",
    #[cfg(target_arch = "x86_64")]
    "vfork",
    #[cfg(target_arch = "x86_64")]
    "old-gate",
];

/// Killed for in a cell alone: what a template does for its copies.
const KILLED_IN_CELLS: &[&str] = &[
    "fork",
    "pidfd",
    "own",
    "own-line",
    "dup-over-line",
    "dup-elsewhere",
];

fn attack(attacker: impl Fn() -> Cell, killed: &[&[&str]], unharmed: impl Fn() -> bool) {
    let cell = attacker();
    for (act, answer) in REFUSED {
        assert_eq!(cell.ask(act).as_deref(), Some(*answer), "{act}");
    }
    for act in killed.iter().flat_map(|acts| acts.iter()) {
        let cell = attacker();
        assert_eq!(cell.ask(act), None, "{act}");
        assert!(cell.has_ended());
        assert!(unharmed(), "{act}");
    }
    assert!(unharmed());
}

pub(crate) fn attacks_from_a_cell() {
    let node = Node::start();
    let neighbour = node.cell("neighbour");
    attack(
        || node.cell("attacker"),
        &[KILLED, KILLED_IN_CELLS],
        || neighbour.lives() && node.cell("next").lives(),
    );
}

pub(crate) fn attacks_from_a_copy() {
    let node = Node::start();
    let template = node.template("shop");
    template.freeze();
    let neighbour = node.copy(&template, "neighbour");
    attack(
        || node.copy(&template, "attacker"),
        &[KILLED, KILLED_IN_CELLS],
        || neighbour.lives() && node.copy(&template, "next").lives(),
    );
}

pub(crate) fn attacks_from_a_template() {
    let node = Node::start();
    assert_eq!(
        node.template("attacker").cell.says("dup-elsewhere"),
        "EPERM"
    );
    let neighbour = node.cell("neighbour");
    attack(
        || node.template("attacker").cell,
        &[KILLED],
        || neighbour.lives() && node.cell("next").lives(),
    );
}

/// What is not the filter's to keep away: it is not even there.
pub(crate) fn files_are_out_of_reach_without_the_filter() {
    use holm_process::sandbox::Mode;
    use holm_process::sandbox::Sandbox;
    let before = rustix::process::getpid();
    let sandbox = Sandbox::build(Mode::Auto).expect("auto never refuses");
    if *sandbox.layers().state(Layer::Mounts) != State::On {
        return skip("no mount namespace here");
    }
    assert_eq!(std::fs::read_dir("/").expect("a root").count(), 0);
    assert!(std::fs::read("/etc/passwd").is_err() && std::fs::read("/proc/self/status").is_err());
    let error = std::fs::write("/here", "x").expect_err("read-only");
    assert_eq!(error.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
    assert!(std::net::TcpStream::connect("127.0.0.1:9").is_err());
    assert_eq!(rustix::process::getpid(), before);
    if *sandbox.layers().state(Layer::Users) == State::On {
        assert_eq!(rustix::process::getuid().as_raw(), 65_534);
    }
}

pub(crate) fn memory_is_bounded() {
    for mode in ["auto", "off"] {
        let node = Node::with(&[mode]).expect("a zygote");
        let (cell, neighbour) = (node.cell("big"), node.cell("neighbour"));
        assert_eq!(cell.says("hold 100"), "held");
        // Rust aborts where an allocation fails.
        assert_eq!(cell.ask("hold 200"), None, "{mode}");
        assert!(cell.has_ended() && neighbour.lives());
    }
}

/// Moves this process into a user namespace in which no other one can be made.
fn forbid_user_namespaces() -> std::io::Result<()> {
    let (user, group) = (
        rustix::process::getuid().as_raw(),
        rustix::process::getgid().as_raw(),
    );
    crate::acts::new_user_namespace()?;
    std::fs::write("/proc/self/setgroups", "deny")?;
    std::fs::write("/proc/self/uid_map", format!("0 {user} 1"))?;
    std::fs::write("/proc/self/gid_map", format!("0 {group} 1"))?;
    std::fs::write("/proc/sys/user/max_user_namespaces", "0")
}

pub(crate) fn required_layers_are_named() {
    let node = Node::with(&["auto"]).expect("a zygote");
    match node.layers.missing() {
        None => assert!(
            Node::with(&["require"])
                .expect("all are there")
                .cell("hello")
                .lives()
        ),
        Some(missing) => skip(&missing.to_string()),
    }
    if let Err(error) = forbid_user_namespaces() {
        return skip(&format!("no user namespace to forbid others in: {error}"));
    }
    let Err(SpawnError::Unfit(why)) = Node::with(&["require"]).map(drop) else {
        panic!("a layer is missing");
    };
    assert!(
        why.starts_with("the sandbox has no user namespace: unshare: "),
        "{why}"
    );
    assert!(why.contains("user.max_user_namespaces above 0"), "{why}");
    // The others are there all the same, since this process is root in its namespace.
    let node = Node::with(&["auto"]).expect("a zygote");
    for (layer, state) in node.layers.iter() {
        assert_eq!(
            *state == State::On,
            layer != Layer::Users,
            "{layer:?} {state:?}"
        );
    }
    assert!(node.cell("hello").lives());
}

pub(crate) fn attacks_without_namespaces() {
    if let Err(error) = forbid_user_namespaces() {
        return skip(&format!("no user namespace to forbid others in: {error}"));
    }
    attacks_from_a_cell();
    attacks_from_a_copy();
}

pub(crate) fn off_is_off() {
    let node = Node::with(&["off"]).expect("a zygote");
    assert_eq!(node.layers.to_string(), "off");
    let cell = node.cell("cell");
    assert_eq!(cell.says("openat"), "done 1");
    assert_eq!(cell.says("socket"), "done 1");
    assert_eq!(cell.says("mmap"), "ENOMEM");
    assert_eq!(cell.says("tokio"), "42 3");
    let template = node.template("shop");
    template.freeze();
    assert!(node.copy(&template, "copy").lives());
}
