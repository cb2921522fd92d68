//! `[[tls]]`: certificates.

use holm_router::tls::CertifiedName;
use schemars::JsonSchema;
use serde_json::json;
use toml::Spanned;
use toml::de::DeValue;

use crate::config::at::{At, List};
use crate::config::fields::{Fields, FromToml};
use crate::config::problem::Findings;
use crate::config::schema;

/// `[[tls]]`
#[derive(Debug, JsonSchema)]
#[schemars(rename = "Tls", deny_unknown_fields)]
pub(in crate::config) struct RawTls {
    /// The names that the certificate is shown for, such as "a.example.com" or "*.example.com".
    /// Default: all names that it is for.
    #[schemars(
        with = "Option<Vec<schema::TlsHost>>",
        example = json!(["example.com", "*.example.com"])
    )]
    pub(in crate::config) hosts: Option<List<CertifiedName>>,
    /// The certificate in PEM, the intermediate ones behind it, relative to this file.
    #[schemars(required, example = "certs/example.pem")]
    pub(in crate::config) cert: Option<At<String>>,
    /// Its private key in PEM, relative to this file.
    #[schemars(required, example = "certs/example.key")]
    pub(in crate::config) key: Option<At<String>>,
    /// Whether it is shown to clients that name no host, or one that no other certificate is for.
    /// They are refused without a default. Default: false.
    #[schemars(with = "Option<bool>", extend("default" = false))]
    pub(in crate::config) default: Option<At<bool>>,
}

impl FromToml for RawTls {
    fn from_toml(
        value: &Spanned<DeValue<'_>>,
        name: &str,
        findings: &mut Findings,
    ) -> Option<Self> {
        let mut fields = Fields::of_value(value, name, findings)?;
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
        };
        fields.finish();
        Some(tls)
    }
}
