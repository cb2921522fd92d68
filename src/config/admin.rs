//! The admin listener: where it is, and who may ask.

use std::path::Path;

use super::at::At;
use super::plan::AdminPlan;
use super::problem::{Findings, Problem};
use super::raw::RawServer;
use super::secret;

/// What `[server]` says of it. Paths start at `folder`.
pub(super) fn settle(raw: &RawServer, folder: &Path, findings: &mut Findings) -> Option<AdminPlan> {
    let typed = raw.admin_token.as_ref();
    let token = typed.and_then(|typed| secret::read(typed, "server.admin_token", folder, findings));
    let Some(At { value, span }) = &raw.admin else {
        if let Some(At { span, .. }) = typed {
            findings.report(
                Problem::new("`server.admin_token` is for `server.admin`, which is not there")
                    .at(span.clone(), "nobody asks for it")
                    .help("add `admin = \"127.0.0.1:9090\"`, or remove it"),
            );
        }
        return None;
    };
    if value.is_open() && typed.is_none() {
        findings.report(
            Problem::new("`server.admin` is an address that other machines reach, without a token")
                .at(span.clone(), "whoever connects sees and reloads everything")
                .help(
                    "write `admin_token = \"env:HOLM_ADMIN_TOKEN\"` or \"file:PATH\" below it, or \
                     listen on 127.0.0.1",
                ),
        );
    }
    let address = value.clone().within(folder);
    if !address.fits() && value.fits() {
        findings.report(
            Problem::new("the path of `server.admin` is too long")
                .at(span.clone(), format!("it is {address}"))
                .help("the system takes 107 bytes at most: write an absolute path, such as unix:/run/holm/admin.sock"),
        );
    }
    Some(AdminPlan { address, token })
}
