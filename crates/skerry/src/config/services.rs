//! `[attestation]` and `[[authority]]`: who vouches for TEEs.

use skerry_attestation_result::IssuerUrl;
use skerry_evidence::snp::{Generation, TcbVersion};
use skerry_identity::Principal;
use skerry_jose::{Algorithm, SigningKey};
use skerry_policy::attestation::Trust;
use skerry_sources::{AddressClass, Allowed, Oidc, Origin, Roots, Url};
use skerry_verifier::Floor;
use zeroize::Zeroizing;

use super::file::{
    self, Attestation as Section, AttestationFloor, Authority as AuthoritySection, Fetch as FetchSection,
};
use super::settings::{Anchors, Attestation, Authority, Fetch, Issuer, Keys};
use super::{Check, ConfigError, Refusal};

impl Check<'_> {
    pub(super) fn attestation(&self, section: &Section) -> Result<Attestation, ConfigError> {
        Ok(Attestation {
            issuer: self.url("attestation.issuer", &section.issuer)?,
            signing_key: self.rsa_key("attestation.signing_key", &section.signing_key)?,
            anchors: self.anchors(section)?,
            floor: self.floor(section)?,
            policy_readers: Vec::new(),
            policy_setters: Vec::new(),
            policy_signers: self.policy_signers(section)?,
        })
    }

    /// Readers and setters are callers, so they wait until the issuers of callers are known.
    pub(super) fn policy_callers(
        &self,
        attestation: Attestation,
        section: &Section,
        issuers: &[Issuer],
    ) -> Result<Attestation, ConfigError> {
        let principals = |list: &str, subjects: &[file::Subject]| {
            let principal = |(at, subject): (usize, &file::Subject)| {
                let key = format!("attestation.{list}[{at}]");
                if subject.subject.is_empty() {
                    return Err(self.refuse(&format!("{key}.subject"), Refusal::Empty));
                }
                let issuer = self.issuer_of_callers(&format!("{key}.issuer"), &subject.issuer, issuers)?;
                Ok(Principal::new(issuer, subject.subject.as_str()))
            };
            subjects.iter().enumerate().map(principal).collect::<Result<Vec<_>, _>>()
        };
        let policy_readers = principals("policy_readers", &section.policy_readers)?;
        let policy_setters = principals("policy_setters", &section.policy_setters)?;
        Ok(Attestation { policy_readers, policy_setters, ..attestation })
    }

    /// Signers' keys have to be ones that a document can be verified with.
    fn policy_signers(&self, section: &Section) -> Result<Vec<Vec<u8>>, ConfigError> {
        let Some(path) = &section.policy_signers else { return Ok(Vec::new()) };
        let certificates = self.certificates("attestation.policy_signers", path)?;
        match Trust::signers(&certificates) {
            Ok(_) => Ok(certificates),
            Err(_) => {
                let path = self.resolve(path);
                Err(self.refuse("attestation.policy_signers", Refusal::PolicySigner { path }))
            }
        }
    }

    /// Real or simulated, said in so many words.
    fn anchors(&self, section: &Section) -> Result<Anchors, ConfigError> {
        let key = "attestation.anchors";
        match (section.anchors.as_deref(), section.danger.simulated.as_slice()) {
            (None, []) => Err(self.refuse(key, Refusal::NoAnchors)),
            (Some("amd"), []) => Ok(Anchors::Amd),
            (Some(other), []) => Err(self.refuse(key, Refusal::Anchors(other.to_owned()))),
            (Some(_), _) => Err(self.refuse(key, Refusal::RealAndSimulated)),
            (None, roots) => {
                let roots = roots.iter().enumerate().map(|(at, root)| self.simulated_root(at, root));
                roots.collect::<Result<_, _>>().map(Anchors::Simulated)
            }
        }
    }

    fn simulated_root(&self, at: usize, root: &file::SimulatedRoot) -> Result<(Generation, [u8; 32]), ConfigError> {
        let mut digest = [0; 32];
        hex::decode_to_slice(&root.spki_sha256, &mut digest).map_err(|_| {
            let key = format!("attestation.danger.simulated[{at}].spki_sha256");
            self.refuse(&key, Refusal::AnchorDigest(root.spki_sha256.clone()))
        })?;
        let generation = match root.generation {
            file::Generation::Milan => Generation::Milan,
            file::Generation::Genoa => Generation::Genoa,
            file::Generation::Turin => Generation::Turin,
        };
        Ok((generation, digest))
    }

    fn floor(&self, section: &Section) -> Result<Floor, ConfigError> {
        let AttestationFloor { vmpl_max, guest_svn_min, tcb_min } = &section.floor;
        if *vmpl_max > VMPL_MAX {
            let refusal = Refusal::Vmpl { seen: *vmpl_max, max: VMPL_MAX };
            return Err(self.refuse("attestation.floor.vmpl_max", refusal));
        }
        let mut floor = Floor::default().vmpl_max(*vmpl_max).guest_svn_min(*guest_svn_min);
        for (generation, name, tcb) in [
            (Generation::Milan, "milan", tcb_min.milan),
            (Generation::Genoa, "genoa", tcb_min.genoa),
            (Generation::Turin, "turin", tcb_min.turin),
        ] {
            let Some(tcb) = tcb else { continue };
            if tcb.fmc.is_some() != (generation == Generation::Turin) {
                return Err(self.refuse(&format!("attestation.floor.tcb_min.{name}"), Refusal::TcbFmc));
            }
            let file::Tcb { fmc, bootloader, tee, snp, microcode } = tcb;
            floor = floor.tcb_min(generation, TcbVersion { fmc, bootloader, tee, snp, microcode });
        }
        if section.danger.allow_debug {
            floor = floor.danger().allow_debug();
        }
        if section.danger.allow_migration {
            floor = floor.danger().allow_migration();
        }
        Ok(floor)
    }

    pub(super) fn authorities(
        &self,
        sections: &[AuthoritySection],
        attestation: Option<&Attestation>,
    ) -> Result<Vec<Authority>, ConfigError> {
        let mut authorities: Vec<Authority> = Vec::new();
        for (at, section) in sections.iter().enumerate() {
            let key = format!("authority[{at}]");
            let url = self.url(&format!("{key}.url"), &section.url)?;
            if authorities.iter().any(|other| other.url == url) {
                return Err(self.refuse(&format!("{key}.url"), Refusal::IssuerTwice(section.url.clone())));
            }
            let keys = self.authority_keys(&key, section, &url, attestation)?;
            authorities.push(Authority { url, keys, min_iat: section.min_iat });
        }
        Ok(authorities)
    }

    fn authority_keys(
        &self,
        key: &str,
        section: &AuthoritySection,
        url: &IssuerUrl,
        attestation: Option<&Attestation>,
    ) -> Result<Keys, ConfigError> {
        let ours = attestation.is_some_and(|attestation| attestation.issuer == *url);
        match (section.built_in, &section.jwks, &section.fetch) {
            (true, None, None) if ours => Ok(Keys::BuiltIn),
            (true, None, None) => Err(self.refuse(key, Refusal::NotBuiltIn)),
            (false, Some(_), None) | (false, None, Some(_)) if ours => Err(self.refuse(key, Refusal::BuiltInElsewhere)),
            (false, Some(path), None) => self.key_set(&format!("{key}.jwks"), path).map(Keys::Fixed),
            (false, None, Some(fetch)) => self.fetch(&format!("{key}.fetch"), fetch, url).map(Keys::Fetched),
            (built_in, jwks, fetch) => {
                let given = usize::from(built_in) + usize::from(jwks.is_some()) + usize::from(fetch.is_some());
                Err(self.refuse(key, Refusal::KeySource { given, choices: "built_in, jwks, fetch" }))
            }
        }
    }

    /// The issuer's metadata and keys: at its own URL unless more is said, under the roots given.
    pub(super) fn fetch(&self, key: &str, section: &FetchSection, url: &IssuerUrl) -> Result<Fetch, ConfigError> {
        let refuse = |key: String, url: &str, source| {
            let url = url.to_owned();
            self.refuse(&key, Refusal::FetchUrl { url, source })
        };
        let issuer = Url::parse(url.as_str()).map_err(|source| refuse(key.to_owned(), url.as_str(), source))?;
        let mut source = Oidc::new(issuer).map_err(|source| refuse(key.to_owned(), url.as_str(), source))?;
        if let Some(text) = &section.metadata {
            let metadata = Url::parse(text).map_err(|source| refuse(format!("{key}.metadata"), text, source))?;
            source = source.metadata_at(metadata);
        }
        let mut origins = vec![source.metadata().origin().clone()];
        if let Some(text) = &section.keys_origin {
            let origin = Origin::parse(text).map_err(|source| refuse(format!("{key}.keys_origin"), text, source))?;
            source = source.keys_on(origin.clone());
            origins.push(origin);
        }
        let classes = section.addresses.iter().map(|class| match class {
            file::AddressClass::Private => AddressClass::Private,
            file::AddressClass::Loopback => AddressClass::Loopback,
        });
        let allow = |origin| classes.clone().fold(Allowed::new(origin), Allowed::address);
        let path = self.resolve(&section.roots);
        let roots = Roots::from_pem(&self.public(&format!("{key}.roots"), &section.roots)?);
        let roots = roots.map_err(|_| self.refuse(&format!("{key}.roots"), Refusal::Roots { path }))?;
        Ok(Fetch { source, allowed: origins.into_iter().map(allow).collect(), roots })
    }

    pub(super) fn url(&self, key: &str, text: &str) -> Result<IssuerUrl, ConfigError> {
        IssuerUrl::parse(text).map_err(|source| self.refuse(key, Refusal::Url { url: text.to_owned(), source }))
    }

    /// A key for RS256, as PKCS#8.
    pub(super) fn rsa_key(&self, key: &str, path: &std::path::Path) -> Result<Zeroizing<Vec<u8>>, ConfigError> {
        let der = self.private_key(key, path)?;
        match SigningKey::from_pkcs8(Algorithm::Rs256, &der) {
            Ok(_) => Ok(der),
            Err(_) => Err(self.refuse(key, Refusal::SigningKeyNotRsa)),
        }
    }
}

/// AMD 56860, 1: privilege levels.
const VMPL_MAX: u32 = 3;
