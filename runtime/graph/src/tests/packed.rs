//! Graphs as bytes.

use super::*;
use crate::{Packed, Part, Source, Text};

#[test]
fn a_graph_comes_back_as_it_was() {
    let folder = Folder::with(&[
        (
            "index.ts",
            "import a from './a.json'; import b from './b.txt';\nexport const c: number = a + b;\n",
        ),
        ("a.json", "1"),
        ("b.txt", "ü"),
    ]);
    let graph = folder.load("index.ts");
    let parts = graph.pack([("file:///index.ts", &b"code"[..])]);
    let bytes: Vec<&[u8]> = parts.iter().map(Part::as_ref).collect();
    let bytes: &'static [u8] = bytes.concat().leak();
    let Packed {
        graph: came,
        compiled,
    } = ModuleGraph::unpack(bytes).expect("a graph");
    assert_eq!(compiled["file:///index.ts"], b"code");
    assert_eq!(came.version(), graph.version());
    for (ours, theirs) in graph.modules().iter().zip(came.modules()) {
        assert_eq!(ours.specifier, theirs.specifier);
        assert_eq!((ours.kind, ours.path()), (theirs.kind, theirs.path()));
        assert_eq!(ours.source.as_bytes(), theirs.source.as_bytes());
        assert_eq!(ours.source_maps, theirs.source_maps);
        assert_eq!(
            ours.original().map(|text| &**text),
            theirs.original().map(|text| &**text)
        );
        if let Source::Text(Text::Mapped(text)) = theirs.source {
            // Not copied.
            assert!(bytes.as_ptr_range().contains(&text.as_ptr()));
        }
    }
    let found = came.resolve("./a.json", "file:///index.ts", crate::ImportType::Default);
    assert_eq!(found.expect("a module").specifier, "file:///a.json");
    let stack = "Error\n    at file:///index.ts:2:14";
    assert_eq!(
        came.source_maps().remap(stack),
        graph.source_maps().remap(stack)
    );
}

#[test]
fn something_else_is_no_graph() {
    let graph = Folder::with(&[("index.js", "export default 1")]).load("index.js");
    let parts = graph.pack([]);
    let bytes: Vec<&[u8]> = parts.iter().map(Part::as_ref).collect();
    let bytes: &'static [u8] = bytes.concat().leak();
    for end in 0..bytes.len() {
        assert!(ModuleGraph::unpack(&bytes[..end]).is_err(), "{end}");
    }
    assert!(ModuleGraph::unpack(&[0xff; 64]).is_err());
}
