//! `tests/cases`: behaviour as data.

use std::sync::Arc;

use libtest_mimic::Trial;

use crate::harness::area::Area;
use crate::harness::case::CaseFile;
use crate::harness::world::{name_of, subfolders, tests_folder};
use crate::harness::{World, run, step};

/// One trial for each case.
pub(super) fn trials(world: &Arc<World>) -> anyhow::Result<Vec<Trial>> {
    let mut trials = Vec::new();
    for folder in subfolders(&tests_folder("cases"))? {
        let cases = subfolders(&folder)?
            .iter()
            .map(|folder| CaseFile::read(folder, "case.toml"))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let area = Arc::new(Area::new(&folder, &cases, world)?);
        for file in cases {
            let name = format!("cases::{}::{}", name_of(&folder)?, file.name);
            let skipped = file.case(&step::names(world, None))?.not_yet.is_some();
            let area = Arc::clone(&area);
            let trial = world.trial(name, async move |world| {
                run_case(&world, &area, &file).await
            });
            trials.push(trial.with_ignored_flag(skipped));
        }
    }
    Ok(trials)
}

/// A case with runs, with requests, or with both.
async fn run_case(world: &World, area: &Area, file: &CaseFile) -> anyhow::Result<()> {
    let case = file.case(&step::names(world, None))?;
    if !case.runs.is_empty() {
        run::run_all(world, file).await?;
    }
    if !case.steps.is_empty() || case.runs.is_empty() {
        area.run(world, file).await?;
    }
    Ok(())
}
