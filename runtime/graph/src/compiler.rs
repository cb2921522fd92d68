//! Where scripts are compiled: in this process, or in another one that may be killed for it.
//!
//! A script is a stranger's input before it runs. swc takes many times the memory of its text, and
//! has assertions that fail; so the node has it run elsewhere. What comes back is checked like
//! anything a stranger sends: places that do not lie in the text are dropped.

use std::borrow::Cow;
use std::io;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use url::Url;

use super::depth;
use super::problem::ProblemKind;
use super::script::{self, Compiled, Fault, Language};

/// Where scripts are compiled.
#[derive(Clone, Copy)]
pub enum Compiler<'a> {
    /// In this process.
    Here,
    /// In another one.
    Elsewhere(&'a dyn Elsewhere),
}

/// A way to another process.
pub trait Elsewhere: Send + Sync {
    /// Has [`answer`] answer `request` there.
    ///
    /// # Errors
    /// There is no answer.
    fn answer(&self, request: &[u8]) -> Result<Vec<u8>, Unanswered>;
}

/// Why a script was not compiled elsewhere.
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    /// The process died over it.
    #[error("it took more than {memory} of memory to compile, or the compiler crashed")]
    Died {
        /// What the process may hold, for people.
        memory: &'static str,
    },
    /// The process was killed for taking too long.
    #[error("it took more than {seconds} s to compile")]
    Late {
        /// How long it had.
        seconds: u64,
    },
    /// The system gives no process.
    #[error("there is no process to compile it in: {0}")]
    NoProcess(String),
}

/// One script, on its way to another process.
#[derive(Debug, Deserialize, Serialize)]
struct Request<'a> {
    text: Cow<'a, str>,
    language: Language,
    specifier: Cow<'a, str>,
    file: Cow<'a, str>,
}

/// What is wrong with a script, by itself.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(super) enum FaultKind {
    CommonJs { what: String },
    Syntax { message: String },
    TooDeep { file: String },
    TooComplex { file: String },
    Compiler { file: String, message: String },
}

impl From<FaultKind> for ProblemKind {
    fn from(kind: FaultKind) -> Self {
        match kind {
            FaultKind::CommonJs { what } => Self::CommonJs { what },
            FaultKind::Syntax { message } => Self::Syntax { message },
            FaultKind::TooDeep { file } => Self::TooDeep { file },
            FaultKind::TooComplex { file } => Self::TooComplex { file },
            FaultKind::Compiler { file, message } => Self::Compiler { file, message },
        }
    }
}

impl Compiler<'_> {
    /// Compiles `text` of `file`, known to others as `specifier`. Must run on a thread with
    /// [`depth::STACK`] bytes of stack.
    pub(super) fn compile(
        self,
        text: &str,
        language: Language,
        specifier: &Url,
        file: &str,
    ) -> Result<Compiled, Vec<Fault>> {
        let elsewhere = match self {
            Self::Here => return script::compile(text, language, specifier, file),
            Self::Elsewhere(elsewhere) => elsewhere,
        };
        let request = Request {
            text: text.into(),
            language,
            specifier: specifier.as_str().into(),
            file: file.into(),
        };
        let answer = serde_json::to_vec(&request)
            .map_err(|error| error.to_string())
            .and_then(|request| {
                elsewhere
                    .answer(&request)
                    .map_err(|unanswered| unanswered.to_string())
            })
            .and_then(|answer| {
                serde_json::from_slice::<Result<Compiled, Vec<Fault>>>(&answer)
                    .map_err(|_| "the process that compiled it gave no sound answer".to_owned())
            });
        match answer {
            Ok(Ok(compiled)) => Ok(sound(compiled, text)),
            Ok(Err(faults)) if !faults.is_empty() => {
                Err(faults.into_iter().map(|fault| told(fault, text)).collect())
            }
            Ok(Err(_)) => Err(vec![failed(file, "no reason given".to_owned())]),
            Err(message) => Err(vec![failed(file, message)]),
        }
    }
}

/// Answers what [`Compiler::Elsewhere`] asks.
///
/// # Errors
/// The request is none, or the system gives no thread: there is nobody to be told but by silence.
pub fn answer(request: &[u8]) -> io::Result<Vec<u8>> {
    let request: Request<'_> = serde_json::from_slice(request)?;
    let specifier = Url::parse(&request.specifier).map_err(io::Error::other)?;
    let compiled = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(depth::STACK);
        let compile =
            || script::compile(&request.text, request.language, &specifier, &request.file);
        let compiled = thread.spawn_scoped(scope, compile)?.join();
        compiled.map_err(|_| io::Error::other("the compiler panicked"))
    })?;
    Ok(serde_json::to_vec(&compiled)?)
}

fn failed(file: &str, message: String) -> Fault {
    Fault {
        kind: FaultKind::Compiler {
            file: file.to_owned(),
            message,
        },
        place: None,
        help: None,
    }
}

fn told(mut fault: Fault, text: &str) -> Fault {
    fault.place = inside(fault.place, text);
    fault
}

fn sound(mut compiled: Compiled, text: &str) -> Compiled {
    for import in &mut compiled.imports {
        // Without a place it would be one that the compiler added.
        import.place = import
            .place
            .take()
            .map(|place| inside(Some(place), text).unwrap_or(0..0));
        for attribute in &mut import.attributes {
            attribute.place = inside(attribute.place.take(), text);
        }
    }
    compiled
}

/// `place`, if it is one of `text`.
fn inside(place: Option<Range<usize>>, text: &str) -> Option<Range<usize>> {
    place.filter(|place| text.get(place.clone()).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Another process that is this one.
    struct Next;

    impl Elsewhere for Next {
        fn answer(&self, request: &[u8]) -> Result<Vec<u8>, Unanswered> {
            answer(request).map_err(|error| Unanswered::NoProcess(error.to_string()))
        }
    }

    /// Another process that says whatever it likes.
    struct Liar(&'static str);

    impl Elsewhere for Liar {
        fn answer(&self, _: &[u8]) -> Result<Vec<u8>, Unanswered> {
            Ok(self.0.as_bytes().to_vec())
        }
    }

    /// Another process that dies.
    struct Dead;

    impl Elsewhere for Dead {
        fn answer(&self, _: &[u8]) -> Result<Vec<u8>, Unanswered> {
            Err(Unanswered::Died { memory: "1 MiB" })
        }
    }

    #[test]
    fn a_process_that_dies_is_a_problem_of_its_script() {
        let said = compiled(Compiler::Elsewhere(&Dead), "x", Language::JavaScript);
        assert!(
            said.contains(
                "Compiler { file: \"a.ts\", message: \"it took more than 1 MiB of memory"
            ),
            "{said}"
        );
    }

    fn compiled(compiler: Compiler<'_>, text: &str, language: Language) -> String {
        let specifier = Url::parse("file:///a.ts").expect("a URL");
        let compile = || compiler.compile(text, language, &specifier, "a.ts");
        let compiled = std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().stack_size(depth::STACK);
            let thread = thread.spawn_scoped(scope, compile).expect("a thread");
            thread.join().expect("no panic")
        });
        format!("{compiled:?}")
    }

    #[test]
    fn what_comes_back_is_what_it_is_here() {
        for (text, language) in [
            ("export default { fetch() {} };", Language::JavaScript),
            (
                "import x from \"./x.json\" with { type: \"json\" };\nexport const y: number = x;",
                Language::TypeScript,
            ),
            ("const a = <b c={1}/>;", Language::Jsx),
            ("let a = ;", Language::JavaScript),
            ("const ä: string = 1 +;", Language::TypeScript),
            ("import fs = require(\"fs\");", Language::TypeScript),
        ] {
            let here = compiled(Compiler::Here, text, language);
            let there = compiled(Compiler::Elsewhere(&Next), text, language);
            assert_eq!(here, there, "{text}");
        }
    }

    #[test]
    fn a_process_that_lies_is_not_believed() {
        let import = r#"{"Ok":{"emitted":null,"imports":[{"specifier":"./x","place":{"start":5,"end":900},"attributes":[{"key":"type","value":null,"place":{"start":9,"end":1}}],"dynamic":false}]}}"#;
        for (answer, seen) in [
            ("", "gave no sound answer"),
            ("{}", "gave no sound answer"),
            ("{\"Err\":[]}", "no reason given"),
            (
                import,
                "place: Some(0..0), attributes: [Attribute { key: \"type\", value: None, place: None }]",
            ),
            (
                r#"{"Err":[{"kind":{"Syntax":{"message":"m"}},"place":{"start":1,"end":2},"help":null}]}"#,
                "message: \"m\" }, place: None",
            ),
        ] {
            let liar = Liar(answer);
            let said = compiled(Compiler::Elsewhere(&liar), "\u{e9}x", Language::JavaScript);
            assert!(said.contains(seen), "{answer}: {said}");
        }
    }
}
