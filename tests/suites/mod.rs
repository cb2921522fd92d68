//! The suites: each turns a folder, or a question that no case file can ask, into trials.

mod access;
mod accounting;
mod acme;
mod admin;
mod assets;
mod bodies;
mod cancel;
mod cases;
mod compilers;
mod compress;
mod descriptors;
mod dev;
mod drain;
mod examples;
mod faults;
mod fresh;
mod globals;
mod hostile;
mod keep_alive;
mod listen;
mod log;
mod overload;
mod pipes;
mod processes;
mod proxies;
mod refusals;
mod reload;
mod sandbox;
mod scaling;
mod sharing;
mod signals;
mod slow_clients;
mod templates;
mod tls;
mod upgrade;
mod uploads;
mod websockets;
mod wire;

use std::sync::Arc;

use libtest_mimic::Trial;

use crate::harness::World;

/// Every trial of every suite.
pub(crate) fn trials(world: &Arc<World>) -> anyhow::Result<Vec<Trial>> {
    let mut trials = Vec::new();
    trials.extend(cases::trials(world)?);
    trials.extend(examples::trials(world)?);
    trials.extend(hostile::trials(world)?);
    trials.extend(globals::trials(world));
    trials.extend(keep_alive::trials(world));
    trials.extend(access::trials(world));
    trials.extend(accounting::trials(world));
    trials.extend(acme::trials(world));
    trials.extend(admin::trials(world));
    trials.extend(assets::trials(world));
    trials.extend(bodies::trials(world));
    trials.extend(cancel::trials(world));
    trials.extend(descriptors::trials(world));
    trials.extend(drain::trials(world));
    trials.extend(overload::trials(world));
    trials.extend(pipes::trials(world));
    trials.extend(fresh::trials(world));
    trials.extend(templates::trials(world));
    trials.extend(refusals::trials(world));
    trials.extend(sandbox::trials(world));
    trials.extend(faults::trials(world));
    trials.extend(processes::trials(world));
    trials.extend(proxies::trials(world));
    trials.extend(scaling::trials(world));
    trials.extend(sharing::trials(world));
    trials.extend(signals::trials(world));
    trials.extend(slow_clients::trials(world));
    trials.extend(tls::trials(world));
    trials.extend(upgrade::trials(world));
    trials.extend(uploads::trials(world));
    trials.extend(websockets::trials(world));
    trials.extend(wire::trials(world));
    trials.extend(compilers::trials(world));
    trials.extend(compress::trials(world));
    trials.extend(listen::trials(world));
    trials.extend(log::trials(world));
    trials.extend(dev::trials(world));
    trials.extend(reload::trials(world));
    Ok(trials)
}
