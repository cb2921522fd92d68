//! What compiles, and to what.

use super::*;

#[test]
fn javascript_runs_as_written() {
    let text =
        "#!/usr/bin/env holm\r\n// π 😀\r\nexport default { fetch: () => new Response('ok') }\r\n";
    let graph = one("index.js", text);
    assert_eq!(code(&graph), text);
    assert!(graph.main().source_maps.is_empty());
}

#[test]
fn a_byte_order_mark_is_dropped() {
    for name in ["index.js", "index.ts"] {
        let graph = one(name, "\u{feff}export default 1;\n");
        assert_eq!(code(&graph), "export default 1;\n");
    }
}

#[test]
fn typescript_loses_its_types_and_nothing_else() {
    let folder = Folder::with(&[
        (
            "index.ts",
            "import type { A } from './only-types.ts';\n\
             import { B, type C } from './b.ts';\n\
             import { D } from './missing-but-only-a-type.ts';\n\
             export type { E } from './e.d.ts';\n\
             import './effect.ts';\n\
             enum Color { Red, Green = 5 }\n\
             namespace N { export const x = 1 }\n\
             const config = { a: 1 } satisfies Record<string, number> as const;\n\
             class P { constructor(private readonly q: number, r?: string) {} }\n\
             function f<T extends D>(this: A, x?: T, ...rest: C[]): x is T { return !!x!; }\n\
             abstract class G<in out T> { declare z?: T; abstract m(): void }\n\
             export default { fetch: (): Response => new Response(B + Color.Red + N.x) };",
        ),
        ("b.ts", "export const B = 1; export type C = 2"),
        ("effect.ts", "export {}"),
    ]);
    let graph = folder.load("index.ts");
    assert_eq!(graph.modules().len(), 3);
    let code = code(&graph);
    for kept in ["./b.ts", "./effect.ts", "Color", "this.q = q"] {
        assert!(code.contains(kept), "{kept} in\n{code}");
    }
    for gone in [
        "only-types",
        "missing",
        "./e.d.ts",
        "enum",
        "namespace",
        "satisfies",
        "declare",
    ] {
        assert!(!code.contains(gone), "{gone} in\n{code}");
    }
    assert_eq!(
        graph.main().original().map(|text| &text[..11]),
        Some("import type")
    );
    assert_eq!(graph.main().source_maps.len(), 1);
}

#[test]
fn decorators_of_the_language_compile_in_typescript() {
    let graph = one(
        "index.ts",
        "const log = (f: Function, _: unknown) => f; class A { @log m() {} } export default A;",
    );
    assert!(!code(&graph).contains("@log"), "{}", code(&graph));
}

#[test]
fn jsx_imports_its_runtime() {
    let view = "/** @jsxImportSource ./h */\nexport default () => <p class=\"a\">hi</p>;";
    for (name, runtime) in [
        ("index.jsx", "h/jsx-runtime.js"),
        ("index.tsx", "h/jsx-runtime.ts"),
    ] {
        let folder = Folder::with(&[(name, view), (runtime, "export const jsx = () => 1;")]);
        let graph = folder.load(name);
        assert_eq!(graph.modules().len(), 2);
        assert!(code(&graph).contains("_jsx(\"p\""), "{}", code(&graph));
    }
    let message = broken("index.jsx", "export default () => <p/>;");
    assert!(message.contains("jsxImportSource"), "{message}");
}

#[test]
fn unused_imports_stay_where_there_are_no_types() {
    let folder = Folder::with(&[
        ("index.jsx", "import x from './x.js'; export default 1"),
        ("x.js", "export default 1"),
    ]);
    assert_eq!(folder.load("index.jsx").modules().len(), 2);
}

#[test]
fn modern_syntax_that_v8_runs_is_accepted() {
    let texts = [
        "await 1; using a = null; { await using b = null }",
        "export { x as 'a b' }; const x = 1;",
        "class A { static { this.#p = 1 } static #p; accessor; static async *[Symbol.iterator]() {} }",
        "import.meta.url; label: for await (const a of []) { break label }",
        "const r = /(?<y>a)|[\\p{L}--[a-z]]/v; 1_000n ** 2n; a ??= b?.c?.[0]?.();\nvar a, b",
        "const html = `${`${'<p>'}`}` / 2; if (1) /re/.test(''); x\n/1/g\nvar x, g",
        "export default class extends Object {}\n<!--x\n"
            .split('<')
            .next()
            .unwrap_or_default(),
    ];
    for text in texts {
        one("index.js", text);
    }
}

fn shipped(graph: &ModuleGraph) -> Vec<&[u8]> {
    let maps = &graph.main().source_maps;
    maps.iter().map(|map| &**map).collect()
}

#[test]
fn a_shipped_source_map_is_read_inside_the_folder_only() {
    let map = r#"{"version":3,"sources":["../src/a.ts"],"names":[],"mappings":"AAAA"}"#;
    let adjacent = Folder::with(&[
        (
            "dist/index.js",
            "export default 1\n//# sourceMappingURL=index.js.map\n",
        ),
        ("dist/index.js.map", map),
    ]);
    let graph = adjacent.load("dist/index.js");
    assert_eq!(shipped(&graph), [map.as_bytes()]);
    assert_eq!(graph.watch_paths().count(), 2);

    let inline = "//# sourceMappingURL=data:application/json;base64,e30=";
    let graph = one("index.js", &format!("export default 1;{inline}"));
    assert_eq!(shipped(&graph), [&b"{}"[..]]);

    let outer = Folder::with(&[
        ("f/index.js", "//# sourceMappingURL=../secret.map"),
        ("secret.map", map),
        ("f/big.js", "//# sourceMappingURL=big.js.map"),
        ("f/big.js.map", &"x".repeat(1_001)),
        (
            "f/none.js",
            "//# sourceMappingURL=https://example.com/x.map",
        ),
        (
            "f/string.js",
            "const s = '//# sourceMappingURL=big.js.map'\n;",
        ),
    ]);
    // One fits, and leaves no room for a second.
    let half = "x".repeat(600);
    let two = Folder::with(&[
        ("index.js", "import './b.js'\n//# sourceMappingURL=a.map"),
        ("b.js", "//# sourceMappingURL=b.map"),
        ("a.map", &half),
        ("b.map", &half),
    ]);
    let graph = ModuleGraph::load_within(
        &two.path().join("index.js"),
        two.path(),
        &tiny(),
        Compiler::Here,
    );
    let graph = graph.expect("a script runs without its map");
    let read = graph
        .modules()
        .iter()
        .map(|module| module.source_maps.len());
    assert_eq!(read.collect::<Vec<_>>(), [1, 0]);

    for name in ["index.js", "big.js", "none.js", "string.js"] {
        let root = outer.path().join("f");
        let graph = ModuleGraph::load_within(&root.join(name), &root, &tiny(), Compiler::Here);
        let graph = graph.expect("a script runs without its map");
        assert!(shipped(&graph).is_empty(), "{name}");
    }
}
