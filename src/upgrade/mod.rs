//! A restart that refuses no connection: listening sockets outlive the process that serves them.
//!
//! Whoever has a listening socket keeps its backlog, so a client that connects while nobody accepts just waits.
//! There are two who can have it: systemd, which opens the sockets and hands them to each process that it starts
//! ([`Sockets::given`]); and the node itself, which hands them to a successor before it ends:
//!
//! ```text
//! the node ([`Upgrader`])                        its successor ([`Predecessor`])
//!  starts the program at its own path  ────────▶
//!  Offer: the listening sockets        ────────▶  reads the file, takes those that it names, starts functions
//!                                      ◀────────  Broken: a function that does not start; Failed: why it ends
//!                                      ◀────────  Ready
//!  Go                                  ────────▶  accepts
//!                                      ◀────────  Serving: these sockets
//!  stops accepting; Released           ────────▶  accepts on the admin listener
//!  drains, ends                        (the end)  is alone
//! ```
//!
//! Until `Serving` the node serves as if nothing were: whatever goes wrong, however long it takes, costs the
//! successor and nothing else. `Go` is there so that the node can give up: a successor that was told nothing
//! has accepted nobody. Both accept for a moment; neither loses what it has accepted.
//!
//! - [`sockets`]: listening sockets that this process was given; [`talk`]: the messages
//! - [`attempt`]: the node's side of it; [`state`]: what is known of that; [`heir`]: the other side

mod attempt;
mod heir;
mod sockets;
mod state;
mod talk;

pub(crate) use self::attempt::Parts;
pub(crate) use self::attempt::Upgrader;
pub(crate) use self::heir::Heir;
pub(crate) use self::heir::HeirError;
pub(crate) use self::sockets::Held;
pub(crate) use self::sockets::Holder;
pub(crate) use self::sockets::Key;
pub(crate) use self::sockets::Sockets;
pub(crate) use self::state::NotUpgraded;
pub(crate) use self::state::Upgraded;
