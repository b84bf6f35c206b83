//! Releasing a key to a TEE from a shell: the answer is believed only after everything in it was checked, as inside a TEE.
//!
//! The TEE is one that somebody has a token and a private key of, or a simulated one, which `skerry dev` believes. A vault
//! without Skerry's receipt (Azure's) is refused: nothing in its answer says for which token it was given.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context as _, anyhow};
use clap::Args;
use skerry_client::vault::KeyRef;
use skerry_client::{Asked, ProvedRelease, Roots, VerifiedRelease};
use skerry_jose::json::{Object, Value};
use skerry_jose::{PublicKey, RsaPublicKey, Unverified};
use skerry_keywrap::{Algorithm, Plaintext, UnwrapKey};
use skerry_policy::release::Policy;
use skerry_tlog::VerifyingKey;

use super::{denial, import, show};
use crate::edge::{Failure, table};
use crate::remote::{Input, Output, Remote, Session, read_text, roots_of, shown};
use crate::{edge, machine, simulate};

#[derive(Args)]
pub(super) struct Release {
    #[arg(value_name = "NAME[/VERSION]", value_parser = KeyRef::parse)]
    key: KeyRef,
    /// Attestation token of the TEE (JWS compact form)
    #[arg(long, value_name = "FILE", requires = "tee_key", conflicts_with = "simulate")]
    attestation: Option<PathBuf>,
    /// Private key of the TEE, PEM or DER of PKCS#8, RSA: its public half is in the token
    #[arg(long, value_name = "FILE", requires = "attestation")]
    tee_key: Option<Input>,
    /// Be a simulated SEV-SNP guest instead: makes a key, and has it attested by the service that the environment names
    #[arg(long, required_unless_present = "attestation")]
    simulate: bool,
    #[command(flatten)]
    guest: simulate::Guest,
    /// Root certificates of release answers, PEM [default: those of the vault]
    #[arg(long, value_name = "FILE")]
    release_ca: Option<PathBuf>,
    /// How the key is wrapped on its way
    #[arg(long, value_name = "ALGORITHM", default_value = "RSA_AES_KEY_WRAP_256", value_parser = algorithm)]
    enc: Algorithm,
    /// Refuse a release of which it is not proved that it is in the vault's audit log
    #[arg(long, requires = "log_key")]
    require_proof: bool,
    /// Key of that log, as `skerry audit key` prints it: NAME+ID+KEY
    #[arg(long, value_name = "KEY", requires = "require_proof", value_parser = log_key)]
    log_key: Option<VerifyingKey>,
    /// File for the released key, readable by its owner only: PKCS#8 in DER, or the octets of a symmetric key [default: it is
    /// verified and forgotten]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Replace the file if it is there
    #[arg(long)]
    force: bool,
}

/// The TEE's token, and the key that a release is wrapped to.
struct Tee {
    token: String,
    key: UnwrapKey,
    target_kid: String,
    issuer: String,
}

pub(super) fn release(remote: &Remote, asked: &Release) -> Result<(), Failure> {
    let out = asked.out.as_ref().map(|path| Output::new(path, asked.force));
    out.iter().try_for_each(Output::check)?;
    let session = remote.open()?;
    let roots = match &asked.release_ca {
        Some(path) => roots_of(path)?,
        None => session.roots.clone(),
    };
    let tee = asked.tee()?;
    let nonce = hex::encode(machine::random::<16>());
    let (vault, enc) = (&session.vault, asked.enc.as_str());
    let answer = async {
        match &asked.log_key {
            Some(_) => vault.release_with_proof(&asked.key, &tee.token, &nonce, enc).await,
            None => Ok((vault.release(&asked.key, &tee.token, &nonce, enc).await?, None)),
        }
    };
    let (answer, proof) = session.wait(answer).map_err(|error| denial::explain(session.json, error))?;
    let (release, plaintext) = verified(&session, asked, &tee, &nonce, (&answer, &roots))?;
    let proved = asked.log_key.as_ref().map(|key| proved(&release, proof.as_deref(), key)).transpose()?;
    let policy = policy_that_held(&release)?;
    if let Some(out) = &out {
        out.write(plaintext.expose())?;
    }
    let (bytes, proved) = (plaintext.expose().len(), proved.as_ref());
    let report = Report { release: &release, policy: policy.as_ref(), tee: &tee, bytes, proved, out };
    Ok(report.print(&session)?)
}

/// Everything that can be checked: chain, host, key, nonce, wrapping, token, target, receipt; then the key, unwrapped.
fn verified(
    session: &Session,
    asked: &Release,
    tee: &Tee,
    nonce: &str,
    (answer, roots): (&str, &Roots),
) -> Result<(VerifiedRelease, Plaintext), Failure> {
    let endpoint = session.vault.endpoint();
    let judged_by = Asked {
        host: &endpoint.host(),
        kid: &session.vault.kid(&asked.key),
        nonce: Some(nonce),
        algorithm: asked.enc,
        token: &tee.token,
        target_kid: &tee.target_kid,
    };
    let untrusted = |error| {
        let words = shown(&edge::chain(error));
        Failure::integrity(anyhow!("the release answer is not believed, and nothing of it was kept: {words}"))
    };
    let release = VerifiedRelease::verify(answer, &judged_by, roots, SystemTime::now()).map_err(untrusted)?;
    let plaintext = release.unwrap(&tee.key).map_err(untrusted)?;
    Ok((release, plaintext))
}

/// That the log has the record of this release.
fn proved(release: &VerifiedRelease, proof: Option<&str>, key: &VerifyingKey) -> Result<ProvedRelease, Failure> {
    release.prove(proof, key).map_err(|error| {
        let words = shown(&edge::chain(error));
        Failure::integrity(anyhow!(
            "it is not proved that the release is in the log, and nothing of it was kept: {words}"
        ))
    })
}

/// The policy that the answer repeats, iff its digest is the one in the receipt.
fn policy_that_held(release: &VerifiedRelease) -> Result<Option<Policy>, Failure> {
    let Some(text) = release.policy() else { return Ok(None) };
    let policy = Policy::parse(text, &Default::default()).ok();
    match policy.filter(|policy| policy.digest().0 == release.receipt().policy_digest) {
        Some(policy) => Ok(Some(policy)),
        None => Err(Failure::integrity(anyhow!(
            "the policy in the release answer is not the one in its receipt, and nothing of it was kept"
        ))),
    }
}

impl Release {
    fn tee(&self) -> Result<Tee, Failure> {
        match (&self.attestation, &self.tee_key) {
            (Some(_), _) if self.guest.is_said() => {
                Err(anyhow!("--measurement, --host-data, --debug and --root are for --simulate").into())
            }
            (Some(token), Some(key)) => Ok(Tee::of_files(token, key)?),
            _ => Tee::simulated(&self.guest),
        }
    }
}

impl Tee {
    fn of_files(token: &Path, key: &Input) -> anyhow::Result<Tee> {
        let token = read_text(token).context("attestation token")?.trim().to_owned();
        let key = tee_key(key).context("private key of the TEE")?;
        Tee::new(token, key).context("attestation token")
    }

    /// A guest on a processor of the simulated root, with a key of its own.
    fn simulated(guest: &simulate::Guest) -> Result<Tee, Failure> {
        let key = UnwrapKey::generate(2048).context("a key for the simulated TEE")?;
        let jwk = PublicKey::Rsa(public(&key)?).to_jwk();
        let jwk = jwk.with("key_ops", vec!["encrypt"]).with("kid", "skerry-key-release");
        let runtime = Object::new().with("keys", vec![Value::Object(jwk)]).to_json();
        let token = simulate::attested(guest, runtime.as_bytes(), SystemTime::now())?;
        Ok(Tee::new(token, key).context("attestation token")?)
    }

    /// The token is the vault's to verify; here it is only looked up by which kid it has the key.
    fn new(token: String, key: UnwrapKey) -> anyhow::Result<Tee> {
        let limits = skerry_attestation_result::limits::TokenLimits::default().jws;
        let unverified = Unverified::parse(&token, &limits)?;
        let claims = unverified.claims_nobody_vouches_for();
        let thumbprint = PublicKey::Rsa(public(&key)?).thumbprint();
        let keys =
            claims.get("x-ms-runtime").and_then(|runtime| runtime.get(&["keys"])?.as_array()).unwrap_or_default();
        let is_ours = |jwk: &&Object| PublicKey::from_jwk(jwk).is_ok_and(|key| key.thumbprint() == thumbprint);
        let ours = keys.iter().filter_map(Value::as_object).find(is_ours);
        let kid = ours.and_then(|jwk| jwk.get("kid")?.as_str()).map(str::to_owned);
        let target_kid = kid.ok_or_else(|| anyhow!("its x-ms-runtime.keys do not have this TEE's key with a kid"))?;
        let issuer = claims.get("iss").and_then(Value::as_str).unwrap_or_default().to_owned();
        Ok(Tee { token, key, target_kid, issuer })
    }
}

fn tee_key(file: &Input) -> anyhow::Result<UnwrapKey> {
    let bytes = file.read()?;
    match bytes.first() {
        Some(0x30) => Ok(UnwrapKey::from_pkcs8(&bytes)?),
        _ => Ok(UnwrapKey::from_pkcs8(&import::from_pem(&bytes)?)?),
    }
}

fn public(key: &UnwrapKey) -> anyhow::Result<RsaPublicKey> {
    let (n, e) = key.public_components();
    Ok(RsaPublicKey::new(n, e)?)
}

/// Who released what under which policy.
struct Report<'a> {
    release: &'a VerifiedRelease,
    policy: Option<&'a Policy>,
    tee: &'a Tee,
    bytes: usize,
    proved: Option<&'a ProvedRelease>,
    out: Option<Output>,
}

impl Report<'_> {
    fn print(&self, session: &Session) -> anyhow::Result<()> {
        if session.json {
            return edge::say(&self.json().to_json());
        }
        let (release, receipt) = (self.release, self.release.receipt());
        let mut table = table(["", "value"]);
        let key_ops = release.key_ops().join(", ");
        for (name, value) in [
            ("released", release.kid()),
            ("type", &format!("{}, {} bytes", release.kty(), self.bytes)),
            ("operations", &key_ops),
            ("by", &format!("{}, certificate of {}", session.vault.endpoint().authority(), release.signer())),
            ("on the word of", &self.tee.issuer),
            ("to the TEE's key", &format!("{} ({})", self.tee.target_kid, receipt.target_thumbprint)),
            ("policy", &self.policy.map(Policy::canonical).unwrap_or_else(|| "not repeated in the answer".to_owned())),
            ("digest of the policy", &hex::encode(receipt.policy_digest)),
            ("generation of it", &receipt.policy_generation.to_string()),
            ("on record as", &format!("{} ({})", receipt.audit_index, hex::encode(receipt.audit_leaf))),
        ] {
            table.add_row([name, &shown(value)]);
        }
        if let Some(proved) = self.proved {
            let checkpoint = proved.checkpoint();
            let words = format!("{}, by a checkpoint of {} records", checkpoint.origin(), checkpoint.size());
            table.add_row(["proved to be in", &shown(&words)]);
        }
        edge::say(&table.to_string())?;
        let kept = match &self.out {
            Some(out) => format!("the key is in {}", out.display()),
            None => "the key was not kept (--out FILE does)".to_owned(),
        };
        edge::say(&format!("release: verified, with its receipt; {kept}"))
    }

    fn json(&self) -> Object {
        let (release, receipt) = (self.release, self.release.receipt());
        let out = self.out.as_ref().map(|out| out.display().to_string());
        Object::new()
            .with("released", true)
            .with("kid", release.kid())
            .with("kty", release.kty())
            .with("key_ops", release.key_ops().to_vec())
            .with("bytes", u64::try_from(self.bytes).unwrap_or(u64::MAX))
            .with("signer", release.signer())
            .with("authority", self.tee.issuer.as_str())
            .with("target_kid", self.tee.target_kid.as_str())
            .with("target_thumbprint", receipt.target_thumbprint.as_str())
            .with("policy", show::or_null(self.policy.map(Policy::canonical)))
            .with("policy_digest", hex::encode(receipt.policy_digest))
            .with("policy_generation", receipt.policy_generation)
            .with("token_digest", hex::encode(receipt.token_digest))
            .with("audit_index", receipt.audit_index)
            .with("audit_leaf", hex::encode(receipt.audit_leaf))
            .with("log", show::or_null(self.proved.map(|proved| proved.checkpoint().origin().to_owned())))
            .with("log_checkpoint", show::or_null(self.proved.map(|proved| proved.checkpoint().note().to_owned())))
            .with("out", show::or_null(out))
    }
}

fn log_key(text: &str) -> Result<VerifyingKey, String> {
    VerifyingKey::parse(text).map_err(|error| error.to_string())
}

fn algorithm(name: &str) -> Result<Algorithm, String> {
    let names = Algorithm::ALL.map(Algorithm::as_str).join(", ");
    Algorithm::parse(name).map_err(|_| format!("it is none of {names}"))
}
