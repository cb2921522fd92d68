//! What V8 has compiled of a function by now, kept for its next isolates.

use deno_core::v8;

use super::Isolate;
use super::loader::script;
use crate::code_cache::Stage;
use holm_graph::Module;
use holm_graph::ModuleKind;

/// Requests after which what was compiled is kept: the functions that requests call are in it.
const ENOUGH: u32 = 4;

/// What V8 has of one module.
pub(super) struct Code {
    specifier: String,
    script: v8::Global<v8::UnboundModuleScript>,
}

impl Isolate {
    /// Finds what V8 has of its modules, if somebody still has to keep it.
    pub(super) fn find_code(&mut self) {
        let deployment = self.deployment.clone();
        if deployment.code_cache.lacks(Stage::Served) {
            let modules = deployment.graph.modules().iter();
            let scripts = modules.filter(|module| module.kind == ModuleKind::Script);
            self.code = scripts.filter_map(|module| self.code_of(module)).collect();
        }
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

    /// Keeps the code of its modules, once for its deployment and each stage: when they have run,
    /// and after some requests, or if there will be no more. Takes as long as V8 needs to write the
    /// code out, a few ms for a megabyte.
    pub(crate) fn keep_code(&mut self, is_last: bool) {
        let stage = match self.served {
            0 => Stage::Started,
            served if served >= ENOUGH || is_last => Stage::Served,
            _ => return,
        };
        if self.code.is_empty() || !self.deployment.code_cache.claim(stage) {
            return;
        }
        let cache = &self.deployment.code_cache;
        v8::scope_with_context!(scope, self.runtime.v8_isolate(), &self.entry.context);
        for Code { specifier, script } in &self.code {
            let script = v8::Local::new(scope, script);
            if let Some(code) = script.create_code_cache() {
                cache.put(specifier, &code);
            }
        }
        if stage == Stage::Served {
            self.code.clear();
        }
        // Nobody's request.
        self.metered = self.watch.cpu();
    }
}
