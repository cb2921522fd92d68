//! What of a function may change without a start.

use crate::config::FunctionPlan;

/// Whether nothing about a function has changed but, perhaps, who is led to it, who may ask for it, and how.
pub(super) fn is_same_but_routes(before: &FunctionPlan, after: &FunctionPlan) -> bool {
    let FunctionPlan {
        name: _,
        main,
        routes: _,
        access: _,
        secure: _,
        compress: _,
        vars: _,
        limits: _,
        concurrency: _,
        eval: _,
        assets: _,
    } = before;
    *main == after.main && is_same_elsewhere(before, after)
}

/// Whether nothing has changed beside files, routes, access, HTTPS and compression.
pub(super) fn is_same_elsewhere(before: &FunctionPlan, after: &FunctionPlan) -> bool {
    let FunctionPlan {
        name,
        main: _,
        routes: _,
        access: _,
        secure: _,
        compress: _,
        vars,
        limits,
        concurrency,
        eval,
        assets,
    } = before;
    *name == after.name
        && *vars == after.vars
        && *limits == after.limits
        && *concurrency == after.concurrency
        && *eval == after.eval
        && *assets == after.assets
}
