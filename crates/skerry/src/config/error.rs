//! Everything that `skerry serve` refuses to start with. docs/operate.md lists the same, and every variant has a test.

use std::fmt;
use std::io::ErrorKind;
use std::path::PathBuf;

use skerry_attestation_result::IssuerUrlError;
use skerry_sources::UrlError;
use skerry_unseal::{TokenSealError, Unreadable};

/// Why the server does not start: the file, the key in it (or its line), and what is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConfigError {
    /// The configuration.
    pub(crate) file: PathBuf,
    /// Which key, as `listener[0].tls.key`, or which place, as `12:3`; empty for the whole file.
    pub(crate) key: String,
    /// What is wrong with it.
    pub(crate) refusal: Refusal,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.file.display())?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{}", self.refusal)
    }
}

impl std::error::Error for ConfigError {}

/// What is wrong, and what to do. One variant, one row of docs/operate.md, one test.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // each message says what its variant means
pub(crate) enum Refusal {
    // The file.
    #[error("cannot be read ({0}): name the configuration with --config FILE")]
    Unreadable(ErrorKind),
    #[error("{bytes} bytes, at most {max}: this is no configuration")]
    TooLarge { bytes: u64, max: u64 },
    #[error("not TOML of the known keys: {0}")]
    Syntax(String),

    // Files it names.
    #[error("{path} cannot be read ({kind})", path = .path.display())]
    FileUnreadable { path: PathBuf, kind: ErrorKind },
    #[error("{path} has {bytes} bytes, at most {max}", path = .path.display())]
    FileTooLarge { path: PathBuf, bytes: u64, max: u64 },
    #[error("{path} has mode {mode:04o} and holds a secret: chmod 0600, or 0640 for a group", path = .path.display())]
    SecretMode { path: PathBuf, mode: u32 },
    #[error("{seen} ready-made keys, at most {max} of a size: each is made at every start")]
    TooManyReady { seen: usize, max: usize },
    #[error("{path} has no certificate in PEM", path = .path.display())]
    NoCertificate { path: PathBuf },
    #[error("certificate {index} of {path} cannot be read", path = .path.display())]
    Certificate { path: PathBuf, index: usize },
    #[error("{path} is no PKCS#8 private key in PEM: openssl pkcs8 -topk8 -nocrypt converts others", path = .path.display())]
    PrivateKey { path: PathBuf },
    #[error("the first certificate of {path} is for another key", path = .path.display())]
    KeyMismatch { path: PathBuf },
    #[error("the first certificate of {path} is not for {name}: its subjectAltName has to list it", path = .path.display())]
    CertificateName { path: PathBuf, name: String },
    #[error("the first certificate of {path} is good from {not_before} to {not_after} and not now: renew it", path = .path.display())]
    CertificateTime { path: PathBuf, not_before: String, not_after: String },
    #[error("{path} is no JWK set with keys that verify", path = .path.display())]
    KeySet { path: PathBuf },

    // [server]
    #[error("{path} is not 64 hex digits: openssl rand -hex 32 makes a root key", path = .path.display())]
    RootKey { path: PathBuf },
    #[error("no root key is named: say root_key = FILE, or [root] with a seal")]
    NoRoot,
    #[error("[root] and server.root_key: a root key is in one place")]
    TwoRoots,
    #[error("a root sealed by {0} has no such key")]
    OfOtherSeal(&'static str),
    #[error("it is missing: this seal wants {0}")]
    SealWants(&'static str),
    #[error("{path} {error}: `skerry root seal` makes one", path = .path.display())]
    SealedRoot { path: PathBuf, error: Unreadable },
    #[error("{path} is sealed by {found}: say seal = \"{found}\", or seal it anew with `skerry root reseal`", path = .path.display())]
    OtherSeal { path: PathBuf, found: &'static str },
    #[error("{path} is not there: install -d -m 0700 makes it", path = .path.display())]
    DataMissing { path: PathBuf },
    #[error("{path} is not a folder", path = .path.display())]
    DataNotFolder { path: PathBuf },
    #[error("{path} has mode {mode:04o}: others could change what is stored, chmod 0700", path = .path.display())]
    DataMode { path: PathBuf, mode: u32 },
    #[error("{path} is the folder of `skerry dev`: its keys protect nothing, take another", path = .path.display())]
    DataOfDev { path: PathBuf },

    // [custody], [hsm]
    #[error("{0:?} is not a level of custody: software, hsm-root or hsm-strict")]
    Level(String),
    #[error("keys are held in custody {0}, which needs a token: add [hsm]")]
    NoHsm(&'static str),
    #[error("there is a token, and keys are held in software: say [custody] level = \"hsm-root\" or \"hsm-strict\"")]
    HsmUnused,
    #[error("{given} places of the PIN, exactly one of pin_file and pin_credential is needed")]
    PinSource { given: usize },
    #[error("{0:?} is no name of a credential: letters, digits, hyphens, dots and underscores, as in LoadCredential=")]
    PinCredential(String),
    #[error(
        "there are no credentials here: systemd gives them to a service that says LoadCredential= or SetCredential="
    )]
    NoCredentials,
    #[error("{path} holds no PIN: one line of text", path = .path.display())]
    Pin { path: PathBuf },
    #[error("{seen} sessions, from 1 to {max} are possible")]
    Sessions { seen: usize, max: usize },
    #[error("{path} is sealed by a token, and keys are held in software: say [custody] level", path = .path.display())]
    RootKeyInToken { path: PathBuf },
    #[error("{path}: {error}", path = .path.display())]
    RootKeySeal { path: PathBuf, error: Box<TokenSealError> },
    #[error(
        "[custody] says that a token has the root key: say server.root_key = FILE, as `skerry hsm init` made it, and no [root]"
    )]
    RootNotInToken,

    #[error("{seen} s, and nobody waits longer than {max} s for a server to stop")]
    DrainTime { seen: u64, max: u64 },

    // [traces]
    #[error("this build makes no traces: build with --features otel, or leave the section out")]
    NoTraces,
    #[error("{0:?} is not an http URL, such as http://127.0.0.1:4318/v1/traces")]
    TracesEndpoint(String),

    // [store]
    #[error("only engine = \"etcd\" has this")]
    EtcdOnly,
    #[error("there is none: each server on one etcd has a name of its own, say node = \"a\"")]
    NoNode,
    #[error("{0:?} is not 1 to 32 lower-case letters, digits and hyphens, a letter first")]
    NodeName(String),
    #[error(
        "etcd is reached by TLS and knows its servers by their certificates: say roots = FILE and client = {{ certificates = FILE, key = FILE }}"
    )]
    EtcdTls,
    #[error("there are roots or a client certificate, and danger.plain says to do without TLS: take one of them out")]
    EtcdPlainAndTls,
    #[error("{0} is another machine's, which is not reached without TLS")]
    EtcdPlainElsewhere(String),
    #[error("{seen:?} is not {scheme}://HOST:PORT")]
    Endpoint { seen: String, scheme: &'static str },
    #[error("{0:?} is not a prefix of keys: ASCII, 1 to 64 characters, ending in a slash")]
    Prefix(String),

    // [backup]
    #[error("a certificate in {path} is not fit to recover with: {why}", path = .path.display())]
    RecoveryCertificate { path: PathBuf, why: skerry_backup::RecipientError },

    // [[listener]]
    #[error("there is none, so nobody could be served: add [[listener]]")]
    NoListener,
    #[error("{0:?} is not ADDRESS:PORT, such as 0.0.0.0:443 or [::]:443")]
    ListenAddress(String),
    #[error("{address} is listener[{first}]'s already")]
    ListenAddressTwice { address: String, first: usize },
    #[error("names, domains and addresses are all empty: say by which clients address it")]
    NoName,
    #[error("{0:?} is not a host name of letters, digits and hyphens, in lower case")]
    Name(String),
    #[error("{0:?} is not an IP address")]
    Address(String),
    #[error("0 is not a port: leave it out for the listener's own")]
    PublicPort,
    #[error("only a listener of kind vault has this")]
    VaultOnly,
    #[error("a vault's answers are signed with a certificate: say release = {{ certificates = FILE, key = FILE }}")]
    NoReleaseKey,
    #[error("the release key is not RSA: clients read an RSA key from the answer's certificate")]
    ReleaseKeyNotRsa,
    #[error("the release key is the TLS key: make another, or say danger = {{ shared_release_key = true }}")]
    SharedReleaseKey,
    #[error("there are names or addresses, and no default_vault that they mean")]
    NoDefaultVault,
    #[error("{0:?} is not among the vaults of this listener")]
    DefaultVaultElsewhere(String),
    #[error("there are no vaults in it: say vaults = [NAME]")]
    NoVaultServed,
    #[error("{vault:?} is served by listener[{first}] already, whose release certificate signs its answers")]
    VaultServedTwice { vault: String, first: usize },
    #[error("no vault has the name {0:?}")]
    UnknownVault(String),
    #[error("no [{0}] is configured, which this listener would serve")]
    SectionMissing(&'static str),
    #[error("no listener of kind {0} serves it")]
    NotServed(&'static str),

    // [[issuer]], [[authority]]
    #[error("{url:?}: {source}")]
    Url { url: String, source: IssuerUrlError },
    #[error("{0} is there already")]
    IssuerTwice(String),
    #[error("{0} is an attestation authority too: one that vouches for callers must not vouch for TEEs")]
    IssuerIsAuthority(String),
    #[error("{given} ways to get its keys, exactly one of {choices} is needed")]
    KeySource { given: usize, choices: &'static str },
    #[error("{url:?} cannot be fetched: {source}")]
    FetchUrl { url: String, source: UrlError },
    #[error("{path} has no roots that certificates could be judged by", path = .path.display())]
    Roots { path: PathBuf },
    #[error("there is none, and a vault is served: nobody could call it; add [[issuer]] or [identity]")]
    NoIssuer,
    #[error("no issuer of callers has an authorization, so challenges could not say where to get a token")]
    NoAuthorization,
    #[error("{0:?} is not https://HOST/TENANT, which is all that a challenge can say")]
    Authorization(String),
    #[error("it says built_in, and [attestation] does not have this issuer")]
    NotBuiltIn,
    #[error("[attestation] has this issuer: say built_in = true, its keys are not fetched from ourselves")]
    BuiltInElsewhere,

    // [attestation]
    #[error("neither: say anchors = \"amd\", or danger.simulated with roots of `skerry dev`")]
    NoAnchors,
    #[error("anchors and danger.simulated: an instance takes real or simulated evidence, never both")]
    RealAndSimulated,
    #[error("{0:?} is not \"amd\"")]
    Anchors(String),
    #[error("{0:?} is not 64 hex digits: the SHA-256 of a root's SubjectPublicKeyInfo")]
    AnchorDigest(String),
    #[error("a certificate in {} has no RSA key of 2048 to 4096 bits, which is what policies are signed with", path.display())]
    PolicySigner { path: PathBuf },
    #[error("{seen}, and AMD has VMPL 0 to {max}")]
    Vmpl { seen: u32, max: u32 },
    #[error("fmc belongs to turin: it is needed there and unknown elsewhere")]
    TcbFmc,
    #[error("the signing key is not RSA: clients check RS256 only")]
    SigningKeyNotRsa,

    // [identity]
    #[error("{0:?} is not a tenant: one path segment of letters, digits, hyphens and dots")]
    Tenant(String),
    #[error("{seen} s, from {min} to {max} are possible")]
    Lifetime { seen: u64, min: u64, max: u64 },
    #[error("{0:?} is there already")]
    ClientTwice(String),
    #[error("it is empty")]
    Empty,
    #[error("{path} holds bytes that no form can carry: openssl rand -hex 32 makes a secret", path = .path.display())]
    SecretText { path: PathBuf },
    #[error("{path} holds a secret of {bytes} bytes, at least {min} are needed: openssl rand -hex 32", path = .path.display())]
    SecretShort { path: PathBuf, bytes: usize, min: usize },

    // [[vault]]
    #[error("{0:?} is not a vault name: 3 to 24 letters, digits and single hyphens, a letter first")]
    VaultName(String),
    #[error("{0:?} is there already")]
    VaultTwice(String),
    #[error("{0:?} is not a UUID: uuidgen makes one, and it stays with the vault for good")]
    VaultId(String),
    #[error("no authority has the URL {0:?}: add [[authority]]")]
    UnknownAuthority(String),
    #[error("{seen} days, from {min} to {max} are possible")]
    Retention { seen: u16, min: u16, max: u16 },
    #[error("a Managed HSM has none of a key vault's limits: leave throttling out")]
    ThrottledHsm,
    #[error("0 s: no token would be young enough")]
    TokenAge,
    #[error(
        "{0} has HSM key types and there is no HSM: their keys would be in this process; take kind = \"standard\", or say \
         danger = {{ software_hsm = true }}"
    )]
    SoftwareHsm(&'static str),

    // [[access]]
    #[error("{0:?} is no issuer of callers: name the url of an [[issuer]], or [identity]'s")]
    UnknownIssuer(String),
    #[error("{0:?} is not a permission; they are {all}", all = permissions())]
    Permission(String),
}

fn permissions() -> String {
    skerry_identity::Permission::ALL.map(|permission| permission.as_str()).join(", ")
}
