//! No text, bytes, stack trace or source map makes the graph panic.

use proptest::prelude::*;

use super::hostile::problems;
use super::*;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

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
