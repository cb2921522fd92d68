//! Who may ask for a function.

use std::path::Path;

use super::at::List;
use super::problem::{Findings, Problem};
use super::raw::RawAccess;
use super::secret;
use crate::access::Access;
use crate::egress::Network;

/// What function `name` says of it. Paths start at `folder`.
pub(super) fn settle(name: &str, raw: RawAccess, folder: &Path, findings: &mut Findings) -> Access {
    let RawAccess { allow, deny, token } = raw;
    let key = |key: &str| format!("functions.{name}.access.{key}");
    let mut networks = |list: Option<List<Network>>, of: &str, label: &str| {
        let Some(list) = list else {
            return Vec::new();
        };
        if list.items.is_empty() && !list.flawed {
            findings.report(
                Problem::new(format!("`{}` is empty", key(of)))
                    .at(list.span, label)
                    .help("name a network, such as \"10.1.0.0/16\", or remove it"),
            );
        }
        list.items.into_iter().map(|at| at.value).collect()
    };
    let (allow, deny) = (
        networks(allow, "allow", "nobody could ask"),
        networks(deny, "deny", "it denies nothing"),
    );
    let token = token.and_then(|token| secret::read(&token, &key("token"), folder, findings));
    Access { allow, deny, token }
}
