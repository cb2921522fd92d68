//! deno_core's module loader over a checked [`ModuleGraph`]: nothing is read at run time.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::pin::Pin;
use std::sync::Arc;

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

use crate::deployment::Deployment;
use holm_graph::ImportType;
use holm_graph::Module;
use holm_graph::ModuleGraph;
use holm_graph::ModuleKind;
use holm_graph::Source;

/// Loads the modules of the function that an isolate is given to. Until then there are none.
#[derive(Default)]
pub(super) struct Loader {
    deployment: OnceCell<Arc<Deployment>>,
}

impl Loader {
    /// From now on the modules are those of `deployment`.
    pub(super) fn bind(&self, deployment: Arc<Deployment>) {
        // An isolate is never given to a second function.
        let _ = self.deployment.set(deployment);
    }

    fn deployment(&self) -> Result<&Arc<Deployment>, ModuleLoaderError> {
        let unbound = || JsErrorBox::generic("the isolate has no function yet");
        self.deployment.get().ok_or_else(unbound)
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
        let deployment = self.deployment()?;
        let graph = &*deployment.graph;
        if let Some(wasm) = wasm_bytes(graph, specifier, ty) {
            let code = ModuleSourceCode::Bytes(wasm.into_boxed_slice().into());
            return Ok(ModuleSource::new(ModuleType::Bytes, code, specifier, None));
        }
        let module = graph.get_as(specifier.as_str(), ty).ok_or_else(|| {
            JsErrorBox::generic(format!("{specifier} is not a module of this function"))
        })?;
        let mut source = as_requested(module, specifier, requested);
        if source.module_type == ModuleType::JavaScript {
            source.code_cache = Some(code_of(deployment, specifier));
        }
        Ok(source)
    }
}

/// What V8 compiled of a script before.
fn code_of(deployment: &Deployment, specifier: &ModuleSpecifier) -> SourceCodeCacheInfo {
    let code = deployment.code_cache.get(specifier.as_str());
    SourceCodeCacheInfo {
        // The cache is this deployment's alone, and its sources never change.
        hash: 0,
        data: code.map(|code| Cow::Owned(code.to_vec())),
    }
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

/// The text of a script. V8 reads it where it lies if it is ASCII, so that the isolates of a
/// deployment share it, and none has to copy it before it starts.
#[allow(
    unsafe_code,
    reason = "deno_core lends V8 what lives for ever, and nothing else"
)]
pub(super) fn script(source: &Source) -> FastString {
    let Some(text) = source.text() else {
        return FastString::default();
    };
    if !text.is_ascii() {
        return text.to_string().into();
    }
    let text = std::ptr::from_ref::<str>(&**text);
    // SAFETY: the text belongs to the graph of the deployment, which never changes it, and which
    // `Isolate` lets go of after its V8 isolate: what V8 is given is not read after that.
    let text: &'static str = unsafe { &*text };
    // SAFETY: it is ASCII.
    unsafe { FastString::from_ascii_static_unchecked(text) }
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
        let graph = &*self.deployment()?.graph;
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
        Some(code_of(self.deployment.get()?, specifier))
    }

    fn code_cache_ready(
        &self,
        specifier: ModuleSpecifier,
        _hash: u64,
        code: &[u8],
    ) -> Pin<Box<dyn Future<Output = ()>>> {
        if let Some(deployment) = self.deployment.get() {
            deployment.code_cache.put(specifier.as_str(), code);
        }
        Box::pin(std::future::ready(()))
    }
}
