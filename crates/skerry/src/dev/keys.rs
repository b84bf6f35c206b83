//! The keys of `dev`: made at the first start, kept in its folder.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use skerry_evidence::snp::Generation;
use skerry_jose::{Algorithm, SigningKey};
use skerry_simulator::Root;
use skerry_vault::ca::Ca;
use zeroize::{Zeroize as _, Zeroizing};

use super::folder::Folder;
use super::{CA_FILE, SIMULATOR};
use crate::machine::{random, rng};
use crate::pem;

/// Everything that has to be the same after a restart.
pub(super) struct Keys {
    pub(super) root: Zeroizing<[u8; 32]>,
    pub(super) simulator: Root,
    pub(super) attestation: Zeroizing<Vec<u8>>,
    pub(super) identity: Zeroizing<Vec<u8>>,
    pub(super) release: Zeroizing<Vec<u8>>,
    pub(super) client_secret: Zeroizing<String>,
}

/// The CA, and the certificates of release answers.
pub(super) struct Certificates {
    pub(super) ca: Ca,
    pub(super) release: Vec<Vec<u8>>,
}

impl Keys {
    /// What the folder has, and what it has not made now.
    pub(super) fn kept(folder: &Folder, now: SystemTime) -> anyhow::Result<Keys> {
        let hex_32 = || Ok(Zeroizing::new(hex::encode(Zeroizing::new(random::<32>()).as_slice())));
        let text = folder.kept("root.key", hex_32)?;
        let mut root = Zeroizing::new([0; 32]);
        hex::decode_to_slice(text.as_str(), root.as_mut_slice()).context("root.key")?;
        let simulator = folder.kept(SIMULATOR, || {
            // Certificates begin the day before, for clocks that are late.
            Ok(Root::generate(Generation::Milan, now - DAY, &mut rng())?.to_pem()?)
        })?;
        Ok(Keys {
            root,
            simulator: Root::from_pem(&simulator).context(SIMULATOR)?,
            attestation: rsa_key(folder, "attestation.key")?,
            identity: rsa_key(folder, "identity.key")?,
            release: rsa_key(folder, "release.key")?,
            client_secret: folder.kept("client.secret", hex_32)?,
        })
    }
}

impl Certificates {
    /// The CA of last time, iff its one certificate with ports is for these; else another. Below a CA that is constrained
    /// no certificate can have ports, and what made that one is not kept (see [`skerry_vault::ca`]).
    pub(super) fn kept(folder: &Folder, keys: &Keys, authorities: &[u16], now: SystemTime) -> anyhow::Result<Self> {
        let names = release_names(authorities);
        let listed = names.join("\n");
        let same = folder.read("release.names")?.is_some_and(|before| *before == listed);
        let ca =
            folder.read("ca.key")?.filter(|_| same).map(|text| Ca::from_pem(&text)).transpose().context("ca.key")?;
        let ca = ca.filter(|ca| ca.not_after() > now + LIFE_MIN);
        if let (Some(ca), Some(release)) = (ca, folder.read("release.pem")?) {
            let chain = CertificateDer::pem_slice_iter(release.as_bytes()).map(|der| Ok(der?.to_vec()));
            let release = chain.collect::<anyhow::Result<_>>().context("release.pem")?;
            return Ok(Certificates { ca, release });
        }
        let (ca, ports) = Ca::generate_constrained("Skerry dev", &["localhost"], &LOOPBACK, now)?;
        let key = SigningKey::from_pkcs8(Algorithm::Rs256, &keys.release)?;
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let release = ports.issue(&key, &names, now)?;
        let chain: anyhow::Result<Vec<_>> = release.iter().map(|der| pem::block(pem::CERTIFICATE, der)).collect();
        // The names last: what is cut short before is made again.
        folder.write("release.names", "")?;
        folder.write("ca.key", &ca.to_pem()?)?;
        folder.write(CA_FILE, &pem::block(pem::CERTIFICATE, ca.root_der())?)?;
        folder.write("release.pem", &chain?.iter().map(|one| one.as_str()).collect::<String>())?;
        folder.write("release.names", &listed)?;
        Ok(Certificates { ca, release })
    }
}

/// Every way in which a client may address the vaults, with and without their ports.
fn release_names(ports: &[u16]) -> Vec<String> {
    let hosts = super::VAULT_HOSTS;
    let with_ports = ports.iter().flat_map(|port| hosts.iter().map(move |host| format!("{host}:{port}")));
    hosts.iter().map(|host| (*host).to_owned()).chain(with_ports).collect()
}

/// An RSA key for RS256, PKCS#8.
fn rsa_key(folder: &Folder, name: &str) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let text = folder.kept(name, || {
        let key = SigningKey::generate(Algorithm::Rs256)?;
        pem::block(pem::PRIVATE_KEY, &key.to_pkcs8()?)
    })?;
    let mut der = PrivatePkcs8KeyDer::from_pem_slice(text.as_bytes()).context(name.to_owned())?;
    let key = Zeroizing::new(der.secret_pkcs8_der().to_vec());
    der.zeroize();
    Ok(key)
}

const LOOPBACK: [(IpAddr, u8); 2] =
    [(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), 8), (IpAddr::V6(Ipv6Addr::LOCALHOST), 128)];
const DAY: Duration = Duration::from_secs(86_400);
/// A CA that ends sooner is replaced: certificates are issued for a year.
const LIFE_MIN: Duration = Duration::from_secs(366 * 86_400);
