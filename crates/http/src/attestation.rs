//! The attestation service on the wire, as Microsoft Azure Attestation speaks (recorded 2021 to 2025).
//!
//! Attesting, the signing certificates and the metadata are open to anybody; all about policies takes a bearer token, asked
//! for before anything else, and changing one takes a caller who may. Paths are compared without case, since clients spell
//! them in several ways (observed: `SevSnpVM`, `sevsnpvm`). Evidence of types that Azure knows and this service does not is
//! refused with 400, though policies for it may be set and shown. Who may sign policies is configuration: adding and
//! removing certificates is refused. Not here: TCB baselines, every decision about evidence, which is `skerry-verifier`'s,
//! and the keeping of policies, which is `skerry-vault`'s.

pub(crate) mod describe;
mod policy;
mod refusal;

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{HeaderValue, WWW_AUTHENTICATE};
use http::{Method, StatusCode};
use skerry_attestation_result::{AttestationToken, DraftToken, names};
use skerry_identity::Principal;
use skerry_jose::json::Object;
use skerry_policy::attestation::{DefaultPolicy, EvidenceType, PolicyDocument};
use skerry_policy::limits::DOCUMENT_BYTES_MAX;
use skerry_vault::appraisal::{AppraisalPolicies, Author};
use skerry_verifier::limits::BODY_BYTES_MAX;
use skerry_verifier::wire::Asked;
use skerry_verifier::{AttestError, Verifier};

use crate::machine::Machine;
use crate::operation::{self, Operation};
use crate::pool::Pool;
use crate::reply::Reply;
use crate::request::Request;
use crate::route;

pub use policy::ResultSigner;
use policy::Said;
use refusal::{refuse, refuse_attest, refuse_body, refuse_policy, refuse_pool, refuse_vault};

/// Who asks about policies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Who it is, for the log.
    pub principal: Principal,
    /// Whether it may set and reset policies, not only read them.
    pub may_set: bool,
}

/// Why a bearer token does not let its holder read a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Denied {
    /// The token is not believed: 401 and a challenge.
    #[error("the bearer token is not valid")]
    Unauthorized,
    /// The caller is known and may not: 403.
    #[error("the caller may not do this with policies")]
    Forbidden,
    /// The identity provider could not be asked: 503.
    #[error("the caller's identity could not be established")]
    Unavailable,
}

/// A decision about a bearer token, made elsewhere: who its holder is, who may at least read policies.
pub type BearerCheck =
    dyn for<'a> Fn(&'a str) -> Pin<Box<dyn Future<Output = Result<Caller, Denied>> + Send + 'a>> + Send + Sync;

/// What an attestation service is made of.
pub struct Config {
    /// Verifies, appraises, signs tokens.
    pub verifier: Arc<Verifier>,
    /// The JWKS of the signing certificates, `{"keys":[{"x5c","kid","kty"}]}`.
    pub certs: Object,
    /// The policies that were set, and the setting of them.
    pub policies: Arc<AppraisalPolicies>,
    /// Certificates of who may sign policies, DER; none where anybody may who may set one.
    pub policy_signers: Vec<Vec<u8>>,
    /// Signs what is said about policies.
    pub results: ResultSigner,
    /// Decides who may read and who may set policies.
    pub callers: Box<BearerCheck>,
    /// WWW-Authenticate for callers without a good token.
    pub challenge: HeaderValue,
    /// Where evidence is verified and results are signed.
    pub pool: Arc<Pool>,
    /// Clock and randomness.
    pub machine: Machine,
}

/// The attestation service.
pub struct Surface {
    verifier: Arc<Verifier>,
    certs: Bytes,
    metadata: Bytes,
    policies: Arc<AppraisalPolicies>,
    policy_signers: Vec<Vec<u8>>,
    results: Arc<ResultSigner>,
    callers: Box<BearerCheck>,
    challenge: HeaderValue,
    pool: Arc<Pool>,
    machine: Machine,
}

impl Surface {
    /// A service made of these parts. The caller vouches that certificates and signers have the verifier's key.
    pub fn new(config: Config) -> Surface {
        let Config { verifier, certs, policies, policy_signers, results, callers, challenge, pool, machine } = config;
        let metadata = metadata(verifier.signer().issuer().as_str());
        Surface {
            verifier,
            certs: Bytes::from(certs.to_json()),
            metadata: Bytes::from(metadata.to_json()),
            policies,
            policy_signers,
            results: Arc::new(results),
            callers,
            challenge,
            pool,
            machine,
        }
    }

    /// Answers one request.
    pub async fn answer(&self, request: &mut Request) -> Reply {
        self.respond(request).await.unwrap_or_else(|refusal| refusal)
    }

    async fn respond(&self, request: &mut Request) -> Result<Reply, Reply> {
        let route = Route::of(request.segments()).ok_or_else(not_found)?;
        request.is_for(route.counted(request.method()));
        let caller = match route.is_of_policies() {
            true => Some(self.authorize(request).await?),
            false => None,
        };
        route::allow(request.method(), route.methods()).map_err(refusal::with_code)?;
        check_api_version(request)?;
        match route {
            Route::Certs => Ok(Reply::prepared(StatusCode::OK, self.certs.clone())),
            Route::Metadata => Ok(Reply::prepared(StatusCode::OK, self.metadata.clone())),
            Route::Attest(kind) => self.attest(kind, request).await,
            Route::Policy(kind) if request.method() == Method::PUT => {
                self.set(kind, self.setter(caller)?, request).await
            }
            Route::Policy(kind) => self.policy(kind).await,
            Route::PolicyReset(kind) => self.reset(kind, self.setter(caller)?, request).await,
            Route::PolicyCertificates => self.result(Said::Certificates(self.policy_signers.clone())).await,
            Route::PolicyCertificatesChange => {
                self.setter(caller)?;
                Err(configured())
            }
        }
    }

    async fn attest(&self, kind: EvidenceType, request: &mut Request) -> Result<Reply, Reply> {
        built(kind)?;
        let body = request.body(BODY_BYTES_MAX).await.map_err(|error| refuse_body(&error))?;
        let set = self.policies.set_for(kind).await.map_err(|error| refuse_vault(&error))?;
        let (verifier, machine) = (Arc::clone(&self.verifier), self.machine.clone());
        let token =
            self.pool.run(move || token(&verifier, set.as_deref(), &body, &machine)).await.map_err(refuse_pool)?;
        token.map(token_reply).map_err(|error| refuse_attest(&error))
    }

    async fn set(&self, kind: EvidenceType, caller: Caller, request: &mut Request) -> Result<Reply, Reply> {
        let document = document(request).await?;
        let id = request.id().to_string();
        let set = self.policies.set(&self.author(&caller, &id), kind, &document).await;
        let set = set.map_err(|error| refuse_policy(&error))?;
        self.result(Said::Updated(set)).await
    }

    async fn reset(&self, kind: EvidenceType, caller: Caller, request: &mut Request) -> Result<Reply, Reply> {
        let document = document(request).await?;
        let id = request.id().to_string();
        let reset = self.policies.reset(&self.author(&caller, &id), kind, &document).await;
        reset.map_err(|error| refuse_policy(&error))?;
        self.result(Said::Removed).await
    }

    fn author<'a>(&'a self, caller: &'a Caller, request_id: &'a str) -> Author<'a> {
        let (now, randomness) = (self.machine.now(), self.machine.randomizer());
        Author { principal: &caller.principal, request_id, now, randomness }
    }

    /// The caller, iff it may change policies.
    fn setter(&self, caller: Option<Caller>) -> Result<Caller, Reply> {
        caller.filter(|caller| caller.may_set).ok_or_else(|| self.deny(Denied::Forbidden))
    }

    /// What was set; else the service's default, as far as it is known.
    async fn policy(&self, kind: EvidenceType) -> Result<Reply, Reply> {
        let set = self.policies.set_for(kind).await.map_err(|error| refuse_vault(&error))?;
        let said = match (set, kind.default_policy()) {
            (Some(set), _) => Said::Policy(set.text().to_owned()),
            (None, Some(DefaultPolicy::Text(text))) => Said::Default(text),
            (None, Some(DefaultPolicy::Empty)) => Said::NoPolicy,
            (None, None) => return Err(unknown_default(kind)),
        };
        self.result(said).await
    }

    async fn result(&self, said: Said) -> Result<Reply, Reply> {
        let (results, now) = (Arc::clone(&self.results), self.machine.now());
        let result = self.pool.run(move || results.sign(&said, now)).await.map_err(refuse_pool)?;
        result.map(token_reply).map_err(|_| Reply::empty(StatusCode::INTERNAL_SERVER_ERROR))
    }

    async fn authorize(&self, request: &Request) -> Result<Caller, Reply> {
        let checked = match request.bearer() {
            Some(token) => (self.callers)(token).await,
            None => Err(Denied::Unauthorized),
        };
        checked.map_err(|denied| self.deny(denied))
    }

    fn deny(&self, denied: Denied) -> Reply {
        let text = denied.to_string();
        match denied {
            Denied::Unauthorized => {
                refuse(StatusCode::UNAUTHORIZED, "Unauthorized", &text).with(WWW_AUTHENTICATE, self.challenge.clone())
            }
            Denied::Forbidden => refuse(StatusCode::FORBIDDEN, "Forbidden", &text),
            Denied::Unavailable => Reply::busy(),
        }
    }
}

/// A token, or for a draft policy one that nobody signed. The client finds both in one place (recorded).
fn token(
    verifier: &Verifier,
    set: Option<&PolicyDocument>,
    body: &[u8],
    machine: &Machine,
) -> Result<String, AttestError> {
    let asked = Asked::parse(body)?;
    let (now, mut rng) = (machine.now(), machine.randomness());
    match (asked, set) {
        (Asked::Token(request), None) => verifier.attest(&request, now, &mut *rng).map(AttestationToken::into_string),
        (Asked::Token(request), Some(set)) => {
            verifier.attest_under(&request, set, now, &mut *rng).map(AttestationToken::into_string)
        }
        (Asked::Draft(request, draft), _) => {
            verifier.attest_draft(&request, &draft, now, &mut *rng).map(DraftToken::into_string)
        }
    }
}

/// The body of a request that changes a policy, as it came: not a byte of what is hashed is taken away.
async fn document(request: &mut Request) -> Result<String, Reply> {
    let body = request.body(DOCUMENT_BYTES_MAX).await.map_err(|error| refuse_body(&error))?;
    let text = String::from_utf8(body.to_vec());
    text.map_err(|_| refuse(StatusCode::BAD_REQUEST, "InvalidOperation", "the policy document is not UTF-8"))
}

/// What is served, and at which path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    Attest(EvidenceType),
    Certs,
    Metadata,
    Policy(EvidenceType),
    PolicyReset(EvidenceType),
    PolicyCertificates,
    /// Adding or removing one.
    PolicyCertificatesChange,
}

impl Route {
    fn of(segments: &[String]) -> Option<Route> {
        let segments: Vec<_> = segments.iter().map(|segment| segment.to_ascii_lowercase()).collect();
        match segments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["attest", kind] => EvidenceType::parse(kind).map(Route::Attest),
            ["policies", kind] => match kind.strip_suffix(":reset") {
                Some(kind) => EvidenceType::parse(kind).map(Route::PolicyReset),
                None => EvidenceType::parse(kind).map(Route::Policy),
            },
            ["certificates"] => Some(Route::PolicyCertificates),
            ["certificates:add" | "certificates:remove"] => Some(Route::PolicyCertificatesChange),
            ["certs"] => Some(Route::Certs),
            [".well-known", "openid-configuration"] => Some(Route::Metadata),
            _ => None,
        }
    }

    fn methods(self) -> &'static [Method] {
        match self {
            Route::Attest(_) | Route::PolicyReset(_) | Route::PolicyCertificatesChange => &[Method::POST],
            Route::Policy(_) => &[Method::GET, Method::HEAD, Method::PUT],
            Route::Certs | Route::Metadata | Route::PolicyCertificates => route::READ,
        }
    }

    fn counted(self, method: &Method) -> Operation {
        match self {
            Route::Attest(_) => operation::ATTEST,
            Route::Certs => operation::CERTS,
            Route::Metadata => operation::ATTESTATION_METADATA,
            Route::Policy(_) if method == Method::PUT => operation::SET_POLICY,
            Route::Policy(_) => operation::GET_POLICY,
            Route::PolicyReset(_) => operation::RESET_POLICY,
            Route::PolicyCertificates => operation::POLICY_CERTIFICATES,
            Route::PolicyCertificatesChange => operation::CHANGE_POLICY_CERTIFICATES,
        }
    }

    /// Every path in its canonical form, and what is there.
    fn all() -> Vec<(String, Route)> {
        let of_types = EvidenceType::ALL.into_iter().flat_map(|kind| {
            let name = kind.name();
            [
                (format!("/attest/{name}"), Route::Attest(kind)),
                (format!("/policies/{name}"), Route::Policy(kind)),
                (format!("/policies/{name}:reset"), Route::PolicyReset(kind)),
            ]
        });
        let others = [
            ("/certs", Route::Certs),
            ("/.well-known/openid-configuration", Route::Metadata),
            ("/certificates", Route::PolicyCertificates),
            ("/certificates:add", Route::PolicyCertificatesChange),
            ("/certificates:remove", Route::PolicyCertificatesChange),
        ];
        of_types.chain(others.map(|(path, route)| (path.to_owned(), route))).collect()
    }

    fn is_of_policies(self) -> bool {
        match self {
            Route::Policy(_) | Route::PolicyReset(_) => true,
            Route::PolicyCertificates | Route::PolicyCertificatesChange => true,
            Route::Attest(_) | Route::Certs | Route::Metadata => false,
        }
    }
}

/// Evidence of one type is verified here.
fn built(kind: EvidenceType) -> Result<(), Reply> {
    match kind {
        EvidenceType::SevSnpVm => Ok(()),
        other => {
            let text = format!("attestation type {} is not supported by this service, only SevSnpVm is", other.name());
            Err(refuse(StatusCode::BAD_REQUEST, "InvalidOperation", &text))
        }
    }
}

/// Absent is as good as known: SDKs send none to `/certs` and the metadata (recorded).
fn check_api_version(request: &Request) -> Result<(), Reply> {
    let invalid = |text: &str| refuse(StatusCode::BAD_REQUEST, "InvalidParameter", text);
    let version = request.query("api-version").map_err(|error| invalid(&format!("api-version: {error}")))?;
    match version {
        Some(version) if !API_VERSIONS.contains(&version) => {
            Err(invalid(&format!("api-version is none of {}", API_VERSIONS.join(", "))))
        }
        _ => Ok(()),
    }
}

/// Those of Azure's specifications and clients. What is served is the same in all.
pub(crate) const API_VERSIONS: [&str; 7] = [
    "2018-09-01-preview",
    "2020-10-01",
    "2022-08-01",
    "2022-09-01-preview",
    "2023-04-01-preview",
    "2025-06-01",
    "2026-03-11-preview",
];

/// OpenID Connect Discovery 1.0, 3, with the members that the service has (recorded). Its `revocation_endpoint` is left
/// out, since nothing here is revoked at a URL.
fn metadata(issuer: &str) -> Object {
    let issuer = issuer.trim_end_matches('/');
    Object::new()
        .with("claims_supported", CLAIMS_SUPPORTED.to_vec())
        .with("id_token_signing_alg_values_supported", vec!["RS256"])
        .with("issuer", issuer)
        .with("jwks_uri", format!("{issuer}/certs"))
        .with("response_types_supported", vec!["token", "none"])
}

/// Claims of tokens for SEV-SNP evidence, but for the data that clients send.
const CLAIMS_SUPPORTED: [&str; 20] = [
    names::ATTESTATION_TYPE,
    names::COMPLIANCE_STATUS,
    names::POLICY_HASH,
    names::snp::AUTHOR_KEY_DIGEST,
    names::snp::BOOTLOADER_SVN,
    names::snp::FAMILY_ID,
    names::snp::GUEST_SVN,
    names::snp::HOST_DATA,
    names::snp::ID_KEY_DIGEST,
    names::snp::IMAGE_ID,
    names::snp::IS_DEBUGGABLE,
    names::snp::LAUNCH_MEASUREMENT,
    names::snp::MICROCODE_SVN,
    names::snp::MIGRATION_ALLOWED,
    names::snp::REPORT_DATA,
    names::snp::REPORT_ID,
    names::snp::SMT_ALLOWED,
    names::snp::SNPFW_SVN,
    names::snp::TEE_SVN,
    names::snp::VMPL,
];

fn token_reply(token: String) -> Reply {
    Reply::json(StatusCode::OK, &Object::new().with("token", token))
}

/// What a service answers whose certificates nobody can change is not recorded; this is its code for other operations that
/// it does not take.
fn configured() -> Reply {
    let text = "who may sign the policies of this service is part of its configuration";
    refuse(StatusCode::BAD_REQUEST, "InvalidOperation", text)
}

fn unknown_default(kind: EvidenceType) -> Reply {
    let text = format!("the default policy of attestation type {} is not known to this service", kind.name());
    refuse(StatusCode::BAD_REQUEST, "InvalidOperation", &text)
}

fn not_found() -> Reply {
    refuse(StatusCode::NOT_FOUND, "NotFound", "nothing is served at this path")
}
