//! Files that try to hurt the process that loads them.

use proptest::prelude::*;

use super::*;
use crate::graph::{GraphProblem, ProblemKind};

/// Nesting beyond any stack: 1.5 million levels at least, refused and not crashed on.
const BOMB_BYTES: usize = 300 << 10;

fn problems(name: &str, text: &str) -> Vec<GraphProblem> {
    match Folder::with(&[(name, text)]).try_load(name) {
        Ok(_) => Vec::new(),
        Err(error) => error.problems,
    }
}

/// `count` times `open`, `middle`, `count` times `close`.
fn nest(count: usize, open: &str, middle: &str, close: &str) -> String {
    format!("{}{middle}{}", open.repeat(count), close.repeat(count))
}

/// Every way to nest that the parser takes by recursion, and by loops.
const NESTS: &[(&str, &str, &str, &str)] = &[
    ("a.js", "(", "1", ")"),
    ("a.js", "[", "1", "]"),
    ("a.js", "x={a:", "1", "}"),
    ("a.js", "{", "", "}"),
    ("a.js", "!", "1", ""),
    ("a.js", "- ", "1", ""),
    ("a.js", "typeof ", "1", ""),
    ("a.js", "await ", "1", ""),
    ("a.js", "new ", "X", ""),
    ("a.js", "a=>", "1", ""),
    ("a.js", "a=", "1", ""),
    ("a.js", "a?", "1", ":1"),
    ("a.js", "a?1:", "1", ""),
    ("a.js", "2**", "1", ""),
    ("a.js", "1+", "1", ""),
    ("a.js", "1,", "1", ""),
    ("a.js", "a??", "1", ""),
    ("a.js", "a.", "a", ""),
    ("a.js", "a?.", "a", ""),
    ("a.js", "a[", "1", "]"),
    ("a.js", "a(", "1", ")"),
    ("a.js", "a", "", "[0]"),
    ("a.js", "a\n", "", "()"),
    ("a.js", "a", "", "``"),
    ("a.js", "`${", "1", "}`"),
    ("a.js", "if(a)", ";", ""),
    ("a.js", "if(a);else ", ";", ""),
    ("a.js", "if(a){}else ", ";", ""),
    ("a.js", "for(;;)", ";", ""),
    ("a.js", "while(a)", ";", ""),
    ("a.js", "try{", "", "}catch{}"),
    ("a.js", "switch(a){default:", "", "}"),
    ("a.js", "function f(){", "", "}"),
    ("a.js", "(function(){", "", "}())"),
    ("a.js", "class A{static{", "", "}}"),
    ("a.js", "class A extends ", "B{}", "{}"),
    ("a.js", "(class{[", "1", "](){}})"),
    ("a.js", "async()=>{", "", "}"),
    ("a.js", "(a=", "1", ")=>1"),
    ("a.js", "import(", "'./a.js'", ")"),
    ("a.js", "({a:", "b", "}=1)"),
    ("a.ts", "(", "1", ")"),
    ("a.ts", "let x:(", "1", ")"),
    ("a.ts", "type X=A<", "B", ">;"),
    ("a.ts", "type X=[", "B", "]"),
    ("a.ts", "type X={a:", "B", "}"),
    ("a.ts", "type X=B", "", "[]"),
    ("a.ts", "type X=keyof ", "B", ""),
    ("a.ts", "type X=A extends B?", "C", ":D"),
    ("a.ts", "type X=", "()=>1", ""),
    ("a.ts", "type X=()=>", "1", ""),
    ("a.ts", "let x:A.", "A", ""),
    ("a.ts", "<T>", "x", ""),
    ("a.ts", "a", "", "!"),
    ("a.ts", "a", "", " as T"),
    ("a.ts", "f", "", "<T>()"),
    ("a.ts", "namespace A{", "", "}"),
    ("a.ts", "namespace A.", "A{}", ""),
    ("a.ts", "@(", "1", ")class A{}"),
    ("a.ts", "enum A{a=", "1", "}"),
    ("a.tsx", "<a>", "", "</a>"),
    ("a.tsx", "<a b={", "1", "}/>"),
    ("a.tsx", "<", "a", "/>"),
    ("a.tsx", "<a.", "a", "/>"),
    ("a.tsx", "<>{", "1", "}</>"),
];

#[test]
fn nesting_bombs_are_refused_and_dropped_without_overflow() {
    for (name, open, middle, close) in NESTS {
        eprintln!("{name} {open}{middle}{close}");
        let start = std::time::Instant::now();
        let count = BOMB_BYTES / (open.len() + close.len());
        let text = nest(count, open, middle, close);
        // Some are syntax errors at once, one (`1,`) is flat; none may end the process.
        let problems = problems(name, &text);
        eprintln!(
            "  {:?} {:?}",
            start.elapsed(),
            problems.first().map(|p| p.kind.to_string())
        );
    }
    for (name, text) in [
        ("a.js", nest(BOMB_BYTES / 2, "(", "1", ")")),
        ("a.js", nest(BOMB_BYTES / 2, "a.", "a", "")),
        ("a.ts", nest(BOMB_BYTES / 2, "a", "", "!")),
    ] {
        let found = problems(name, &text);
        assert!(
            matches!(&found[..], [one] if matches!(one.kind, ProblemKind::TooDeep { .. })),
            "{found:?}"
        );
    }
}

/// What is accepted must be safe to transform, visit, print and drop: tries each nest at the
/// depths where the tree, and where the parser's stack, are about as full as they may be.
#[test]
fn the_deepest_trees_that_are_accepted_compile() {
    for (name, open, middle, close) in NESTS {
        // The transforms run for TypeScript only; JavaScript's nests are TypeScript too.
        let name = if *name == "a.js" { "a.ts" } else { *name };
        for count in [9_900, 4_500] {
            let start = std::time::Instant::now();
            let found = problems(name, &nest(count, open, middle, close));
            eprintln!("{name} {open}{middle}{close} {count} {:?} {:?}", start.elapsed(), found.first().map(|p| p.kind.to_string()));
        }
    }
}

#[test]
fn exponential_backtracking_is_cut_off() {
    for text in [
        nest(60, "(", "a", ")"),
        nest(60, "(a=(", "1", ")=>1)=>1"),
        nest(60, "a?(", "b", "):c=>d:e"),
        nest(60, "<T>(", "a", ")"),
        nest(60, "f<", "a", ">(b)"),
        nest(60, "(x?:", "y", ")"),
        nest(60, "async(", "y", ")"),
        nest(60, "async <T>(a=", "y", ")=>1"),
    ] {
        for name in ["a.js", "a.ts", "a.tsx"] {
            let start = std::time::Instant::now();
            let found = problems(name, &text);
            eprintln!("{name} {} {:?} {:?}", &text[..10], start.elapsed(), found.first().map(|p| p.kind.to_string()));
        }
    }
}
