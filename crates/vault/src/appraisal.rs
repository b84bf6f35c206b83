//! Appraisal policies of the attestation service that callers set: kept in the installation beside the vaults' keys, and
//! put on record as every change is.
//!
//! ```text
//! storage key      value (CBOR, RFC 8949, one array of fixed length)
//!   a/p/ type      policy of evidence of this type: [1, type, document, set]
//! ```
//!
//! The document is kept as it came, since that is what is shown and hashed. Records are sealed, and read from the store each
//! time, so that what was acknowledged is what the next attestation is appraised by; what was read at a revision is kept
//! parsed. A record that does not open or no longer parses refuses every attestation of its type, and gives no default.
//!
//! Not here: which callers may set a policy, and what a policy says.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use minicbor::{Decoder, Encoder};
use skerry_attestation_result::unix_secs;
use skerry_audit::{Entry, Event, Verdict};
use skerry_identity::Principal;
use skerry_jose::b64;
use skerry_policy::attestation::{DocumentError, EvidenceType, PolicyDocument, Reset, Trust};
use skerry_store::seal::Sealer;
use skerry_store::{At, Check, Op, Revision};
use uuid::Uuid;

use crate::command::Randomizer;
use crate::entries;
use crate::installation::Installation;
use crate::limits::ATTEMPTS_MAX;
use crate::refusal::Refusal;
use crate::stored::Corrupted;
use crate::vault::{Change, random};

/// Who changes a policy, and when.
#[derive(Clone, Copy)]
pub struct Author<'a> {
    /// The caller. Identity vouches for it, and access for that it may.
    pub principal: &'a Principal,
    /// Request id, for the log.
    pub request_id: &'a str,
    /// The caller's clock.
    pub now: SystemTime,
    /// Where randomness comes from.
    pub randomness: &'a Randomizer,
}

/// Why a policy is not set or reset. Nothing was changed, unless the refusal within says that this is not known.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[allow(missing_docs)] // each message says what its variant means
pub enum PolicyRefusal {
    #[error("policy document")]
    Document(#[source] DocumentError),
    #[error(transparent)]
    Vault(#[from] Refusal),
}

/// The policies of an installation's attestation service.
pub struct AppraisalPolicies {
    installation: Arc<Installation>,
    sealer: Sealer,
    trust: Trust,
    read: Mutex<HashMap<EvidenceType, Read>>,
}

type Read = (Arc<PolicyDocument>, Revision);

impl AppraisalPolicies {
    /// Those of this installation, which has one attestation service. `trust` says whose documents are taken from now on;
    /// what was set before stays.
    pub fn new(installation: Arc<Installation>, trust: Trust) -> AppraisalPolicies {
        let sealer = installation.sealer(LABEL, Uuid::nil());
        AppraisalPolicies { installation, sealer, trust, read: Mutex::default() }
    }

    /// Whose documents are taken.
    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    /// What is set for evidence of this type; none if nothing is, or it was reset.
    pub async fn set_for(&self, kind: EvidenceType) -> Result<Option<Arc<PolicyDocument>>, Refusal> {
        Ok(self.find(kind).await?.map(|(document, _)| document))
    }

    /// Sets the policy for evidence of this type. Nobody vouches for `document`; it has to be a policy, of a signer that is
    /// taken.
    pub async fn set(
        &self,
        author: &Author<'_>,
        kind: EvidenceType,
        document: &str,
    ) -> Result<Arc<PolicyDocument>, PolicyRefusal> {
        let document = PolicyDocument::parse(kind, document, &self.trust).map_err(PolicyRefusal::Document)?;
        let said = entries::hex_sha256(document.text());
        let explanation = format!("appraisal policy of {} set by document {said}", kind.name());
        for _ in 0..ATTEMPTS_MAX {
            let found = self.find(kind).await?;
            let at = place(kind);
            let sealed = self.sealer.seal(&at, &encode(kind, document.text(), author.now), &mut *(author.randomness)());
            let op = Op::Put(at, sealed.map_err(Refusal::Seal)?);
            let policy = b64::decode(document.policy().hash()).ok().and_then(|digest| digest.try_into().ok());
            if self.change(author, kind, found, op, (explanation.clone(), policy)).await? {
                return Ok(Arc::new(document));
            }
        }
        Err(Refusal::Contended.into())
    }

    /// Gives evidence of this type the service's default again. Nobody vouches for `document`.
    pub async fn reset(&self, author: &Author<'_>, kind: EvidenceType, document: &str) -> Result<(), PolicyRefusal> {
        Reset::parse(document, &self.trust).map_err(PolicyRefusal::Document)?;
        let explanation = format!("appraisal policy of {} reset", kind.name());
        for _ in 0..ATTEMPTS_MAX {
            let found = self.find(kind).await?;
            if found.is_none() {
                return Ok(());
            }
            if self.change(author, kind, found, Op::Delete(place(kind)), (explanation.clone(), None)).await? {
                return Ok(());
            }
        }
        Err(Refusal::Contended.into())
    }

    async fn change(
        &self,
        author: &Author<'_>,
        kind: EvidenceType,
        found: Option<Read>,
        op: Op,
        (explanation, policy): (String, Option<[u8; 32]>),
    ) -> Result<bool, Refusal> {
        let unique: [u8; 16] = random(&mut (author.randomness)());
        let intent = Entry {
            subject: entries::sha256(&[b"skerry appraisal policy v1\0", kind.name().as_bytes(), &unique]),
            who: author.principal.to_string(),
            request: author.request_id.to_owned(),
            policy,
            ..entries::service(Event::AuthorityChanged, author.now, Verdict::Intended, explanation)
        };
        let check = match found {
            Some((_, revision)) => Check::Unchanged(place(kind), revision),
            None => Check::Absent(place(kind)),
        };
        let change = Change { intent, checks: vec![check], ops: vec![op] };
        change.commit(&self.installation, author.now, (author.randomness)()).await
    }

    async fn find(&self, kind: EvidenceType) -> Result<Option<Read>, Refusal> {
        let at = place(kind);
        let Some(entry) = self.installation.store().get(&at, At::Linearizable).await? else { return Ok(None) };
        let known = self.read.lock().unwrap_or_else(PoisonError::into_inner).get(&kind).cloned();
        if let Some(known) = known.filter(|(_, revision)| *revision == entry.modified) {
            return Ok(Some(known));
        }
        let plain = self.sealer.open(&at, &entry.value).map_err(Corrupted::Seal)?;
        let text = decode(kind, &plain).ok_or(Corrupted::Form("appraisal policy"))?;
        // Whose documents are taken was asked when it was set.
        let document = PolicyDocument::parse(kind, &text, &Trust::Callers);
        let document = document.map_err(|_| Corrupted::Form("document of an appraisal policy"))?;
        let read = (Arc::new(document), entry.modified);
        self.read.lock().unwrap_or_else(PoisonError::into_inner).insert(kind, read.clone());
        Ok(Some(read))
    }
}

fn place(kind: EvidenceType) -> Vec<u8> {
    [b"a/p/", kind.name().as_bytes()].concat()
}

fn encode(kind: EvidenceType, document: &str, set: SystemTime) -> Vec<u8> {
    let mut out = Encoder::new(Vec::new());
    let mut write = || -> Result<(), minicbor::encode::Error<std::convert::Infallible>> {
        out.array(4)?.u8(FORMAT)?.str(kind.name())?.str(document)?.u64(unix_secs(set))?;
        Ok(())
    };
    // Infallible: writing to a vector.
    let _ = write();
    out.into_writer()
}

/// The document, iff the record is of this type.
fn decode(kind: EvidenceType, bytes: &[u8]) -> Option<String> {
    let mut input = Decoder::new(bytes);
    let begins = input.array().ok()? == Some(4) && input.u8().ok()? == FORMAT && input.str().ok()? == kind.name();
    let document = input.str().ok()?.to_owned();
    input.u64().ok()?;
    (begins && input.position() == bytes.len()).then_some(document)
}

const FORMAT: u8 = 1;
pub(crate) const LABEL: &str = "attestation policies";
