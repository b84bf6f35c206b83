//! The walk from a request to a token, in the order of docs/design.md, "One direction of flow".

use std::sync::Arc;
use std::time::SystemTime;

use rand_core::CryptoRng;
use skerry_attestation_result::{AttestationResult, AttestationToken, DraftToken, Provenance, TokenSigner, names};
use skerry_evidence::anchors::{self, Anchors};
use skerry_evidence::evidence::{BindingError, BoundEvidence, UvmMismatch, VerifiedEvidence};
use skerry_evidence::limits::Limits;
use skerry_evidence::snp::{
    ChainError, Crl, CrlPolicy, EndorsementError, Endorsements, Options, ParseError, Report, ReportError, VerifiedVek,
};
use skerry_evidence::uvm::{Endorsement, TrustList, UvmError};
use skerry_evidence::x509::Budget;
use skerry_jose::SigningError;
use skerry_jose::json::Object;
use skerry_policy::attestation::{AppraisalPolicy, Claim, EvaluationError, PolicyDocument, Signer, is_reserved};

use crate::chains::{Chains, ChainsSeen};
use crate::claims;
use crate::floor::{Floor, FloorRefusal};
use crate::wire::{Data, SnpRequest, WireError};

/// Why a request gets no token. Each variant is one step of the flow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // each message says what its variant means
pub enum AttestError {
    #[error("request")]
    Request(#[from] WireError),
    #[error("report")]
    Parse(#[source] ParseError),
    #[error("endorsements")]
    Endorsements(#[source] EndorsementError),
    #[error("chain")]
    Chain(#[source] ChainError),
    #[error("report")]
    Report(#[source] ReportError),
    #[error("UVM endorsement")]
    Uvm(#[source] UvmError),
    #[error("UVM endorsement")]
    UvmMismatch(#[source] UvmMismatch),
    #[error("binding")]
    Binding(#[source] BindingError),
    #[error(transparent)]
    Floor(FloorRefusal),
    #[error("runtime data of SEV-SNP is JSON, not Binary")]
    BinaryRuntimeData,
    #[error("appraisal policy")]
    Policy(#[source] EvaluationError),
    #[error("the policy issues claim {0}, which is the service's")]
    IssuedClaim(String),
    #[error("token")]
    Signing(#[source] SigningError),
}

/// What an attestation instance trusts. Real or simulated, never both: there is no way to name AMD's roots and one's own.
#[derive(Debug, Clone)]
pub struct VerifierConfig {
    anchors: Anchors,
    uvm: TrustList,
    options: Options,
    crls: Vec<Crl>,
    floor: Floor,
    policy: AppraisalPolicy,
    limits: Limits,
}

impl VerifierConfig {
    /// Trusts hardware vendors' roots and Microsoft's UVM endorsements, as compiled in.
    pub fn real() -> VerifierConfig {
        Self::with(Anchors::amd(), TrustList::microsoft())
    }

    /// Trusts these roots, all of which count as simulated (see [`Anchors::with_simulated`]).
    pub fn simulated(roots: &[(skerry_evidence::snp::Generation, [u8; 32])], uvm: TrustList) -> VerifierConfig {
        let add = |anchors: Anchors, (generation, root): &_| anchors.with_simulated(*generation, *root);
        Self::with(roots.iter().fold(Anchors::none(), add), uvm)
    }

    /// With another floor.
    pub fn floor(mut self, floor: Floor) -> VerifierConfig {
        self.floor = floor;
        self
    }

    /// With other demands on revocation lists.
    pub fn options(mut self, options: Options) -> VerifierConfig {
        self.options = options;
        self
    }

    /// With a product's revocation list, which every chain of that product's root is then checked against.
    pub fn crl(mut self, crl: Crl) -> VerifierConfig {
        self.crls.push(crl);
        self
    }

    /// With another appraisal policy, by which evidence is appraised where nobody set one.
    pub fn policy(mut self, policy: AppraisalPolicy) -> VerifierConfig {
        self.policy = policy;
        self
    }

    fn with(anchors: Anchors, uvm: TrustList) -> VerifierConfig {
        VerifierConfig {
            anchors,
            uvm,
            options: Options { crl: CrlPolicy::IfPresent },
            crls: Vec::new(),
            floor: Floor::default(),
            policy: AppraisalPolicy::snp_default(),
            limits: Limits::default(),
        }
    }
}

/// An attestation service: what it trusts, what it demands, and the key it signs with.
pub struct Verifier {
    config: VerifierConfig,
    signer: TokenSigner,
    chains: Chains,
}

impl Verifier {
    /// A service that signs as `signer`.
    pub fn new(config: VerifierConfig, signer: TokenSigner) -> Verifier {
        Verifier { config, signer, chains: Chains::default() }
    }

    /// The issuer and its key.
    pub fn signer(&self) -> &TokenSigner {
        &self.signer
    }

    /// The chains of certificates that are kept verified, as they stand at `now`.
    pub fn chains(&self, now: SystemTime) -> ChainsSeen {
        self.chains.seen(now)
    }

    /// Appraises SEV-SNP evidence: the token iff every step holds. Nobody vouches for `request`; `now` is the caller's
    /// clock, and `rng` makes the token's id.
    pub fn attest(
        &self,
        request: &SnpRequest,
        now: SystemTime,
        rng: &mut dyn CryptoRng,
    ) -> Result<AttestationToken, AttestError> {
        let result = self.result(request, (&self.config.policy, None), now)?;
        self.signer.sign(&result, jti(rng)).map_err(AttestError::Signing)
    }

    /// As [`attest`](Self::attest), by the policy that somebody set instead of the configured one; the token says who signed
    /// it. The caller vouches that whoever set it may.
    pub fn attest_under(
        &self,
        request: &SnpRequest,
        set: &PolicyDocument,
        now: SystemTime,
        rng: &mut dyn CryptoRng,
    ) -> Result<AttestationToken, AttestError> {
        let result = self.result(request, (set.policy(), set.signer()), now)?;
        self.signer.sign(&result, jti(rng)).map_err(AttestError::Signing)
    }

    /// What [`attest`](Self::attest) would say if `draft` were the policy: every other step is the same, the floor too, and
    /// what comes of it is signed by nobody. Nobody vouches for `request` or `draft`.
    pub fn attest_draft(
        &self,
        request: &SnpRequest,
        draft: &AppraisalPolicy,
        now: SystemTime,
        rng: &mut dyn CryptoRng,
    ) -> Result<DraftToken, AttestError> {
        let result = self.result(request, (draft, None), now)?;
        Ok(self.signer.draft(&result, jti(rng)))
    }

    fn result(
        &self,
        request: &SnpRequest,
        policy: Policy<'_>,
        now: SystemTime,
    ) -> Result<AttestationResult, AttestError> {
        let verified = self.verify(request, now)?;
        let bound = self.bind(verified, request)?;
        self.appraise(&bound, request, policy, now)
    }

    /// The first half of the flow: authentic evidence, whatever it says.
    pub fn verify(&self, request: &SnpRequest, now: SystemTime) -> Result<VerifiedEvidence, AttestError> {
        let mut budget = Budget::new(self.config.limits.signature_checks_max);
        let report = Report::parse(&request.report).map_err(AttestError::Parse)?;
        let vek = self.verified_vek(&request.chain_pem, now, &mut budget)?;
        let report = vek.verify_report(report, now).map_err(AttestError::Report)?;
        self.with_uvm(VerifiedEvidence::snp(report), &request.uvm, &mut budget)
    }

    fn verified_vek(&self, pem: &[u8], now: SystemTime, budget: &mut Budget) -> Result<Arc<VerifiedVek>, AttestError> {
        self.chains.get_or_verify(pem, now, || {
            let endorsements = Endorsements::from_pem(pem, &self.config.limits).map_err(AttestError::Endorsements)?;
            let endorsements = endorsements.with_crl_among(&self.config.crls);
            VerifiedVek::verify(&endorsements, &self.config.anchors, &self.config.options, now, budget)
                .map_err(AttestError::Chain)
        })
    }

    /// Every endorsement that comes must hold; one for another measurement is a refusal, as is an untrusted one.
    fn with_uvm(
        &self,
        evidence: VerifiedEvidence,
        endorsements: &[Vec<u8>],
        budget: &mut Budget,
    ) -> Result<VerifiedEvidence, AttestError> {
        endorsements.iter().try_fold(evidence, |evidence, bytes| {
            let endorsement = Endorsement::parse(bytes).map_err(AttestError::Uvm)?;
            let verified = endorsement.verify(&self.config.uvm, budget).map_err(AttestError::Uvm)?;
            evidence.with_uvm(verified).map_err(AttestError::UvmMismatch)
        })
    }

    fn bind(&self, evidence: VerifiedEvidence, request: &SnpRequest) -> Result<BoundEvidence, AttestError> {
        let bytes = |data: &Option<Data>| data.as_ref().map(|data| data.bytes.clone());
        let (runtime, init) = (bytes(&request.runtime_data), bytes(&request.init_data));
        evidence.bind(runtime.as_deref(), init.as_deref(), &self.config.limits).map_err(AttestError::Binding)
    }

    fn appraise(
        &self,
        bound: &BoundEvidence,
        request: &SnpRequest,
        (policy, signer): Policy<'_>,
        now: SystemTime,
    ) -> Result<AttestationResult, AttestError> {
        let evidence = bound.evidence();
        let mut claims = Object::new();
        if let Some(snp) = evidence.snp_report() {
            self.config.floor.check(snp.report(), snp.generation()).map_err(AttestError::Floor)?;
            claims = claims::of_snp(snp.report(), snp.generation());
        }
        if evidence.uvm().is_some() {
            claims.insert(names::COMPLIANCE_STATUS, "azure-compliant-uvm");
        }
        insert_data(&mut claims, request)?;
        let provenance = match evidence.provenance() {
            anchors::Provenance::Real => Provenance::Real,
            anchors::Provenance::Simulated => Provenance::Simulated,
        };
        let issued = policy.appraise(&incoming(&claims, provenance)).map_err(AttestError::Policy)?.issued;
        claims.insert(names::POLICY_HASH, policy.hash());
        if let Some(signer) = signer {
            claims.insert(names::POLICY_SIGNER, signer.claim());
        }
        if let Some(nonce) = &request.nonce {
            claims.insert("nonce", nonce.as_str());
        }
        insert_issued(&mut claims, issued)?;
        Ok(AttestationResult::assertion(self.signer.issuer().clone(), claims, provenance, now))
    }
}

/// A policy, and who signed it if anybody did.
type Policy<'a> = (&'a AppraisalPolicy, Option<&'a Signer>);

/// What a policy sees: claims of the evidence and of the data that it binds, and whether it is simulated. Not the nonce,
/// which nothing binds.
fn incoming(claims: &Object, provenance: Provenance) -> Vec<Claim> {
    let mut claims = claims.clone();
    if provenance == Provenance::Simulated {
        claims.insert(names::SIMULATED, true);
    }
    Claim::of_service(&claims)
}

/// What a policy issues beside the service's own claims. None has a name of theirs, and if one had it would not get in.
fn insert_issued(claims: &mut Object, issued: Object) -> Result<(), AttestError> {
    for (name, value) in issued {
        if is_reserved(&name) || claims.contains(&name) {
            return Err(AttestError::IssuedClaim(name));
        }
        claims.insert(name, value);
    }
    Ok(())
}

fn jti(rng: &mut dyn CryptoRng) -> [u8; 32] {
    let mut jti = [0; 32];
    rng.fill_bytes(&mut jti);
    jti
}

/// The data that was bound, as the objects they are. Their bytes were hashed before anything was read from them.
fn insert_data(claims: &mut Object, request: &SnpRequest) -> Result<(), AttestError> {
    if let Some(runtime) = &request.runtime_data {
        let json = runtime.json.as_ref().ok_or(AttestError::BinaryRuntimeData)?;
        claims.insert(names::RUNTIME, json.clone());
    }
    if let Some(json) = request.init_data.as_ref().and_then(|init| init.json.as_ref()) {
        claims.insert(names::INITTIME, json.clone());
    }
    Ok(())
}
