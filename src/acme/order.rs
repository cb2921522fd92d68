//! One order, from the account to the certificate.

use std::time::{Duration, SystemTime};

use holm_model::visible::visible_line;
use holm_router::hostname::Hostname;
use holm_router::tls::{CertifiedName, Pair};
use http::StatusCode;
use instant_acme::{
    Account, AccountCredentials, AuthorizationStatus, ChallengeType, Error, ExternalAccountKey,
    Identifier, NewAccount, NewOrder, Order, OrderStatus, Problem, RetryPolicy,
};
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};

use super::client::{Answer, Client};
use super::proofs::{Proofs, Shown};
use super::schedule::Kind;
use super::store::{Store, StoreError};
use crate::config::{AcmeChallenge, Authority};

/// How long an authority may take to look at the proof, and as long again to issue.
const PATIENCE: Duration = Duration::from_secs(90);

/// Between two looks at an order, first; the wait doubles.
const LOOK: Duration = Duration::from_millis(250);

/// Longest text of a directory that is logged and shown, in characters.
const LONGEST_WORDS: usize = 500;

/// What the specification calls a few of the ways to fail (RFC 8555, 6.7).
mod kinds {
    pub(super) const LIMITED: &str = "urn:ietf:params:acme:error:rateLimited";
    pub(super) const INTERNAL: &str = "urn:ietf:params:acme:error:serverInternal";
    pub(super) const NO_ACCOUNT: &str = "urn:ietf:params:acme:error:accountDoesNotExist";
}

/// Why there is no certificate.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) kind: Kind,
    /// For the operator, on one line.
    pub(super) why: String,
    /// How long the directory wants not to be asked.
    pub(super) retry_after: Option<Duration>,
}

impl Fault {
    pub(super) fn new(kind: Kind, why: &str) -> Self {
        let why: String = visible_line(why).chars().take(LONGEST_WORDS).collect();
        Self {
            kind,
            why,
            retry_after: None,
        }
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::new(Kind::Unavailable, &format!("{error}: {}", error.fix()))
    }
}

/// What an order is made with.
pub(super) struct Desk<'a> {
    pub(super) authority: &'a Authority,
    pub(super) challenge: AcmeChallenge,
    pub(super) store: &'a Store,
    pub(super) client: &'a Client,
    /// Where proofs are shown.
    pub(super) proofs: &'a Proofs,
}

/// The account as it is kept.
#[derive(Deserialize, Serialize)]
struct Kept<C> {
    /// Where the authority was told to write to.
    email: Option<String>,
    credentials: C,
}

impl Desk<'_> {
    /// The account: the one that is kept, or else a new one, which then is.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) async fn account(&self) -> Result<Account, Fault> {
        let email = self.authority.email.clone();
        let contact = email.as_ref().map(|email| format!("mailto:{email}"));
        let contact: Vec<&str> = contact.as_deref().into_iter().collect();
        let builder = Account::builder_with_http(Box::new(self.client.clone()));
        if let Some(kept) = self.store.account()? {
            let kept: Kept<serde_json::Value> = serde_json::from_slice(&kept).map_err(unsound)?;
            let credentials: AccountCredentials =
                serde_json::from_value(kept.credentials.clone()).map_err(unsound)?;
            let account = builder.from_credentials(credentials).await;
            let account = account.map_err(|error| self.fault(&error))?;
            if kept.email != email {
                let updated = account.update_contacts(&contact).await;
                updated.map_err(|error| self.fault(&error))?;
                self.keep(email, kept.credentials)?;
            }
            return Ok(account);
        }
        let new = NewAccount {
            contact: &contact,
            terms_of_service_agreed: true,
            only_return_existing: false,
        };
        let binding = self.authority.bound_to.as_ref();
        let binding =
            binding.map(|bound| ExternalAccountKey::new(bound.key_id.clone(), &bound.key));
        let directory = self.authority.directory.clone();
        let made = builder.create(&new, directory, binding.as_ref()).await;
        let (account, credentials) = made.map_err(|error| self.fault(&error))?;
        self.keep(email, credentials)?;
        Ok(account)
    }

    fn keep<C: Serialize>(&self, email: Option<String>, credentials: C) -> Result<(), Fault> {
        let kept = Kept { email, credentials };
        let text = serde_json::to_vec(&kept).expect("its keys are strings");
        Ok(self.store.keep_account(&text)?)
    }

    /// A certificate for `host`, which is kept before it is returned.
    ///
    /// Dropped, what is shown of a proof is withdrawn; the directory forgets the order in time.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) async fn certificate(
        &self,
        account: &Account,
        host: &Hostname,
    ) -> Result<Pair, Fault> {
        let issued = self.issue(account, host).await;
        if issued.as_ref().is_err_and(is_unknown_account) {
            // The next try makes another.
            self.store.forget_account()?;
        }
        let (key, chain) = issued.map_err(|error| self.fault(&error))?;
        let pem = [key, chain].join("\n");
        let pair = sound(host, pem.as_bytes()).map_err(|why| {
            let why = format!("the directory issued a certificate that is of no use: {why}");
            Fault::new(Kind::Refused, &why)
        })?;
        self.store.keep_certificate(host, pem.as_bytes())?;
        Ok(pair)
    }

    /// Key and chain, in PEM.
    async fn issue(&self, account: &Account, host: &Hostname) -> Result<(String, String), Error> {
        let identifiers = [Identifier::Dns(host.to_string())];
        let mut order = account.new_order(&NewOrder::new(&identifiers)).await?;
        if order.state().status == OrderStatus::Pending {
            let proof = self.prove(&mut order, host).await?;
            let status = order.poll_ready(&patience()).await;
            drop(proof);
            match status {
                Ok(OrderStatus::Invalid) | Err(Error::Api(_)) => {
                    let why = why_not(&mut order).await;
                    return Err(why.map_or_else(|| refusal("it refused the order"), Error::Api));
                }
                other => other?,
            };
        }
        let key = KeyPair::generate().map_err(other)?;
        let mut params = CertificateParams::new([host.to_string()]).map_err(other)?;
        params.distinguished_name = DistinguishedName::new();
        let request = params.serialize_request(&key).map_err(other)?;
        order.finalize_csr(request.der()).await?;
        let chain = order.poll_certificate(&patience()).await?;
        Ok((key.serialize_pem(), chain))
    }

    /// Shows what the directory wants to see, and has it look. What is returned has to be held until it has.
    async fn prove(&self, order: &mut Order, host: &Hostname) -> Result<Option<Shown>, Error> {
        let mut shown = None;
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            match authorization.status {
                // From another order, not long ago.
                AuthorizationStatus::Valid => continue,
                AuthorizationStatus::Pending => {}
                AuthorizationStatus::Invalid
                | AuthorizationStatus::Revoked
                | AuthorizationStatus::Expired
                | AuthorizationStatus::Deactivated => {
                    return Err(refusal("it wants no proof, and takes none"));
                }
            }
            let kind = match self.challenge {
                AcmeChallenge::TlsAlpn01 => ChallengeType::TlsAlpn01,
                AcmeChallenge::Http01 => ChallengeType::Http01,
            };
            let mut challenge = authorization.challenge(kind).ok_or_else(|| {
                let kind = self.challenge.word();
                refusal(&format!(
                    "it does not offer `{kind}`: see `tls.acme.challenge`"
                ))
            })?;
            let proof = challenge.key_authorization();
            shown = Some(match self.challenge {
                AcmeChallenge::Http01 => {
                    let token = challenge.token.clone();
                    self.proofs.by_http(host.clone(), token, proof.as_str())
                }
                AcmeChallenge::TlsAlpn01 => {
                    let (certificate, key) = certificate_of(host, proof.digest().as_ref())?;
                    let shown = self.proofs.by_tls(host.clone(), certificate, &key);
                    shown.map_err(other)?
                }
            });
            challenge.set_ready().await?;
        }
        Ok(shown)
    }

    fn fault(&self, error: &Error) -> Fault {
        let Answer {
            status,
            retry_after,
        } = self.client.last();
        let (kind, why) = judge(error, status);
        let fault = Fault::new(kind, &why);
        Fault {
            retry_after,
            ..fault
        }
    }
}

/// What kind of failure it is, and why, in words. `status` is that of the last answer, if there was one.
fn judge(error: &Error, status: Option<StatusCode>) -> (Kind, String) {
    let word = |status: StatusCode| format!("the directory answered {status}");
    match error {
        Error::Api(problem) => {
            let kind = match problem.r#type.as_deref() {
                Some(kinds::LIMITED) => Kind::Limited,
                Some(kinds::INTERNAL) => Kind::Unavailable,
                Some(_) | None if status == Some(StatusCode::TOO_MANY_REQUESTS) => Kind::Limited,
                Some(_) | None => Kind::Refused,
            };
            let detail = problem.detail.clone().unwrap_or_default();
            let name = problem.r#type.as_deref().unwrap_or_default();
            let name = name.rsplit(':').next().unwrap_or_default();
            let inner = problem.subproblems.iter();
            let inner: String = inner.map(|inner| format!("; {inner}")).collect();
            let colon = if name.is_empty() { "" } else { ": " };
            (
                kind,
                format!("the directory says {name}{colon}{detail}{inner}"),
            )
        }
        _ if status == Some(StatusCode::TOO_MANY_REQUESTS) => {
            (Kind::Limited, word(StatusCode::TOO_MANY_REQUESTS))
        }
        Error::Json(error) => {
            let answered = status.map_or_else(|| "the directory answered".to_owned(), word);
            let why = format!("{answered} with something that is not of the protocol: {error}");
            (Kind::Unavailable, why)
        }
        Error::Str(missing) => (
            Kind::Unavailable,
            format!("the directory does not offer what is needed: {missing}"),
        ),
        Error::Timeout(_) => (
            Kind::Refused,
            format!("the directory was not done after {} s", PATIENCE.as_secs()),
        ),
        // Of these the innermost says most; the enum is open.
        other => (Kind::Unavailable, other.to_string()),
    }
}

fn is_unknown_account(error: &Error) -> bool {
    match error {
        Error::Api(problem) => problem.r#type.as_deref() == Some(kinds::NO_ACCOUNT),
        // The enum is open.
        _ => false,
    }
}

/// Words of ours for what the directory does not say in words.
fn refusal(why: &str) -> Error {
    Error::Api(Problem {
        r#type: None,
        detail: Some(why.to_owned()),
        status: None,
        subproblems: Vec::new(),
    })
}

/// What the directory did not like about the proof.
async fn why_not(order: &mut Order) -> Option<Problem> {
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let state = authorization.refresh().await.ok()?;
        let problem = state.challenges.iter().find_map(|c| c.error.clone());
        if problem.is_some() {
            return problem;
        }
    }
    order.state().error.clone()
}

/// The certificate that shows a proof (RFC 8737, 3).
fn certificate_of(
    host: &Hostname,
    digest: &[u8],
) -> Result<(CertificateDer<'static>, PrivateKeyDer<'static>), Error> {
    let key = KeyPair::generate().map_err(other)?;
    let mut params = CertificateParams::new([host.to_string()]).map_err(other)?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let certificate = params.self_signed(&key).map_err(other)?;
    Ok((certificate.der().clone(), key.into()))
}

/// Key and chain of `host` in one PEM.
///
/// # Errors
/// They do not fit, are for another host, or are over.
pub(super) fn sound(host: &Hostname, pem: &[u8]) -> Result<Pair, String> {
    let pair = Pair::from_pem(pem, pem).map_err(|fault| fault.to_string())?;
    if !pair.covers(&CertifiedName::Exact(host.clone())) {
        return Err(format!("it is not for {host}"));
    }
    let time = pair.check_time(SystemTime::now());
    time.map_err(|fault| fault.to_string())?;
    Ok(pair)
}

fn patience() -> RetryPolicy {
    RetryPolicy::new().initial_delay(LOOK).timeout(PATIENCE)
}

fn other(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Other(Box::new(error))
}

fn unsound(error: serde_json::Error) -> Fault {
    let why = format!(
        "the account that is kept cannot be read ({error}): remove account.json, and another is made"
    );
    Fault::new(Kind::Unavailable, &why)
}
