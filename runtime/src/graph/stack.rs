//! From positions in running code back to positions in the author's files.
//!
//! Maps are parsed when first needed: most functions never throw. Names are relative to the
//! function's folder (`src/index.ts`), also for sources that a bundle took from outside it
//! (`../node_modules/hono/…`), so that one form serves logs, error pages and editors.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use percent_encoding::percent_decode_str;
use sourcemap::DecodedMap;

use super::frame::{CodeFrame, Position, printable};
use super::{Module, ModuleKind};

/// Lines of a stack that are rewritten. V8 gives ten unless a function asks for more.
const FRAMES_MAPPED: usize = 200;
/// Bytes of a path that are searched for its end; a stack trace is the function's to forge.
const PATH_BYTES: usize = 4096;
const SCHEME: &str = "file:///";

/// A place in an author's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The file, relative to the function's folder.
    pub file: String,
    /// The place in it.
    pub position: Position,
    /// The name that was there before a minifier changed it.
    pub name: Option<String>,
}

/// The source maps of a function. Cheap to make, `Send` and `Sync`.
#[derive(Debug)]
pub struct SourceMaps {
    scripts: HashMap<String, Script>,
}

#[derive(Debug)]
struct Script {
    /// Decoded path below the function's folder.
    path: String,
    json: Option<Arc<[u8]>>,
    /// Absent inside when the JSON is not a source map.
    parsed: OnceLock<Option<DecodedMap>>,
    original: Option<Arc<str>>,
}

impl SourceMaps {
    pub(super) fn new(modules: &[Module]) -> Self {
        let scripts = modules
            .iter()
            .filter(|module| module.kind == ModuleKind::Script)
            .map(|module| {
                let script = Script {
                    path: decoded_path(&module.specifier),
                    json: module.source_map.clone(),
                    parsed: OnceLock::new(),
                    original: module.original().cloned(),
                };
                (module.specifier.clone(), script)
            })
            .collect();
        Self { scripts }
    }

    /// The origin of a place in the script `specifier`, as V8 reports it. Nothing for unknown
    /// scripts, scripts without a map, and places that the map does not know.
    pub fn map(&self, specifier: &str, position: Position) -> Option<Origin> {
        let script = self.scripts.get(specifier)?;
        let map = script.parsed()?;
        let (line, column) = (
            position.line.checked_sub(1)?,
            position.column.checked_sub(1)?,
        );
        let token = map
            .lookup_token(line, column)
            // The crate falls back to the last token of an earlier line.
            .filter(|token| token.get_dst_line() == line && token.has_source())?;
        Some(Origin {
            file: relative(token.get_source()?, &script.path),
            position: Position {
                line: token.get_src_line().checked_add(1)?,
                column: token.get_src_col().checked_add(1)?,
            },
            name: token.get_name().map(printable),
        })
    }

    /// Rewrites the places in a stack trace of V8: mapped where there is a map, and named by
    /// file instead of specifier where there is none. Other lines stay as they are.
    ///
    /// ```text
    /// Error: no                                    Error: no
    ///     at f (file:///dist/index.js:1:5710)  →       at f (src/greet.ts:12:9)
    ///     at async Promise.all (index 0)               at async Promise.all (index 0)
    /// ```
    pub fn remap_stack(&self, stack: &str) -> String {
        let mut frames = 0;
        let mut out = String::with_capacity(stack.len());
        for line in stack.split_inclusive('\n') {
            if frames < FRAMES_MAPPED && line.trim_start().starts_with("at ") {
                frames += 1;
                self.remap_line(line, &mut out);
            } else {
                out.push_str(line);
            }
        }
        out
    }

    /// A code frame for the topmost place of a stack trace that lies in the function's own
    /// files, or in a source that its map carries.
    pub fn code_frame(&self, stack: &str) -> Option<CodeFrame> {
        stack
            .lines()
            .filter(|line| line.trim_start().starts_with("at "))
            .take(FRAMES_MAPPED)
            .filter_map(|line| Place::find(line).map(|(_, place)| place))
            .find_map(|place| self.frame_at(&place))
    }

    fn frame_at(&self, place: &Place<'_>) -> Option<CodeFrame> {
        let script = self.scripts.get(place.specifier)?;
        let Some(origin) = self.map(place.specifier, place.position) else {
            let text = script.original.as_deref()?;
            return Some(CodeFrame::new(&script.path, text, place.position, 1));
        };
        let carried = script.parsed().and_then(|map| {
            let line = place.position.line.checked_sub(1)?;
            let column = place.position.column.checked_sub(1)?;
            let token = map.lookup_token(line, column)?;
            token.sourcemap().get_source_contents(token.get_src_id())
        });
        let own = || {
            self.scripts
                .values()
                .find(|script| script.path == origin.file)
                .and_then(|script| script.original.as_deref())
        };
        let text = carried.or_else(own)?;
        Some(CodeFrame::new(&origin.file, text, origin.position, 1))
    }

    fn remap_line(&self, line: &str, out: &mut String) {
        let mut rest = line;
        while let Some((range, place)) = Place::find(rest) {
            let (before, after) = (&rest[..range.start], &rest[range.end..]);
            out.push_str(before);
            match self.map(place.specifier, place.position) {
                Some(Origin { file, position, .. }) => {
                    out.push_str(&format!("{file}:{}:{}", position.line, position.column));
                }
                None => {
                    let file = match self.scripts.get(place.specifier) {
                        Some(script) => &script.path,
                        None => place.specifier,
                    };
                    let Position { line, column } = place.position;
                    out.push_str(&format!("{file}:{line}:{column}"));
                }
            }
            rest = after;
        }
        out.push_str(rest);
    }
}

impl Script {
    fn parsed(&self) -> Option<&DecodedMap> {
        self.parsed
            .get_or_init(|| {
                // `)]}'` in front of the JSON is the crate's business.
                sourcemap::decode_slice(self.json.as_deref()?).ok()
            })
            .as_ref()
    }
}

/// `file:///path:line:column` in a line of a stack trace.
struct Place<'a> {
    specifier: &'a str,
    position: Position,
}

impl<'a> Place<'a> {
    /// The first place in `line`, and the bytes it takes there.
    fn find(line: &'a str) -> Option<(std::ops::Range<usize>, Self)> {
        let mut from = 0;
        loop {
            let start = from + line[from..].find(SCHEME)?;
            if let Some((length, place)) = Self::parse(&line[start..]) {
                return Some((start..start + length, place));
            }
            from = start + SCHEME.len();
        }
    }

    /// A place at the start of `text`. The first `:digits:digits` ends the specifier, in
    /// which colons are rare and digits after them rarer.
    fn parse(text: &'a str) -> Option<(usize, Self)> {
        let path = &text[SCHEME.len()..];
        for (colon, _) in path.match_indices(':') {
            if colon > PATH_BYTES {
                break;
            }
            let rest = &path[colon + 1..];
            let Some((line, rest)) = number(rest) else {
                continue;
            };
            let Some((column, rest)) = rest.strip_prefix(':').and_then(number) else {
                continue;
            };
            return Some((
                text.len() - rest.len(),
                Self {
                    specifier: &text[..SCHEME.len() + colon],
                    position: Position { line, column },
                },
            ));
        }
        None
    }
}

/// A decimal number at the start of `text`, and what follows it.
fn number(text: &str) -> Option<(u32, &str)> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let value = text[..digits].parse().ok()?;
    Some((value, &text[digits..]))
}

fn decoded_path(specifier: &str) -> String {
    let path = specifier.strip_prefix(SCHEME).unwrap_or(specifier);
    printable(&percent_decode_str(path).decode_utf8_lossy())
}

/// A source as a map names it, relative to the function's folder; `script` is the path of
/// the generated file. A path that leaves the folder keeps its leading `../`.
fn relative(source: &str, script: &str) -> String {
    if source.starts_with(SCHEME) {
        return decoded_path(source);
    }
    if source.contains("://") || source.starts_with('/') {
        // `webpack://app/…`, or a path of the machine that built it: nothing to relate.
        return printable(source);
    }
    let mut parts: Vec<&str> = script.split('/').collect();
    parts.pop();
    for segment in source.split('/') {
        match segment {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            other => parts.push(other),
        }
    }
    printable(&parts.join("/"))
}
