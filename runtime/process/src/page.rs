//! The page that the edge and a cell share.
//!
//! A cell is given several requests ahead. Which of them it has begun cannot be asked of a process that
//! computes, or is gone, so it stands here: each request has a slot, in which the edge offers it, and which
//! changes once more, either because the cell begins it or because the edge takes it back. Whoever comes
//! first decides, so a request is never run twice and never lost.
//!
//! A cell that has run a stranger's code may write whatever it likes. It deceives the edge about its own
//! requests only; the kernel's clock and limits do not go by this page.

use std::io;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::sys;
use crate::sys::Shared;

/// Requests that may be in one cell: slots of the page.
pub const SLOTS: usize = 1_024;

/// Highest number of a request. A cell that has come so far is replaced.
pub const MAX_SEQ: u32 = u32::MAX >> STATE_BITS;

/// Longest text that a process leaves when it ends, in bytes.
const LAST_WORDS: usize = 512;

const STATE_BITS: u32 = 2;
const OFFERED: u32 = 1;
const BEGUN: u32 = 2;
const REVOKED: u32 = 3;

/// What lies on the page. All of it may change at any time.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Layout {
    /// The request that a cell with one at a time works on, and what its CPU clock showed when it began, in ns.
    current: AtomicU32,
    /// Whether the cell computes; it waits otherwise.
    computing: AtomicU32,
    began: AtomicU64,
    /// It has reached its memory limit.
    out_of_memory: AtomicU32,
    reserved: AtomicU32,
    /// What it said before it ended, in UTF-8, with zeros behind it.
    last_words: [AtomicU8; LAST_WORDS],
    slots: [AtomicU32; SLOTS],
}

/// The page, as one of the two sees it.
#[derive(Debug)]
pub struct Page(Shared<Layout>);

impl Page {
    /// A new one, and what the other side maps. It cannot be shrunk or grown any more.
    ///
    /// # Errors
    /// The system has no memory, or no more descriptors.
    pub fn create() -> io::Result<(Self, OwnedFd)> {
        let fd = sys::memory_file("holm-page", sys::Sealed::Size(size_of::<Layout>()))?;
        let page = Self(Shared::map(&fd)?);
        Ok((page, fd))
    }

    /// Maps the page that `fd` is of, which the edge has made.
    ///
    /// # Errors
    /// It is none.
    pub fn map(fd: BorrowedFd<'_>) -> io::Result<Self> {
        Ok(Self(Shared::map(fd)?))
    }

    fn slot(&self, seq: u32) -> &AtomicU32 {
        &self.0.get().slots[seq as usize % SLOTS]
    }

    fn change(&self, seq: u32, state: u32) -> bool {
        let offered = seq << STATE_BITS | OFFERED;
        let slot = self.slot(seq);
        let changed = seq << STATE_BITS | state;
        slot.compare_exchange(offered, changed, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// By the edge, before it sends request `seq`: the cell may begin it.
    pub fn offer(&self, seq: u32) {
        self.slot(seq)
            .store(seq << STATE_BITS | OFFERED, Ordering::Release);
    }

    /// By the edge: the cell is not to begin request `seq` any more. Returns whether it has not.
    pub fn revoke(&self, seq: u32) -> bool {
        self.change(seq, REVOKED)
    }

    /// By the cell: begins request `seq`. Returns whether it may.
    pub fn begin(&self, seq: u32) -> bool {
        self.change(seq, BEGUN)
    }

    /// Whether the cell has begun request `seq`, as it says.
    pub fn has_begun(&self, seq: u32) -> bool {
        self.slot(seq).load(Ordering::Acquire) == seq << STATE_BITS | BEGUN
    }

    /// By a cell that works on one request at a time: it is `seq` from now on, at `cpu` on its CPU clock.
    pub fn set_current(&self, seq: u32, cpu: Duration) {
        let page = self.0.get();
        let nanos = u64::try_from(cpu.as_nanos()).unwrap_or(u64::MAX);
        // Nobody takes the new time for the old request's.
        page.current.store(0, Ordering::Release);
        page.began.store(nanos, Ordering::Release);
        page.current.store(seq, Ordering::Release);
    }

    /// By the cell: what follows is nobody's, until it says [`Page::set_current`] again. Returns what was current.
    pub fn suspend(&self) -> Option<(u32, Duration)> {
        let current = self.current();
        self.0.get().current.store(0, Ordering::Release);
        current
    }

    /// The request that the cell works on, and its CPU clock when that began; `None` while it changes, or
    /// before the first.
    pub fn current(&self) -> Option<(u32, Duration)> {
        let page = self.0.get();
        let seq = page.current.load(Ordering::Acquire);
        let began = page.began.load(Ordering::Acquire);
        let is_same = page.current.load(Ordering::Acquire) == seq;
        (seq != 0 && is_same).then(|| (seq, Duration::from_nanos(began)))
    }

    /// By the cell: it computes, or waits.
    pub fn set_computing(&self, computes: bool) {
        self.0
            .get()
            .computing
            .store(computes.into(), Ordering::Relaxed);
    }

    /// Whether the cell computes.
    pub fn is_computing(&self) -> bool {
        self.0.get().computing.load(Ordering::Relaxed) != 0
    }

    /// By the cell: it ends because its memory is used up.
    pub fn set_out_of_memory(&self) {
        self.0.get().out_of_memory.store(1, Ordering::Release);
    }

    /// By the cell: why it ends, if that is not the function's doing. The first one counts.
    pub fn set_last_words(&self, text: &str) {
        let place = &self.0.get().last_words;
        if place[0].load(Ordering::Acquire) != 0 {
            return;
        }
        let text = &text[..text.floor_char_boundary(LAST_WORDS)];
        // The first byte at last: then all of it is there.
        for (place, byte) in place.iter().zip(text.bytes()).rev() {
            place.store(byte, Ordering::Release);
        }
    }

    /// What the cell says of that; nothing if it has said nothing.
    pub fn last_words(&self) -> Option<String> {
        let bytes: Vec<u8> = self
            .0
            .get()
            .last_words
            .iter()
            .map(|byte| byte.load(Ordering::Acquire))
            .take_while(|byte| *byte != 0)
            .collect();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        (!text.is_empty()).then_some(text)
    }

    /// Whether the cell says so.
    pub fn is_out_of_memory(&self) -> bool {
        self.0.get().out_of_memory.load(Ordering::Acquire) != 0
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    fn pair() -> (Page, Page) {
        let (edge, fd) = Page::create().expect("a page");
        let cell = Page::map(fd.as_fd()).expect("the same page");
        (edge, cell)
    }

    #[test]
    fn one_of_the_two_has_a_request() {
        let (edge, cell) = pair();
        edge.offer(1);
        edge.offer(2);
        assert!(cell.begin(1));
        assert!(!edge.revoke(1));
        assert!(edge.has_begun(1));
        assert!(edge.revoke(2));
        assert!(!cell.begin(2));
        assert!(!edge.has_begun(2));
        // Its slot is taken again.
        let later = 1 + u32::try_from(SLOTS).expect("few");
        edge.offer(later);
        assert!(!cell.begin(1));
        assert!(cell.begin(later));
    }

    #[test]
    fn requests_that_were_never_offered_cannot_begin() {
        let (_, cell) = pair();
        assert!(!cell.begin(0));
        assert!(!cell.begin(9));
    }

    #[test]
    fn what_the_cell_says_is_seen() {
        let (edge, cell) = pair();
        assert_eq!(edge.current(), None);
        assert!(!edge.is_computing() && !edge.is_out_of_memory());
        cell.set_current(3, Duration::from_micros(5));
        cell.set_computing(true);
        cell.set_out_of_memory();
        assert_eq!(edge.current(), Some((3, Duration::from_micros(5))));
        assert!(edge.is_computing() && edge.is_out_of_memory());
        assert_eq!(edge.last_words(), None);
        cell.set_last_words("why");
        cell.set_last_words("something else");
        assert_eq!(edge.last_words().as_deref(), Some("why"));
        let (edge, cell) = pair();
        cell.set_last_words(&"ü".repeat(LAST_WORDS));
        assert_eq!(edge.last_words().map(|text| text.len()), Some(LAST_WORDS));
    }

    #[test]
    fn it_cannot_be_cut_short_by_the_other_side() {
        let (_, fd) = Page::create().expect("a page");
        assert!(rustix::fs::ftruncate(&fd, 0).is_err());
    }

    #[test]
    fn something_else_is_no_page() {
        let (reader, _writer) = rustix::pipe::pipe().expect("a pipe");
        assert!(Page::map(reader.as_fd()).is_err());
    }
}
