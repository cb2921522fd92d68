//! Empty namespaces for the zygote and all that is forked from it.
//!
//! One after the other, because a system may offer some of them: with a user namespace the others
//! need no privileges, and root gets them without one. What fails is noted, and leaves nothing behind that
//! would weaken the rest.

use std::fs;
use std::io;

use rustix::mount::MountFlags;
use rustix::mount::MountPropagationFlags;
use rustix::mount::UnmountFlags;
use rustix::thread::UnshareFlags;

use super::Layer;
use super::Layers;
use crate::sys;

/// The user that a process sees itself as: `nobody`, by custom.
const NOBODY: u32 = 65_534;

pub(super) fn enter(layers: &mut Layers) {
    layers.note(Layer::Users, users());
    layers.note(Layer::Network, unshare(UnshareFlags::NEWNET));
    layers.note(Layer::Ipc, unshare(UnshareFlags::NEWIPC));
    layers.note(
        Layer::Mounts,
        unshare(UnshareFlags::NEWNS).and_then(|()| empty_root()),
    );
}

/// The one who runs Holm is nobody inside. Nobody else exists there.
fn users() -> io::Result<()> {
    let user = rustix::process::geteuid();
    let group = rustix::process::getegid();
    unshare(UnshareFlags::NEWUSER)?;
    // Without privileges a group can be mapped only by someone who can no longer change groups
    // (user_namespaces(7)).
    for (file, text) in [
        ("setgroups", "deny".to_owned()),
        ("uid_map", format!("{NOBODY} {} 1", user.as_raw())),
        ("gid_map", format!("{NOBODY} {} 1", group.as_raw())),
    ] {
        fs::write(format!("/proc/self/{file}"), text).map_err(|error| step(file, error))?;
    }
    Ok(())
}

/// Makes an empty file system the root, and lets go of the old one (pivot_root(2), "pivot_root(".", ".")").
fn empty_root() -> io::Result<()> {
    // Any folder that is there would do; the process has open what it needs of this one.
    const PLACE: &str = "/proc";
    rustix::mount::mount_change(
        "/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )
    .map_err(|error| step("making mounts private", error.into()))?;
    let flags = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    rustix::mount::mount(
        "none",
        PLACE,
        "tmpfs",
        flags,
        c"size=4k,nr_inodes=2,mode=555",
    )
    .map_err(|error| step("mounting a tmpfs", error.into()))?;
    rustix::process::chdir(PLACE)?;
    rustix::process::pivot_root(".", ".").map_err(|error| step("pivot_root", error.into()))?;
    // The old root lies on top of the new one now.
    rustix::mount::unmount(".", UnmountFlags::DETACH)
        .map_err(|error| step("unmounting the old root", error.into()))?;
    Ok(rustix::process::chdir("/")?)
}

fn unshare(flags: UnshareFlags) -> io::Result<()> {
    sys::unshare(flags).map_err(|error| step("unshare", error))
}

fn step(what: &str, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}
