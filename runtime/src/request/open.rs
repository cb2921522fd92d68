//! Records that wait for what the node still spends.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use holm_model::outbound::Account;
use holm_model::record::Record;
use holm_model::record::Recorder;

/// Keeps the record of a request from being written, because the node still works on its answer.
/// Dropped, it lets go of it.
#[derive(Debug)]
pub struct OpenRecord(Arc<Shared>);

/// The end that the request has.
#[derive(Debug)]
pub(super) struct Ending(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    account: Account,
    state: Mutex<State>,
}

enum State {
    /// Both the request and the work go on.
    Open,
    /// The work is over.
    LetGo,
    /// The request is over.
    Ended(Box<Record>, Arc<dyn Recorder>),
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Open => "Open",
            Self::LetGo => "LetGo",
            Self::Ended(..) => "Ended",
        })
    }
}

/// Both ends, of the record of a request that `account` is charged for.
pub(super) fn open(account: Account) -> (OpenRecord, Ending) {
    let shared = Arc::new(Shared {
        account,
        state: Mutex::new(State::Open),
    });
    (OpenRecord(Arc::clone(&shared)), Ending(shared))
}

impl OpenRecord {
    /// What the node spends for the request is charged to it.
    pub fn account(&self) -> &Account {
        &self.0.account
    }
}

impl Drop for OpenRecord {
    fn drop(&mut self) {
        let ended = self.0.put(State::LetGo);
        if let State::Ended(record, recorder) = ended {
            self.0.write(*record, recorder.as_ref());
        }
    }
}

impl Ending {
    /// The request is over: writes its record, or leaves it to the end of the work. What was charged is
    /// added then.
    pub(super) fn end(&self, record: Record, recorder: &Arc<dyn Recorder>) {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        match &*state {
            State::Open => *state = State::Ended(Box::new(record), Arc::clone(recorder)),
            State::LetGo | State::Ended(..) => {
                drop(state);
                self.0.write(record, recorder.as_ref());
            }
        }
    }
}

impl Shared {
    fn put(&self, state: State) -> State {
        let mut held = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut held, state)
    }

    fn write(&self, mut record: Record, recorder: &dyn Recorder) {
        record.cpu += self.account.total();
        recorder.record(record);
    }
}
