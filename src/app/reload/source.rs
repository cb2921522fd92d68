//! Where a plan comes from: a file, or the path of `holm dev`.

use std::net::Ipv4Addr;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use crate::config;
use crate::config::LocalCa;
use crate::config::Plan;
use crate::config::Problems;

/// Where a plan comes from.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// `holm serve`
    File(PathBuf),
    /// `holm dev`
    Dev {
        /// A script, or a folder.
        path: PathBuf,
        /// On the loopback address.
        port: u16,
        /// Who signs for HTTPS, and the port of that.
        https: Option<(Arc<LocalCa>, u16)>,
    },
}

impl Source {
    /// Reads it.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub(crate) fn plan(&self) -> Result<Plan, Problems> {
        let (path, port, https) = match self {
            Self::File(file) => return config::load(file),
            Self::Dev { path, port, https } => (path, *port, https),
        };
        // A folder that has a configuration of its own is served by it, variables and limits included.
        let config = path.join("holm.toml");
        let mut plan = if config.is_file() {
            config::load(&config)?
        } else {
            Plan::single(path)?
        };
        // Whatever the file says: everybody who asks is shown what goes wrong.
        plan.server.http = (Ipv4Addr::LOCALHOST, port).into();
        plan.watch = true;
        plan.tls = None;
        for function in &mut plan.functions {
            // Nobody but this machine asks, and what it has to show would only be in the way.
            function.access = Arc::default();
        }
        plan.answer_at_localhost();
        if let Some((authority, port)) = https {
            // A new function has a new name.
            let served = authority.serve(&mut plan, *port);
            served.map_err(|error| Problems::without_file(path, &error))?;
        }
        Ok(plan)
    }

    /// Whether whoever writes the functions is looking on.
    pub(super) fn is_dev(&self) -> bool {
        match self {
            Self::File(_) => false,
            Self::Dev { .. } => true,
        }
    }

    /// The file that decides, if there is one.
    pub(super) fn file(&self) -> Option<&Path> {
        match self {
            Self::File(file) => Some(file),
            Self::Dev { .. } => None,
        }
    }

    /// Folders in which functions may come and go: that of the path, and those right below it.
    pub(super) fn folders(&self) -> Vec<PathBuf> {
        let path = match self {
            Self::File(_) => return Vec::new(),
            Self::Dev { path, .. } => path,
        };
        if !path.is_dir() {
            let folder = path.parent().filter(|folder| *folder != Path::new(""));
            return vec![folder.unwrap_or(Path::new(".")).to_owned()];
        }
        let mut folders = vec![path.clone()];
        if let Ok(entries) = path.read_dir() {
            let below = entries.filter_map(Result::ok).map(|entry| entry.path());
            folders.extend(below.filter(|path| path.is_dir() && !path.ends_with("node_modules")));
        }
        folders
    }
}
