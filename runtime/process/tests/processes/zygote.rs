//! The program that the edge starts: a zygote whose children do what they are asked.

use std::os::fd::AsFd;
use std::process::ExitCode;

use holm_process::passing::Socket;
use holm_process::sandbox::Limits;
use holm_process::sandbox::Mode;
use holm_process::sandbox::Sandbox;
use holm_process::zygote::Child;
use holm_process::zygote::Zygote;

use crate::acts;

/// What every process of a test may use.
const LIMITS: Limits = Limits {
    data: 256 << 20,
    files: 64,
};

pub(crate) fn run(how: &[&str]) -> ExitCode {
    let zygote = match Zygote::enter() {
        Ok(zygote) => zygote,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    let mode = match how.first() {
        Some(&"require") => Mode::Require,
        Some(&"off") => Mode::Off,
        _ => Mode::Auto,
    };
    if how.contains(&"thread") {
        std::thread::spawn(std::thread::park);
    }
    if how.contains(&"disturbed") {
        acts::disturb_signals();
    }
    let kept = how.contains(&"kept").then(acts::kept_page);
    let sandbox = match Sandbox::build(mode) {
        Ok(sandbox) => sandbox,
        Err(missing) => {
            zygote.refuse(&missing.to_string());
            return ExitCode::FAILURE;
        }
    };
    zygote.announce(&sandbox).expect("announced");
    let serve = || zygote.serve(|child| live(child, &sandbox, kept));
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(serve)) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
        // A child that came back here would be a second zygote.
        Err(_) => loop {
            std::thread::park();
        },
    }
}

/// With two sockets it is a template, with one a cell.
fn live(mut child: Child, sandbox: &Sandbox, kept: Option<*const u8>) {
    if child.name == "panics" {
        panic!("as it was asked to");
    }
    let Some(control) = child
        .fds
        .get(1)
        .is_some()
        .then(|| Socket::from(child.fds.remove(1)))
    else {
        let mut fds = child.into_cell(sandbox, LIMITS).expect("cell");
        let talk = Socket::from(fds.remove(0));
        acts::obey(&talk, None, kept);
        return;
    };
    let liar = control.as_fd().try_clone_to_owned().expect("another");
    let (template, mut fds) = child
        .into_template(control, sandbox, LIMITS)
        .expect("template");
    let talk = Socket::from(fds.remove(0));
    acts::obey(&talk, Some(&liar), kept);
    // It was told to serve.
    drop((talk, liar));
    template
        .serve(|child| live(child, sandbox, kept))
        .expect("served");
}
