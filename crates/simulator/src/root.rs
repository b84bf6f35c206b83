//! The simulated counterpart of AMD's certification authorities for one generation.

use std::sync::OnceLock;
use std::time::SystemTime;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hkdf::{HKDF_SHA384, Prk};
use der::{Decode, Encode};
use rand_core::CryptoRng;
use x509_cert::Certificate;
use zeroize::Zeroizing;

use crate::certificate::{self, AuthoritySubject, Oddities, VekIssuer, VekSubject};
use crate::chip::{Chip, ChipConfig, VekKind, VlekConfig};
use crate::keys::{EcKey, RsaKey};
use crate::pem::{self, Blocks};
use crate::{Generation, SimulatorError, Tcb, crl, dates, generation};

/// ARK, ASK and ASVK of one generation, and the secret from which its chips get their keys.
///
/// A chip has the same endorsement key whenever it is made again with the same id and TCB, as real
/// ones have. The ASVK is made when a VLEK is first asked for: most uses need only two RSA keys.
pub struct Root {
    generation: Generation,
    made: SystemTime,
    seed: Zeroizing<[u8; 32]>,
    ark: Authority,
    ask: Authority,
    asvk: OnceLock<Authority>,
}

impl Root {
    /// A new root, valid for 25 years from `now`. Two RSA-4096 keys are generated at once.
    pub fn generate(generation: Generation, now: SystemTime, rng: &mut dyn CryptoRng) -> Result<Self, SimulatorError> {
        let mut seed = Zeroizing::new([0; 32]);
        rng.fill_bytes(seed.as_mut_slice());
        let (ark, ask) = std::thread::scope(|scope| {
            let ask = scope.spawn(RsaKey::generate);
            let ark = RsaKey::generate();
            (ark, ask.join().unwrap_or(Err(SimulatorError::KeyGeneration)))
        });
        let [ark, ask] = [ark?, ask?];
        let role = |role| Role { role, generation, made: now };
        let ark_certificate = role(VekIssuer::Ark).certificate(&ark, &ark)?;
        let ask_certificate = role(VekIssuer::Ask).certificate(&ask, &ark)?;
        Ok(Self {
            generation,
            made: now,
            seed,
            ark: Authority { key: ark, certificate: ark_certificate },
            ask: Authority { key: ask, certificate: ask_certificate },
            asvk: OnceLock::new(),
        })
    }

    /// A root that [`Root::to_pem`] wrote. The caller vouches for the text: whoever can write it
    /// is the authority.
    pub fn from_pem(text: &str) -> Result<Self, SimulatorError> {
        let mut blocks = Blocks::new(text);
        let header = Header::decode(&blocks.take(HEADER)?)?;
        let ark = Authority::take(&mut blocks, 0)?;
        let ask = Authority::take(&mut blocks, 1)?;
        let asvk = OnceLock::new();
        if !blocks.is_done() {
            let _ = asvk.set(Authority::take(&mut blocks, 2)?);
        }
        blocks.finish()?;
        let Header { generation, made, seed } = header;
        Ok(Self { generation, made, seed, ark, ask, asvk })
    }

    /// Everything that makes this root: its seed, private keys (PKCS#8) and certificates. Secret.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, SimulatorError> {
        let header = Header { generation: self.generation, made: self.made, seed: self.seed.clone() };
        let mut blocks = vec![pem::block(HEADER, &header.encode()?)?];
        for authority in [Some(&self.ark), Some(&self.ask), self.asvk.get()].into_iter().flatten() {
            blocks.push(pem::block(pem::PRIVATE_KEY, &authority.key.to_pkcs8()?)?);
            blocks.push(pem::block(pem::CERTIFICATE, &authority.certificate)?);
        }
        Ok(pem::join(&blocks))
    }

    /// The generation this root certifies.
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// SHA-256 of the root key's SubjectPublicKeyInfo: what a verifier pins.
    pub fn ark_spki_sha256(&self) -> Result<[u8; 32], SimulatorError> {
        let spki = self.ark.key.spki()?;
        digest(&SHA256, &spki).as_ref().try_into().map_err(|_| SimulatorError::KeyExport)
    }

    /// ASK and ARK, as the key distribution service gives them for VCEKs.
    pub fn ca_chain_pem(&self) -> Result<String, SimulatorError> {
        pem::certificates([self.ask_der(), self.ark_der()])
    }

    /// ASVK and ARK, as the key distribution service gives them for VLEKs.
    pub fn vlek_chain_pem(&self) -> Result<String, SimulatorError> {
        pem::certificates([self.asvk()?.certificate.as_slice(), self.ark_der()])
    }

    /// Certificate of the root key.
    pub fn ark_der(&self) -> &[u8] {
        &self.ark.certificate
    }

    /// Certificate of the issuer of VCEKs.
    pub fn ask_der(&self) -> &[u8] {
        &self.ask.certificate
    }

    /// Certificate of the issuer of VLEKs, made now iff there was none.
    pub fn asvk_der(&self) -> Result<&[u8], SimulatorError> {
        Ok(&self.asvk()?.certificate)
    }

    /// Serial numbers of ARK, ASK and ASVK, for revocation lists.
    pub fn serials(&self) -> [u32; 3] {
        generation::serials(self.generation)
    }

    /// Revocation list signed by the root key. A list signed by another key is one that another
    /// root of the same generation makes: the names are the same.
    pub fn crl(
        &self,
        revoked_serials: &[u32],
        this_update: SystemTime,
        next_update: SystemTime,
    ) -> Result<Vec<u8>, SimulatorError> {
        let issuer_name = VekIssuer::Ark.common_name(self.generation);
        let list = crl::List { issuer_name, revoked_serials, this_update, next_update };
        crl::make(&list, &self.ark.key)
    }

    /// A processor with a VCEK valid for seven years from `now`.
    pub fn chip(&self, config: ChipConfig, now: SystemTime) -> Result<Chip, SimulatorError> {
        let ChipConfig { chip_id, reported_tcb, oddities } = config;
        let hw_id: Vec<u8> = chip_id.iter().copied().take(self.generation.chip_id_bytes()).collect();
        let subject = Endorsed {
            kind: VekKind::Vcek,
            tcb: reported_tcb,
            hw_id: &hw_id,
            csp_id: "",
            validity: (now, dates::years_later(now, 7)?),
        };
        self.endorse(&subject, chip_id, &oddities)
    }

    /// A processor that signs with the VLEK of a cloud provider, valid for one year from `now`.
    pub fn vlek(&self, config: VlekConfig, now: SystemTime) -> Result<Chip, SimulatorError> {
        let VlekConfig { csp_id, reported_tcb, oddities } = config;
        let subject = Endorsed {
            kind: VekKind::Vlek,
            tcb: reported_tcb,
            hw_id: &[],
            csp_id: &csp_id,
            validity: (now, dates::years_later(now, 1)?),
        };
        self.endorse(&subject, [0; 64], &oddities)
    }

    fn endorse(&self, what: &Endorsed<'_>, chip_id: [u8; 64], odd: &Oddities) -> Result<Chip, SimulatorError> {
        let generation = self.generation;
        let key = self.vek_key(what)?;
        let role = odd.issuer.unwrap_or(VekIssuer::of(what.kind));
        let issuer = self.authority(role)?;
        let subject = VekSubject {
            generation,
            kind: what.kind,
            spki: &key.spki(),
            tcb: what.tcb,
            hw_id: what.hw_id,
            csp_id: what.csp_id,
            validity: what.validity,
        };
        let vek = certificate::vek(&subject, odd, role.common_name(generation), &issuer.key)?;
        let chain = vec![vek, issuer.certificate.clone(), self.ark.certificate.clone()];
        Ok(Chip::new(generation, what.kind, key, chip_id, what.tcb, chain))
    }

    /// The endorsement key follows from seed, kind, chip and TCB alone (HKDF, RFC 5869, 2.3).
    fn vek_key(&self, what: &Endorsed<'_>) -> Result<EcKey, SimulatorError> {
        let kind = certificate::common_name(what.kind);
        let tcb = what.tcb.to_bytes(self.generation);
        let holder = [what.hw_id, what.csp_id.as_bytes()].concat();
        let info = [kind.as_bytes(), &[0], &tcb, &holder];
        let secret = Prk::new_less_safe(HKDF_SHA384, self.seed.as_slice());
        let mut scalar = Zeroizing::new([0; 48]);
        let expanded = secret.expand(&info, HKDF_SHA384).map_err(|_| SimulatorError::KeyGeneration)?;
        expanded.fill(scalar.as_mut_slice()).map_err(|_| SimulatorError::KeyGeneration)?;
        EcKey::from_scalar(&scalar)
    }

    fn authority(&self, role: VekIssuer) -> Result<&Authority, SimulatorError> {
        match role {
            VekIssuer::Ark => Ok(&self.ark),
            VekIssuer::Ask => Ok(&self.ask),
            VekIssuer::Asvk => self.asvk(),
        }
    }

    fn asvk(&self) -> Result<&Authority, SimulatorError> {
        if let Some(asvk) = self.asvk.get() {
            return Ok(asvk);
        }
        let role = Role { role: VekIssuer::Asvk, generation: self.generation, made: self.made };
        let key = RsaKey::generate()?;
        let certificate = role.certificate(&key, &self.ark.key)?;
        // Two threads may both make one; the first to arrive stays.
        Ok(self.asvk.get_or_init(|| Authority { key, certificate }))
    }
}

struct Authority {
    key: RsaKey,
    certificate: Vec<u8>,
}

impl Authority {
    fn take(blocks: &mut Blocks<'_>, index: usize) -> Result<Self, SimulatorError> {
        let key = RsaKey::from_pkcs8(&blocks.take(pem::PRIVATE_KEY)?, index)?;
        let certificate = blocks.take(pem::CERTIFICATE)?.to_vec();
        if certified_spki(&certificate, index)? != key.spki()? {
            return Err(SimulatorError::KeyMismatch { index });
        }
        Ok(Self { key, certificate })
    }
}

struct Role {
    role: VekIssuer,
    generation: Generation,
    made: SystemTime,
}

impl Role {
    fn certificate(&self, subject: &RsaKey, issuer: &RsaKey) -> Result<Vec<u8>, SimulatorError> {
        let [ark, ask, asvk] = generation::serials(self.generation);
        let (serial, path) = match self.role {
            VekIssuer::Ark => (ark, "vcek"),
            VekIssuer::Ask => (ask, "vcek"),
            VekIssuer::Asvk => (asvk, "vlek"),
        };
        let name = self.generation.name();
        let what = AuthoritySubject {
            common_name: self.role.common_name(self.generation),
            issuer_name: VekIssuer::Ark.common_name(self.generation),
            serial,
            validity: (self.made, dates::years_later(self.made, 25)?),
            crl_url: &format!("https://kdsintf.amd.com/{path}/v1/{name}/crl"),
        };
        certificate::authority(&what, subject, issuer)
    }
}

/// What a chip's certificate is to say.
struct Endorsed<'a> {
    kind: VekKind,
    tcb: Tcb,
    hw_id: &'a [u8],
    csp_id: &'a str,
    validity: (SystemTime, SystemTime),
}

/// First block of a stored root: generation (1), made (8, big-endian seconds), seed (32).
struct Header {
    generation: Generation,
    made: SystemTime,
    seed: Zeroizing<[u8; 32]>,
}

impl Header {
    fn encode(&self) -> Result<Zeroizing<Vec<u8>>, SimulatorError> {
        let number = Generation::ALL.iter().zip(1_u8..).find(|(of, _)| **of == self.generation);
        let number = number.map(|(_, number)| number).unwrap_or_default();
        let made = dates::unix_secs(self.made)?.to_be_bytes();
        Ok(Zeroizing::new([&[number], made.as_slice(), self.seed.as_slice()].concat()))
    }

    fn decode(bytes: &[u8]) -> Result<Self, SimulatorError> {
        let malformed = SimulatorError::MalformedHeader { len: bytes.len() };
        let bytes: &[u8; 41] = bytes.try_into().map_err(|_| malformed.clone())?;
        let (number, rest) = bytes.split_first().ok_or_else(|| malformed.clone())?;
        let (made, seed) = rest.split_first_chunk().ok_or_else(|| malformed.clone())?;
        let generation = Generation::ALL.into_iter().zip(1_u8..).find(|(_, n)| n == number);
        Ok(Self {
            generation: generation.ok_or_else(|| malformed.clone())?.0,
            made: dates::from_unix_secs(u64::from_be_bytes(*made))?,
            seed: Zeroizing::new(seed.try_into().map_err(|_| malformed)?),
        })
    }
}

pub(crate) fn certified_spki(der: &[u8], index: usize) -> Result<Vec<u8>, SimulatorError> {
    let malformed = |_| SimulatorError::MalformedCertificate { index };
    let certificate = Certificate::from_der(der).map_err(malformed)?;
    certificate.tbs_certificate().subject_public_key_info().to_der().map_err(malformed)
}

const HEADER: &str = "SKERRY SIMULATED ROOT";
