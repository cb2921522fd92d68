//! The process that all others are forked from: V8 is up in it, and an isolate without a function waits to
//! be copied.

use std::fs::OpenOptions;
use std::os::fd::OwnedFd;
use std::process::ExitCode;

use holm_model::message::Purpose;
use holm_process::memory::Resident;
use holm_process::sandbox::Mode;
use holm_process::sandbox::Sandbox;
use holm_process::zygote::Child;
use holm_process::zygote::Zygote;

use crate::cell;
use crate::compile;
use crate::engine::Engine;
use crate::isolate::Blank;
use crate::last_words;
use crate::template;

/// Name of the variable that says what sandbox there is to be: `auto`, `require` or `off`.
pub const SANDBOX: &str = "HOLM_SANDBOX";

/// What the heap of the isolate may hold that waits here, in bytes: the default of functions. It is changed when
/// there is a function.
const MEMORY: usize = 128 << 20;

/// What every process that was forked from here has to itself.
pub(crate) struct Made {
    pub(crate) blank: Blank,
    pub(crate) sandbox: Sandbox,
    /// Private writable memory that is mapped already, in bytes.
    pub(crate) data: u64,
    pub(crate) nowhere: OwnedFd,
}

/// Forks as the node says, until the node is gone. `main` calls it before anything else, in a process that
/// [`holm_process::spawn::spawn`] has started.
pub fn run() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: not started by a node of Holm: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> Result<(), Box<dyn std::error::Error>> {
    let zygote = Zygote::enter()?;
    last_words::shorten_panics();
    let made = match make() {
        Ok(made) => made,
        Err(error) => {
            zygote.refuse(&error.to_string());
            return Err(error);
        }
    };
    zygote.announce(&made.sandbox)?;
    zygote.serve(move |child| live(child, made))?;
    Ok(())
}

fn make() -> Result<Made, Box<dyn std::error::Error>> {
    let nowhere = OpenOptions::new().write(true).open("/dev/null")?;
    let engine = Engine::start();
    let mut blank = Blank::new(engine, MEMORY)?;
    blank.rehearse()?;
    // Here once, and not in each process that is forked.
    blank.collect();
    // aws-lc looks for a device that tells of forks, once. Behind the sandbox there are no devices.
    aws_lc_rs::rand::fill(&mut [0; 1]).map_err(|_| "the system gives no randomness")?;
    let data = Resident::of(rustix::process::getpid())?.data;
    let sandbox = Sandbox::build(mode())?;
    Ok(Made {
        blank,
        sandbox,
        data,
        nowhere: nowhere.into(),
    })
}

fn mode() -> Mode {
    match std::env::var(SANDBOX).as_deref() {
        Ok("require") => Mode::Require,
        Ok("off") => Mode::Off,
        _ => Mode::Auto,
    }
}

/// The life of a forked process.
fn live(child: Child, made: Made) {
    match Purpose::of(child.purpose) {
        Some(Purpose::Compiler) => compile::live(child, &made.sandbox, made.nowhere),
        Some(Purpose::Template) => template::live(child, made),
        Some(Purpose::Cell) => cell::live(child, made),
        // The zygote has no function to copy.
        Some(Purpose::Copy) | None => {}
    }
}
