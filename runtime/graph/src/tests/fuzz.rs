//! No text, bytes, stack trace or source map makes the graph panic.

use proptest::prelude::*;

use super::hostile::problems;
use super::*;
use holm_model::visible::is_hidden;

/// Files that `no_text_panics` has failed with.
const HAVE_FAILED: &[(&str, &str)] = &[
    // swc quotes the tag in its message as it stands.
    ("a.jsx", "<'\u{1b}"),
    ("a.jsx", "<\u{1b}"),
    ("a.jsx", "<\"\t"),
    ("a.tsx", "<a b='\u{9b}31m\u{202e}"),
    ("a.js", "import '\u{1b}[2J\u{7f}'"),
    ("a.ts", "import './x\u{1b}]0;title\u{7}.ts'"),
];

fn check_text(name: &str, text: &str) -> Result<(), TestCaseError> {
    // swc's own assertions do fail on some of these, and become a problem like others.
    for problem in problems(name, text) {
        let message = problem.to_string();
        let hidden = message
            .chars()
            .find(|&c| !matches!(c, '\n' | '\t') && is_hidden(c));
        prop_assert!(hidden.is_none(), "{hidden:?} in {message:?}");
    }
    Ok(())
}

#[test]
fn what_has_failed_once_does_not_again() {
    for (name, text) in HAVE_FAILED {
        check_text(name, text).unwrap_or_else(|error| panic!("{name} {text:?}: {error}"));
    }
}

proptest! {
    #[test]
    fn no_text_panics(
        text in prop_oneof![".{0,200}", tokens(), markup()],
        name in prop::sample::select(&["a.js", "a.jsx", "a.ts", "a.tsx", "a.mts"][..]),
    ) {
        check_text(name, &text)?;
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
            let graph = folder.load("index.js");
            let maps = graph.source_maps();
            for column in [0, 1, 20, u32::MAX] {
                let trace = format!("{stack}\n    at x (file:///index.js:1:{column})\n at {stack}");
                let mapped = maps.remap(&trace);
                prop_assert_eq!(mapped.split('\n').count(), trace.split('\n').count());
                let _ = maps.code_frame(&mapped).map(|frame| frame.to_string());
            }
        }
    }
}

/// What parsers quote in their messages, with characters in it that a terminal obeys.
fn markup() -> impl Strategy<Value = String> {
    let pieces = &[
        "<", ">", "</", "'", "\"", "`", "a", "=", "{", "}", "(", "import ", "from ", "\\", "&",
        ";", "/", "\u{1b}", "\u{7}", "\u{7f}", "\u{9b}", "\u{202e}", "\u{2028}", "\r",
    ][..];
    prop::collection::vec(prop::sample::select(pieces), 0..12).prop_map(|pieces| pieces.concat())
}

/// Words in an order that a grammar would not make, closer to a parser's edges than noise.
fn tokens() -> impl Strategy<Value = String> {
    let words = &[
        "import",
        "export",
        "from",
        "'./a.js'",
        "default",
        "{",
        "}",
        "(",
        ")",
        "[",
        "]",
        "<",
        ">",
        "type",
        "as",
        "with",
        ":",
        ";",
        ",",
        "=>",
        "=",
        "class",
        "extends",
        "enum",
        "namespace",
        "@",
        "async",
        "await",
        "function",
        "`",
        "${",
        "/",
        "/*",
        "*/",
        "//",
        "\n",
        "<a>",
        "</a>",
        "...",
        "?.",
        "satisfies",
        "declare",
        "abstract",
        "using",
        "#x",
        "x",
        "1",
        "\\u",
        "😀",
        "!",
    ][..];
    prop::collection::vec(prop::sample::select(words), 0..40).prop_map(|words| words.join(" "))
}
