//! `[[tls]]`: certificates that are there.

use holm_router::tls::CertifiedName;
use schemars::JsonSchema;
use serde_json::json;
use toml::Spanned;
use toml::de::DeValue;

use super::RawAcme;
use crate::config::at::{At, List};
use crate::config::fields::{Fields, FromToml};
use crate::config::problem::Findings;
use crate::config::schema;

/// `[[tls]]`
#[derive(Debug, JsonSchema)]
#[schemars(
    rename = "Tls",
    deny_unknown_fields,
    extend("anyOf" = json!([{ "required": ["cert", "key"] }, { "required": ["acme"] }]))
)]
pub(in crate::config) struct RawTls {
    /// The names that the certificate is shown for, such as "a.example.com" or "*.example.com".
    /// Default: all names that it is for.
    #[schemars(
        with = "Option<Vec<schema::TlsHost>>",
        example = json!(["example.com", "*.example.com"])
    )]
    pub(in crate::config) hosts: Option<List<CertifiedName>>,
    /// The certificate in PEM, the intermediate ones behind it, relative to this file.
    #[schemars(example = "certs/example.pem")]
    pub(in crate::config) cert: Option<At<String>>,
    /// Its private key in PEM, relative to this file.
    #[schemars(example = "certs/example.key")]
    pub(in crate::config) key: Option<At<String>>,
    /// Whether it is shown to clients that name no host, or one that no other certificate is for.
    /// They are refused without a default. Default: false.
    #[schemars(with = "Option<bool>", extend("default" = false))]
    pub(in crate::config) default: Option<At<bool>>,
    /// Certificates that a certificate authority issues, beside this one. Once in the file.
    #[schemars(with = "Option<RawAcme>")]
    pub(in crate::config) acme: Option<At<RawAcme>>,
    /// There is nothing else in it: no certificate that is there already.
    #[schemars(skip)]
    pub(in crate::config) is_acme_alone: bool,
}

impl FromToml for RawTls {
    fn from_toml(
        value: &Spanned<DeValue<'_>>,
        name: &str,
        findings: &mut Findings,
    ) -> Option<Self> {
        let keys = value.get_ref().as_table();
        let is_acme_alone = keys.is_some_and(|keys| keys.len() == 1 && keys.contains_key("acme"));
        let mut fields = Fields::of_value(value, name, findings)?;
        if is_acme_alone {
            return Some(Self {
                hosts: None,
                cert: None,
                key: None,
                default: None,
                acme: fields.optional("acme"),
                is_acme_alone,
            });
        }
        let tls = Self {
            hosts: fields.optional("hosts"),
            cert: fields.required(
                "cert",
                "name the file of the certificate: cert = \"certs/example.pem\"",
            ),
            key: fields.required(
                "key",
                "name the file of its key: key = \"certs/example.key\"",
            ),
            default: fields.optional("default"),
            acme: fields.optional("acme"),
            is_acme_alone,
        };
        fields.finish();
        Some(tls)
    }
}
