//! What `ps` and `top` call a process: `holm: zygote`, `holm: hello`.
//!
//! There are two places. The short name (`comm`, 15 bytes) is set by a system call. The command line is
//! read by others out of the process's own memory, where the kernel has put the arguments; it is
//! overwritten there. So a program that wants longer names has to be started with arguments that are long
//! enough: [`arg0`] makes one that is.

use std::ffi::CString;
use std::ops::Range;

use crate::sys;

/// Longest name that the command line shows in full.
pub const ROOM: usize = 128;

/// What every name begins with.
const PREFIX: &str = "holm: ";

/// The first argument of a program that is to be called `name`, and may be called otherwise later.
pub fn arg0(name: &str) -> String {
    format!("{:ROOM$}", shown(name))
}

/// Where the names of this process are. Forks have it at the same place.
#[derive(Clone, Debug)]
pub struct Title {
    /// Addresses of the arguments; empty if they could not be found.
    arguments: Range<usize>,
}

impl Title {
    /// Reads where the arguments of this process are. Without `/proc` only the short name can be set.
    pub fn find() -> Self {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        Self {
            arguments: arguments(&stat).unwrap_or(0..0),
        }
    }

    /// Calls the process `holm: NAME`. As much as there is room for, up to a whole character.
    pub fn set(&self, name: &str) {
        let title = shown(name);
        let room = self.arguments.len().saturating_sub(1);
        sys::write_arguments(self.arguments.clone(), prefix(&title, room).as_bytes());
        // No zero is in it, see `shown`; and a process is not worse for a name that it did not get.
        if let Ok(short) = CString::new(prefix(&title, 15)) {
            let _ = rustix::thread::set_name(&short);
        }
    }
}

/// Control characters in a name would be written to the terminal of whoever looks.
fn shown(name: &str) -> String {
    let plain = |letter: char| if letter.is_control() { '?' } else { letter };
    PREFIX.chars().chain(name.chars().map(plain)).collect()
}

/// The longest beginning of `text` that has no more than `room` bytes.
fn prefix(text: &str, room: usize) -> &str {
    &text[..text.floor_char_boundary(room)]
}

/// Fields 48 and 49 of `/proc/PID/stat`, `arg_start` and `arg_end` (proc_pid_stat(5)).
fn arguments(stat: &str) -> Option<Range<usize>> {
    // The second field is the short name in parentheses, and may have anything in it.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(48 - 3);
    let start = fields.next()?.parse().ok()?;
    let end = fields.next()?.parse().ok()?;
    // The kernel says 0 to those who may not know.
    (start != 0 && start < end).then_some(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_arguments_behind_any_name() {
        let mut stat = String::from("7 (a) b (c)) S");
        for field in 4..=52 {
            stat.push_str(&format!(" {field}00"));
        }
        assert_eq!(arguments(&stat), Some(4800..4900));
        assert_eq!(arguments("7 (a) S 1 2 3"), None);
        assert_eq!(arguments(""), None);
    }

    #[test]
    fn cuts_between_characters_and_shows_no_control() {
        assert_eq!(prefix("holm: zürich", 8), "holm: z");
        assert_eq!(shown("a\x1b[2Jb\n"), "holm: a?[2Jb?");
        assert_eq!(arg0("zygote").len(), ROOM);
    }
}
