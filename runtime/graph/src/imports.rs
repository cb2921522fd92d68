//! Finds what a parsed script imports.

use std::ops::Range;

use deno_ast::swc::ast::{
    CallExpr, Callee, ExportAll, Expr, ImportDecl, Lit, ModuleDecl, NamedExport, ObjectLit,
    Program, Prop, PropName, PropOrSpread, Str, TsModuleRef,
};
use deno_ast::swc::common::{Span, Spanned};
use deno_ast::swc::ecma_visit::{Visit, VisitWith};
use serde::{Deserialize, Serialize};

use super::script::bytes;

/// One import of another module, as written.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Import {
    /// The specifier's text.
    pub(super) specifier: String,
    /// The specifier with its quotes, in bytes. Nothing for what the JSX transform added.
    pub(super) place: Option<Range<usize>>,
    /// The `type` attribute and other ones, as written.
    pub(super) attributes: Vec<Attribute>,
    /// Whether it is `import()`, which may fail at run time and be caught there.
    pub(super) dynamic: bool,
}

/// One entry of `with { … }`.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Attribute {
    /// The key, or what stands in its place.
    pub(super) key: String,
    /// The value, when it is a string.
    pub(super) value: Option<String>,
    /// The whole entry, in bytes.
    pub(super) place: Option<Range<usize>>,
}

/// What a script imports, and CommonJS constructs of TypeScript that cannot be compiled.
#[derive(Debug, Default)]
pub(super) struct Imports {
    /// Imports in source order.
    pub(super) found: Vec<Import>,
    /// `import x = require("…")` and `export = …`.
    pub(super) common_js: Vec<(Span, &'static str)>,
}

impl Imports {
    /// Walks a program after types were stripped, so that only imports with an effect remain.
    pub(super) fn of(program: &Program) -> Self {
        let mut imports = Self::default();
        program.visit_with(&mut imports);
        imports
    }

    fn push(&mut self, src: &Str, with: Option<&ObjectLit>, dynamic: bool) {
        self.found.push(Import {
            specifier: src.value.to_string_lossy().into_owned(),
            place: bytes(src.span),
            attributes: with.map(attributes).unwrap_or_default(),
            dynamic,
        });
    }
}

impl Visit for Imports {
    fn visit_import_decl(&mut self, node: &ImportDecl) {
        if !node.type_only {
            self.push(&node.src, node.with.as_deref(), false);
        }
    }

    fn visit_named_export(&mut self, node: &NamedExport) {
        if let Some(src) = node.src.as_deref().filter(|_| !node.type_only) {
            self.push(src, node.with.as_deref(), false);
        }
    }

    fn visit_export_all(&mut self, node: &ExportAll) {
        if !node.type_only {
            self.push(&node.src, node.with.as_deref(), false);
        }
    }

    fn visit_module_decl(&mut self, node: &ModuleDecl) {
        match node {
            ModuleDecl::TsImportEquals(equals) => {
                if let TsModuleRef::TsExternalModuleRef(_) = equals.module_ref {
                    self.common_js.push((equals.span, "import … = require()"));
                }
            }
            ModuleDecl::TsExportAssignment(assignment) => {
                self.common_js.push((assignment.span, "export ="));
            }
            ModuleDecl::Import(_)
            | ModuleDecl::ExportDecl(_)
            | ModuleDecl::ExportNamed(_)
            | ModuleDecl::ExportDefaultDecl(_)
            | ModuleDecl::ExportDefaultExpr(_)
            | ModuleDecl::ExportAll(_)
            | ModuleDecl::TsNamespaceExport(_) => {}
        }
        node.visit_children_with(self);
    }

    fn visit_call_expr(&mut self, node: &CallExpr) {
        node.visit_children_with(self);
        if !matches!(node.callee, Callee::Import(_)) {
            return;
        }
        let Some(src) = node.args.first().and_then(|arg| literal(&arg.expr)) else {
            return;
        };
        let options = node.args.get(1).and_then(|arg| arg.expr.as_object());
        let with = options.and_then(|options| {
            properties(options)
                .find(|(key, _, _)| key == "with")
                .and_then(|(_, value, _)| value?.as_object())
        });
        self.push(&src, with, true);
    }
}

/// A string, or a template without substitutions.
fn literal(expr: &Expr) -> Option<Str> {
    match expr {
        Expr::Lit(Lit::Str(text)) => Some(text.clone()),
        Expr::Tpl(template) => match &template.quasis[..] {
            [only] => Some(Str {
                span: template.span,
                value: only.cooked.clone()?,
                raw: None,
            }),
            _ => None,
        },
        _ => None,
    }
}

fn attributes(with: &ObjectLit) -> Vec<Attribute> {
    properties(with)
        .map(|(key, value, span)| Attribute {
            key,
            value: value
                .and_then(literal)
                .map(|text| text.value.to_string_lossy().into_owned()),
            place: bytes(span),
        })
        .collect()
}

/// The properties of an object literal: key, value, whole span.
fn properties(object: &ObjectLit) -> impl Iterator<Item = (String, Option<&Expr>, Span)> {
    object.props.iter().map(|property| {
        if let PropOrSpread::Prop(property) = property
            && let Prop::KeyValue(pair) = &**property
        {
            let key = match &pair.key {
                PropName::Ident(name) => name.sym.to_string(),
                PropName::Str(text) => text.value.to_string_lossy().into_owned(),
                PropName::Num(_) | PropName::Computed(_) | PropName::BigInt(_) => "[…]".into(),
            };
            return (key, Some(&*pair.value), pair.span());
        }
        ("…".into(), None, property.span())
    })
}
