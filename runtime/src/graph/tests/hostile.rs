//! Files that try to hurt the process that loads them.

use proptest::prelude::*;

use super::*;
use crate::graph::{GraphProblem, ProblemKind};

/// Levels of nesting at which stacks and limits are nearly full, and well beyond them. The
/// right ones to try depend on the build; these two are near the limit in debug builds.
const LEVELS: [usize; 2] = [4_500, 9_900];
/// A quarter of a million levels of the shortest nests.
const BOMB_BYTES: usize = 512 << 10;

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
fn nests_of_every_kind_compile_or_are_refused() {
    for (name, open, middle, close) in NESTS {
        // The transforms run for TypeScript only; JavaScript's nests are TypeScript too.
        let name = if *name == "a.js" { "a.ts" } else { *name };
        for count in LEVELS {
            // Surviving is the point: an overflow would end the process, not the test.
            let found = problems(name, &nest(count, open, middle, close));
            let panicked = found
                .iter()
                .any(|problem| problem.to_string().contains("panicked"));
            assert!(!panicked, "{count} of {open}{middle}{close}: {found:?}");
        }
    }
}

#[test]
fn bombs_are_refused_and_dropped_without_overflow() {
    for (name, text) in [
        ("a.js", nest(BOMB_BYTES / 2, "(", "1", ")")),
        ("a.js", nest(BOMB_BYTES / 2, "a.", "a", "")),
        ("a.js", nest(BOMB_BYTES / 2, "1+", "1", "")),
        ("a.ts", nest(BOMB_BYTES / 2, "a", "", "!")),
        ("a.ts", format!("let x:A{}", "[]".repeat(BOMB_BYTES / 2))),
        ("a.tsx", nest(BOMB_BYTES / 8, "<a>", "", "</a>")),
    ] {
        let found = problems(name, &text);
        assert!(
            matches!(&found[..], [one] if matches!(one.kind, ProblemKind::TooDeep { .. })),
            "{name}: {found:?}"
        );
    }
}

#[test]
fn a_chain_as_long_as_generated_code_makes_it_compiles() {
    let text = nest(4_000, "'a' +\n", "'b'", "");
    assert!(problems("a.js", &text).is_empty());
    assert!(problems("a.ts", &text).is_empty());
}

#[test]
fn exponential_backtracking_is_cut_off() {
    let found = problems("a.ts", &nest(60, "<T>(", "a", ")"));
    assert!(
        matches!(&found[..], [one] if matches!(one.kind, ProblemKind::TooComplex { .. })),
        "{found:?}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig {  failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_panics(
        text in prop_oneof![".{0,200}", tokens()],
        name in prop::sample::select(&["a.js", "a.jsx", "a.ts", "a.tsx", "a.mts"][..]),
    ) {
        // swc's own assertions do fail on some of these, and become a problem like others.
        for problem in problems(name, &text) {
            let message = problem.to_string();
            prop_assert!(!message.contains('\u{1b}'), "{message}");
        }
    }

    #[test]
    fn no_json_or_bytes_panic(contents in prop::collection::vec(any::<u8>(), 0..200)) {
        let folder = Folder::with(&[(
            "index.js",
            "import './a.json'; import './a.txt'; import './a.wasm'; import './b.js'",
        )]);
        for name in ["a.json", "a.txt", "a.wasm", "b.js"] {
            folder.write(name, &contents);
        }
        let _ = folder.try_load("index.js").map_err(|error| error.to_string());
    }

    #[test]
    fn no_stack_trace_or_source_map_panics(stack in ".{0,200}", map in ".{0,100}", mappings in "[A-Za-z0-9+/,;]{0,60}") {
        for map in [map, format!(r#"{{"version":3,"sources":["x"],"names":["n"],"mappings":"{mappings}"}}"#)] {
            let folder = Folder::with(&[
                ("index.js", "//# sourceMappingURL=index.js.map"),
                ("index.js.map", &map),
            ]);
            let maps = folder.load("index.js").source_maps();
            for column in [0, 1, 20, u32::MAX] {
                let trace = format!("{stack}\n    at x (file:///index.js:1:{column})\n at {stack}");
                let mapped = maps.remap_stack(&trace);
                prop_assert_eq!(mapped.lines().count(), trace.lines().count());
                let _ = maps.code_frame(&trace).map(|frame| frame.to_string());
            }
        }
    }
}

/// Words in an order that a grammar would not make, closer to a parser's edges than noise.
fn tokens() -> impl Strategy<Value = String> {
    let words = &[
        "import", "export", "from", "'./a.js'", "default", "{", "}", "(", ")", "[", "]", "<", ">",
        "type", "as", "with", ":", ";", ",", "=>", "=", "class", "extends", "enum", "namespace",
        "@", "async", "await", "function", "`", "${", "/", "/*", "*/", "//", "\n", "<a>", "</a>",
        "...", "?.", "satisfies", "declare", "abstract", "using", "#x", "x", "1", "\\u", "😀", "!",
    ][..];
    prop::collection::vec(prop::sample::select(words), 0..40).prop_map(|words| words.join(" "))
}
