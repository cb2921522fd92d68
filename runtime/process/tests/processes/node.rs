//! An edge as small as can be: what a scenario starts, asks and ends.

use std::os::fd::AsFd;
use std::time::Duration;

use holm_process::lifeline::Anchor;
use holm_process::passing::Socket;
use holm_process::sandbox::Layers;
use holm_process::spawn;
use holm_process::spawn::Process;
use holm_process::spawn::SpawnError;
use holm_process::spawn::ZygoteProcess;

/// Longer than anything takes that works.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// An edge with a zygote.
pub(crate) struct Node {
    pub(crate) anchor: Anchor,
    pub(crate) zygote: ZygoteProcess,
    pub(crate) layers: Layers,
}

/// A cell with the edge's end of its socket.
pub(crate) struct Cell {
    pub(crate) process: Process,
    pub(crate) talk: Socket,
}

/// A template, which is asked like a cell, and forked like a zygote.
pub(crate) struct Template {
    pub(crate) cell: Cell,
    pub(crate) control: Socket,
}

impl Node {
    /// With the sandbox that the system offers.
    pub(crate) fn start() -> Self {
        Self::with(&["auto"]).expect("a zygote")
    }

    /// `how` is read by the zygote, in `zygote.rs`.
    pub(crate) fn with(how: &[&str]) -> Result<Self, SpawnError> {
        let anchor = Anchor::new().expect("anchor");
        let arguments = [&["zygote"], how].concat();
        let zygote = spawn::spawn(&anchor, arguments, &[("TZ", "UTC")])?;
        let layers = zygote.ready(LONG)?;
        Ok(Self {
            anchor,
            zygote,
            layers,
        })
    }

    pub(crate) fn try_cell(&self, name: &str) -> Result<Cell, SpawnError> {
        let (talk, theirs) = Socket::pair().expect("pair");
        let fds = [theirs.as_fd()];
        let process = spawn::fork(self.zygote.control(), &self.anchor, 0, name, &fds)?;
        Ok(Cell { process, talk })
    }

    pub(crate) fn cell(&self, name: &str) -> Cell {
        self.try_cell(name).expect("a cell of the zygote")
    }

    pub(crate) fn template(&self, name: &str) -> Template {
        let (talk, theirs) = Socket::pair().expect("pair");
        let (control, served) = Socket::pair().expect("pair");
        let fds = [theirs.as_fd(), served.as_fd()];
        let process =
            spawn::fork(self.zygote.control(), &self.anchor, 0, name, &fds).expect("a template");
        Template {
            cell: Cell { process, talk },
            control,
        }
    }

    pub(crate) fn try_copy(&self, template: &Template, name: &str) -> Result<Cell, SpawnError> {
        let (talk, theirs) = Socket::pair().expect("pair");
        let (process, control) = (&template.cell.process, &template.control);
        let process = spawn::copy(process, control, &self.anchor, 0, name, &[theirs.as_fd()])?;
        Ok(Cell { process, talk })
    }

    pub(crate) fn copy(&self, template: &Template, name: &str) -> Cell {
        self.try_copy(template, name).expect("a cell of a template")
    }
}

/// Whether the other end of a socket is closed, soon.
pub(crate) fn is_closed(socket: &Socket) -> bool {
    socket.wait(LONG).expect("wait") && socket.receive().expect("received").is_none()
}

impl Cell {
    /// Has it do something, and returns what it says of it; `None` if it ended.
    pub(crate) fn ask(&self, act: &str) -> Option<String> {
        self.talk.send(act.as_bytes(), &[]).expect("asked");
        assert!(self.talk.wait(LONG).expect("wait"), "{act}: no answer");
        let frame = self.talk.receive().expect("received")?;
        Some(String::from_utf8(frame.bytes).expect("text"))
    }

    /// As [`Self::ask`], of one that lives.
    pub(crate) fn says(&self, act: &str) -> String {
        self.ask(act).unwrap_or_else(|| panic!("{act}: it ended"))
    }

    /// Whether it is there, and answers.
    pub(crate) fn lives(&self) -> bool {
        self.ask("hello").as_deref() == Some("hello")
    }

    pub(crate) fn kill(&self) {
        self.process.kill().expect("killed");
        assert!(self.has_ended());
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.process.ended(LONG).expect("wait")
    }
}

impl Template {
    /// Has it wait for commands from now on.
    pub(crate) fn freeze(&self) {
        assert_eq!(self.cell.says("serve"), "serving");
    }
}
