//! Stack traces back to the source.

use super::*;
use crate::frame::Position;
use crate::stack::Origin;

const TS: &str = "interface A { a: string }\n\
                  enum E { X }\n\
                  export function thrower(a: A): never {\n\
                  \x20 throw new Error(a.a + E.X);\n\
                  }\n";

/// The V8 position of `needle` in the code that runs.
fn generated(graph: &ModuleGraph, needle: &str) -> Position {
    let offset = code(graph).find(needle).expect("the needle is in the code");
    Position::of(code(graph), offset)
}

#[test]
fn typescript_positions_map_to_the_line_that_was_written() {
    let graph = one("index.ts", TS);
    let maps = graph.source_maps();
    let place = generated(&graph, "new Error");
    assert_ne!(place.line, 4);
    assert_eq!(
        maps.map("file:///index.ts", place),
        Some(Origin {
            file: "index.ts".into(),
            position: Position { line: 4, column: 9 },
        })
    );
    let stack = format!(
        "Error: file:///index.ts:1:1\n    at thrower (file:///index.ts:{0}:{1})\n    \
         at async file:///index.ts:{0}:{1}\r\n    at async Promise.all (index 0)\n    \
         at eval (eval at x (file:///index.ts:{0}:{1}), <anonymous>:1:1)\n    \
         at ext:core/mod.js:1:2\n    at emit (ext:deno_web/02_event.js:1:2)\n    \
         at file:///other.js:1:2\n    at file:///index.ts\n    at file:///index.ts:99999999999:1",
        place.line, place.column
    );
    let mapped = maps.remap(&stack);
    assert_eq!(
        mapped,
        "Error: file:///index.ts:1:1\n    at thrower (index.ts:4:9)\n    \
         at async index.ts:4:9\r\n    at async Promise.all (index 0)\n    \
         at eval (eval at x (index.ts:4:9), <anonymous>:1:1)\n    \
         at file:///other.js:1:2\n    at file:///index.ts\n    at file:///index.ts:99999999999:1"
    );
    // Once is enough.
    assert_eq!(maps.remap(&mapped), mapped);
    let frame = maps.code_frame(&mapped).expect("the first frame is ours");
    assert_eq!(
        frame.to_string(),
        "  --> index.ts:4:9\n  |\n2 | enum E { X }\n3 | export function thrower(a: A): never {\n\
         4 |   throw new Error(a.a + E.X);\n  |         ^\n5 | }"
    );
}

#[test]
fn the_place_of_a_module_that_does_not_link_is_in_the_message() {
    let graph = one("index.ts", TS);
    let place = generated(&graph, "new Error");
    let stack = format!(
        "SyntaxError: a at file:///index.ts:{}:{}",
        place.line, place.column
    );
    let maps = graph.source_maps();
    assert_eq!(maps.remap(&stack), "SyntaxError: a at index.ts:4:9");
    assert_eq!(
        maps.remap(&format!("Error: x\n{stack}")),
        format!("Error: x\n{stack}")
    );
}

#[test]
fn plain_javascript_is_named_by_file() {
    let graph = one("a b.js", "throw 1");
    let maps = graph.source_maps();
    // deno_core decodes; V8 does not.
    for specifier in ["file:///a%20b.js", "file:///a b.js"] {
        assert_eq!(
            maps.remap(&format!("x\n    at {specifier}:1:1")),
            "x\n    at a b.js:1:1"
        );
    }
    let frame = maps.code_frame("x\n    at async a b.js:1:1");
    assert_eq!(
        frame.map(|frame| frame.to_string()),
        Some("  --> a b.js:1:1\n  |\n1 | throw 1\n  | ^".into())
    );
    assert!(maps.code_frame("x\n    at f (other.js:1:1)").is_none());
    let evaluated = "x\n    at f (eval at g (a b.js:1:1), <anonymous>:7:1)\n    at g (a b.js:1:2)";
    let frame = maps.code_frame(evaluated).expect("the caller is ours");
    assert_eq!(frame.position(), Position { line: 1, column: 2 });
}

/// Line 1, column 0 → ../src/greet.ts:2:3; column 8 → a package's file; 16, 24: absolute ones.
const MAP: &str = r#"{"version":3,
    "sources":["../src/greet.ts","../../node_modules/hono/x.js","webpack://a/x.ts","file:///home/me/y.ts"],
    "sourcesContent":["one\n  greet()\n",null],"names":[],"mappings":"AACE,QCDF,QCAA,QCAA"}"#;

#[test]
fn a_bundle_maps_to_the_sources_it_was_made_from() {
    let folder = Folder::with(&[
        (
            "dist/index.js",
            "throw 1; throw 2; throw 3; throw 4\n//# sourceMappingURL=index.js.map",
        ),
        ("dist/index.js.map", MAP),
    ]);
    let graph = folder.load("dist/index.js");
    let maps = graph.source_maps();
    let at = |line, column| {
        let origin = maps.map("file:///dist/index.js", Position { line, column });
        origin.map(|origin| {
            let Position { line, column } = origin.position;
            format!("{}:{line}:{column}", origin.file)
        })
    };
    assert_eq!(at(1, 1).as_deref(), Some("src/greet.ts:2:3"));
    assert_eq!(at(1, 9).as_deref(), Some("../node_modules/hono/x.js:1:1"));
    assert_eq!(at(1, 17).as_deref(), Some("webpack://a/x.ts:1:1"));
    assert_eq!(at(1, 25).as_deref(), Some("/home/me/y.ts:1:1"));
    // The second line has no mapping; the nearest one above is not the answer.
    assert_eq!(at(2, 1).as_deref(), Some("dist/index.js:2:1"));
    assert_eq!(at(0, 0).as_deref(), Some("dist/index.js:0:0"));
    let frame = |stack| maps.code_frame(stack).map(|frame| frame.to_string());
    assert_eq!(
        frame("Error\n    at x (src/greet.ts:2:3)").as_deref(),
        Some("  --> src/greet.ts:2:3\n  |\n1 | one\n2 |   greet()\n  |   ^")
    );
    // The map came without its text: the place is known all the same.
    assert_eq!(
        frame("Error\n    at ../node_modules/hono/x.js:1:1\n    at x (src/greet.ts:2:3)")
            .as_deref(),
        Some("  --> ../node_modules/hono/x.js:1:1")
    );
}

#[test]
fn a_bundle_that_is_compiled_again_maps_through_both() {
    let inline = format!(
        "data:application/json,{}",
        MAP.replace('\n', "")
            .replace(' ', "%20")
            .replace('"', "%22")
    );
    let text = format!("throw 1; throw 2 as any\n//# sourceMappingURL={inline}\n// The end.\n");
    let graph = one("dist/index.ts", &text);
    assert_eq!(graph.main().source_maps.len(), 2);
    assert!(!code(&graph).contains("data:"), "{}", code(&graph));
    let place = generated(&graph, "throw 2");
    assert_eq!(place.line, 2);
    assert_eq!(
        graph.source_maps().remap(&format!(
            "x\n    at file:///dist/index.ts:{}:{}",
            place.line, place.column
        )),
        "x\n    at ../node_modules/hono/x.js:1:1"
    );
}

#[test]
fn a_map_in_sections_is_one_map() {
    let map =
        format!(r#"{{"version":3,"sections":[{{"offset":{{"line":1,"column":0}},"map":{MAP}}}]}}"#);
    let folder = Folder::with(&[
        (
            "dist/index.js",
            "\nthrow 1\n//# sourceMappingURL=index.js.map",
        ),
        ("dist/index.js.map", &map),
    ]);
    let graph = folder.load("dist/index.js");
    assert_eq!(
        graph
            .source_maps()
            .remap("x\n    at file:///dist/index.js:2:1"),
        "x\n    at src/greet.ts:2:3"
    );
}

#[test]
fn a_map_whose_numbers_overflow_is_no_map() {
    let far = |map: &str| {
        format!(
            r#"{{"version":3,"sections":[{{"offset":{{"line":4294967295,"column":4294967295}},"map":{map}}}]}}"#
        )
    };
    let range =
        r#"{"version":3,"sources":["x"],"names":[],"mappings":"UAAA;","rangeMappings":"B"}"#;
    for map in [far(&MAP.replace("AACE", ";AACE")), range.to_owned()] {
        let folder = Folder::with(&[
            ("index.js", "throw 1\n\n//# sourceMappingURL=index.js.map"),
            ("index.js.map", &map),
        ]);
        let graph = folder.load("index.js");
        let stack = "x\n    at file:///index.js:2:1";
        assert_eq!(graph.source_maps().remap(stack), "x\n    at index.js:2:1");
    }
}

#[test]
fn v8_sees_no_inline_map_that_would_be_applied_a_second_time() {
    let inline = "//# sourceMappingURL=data:application/json;base64,e30=";
    let texts = [
        (format!("1;{inline}\n"), "1;//# sourceMappingURL=none"),
        (
            format!("{inline}\n1;//# sourceMappingURL=x.map"),
            "//# sourceMappingURL=data:application/json;base64,e30=\n1;//# sourceMappingURL=none",
        ),
        (
            format!("{inline}\n1"),
            "//# sourceMappingURL=data:application/json;base64,e30=\n1\n//# sourceMappingURL=none",
        ),
        (
            "1\n//# sourceMappingURL=x.map".to_owned(),
            "1\n//# sourceMappingURL=x.map",
        ),
    ];
    for (text, seen) in texts {
        assert_eq!(code(&one("index.js", &text)), seen);
    }
}

#[test]
fn a_broken_map_leaves_the_trace_as_it_is() {
    for json in ["", "{", "[]", r#"{"version":3,"mappings":"!!!"}"#] {
        let folder = Folder::with(&[
            ("index.js", "throw 1\n//# sourceMappingURL=index.js.map"),
            ("index.js.map", json),
        ]);
        let graph = folder.load("index.js");
        let stack = "Error\n    at file:///index.js:1:1";
        assert_eq!(
            graph.source_maps().remap(stack),
            "Error\n    at index.js:1:1"
        );
    }
}
