//! What a server is made of: configuration that was read, checked and found sound, its secrets among it.
//!
//! `skerry serve` makes it from skerry.toml, `skerry dev` from its folder. Nothing here is checked again.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use skerry_attestation_result::IssuerUrl;
use skerry_evidence::snp::Generation;
use skerry_identity::{Assignment, Client, Principal};
use skerry_jose::JwkSet;
use skerry_keys::Level;
use skerry_sources::{Allowed, Oidc, Roots};
use skerry_vault::{NodeName, Throttling, Wanted};
use skerry_verifier::Floor;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::root::Source;

/// A server.
pub(crate) struct Settings {
    pub(crate) data: PathBuf,
    pub(crate) root: Source,
    pub(crate) store: StoreSettings,
    /// The certificates, DER, that backups are sealed to and no others; none leaves it to who asks.
    pub(crate) recovery: Option<Vec<Vec<u8>>>,
    pub(crate) custody: Level,
    /// The token that holds the root key, and in strict custody all keys.
    pub(crate) hsm: Option<skerry_pkcs11::Settings>,
    /// RSA keys that are made before anybody asks for them.
    pub(crate) ready_rsa_keys: Wanted,
    pub(crate) listeners: Vec<Listener>,
    /// Where health and what else operators' tools ask is answered, over plain HTTP.
    pub(crate) operations: Option<SocketAddr>,
    pub(crate) drain: Drain,
    /// Where requests of vaults are written in Azure's schema; `-` is standard output.
    pub(crate) diagnostics: Option<PathBuf>,
    /// Where spans go, in a build that makes them: an http URL.
    #[cfg_attr(not(feature = "otel"), allow(dead_code))] // reason: always none there, and read by tests alone
    pub(crate) traces: Option<String>,
    pub(crate) issuers: Vec<Issuer>,
    pub(crate) authorities: Vec<Authority>,
    pub(crate) attestation: Option<Attestation>,
    pub(crate) identity: Option<Identity>,
    pub(crate) vaults: Vec<Vault>,
    pub(crate) access: Vec<Assignment>,
    /// What is allowed and likely a mistake.
    pub(crate) warnings: Vec<String>,
}

/// How the server stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Drain {
    /// From the signal, which makes it not ready, until it accepts no connections.
    pub(crate) delay: Duration,
    /// From then until what is still in flight is cut off.
    pub(crate) max: Duration,
}

impl Default for Drain {
    fn default() -> Drain {
        Drain { delay: Duration::ZERO, max: skerry_http::Limits::default().drain_time_max }
    }
}

/// Where everything is stored.
pub(crate) enum StoreSettings {
    /// In one file of the data folder, which this server has to itself.
    Embedded,
    /// In etcd, which it shares with other nodes; its log is in the data folder.
    Etcd(Etcd),
}

/// An etcd cluster, and which of the nodes beside it this server is.
pub(crate) struct Etcd {
    pub(crate) node: NodeName,
    /// `https://HOST:PORT`, or `http` without TLS.
    pub(crate) endpoints: Vec<String>,
    pub(crate) prefix: String,
    /// None on loopback only.
    pub(crate) tls: Option<EtcdTls>,
}

/// What etcd's certificates are judged by, and what this server shows it. DER.
pub(crate) struct EtcdTls {
    pub(crate) roots: Vec<Vec<u8>>,
    pub(crate) chain: Vec<Vec<u8>>,
    pub(crate) key: Zeroizing<Vec<u8>>,
}

/// Where to listen, by which names, and for what.
pub(crate) struct Listener {
    pub(crate) address: SocketAddr,
    pub(crate) names: skerry_http::Names,
    /// None is plain HTTP, which only `dev` has, for instance metadata.
    pub(crate) tls: Option<Arc<ServerConfig>>,
    pub(crate) serves: Serves,
}

/// What a listener serves.
pub(crate) enum Serves {
    Vaults(VaultListener),
    Attestation,
    Identity,
    Metadata,
}

/// The vaults of a listener.
pub(crate) struct VaultListener {
    pub(crate) vaults: Vec<String>,
    /// What exact names and addresses mean.
    pub(crate) default_vault: Option<String>,
    /// Audiences of tokens besides those that follow from the names.
    pub(crate) audiences: Vec<String>,
    /// Where clients are sent for a token: `https://HOST/TENANT`.
    pub(crate) authorization: String,
    pub(crate) release: ReleaseKey,
}

/// What signs release answers: an RSA key, PKCS#8, and its certificates, leaf first.
pub(crate) struct ReleaseKey {
    pub(crate) key: Zeroizing<Vec<u8>>,
    pub(crate) chain: Vec<Vec<u8>>,
}

/// An identity provider: who vouches for callers.
pub(crate) struct Issuer {
    /// The spelling that principals carry.
    pub(crate) url: IssuerUrl,
    /// Other spellings of the same.
    pub(crate) also: Vec<IssuerUrl>,
    pub(crate) tenant: Option<String>,
    /// Where clients are sent for a token: `https://HOST/TENANT`.
    pub(crate) authorization: Option<String>,
    /// Tokens that live longer are not believed.
    pub(crate) token_lifetime_max_secs: u64,
    pub(crate) keys: Keys,
}

/// An attestation authority: who vouches for TEEs.
pub(crate) struct Authority {
    pub(crate) url: IssuerUrl,
    pub(crate) keys: Keys,
    pub(crate) min_iat: u64,
}

/// Where the keys of an issuer or authority are from.
pub(crate) enum Keys {
    /// This process: the attestation or identity service beside.
    BuiltIn,
    /// A file.
    Fixed(JwkSet),
    /// Its own metadata.
    Fetched(Fetch),
}

/// Whose metadata to fetch, and whom to believe.
#[derive(Clone)]
pub(crate) struct Fetch {
    pub(crate) source: Oidc,
    pub(crate) allowed: Vec<Allowed>,
    pub(crate) roots: Roots,
}

/// The attestation service.
pub(crate) struct Attestation {
    pub(crate) issuer: IssuerUrl,
    /// The key as PKCS#8: it is opened twice, for tokens and for results.
    pub(crate) signing_key: Zeroizing<Vec<u8>>,
    pub(crate) anchors: Anchors,
    pub(crate) floor: Floor,
    pub(crate) policy_readers: Vec<Principal>,
    /// Who may set policies, and read them.
    pub(crate) policy_setters: Vec<Principal>,
    /// Certificates, DER, of who has to have signed a policy that is set; none where setters may set any.
    pub(crate) policy_signers: Vec<Vec<u8>>,
}

/// Whose evidence is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Anchors {
    /// AMD's, as compiled in.
    Amd,
    /// These, by SHA-256 of the key; all their evidence is simulated.
    Simulated(Vec<(Generation, [u8; 32])>),
}

/// The token service.
pub(crate) struct Identity {
    pub(crate) issuer: IssuerUrl,
    pub(crate) tenant: String,
    pub(crate) signing_key: Zeroizing<Vec<u8>>,
    pub(crate) token_lifetime_secs: u64,
    pub(crate) clients: Vec<Client>,
    /// Other names of the tenant in paths.
    pub(crate) also_tenants: Vec<String>,
    /// The managed identity that instance metadata hands out, which only `dev` has.
    pub(crate) managed: Option<String>,
}

/// A vault.
#[derive(Debug, Clone)]
pub(crate) struct Vault {
    pub(crate) name: String,
    pub(crate) id: Uuid,
    pub(crate) kind: VaultKind,
    pub(crate) custody: Level,
    pub(crate) authorities: Vec<IssuerUrl>,
    pub(crate) retention_days: u16,
    pub(crate) purge_protection: bool,
    pub(crate) token_age_max_secs: Option<u64>,
    pub(crate) accept_simulated: bool,
    pub(crate) throttling: Throttling,
}

/// Which of Azure's services a vault is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum VaultKind {
    Standard,
    Premium,
    ManagedHsm,
}

/// What certificates have to be for: exact names, each vault under each domain, addresses.
pub(crate) fn hosts(names: &skerry_http::Names, vaults: &[String]) -> Vec<String> {
    let below = names.domains.iter().flat_map(|domain| vaults.iter().map(move |vault| format!("{vault}.{domain}")));
    let addresses = names.addresses.iter().map(IpAddr::to_string);
    names.hosts.iter().cloned().chain(below).chain(addresses).collect()
}
