//! What V8 has compiled of a function by now, kept for its next start.

use deno_core::v8;

use super::Isolate;
use super::loader::script;
use holm_graph::Module;
use holm_graph::ModuleKind;

/// What V8 has of one module.
pub(super) struct Code {
    specifier: String,
    script: v8::Global<v8::UnboundModuleScript>,
}

impl Isolate {
    /// Finds what V8 has of its modules.
    pub(super) fn find_code(&mut self) {
        let graph = self.graph.clone();
        let modules = graph.modules().iter();
        let scripts = modules.filter(|module| module.kind == ModuleKind::Script);
        self.code = scripts.filter_map(|module| self.code_of(module)).collect();
    }

    /// deno_core does not give its handles of modules away. But V8 compiles no source twice: asked
    /// for one that it has just compiled, it answers from its compilation cache.
    fn code_of(&mut self, module: &Module) -> Option<Code> {
        v8::scope_with_context!(scope, self.runtime.v8_isolate(), &self.entry.context);
        v8::tc_scope!(let scope, scope);
        let name = v8::String::new(scope, &module.specifier)?.into();
        let source = script(&module.source).v8_string(scope).ok()?;
        // As deno_core has it: the compilation cache goes by name and place, too.
        let is_module = true;
        let origin = v8::ScriptOrigin::new(
            scope, name, 0, 0, false, 0, None, false, false, is_module, None,
        );
        let mut source = v8::script_compiler::Source::new(source, Some(&origin));
        let compiled = v8::script_compiler::compile_module(scope, &mut source)?;
        let script = compiled.get_unbound_module_script(scope);
        Some(Code {
            specifier: module.specifier.clone(),
            script: v8::Global::new(scope, script),
        })
    }

    /// The code of its modules and of web APIs, as V8 has it by now: functions that were called are in
    /// it. Takes as long as V8 needs to write it out, a few ms for a megabyte.
    pub(crate) fn take_code(&mut self) -> Vec<(String, Vec<u8>)> {
        let mut all = self.loader.take_code();
        v8::scope_with_context!(scope, self.runtime.v8_isolate(), &self.entry.context);
        for Code { specifier, script } in &self.code {
            let script = v8::Local::new(scope, script);
            if let Some(code) = script.create_code_cache() {
                all.push((specifier.clone(), code.to_vec()));
            }
        }
        all
    }

    /// Whether it still has code to give.
    pub(crate) fn has_code(&self) -> bool {
        !self.code.is_empty()
    }

    /// No code is wanted any more.
    pub(crate) fn forget_code(&mut self) {
        self.code.clear();
    }
}
