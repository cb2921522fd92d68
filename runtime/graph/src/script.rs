//! Compiles one script: parse, find imports, strip types and JSX where the language has them.

use std::panic::{AssertUnwindSafe, catch_unwind};

use deno_ast::swc::ast::{EsVersion, Program};
use deno_ast::swc::common::comments::SingleThreadedComments;
use deno_ast::swc::common::input::StringInput;
use deno_ast::swc::common::{BytePos, Span, Spanned};
use deno_ast::swc::lexer::{Lexer, Parser};
use deno_ast::swc::parser::error::{Error, SyntaxError};
use deno_ast::swc::parser::{EsSyntax, Syntax, TsSyntax};
use deno_ast::{
    DecoratorsTranspileOption, EmitOptions, Globals, JsxAutomaticOptions, JsxRuntime,
    SourceMapOption, TranspileOptions,
};
use serde::{Deserialize, Serialize};
use url::Url;

use super::compiler::FaultKind;
use super::depth::{self, Cut, Guarded, Watch};
use super::hint;
use super::imports::{Import, Imports};

/// swc counts bytes from 1; 0 is its dummy span.
const START: u32 = 1;
/// The largest text for which other languages are tried; hand-written files are smaller, and
/// each try may cost what the first parse did.
const GUESS_BYTES: usize = 256 << 10;

/// What a script is written in, by its extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(super) enum Language {
    /// `.js`, `.mjs`: runs as it is.
    JavaScript,
    /// `.jsx`.
    Jsx,
    /// `.ts`, `.mts`.
    TypeScript,
    /// `.tsx`.
    Tsx,
}

impl Language {
    /// The language of a file with this extension (lower case, no dot).
    pub(super) fn of(extension: &str) -> Option<Self> {
        match extension {
            "js" | "mjs" => Some(Self::JavaScript),
            "jsx" => Some(Self::Jsx),
            "ts" | "mts" => Some(Self::TypeScript),
            "tsx" => Some(Self::Tsx),
            _ => None,
        }
    }

    fn syntax(self) -> Syntax {
        match self {
            // What V8 runs and no more, so that the error comes with a frame and not later.
            Self::JavaScript | Self::Jsx => Syntax::Es(EsSyntax {
                jsx: self == Self::Jsx,
                import_attributes: true,
                explicit_resource_management: true,
                ..EsSyntax::default()
            }),
            Self::TypeScript | Self::Tsx => Syntax::Typescript(TsSyntax {
                tsx: self == Self::Tsx,
                decorators: true,
                ..TsSyntax::default()
            }),
        }
    }

    fn options(self) -> TranspileOptions {
        let jsx = JsxRuntime::Automatic(JsxAutomaticOptions {
            development: false,
            import_source: None,
        });
        TranspileOptions {
            // The decorators of the language proposal, as `tsc` compiles them without
            // `experimentalDecorators`.
            decorators: DecoratorsTranspileOption::Ecma,
            // In TypeScript an import that is only used as a type must vanish, marked `type`
            // or not. In JSX there are no types, and an unused import has its effects.
            verbatim_module_syntax: self == Self::Jsx,
            jsx: matches!(self, Self::Jsx | Self::Tsx).then_some(jsx),
            ..TranspileOptions::default()
        }
    }
}

/// A script that is ready to run.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Compiled {
    /// JavaScript and the map back; absent when the text itself is what runs.
    pub(super) emitted: Option<(String, Option<String>)>,
    /// What it imports at run time.
    pub(super) imports: Vec<Import>,
}

/// Why a script does not compile.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Fault {
    /// The sentence.
    pub(super) kind: FaultKind,
    /// Where in the text, in bytes.
    pub(super) place: Option<std::ops::Range<usize>>,
    /// The fix.
    pub(super) help: Option<String>,
}

/// Compiles `text` (without byte order mark) of `file`, known to others as `specifier`.
///
/// Must run on a thread with [`depth::STACK`] bytes of stack.
pub(super) fn compile(
    text: &str,
    language: Language,
    specifier: &Url,
    file: &str,
) -> Result<Compiled, Vec<Fault>> {
    // swc is not supposed to panic, and does so now and then on odd TypeScript.
    catch_unwind(AssertUnwindSafe(|| {
        try_compile(text, language, specifier, file)
    }))
    .unwrap_or_else(|panic| {
        let words = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("no reason given");
        Err(vec![Fault {
            kind: FaultKind::Compiler {
                file: file.to_owned(),
                message: format!("the compiler panicked: {words}"),
            },
            place: None,
            help: Some("this is a bug of Holm or of swc; please report it with the file".into()),
        }])
    })
}

fn try_compile(
    text: &str,
    language: Language,
    specifier: &Url,
    file: &str,
) -> Result<Compiled, Vec<Fault>> {
    let comments = SingleThreadedComments::default();
    let program = parse(text, language, file, &comments)?;
    let program = match language {
        Language::JavaScript => {
            let imports = Imports::of(&program);
            return Ok(Compiled {
                emitted: None,
                imports: imports.found,
            });
        }
        Language::Jsx | Language::TypeScript | Language::Tsx => program,
    };
    let refused = |message: String| {
        vec![Fault {
            kind: FaultKind::Compiler {
                file: file.to_owned(),
                message,
            },
            place: None,
            help: None,
        }]
    };
    let source_map = deno_ast::SourceMap::single(specifier.clone(), text.to_owned());
    let program = Globals::default()
        .with(|marks| {
            deno_ast::fold_program(
                program,
                &language.options(),
                &source_map,
                &comments,
                marks,
                Box::new(std::iter::empty()),
            )
        })
        .map_err(|error| refused(error.to_string()))?;
    let imports = Imports::of(&program);
    if !imports.common_js.is_empty() {
        return Err(common_js(imports.common_js));
    }
    let emit = EmitOptions {
        source_map: SourceMapOption::Separate,
        // The module keeps its original text anyway.
        inline_sources: false,
        ..EmitOptions::default()
    };
    let emitted = deno_ast::emit((&program).into(), &comments, &source_map, &emit)
        .map_err(|error| refused(error.to_string()))?;
    Ok(Compiled {
        emitted: Some((emitted.text, emitted.source_map)),
        imports: imports.found,
    })
}

fn parse(
    text: &str,
    language: Language,
    file: &str,
    comments: &SingleThreadedComments,
) -> Result<Program, Vec<Fault>> {
    let reading = Reading::of(text, language, comments);
    if let Some((cut, place)) = reading.cut {
        return Err(vec![cut_off(cut, place, file)]);
    }
    match reading.program {
        Ok(program) if reading.errors.is_empty() => Ok(program),
        Ok(_) => Err(syntax_faults(text, language, reading.errors)),
        Err(error) => Err(syntax_faults(text, language, vec![error])),
    }
}

/// What the parser made of a text. The tree, if any, is safe to visit and to drop.
struct Reading {
    program: Result<Program, Error>,
    /// Errors the parser recovered from, and should not have.
    errors: Vec<Error>,
    cut: Option<(Cut, BytePos)>,
}

impl Reading {
    fn of(text: &str, language: Language, comments: &SingleThreadedComments) -> Self {
        let end = u32::try_from(text.len()).map_or(u32::MAX, |length| length.saturating_add(START));
        let input = StringInput::new(text, BytePos(START), BytePos(end));
        let target = EsVersion::latest();
        let lexer = Lexer::new(language.syntax(), target, input, Some(comments));
        let watch = Watch::new(text.len());
        let mut parser = Parser::new_from(Guarded::new(lexer, watch.clone()));
        let mut program = parser.parse_module().map(Program::Module);
        let too_deep = program.as_mut().ok().and_then(depth::flatten);
        let mut errors = parser.take_errors();
        errors.retain(|error| is_fatal(error.kind()));
        Self {
            program,
            errors,
            cut: watch.cut().or(too_deep.map(|place| (Cut::Deep, place))),
        }
    }

    fn is_clean(&self) -> bool {
        self.cut.is_none() && self.errors.is_empty() && self.program.is_ok()
    }
}

fn cut_off(cut: Cut, place: BytePos, file: &str) -> Fault {
    let file = file.to_owned();
    Fault {
        kind: match cut {
            Cut::Deep => FaultKind::TooDeep { file },
            Cut::Stuck => FaultKind::TooComplex { file },
        },
        place: bytes(Span::new(place, place)),
        help: Some(
            match cut {
                Cut::Deep => "break the expression up, or keep data of this shape in a .json file",
                Cut::Stuck => {
                    "simplify nested parentheses and arrow functions, or compile the \
                               file to JavaScript first"
                }
            }
            .into(),
        ),
    }
}

fn syntax_faults(text: &str, language: Language, errors: Vec<Error>) -> Vec<Fault> {
    let mut help = wrong_language(text, language);
    errors
        .into_iter()
        .map(|error| Fault {
            place: bytes(error.span()).map(|place| {
                // What is missing at the end is missing after the last word, not on the
                // empty line below it.
                let end = text.trim_end().len();
                if place.start < end { place } else { end..end }
            }),
            kind: FaultKind::Syntax {
                message: message(error.into_kind()),
            },
            help: help.take(),
        })
        .collect()
}

/// Says so when the text is fine in another language.
fn wrong_language(text: &str, language: Language) -> Option<String> {
    if text.len() > GUESS_BYTES {
        return None;
    }
    let others: &[(Language, &str)] = match language {
        Language::JavaScript => &[
            (Language::Jsx, "this is JSX: name the file .jsx"),
            (
                Language::TypeScript,
                "this is TypeScript: name the file .ts",
            ),
            (
                Language::Tsx,
                "this is TypeScript with JSX: name the file .tsx",
            ),
        ],
        Language::Jsx => &[(
            Language::Tsx,
            "this is TypeScript with JSX: name the file .tsx",
        )],
        Language::TypeScript => &[(Language::Tsx, "this is JSX: name the file .tsx")],
        Language::Tsx => &[(
            Language::TypeScript,
            "this is TypeScript without JSX: name the file .ts",
        )],
    };
    others
        .iter()
        .find(|(other, _)| Reading::of(text, *other, &SingleThreadedComments::default()).is_clean())
        .map(|(_, help)| (*help).to_owned())
}

fn common_js(found: Vec<(Span, &'static str)>) -> Vec<Fault> {
    found
        .into_iter()
        .map(|(span, what)| Fault {
            kind: FaultKind::CommonJs {
                what: format!("`{what}`"),
            },
            place: bytes(span),
            help: Some(hint::COMMON_JS.into()),
        })
        .collect()
}

/// The innermost message; outer labels only repeat what construct was being parsed.
fn message(mut kind: SyntaxError) -> String {
    while let SyntaxError::WithLabel { inner, .. } = kind {
        kind = inner.into_kind();
    }
    kind.msg().into_owned()
}

/// A span as a range of bytes, or nothing for a dummy span.
pub(super) fn bytes(span: Span) -> Option<std::ops::Range<usize>> {
    let lo = span.lo.0.checked_sub(START)? as usize;
    Some(lo..(span.hi.0.saturating_sub(START) as usize).max(lo))
}

/// The recoverable errors that mean broken JavaScript; the list is deno_ast's. The rest are
/// the type checker's business or early errors, which V8 reports when the module is compiled.
fn is_fatal(kind: &SyntaxError) -> bool {
    matches!(
        kind,
        SyntaxError::TS1003
            | SyntaxError::TS1005
            | SyntaxError::TS1085
            | SyntaxError::LegacyOctal
            | SyntaxError::LegacyDecimal
            | SyntaxError::TS1109
            | SyntaxError::TS2406
            | SyntaxError::UnterminatedStrLit
            | SyntaxError::NullishCoalescingWithLogicalOp
            | SyntaxError::InitRequiredForUsingDecl
            | SyntaxError::Expected(_, _)
    )
}
