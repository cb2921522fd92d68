//! Keeps hostile nesting from overflowing the compiler's stack, which would end the process.
//!
//! swc parses, transforms and drops syntax trees by recursion. A file of a megabyte of `(`
//! would overflow any stack, and a stack overflow cannot be caught. So:
//!
//! 1. Compiling happens on a thread of its own with [`STACK`] bytes ([`super::load`]).
//! 2. [`Guarded`] stands between lexer and parser. Every level of recursion takes a token, so
//!    looking at the stack pointer at each token bounds the recursion, whatever the syntax.
//!    Past [`PARSER_STACK`] the parser sees the end of the file and unwinds. The same happens
//!    past a number of tokens and a time: parsing TypeScript backtracks, some inputs make it
//!    do so exponentially, and a chain of `else if` costs the square of its length.
//! 3. Left-recursive chains (`a.b.c…`, `1+1+…`, `else if …`) are parsed by loops, so their
//!    trees may still be deep. [`flatten`] walks the tree before anything else does, and
//!    takes out what lies deeper than [`TREE_DEPTH`], so that even dropping it is safe.
//!
//! Bounding the text instead (brackets, say) was rejected: JavaScript cannot be lexed without
//! parsing it, and every heuristic is a hole.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use deno_ast::swc::ast::{Expr, JSXObject, Program, Stmt, TsEntityName, TsType};
use deno_ast::swc::common::util::take::Take;
use deno_ast::swc::common::{BytePos, DUMMY_SP, Span, Spanned};
use deno_ast::swc::ecma_visit::{VisitMut, VisitMutWith};
use deno_ast::swc::lexer::common::context::Context;
use deno_ast::swc::lexer::common::input::Tokens;
use deno_ast::swc::lexer::common::syntax::SyntaxFlags;
use deno_ast::swc::lexer::error::Error;
use deno_ast::swc::lexer::lexer::TokenFlags;
use deno_ast::swc::lexer::token::{Token, TokenAndSpan};
use deno_ast::swc::lexer::{Lexer, TokenContexts};

/// Stack of the thread that compiles. Reserved, not committed: pages are touched by need.
pub(super) const STACK: usize = 512 << 20;
/// Stack that parsing may use. The rest is headroom for [`TREE_DEPTH`].
const PARSER_STACK: usize = 128 << 20;
/// Nested expressions, statements and types. In a debug build the parser took about 20 KiB of
/// stack per level of parentheses; a release build compiled 9,000 levels of parentheses,
/// arrays, objects and arrows. Other constructs were not measured.
const TREE_DEPTH: usize = 10_000;
/// Tokens the parser may take per byte of source before it is called stuck. Real files take
/// less than one; TypeScript's lookahead re-reads some of them a few times.
const TOKENS_PER_BYTE: u64 = 8;
/// Tokens granted regardless of size.
const TOKENS_BASE: u64 = 1 << 18;
/// Wall time for parsing one file: an estimate, not measured on files of the largest size.
const DEADLINE: Duration = Duration::from_secs(10);
/// Tokens between two looks at the clock; a power of two.
const TOKENS_PER_LOOK: u64 = 1 << 10;

/// Why [`Guarded`] cut the input off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// Nested deeper than the stack may go.
    Deep,
    /// More tokens than any reasonable parse takes.
    Stuck,
}

/// What [`Guarded`] saw; shared by the clones that a backtracking parser makes.
#[derive(Debug)]
pub(super) struct Watch {
    stack_top: usize,
    tokens_left: Cell<u64>,
    deadline: Instant,
    cut: Cell<Option<(Cut, BytePos)>>,
}

impl Watch {
    /// A watch over one file of `bytes`, to be made where parsing starts.
    pub(super) fn new(bytes: usize) -> Rc<Self> {
        let budget = TOKENS_BASE + TOKENS_PER_BYTE * bytes as u64;
        Rc::new(Self {
            stack_top: stack_pointer(),
            tokens_left: Cell::new(budget),
            deadline: Instant::now() + DEADLINE,
            cut: Cell::new(None),
        })
    }

    /// Why to cut the input off before the next token.
    fn judge(&self) -> Option<Cut> {
        let left = self.tokens_left.get();
        if self.stack_top.abs_diff(stack_pointer()) > PARSER_STACK {
            return Some(Cut::Deep);
        }
        let late = left.is_multiple_of(TOKENS_PER_LOOK) && Instant::now() > self.deadline;
        if left == 0 || late {
            return Some(Cut::Stuck);
        }
        self.tokens_left.set(left - 1);
        None
    }

    /// Why and where the input was cut off, if it was.
    pub(super) fn cut(&self) -> Option<(Cut, BytePos)> {
        self.cut.get()
    }
}

/// The address of a local: close enough to the stack pointer, in safe code.
#[inline(never)]
fn stack_pointer() -> usize {
    let here = 0_u8;
    std::ptr::from_ref(std::hint::black_box(&here)).addr()
}

/// A lexer that ends early rather than let its parser overflow the stack.
#[derive(Clone)]
pub(super) struct Guarded<'a> {
    lexer: Lexer<'a>,
    watch: Rc<Watch>,
    /// The end of the last token.
    last: BytePos,
}

impl<'a> Guarded<'a> {
    /// Guards `lexer` by `watch`.
    pub(super) fn new(lexer: Lexer<'a>, watch: Rc<Watch>) -> Self {
        let last = lexer.start_pos();
        Self { lexer, watch, last }
    }
}

impl Iterator for Guarded<'_> {
    type Item = TokenAndSpan;

    fn next(&mut self) -> Option<TokenAndSpan> {
        let token = self.lexer.next();
        let watch = &self.watch;
        if let Some(token) = token
            && watch.cut.get().is_none()
        {
            match watch.judge() {
                None => {
                    self.last = token.span.hi;
                    return Some(token);
                }
                Some(cut) => watch.cut.set(Some((cut, token.span.lo))),
            }
        }
        // An end of our own, right behind the last token: the one that swc makes up from
        // `None` is before that token, which trips its own assertions (`!` alone does).
        Some(TokenAndSpan {
            token: Token::Eof,
            had_line_break: true,
            span: Span::new(self.last, self.last),
        })
    }
}

impl<'a> Tokens<TokenAndSpan> for Guarded<'a> {
    type Checkpoint = <Lexer<'a> as Tokens<TokenAndSpan>>::Checkpoint;

    fn checkpoint_save(&self) -> Self::Checkpoint {
        self.lexer.checkpoint_save()
    }
    fn checkpoint_load(&mut self, checkpoint: Self::Checkpoint) {
        self.lexer.checkpoint_load(checkpoint);
    }
    fn set_ctx(&mut self, ctx: Context) {
        self.lexer.set_ctx(ctx);
    }
    fn ctx(&self) -> Context {
        self.lexer.ctx()
    }
    fn ctx_mut(&mut self) -> &mut Context {
        self.lexer.ctx_mut()
    }
    fn syntax(&self) -> SyntaxFlags {
        self.lexer.syntax()
    }
    fn target(&self) -> deno_ast::swc::ast::EsVersion {
        self.lexer.target()
    }
    fn start_pos(&self) -> BytePos {
        self.lexer.start_pos()
    }
    fn set_expr_allowed(&mut self, allow: bool) {
        self.lexer.set_expr_allowed(allow);
    }
    fn set_next_regexp(&mut self, start: Option<BytePos>) {
        self.lexer.set_next_regexp(start);
    }
    fn token_context(&self) -> &TokenContexts {
        self.lexer.token_context()
    }
    fn token_context_mut(&mut self) -> &mut TokenContexts {
        self.lexer.token_context_mut()
    }
    fn set_token_context(&mut self, contexts: TokenContexts) {
        self.lexer.set_token_context(contexts);
    }
    fn add_error(&mut self, error: Error) {
        self.lexer.add_error(error);
    }
    fn add_module_mode_error(&mut self, error: Error) {
        self.lexer.add_module_mode_error(error);
    }
    fn end_pos(&self) -> BytePos {
        self.lexer.end_pos()
    }
    fn take_errors(&mut self) -> Vec<Error> {
        self.lexer.take_errors()
    }
    fn take_script_module_errors(&mut self) -> Vec<Error> {
        self.lexer.take_script_module_errors()
    }
    fn update_token_flags(&mut self, update: impl FnOnce(&mut TokenFlags)) {
        self.lexer.update_token_flags(update);
    }
    fn token_flags(&self) -> TokenFlags {
        self.lexer.token_flags()
    }
}

/// Takes out every subtree deeper than [`TREE_DEPTH`], and returns where the first one was.
///
/// Afterwards the tree is safe to visit and to drop. If something was taken out it no longer
/// means what its text says and must not be used.
pub(super) fn flatten(program: &mut Program) -> Option<BytePos> {
    let mut axe = Axe::default();
    program.visit_mut_with(&mut axe);
    // What was taken out is deep in turn; take it apart the same way, one piece at a time.
    while let Some(mut piece) = axe.felled.pop() {
        match &mut piece {
            Piece::Expr(expr) => expr.visit_mut_children_with(&mut axe),
            Piece::Stmt(stmt) => stmt.visit_mut_children_with(&mut axe),
            Piece::Type(ty) => ty.visit_mut_children_with(&mut axe),
            Piece::Name(name) => name.visit_mut_children_with(&mut axe),
            Piece::Jsx(object) => object.visit_mut_children_with(&mut axe),
        }
    }
    axe.first
}

#[derive(Default)]
struct Axe {
    depth: usize,
    felled: Vec<Piece>,
    first: Option<BytePos>,
}

enum Piece {
    Expr(Expr),
    Stmt(Stmt),
    Type(TsType),
    Name(TsEntityName),
    Jsx(JSXObject),
}

impl Axe {
    /// Descends into `node`, or replaces it by `stump` where the tree is too deep.
    fn at<N: Spanned + VisitMutWith<Self>>(
        &mut self,
        node: &mut N,
        stump: fn() -> N,
        piece: fn(N) -> Piece,
    ) {
        if self.depth < TREE_DEPTH {
            self.depth += 1;
            node.visit_mut_children_with(self);
            self.depth -= 1;
        } else {
            self.first.get_or_insert(node.span_lo());
            self.felled.push(piece(std::mem::replace(node, stump())));
        }
    }
}

// Every cycle in the grammar that the parser walks by a loop passes through one of these.
impl VisitMut for Axe {
    fn visit_mut_expr(&mut self, node: &mut Expr) {
        self.at(node, Expr::dummy, Piece::Expr);
    }
    fn visit_mut_stmt(&mut self, node: &mut Stmt) {
        self.at(node, Stmt::dummy, Piece::Stmt);
    }
    fn visit_mut_ts_type(&mut self, node: &mut TsType) {
        self.at(node, type_stump, Piece::Type);
    }
    fn visit_mut_ts_entity_name(&mut self, node: &mut TsEntityName) {
        self.at(node, || TsEntityName::Ident(Take::dummy()), Piece::Name);
    }
    fn visit_mut_jsx_object(&mut self, node: &mut JSXObject) {
        self.at(node, || JSXObject::Ident(Take::dummy()), Piece::Jsx);
    }
}

fn type_stump() -> TsType {
    TsType::TsThisType(deno_ast::swc::ast::TsThisType { span: DUMMY_SP })
}
