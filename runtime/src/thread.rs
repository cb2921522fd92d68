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
