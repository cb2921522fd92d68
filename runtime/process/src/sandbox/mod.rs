//! What a process may do once a stranger's code runs in it: compute, and talk over what it was given.
//!
//! Two of three parts are made once, in the zygote, because forks inherit them: the namespaces
//! (a cell that made its own would pay 100 µs and more for each, and would need privileges for it)
//! together with the dropped capabilities; and the compiled seccomp programs, which are data. What
//! remains for each process is to set three limits and hand over a program ([`Sandbox::enter`]).
//!
//! | layer | what it keeps away | where |
//! |---|---|---|
//! | `no_new_privs` | set-user-id programs | zygote |
//! | seccomp | all of the kernel that a cell has no use for (`filter.rs`) | each process |
//! | capabilities | what root may do, if the edge runs as root | zygote |
//! | not dumpable | processes of the same user that would read its memory | zygote |
//! | user, network, ipc namespace | other users, networks, shared memory | zygote |
//! | mount namespace | all files: its root is empty and read-only | zygote |
//!
//! A pid namespace is not among them: it dies with its first process, and everything in it along.
//!
//! [`Limits`] are not a layer. They hold what a function may use, so they hold without a sandbox, too.

mod bpf;
mod filter;
mod namespaces;

use std::fmt;
use std::io;

use rustix::process::DumpableBehavior;
use rustix::process::Resource;
use rustix::process::Rlimit;
use rustix::thread::CapabilitySet;
use rustix::thread::CapabilitySets;

use filter::Programs;

/// What to do about layers that the system does not offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Do without them.
    Auto,
    /// Refuse to start.
    Require,
    /// Do without all of them.
    Off,
}

/// One thing that stands between a stranger's code and the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// Nothing that it executes gets more rights than it has.
    NoNewPrivileges,
    /// System calls are filtered.
    Seccomp,
    /// It has no capability, not even as root.
    Capabilities,
    /// Its memory cannot be read or traced by other processes of its user.
    NotDumpable,
    /// A user namespace, in which it is nobody.
    Users,
    /// A network namespace without interfaces.
    Network,
    /// An ipc namespace without queues and shared memory.
    Ipc,
    /// A mount namespace with an empty, read-only root.
    Mounts,
}

impl Layer {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::NoNewPrivileges,
        Self::Seccomp,
        Self::Capabilities,
        Self::NotDumpable,
        Self::Users,
        Self::Network,
        Self::Ipc,
        Self::Mounts,
    ];

    /// Its name, in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoNewPrivileges => "no_new_privs",
            Self::Seccomp => "seccomp",
            Self::Capabilities => "dropped capabilities",
            Self::NotDumpable => "not dumpable",
            Self::Users => "user namespace",
            Self::Network => "network namespace",
            Self::Ipc => "ipc namespace",
            Self::Mounts => "mount namespace",
        }
    }

    /// What an operator does to have it.
    pub fn fix(self) -> &'static str {
        match self {
            Self::NoNewPrivileges | Self::NotDumpable | Self::Capabilities => {
                "every Linux since 3.5 has it: look for a seccomp profile around Holm that forbids prctl or capset"
            }
            Self::Seccomp => {
                "use a kernel with CONFIG_SECCOMP_FILTER, 4.14 or later, and allow the seccomp system call in a container's profile"
            }
            Self::Users => {
                "set the sysctls user.max_user_namespaces above 0 and, where they exist, \
                 kernel.unprivileged_userns_clone to 1 and kernel.apparmor_restrict_unprivileged_userns \
                 to 0; in a container, allow unshare in its seccomp profile"
            }
            Self::Network | Self::Ipc => {
                "it needs the user namespace, or CAP_SYS_ADMIN; set the sysctls user.max_net_namespaces \
                 and user.max_ipc_namespaces above 0"
            }
            Self::Mounts => {
                "it needs the user namespace, or CAP_SYS_ADMIN, a root file system that can be \
                 pivoted (not an initramfs, not a chroot), and user.max_mnt_namespaces above 0"
            }
        }
    }
}

/// Whether a layer is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// It is.
    On,
    /// It was not asked for.
    #[default]
    Off,
    /// The system does not offer it, and says this.
    Missing(String),
}

/// What is there of all layers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layers([State; Layer::ALL.len()]);

impl Layers {
    /// Each layer with its state.
    pub fn iter(&self) -> impl Iterator<Item = (Layer, &State)> {
        Layer::ALL.into_iter().zip(&self.0)
    }

    /// The state of one.
    pub fn state(&self, layer: Layer) -> &State {
        &self.0[layer as usize]
    }

    pub(crate) fn set(&mut self, layer: Layer, state: State) {
        self.0[layer as usize] = state;
    }

    fn note(&mut self, layer: Layer, tried: io::Result<()>) {
        let state = match tried {
            Ok(()) => State::On,
            Err(error) => State::Missing(error.to_string()),
        };
        self.set(layer, state);
    }

    /// The first one that was asked for and is not there.
    pub fn missing(&self) -> Option<Missing> {
        self.iter().find_map(|(layer, state)| match state {
            State::Missing(why) => Some(Missing {
                layer,
                why: why.clone(),
            }),
            State::On | State::Off => None,
        })
    }
}

impl fmt::Display for Layers {
    /// Names of the layers that are on, then those that are not and why.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let on = |state: &State| *state == State::On;
        let names: Vec<_> = self
            .iter()
            .filter(|(_, state)| on(state))
            .map(|(layer, _)| layer.name())
            .collect();
        match names.as_slice() {
            [] => f.write_str("off")?,
            names => f.write_str(&names.join(", "))?,
        }
        for (layer, state) in self.iter() {
            if let State::Missing(why) = state {
                write!(f, "; no {}: {why}", layer.name())?;
            }
        }
        Ok(())
    }
}

/// A layer that the system does not offer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sandbox has no {}: {why}. To have it, {}", layer.name(), layer.fix())]
pub struct Missing {
    /// Which one.
    pub layer: Layer,
    /// What the system said.
    pub why: String,
}

/// What a process is, for what it may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It runs a function's start-up, and is copied then.
    Template,
    /// It answers requests, and was forked from the zygote.
    Cell,
    /// It answers requests, and was forked from a template, with what that has given up.
    Copy,
}

/// Hard limits of the kernel on one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `RLIMIT_DATA`: bytes of private writable memory, what it was forked with included. Memory that is
    /// only reserved (`PROT_NONE`) does not count, nor do page tables. Memory that it leaves out otherwise
    /// cannot be had: the filter refuses it.
    pub data: u64,
    /// `RLIMIT_NOFILE`: one more than the highest descriptor it can have.
    pub files: u64,
}

/// The sandbox of a zygote's children.
#[derive(Debug)]
pub struct Sandbox {
    layers: Layers,
    /// `None` without seccomp.
    programs: Option<Programs>,
}

impl Sandbox {
    /// Makes what is made once, and moves this process, the zygote, into its namespaces. It has one thread,
    /// has opened all that it needs ([`crate::zygote::Zygote::enter`] among it), and gives up its rights.
    ///
    /// # Errors
    /// With [`Mode::Require`]: the first layer that is missing.
    pub fn build(mode: Mode) -> Result<Self, Missing> {
        let mut layers = Layers::default();
        let mut programs = None;
        if mode != Mode::Off {
            // First, while the process may still do such things.
            namespaces::enter(&mut layers);
            layers.note(Layer::Capabilities, drop_capabilities());
            layers.note(
                Layer::NoNewPrivileges,
                Ok(()).and_then(|()| Ok(rustix::thread::set_no_new_privs(true)?)),
            );
            let hidden = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
            layers.note(Layer::NotDumpable, hidden.map_err(io::Error::from));
            let compiled = Programs::compile().map(|compiled| programs = Some(compiled));
            layers.note(Layer::Seccomp, compiled);
        }
        match layers.missing() {
            Some(missing) if mode == Mode::Require => Err(missing),
            _ => Ok(Self { layers, programs }),
        }
    }

    /// Which layers there are.
    pub fn layers(&self) -> &Layers {
        &self.layers
    }

    /// Gives up in this process what `role` has no use for. It cannot be taken back.
    ///
    /// # Errors
    /// The system's; no stranger's code may run then.
    pub(crate) fn enter(&self, role: Role, limits: Limits) -> io::Result<()> {
        limit(Resource::Data, limits.data)?;
        limit(Resource::Nofile, limits.files)?;
        limit(Resource::Core, 0)?;
        match &self.programs {
            Some(programs) => programs.apply(role),
            None => Ok(()),
        }
    }
}

/// Sets both limits, unless what the system allows at most is less.
fn limit(resource: Resource, most: u64) -> io::Result<()> {
    let allowed = rustix::process::getrlimit(resource).maximum;
    let most = Some(allowed.map_or(most, |allowed| most.min(allowed)));
    let both = Rlimit {
        current: most,
        maximum: most,
    };
    Ok(rustix::process::setrlimit(resource, both)?)
}

fn drop_capabilities() -> io::Result<()> {
    let none = CapabilitySet::empty();
    let sets = CapabilitySets {
        effective: none,
        permitted: none,
        inheritable: none,
    };
    Ok(rustix::thread::set_capabilities(None, sets)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_is_on_and_what_is_missing() {
        let mut layers = Layers::default();
        assert_eq!(layers.to_string(), "off");
        assert_eq!(layers.missing(), None);
        layers.set(Layer::Seccomp, State::On);
        layers.note(Layer::Users, Err(io::ErrorKind::PermissionDenied.into()));
        assert_eq!(
            layers.to_string(),
            "seccomp; no user namespace: permission denied"
        );
        let missing = layers.missing().expect("one").to_string();
        assert!(
            missing.starts_with(
                "the sandbox has no user namespace: permission denied. To have it, set"
            ),
            "{missing}"
        );
    }

    #[test]
    fn every_layer_has_its_place() {
        for (place, layer) in Layer::ALL.into_iter().enumerate() {
            assert_eq!(layer as usize, place);
        }
    }
}
