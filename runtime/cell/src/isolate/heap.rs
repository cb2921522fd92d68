//! The memory of one isolate: V8's heap and the ArrayBuffers outside it, under one budget.
#![allow(unsafe_code, reason = "V8's allocator interface hands out raw memory")]

use std::alloc::GlobalAlloc;
use std::alloc::Layout;
use std::alloc::System;
use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use deno_core::v8;

/// What the heap may grow by when V8 calls for help although only an ArrayBuffer was refused: it
/// does so after its last garbage collection for one, however empty the heap is.
pub(super) const SLACK: usize = 4 << 20;

/// How often that may happen to one isolate before it counts as a full heap.
const REFUSALS: usize = 16;

/// Alignment of the memory behind an ArrayBuffer, enough for every element type.
const ALIGNMENT: usize = 16;

/// Bytes of ArrayBuffers of one isolate, and how many there may be.
#[derive(Debug)]
pub(super) struct Buffers {
    used: AtomicUsize,
    limit: AtomicUsize,
    /// An allocation was refused and nobody has asked about it yet.
    refused: AtomicBool,
    /// How often somebody has.
    refusals: AtomicUsize,
}

impl Buffers {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            used: AtomicUsize::new(0),
            limit: AtomicUsize::new(limit),
            refused: AtomicBool::new(false),
            refusals: AtomicUsize::new(0),
        })
    }

    /// Sets how many bytes there may be from now on.
    pub(super) fn limit(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// Bytes in use.
    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Whether V8 is short of memory because a buffer was refused, and may go on.
    pub(super) fn was_refusal(&self) -> bool {
        self.refused.swap(false, Ordering::Relaxed)
            && self.refusals.fetch_add(1, Ordering::Relaxed) < REFUSALS
    }

    /// V8's allocator over this budget. A request that does not fit gets null, which V8 turns
    /// into a RangeError.
    pub(super) fn allocator(self: &Arc<Self>) -> v8::UniqueRef<v8::Allocator> {
        let handle = Arc::into_raw(self.clone());
        // SAFETY: `handle` is a strong reference that the `drop` of the table gives back, and
        // each function of the table takes what the others gave.
        unsafe { v8::new_rust_allocator(handle, &TABLE) }
    }

    fn take(&self, length: usize) -> Option<Layout> {
        let layout = Layout::from_size_align(length.max(1), ALIGNMENT).ok()?;
        let limit = self.limit.load(Ordering::Relaxed);
        let taken = self
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(length).filter(|used| *used <= limit)
            });
        self.refused.store(taken.is_err(), Ordering::Relaxed);
        taken.ok()?;
        Some(layout)
    }

    fn give_back(&self, length: usize) {
        self.used.fetch_sub(length, Ordering::Relaxed);
    }

    fn allocate(&self, length: usize) -> *mut c_void {
        let Some(layout) = self.take(length) else {
            return std::ptr::null_mut();
        };
        // Not the program's allocator, which ends a cell that is out of memory.
        // SAFETY: the layout has a size of at least one byte.
        let memory = unsafe { System.alloc_zeroed(layout) };
        if memory.is_null() {
            self.give_back(length);
        }
        memory.cast()
    }
}

static TABLE: v8::RustAllocatorVtable<Buffers> = v8::RustAllocatorVtable {
    allocate: allocate_zeroed,
    // Zeroed all the same: memory of another function must never show through.
    allocate_uninitialized: allocate_zeroed,
    free,
    drop: drop_handle,
};

unsafe extern "C" fn allocate_zeroed(buffers: &Buffers, length: usize) -> *mut c_void {
    buffers.allocate(length)
}

unsafe extern "C" fn free(buffers: &Buffers, memory: *mut c_void, length: usize) {
    if let Ok(layout) = Layout::from_size_align(length.max(1), ALIGNMENT) {
        // SAFETY: V8 frees what `allocate_zeroed` gave it, with the length it asked for, so the
        // layout is the one it was allocated with.
        unsafe { System.dealloc(memory.cast(), layout) };
    }
    buffers.give_back(length);
}

unsafe extern "C" fn drop_handle(buffers: *const Buffers) {
    // SAFETY: the pointer is the strong reference that `Buffers::allocator` gave away; V8 drops
    // it once.
    drop(unsafe { Arc::from_raw(buffers) });
}
