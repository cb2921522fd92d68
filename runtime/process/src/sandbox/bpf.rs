//! Compiles a table of answers into the program that the kernel runs at each system call.
//!
//! One program gives all kinds of answers, and finds the call by bisection. seccompiler's compiler gives one
//! answer for each program, so three would be needed, and asks for one call after the other. The kernel
//! translates a program when it is installed, and tries it out with all numbers that there are, to
//! remember which calls it always allows: for each cell that took 380 µs with three programs, and takes
//! 100 with this one. (40 are the least, for a program that allows everything.)

use std::collections::BTreeMap;

use seccompiler::BpfProgram;
use seccompiler::sock_filter;

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It is made.
    Allow,
    /// It is not made, and fails with this error number.
    Error(i32),
    /// The process ends.
    Kill,
}

/// What becomes of a call, by its arguments: the first case that holds, or else the last answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) cases: Vec<Case>,
    pub(super) otherwise: Answer,
}

/// An answer for when all tests hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Case {
    pub(super) tests: Vec<Test>,
    pub(super) answer: Answer,
}

/// Whether 32 bits of an argument are one of some values, or none of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Test {
    argument: u32,
    half: Half,
    mask: u32,
    values: Vec<u32>,
    wanted: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Half {
    Low,
    High,
}

impl Test {
    /// The argument is one of `values`. It is an `int`: its upper half means nothing.
    pub(super) fn is(argument: u32, values: &[u32]) -> Self {
        Self {
            argument,
            half: Half::Low,
            mask: u32::MAX,
            values: values.to_vec(),
            wanted: true,
        }
    }

    /// The argument has these bits of `mask`.
    pub(super) fn has(argument: u32, mask: u32, bits: u32) -> Self {
        Self {
            mask,
            ..Self::is(argument, &[bits])
        }
    }

    /// The argument's upper half is zero.
    pub(super) fn is_short(argument: u32) -> Self {
        Self {
            half: Half::High,
            ..Self::is(argument, &[0])
        }
    }
}

impl std::ops::Not for Test {
    type Output = Self;

    fn not(self) -> Self {
        Self {
            wanted: !self.wanted,
            ..self
        }
    }
}

impl From<Answer> for Rule {
    fn from(otherwise: Answer) -> Self {
        Self {
            cases: Vec::new(),
            otherwise,
        }
    }
}

/// Places in `struct seccomp_data` (seccomp(2)).
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const ARGUMENTS: u32 = 16;

/// `AUDIT_ARCH_*` of linux/audit.h. Other gates into the kernel, that for 32-bit programs, say another.
#[cfg(target_arch = "x86_64")]
pub(super) const OWN_ARCH: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
pub(super) const OWN_ARCH: u32 = 0xc000_00b7;

const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
const AND: u32 = libc::BPF_ALU | libc::BPF_AND | libc::BPF_K;
const JUMP: u32 = libc::BPF_JMP | libc::BPF_JA;
const JUMP_IF_EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
const JUMP_FROM: u32 = libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K;
const RETURN: u32 = libc::BPF_RET | libc::BPF_K;

/// The program for these rules, with an answer for all calls that have none.
pub(super) fn program(rules: &BTreeMap<u32, Rule>, unlisted: Answer) -> BpfProgram {
    let mut program = vec![
        step(LOAD, ARCH),
        branch(JUMP_IF_EQUAL, OWN_ARCH, 1, 0),
        answer(Answer::Kill),
        step(LOAD, NUMBER),
    ];
    program.extend(search(&ranges(rules, unlisted)));
    program
}

/// All numbers: from each of these to the next, one rule.
fn ranges(rules: &BTreeMap<u32, Rule>, unlisted: Answer) -> Vec<(u32, Rule)> {
    let mut ranges = vec![(0, Rule::from(unlisted))];
    for (number, rule) in rules {
        for (from, rule) in [(*number, rule.clone()), (*number + 1, unlisted.into())] {
            // One that begins where the last has begun takes its place.
            ranges.pop_if(|(last, _)| *last == from);
            ranges.push((from, rule));
        }
    }
    ranges.dedup_by(|next, range| next.1 == range.1);
    ranges
}

/// Finds the range that the number is in.
fn search(ranges: &[(u32, Rule)]) -> BpfProgram {
    let (below, above) = match ranges {
        [] => return vec![answer(Answer::Kill)],
        [(_, rule)] => return decide(rule),
        more => more.split_at(more.len() / 2),
    };
    let low = search(below);
    // A conditional jump goes 255 steps at most; further goes an unconditional one.
    let mut steps = match u8::try_from(low.len()) {
        Ok(short) => vec![branch(JUMP_FROM, above[0].0, short, 0)],
        Err(_) => vec![
            branch(JUMP_FROM, above[0].0, 0, 1),
            step(JUMP, length(&low)),
        ],
    };
    steps.extend(low);
    steps.extend(search(above));
    steps
}

fn decide(rule: &Rule) -> BpfProgram {
    let mut steps = Vec::new();
    for case in &rule.cases {
        // From behind, because each test has to know how far it is to the end of the case.
        let mut rest = vec![answer(case.answer)];
        for asked in case.tests.iter().rev() {
            let mut with = test(asked, length(&rest));
            with.append(&mut rest);
            rest = with;
        }
        steps.append(&mut rest);
    }
    steps.push(answer(rule.otherwise));
    steps
}

/// Goes on if the test holds, and jumps over the `rest` if not.
fn test(asked: &Test, rest: u32) -> BpfProgram {
    let half = match asked.half {
        Half::Low => 0,
        Half::High => 4,
    };
    let mut steps = vec![step(LOAD, ARGUMENTS + 8 * asked.argument + half)];
    if asked.mask != u32::MAX {
        steps.push(step(AND, asked.mask));
    }
    let many = asked.values.len();
    for (place, value) in asked.values.iter().enumerate() {
        // Over the other values and the step behind them.
        let over = u8::try_from(many - place).unwrap_or(u8::MAX);
        steps.push(branch(JUMP_IF_EQUAL, *value, over, 0));
    }
    if asked.wanted {
        steps.push(step(JUMP, rest));
    } else {
        steps.extend([step(JUMP, 1), step(JUMP, rest)]);
    }
    steps
}

fn answer(answer: Answer) -> sock_filter {
    let action = match answer {
        Answer::Allow => libc::SECCOMP_RET_ALLOW,
        Answer::Error(number) => libc::SECCOMP_RET_ERRNO | number.cast_unsigned(),
        Answer::Kill => libc::SECCOMP_RET_KILL_PROCESS,
    };
    step(RETURN, action)
}

fn step(code: u32, k: u32) -> sock_filter {
    branch(code, k, 0, 0)
}

fn branch(code: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    // All codes are below 2^8.
    let code = u16::try_from(code).unwrap_or(u16::MAX);
    sock_filter { code, jt, jf, k }
}

fn length(steps: &[sock_filter]) -> u32 {
    // The kernel takes 4,096 steps.
    u32::try_from(steps.len()).unwrap_or(u32::MAX)
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Runs a program as the kernel does. Returns the answer, and after how many steps.
    pub(in crate::sandbox) fn run(
        program: &[sock_filter],
        arch: u32,
        number: u32,
        arguments: [u64; 6],
    ) -> (u32, usize) {
        let mut data = [number, arch].map(u32::to_le_bytes).concat();
        data.extend([0; 8]);
        data.extend(arguments.iter().flat_map(|argument| argument.to_le_bytes()));
        let (mut at, mut held) = (0, 0_u32);
        for steps in 1.. {
            let step = &program[at];
            at += 1;
            let jump = |holds| usize::from(if holds { step.jt } else { step.jf });
            match u32::from(step.code) {
                LOAD => {
                    let place = step.k as usize;
                    held =
                        u32::from_le_bytes(data[place..place + 4].try_into().expect("four bytes"));
                }
                AND => held &= step.k,
                JUMP => at += step.k as usize,
                JUMP_IF_EQUAL => at += jump(held == step.k),
                JUMP_FROM => at += jump(held >= step.k),
                RETURN => return (step.k, steps),
                other => panic!("{other:#x}"),
            }
        }
        unreachable!("the program returns")
    }

    fn holds(test: &Test, arguments: [u64; 6]) -> bool {
        let argument = arguments[test.argument as usize];
        let half = match test.half {
            Half::Low => argument as u32,
            Half::High => (argument >> 32) as u32,
        };
        test.values.contains(&(half & test.mask)) == test.wanted
    }

    fn by_hand(
        rules: &BTreeMap<u32, Rule>,
        unlisted: Answer,
        number: u32,
        arguments: [u64; 6],
    ) -> Answer {
        let Some(rule) = rules.get(&number) else {
            return unlisted;
        };
        let all = |case: &&Case| case.tests.iter().all(|test| holds(test, arguments));
        rule.cases
            .iter()
            .find(all)
            .map_or(rule.otherwise, |case| case.answer)
    }

    fn answers() -> impl Strategy<Value = Answer> {
        prop_oneof![
            Just(Answer::Allow),
            (1..40).prop_map(Answer::Error),
            Just(Answer::Kill)
        ]
    }

    prop_compose! {
        fn tests()(argument in 0_u32..6, high: bool, values in prop::collection::vec(0_u32..4, 1..4),
                   mask in prop_oneof![Just(u32::MAX), Just(3), Just(1)], wanted: bool) -> Test {
            let half = if high { Half::High } else { Half::Low };
            Test { argument, half, mask, values, wanted }
        }
    }

    fn rules() -> impl Strategy<Value = Rule> {
        let case = (prop::collection::vec(tests(), 0..4), answers())
            .prop_map(|(tests, answer)| Case { tests, answer });
        (prop::collection::vec(case, 0..3), answers())
            .prop_map(|(cases, otherwise)| Rule { cases, otherwise })
    }

    proptest! {
        #[test]
        fn does_what_the_table_says(
            unlisted in answers(),
            table in prop::collection::btree_map(0_u32..40, rules(), 0..20),
            arguments in prop::array::uniform6(prop_oneof![0_u64..4, Just(1 << 32), Just(3 << 32 | 2)]),
        ) {
            let program = program(&table, unlisted);
            for number in (0..45).chain([u32::MAX, 0x4000_0001]) {
                let wanted = answer(by_hand(&table, unlisted, number, arguments)).k;
                prop_assert_eq!(run(&program, OWN_ARCH, number, arguments).0, wanted);
            }
            prop_assert_eq!(run(&program, 0x4000_0003, 1, arguments).0, libc::SECCOMP_RET_KILL_PROCESS);
        }
    }
}
