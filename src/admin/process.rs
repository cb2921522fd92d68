//! What the edge's own process uses, as `/proc` says it.

use std::fs;

use rustix::process::Resource;
use rustix::process::getrlimit;

use super::status::Process;

/// This process, now. What cannot be read is 0.
pub(super) fn this() -> Process {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Fields are counted behind the name, which may hold anything; proc_pid_stat(5).
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let field = |number: usize| -> f64 {
        let mut fields = fields.split_ascii_whitespace();
        let field = fields.nth(number - 3).and_then(|field| field.parse().ok());
        field.unwrap_or(0.0)
    };
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    let open = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    Process {
        cpu_seconds: (field(14) + field(15)) / ticks,
        // The look itself has one open.
        open_files: (open as u64).saturating_sub(1),
        max_files: getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX),
        resident_bytes: field(24) as u64 * rustix::param::page_size() as u64,
        start_time_seconds: boot_time() + field(22) / ticks,
    }
}

/// When the machine was started, in seconds since 1970.
fn boot_time() -> f64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = stat.lines().find_map(|line| line.strip_prefix("btime "));
    line.and_then(|time| time.trim().parse().ok())
        .unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn this_process_is_read() {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = now.expect("after 1970").as_secs_f64();
        let before = this();
        assert!(before.resident_bytes > 1 << 20 && before.max_files > 0);
        assert!(before.start_time_seconds <= now + 2.0 && before.start_time_seconds > now - 1e5);
        let file = fs::File::open("/proc/self/stat").expect("opened");
        // Other tests open files too; each of a hundred is seen by one look at least.
        let seen = (0..100).any(|_| this().open_files > before.open_files);
        assert!(seen);
        drop(file);
    }
}
