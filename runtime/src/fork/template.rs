//! A function that has started, to be copied.

use std::io;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use holm_model::message::Frames;
use holm_model::message::FromCell;
use holm_model::message::Purpose;
use holm_model::message::Start;
use holm_model::message::put;
use holm_model::start::StartError;
use holm_process::clock::CpuClock;
use holm_process::memory;
use holm_process::passing::Socket;
use holm_process::spawn;
use holm_process::spawn::Process;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;

use super::ForkError;
use super::control::Control;
use super::zygote::Zygote;
use crate::deadline::Action;
use crate::deadline::Breach;
use crate::deadline::Use;
use crate::deadline::judge;
use crate::deployment::Deployment;
use crate::services::Services;

/// Wall time that a start may take; a module that awaits for ever at its top level ends here.
pub(crate) const START_WALL: Duration = Duration::from_secs(10);

/// Private memory that a process may have beside what its function may: V8's own, stacks of helpers, bodies on
/// their way. In bytes.
const OWN: u64 = 28 << 20;

/// Bytes of compiled code that are kept of one function.
const MAX_COMPILED: usize = 64 << 20;

/// A process that has started a function and waits to be copied. Dropping it ends it; its copies live on.
#[derive(Debug)]
pub(crate) struct Template {
    process: Process,
    control: Control,
    /// Bytes that it holds. It is frozen, so that does not change.
    bytes: u64,
    /// CPU time that it took to start.
    cost: Duration,
    /// The zygote that it is of.
    generation: u64,
}

impl Template {
    /// Whether it is there, and of the zygote that there is now.
    pub(crate) fn is_current(&self, zygote: &Zygote) -> bool {
        !self.control.is_gone() && self.generation == zygote.generation()
    }

    /// Bytes that it holds.
    pub(crate) fn memory(&self) -> u64 {
        self.bytes
    }

    /// CPU time that it took to start the function.
    pub(crate) fn cost(&self) -> Duration {
        self.cost
    }

    /// One more cell, with `fds`.
    pub(crate) async fn copy(
        &self,
        zygote: &Zygote,
        name: &str,
        fds: &[OwnedFd],
    ) -> Result<Process, ForkError> {
        let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
        let control = &self.control;
        let frame = control
            .fork(zygote.anchor(), Purpose::Copy, name, &fds)
            .await?;
        Ok(spawn::answer_of(&self.process, frame)?)
    }
}

/// What a process of `deployment` is told first. `wants_code`: what V8 compiles is kept, if that is not there yet.
pub(crate) fn start_of(deployment: &Deployment, wants_code: bool, enforces: bool) -> Start {
    let limits = &deployment.limits;
    let memory = if enforces {
        limits.memory.as_u64()
    } else {
        UNLIMITED
    };
    Start {
        vars: deployment.vars.to_string(),
        assets: deployment
            .assets
            .as_ref()
            .map(|assets| assets.name.to_string()),
        memory,
        data: memory + OWN,
        subrequests: limits.subrequests.as_u32(),
        log: limits.log.as_u64(),
        websockets: limits.websockets.as_u32(),
        concurrency: u16::try_from(deployment.concurrency.get()).unwrap_or(u16::MAX),
        eval: deployment.eval,
        wants_code: wants_code && deployment.code.wants_compiled(),
    }
}

/// The heap where there are no limits: V8 wants one, below 4 GiB.
const UNLIMITED: u64 = 2 << 30;

/// Starts `deployment` in a process of its own, and keeps that to be copied, if it can be.
///
/// # Errors
/// The function does not start.
pub(crate) async fn begin(
    deployment: &Deployment,
    services: &Services,
) -> Result<Option<Arc<Template>>, StartError> {
    let host = |error: &dyn std::fmt::Display| StartError::Host(error.to_string());
    let (mut ours, theirs) = UnixStream::pair().map_err(|error| host(&error))?;
    let (control, their_control) = Socket::pair().map_err(|error| host(&error))?;
    let code = deployment.code.file(&deployment.graph);
    let code = code.map_err(|error| host(&error))?;
    let fds = [
        blocking(theirs).map_err(|error| host(&error))?,
        their_control.into(),
        code.try_clone().map_err(|error| host(&error))?,
    ];
    let mut start = Vec::new();
    put(
        &mut start,
        &start_of(deployment, true, services.enforces),
        b"",
    );
    let generation = services.zygote.generation();
    let name = format!("{}, template", deployment.name);
    let process = services.zygote.fork(Purpose::Template, &name, &fds).await;
    let process = process.map_err(|error| host(&error))?;
    drop(fds);
    if ours.write_all(&start).await.is_err() {
        return Err(StartError::Crashed(String::new()));
    }
    let clock = process.clock().map_err(|error| host(&error))?;
    let told = watched(&mut ours, clock, deployment, services).await;
    let cost = clock.read().unwrap_or_default();
    match told? {
        Told::Started {
            uncalled,
            not_copyable,
        } => {
            deployment.note_uncalled(uncalled);
            let template = match not_copyable {
                Some(why) => {
                    let _ = deployment.not_copyable.set(why);
                    None
                }
                None => {
                    let control = Control::new(control).map_err(|error| host(&error))?;
                    Some(Arc::new(Template {
                        bytes: memory::own(process.pid()).unwrap_or(0),
                        cost,
                        generation,
                        process,
                        control,
                    }))
                }
            };
            Ok(template)
        }
        Told::Failed(error) => Err(error),
    }
}

/// What a process says of its start.
enum Told {
    Started {
        uncalled: Vec<String>,
        not_copyable: Option<String>,
    },
    Failed(StartError),
}

/// Waits for what the process says, under the limits of a start.
async fn watched(
    socket: &mut UnixStream,
    clock: CpuClock,
    deployment: &Deployment,
    services: &Services,
) -> Result<Told, StartError> {
    let cores = u32::try_from(services.cores.count()).unwrap_or(u32::MAX);
    let since = Instant::now();
    let mut bytes = Vec::new();
    let mut compiled = Vec::<(String, Vec<u8>)>::new();
    let mut goes_on = false;
    let mut size = 0;
    loop {
        let used = Use {
            cpu_limit: deployment.limits.startup_cpu.as_duration(),
            cpu: clock.read().unwrap_or_default(),
            wall: Some((since + START_WALL, Breach::Wall)),
        };
        let after = match judge(used, Instant::now(), cores) {
            Action::Look(after) => after,
            Action::End(_) if !services.enforces => Duration::from_secs(1),
            Action::End(breach) => return Err(over(deployment, breach)),
        };
        match tokio::time::timeout(after, socket.read_buf(&mut bytes)).await {
            Err(_) => continue,
            Ok(Ok(0) | Err(_)) => return Err(StartError::Crashed(String::new())),
            Ok(Ok(_)) => {}
        }
        let mut frames = Frames::of(&bytes);
        loop {
            let message = frames.next::<FromCell<'_>>();
            match message.map_err(|error| StartError::Host(error.to_string()))? {
                Some((
                    FromCell::Started {
                        uncalled,
                        not_copyable,
                    },
                    _,
                )) => {
                    if !compiled.is_empty() && size <= MAX_COMPILED {
                        let added = deployment.code.add(&deployment.graph, &compiled);
                        if let Err(error) = added {
                            tracing::warn!(%error, "no memory for compiled code");
                        }
                    }
                    return Ok(Told::Started {
                        uncalled,
                        not_copyable,
                    });
                }
                Some((FromCell::StartFailed(error), _)) => return Ok(Told::Failed(error)),
                Some((FromCell::Code { specifier, more }, code)) => {
                    size += code.len();
                    if size > MAX_COMPILED {
                        continue;
                    }
                    match compiled.last_mut() {
                        Some((_, before)) if goes_on => before.extend_from_slice(code),
                        _ => compiled.push((specifier.to_owned(), code.to_vec())),
                    }
                    goes_on = more;
                }
                Some(_) => {}
                None => break,
            }
        }
        let used = frames.used();
        bytes.drain(..used);
    }
}

/// The start has run over a limit.
pub(crate) fn over(deployment: &Deployment, breach: Breach) -> StartError {
    let limits = &deployment.limits;
    let limit = match breach {
        Breach::Cpu => format!(
            "start-up CPU time of {}; `limits.startup_cpu` raises it",
            limits.startup_cpu
        ),
        Breach::Memory => format!("memory of {}; `limits.memory` raises it", limits.memory),
        Breach::Wall | Breach::WaitUntil => return StartError::NeverReady,
    };
    StartError::Limit { limit }
}

/// The other process's end of a socket: how it waits is its own business.
pub(crate) fn blocking(socket: UnixStream) -> io::Result<OwnedFd> {
    let socket = socket.into_std()?;
    socket.set_nonblocking(false)?;
    Ok(socket.into())
}
