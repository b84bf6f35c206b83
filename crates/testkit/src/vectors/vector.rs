//! One vector: its files, read, and what it is to be judged by.

use std::path::{Component, Path};

use serde_json::Value;
use skerry_evidence::anchors::{Anchors, Provenance};
use skerry_evidence::snp::Generation;
use skerry_evidence::uvm::TrustList;
use skerry_verifier::examine::{Criteria, SnpPieces};

use super::time;

/// The kinds of evidence, by the members that they have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Snp,
    Uvm,
    NotSupported(&'static str),
    Unknown,
}

/// Member, kind; the first that a vector has decides.
const KINDS: &[(&str, Kind)] = &[
    ("hcl_report", Kind::NotSupported("Azure CVM (HCL report, vTPM)")),
    ("tpm_quote", Kind::NotSupported("Azure CVM (HCL report, vTPM)")),
    ("td_quote", Kind::NotSupported("Intel TDX quote")),
    ("quote", Kind::NotSupported("Intel SGX or TDX quote")),
    ("report", Kind::Snp),
    ("cose", Kind::Uvm),
];

impl Kind {
    pub(super) fn of(vector: &Value) -> Kind {
        let has = |name: &str| vector.get(name).is_some_and(|member| !member.is_null());
        KINDS.iter().find(|(name, _)| has(name)).map_or(Kind::Unknown, |(_, kind)| *kind)
    }
}

/// The files of a vector. Members that are absent or null are absent here.
#[derive(Debug, Default)]
pub(super) struct Files {
    pub(super) report: Vec<u8>,
    /// Ways to the certificates; each must lead to the same outcome.
    pub(super) certificates: Vec<Vec<Vec<u8>>>,
    pub(super) crl: Option<Vec<u8>>,
    pub(super) cose: Option<Vec<u8>>,
    pub(super) runtime_data: Option<Vec<u8>>,
    pub(super) init_data: Option<Vec<u8>>,
}

impl Files {
    pub(super) fn read(folder: &Path, vector: &Value) -> Result<Files, String> {
        let read = |name: &str| member(vector, name).map(|file| read_file(folder, file)).transpose();
        let init_data = match read("init_data")? {
            Some(data) => Some(data),
            None => read("policy")?,
        };
        Ok(Files {
            report: read("report")?.unwrap_or_default(),
            certificates: certificates(&read)?,
            crl: read("crl")?,
            cose: read("cose")?,
            runtime_data: read("runtime_data")?,
            init_data,
        })
    }

    /// Calls `with` the pieces for each way to the certificates.
    pub(super) fn pieces<T>(&self, mut with: impl FnMut(&SnpPieces<'_>) -> T) -> Vec<T> {
        let uvm: Vec<&[u8]> = self.cose.iter().map(Vec::as_slice).collect();
        let each = self.certificates.iter().map(|certificates| {
            let certificates: Vec<&[u8]> = certificates.iter().map(Vec::as_slice).collect();
            with(&SnpPieces {
                report: &self.report,
                certificates: &certificates,
                crl: self.crl.as_deref(),
                uvm: &uvm,
                runtime_data: self.runtime_data.as_deref(),
                init_data: self.init_data.as_deref(),
            })
        });
        each.collect()
    }
}

/// VEK and chain apart, or all in one PEM file, or as Azure's host serves them; a vector may have several of these.
fn certificates(read: &impl Fn(&str) -> Result<Option<Vec<u8>>, String>) -> Result<Vec<Vec<Vec<u8>>>, String> {
    let mut ways = Vec::new();
    let apart: Vec<Vec<u8>> = [read("vek")?, read("chain")?].into_iter().flatten().collect();
    if !apart.is_empty() {
        ways.push(apart);
    }
    if let Some(bundle) = read("certs")? {
        ways.push(vec![bundle]);
    }
    if let Some(thim) = read("thim_json")? {
        ways.push(of_thim(&thim)?);
    }
    if ways.is_empty() {
        ways.push(Vec::new());
    }
    Ok(ways)
}

fn of_thim(json: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let json: Value = serde_json::from_slice(json).map_err(|error| format!("thim_json: {error}"))?;
    let pem = |name| {
        let text = json.get(name).and_then(Value::as_str).ok_or_else(|| format!("thim_json: no {name}"))?;
        Ok(text.as_bytes().to_vec())
    };
    ["vcekCert", "certificateChain"].into_iter().map(pem).collect()
}

/// What a vector is judged by, with the default floor.
pub(super) fn criteria(vector: &Value) -> Result<Criteria, String> {
    let mut criteria = Criteria::real(time::of_vector(vector)?);
    if let Some(anchor) = vector.get("anchor") {
        let (generation, key) = read_anchor(anchor).ok_or("member anchor is malformed")?;
        criteria.anchors = Anchors::none().with_simulated(generation, key);
    }
    if let Some(trust) = vector.get("uvm_trust") {
        criteria.uvm = read_trust(trust).ok_or("member uvm_trust is malformed")?;
    }
    Ok(criteria)
}

/// Where a vector's evidence must be found to come from.
pub(super) fn provenance(vector: &Value) -> Provenance {
    let simulated = vector.get("anchor").is_some() || vector.get("uvm_trust").is_some();
    if simulated { Provenance::Simulated } else { Provenance::Real }
}

fn read_anchor(anchor: &Value) -> Option<(Generation, [u8; 32])> {
    let name = anchor.get("generation")?.as_str()?;
    let generation = Generation::ALL.into_iter().find(|generation| generation.name().eq_ignore_ascii_case(name))?;
    let key = hex::decode(anchor.get("ark_spki_sha256")?.as_str()?).ok()?;
    Some((generation, key.try_into().ok()?))
}

fn read_trust(trust: &Value) -> Option<TrustList> {
    let text = |name| trust.get(name).and_then(Value::as_str);
    let svn_min = trust.get("svn_min").map_or(Some(0), Value::as_u64)?;
    Some(TrustList::none().with_simulated(text("issuer")?, text("feed")?, svn_min))
}

fn member<'a>(vector: &'a Value, name: &str) -> Option<&'a str> {
    vector.get(name).and_then(Value::as_str)
}

/// A file of the folder; a name that leaves it is refused.
fn read_file(folder: &Path, name: &str) -> Result<Vec<u8>, String> {
    let inside = Path::new(name).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if !inside {
        return Err(format!("{name}: not a file of the folder"));
    }
    std::fs::read(folder.join(name)).map_err(|error| format!("{name}: {error}"))
}
