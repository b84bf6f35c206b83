//! The file as it is written: names and types of skerry.toml. Unknown keys are refused, so that a misspelt one is not a
//! default. What the values mean is checked in the modules beside.

use std::path::PathBuf;

use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) server: Server,
    pub(super) backup: Option<Backup>,
    pub(super) root: Option<Root>,
    pub(super) operations: Option<Operations>,
    pub(super) diagnostics: Option<Diagnostics>,
    pub(super) traces: Option<Traces>,
    #[serde(default)]
    pub(super) store: Option<Store>,
    #[serde(default)]
    pub(super) custody: Custody,
    pub(super) hsm: Option<Hsm>,
    #[serde(default)]
    pub(super) listener: Vec<Listener>,
    #[serde(default)]
    pub(super) issuer: Vec<Issuer>,
    #[serde(default)]
    pub(super) authority: Vec<Authority>,
    pub(super) attestation: Option<Attestation>,
    pub(super) identity: Option<Identity>,
    #[serde(default)]
    pub(super) vault: Vec<Vault>,
    #[serde(default)]
    pub(super) access: Vec<Access>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Server {
    pub(super) data: PathBuf,
    #[serde(default)]
    pub(super) root_key: Option<PathBuf>,
    #[serde(default)]
    pub(super) ready_rsa_keys: ReadyRsaKeys,
    #[serde(default)]
    pub(super) drain_delay_secs: u64,
    #[serde(default)]
    pub(super) drain_max_secs: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Traces {
    pub(super) endpoint: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Diagnostics {
    pub(super) file: PathBuf,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Root {
    pub(super) seal: Seal,
    #[serde(default)]
    pub(super) file: Option<PathBuf>,
    #[serde(default)]
    pub(super) credential: Option<String>,
    #[serde(default)]
    pub(super) device: Option<PathBuf>,
    #[serde(default)]
    pub(super) pin_file: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Seal {
    Passphrase,
    Tpm,
    Credential,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Engine {
    Redb,
    Etcd,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Operations {
    pub(super) address: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Store {
    pub(super) engine: Engine,
    #[serde(default)]
    pub(super) node: Option<String>,
    #[serde(default)]
    pub(super) endpoints: Vec<String>,
    #[serde(default)]
    pub(super) prefix: Option<String>,
    #[serde(default)]
    pub(super) roots: Option<PathBuf>,
    #[serde(default)]
    pub(super) client: Option<KeyPair>,
    #[serde(default)]
    pub(super) danger: StoreDanger,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct StoreDanger {
    pub(super) plain: bool,
}

/// To whom backups are sealed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Backup {
    pub(super) recovery: Vec<PathBuf>,
}

/// Where keys are in the clear.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Custody {
    #[serde(default)]
    pub(super) level: Option<String>,
}

/// The PKCS#11 token.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Hsm {
    pub(super) module: PathBuf,
    pub(super) token: String,
    #[serde(default)]
    pub(super) serial: Option<String>,
    #[serde(default)]
    pub(super) pin_file: Option<PathBuf>,
    #[serde(default)]
    pub(super) pin_credential: Option<String>,
    #[serde(default)]
    pub(super) sessions: Option<usize>,
}

/// By bits of the modulus.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ReadyRsaKeys {
    #[serde(rename = "2048")]
    pub(super) b2048: usize,
    #[serde(rename = "3072")]
    pub(super) b3072: usize,
    #[serde(rename = "4096")]
    pub(super) b4096: usize,
}

impl Default for ReadyRsaKeys {
    fn default() -> ReadyRsaKeys {
        ReadyRsaKeys { b2048: 8, b3072: 2, b4096: 2 }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ListenerKind {
    Vault,
    Attestation,
    Identity,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listener {
    pub(super) kind: ListenerKind,
    pub(super) address: String,
    #[serde(default)]
    pub(super) public_port: Option<u16>,
    #[serde(default)]
    pub(super) names: Vec<String>,
    #[serde(default)]
    pub(super) domains: Vec<String>,
    #[serde(default)]
    pub(super) addresses: Vec<String>,
    pub(super) tls: KeyPair,
    #[serde(default)]
    pub(super) release: Option<KeyPair>,
    #[serde(default)]
    pub(super) vaults: Vec<String>,
    #[serde(default)]
    pub(super) default_vault: Option<String>,
    #[serde(default)]
    pub(super) audiences: Vec<String>,
    #[serde(default)]
    pub(super) danger: ListenerDanger,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ListenerDanger {
    pub(super) shared_release_key: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyPair {
    pub(super) certificates: PathBuf,
    pub(super) key: PathBuf,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fetch {
    pub(super) roots: PathBuf,
    #[serde(default)]
    pub(super) metadata: Option<String>,
    #[serde(default)]
    pub(super) keys_origin: Option<String>,
    #[serde(default)]
    pub(super) addresses: Vec<AddressClass>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum AddressClass {
    Private,
    Loopback,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Issuer {
    pub(super) url: String,
    #[serde(default)]
    pub(super) also: Vec<String>,
    #[serde(default)]
    pub(super) tenant: Option<String>,
    #[serde(default)]
    pub(super) authorization: Option<String>,
    #[serde(default)]
    pub(super) jwks: Option<PathBuf>,
    #[serde(default)]
    pub(super) fetch: Option<Fetch>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Authority {
    pub(super) url: String,
    #[serde(default)]
    pub(super) built_in: bool,
    #[serde(default)]
    pub(super) jwks: Option<PathBuf>,
    #[serde(default)]
    pub(super) fetch: Option<Fetch>,
    #[serde(default)]
    pub(super) min_iat: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Attestation {
    pub(super) issuer: String,
    pub(super) signing_key: PathBuf,
    #[serde(default)]
    pub(super) anchors: Option<String>,
    #[serde(default)]
    pub(super) floor: AttestationFloor,
    #[serde(default)]
    pub(super) policy_readers: Vec<Subject>,
    #[serde(default)]
    pub(super) policy_setters: Vec<Subject>,
    #[serde(default)]
    pub(super) policy_signers: Option<PathBuf>,
    #[serde(default)]
    pub(super) danger: AttestationDanger,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct AttestationFloor {
    pub(super) vmpl_max: u32,
    pub(super) guest_svn_min: u32,
    pub(super) tcb_min: TcbMin,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TcbMin {
    pub(super) milan: Option<Tcb>,
    pub(super) genoa: Option<Tcb>,
    pub(super) turin: Option<Tcb>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tcb {
    #[serde(default)]
    pub(super) fmc: Option<u8>,
    pub(super) bootloader: u8,
    pub(super) tee: u8,
    pub(super) snp: u8,
    pub(super) microcode: u8,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct AttestationDanger {
    pub(super) allow_debug: bool,
    pub(super) allow_migration: bool,
    pub(super) simulated: Vec<SimulatedRoot>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Generation {
    Milan,
    Genoa,
    Turin,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SimulatedRoot {
    pub(super) generation: Generation,
    pub(super) spki_sha256: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Subject {
    pub(super) issuer: String,
    pub(super) subject: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Identity {
    pub(super) issuer: String,
    pub(super) tenant: String,
    pub(super) signing_key: PathBuf,
    #[serde(default)]
    pub(super) token_lifetime_secs: Option<u64>,
    #[serde(default)]
    pub(super) client: Vec<Client>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Client {
    pub(super) id: String,
    pub(super) secret: PathBuf,
    pub(super) resources: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum VaultKind {
    Premium,
    Standard,
    ManagedHsm,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Vault {
    pub(super) name: String,
    pub(super) id: String,
    pub(super) kind: VaultKind,
    #[serde(default)]
    pub(super) authorities: Vec<String>,
    #[serde(default)]
    pub(super) retention_days: Option<u16>,
    #[serde(default)]
    pub(super) purge_protection: bool,
    #[serde(default)]
    pub(super) floor: VaultFloor,
    #[serde(default)]
    pub(super) throttling: Throttling,
    #[serde(default)]
    pub(super) danger: VaultDanger,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Throttling {
    #[default]
    Off,
    Azure,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct VaultFloor {
    pub(super) token_age_max_secs: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct VaultDanger {
    pub(super) simulated: bool,
    pub(super) software_hsm: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Access {
    pub(super) issuer: String,
    pub(super) subjects: Vec<String>,
    pub(super) vault: String,
    pub(super) permissions: Vec<String>,
}
