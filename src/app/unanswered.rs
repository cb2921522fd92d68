//! Records of requests that no isolate has seen: those for nobody here, those whose body never
//! came, those for a function that does not start. All others are recorded where they ran.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use holm_model::log::Thrown;
use holm_model::outcome::Outcome;
use holm_model::record::Record;
use holm_router::Refusal;
use holm_router::Refused;
use holm_runtime::deployment::Deployment;
use holm_runtime::services::Services;
use http::Method;

/// The record of a request that the edge turned away.
pub(super) fn refused(refused: Refused) -> Record {
    let wall = refused.received.elapsed();
    Record {
        method: refused.method,
        url: refused.url,
        ..of_refusal(refused.id.into(), wall, &refused.refusal)
    }
}

/// What every record of a refusal says. `wall`: how long ago its head was there.
pub(super) fn of_refusal(request: Arc<str>, wall: Duration, refusal: &Refusal) -> Record {
    Record {
        outcome: refusal.outcome(),
        status: Some(refusal.status()),
        wall,
        thrown: Some(saying(&refusal.to_string())),
        ..Record::empty(request, begin(wall))
    }
}

/// The record of a request to a function that does not start.
pub(super) fn broken(request: Arc<str>, wall: Duration, function: Arc<str>, why: &str) -> Record {
    Record {
        function: Some(function),
        outcome: Outcome::StartupFailed,
        wall,
        thrown: Some(saying(why)),
        ..Record::empty(request, begin(wall))
    }
}

/// When what has taken `wall` by now began.
fn begin(wall: Duration) -> SystemTime {
    let now = SystemTime::now();
    now.checked_sub(wall).unwrap_or(now)
}

fn saying(text: &str) -> Thrown {
    Thrown {
        message: text.lines().next().unwrap_or_default().to_owned(),
        stack: text.to_owned(),
    }
}

/// A request to a function whose body is on its way. Dropped before all of it is there, it leaves
/// the record of a request whose client went away.
pub(super) struct Arriving<'a> {
    pub(super) services: &'a Services,
    pub(super) deployment: &'a Deployment,
    pub(super) request: Arc<str>,
    pub(super) received: Instant,
    pub(super) method: &'a Method,
    pub(super) url: &'a str,
    /// Why it goes no further; nothing when its client went away.
    pub(super) refusal: Option<Refusal>,
    pub(super) is_there: bool,
}

impl Arriving<'_> {
    /// The function can be asked.
    pub(super) fn arrived(mut self) {
        self.is_there = true;
    }

    /// It goes no further.
    pub(super) fn refuse(mut self, refusal: &Refusal) {
        self.refusal = Some(refusal.clone());
    }
}

impl Drop for Arriving<'_> {
    fn drop(&mut self) {
        if self.is_there {
            return;
        }
        let (request, wall) = (self.request.clone(), self.received.elapsed());
        let record = match &self.refusal {
            Some(refusal) => of_refusal(request, wall, refusal),
            None => Record {
                outcome: self.services.blame(Outcome::Canceled),
                wall,
                ..Record::empty(request, begin(wall))
            },
        };
        self.services.recorder.record(Record {
            function: Some(self.deployment.name.clone()),
            deployment: Some(self.deployment.version.clone()),
            method: Some(self.method.clone()),
            url: Some(self.url.to_owned()),
            ..record
        });
    }
}
