//! The other side: a node that was started to take the place of another one.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use holm_process::passing::Socket;
use holm_process::succession;
use tracing::debug;
use tracing::info;

use super::Upgrader;
use super::sockets::Held;
use super::sockets::Sockets;
use super::talk;
use super::talk::FromHeir;
use super::talk::TalkError;
use super::talk::ToHeir;
use crate::admin::AdminHandle;
use crate::app::View;
use crate::service;
use crate::telemetry::Telemetry;

/// How long the sockets may take to come: they were sent when this process was started.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why a node cannot take the place of another one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HeirError {
    /// It was not started by a node.
    #[error("cannot take the place of another node: {0}")]
    NotAsked(#[source] io::Error),
    /// The node that has started it has something else to say, or is gone.
    #[error("cannot take the place of the node that has started this one: {0}")]
    Talk(#[from] TalkError),
    /// The system gives no thread.
    #[error("cannot start the thread that waits for the node before this one: {0}")]
    Thread(#[source] io::Error),
}

/// What is to become the node.
#[derive(Clone, Debug)]
pub(crate) struct Heir {
    control: Arc<Socket>,
    predecessor: u32,
    /// From then on it is the node, and what becomes of it is its own affair.
    is_serving: Arc<AtomicBool>,
}

impl Heir {
    /// If this process was started by a node to take its place: this, and what that listens on.
    ///
    /// # Errors
    /// [`HeirError::NotAsked`], or nothing was handed over.
    pub(crate) fn of_process() -> Result<Option<(Self, Sockets)>, HeirError> {
        let control = succession::predecessor().map_err(HeirError::NotAsked)?;
        let Some(control) = control else {
            return Ok(None);
        };
        if !control.wait(PATIENCE).map_err(HeirError::NotAsked)? {
            return Err(TalkError::Gone.into());
        }
        let (message, fds) = talk::receive(&control)?;
        let ToHeir::Offer { pid, sockets } = message else {
            return Err(TalkError::Strange("it has offered nothing".to_owned()).into());
        };
        if sockets.len() != fds.len() {
            return Err(TalkError::Strange("sockets are missing".to_owned()).into());
        }
        let held = sockets.into_iter().zip(fds).map(|(offered, fd)| Held {
            wanted: Some((offered.key, offered.wanted)),
            name: offered.name,
            holder: offered.holder,
            fd,
        });
        let heir = Self {
            control: Arc::new(control),
            predecessor: pid,
            is_serving: Arc::default(),
        };
        Ok(Some((heir, Sockets::of(held))))
    }

    /// The process whose place it takes.
    pub(crate) fn predecessor(&self) -> u32 {
        self.predecessor
    }

    /// Says why it ends, and with which exit code. Returns whether somebody has heard it.
    pub(crate) fn failed(&self, lines: &[String], code: u8) -> bool {
        if self.is_serving.load(Ordering::Relaxed) {
            return false;
        }
        lines.iter().all(|line| {
            let line = talk::cut(line);
            talk::send(&self.control, &FromHeir::Failed { line, code }, &[]).is_ok()
        })
    }

    /// Says that all of `functions` that can start has started, and why the others have not. Waits to be told to
    /// serve.
    ///
    /// # Errors
    /// It will not be.
    pub(crate) fn ready(&self, functions: &[View]) -> Result<(), HeirError> {
        for function in functions {
            let Some(why) = &function.why else {
                continue;
            };
            let broken = FromHeir::Broken {
                function: function.name.to_string(),
                why: talk::cut(why),
            };
            talk::send(&self.control, &broken, &[])?;
        }
        talk::send(&self.control, &FromHeir::Ready, &[])?;
        match talk::receive(&self.control)?.0 {
            ToHeir::Go => Ok(()),
            ToHeir::Offer { .. } | ToHeir::Released => {
                Err(TalkError::Strange("it should say to go".to_owned()).into())
            }
        }
    }

    /// It serves. The admin listener follows when the node before this one has left it; when that has ended, this
    /// one is alone.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(crate) fn serving(
        self,
        sockets: &Sockets,
        admin: Option<AdminHandle>,
        telemetry: Telemetry,
        upgrader: Upgrader,
    ) -> Result<(), HeirError> {
        self.is_serving.store(true, Ordering::Relaxed);
        let serving = FromHeir::Serving {
            taken: sockets.taken().to_vec(),
        };
        // If it is gone, so much the more.
        if let Err(error) = talk::send(&self.control, &serving, &[]) {
            debug!(%error, "the node before this one does not hear that it can go");
        }
        info!(predecessor = self.predecessor, "serving in its place");
        let wait = move || {
            loop {
                match talk::receive(&self.control) {
                    Ok((ToHeir::Released, _)) => admin.iter().for_each(AdminHandle::accept),
                    // Another version may have more to say.
                    Ok((ToHeir::Offer { .. } | ToHeir::Go, _)) | Err(TalkError::Strange(_)) => {}
                    Err(TalkError::Gone | TalkError::Passing(_)) => break,
                }
            }
            admin.iter().for_each(AdminHandle::accept);
            telemetry.share(false);
            upgrader.is_alone();
            service::ready();
            info!(
                predecessor = self.predecessor,
                "the node before this one has ended"
            );
        };
        let thread = thread::Builder::new().name("holm-heir".into());
        drop(thread.spawn(wait).map_err(HeirError::Thread)?);
        Ok(())
    }
}
