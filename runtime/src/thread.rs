//! What the node asks the scheduler for on behalf of its threads.
//!
//! A function that computes takes the turns that the scheduler grants, some milliseconds each. The
//! threads that answer quickly would wait for the end of such a turn; asking for short turns of
//! their own lets them in before it.

use crate::sys;
use crate::sys::Turns;

/// The calling thread has little to do at a time, and is waited for.
pub fn take_short_turns() {
    sys::set_turns(sys::thread_id(), Turns::Short);
}

/// What the calling thread does can wait for what others do, until it takes short turns.
pub(crate) fn stand_back() {
    sys::set_turns(sys::thread_id(), Turns::Long);
}

/// A thread, as the scheduler knows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ThreadId(libc::pid_t);

impl ThreadId {
    /// The calling one.
    pub(crate) fn current() -> Self {
        Self(sys::thread_id())
    }

    /// The thread is waited for from now on, as after [`take_short_turns`].
    pub(crate) fn hurry(self) {
        sys::set_turns(self.0, Turns::Short);
    }
}
