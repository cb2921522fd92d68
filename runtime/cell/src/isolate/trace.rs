//! Stack traces in the author's positions, as they are made: so a function reads the same in
//! `error.stack` as its operator in the log.

use std::rc::Rc;

use deno_core::error::prepare_stack_trace_callback;
use deno_core::v8;

use holm_graph::ModuleGraph;

use crate::exempt::exempt;

/// The modules that stack traces lead through, in a slot of the isolate.
#[derive(Clone)]
pub(super) struct Traced(pub(super) Rc<ModuleGraph>);

/// Called by V8 when the `stack` of an error is read for the first time.
///
/// What a function's own `Error.prepareStackTrace` makes is its own, unless it is text with places
/// of the code that runs. The call sites that one is given are those of the code that runs.
pub(super) fn prepare<'s, 'i>(
    scope: &mut v8::PinScope<'s, 'i>,
    error: v8::Local<'s, v8::Value>,
    sites: v8::Local<'s, v8::Array>,
) -> v8::Local<'s, v8::Value> {
    let made = prepare_stack_trace_callback(scope, error, sites);
    let Ok(stack) = v8::Local::<v8::String>::try_from(made) else {
        return made;
    };
    let Some(Traced(graph)) = scope.get_slot::<Traced>().cloned() else {
        return made;
    };
    let stack = stack.to_rust_string_lossy(scope);
    let maps = graph.source_maps();
    let stack = if maps.has_to_parse(&stack) {
        exempt(|| maps.remap(&stack))
    } else {
        maps.remap(&stack)
    };
    v8::String::new(scope, &stack).map_or(made, Into::into)
}
