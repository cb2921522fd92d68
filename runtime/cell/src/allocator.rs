//! The program's allocator: the system's, but that a cell which is out of memory says so before it ends.
#![allow(unsafe_code, reason = "an allocator hands out raw memory")]

use std::alloc::GlobalAlloc;
use std::alloc::Layout;
use std::alloc::System;

use crate::last_words;

/// To be the `#[global_allocator]` of the program. In a process that is no cell and starts no function it is the
/// system's.
#[derive(Clone, Copy, Debug)]
pub struct Allocator;

// SAFETY: every call goes to the system's allocator as it is.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller upholds what the system's asks for, likewise below.
        checked(unsafe { System.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        checked(unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) };
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above.
        checked(unsafe { System.realloc(memory, layout, size) })
    }
}

#[inline]
fn checked(memory: *mut u8) -> *mut u8 {
    if memory.is_null() {
        last_words::refused();
    }
    memory
}
