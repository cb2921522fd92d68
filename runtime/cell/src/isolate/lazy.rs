//! What is loaded when a function first reads its name.
//!
//! Such names must look like any data property, so that no getter of JavaScript's will do: V8 has
//! lazy ones, which it replaces by their values. A snapshot keeps neither those nor `WebAssembly`, so
//! they are added to each isolate; it takes 30 us, and loading them all would take some ms.

use deno_core::v8;

/// Adds what `holm.lazy` lists to the global object and to `WebAssembly`. Nothing if there is no such
/// list.
pub(super) fn add(
    scope: &mut v8::PinScope<'_, '_>,
    global: v8::Local<'_, v8::Object>,
    holm: v8::Local<'_, v8::Object>,
) -> Option<()> {
    let lazy = object(scope, holm, "lazy")?;
    let web_assembly = object(scope, global, "WebAssembly")?;
    // As Web IDL has it, and ECMA-262 for `Temporal`: interfaces are not enumerable, operations are.
    add_to(scope, global, lazy, "interfaces", false)?;
    add_to(scope, global, lazy, "operations", true)?;
    add_to(scope, web_assembly, lazy, "webAssembly", true)
}

fn add_to(
    scope: &mut v8::PinScope<'_, '_>,
    holder: v8::Local<'_, v8::Object>,
    lazy: v8::Local<'_, v8::Object>,
    list: &str,
    is_enumerable: bool,
) -> Option<()> {
    let load = field(scope, lazy, "load")?;
    let names: v8::Local<'_, v8::Array> = field(scope, lazy, list)?.try_cast().ok()?;
    for index in 0..names.length() {
        let name = names.get_index(scope, index)?.try_cast().ok()?;
        let attributes = if is_enumerable {
            v8::PropertyAttribute::NONE
        } else {
            v8::PropertyAttribute::DONT_ENUM
        };
        holder.set_lazy_data_property_with_data(
            scope,
            name,
            value,
            load,
            attributes,
            v8::SideEffectType::HasSideEffect,
            v8::SideEffectType::HasSideEffect,
        )?;
    }
    Some(())
}

/// The value of a property that is read for the first time.
fn value<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    name: v8::Local<'s, v8::Name>,
    args: v8::PropertyCallbackArguments<'s>,
    mut returned: v8::ReturnValue<'_, v8::Value>,
) {
    let Ok(load) = v8::Local::<v8::Function>::try_from(args.data()) else {
        return;
    };
    let receiver = v8::undefined(scope).into();
    // Nothing comes back of a script that was terminated; the name stays lazy.
    if let Some(value) = load.call(scope, receiver, &[name.into()]) {
        returned.set(value);
    }
}

fn object<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    holder: v8::Local<'_, v8::Object>,
    name: &str,
) -> Option<v8::Local<'s, v8::Object>> {
    field(scope, holder, name)?.try_cast().ok()
}

fn field<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    holder: v8::Local<'_, v8::Object>,
    name: &str,
) -> Option<v8::Local<'s, v8::Value>> {
    let name = v8::String::new(scope, name)?;
    holder.get(scope, name.into())
}
