//! What bounds the number of processes on this system.
//!
//! `fork` says only that there are too many. Which of the bounds was met, and what an operator has to
//! change, is looked up here: at the start, to say how many isolates there can be, and when a fork fails.

use std::fmt;
use std::path::Path;

use rustix::process::Resource;
use rustix::thread::CapabilitySet;

/// One bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessBound {
    /// What an operator knows it by.
    pub name: String,
    /// How many processes and threads it allows.
    pub most: u64,
    /// How many of them there are, where that is known.
    pub used: Option<u64>,
}

impl ProcessBound {
    /// How many more there can be.
    pub fn left(&self) -> u64 {
        self.most.saturating_sub(self.used.unwrap_or(0))
    }
}

impl fmt::Display for ProcessBound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}", self.name, self.most)?;
        match self.used {
            Some(used) => write!(f, " ({used} used)"),
            None => Ok(()),
        }
    }
}

/// All bounds that this process is under.
pub fn processes() -> Vec<ProcessBound> {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let mut bounds = of_system(read);
    bounds.extend(of_user());
    bounds
}

/// The one that is met first.
pub fn tightest() -> Option<ProcessBound> {
    processes().into_iter().min_by_key(ProcessBound::left)
}

/// `RLIMIT_NPROC`, unless the process is exempt from it (setrlimit(2)). How many processes its user has
/// is not known.
fn of_user() -> Option<ProcessBound> {
    let exempt = CapabilitySet::SYS_ADMIN | CapabilitySet::SYS_RESOURCE;
    let has = rustix::thread::capabilities(None).ok()?.effective;
    if rustix::process::getuid().is_root() || has.intersects(exempt) {
        return None;
    }
    Some(ProcessBound {
        name: "RLIMIT_NPROC (ulimit -u) of the user, all whose processes count".into(),
        most: rustix::process::getrlimit(Resource::Nproc).current?,
        used: None,
    })
}

fn of_system(read: impl Fn(&str) -> Option<String>) -> Vec<ProcessBound> {
    let number = |path: &str| read(path)?.trim().parse::<u64>().ok();
    // "0.20 0.18 0.12 1/80 11206": the fourth field is what runs, and what there is.
    let threads = read("/proc/loadavg").and_then(|line| {
        let (_, all) = line.split_ascii_whitespace().nth(3)?.split_once('/')?;
        all.parse().ok()
    });
    let sysctls = ["pid_max", "threads-max"].into_iter().filter_map(|name| {
        Some(ProcessBound {
            name: format!("kernel.{name}"),
            most: number(&format!("/proc/sys/kernel/{name}"))?,
            used: threads,
        })
    });
    let groups = groups(&read("/proc/self/cgroup").unwrap_or_default());
    let cgroups = groups.into_iter().filter_map(|group| {
        Some(ProcessBound {
            // "max" where there is no bound, and no file in the root.
            most: number(&format!("{group}/pids.max"))?,
            used: number(&format!("{group}/pids.current")),
            name: format!("{group}/pids.max (TasksMax of a systemd unit)"),
        })
    });
    sysctls.chain(cgroups).collect()
}

/// Folders of the cgroups that count this process, and of those above them, from `/proc/self/cgroup`
/// (cgroups(7)).
fn groups(table: &str) -> Vec<String> {
    let mut groups = Vec::new();
    for line in table.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else {
            continue;
        };
        let roots: &[&str] = match controllers {
            "" => &["/sys/fs/cgroup", "/sys/fs/cgroup/unified"],
            "pids" => &["/sys/fs/cgroup/pids"],
            _ => continue,
        };
        for root in roots {
            let above = Path::new(path)
                .ancestors()
                .map(|group| format!("{root}{}", group.display()));
            groups.extend(above.map(|group| group.trim_end_matches('/').to_owned()));
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_system_has_some() {
        let bounds = processes();
        assert!(
            bounds.iter().any(|bound| bound.name == "kernel.pid_max"),
            "{bounds:?}"
        );
        assert!(tightest().is_some_and(|bound| bound.left() > 0));
    }

    #[test]
    fn finds_the_group_that_is_tightest() {
        let read = |path: &str| {
            let text = match path {
                "/proc/loadavg" => "0.20 0.18 0.12 1/80 11206\n",
                "/proc/sys/kernel/pid_max" => "32768\n",
                "/proc/self/cgroup" => "0::/system.slice/holm.service\n",
                "/sys/fs/cgroup/system.slice/holm.service/pids.max" => "max\n",
                "/sys/fs/cgroup/system.slice/pids.max" => "500\n",
                "/sys/fs/cgroup/system.slice/pids.current" => "480\n",
                _ => return None,
            };
            Some(text.to_owned())
        };
        let bounds = of_system(read);
        let tightest = bounds
            .iter()
            .min_by_key(|bound| bound.left())
            .expect("some");
        assert_eq!(tightest.left(), 20);
        assert_eq!(
            tightest.to_string(),
            "/sys/fs/cgroup/system.slice/pids.max (TasksMax of a systemd unit) = 500 (480 used)"
        );
        assert_eq!(bounds.len(), 2);
        assert_eq!(bounds[0].left(), 32_688);
    }

    #[test]
    fn the_first_version_of_cgroups_counts_too() {
        assert_eq!(
            groups("8:pids:/a/b\n5:memory:/c\nnonsense\n"),
            [
                "/sys/fs/cgroup/pids/a/b",
                "/sys/fs/cgroup/pids/a",
                "/sys/fs/cgroup/pids"
            ]
        );
    }
}
