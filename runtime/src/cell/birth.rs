//! How a process comes to be a cell.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use futures::FutureExt;
use holm_model::message::Purpose;
use holm_model::message::put;
use holm_model::start::StartError;
use holm_process::page::Page;

use super::Handle;
use super::driver::Cell;
use super::driver::Stage;
use super::link::Link;
use crate::deployment::Deployment;
use crate::fork::ForkError;
use crate::fork::template;
use crate::pool::Place;
use crate::pool::Shared;

/// Has one more cell come into being. `is_cold`: for a request that waits for it.
pub(crate) fn spawn(pool: &Arc<Shared>, place: Place, is_cold: bool) {
    let io = pool.services.io.clone();
    let pool = pool.clone();
    io.spawn(async move {
        match bear(&pool, place, is_cold).await {
            Ok(cell) => cell.live().await,
            Err(NotBorn::Start(error)) => pool.start_failed(&error),
            Err(NotBorn::Fork(error)) => pool.fork_failed(&error),
        }
    });
}

/// Why there is no cell.
enum NotBorn {
    Start(StartError),
    Fork(ForkError),
}

impl From<std::io::Error> for NotBorn {
    fn from(error: std::io::Error) -> Self {
        Self::Fork(error.into())
    }
}

async fn bear(pool: &Arc<Shared>, place: Place, is_cold: bool) -> Result<Cell, NotBorn> {
    let template = pool.template().await.map_err(NotBorn::Start)?;
    let (ours, theirs) = UnixStream::pair()?;
    let (page, their_page) = Page::create()?;
    let handle = Arc::new(Handle::new(place.id(), page));
    pool.enlist(&handle);
    let theirs = OwnedFd::from(theirs);
    let mut link = Link::new(ours)?;
    let zygote = pool.services.zygote.clone();
    let name = pool.deployment.name.clone();
    let (forking, stage) = match template {
        Some(template) => {
            let forking = async move {
                let fds: [OwnedFd; 2] = [theirs, their_page];
                template.copy(&zygote, &name, &fds).await
            };
            (forking.boxed(), Stage::Copied)
        }
        None => {
            let start = template::start_of(&pool.deployment, false, pool.services.enforces);
            let mut bytes = Vec::new();
            put(&mut bytes, &start, b"");
            link.put_bytes(&bytes);
            let Deployment { code, graph, .. } = &*pool.deployment;
            let code = code.file(graph)?.try_clone()?;
            let forking = async move {
                let fds: [OwnedFd; 3] = [theirs, their_page, code];
                zygote.fork(Purpose::Cell, &name, &fds).await
            };
            (forking.boxed(), Stage::Starting(std::time::Instant::now()))
        }
    };
    Ok(Cell::new(
        pool.clone(),
        handle,
        place,
        link,
        forking,
        stage,
        is_cold,
    ))
}
