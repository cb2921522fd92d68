//! Which file an import means.

use super::*;
use crate::{ImportType, ModuleKind};

#[test]
fn follows_static_and_literal_dynamic_imports_once() {
    let folder = Folder::with(&[
        (
            "index.js",
            "import './a.js'; export * from './b.js'; export { d } from '/lib/d.js';\n\
             const f = () => import(`./lib/e.js`); import(`./${f}.js`); export default f;",
        ),
        ("a.js", "import './b.js'; import './index.js'"),
        ("b.js", "import './a.js'"),
        ("lib/d.js", "export const d = 1; import '../a.js'"),
        ("lib/e.js", ""),
        ("unused.js", "syntax error here"),
    ]);
    let graph = folder.load("index.js");
    let names: Vec<_> = graph
        .modules()
        .iter()
        .map(|module| module.specifier.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "file:///index.js",
            "file:///a.js",
            "file:///b.js",
            "file:///lib/d.js",
            "file:///lib/e.js",
        ]
    );
    assert_eq!(graph.main().specifier, "file:///index.js");
    assert_eq!(graph.watch_paths().count(), 5);
}

#[test]
fn resolves_as_recorded_and_as_computed() {
    let folder = Folder::with(&[
        ("index.js", "import './lib/a.js'; import './lib/b c.js'"),
        ("lib/a.js", ""),
        ("lib/b c.js", ""),
    ]);
    let graph = folder.load("index.js");
    let resolve = |specifier, referrer| {
        graph
            .resolve(specifier, referrer, ImportType::Default)
            .map(|module| module.specifier.as_str())
    };
    let main = "file:///index.js";
    assert_eq!(resolve("./lib/a.js", main), Some("file:///lib/a.js"));
    assert_eq!(resolve("./lib/../lib/a.js", main), Some("file:///lib/a.js"));
    assert_eq!(
        resolve("./lib/b%20c.js", main),
        Some("file:///lib/b%20c.js")
    );
    assert_eq!(resolve("file:///lib/a.js", main), Some("file:///lib/a.js"));
    let a = "file:///lib/a.js";
    assert_eq!(resolve("./b c.js", a), Some("file:///lib/b%20c.js"));
    assert_eq!(resolve("../index.js", a), Some(main));
    assert_eq!(resolve("../../index.js", a), None);
    assert_eq!(resolve("./missing.js", main), None);
    assert_eq!(resolve("./lib/a.js", "file:///nobody.js"), None);
    assert_eq!(resolve("lib/a.js", main), None);
}

#[test]
fn explains_what_an_import_at_run_time_did_not_find() {
    let graph = one(
        "index.js",
        "export default async () => { try { await import('node:crypto') } catch {} }",
    );
    let main = "file:///index.js";
    assert_eq!(
        graph.explain("node:crypto", main),
        "cannot import \"node:crypto\": node: imports are not supported; use the global \
         `crypto` (crypto.subtle, crypto.getRandomValues)\nfor a package that needs it, bundle \
         with a polyfill"
    );
    assert_eq!(
        graph.explain("./x.js", main),
        "\"./x.js\" is not in the function: an import() whose path is computed only finds files \
         that are also imported by a literal path, with the same type"
    );
}

#[test]
fn kinds_come_from_attributes_then_extensions() {
    let folder = Folder::with(&[
        (
            "index.js",
            "import a from './data.json'; import b from './data.json' with { type: 'json' };\n\
             import c from './data.json' with { type: 'text' };\n\
             import('./data.json', { with: { type: 'bytes' } });\n\
             import './a.txt'; import './a.html'; import './a.md'; import './a.sql';\n\
             import './a.bin'; import './a.css' with { type: 'text' }; import './a.wasm?module';",
        ),
        ("data.json", "\u{feff}{\"a\":[1]}"),
        ("a.txt", "t"),
        ("a.html", "h"),
        ("a.md", "m"),
        ("a.sql", "s"),
        ("a.bin", "b"),
        ("a.css", "c"),
        ("a.wasm", "\0asm\u{1}\0\0\0"),
    ]);
    let graph = folder.load("index.js");
    let kinds: Vec<_> = graph
        .modules()
        .iter()
        .map(|module| (module.specifier.trim_start_matches("file:///"), module.kind))
        .collect();
    assert_eq!(
        kinds,
        [
            ("index.js", ModuleKind::Script),
            ("data.json", ModuleKind::Json),
            ("data.json", ModuleKind::Text),
            ("data.json", ModuleKind::Bytes),
            ("a.txt", ModuleKind::Text),
            ("a.html", ModuleKind::Text),
            ("a.md", ModuleKind::Text),
            ("a.sql", ModuleKind::Text),
            ("a.bin", ModuleKind::Bytes),
            ("a.css", ModuleKind::Text),
            ("a.wasm", ModuleKind::Wasm),
        ]
    );
    let as_type = |ty| {
        graph
            .resolve("./data.json", "file:///index.js", ty)
            .map(|module| (module.kind, module.source.as_bytes().len()))
    };
    assert_eq!(as_type(ImportType::Default), Some((ModuleKind::Json, 9)));
    assert_eq!(as_type(ImportType::Json), Some((ModuleKind::Json, 9)));
    assert_eq!(as_type(ImportType::Text), Some((ModuleKind::Text, 9)));
    // Bytes are bytes: the byte order mark stays.
    assert_eq!(as_type(ImportType::Bytes), Some((ModuleKind::Bytes, 12)));
    let css = graph.resolve("./a.css", "file:///index.js", ImportType::Text);
    assert_eq!(css.map(|module| module.kind), Some(ModuleKind::Text));
    assert!(
        graph
            .resolve("./a.css", "file:///index.js", ImportType::Json)
            .is_none()
    );
    let wasm = graph.resolve("./a.wasm?module", "file:///index.js", ImportType::Default);
    assert_eq!(wasm.map(|module| module.kind), Some(ModuleKind::Wasm));
}

#[test]
fn links_inside_the_folder_are_followed_and_links_out_refused() {
    let secret = Folder::with(&[("secret.js", "export default 'secret'")]);
    let folder = Folder::with(&[
        ("index.js", "import './link.js'; import './also.js'"),
        ("real/a.js", "import './b.js'"),
        ("real/b.js", ""),
    ]);
    let link = |target: &Path, name: &str| {
        std::os::unix::fs::symlink(target, folder.path().join(name)).expect("links can be made");
    };
    link(Path::new("real/a.js"), "link.js");
    link(Path::new("real/a.js"), "also.js");
    let graph = folder.load("index.js");
    assert_eq!(graph.modules().len(), 3, "two links, one module");
    let target = graph.resolve("./link.js", "file:///index.js", ImportType::Default);
    assert_eq!(
        target.map(|module| module.specifier.as_str()),
        Some("file:///real/a.js")
    );

    link(&secret.path().join("secret.js"), "out.js");
    link(secret.path(), "outside");
    folder.write(
        "bad.js",
        b"import './out.js'; import './outside/secret.js'; import './%2e%2e/x.js';",
    );
    let message = folder.message("bad.js");
    assert_eq!(message.matches("(through a symbolic link)").count(), 2);
    assert_eq!(
        message
            .matches("lies outside the function's folder")
            .count(),
        3
    );
}

#[test]
fn a_chain_of_five_thousand_imports_is_no_recursion() {
    let folder = Folder::with(&[]);
    for number in 0..5_000 {
        let text = format!("import './m{}.js'", number + 1);
        folder.write(&format!("m{number}.js"), text.as_bytes());
    }
    folder.write("m5000.js", b"");
    assert_eq!(folder.load("m0.js").modules().len(), 5_001);
}

#[test]
fn the_version_follows_contents_and_names_only() {
    let files = [("index.js", "import './a.txt'"), ("a.txt", "1")];
    let first = Folder::with(&files).load("index.js").version().to_owned();
    assert_eq!(first.len(), 32);
    assert_eq!(first, Folder::with(&files).load("index.js").version());
    let changed = [("index.js", "import './a.txt'"), ("a.txt", "2")];
    assert_ne!(first, Folder::with(&changed).load("index.js").version());
    let renamed = Folder::with(&[("main.js", "import './a.txt'"), ("a.txt", "1")]);
    assert_ne!(first, renamed.load("main.js").version());
}
