//! From positions in running code back to positions in the author's files.
//!
//! The only place where that happens: V8 hands its stack traces to [`SourceMaps::remap`] when they
//! are first read (`isolate/trace.rs`), and deno_core is given no map, for it would be applied a
//! second time. Maps are parsed when first needed, once for all isolates of a function: most
//! functions never throw. Names are relative to the function's folder (`src/index.ts`), also for
//! sources that a bundle took from outside it (`../node_modules/hono/…`), so that one form serves
//! logs, error pages and editors.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use bytes::Bytes;
use holm_model::log::{FRAME, place_of};
use percent_encoding::percent_decode_str;
use sourcemap::{DecodedMap, SourceMap};

use super::frame::{CodeFrame, Position, printable};
use super::{Module, ModuleKind, Text};

/// Frames in which a place with a text is looked for; a stack trace is the function's to forge.
const FRAMES_SEARCHED: usize = 200;
/// Bytes of a path that are searched for its end, likewise.
const PATH_BYTES: usize = 4096;
/// Bytes of a map that is parsed on a thread of its own: it is for all requests to come, and should
/// not use up the CPU time of the one that met the first error.
const LARGE: usize = 64 << 10;
const SCHEME: &str = "file:///";
/// What deno_core writes before the place of a module that does not link.
const UNLINKED: &str = " at file:///";

/// A place in an author's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The file, relative to the function's folder.
    pub file: String,
    /// The place in it.
    pub position: Position,
}

/// The source maps of a function, `Send` and `Sync`.
#[derive(Debug)]
pub struct SourceMaps {
    /// By specifiers as stack traces show them, which is decoded.
    scripts: HashMap<String, Script>,
}

#[derive(Debug)]
struct Script {
    specifier: String,
    /// Decoded path below the function's folder.
    path: String,
    /// From what runs to what was written, in turn.
    maps: Vec<Map>,
    original: Option<Text>,
}

#[derive(Debug)]
struct Map {
    json: Bytes,
    /// Absent inside when the JSON is not a source map.
    parsed: OnceLock<Option<SourceMap>>,
}

impl SourceMaps {
    pub(super) fn new(modules: &[Module]) -> Self {
        let scripts = modules
            .iter()
            .filter(|module| module.kind == ModuleKind::Script)
            .map(|module| {
                let maps = module.source_maps.iter().map(|json| Map {
                    json: json.clone(),
                    parsed: OnceLock::new(),
                });
                let script = Script {
                    specifier: module.specifier.clone(),
                    path: decoded_path(&module.specifier),
                    maps: maps.collect(),
                    original: module.original().cloned(),
                };
                (decoded(&module.specifier), script)
            })
            .collect();
        Self { scripts }
    }

    /// The origin of a place in the script `specifier`, as V8 reports it. A script without a map
    /// and a place that the map does not know are their own origin; of other scripts there is none.
    pub fn map(&self, specifier: &str, position: Position) -> Option<Origin> {
        let script = self
            .scripts
            .get(specifier)
            .or_else(|| self.scripts.get(&decoded(specifier)))?;
        let mut origin = Origin {
            file: script.path.clone(),
            position,
        };
        for map in &script.maps {
            match map.map(script, origin.position) {
                Some(next) => origin = next,
                None => break,
            }
        }
        Some(origin)
    }

    /// Whether a map would have to be parsed for `stack`, which takes its time once.
    pub fn has_to_parse(&self, stack: &str) -> bool {
        let named = self
            .scripts
            .iter()
            .filter(|(specifier, _)| stack.contains(specifier.as_str()));
        named
            .flat_map(|(_, script)| &script.maps)
            .any(|map| map.parsed.get().is_none())
    }

    /// A stack trace with the places that the author knows, and without the frames of Holm's and
    /// Deno's own scripts. Other lines stay as they are, but for the place that deno_core writes at
    /// the end of the message of a module that does not link.
    ///
    /// ```text
    /// Error: no                                    Error: no
    ///     at f (file:///dist/index.js:1:5710)  →       at f (src/greet.ts:12:9)
    ///     at emit (ext:deno_web/02_event.js:…)
    ///     at async Promise.all (index 0)               at async Promise.all (index 0)
    /// ```
    pub fn remap(&self, stack: &str) -> String {
        let mut out = String::with_capacity(stack.len());
        for (index, line) in stack.split('\n').enumerate() {
            let is_frame = line.starts_with(FRAME);
            if is_frame && (line.contains("(ext:") || line.contains("at ext:")) {
                continue;
            }
            if index > 0 {
                out.push('\n');
            }
            let end_of_message = match index {
                0 => line.rfind(UNLINKED),
                _ => None,
            };
            let from = match is_frame {
                true => 0,
                false => end_of_message.unwrap_or(line.len()),
            };
            out.push_str(&line[..from]);
            self.remap_line(&line[from..], &mut out);
        }
        out
    }

    fn remap_line(&self, line: &str, out: &mut String) {
        let mut rest = line;
        while let Some((range, place)) = Place::find(rest) {
            let (before, after) = (&rest[..range.start], &rest[range.end..]);
            out.push_str(before);
            match self.map(place.specifier, place.position) {
                Some(Origin { file, position }) => {
                    out.push_str(&format!("{file}:{}:{}", position.line, position.column));
                }
                None => out.push_str(&rest[range]),
            }
            rest = after;
        }
        out.push_str(rest);
    }

    /// A code frame for the topmost place of a stack trace, remapped already, that lies in the
    /// function's own files or in a source of one of its maps. It has no lines where the map does
    /// not carry the text.
    pub fn code_frame(&self, stack: &str) -> Option<CodeFrame> {
        stack
            .lines()
            .filter_map(place_of)
            .take(FRAMES_SEARCHED)
            .find_map(|(file, line, column)| {
                let position = Position { line, column };
                Some(match self.text(file)? {
                    Some(text) => CodeFrame::new(file, text, position, 1),
                    None => CodeFrame::place(file, position),
                })
            })
    }

    /// The text of a file or source of this name; nothing inside for a source that came without.
    fn text(&self, file: &str) -> Option<Option<&str>> {
        let mut scripts = self.scripts.values();
        let own = scripts.find(|script| script.path == file);
        if let Some(own) = own {
            return Some(own.original.as_deref());
        }
        self.scripts.values().find_map(|script| {
            script.maps.iter().find_map(|map| {
                let map = map.parsed()?;
                let mut sources = 0..map.get_source_count();
                let found = sources.find(|id| {
                    let source = map.get_source(*id);
                    source.is_some_and(|source| script.relative(source) == file)
                })?;
                Some(map.get_source_contents(found))
            })
        })
    }
}

impl Script {
    /// A source as a map of this script names it, relative to the function's folder. A path that
    /// leaves the folder keeps its leading `../`.
    fn relative(&self, source: &str) -> String {
        if source == self.specifier {
            // Our own compiler's name for it.
            return self.path.clone();
        }
        if let Some(path) = source.strip_prefix("file://") {
            return printable(&decoded(path));
        }
        if source.contains("://") || source.starts_with('/') {
            // `webpack://app/…`, or a path of the machine that built it: nothing to relate.
            return printable(source);
        }
        let mut parts: Vec<&str> = self.path.split('/').collect();
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
}

impl Map {
    fn map(&self, script: &Script, position: Position) -> Option<Origin> {
        let line = position.line.checked_sub(1)?;
        let column = position.column.checked_sub(1)?;
        let map = self.parsed()?;
        let token = guarded(|| map.lookup_token(line, column))
            // The crate falls back to the last token of an earlier line.
            .filter(|token| token.get_dst_line() == line && token.has_source())?;
        Some(Origin {
            file: script.relative(token.get_source()?),
            position: Position {
                line: token.get_src_line().checked_add(1)?,
                column: token.get_src_col().checked_add(1)?,
            },
        })
    }

    fn parsed(&self) -> Option<&SourceMap> {
        let parse = || {
            // `)]}'` in front of the JSON is the crate's business.
            match sourcemap::decode_slice(&self.json).ok()? {
                DecodedMap::Regular(map) => Some(map),
                DecodedMap::Index(index) => index.flatten().ok(),
                // Of React Native's bundler.
                DecodedMap::Hermes(_) => None,
            }
        };
        let parse = || guarded(parse);
        let apart = || {
            let name = std::thread::Builder::new().name("holm-map".into());
            std::thread::scope(|scope| name.spawn_scoped(scope, parse).ok()?.join().ok()?)
        };
        let is_large = self.json.len() > LARGE;
        self.parsed
            .get_or_init(|| if is_large { apart() } else { parse() })
            .as_ref()
    }
}

/// A map is the function's, and the crate's sums overflow on numbers that nobody else would write:
/// a panic in a debug build, and there in the middle of V8, where it would end the process.
fn guarded<T>(work: impl FnOnce() -> Option<T>) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok().flatten()
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
    printable(&decoded(
        specifier.strip_prefix(SCHEME).unwrap_or(specifier),
    ))
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}
