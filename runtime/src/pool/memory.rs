//! What a pool's cells hold, and which of them can do without it.

use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Instant;

use holm_process::memory::Reading;

use super::Origin;
use super::Shared;
use crate::cell::GROWN;
use crate::cell::Handle;
use crate::cell::Held;
use crate::cell::Mail;
use crate::descriptors::Purpose;
use crate::services::Services;

impl Shared {
    /// Bytes that a cell of the function takes, as far as that is known.
    pub(super) fn size(&self) -> Option<u64> {
        Some(self.size.load(Ordering::Relaxed)).filter(|size| *size > 0)
    }

    /// A cell came to so many bytes: what the next ones are expected to, by and by.
    fn note_size(&self, bytes: u64) {
        let before = self.size.load(Ordering::Relaxed);
        let after = bytes.max(before - before / 8);
        self.size.store(after, Ordering::Relaxed);
    }

    /// Whether there is no memory, or no descriptors, for one more cell, which is the `first` that it has, or not.
    pub(super) fn is_short(&self, is_first: bool) -> bool {
        let purpose = match is_first {
            true => Purpose::First,
            false => Purpose::Another,
        };
        let Services {
            memory,
            descriptors,
            ..
        } = &self.services;
        memory.is_full(self.size(), is_first) || descriptors.are_short(purpose)
    }

    fn handles(&self) -> Vec<Arc<Handle>> {
        self.state().cells.values().cloned().collect()
    }

    /// Bytes that its processes hold, as of now; at most `exact` of them are read exactly, if that is needed.
    pub(crate) fn read_memory(&self, exact: &mut usize) -> u64 {
        let mut all = self.template_memory();
        for handle in self.handles() {
            match handle.read_memory(self.like()) {
                Held::Known(bytes) => self.note_size(bytes),
                Held::AtMost(bytes) if *exact > 0 => {
                    *exact -= 1;
                    self.read_exactly(&handle, bytes);
                }
                Held::AtMost(bytes) => self.estimate(&handle, bytes),
            }
            all += handle.bytes();
        }
        all
    }

    /// One of its cells has come to rest.
    pub(crate) fn set_resting(&self, handle: &Handle) {
        match handle.set_resting(self.like()) {
            Held::Known(bytes) => self.note_size(bytes),
            // The node's memory is looked at elsewhere. How long the cell may rest depends on what it holds.
            Held::AtMost(bytes) if bytes > GROWN => self.read_exactly(handle, bytes),
            Held::AtMost(bytes) => self.estimate(handle, bytes),
        }
    }

    fn estimate(&self, handle: &Handle, at_most: u64) {
        let likely = self.services.memory.likely(at_most);
        handle.take_for(likely);
        self.note_size(likely);
    }

    fn read_exactly(&self, handle: &Handle, at_most: u64) {
        if let Some(reading) = handle.read_exactly() {
            self.services.memory.note_exact(reading.own, at_most);
            *self.like.lock().unwrap_or_else(PoisonError::into_inner) = Some(reading);
            self.note_size(reading.own);
        }
    }

    /// What one of its cells held that was read lately.
    fn like(&self) -> Option<Reading> {
        *self.like.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same, as it was last read.
    pub(crate) fn memory(&self) -> u64 {
        self.handles().iter().map(|handle| handle.bytes()).sum()
    }

    /// Bytes that its processes hold, the template included, as they were last read.
    pub(crate) fn last_memory(&self) -> u64 {
        self.template_memory() + self.memory()
    }

    /// Ends the largest of its cells, whatever it does. Returns what it held.
    pub(crate) fn evict_largest(&self) -> u64 {
        let handles = self.handles();
        let largest = handles.iter().max_by_key(|handle| handle.bytes());
        largest.map_or(0, |handle| {
            handle.post(Mail::Evict);
            handle.bytes()
        })
    }

    /// When the last request came.
    pub(crate) fn asked(&self) -> Option<Instant> {
        self.state().asked
    }

    /// Bytes that the template holds, if there is one and nobody is busy with it.
    fn template_memory(&self) -> u64 {
        match self.template.try_lock().as_deref() {
            Ok(Origin::Template(template)) => template.memory(),
            Ok(Origin::Unknown | Origin::GivenUp(_) | Origin::Zygote) | Err(_) => 0,
        }
    }

    /// Gives the template up, if no cell is there or coming. It is made again when it is needed. Returns what it
    /// held, if there was one.
    pub(crate) fn give_up_template(&self) -> Option<u64> {
        if self.state().books.all() > 0 {
            return None;
        }
        let mut origin = self.template.try_lock().ok()?;
        let Origin::Template(template) = &*origin else {
            return None;
        };
        let (held, cost) = (template.memory(), template.cost());
        *origin = Origin::GivenUp(cost);
        Some(held)
    }

    /// The same, and its code as well. Returns how many descriptors they had.
    pub(crate) fn give_up_descriptors(&self) -> u64 {
        let of_template = self.give_up_template().map_or(0, |_| 2);
        // Whoever starts the function now needs it.
        if self.state().books.all() > 0 || self.template.try_lock().is_err() {
            return of_template;
        }
        of_template + u64::from(self.deployment.code.give_up())
    }

    /// Whether a cell that rests need not be kept.
    pub(crate) fn may_end(&self) -> bool {
        let kept = self.deployment.limits.min_isolates.as_usize();
        let state = self.state();
        !state.books.dispensable(kept).is_empty()
    }

    /// Ends one cell without work. Returns what it held.
    pub(crate) fn end_idle(&self) -> Option<u64> {
        let mut state = self.state();
        let kept = self.deployment.limits.min_isolates.as_usize();
        let id = *state.books.dispensable(kept).first()?;
        // It is not given work any more.
        state.books.strike_off(id);
        let cell = state.cells.get(&id).cloned();
        drop(state);
        let cell = cell?;
        cell.post(Mail::End);
        Some(cell.bytes())
    }
}
