//! Where memory lies: together, so that few page tables describe it.
//!
//! V8 wishes each page of its heap to a random address. Every one then has up to three page tables of its own, 4 KiB
//! each, which every forked process has again: they are allocated, filled and freed with it, and half of what it
//! holds. Left to the kernel, pages lie side by side, at an address that is still random as a whole.
//! V8 takes its page allocator from the platform, and the v8 crate has no way to give one; so this takes the place of
//! the C library's function for the whole program.
#![allow(unsafe_code, reason = "stands in for a function of the C library")]

use std::ffi::c_int;
use std::ffi::c_void;

/// Wishes for as much as this, in bytes, are left alone: V8's range for code is to lie near its builtins.
const LARGE: usize = 32 << 20;

/// mmap(2), but that a small piece of new memory lies where the kernel likes.
///
/// # Safety
/// As mmap(2).
#[unsafe(no_mangle)]
unsafe extern "C" fn mmap(
    wish: *mut c_void,
    length: usize,
    protection: c_int,
    flags: c_int,
    file: c_int,
    offset: libc::off_t,
) -> *mut c_void {
    let is_wish = flags & (libc::MAP_FIXED | libc::MAP_FIXED_NOREPLACE) == 0;
    let is_new = flags & libc::MAP_ANONYMOUS != 0;
    let address = if is_wish && is_new && length < LARGE {
        std::ptr::null_mut()
    } else {
        wish
    };
    // SAFETY: the caller's, and a wish may be ignored.
    let mapped = unsafe {
        libc::syscall(
            libc::SYS_mmap,
            address,
            length,
            protection,
            flags,
            file,
            offset,
        )
    };
    mapped as *mut c_void
}

/// The same: offsets have 64 bits.
///
/// # Safety
/// As mmap(2).
#[unsafe(no_mangle)]
unsafe extern "C" fn mmap64(
    wish: *mut c_void,
    length: usize,
    protection: c_int,
    flags: c_int,
    file: c_int,
    offset: libc::off64_t,
) -> *mut c_void {
    // SAFETY: the caller's.
    unsafe { mmap(wish, length, protection, flags, file, offset) }
}
