//! The integration tests of `holm`: the real program, spoken to over loopback.
//!
//! This binary links no V8. It spawns the built `holm`, reads the records that it logs, and
//! compares what it answers with what case files and the suites expect. README.md, next to this
//! file, says where things are and how a case is written.

mod harness;
mod suites;

use std::process::ExitCode;

use libtest_mimic::Arguments;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let world = match harness::World::new() {
        Ok(world) => world,
        Err(error) => {
            eprintln!("cannot set the tests up: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    match suites::trials(&world) {
        Ok(trials) => libtest_mimic::run(&arguments, trials).exit_code(),
        Err(error) => {
            eprintln!("cannot read the tests: {error:#}");
            ExitCode::FAILURE
        }
    }
}
