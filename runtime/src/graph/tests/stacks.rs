//! Stack traces back to the source.

use super::*;
use crate::graph::frame::Position;
use crate::graph::stack::Origin;

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
            name: None,
        })
    );
    let stack = format!(
        "Error: file:///index.ts:1:1\n    at thrower (file:///index.ts:{0}:{1})\n    \
         at async file:///index.ts:{0}:{1}\r\n    at async Promise.all (index 0)\n    \
         at eval (eval at x (file:///index.ts:{0}:{1}), <anonymous>:1:1)\n    \
         at ext:core/mod.js:1:2\n    at file:///other.js:1:2\n    at file:///index.ts\n    at file:///index.ts:99999999999:1",
        place.line, place.column
    );
    assert_eq!(
        maps.remap_stack(&stack),
        "Error: file:///index.ts:1:1\n    at thrower (index.ts:4:9)\n    \
         at async index.ts:4:9\r\n    at async Promise.all (index 0)\n    \
         at eval (eval at x (index.ts:4:9), <anonymous>:1:1)\n    \
         at ext:core/mod.js:1:2\n    at file:///other.js:1:2\n    at file:///index.ts\n    at file:///index.ts:99999999999:1"
    );
    let frame = maps.code_frame(&stack).expect("the first frame is ours");
    assert_eq!(
        frame.to_string(),
        "  --> index.ts:4:9\n  |\n2 | enum E { X }\n3 | export function thrower(a: A): never {\n\
         4 |   throw new Error(a.a + E.X);\n  |         ^\n5 | }"
    );
}

#[test]
fn plain_javascript_is_named_by_file() {
    let graph = one("a b.js", "throw 1");
    let maps = graph.source_maps();
    assert_eq!(
        maps.remap_stack("x\n    at file:///a%20b.js:1:1"),
        "x\n    at a b.js:1:1"
    );
    assert!(
        maps.map("file:///a%20b.js", Position { line: 1, column: 1 })
            .is_none()
    );
    let frame = maps.code_frame("x\n    at file:///a%20b.js:1:1");
    assert_eq!(
        frame.map(|frame| frame.to_string()),
        Some("  --> a b.js:1:1\n  |\n1 | throw 1\n  | ^".into())
    );
}

#[test]
fn a_bundle_maps_to_the_sources_it_was_made_from() {
    // Line 1, column 0 → ../src/greet.ts:2:3, named `greet`; column 8 → a package's file.
    let map = r#"{"version":3,"sources":["../src/greet.ts","../../node_modules/hono/x.js"],
        "sourcesContent":["one\n  greet()\n",null],"names":["greet"],"mappings":"AACEA,QCDF"}"#;
    let folder = Folder::with(&[
        (
            "dist/index.js",
            "throw 1; throw 2\n//# sourceMappingURL=index.js.map",
        ),
        ("dist/index.js.map", map),
    ]);
    let maps = folder.load("dist/index.js").source_maps();
    let at = |column| {
        maps.map("file:///dist/index.js", Position { line: 1, column })
            .map(|origin| (origin.file, origin.position, origin.name))
    };
    let position = |line, column| Position { line, column };
    assert_eq!(
        at(1),
        Some(("src/greet.ts".into(), position(2, 3), Some("greet".into())))
    );
    assert_eq!(
        at(9),
        Some(("../node_modules/hono/x.js".into(), position(1, 1), None))
    );
    let frame = maps.code_frame("Error\n    at x (file:///dist/index.js:1:1)");
    assert_eq!(
        frame.map(|frame| frame.to_string()),
        Some("  --> src/greet.ts:2:3\n  |\n1 | one\n2 |   greet()\n  |   ^".into())
    );
    // The second line has no mapping; the nearest one above is not the answer.
    assert!(maps.map("file:///dist/index.js", position(2, 1)).is_none());
    assert!(maps.map("file:///dist/index.js", position(0, 0)).is_none());
}

#[test]
fn a_broken_map_leaves_the_trace_as_it_is() {
    for json in ["", "{", "[]", r#"{"version":3,"mappings":"!!!"}"#] {
        let folder = Folder::with(&[
            ("index.js", "throw 1\n//# sourceMappingURL=index.js.map"),
            ("index.js.map", json),
        ]);
        let maps = folder.load("index.js").source_maps();
        let stack = "Error\n    at file:///index.js:1:1";
        assert_eq!(maps.remap_stack(stack), "Error\n    at index.js:1:1");
    }
}
