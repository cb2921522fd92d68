//! How cells end, and what does not end them.

use crate::node::Node;
use crate::node::Said;
use crate::node::start;

pub(super) fn cells_end_with_their_socket() {
    let node = Node::start();
    let text = "export default { async fetch() { await new Promise((r) => setTimeout(r, 1e6)) } }";
    for is_busy in [false, true] {
        let mut cell = node.cell(text);
        if is_busy {
            cell.send("/");
        }
        cell.talk.hang_up();
        assert!(cell.has_ended());
    }
}

/// Answers of a quick function are written together; if the last of those requests never comes back, those before
/// it can be had all the same.
pub(super) fn what_was_said_is_not_lost() {
    let node = Node::start();
    let mut cell = node.cell(
        r#"export default { fetch(request) {
            if (request.url.endsWith("/loop")) for (;;);
            return new Response("ok");
        } }"#,
    );
    for _ in 0..100 {
        assert_eq!(cell.ask("/"), "ok");
    }
    let all = cell.send_together(&["/", "/", "/", "/", "/", "/loop"]);
    while !cell.page.has_begun(all[5]) {
        std::thread::yield_now();
    }
    cell.talk.process.ask_for_the_rest().expect("asked");
    for seq in &all[..5] {
        assert_eq!(cell.whole(*seq), "ok");
    }
}

pub(super) fn out_of_memory() {
    let node = Node::start();
    let bomb = "const all = []; for (;;) all.push(new Array(1000).fill(1.5));";
    let mut tight = start();
    tight.data = 24 << 20;
    let blobs = "const all = []; for (;;) all.push(new Blob([new Uint8Array(1 << 20)]));";
    // Where the heap's limit does not see it, the kernel's does.
    for (text, start) in [(bomb, start()), (bomb, tight.clone()), (blobs, tight)] {
        let text = format!("export default {{ fetch() {{ {text} }} }}");
        let mut cell = node.cell_with(&text, &start);
        cell.send("/");
        assert!(cell.talk.next().is_none());
        assert!(cell.has_ended());
        assert!(cell.page.is_out_of_memory(), "{text}");
    }
    let mut cell = node.cell(
        r#"export default { fetch() {
            try { new ArrayBuffer(100 << 20); } catch (error) { return new Response(error.name); }
        } }"#,
    );
    assert_eq!(cell.ask("/"), "RangeError");
    let (template, said) = node.template(bomb, &start());
    match said.last() {
        Some(Said::StartFailed(error)) => assert_eq!(
            error.to_string(),
            "the top level of the module ran over its memory of 64MiB; `limits.memory` raises it"
        ),
        said => panic!("{said:?}"),
    }
    assert!(template.has_ended());
}

pub(super) fn deep_recursion_is_an_exception() {
    let node = Node::start();
    let mut cell = node.cell(
        r#"export default { fetch() {
            const dive = () => dive() + 1;
            let text = "";
            try { dive(); } catch (error) { text += error.name; }
            try { JSON.parse("[".repeat(1e6)); } catch (error) { text += error.name; }
            return new Response(text);
        } }"#,
    );
    assert_eq!(cell.ask("/"), "RangeErrorSyntaxError");
}

pub(super) fn one_liners_that_ended_nodes() {
    let node = Node::start();
    let mut cell = node.cell(
        r#"export default { fetch() {
            try {
                structuredClone({ [Symbol.for("Deno.core.hostObject")]: () => ({ type: "x" }) });
            } catch (error) {
                return new Response(error.name);
            }
            return new Response("cloned");
        } }"#,
    );
    assert_eq!(cell.ask("/"), "cloned");
    assert_eq!(cell.ask("/"), "cloned");
}
