//! Real cells: a node as small as can be, its zygote with V8, templates and copies.
//!
//! Whoever forks has to be the only thread, and a test harness never is. So this program is the harness, and,
//! started by it with an argument, the zygote.

mod node;
mod scenarios;

use std::process::ExitCode;

use libtest_mimic::Arguments;
use libtest_mimic::Trial;

#[global_allocator]
static ALLOCATOR: holm_cell::Allocator = holm_cell::Allocator;

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(node::ARGUMENT) {
        return holm_cell::zygote::run();
    }
    let trials = scenarios::ALL.iter().map(|(name, scenario)| {
        Trial::test(*name, move || {
            scenario();
            Ok(())
        })
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}
