//! `[tls.acme]`, and how it stands beside `[[tls]]`.

use schemars::JsonSchema;
use serde_json::json;
use toml::Spanned;
use toml::de::DeValue;

use super::RawTls;
use crate::config::at::{At, List};
use crate::config::fields::{Fields, FromToml, Table};
use crate::config::problem::Findings;
use crate::config::schema;
use crate::secret::Source;

/// The value of `tls`: an array of certificates, the last of which TOML takes `[tls.acme]` for a part of; or a
/// table that has nothing but `acme`.
#[derive(Debug)]
pub(in crate::config) struct RawTlsTables {
    /// `[[tls]]`, if there is any.
    pub(in crate::config) pairs: Option<List<RawTls>>,
    /// `[tls.acme]`: one at most in a sound file.
    pub(in crate::config) acme: Vec<At<RawAcme>>,
}

/// The value of `tls` as the schema shows it.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[allow(
    dead_code,
    reason = "it is there for its schema; what is read is RawTlsTables"
)]
pub(in crate::config) enum TlsTables {
    /// Certificates.
    Pairs(Vec<RawTls>),
    /// None but those of an authority.
    Acme(Box<AcmeAlone>),
}

/// `[tls.acme]` without `[[tls]]`.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[allow(dead_code, reason = "as above")]
pub(in crate::config) struct AcmeAlone {
    acme: RawAcme,
}

/// `[tls.acme]`
#[derive(Debug, JsonSchema)]
#[schemars(rename = "Acme", deny_unknown_fields)]
pub(in crate::config) struct RawAcme {
    /// The hosts to have certificates for, each its own: full names such as "example.com".
    #[schemars(
        required,
        with = "Option<Vec<String>>",
        length(min = 1, max = 1000),
        example = json!(["example.com", "www.example.com"])
    )]
    pub(in crate::config) hosts: Option<List<String>>,
    /// The folder that the account, its key, the certificates and their keys are kept in, relative to
    /// this file. It is made if it is not there. Nobody else may look into it.
    #[schemars(required, with = "Option<String>", example = &"acme")]
    pub(in crate::config) dir: Option<At<String>>,
    /// That you agree to the terms of service of the certificate authority: true.
    #[schemars(required, with = "Option<bool>", extend("const" = true))]
    pub(in crate::config) terms_agreed: Option<At<bool>>,
    /// Where the authority may write to about the account. Default: nowhere.
    #[schemars(with = "Option<String>", example = "ops@example.com")]
    pub(in crate::config) email: Option<At<String>>,
    /// The URL of the authority's directory (RFC 8555). Default: that of Let's Encrypt.
    #[schemars(
        with = "Option<String>",
        extend("default" = "https://acme-v02.api.letsencrypt.org/directory"),
        example = "https://acme-staging-v02.api.letsencrypt.org/directory"
    )]
    pub(in crate::config) directory: Option<At<String>>,
    /// Certificates, in PEM, by which the directory's own may be signed, beside those that browsers
    /// trust. Relative to this file. Default: none.
    #[schemars(with = "Option<String>", example = "certs/our-ca.pem")]
    pub(in crate::config) directory_ca: Option<At<String>>,
    /// How the authority sees that a host is ours: "tls-alpn-01" (the default), by a handshake at port 443
    /// of the host; "http-01", by a request at its port 80.
    pub(in crate::config) challenge: Option<AcmeChallenge>,
    /// The account with the authority that this one is bound to, for an authority that wants that: the id of its
    /// key. Default: none.
    #[schemars(with = "Option<String>")]
    pub(in crate::config) eab_key_id: Option<At<String>>,
    /// Where its key stands, in base64url: "env:NAME" or "file:PATH".
    #[schemars(with = "Option<schema::SecretSource>")]
    pub(in crate::config) eab_key: Option<At<Source>>,
}

/// How a certificate authority sees that a host is ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "kebab-case")]
pub(crate) enum AcmeChallenge {
    /// A handshake at port 443 (RFC 8737).
    #[default]
    #[schemars(rename = "tls-alpn-01")]
    TlsAlpn01,
    /// A request at port 80 (RFC 8555, 8.3).
    #[schemars(rename = "http-01")]
    Http01,
}

impl AcmeChallenge {
    pub(in crate::config) const ALL: [Self; 2] = [Self::TlsAlpn01, Self::Http01];

    /// Its name.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::TlsAlpn01 => "tls-alpn-01",
            Self::Http01 => "http-01",
        }
    }
}

impl FromToml for RawTlsTables {
    fn from_toml(
        value: &Spanned<DeValue<'_>>,
        name: &str,
        findings: &mut Findings,
    ) -> Option<Self> {
        let table = value.get_ref().as_table();
        if table.is_some_and(|table| table.contains_key("acme")) {
            let mut fields = Fields::of_value(value, name, findings)?;
            let acme = fields.optional("acme");
            fields.finish();
            return acme.map(|acme| Self {
                pairs: None,
                acme: vec![acme],
            });
        }
        let mut list = List::<RawTls>::from_toml(value, name, findings)?;
        let acme = list.items.iter_mut();
        let acme = acme.filter_map(|item| item.value.acme.take()).collect();
        let all = list.items.len();
        list.items.retain(|item| !item.value.is_acme_alone);
        let has_pairs = list.flawed || all == 0 || !list.items.is_empty();
        Some(Self {
            pairs: has_pairs.then_some(list),
            acme,
        })
    }
}

impl Table for RawAcme {
    fn of_fields(fields: &mut Fields<'_, '_>) -> Self {
        Self {
            hosts: fields.required(
                "hosts",
                "name the hosts to have certificates for: hosts = [\"example.com\"]",
            ),
            dir: fields.required(
                "dir",
                "name a folder for account, keys and certificates: dir = \"acme\"",
            ),
            terms_agreed: fields.required(
                "terms_agreed",
                "read the terms of the authority (https://letsencrypt.org/repository/), and write \
                 terms_agreed = true if you agree",
            ),
            email: fields.optional("email"),
            directory: fields.optional("directory"),
            directory_ca: fields.optional("directory_ca"),
            challenge: fields.optional("challenge"),
            eab_key_id: fields.optional("eab_key_id"),
            eab_key: fields.optional("eab_key"),
        }
    }
}
