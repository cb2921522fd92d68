//! deno_core's module loader over a checked [`ModuleGraph`]: nothing is read at run time.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;

use deno_core::FastString;
use deno_core::ModuleLoadOptions;
use deno_core::ModuleLoadReferrer;
use deno_core::ModuleLoadResponse;
use deno_core::ModuleLoader;
use deno_core::ModuleSource;
use deno_core::ModuleSourceCode;
use deno_core::ModuleSpecifier;
use deno_core::ModuleType;
use deno_core::RequestedModuleType;
use deno_core::ResolutionKind;
use deno_core::SourceCodeCacheInfo;
use deno_core::error::ModuleLoaderError;
use deno_error::JsErrorBox;

use holm_graph::Compiled;
use holm_graph::ImportType;
use holm_graph::Module;
use holm_graph::ModuleGraph;
use holm_graph::ModuleKind;
use holm_graph::Source;
use holm_graph::Text;

/// Loads the modules of the function that an isolate is given to. Until then there are none.
#[derive(Default)]
pub(super) struct Loader {
    function: OnceCell<Function>,
}

/// Specifier and code of what V8 has compiled.
pub(super) type Made = (String, Vec<u8>);

/// What there is to load.
struct Function {
    graph: Rc<ModuleGraph>,
    /// What V8 compiled of it before.
    compiled: Compiled,
    /// What it compiles now of the web APIs, if that is wanted.
    made: Option<RefCell<Vec<Made>>>,
}

impl Loader {
    /// From now on the modules are those of `graph`. `wants_code`: what V8 compiles is kept for
    /// [`Loader::take_code`].
    pub(super) fn bind(&self, graph: Rc<ModuleGraph>, compiled: Compiled, wants_code: bool) {
        let made = wants_code.then(RefCell::default);
        let function = Function {
            graph,
            compiled,
            made,
        };
        // An isolate is never given to a second function.
        let _ = self.function.set(function);
    }

    /// What V8 has compiled of the web APIs since it was asked last.
    pub(super) fn take_code(&self) -> Vec<Made> {
        let made = self.function.get().and_then(|own| own.made.as_ref());
        made.map(RefCell::take).unwrap_or_default()
    }

    fn function(&self) -> Result<&Function, ModuleLoaderError> {
        let unbound = || JsErrorBox::generic("the isolate has no function yet");
        self.function.get().ok_or_else(unbound)
    }

    fn source(
        &self,
        specifier: &ModuleSpecifier,
        requested: &RequestedModuleType,
    ) -> Result<ModuleSource, ModuleLoaderError> {
        let ty = match requested {
            RequestedModuleType::None => ImportType::Default,
            RequestedModuleType::Json => ImportType::Json,
            RequestedModuleType::Text => ImportType::Text,
            RequestedModuleType::Bytes => ImportType::Bytes,
            RequestedModuleType::Other(other) => {
                return Err(JsErrorBox::type_error(format!(
                    "import attribute type: \"{other}\" is not supported; use json, text or bytes"
                )));
            }
        };
        let function = self.function()?;
        let graph = &*function.graph;
        if let Some(wasm) = wasm_bytes(graph, specifier, ty) {
            let code = ModuleSourceCode::Bytes(wasm.into_boxed_slice().into());
            return Ok(ModuleSource::new(ModuleType::Bytes, code, specifier, None));
        }
        let module = graph.get_as(specifier.as_str(), ty).ok_or_else(|| {
            JsErrorBox::generic(format!("{specifier} is not a module of this function"))
        })?;
        let mut source = as_requested(module, specifier, requested);
        if source.module_type == ModuleType::JavaScript {
            source.code_cache = code_of(function, specifier.as_str());
        }
        Ok(source)
    }
}

/// What V8 compiled of a script before.
fn code_of(function: &Function, specifier: &str) -> Option<SourceCodeCacheInfo> {
    let code = function.compiled.get(specifier)?;
    Some(SourceCodeCacheInfo {
        // It came with these very sources.
        hash: 0,
        data: Some(Cow::Borrowed(code)),
    })
}

/// The bytes behind the module that [`as_requested`] writes for a `.wasm` import.
fn wasm_bytes(graph: &ModuleGraph, specifier: &ModuleSpecifier, ty: ImportType) -> Option<Vec<u8>> {
    if ty != ImportType::Bytes {
        return None;
    }
    let module = graph.get(specifier.as_str())?;
    (module.kind == ModuleKind::Wasm).then(|| module.source.as_bytes().to_vec())
}

/// The source of `module` in the form that V8 expects for the attribute of the import.
///
/// Without an attribute V8 expects JavaScript; Workers users import JSON, text and WebAssembly
/// that way, so these become a script with the value as default export.
fn as_requested(
    module: &Module,
    specifier: &ModuleSpecifier,
    requested: &RequestedModuleType,
) -> ModuleSource {
    let bare = matches!(requested, RequestedModuleType::None);
    let text = || module.source.text().map(|text| &**text).unwrap_or_default();
    let (ty, code) = match (module.kind, bare) {
        (ModuleKind::Script, _) => {
            let script = script(&module.source);
            (ModuleType::JavaScript, ModuleSourceCode::String(script))
        }
        (ModuleKind::Json, false) => (ModuleType::Json, string(text())),
        (ModuleKind::Text, false) => (ModuleType::Text, string(text())),
        (ModuleKind::Bytes | ModuleKind::Wasm, false) => (
            ModuleType::Bytes,
            ModuleSourceCode::Bytes(module.source.as_bytes().to_vec().into_boxed_slice().into()),
        ),
        (ModuleKind::Json, true) => {
            let literal = string_literal(text());
            (
                ModuleType::JavaScript,
                string(&format!("export default JSON.parse({literal});")),
            )
        }
        (ModuleKind::Text, true) => {
            let literal = string_literal(text());
            (
                ModuleType::JavaScript,
                string(&format!("export default {literal};")),
            )
        }
        (ModuleKind::Bytes | ModuleKind::Wasm, true) => {
            let literal = string_literal(specifier.as_str());
            let value = if module.kind == ModuleKind::Wasm {
                "new WebAssembly.Module(bytes)"
            } else {
                "bytes"
            };
            let script = format!(
                "import bytes from {literal} with {{ type: \"bytes\" }};\nexport default {value};"
            );
            (ModuleType::JavaScript, string(&script))
        }
    };
    ModuleSource::new(ty, code, specifier, None)
}

/// The text of a script. V8 reads it where it lies if it is ASCII, in memory that all processes with this
/// function share.
#[allow(
    unsafe_code,
    reason = "deno_core's way to give V8 a text that is ASCII without copying it"
)]
pub(super) fn script(source: &Source) -> FastString {
    match source.text() {
        // SAFETY: it is ASCII.
        Some(Text::Mapped(text)) if text.is_ascii() => unsafe {
            FastString::from_ascii_static_unchecked(text)
        },
        Some(text) => text.to_string().into(),
        None => FastString::default(),
    }
}

fn string(text: &str) -> ModuleSourceCode {
    ModuleSourceCode::String(text.to_owned().into())
}

/// `text` as a JavaScript string literal. JSON is one, since ES2019.
fn string_literal(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

impl ModuleLoader for Loader {
    fn resolve(
        &self,
        specifier: &str,
        referrer: &str,
        kind: ResolutionKind,
    ) -> Result<ModuleSpecifier, ModuleLoaderError> {
        let graph = &*self.function()?.graph;
        let found = match kind {
            ResolutionKind::MainModule => graph.get(specifier),
            ResolutionKind::Import | ResolutionKind::DynamicImport => [
                ImportType::Default,
                ImportType::Json,
                ImportType::Text,
                ImportType::Bytes,
            ]
            .into_iter()
            .find_map(|ty| graph.resolve(specifier, referrer, ty)),
        };
        match found {
            Some(module) => ModuleSpecifier::parse(&module.specifier).map_err(JsErrorBox::from_err),
            None => Err(JsErrorBox::type_error(graph.explain(specifier, referrer))),
        }
    }

    fn load(
        &self,
        specifier: &ModuleSpecifier,
        _referrer: Option<&ModuleLoadReferrer>,
        options: ModuleLoadOptions,
    ) -> ModuleLoadResponse {
        ModuleLoadResponse::Sync(self.source(specifier, &options.requested_module_type))
    }

    /// For the scripts of web APIs that are loaded when a function first names one.
    fn get_code_cache(
        &self,
        specifier: &ModuleSpecifier,
        _source: &str,
    ) -> Option<SourceCodeCacheInfo> {
        let function = self.function.get()?;
        // Without data, V8 is asked for it.
        let wanted = || SourceCodeCacheInfo {
            hash: 0,
            data: None,
        };
        code_of(function, specifier.as_str()).or_else(|| function.made.as_ref().map(|_| wanted()))
    }

    fn code_cache_ready(
        &self,
        specifier: ModuleSpecifier,
        _hash: u64,
        code: &[u8],
    ) -> Pin<Box<dyn Future<Output = ()>>> {
        if let Some(made) = self.function.get().and_then(|own| own.made.as_ref()) {
            made.borrow_mut()
                .push((specifier.as_str().to_owned(), code.to_vec()));
        }
        Box::pin(std::future::ready(()))
    }
}
