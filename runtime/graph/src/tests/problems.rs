//! What each problem says: the sentence, the place, the fix.

use super::*;

/// The message of `text` as `index.js` next to some files.
fn message(text: &str) -> String {
    Folder::with(&[
        ("index.js", text),
        ("route.js", ""),
        ("types.ts", ""),
        ("Case.js", ""),
        ("dir/index.js", ""),
        ("style.css", ""),
        ("old.cjs", ""),
        ("bad.json", "{\n  \"a\": 1,\n}"),
        ("bad.wasm", "(module)"),
    ])
    .message("index.js")
}

#[test]
fn a_syntax_error_has_its_place() {
    assert_eq!(
        broken(
            "src/index.js",
            "// é\nexport default {\n\tfetch() {\n\t\treturn new Response(;\n\t}\n}\n"
        ),
        "syntax error: Expression expected
  --> src/index.js:4:23
  |
2 | export default {
3 |     fetch() {
4 |         return new Response(;
  |                             ^
5 |     }
6 | }"
    );
}

#[test]
fn what_is_missing_at_the_end_is_shown_after_the_last_word() {
    assert_eq!(
        broken(
            "index.js",
            "export default {\n  fetch() {\n    return 1\n  }\n\n\n"
        ),
        "syntax error: Expected ',', got '<eof>'
  --> index.js:4:4
  |
2 |   fetch() {
3 |     return 1
4 |   }
  |    ^"
    );
}

#[test]
fn another_language_is_recognised() {
    for (name, text, help) in [
        ("a.js", "const a = <p/>", "this is JSX: name the file .jsx"),
        (
            "a.js",
            "let a: number",
            "this is TypeScript: name the file .ts",
        ),
        (
            "a.js",
            "const a: A = <p/>",
            "this is TypeScript with JSX: name the file .tsx",
        ),
        (
            "a.jsx",
            "let a: A = <p/>",
            "this is TypeScript with JSX: name the file .tsx",
        ),
        (
            "a.ts",
            "const a = <p>x</p>",
            "this is JSX: name the file .tsx",
        ),
        (
            "a.tsx",
            "const a = <any>b",
            "this is TypeScript without JSX: name the file .ts",
        ),
    ] {
        let message = broken(name, text);
        assert!(message.ends_with(&format!("\nhelp: {help}")), "{message}");
    }
    assert!(!broken("a.js", "let let").contains("help"));
}

#[test]
fn a_package_needs_a_bundler() {
    assert_eq!(
        message("import { Hono } from 'hono';"),
        "cannot import the package \"hono\": Holm reads files, not node_modules
  --> index.js:1:22
  |
1 | import { Hono } from 'hono';
  |                      ^^^^^^
help: bundle npm packages into one file and set `main` to it:
  npx esbuild index.js --bundle --format=esm --sourcemap --outfile=dist/index.js
or start the path of a file with \"./\""
    );
    assert!(
        message("import fs from 'fs'")
            .ends_with("help: this is a module of Node.js; a function has no file system; import the file with { type: \"text\" } or { type: \"bytes\" }")
    );
}

#[test]
fn each_scheme_has_its_own_hint() {
    for (specifier, hint) in [
        (
            "node:buffer",
            "use Uint8Array with TextEncoder and TextDecoder",
        ),
        ("node:test", "Holm has the web's APIs, not Node's"),
        ("npm:hono", "install the package and bundle it:"),
        (
            "https://esm.sh/hono",
            "download the file into the function's folder",
        ),
        ("data:text/javascript,1", "write the contents into a file"),
        ("file:///a.js", "write a path relative to this file"),
        ("cloudflare:workers", "bindings and vars are in `env`"),
        ("foo:bar", "a path that starts with \"./\""),
    ] {
        let message = message(&format!("import '{specifier}'"));
        let scheme = specifier.split(':').next().unwrap_or_default();
        let sentence =
            format!("cannot import \"{specifier}\": {scheme}: imports are not supported");
        assert!(message.starts_with(&sentence), "{message}");
        assert!(
            message.contains(&format!("\nhelp: {hint}")) || message.contains(hint),
            "{message}"
        );
    }
    assert_eq!(
        message(&format!("import 'data:{}'", "x".repeat(900_000)))
            .lines()
            .map(|line| line.chars().count())
            .max(),
        Some(129),
        "a long specifier is cut"
    );
}

#[test]
fn a_missing_file_is_guessed() {
    assert_eq!(
        message("import './rout.js'\nexport * from './types.js'"),
        "cannot find \"./rout.js\"
  --> index.js:1:8
  |
1 | import './rout.js'
  |        ^^^^^^^^^^^
2 | export * from './types.js'
help: did you mean \"./route.js\"?

cannot find \"./types.js\"
  --> index.js:2:15
  |
1 | import './rout.js'
2 | export * from './types.js'
  |               ^^^^^^^^^^^^
help: did you mean \"./types.ts\"?"
    );
    for (specifier, help) in [
        ("./case.js", "help: did you mean \"./Case.js\"?"),
        ("./route", "help: did you mean \"./route.js\"?"),
        ("/types", "help: did you mean \"/types.ts\"?"),
        ("./dir", "help: did you mean \"./dir/index.js\"?"),
        ("./dir/indx.js", "help: did you mean \"./dir/index.js\"?"),
        ("./route.js?v=1", "help: write \"./route.js\""),
        (
            "./style.css",
            "help: say how: import … from \"./style.css\" with { type: \"text\" } (or \"bytes\", \"json\")",
        ),
    ] {
        let message = message(&format!("import '{specifier}'"));
        assert!(message.ends_with(help), "{message}");
    }
    for specifier in [
        "./nothing-like-it.js",
        "./a/b/c.js",
        "./x%00y",
        "./a%2Fb.js",
    ] {
        let message = message(&format!("await import('{specifier}')"));
        assert!(message.starts_with("cannot find"), "{message}");
        assert!(!message.contains("help"), "{message}");
    }
}

#[test]
fn what_leads_out_of_the_folder_is_refused() {
    assert_eq!(
        message("import '../secret.js'"),
        "\"../secret.js\" lies outside the function's folder
  --> index.js:1:8
  |
1 | import '../secret.js'
  |        ^^^^^^^^^^^^^^
help: copy the file into the function's folder"
    );
    for specifier in ["./a/../../x.js", "/../x.js", "./%2e%2e/x.js", "/..", ".."] {
        let message = message(&format!("import '{specifier}'"));
        assert!(
            message.starts_with(&format!("\"{specifier}\" ")),
            "{message}"
        );
    }
}

#[test]
fn attributes_are_checked() {
    assert_eq!(
        message("import a from './style.css' with { type: 'css' }"),
        "unknown import attribute type: \"css\"
  --> index.js:1:36
  |
1 | import a from './style.css' with { type: 'css' }
  |                                    ^^^^^^^^^^^
help: Holm knows type: \"json\", \"text\" and \"bytes\""
    );
    let dynamic = message("import('./style.css', { with: { 'lang': 'x' } })");
    assert!(dynamic.starts_with("unknown import attribute lang: \"x\""));
    assert_eq!(
        message("import a from './bad.json' assert { type: 'json' }"),
        "import assertions were replaced by import attributes
  --> index.js:1:37
  |
1 | import a from './bad.json' assert { type: 'json' }
  |                                     ^^^^^^^^^^^^
help: write `with` in place of `assert`"
    );
}

#[test]
fn data_files_are_checked_too() {
    assert_eq!(
        message("import './bad.json'"),
        "invalid JSON: key must be a string
  --> bad.json:3:1
  |
1 | {
2 |   \"a\": 1,
3 | }
  | ^
help: JSON has no comments, no trailing commas and no single quotes"
    );
    let wasm = message("import './bad.wasm'");
    assert!(
        wasm.starts_with("bad.wasm is not a WebAssembly module\nhelp:"),
        "{wasm}"
    );
}

#[test]
fn text_must_be_utf8() {
    let folder = Folder::with(&[("index.js", "import './latin.txt'; import './latin.js'")]);
    folder.write("latin.txt", b"a\ncaf\xe9");
    folder.write("latin.js", b"// \xff\n");
    assert_eq!(
        folder.message("index.js"),
        "latin.txt is not UTF-8 (first invalid byte at offset 5)
  --> latin.txt:2:4
  |
1 | a
2 | caf\u{fffd}
  |    ^
help: save the file as UTF-8, or import it with { type: \"bytes\" }

latin.js is not UTF-8 (first invalid byte at offset 3)
  --> latin.js:1:4
  |
1 | // \u{fffd}
  |    ^
help: save the file as UTF-8, or import it with { type: \"bytes\" }"
    );
}

#[test]
fn common_js_is_named() {
    assert!(message("import './old.cjs'").starts_with("./old.cjs is CommonJS"));
    assert_eq!(
        broken("a.ts", "import fs = require('fs');\nfs.x;\nexport = fs;")
            .matches("is CommonJS; a function is an ES module")
            .count(),
        2
    );
}

#[test]
fn imports_that_only_fail_at_run_time_may_stay() {
    one(
        "index.js",
        "const c = await import('node:crypto').catch(() => import('crypto'))",
    );
    let message = broken("index.js", "import('./gone.js')");
    assert!(message.starts_with("cannot find \"./gone.js\""));
}

#[test]
fn main_itself_is_checked() {
    let folder = Folder::with(&[("hello.js", ""), ("x.json", "{}"), ("dir/index.js", "")]);
    let ends = |main, start: &str, end: &str| {
        let message = folder.message(main);
        assert!(message.starts_with(start), "{message}");
        assert!(message.ends_with(end), "{message}");
    };
    ends(
        "helo.js",
        "main helo.js does not exist",
        "help: did you mean \"hello.js\"?",
    );
    ends(
        "x.json",
        "do not know how to import \"x.json\"",
        ".ts, .mts or .tsx",
    );
    ends(
        "dir",
        "\"dir\" is a folder, not a file",
        "help: did you mean \"dir/index.js\"?",
    );
    ends(
        "../nobody-has-this-name.js",
        "main ../nobody-has-this-name.js does not",
        "not exist",
    );
    let other = Folder::with(&[("out.js", "")]);
    let error = ModuleGraph::load(&other.path().join("out.js"), folder.path(), Compiler::Here);
    let error = error.expect_err("main lies elsewhere").to_string();
    assert!(
        error.contains("lies outside the function's folder"),
        "{error}"
    );
    let error = ModuleGraph::load(Path::new("x.js"), Path::new("/nonexistent"), Compiler::Here);
    let error = error.expect_err("there is no root").to_string();
    assert!(error.starts_with("cannot read /nonexistent: "), "{error}");
}

#[test]
fn what_to_watch_is_known_after_a_failure_too() {
    let folder = Folder::with(&[
        ("index.js", "import './a.js'; import './b.js'"),
        ("a.js", "("),
    ]);
    let error = folder.try_load("index.js").expect_err("a.js is broken");
    assert_eq!(error.problems().len(), 2);
    let names: Vec<_> = error
        .watch_paths()
        .filter_map(|path| path.file_name()?.to_str())
        .collect();
    assert_eq!(names, ["a.js", "b.js", "index.js"]);
}

#[test]
fn limits_are_named() {
    let files = |text: &str| {
        let folder = Folder::with(&[
            ("index.js", text),
            ("a.txt", "a"),
            ("b.txt", "b"),
            ("c.txt", "c"),
            ("big.txt", &"x".repeat(180)),
            ("huge.txt", &"x".repeat(201)),
            ("big.js", &" ".repeat(101)),
            ("big.wasm", "\0asm56789012345678901"),
        ]);
        let main = folder.path().join("index.js");
        ModuleGraph::load_within(&main, folder.path(), &tiny(), Compiler::Here)
            .err()
            .map(|error| {
                error
                    .to_string()
                    .lines()
                    .next()
                    .unwrap_or_default()
                    .to_owned()
            })
    };
    let says = |text, message: &str| assert_eq!(files(text).as_deref(), Some(message));
    assert_eq!(files("import './a.txt'; import './b.txt'"), None);
    says(
        "import './a.txt'; import './b.txt'; import './c.txt'",
        "the function has more than 3 modules",
    );
    says(
        "import './big.txt'; import './a.txt'",
        "the function's files together are larger than 200 bytes",
    );
    says(
        "import './huge.txt'",
        "huge.txt is larger than 200 bytes, the most a file may have",
    );
    says(
        "import './big.js'",
        "big.js is larger than 100 bytes, the most a script may have",
    );
    says(
        "import './big.wasm'",
        "big.wasm is larger than 20 bytes, the most a WebAssembly module may have",
    );
}

#[test]
fn many_problems_are_counted_not_listed() {
    let text: String = (0..80)
        .map(|n| format!("import './{n}{n}{n}.js'\n"))
        .collect();
    let message = broken("index.js", &text);
    assert_eq!(message.matches("cannot find").count(), 50);
    assert!(message.ends_with("\n\n… and 30 more"));
}
