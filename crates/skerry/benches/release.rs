//! What a release and an appraisal cost beyond the cryptography they cannot do without.
//!
//! Three things are timed side by side: the bare calls of the cryptographic library on prepared inputs; a straight-line
//! function, written here on the library, `serde_json` and `base64`, which does the same with parsing and printing but
//! without policy, audit log or cache; and the pipeline as a server runs it. So too SEV-SNP evidence. The figure is CPU
//! time of the whole process per request, over blocks in which all cases take turns. docs/performance.md reads the table.
//!
//! `cargo bench --bench release` measures, `-- --json` prints JSON, `-- --only TEXT` takes the cases whose name has TEXT.
//! Without `--bench` (`cargo test --benches`) each case runs once. Missed aims are printed and never fail the run.

#![allow(clippy::indexing_slicing)] // serde_json's values, which answer null for what is not there

use std::fs::File;
use std::io::Write as _;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrapPadded as _};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey, PublicKeyComponents};
use aws_lc_rs::signature::{
    ECDSA_P384_SHA384_FIXED, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RSA_PSS_2048_8192_SHA384,
    RsaKeyPair, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use getrandom::SysRng;
use getrandom::rand_core::UnwrapErr;
use rand_core::{CryptoRng, Rng as _};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use skerry_attestation_result::{AttestationResult, Authority, IssuerUrl, Provenance, TokenSigner, names};
use skerry_audit::Log;
use skerry_evidence::limits::Limits;
use skerry_evidence::snp::{Generation, Report};
use skerry_evidence::uvm::TrustList;
use skerry_evidence::x509;
use skerry_jose::json as strict;
use skerry_jose::{Algorithm, ProtectedHeader, PublicKey, SigningKey, Unverified, VerifyingKey};
use skerry_keys::{KeyType, RsaBits, Software};
use skerry_keywrap::{Algorithm as WrapAlgorithm, UnwrapKey};
use skerry_policy::permit::VaultFloor;
use skerry_simulator::{ChipConfig, Evidence, Root, TeeConfig};
use skerry_vault::ca::Ca;
use skerry_vault::record::{KeyName, KeyRecord};
use skerry_vault::{CreateCommand, ReleaseCommand, ReleaseSigner, Vault, VaultConfig, VaultKind};
use skerry_verifier::wire::SnpRequest;
use skerry_verifier::{Verifier, VerifierConfig};
use uuid::Uuid;
use x509_cert::der::Decode as _;
use zeroize::Zeroizing;

fn main() -> anyhow::Result<()> {
    let asked = Asked::of(std::env::args());
    let size = if asked.measures { FULL } else { TINY };
    let appraisals = Appraisals::make(&size)?;
    let releases = Releases::make(&size, appraisals.first()?)?;
    let mut cases: Vec<Case<'_>> = releases.cases(&size).into_iter().chain(appraisals.cases()).collect();
    cases.retain(|case| case.name.contains(&asked.only));
    measure(&mut cases, &size)?;
    match (asked.measures, asked.json) {
        (false, _) => Ok(()),
        (true, true) => print_json(&cases, &releases),
        (true, false) => print_table(&cases, &releases),
    }
}

/// What the command line asks for.
struct Asked {
    measures: bool,
    json: bool,
    only: String,
}

impl Asked {
    fn of(args: impl Iterator<Item = String>) -> Asked {
        let args: Vec<String> = args.collect();
        let has = |flag| args.iter().any(|arg| arg == flag);
        let only = args.iter().skip_while(|arg| *arg != "--only").nth(1);
        Asked { measures: has("--bench"), json: has("--json"), only: only.cloned().unwrap_or_default() }
    }
}

/// How much is made and measured.
struct Size {
    blocks: usize,
    /// Distinct attestation tokens, shared out among the blocks. More than the vault's cache keeps, so that a walk
    /// over them never meets one again.
    tokens: usize,
    /// Tokens that stay in the cache.
    kept: usize,
    /// TEEs with a key of their own.
    targets: usize,
    /// Processors; a verifier that is new for each block sees every one once.
    chips: usize,
}

const FULL: Size = Size { blocks: 20, tokens: 10_000, kept: 250, targets: 8, chips: 200 };
const TINY: Size = Size { blocks: 1, tokens: 2, kept: 1, targets: 1, chips: 1 };

impl Size {
    /// The tokens of one block.
    fn share(&self, block: usize) -> Range<usize> {
        let share = self.tokens / self.blocks;
        block * share..(block + 1) * share
    }
}

/// One row of the table.
struct Case<'a> {
    name: &'static str,
    /// The row that it is compared with, and the ratio aimed at.
    base: Option<(&'static str, Option<f64>)>,
    /// Another row to be compared with, without an aim.
    beside: Option<&'static str>,
    /// Runs a block; says how many requests that were.
    run: Box<dyn Fn(usize) -> anyhow::Result<usize> + 'a>,
    /// CPU time per request, block by block.
    micros: Vec<f64>,
}

impl<'a> Case<'a> {
    fn new(name: &'static str, run: impl Fn(usize) -> anyhow::Result<usize> + 'a) -> Case<'a> {
        Case { name, base: None, beside: None, run: Box::new(run), micros: Vec::new() }
    }

    fn against(self, base: &'static str, aim: impl Into<Option<f64>>) -> Case<'a> {
        Case { base: Some((base, aim.into())), ..self }
    }

    /// Block by block, this over the row of that name.
    fn ratio(&self, name: &'static str, cases: &[Case<'_>]) -> Option<(&'static str, Spread)> {
        let base = cases.iter().find(|other| other.name == name)?;
        Some((name, Spread::of(self.micros.iter().zip(&base.micros).map(|(own, base)| own / base).collect())))
    }
}

/// All cases in every block, each block beginning with another one.
fn measure(cases: &mut [Case<'_>], size: &Size) -> anyhow::Result<()> {
    for block in 0..size.blocks {
        let (late, early) = cases.split_at_mut(block % cases.len().max(1));
        for case in early.iter_mut().chain(late) {
            let before = cpu_time()?;
            let requests = (case.run)(block).with_context(|| case.name)?;
            let spent = cpu_time()?.saturating_sub(before);
            case.micros.push(spent.as_secs_f64() * 1e6 / f64::from(u32::try_from(requests)?));
        }
    }
    Ok(())
}

/// CPU time of all threads of this process, what the kernel does for them included.
fn cpu_time() -> anyhow::Result<Duration> {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Ok(Duration::new(u64::try_from(time.tv_sec)?, u32::try_from(time.tv_nsec)?))
}

/// Does `work` for each item; says how many there were.
fn each<T, R>(items: impl IntoIterator<Item = T>, work: impl Fn(T) -> anyhow::Result<R>) -> anyhow::Result<usize> {
    items.into_iter().try_fold(0, |count, item| {
        std::hint::black_box(work(item)?);
        Ok(count + 1)
    })
}

/// A row as printed: CPU time, and the ratios to its base taken block by block.
struct Row {
    name: &'static str,
    micros: Spread,
    ratio: Option<(&'static str, Spread)>,
    beside: Option<(&'static str, Spread)>,
    aim: Option<f64>,
}

/// 10th percentile, median, 90th percentile.
struct Spread {
    low: f64,
    median: f64,
    high: f64,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Spread {
        values.sort_by(f64::total_cmp);
        let last = values.len().saturating_sub(1);
        let at = |percent: usize| values.get(last * percent / 100).copied().unwrap_or(f64::NAN);
        Spread { low: at(10), median: at(50), high: at(90) }
    }
}

impl Row {
    fn of(case: &Case<'_>, cases: &[Case<'_>]) -> Row {
        Row {
            name: case.name,
            micros: Spread::of(case.micros.clone()),
            ratio: case.base.and_then(|(name, _)| case.ratio(name, cases)),
            beside: case.beside.and_then(|name| case.ratio(name, cases)),
            aim: case.base.and_then(|(_, aim)| aim),
        }
    }

    fn verdict(&self) -> Option<&'static str> {
        let (ratio, aim) = (self.ratio.as_ref()?.1.median, self.aim?);
        Some(if ratio <= aim { "ok" } else { "MISSED" })
    }
}

fn print_table(cases: &[Case<'_>], releases: &Releases) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}\n", releases.sizes())?;
    writeln!(
        out,
        "{:<32} {:>8} {:>14}  {:>6} {:>12} aim",
        "CPU us per request", "median", "p10..p90", "ratio", "p10..p90"
    )?;
    for row in cases.iter().map(|case| Row::of(case, cases)) {
        let Spread { low, median, high } = row.micros;
        write!(out, "{:<32} {median:>8.1} {:>14}", row.name, format!("{low:.1}..{high:.1}"))?;
        if let Some((base, Spread { low, median, high })) = &row.ratio {
            let aim = row.aim.map_or("  - ".into(), |aim| format!("{aim:.2}"));
            let verdict = row.verdict().unwrap_or_default();
            write!(out, "  {median:>6.3} {:>12} {aim} {verdict:<6} of: {base}", format!("{low:.3}..{high:.3}"))?;
        }
        if let Some((name, Spread { median, .. })) = &row.beside {
            write!(out, "; {median:.3} of: {name}")?;
        }
        writeln!(out)?;
    }
    Ok(())
}

fn print_json(cases: &[Case<'_>], releases: &Releases) -> anyhow::Result<()> {
    let spread = |spread: &Spread| json!({"p10": spread.low, "median": spread.median, "p90": spread.high});
    let rows = cases.iter().map(|case| {
        let row = Row::of(case, cases);
        json!({
            "name": row.name, "cpu_us": spread(&row.micros), "aim": row.aim, "verdict": row.verdict(),
            "base": row.ratio.as_ref().map(|(base, _)| base),
            "ratio": row.ratio.as_ref().map(|(_, ratio)| spread(ratio)),
            "beside": row.beside.as_ref().map(|(name, ratio)| json!({"base": name, "ratio": spread(ratio)})),
        })
    });
    let all = json!({"inputs": releases.sizes(), "rows": rows.collect::<Vec<_>>()});
    Ok(writeln!(std::io::stdout().lock(), "{all:#}")?)
}

// Releases: what is made before anything is measured.

/// Everything that a release needs.
struct Releases {
    now: SystemTime,
    bearer: Token,
    bearer_issuer: VerifyingKey,
    tokens: Vec<Token>,
    /// Claims of the tokens that stay in the cache.
    claims: Vec<Value>,
    parts: Parts,
    /// A file beside the logs on disk.
    synced: File,
    disk: Sites,
    tmpfs: Option<Sites>,
}

/// A vault for each way of using it: one thread, several, tokens that it knows.
struct Sites {
    one: Site,
    several: Site,
    known: Site,
}

/// A vault with one key and an audit log in a folder of its own.
struct Site {
    id: Uuid,
    vault: Vault,
    key: Arc<KeyRecord>,
    _folder: tempfile::TempDir,
}

/// A signed token, and its parts as the library takes them.
struct Token {
    text: String,
    input: Range<usize>,
    signature: Vec<u8>,
}

/// Keys and inputs as the library takes them.
struct Parts {
    bearer_key: ParsedPublicKey,
    token_key: ParsedPublicKey,
    token_kid: String,
    targets: Vec<OaepPublicEncryptingKey>,
    signing: RsaKeyPair,
    /// Header of every answer, encoded.
    header: String,
    /// What is signed in some answer.
    answer: String,
    sealed: Sealed,
}

/// The key's sealed record, taken apart (layout: `skerry_keys::custody`).
struct Sealed {
    salt: [u8; 32],
    nonce: [u8; 12],
    info: Vec<u8>,
    aad: Vec<u8>,
    ciphertext: Vec<u8>,
}

impl Releases {
    fn make(size: &Size, evidence: &Evidence) -> anyhow::Result<Releases> {
        let now = SystemTime::now();
        let (attester, principals) = (rs256()?, rs256()?);
        let token_key = parsed(attester.public())?;
        let signer = TokenSigner::new(IssuerUrl::parse(ISSUER)?, attester);
        let workloads = (0..size.targets).map(|_| UnwrapKey::generate(2048)).collect::<Result<Vec<_>, _>>()?;
        let tokens = tokens(&signer, evidence, &workloads, size.tokens, now)?;
        let claims = tokens.iter().take(size.kept).map(Token::claims).collect::<anyhow::Result<_>>()?;
        let signing = rs256()?;
        let chain = chain(&signing, now)?;
        let sites = |folder: &Path| Sites::make(|| Site::make(folder, &signer, &signing, &chain, now));
        let disk = sites(Path::new(env!("CARGO_TARGET_TMPDIR")))?;
        let tmpfs = Some(Path::new("/dev/shm")).filter(|folder| folder.is_dir()).map(sites).transpose()?;
        let mut releases = Releases {
            now,
            bearer: bearer(&principals, now)?,
            bearer_issuer: principals.verifying_key("principals")?,
            tokens,
            claims,
            parts: Parts {
                bearer_key: parsed(principals.public())?,
                token_key,
                token_kid: signer.kid().to_owned(),
                targets: workloads.iter().map(target).collect::<anyhow::Result<_>>()?,
                signing: RsaKeyPair::from_pkcs8(&signing.to_pkcs8()?).map_err(|_| anyhow::anyhow!("key refused"))?,
                header: String::new(),
                answer: String::new(),
                sealed: Sealed::of(&disk.one)?,
            },
            synced: tempfile::tempfile_in(env!("CARGO_TARGET_TMPDIR"))?,
            disk,
            tmpfs,
        };
        releases.settle(workloads.first().context("no TEE")?)?;
        Ok(releases)
    }

    /// Takes from a real answer what the bare signature covers, sees to it that both ways release the same key to the
    /// TEE, and shows the tokens that stay in the cache to the vaults that are to know them.
    fn settle(&mut self, workload: &UnwrapKey) -> anyhow::Result<()> {
        let token = self.tokens.first().context("no token")?;
        let piped = self.pipeline(&self.disk.one, token)?;
        let (input, _) = piped.rsplit_once('.').context("no JWS")?;
        self.parts.header = input.split_once('.').context("no JWS")?.0.to_owned();
        self.parts.answer = input.to_owned();
        let by_hand = self.straight_line(token)?;
        ensure!(released(workload, &piped)? == released(workload, &by_hand)?, "two ways, two keys");
        for site in [Some(&self.disk), self.tmpfs.as_ref()].into_iter().flatten().map(|sites| &sites.known) {
            each(self.tokens.iter().take(self.claims.len()), |token| self.pipeline(site, token))?;
        }
        Ok(())
    }

    fn cases<'a>(&'a self, size: &'a Size) -> Vec<Case<'a>> {
        let fresh = |block| self.tokens.get(size.share(block)).unwrap_or_default();
        let known = |block| size.share(block).map(|index| index % self.claims.len());
        let mut cases = vec![
            Case::new(BARE, move |block| each(size.share(block), |index| self.bare(index, true))),
            Case::new(STRAIGHT, move |block| each(fresh(block), |token| self.straight_line(token))).against(BARE, None),
        ];
        let synced = move |block| each(fresh(block), |token| self.straight_line_synced(token));
        cases.push(Case::new(SYNCED, synced).against(STRAIGHT, None));
        let disk = (Some(&self.disk), ["pipeline, log on disk", "pipeline, log on disk, 8 threads"], Some(SYNCED));
        let tmpfs = (self.tmpfs.as_ref(), ["pipeline, log in tmpfs", "pipeline, log in tmpfs, 8 threads"], None);
        for (sites, [one, several], beside) in [disk, tmpfs] {
            let Some(sites) = sites else { continue };
            let run = move |block| each(fresh(block), |token| self.pipeline(&sites.one, token));
            cases.push(Case { beside, ..Case::new(one, run).against(STRAIGHT, AIM_RELEASE) });
            let run = move |block| self.in_parallel(&sites.several, fresh(block));
            cases.push(Case::new(several, run).against(STRAIGHT, AIM_RELEASE));
        }
        let bare = move |block| each(size.share(block), |index| self.bare(index, false));
        let straight = move |block| each(known(block), |index| self.straight_line_known(index));
        cases.push(Case::new(BARE_KNOWN, bare));
        cases.push(Case::new(STRAIGHT_KNOWN, straight).against(BARE_KNOWN, None));
        let rows = [
            (Some(&self.disk), "cached: pipeline, log on disk"),
            (self.tmpfs.as_ref(), "cached: pipeline, log in tmpfs"),
        ];
        for (sites, name) in rows.into_iter().filter_map(|(sites, name)| Some((sites?, name))) {
            let tokens = move |block| known(block).filter_map(|index| self.tokens.get(index));
            let run = move |block| each(tokens(block), |token| self.pipeline(&sites.known, token));
            cases.push(Case::new(name, run).against(STRAIGHT_KNOWN, AIM_RELEASE));
        }
        cases
    }

    /// Octets of inputs and answer.
    fn sizes(&self) -> String {
        let token = self.tokens.first().map_or(0, |token| token.text.len());
        let (bearer, key) = (self.bearer.text.len(), self.parts.sealed.ciphertext.len() - TAG_LEN);
        let answer = self.parts.answer.len() + SIGNATURE_CHARS;
        format!("bearer token {bearer} B, attestation token {token} B, key {key} B, answer {answer} B")
    }
}

// Releases: the three ways.

impl Releases {
    /// Verify, verify, unseal, OAEP, KWP, sign: calls of the library, and nothing between them.
    fn bare(&self, index: usize, with_token: bool) -> anyhow::Result<()> {
        let parts = &self.parts;
        self.bearer.verify_sig(&parts.bearer_key)?;
        if with_token {
            self.tokens.get(index).context("no token")?.verify_sig(&parts.token_key)?;
        }
        let target = parts.targets.get(index % parts.targets.len()).context("no target")?;
        std::hint::black_box(wrap(target, &parts.sealed.open()?)?);
        std::hint::black_box(sign(&parts.signing, parts.answer.as_bytes())?);
        Ok(())
    }

    fn straight_line(&self, token: &Token) -> anyhow::Result<String> {
        self.check_bearer()?;
        self.answer(&self.verified_claims(&token.text)?)
    }

    /// With a record as long as the log's made durable: what the log cannot do without.
    fn straight_line_synced(&self, token: &Token) -> anyhow::Result<String> {
        (&self.synced).write_all(&[b' '; RECORD_LEN])?;
        self.synced.sync_data()?;
        self.straight_line(token)
    }

    fn straight_line_known(&self, index: usize) -> anyhow::Result<String> {
        self.check_bearer()?;
        self.answer(self.claims.get(index).context("no claims")?)
    }

    /// The bearer token, read and verified; the same function in the straight line and in front of the pipeline.
    fn check_bearer(&self) -> anyhow::Result<()> {
        let claims =
            Unverified::parse(&self.bearer.text, &Default::default())?.verify(&self.bearer_issuer)?.into_claims();
        let text = |name| claims.get(name).and_then(strict::Value::as_str);
        ensure!(text("aud") == Some(AUDIENCE) && text("iss") == Some(TENANT), "bearer of another service");
        let exp = claims.get("exp").and_then(strict::Value::as_u64);
        ensure!(exp.is_some_and(|exp| exp > unix_secs(self.now)), "bearer expired");
        Ok(())
    }

    fn verified_claims(&self, token: &str) -> anyhow::Result<Value> {
        let (input, signature) = token.rsplit_once('.').context("no JWS")?;
        let (header, payload) = input.split_once('.').context("no JWS")?;
        let header: Value = serde_json::from_slice(&B64.decode(header)?)?;
        ensure!(header["alg"] == "RS256" && header["kid"] == *self.parts.token_kid, "no key for this token");
        self.parts.token_key.verify_sig(input.as_bytes(), &B64.decode(signature)?)?;
        let claims: Value = serde_json::from_slice(&B64.decode(payload)?)?;
        ensure!(claims["exp"].as_u64().is_some_and(|exp| exp > unix_secs(self.now)), "token expired");
        Ok(claims)
    }

    fn answer(&self, claims: &Value) -> anyhow::Result<String> {
        ensure!(claims[names::ATTESTATION_TYPE] == "sevsnpvm", "another kind of TEE");
        ensure!(claims[names::snp::IS_DEBUGGABLE] == false, "a TEE that can be debugged");
        let keys = claims[names::RUNTIME]["keys"].as_array().context("no keys")?;
        let may_encrypt =
            |jwk: &&Value| jwk["key_ops"].as_array().is_some_and(|ops| ops.iter().any(|op| op == "encrypt"));
        let jwk = keys.iter().find(may_encrypt).context("no key for encryption")?;
        let octets = |name| anyhow::Ok(B64.decode(jwk[name].as_str().context("no such member")?)?);
        let target = oaep_key(&octets("n")?, &octets("e")?)?;
        let wrapped = wrap(&target, &self.parts.sealed.open()?)?;
        self.signed(&self.payload(jwk["kid"].as_str().context("no kid")?, &wrapped)?.to_string())
    }

    fn payload(&self, target_kid: &str, wrapped: &[u8]) -> anyhow::Result<Value> {
        let version = self.disk.one.key.version(None).context("no version")?;
        let skerry_keys::PublicKey::Rsa { n, e } = &version.public else { anyhow::bail!("no RSA key") };
        let (enc, url) = (WRAP.as_str(), format!("https://{HOST}/keys/{KEY}"));
        let header = json!({"kid": target_kid, "alg": "dir", "enc": enc});
        let key_hsm = json!({"schema_version": "1.0", "header": header, "ciphertext": B64.encode(wrapped)});
        Ok(json!({
            "request": {"api-version": "7.4", "enc": enc, "kid": url, "nonce": NONCE},
            "response": {"key": {
                "key": {
                    "kid": format!("{url}/{}", version.version),
                    "kty": "RSA-HSM",
                    "key_ops": version.key_ops,
                    "n": B64.encode(n),
                    "e": B64.encode(e),
                    "key_hsm": B64.encode(key_hsm.to_string()),
                },
                "attributes": {
                    "enabled": true, "created": version.created, "updated": version.updated,
                    "recoveryLevel": "Recoverable+Purgeable", "recoverableDays": 90, "exportable": true,
                },
                "release_policy": {"data": B64.encode(POLICY)},
            }},
        }))
    }

    fn signed(&self, payload: &str) -> anyhow::Result<String> {
        let mut token = String::with_capacity(self.parts.header.len() + payload.len() / 3 * 4 + SIGNATURE_CHARS + 6);
        token.push_str(&self.parts.header);
        token.push('.');
        B64.encode_string(payload, &mut token);
        let signature = sign(&self.parts.signing, token.as_bytes())?;
        token.push('.');
        B64.encode_string(signature, &mut token);
        Ok(token)
    }

    fn pipeline(&self, site: &Site, token: &Token) -> anyhow::Result<String> {
        self.check_bearer()?;
        let command = ReleaseCommand {
            name: &site.key.head.name,
            version: None,
            target: &token.text,
            nonce: Some(NONCE),
            enc: Some(WRAP),
            api_version: "7.4",
            host: HOST,
            who: TENANT,
            request_id: "6f1f1f9e-6a3a-4b5e-9f0e-0b9d5a0f2c11",
        };
        Ok(site.vault.release(&command, self.now, &mut rng())?.value)
    }

    /// As a server under load: eight threads and one log, so that releases share its syncs.
    fn in_parallel(&self, site: &Site, tokens: &[Token]) -> anyhow::Result<usize> {
        let share = tokens.len().div_ceil(8).max(1);
        std::thread::scope(|scope| {
            let run = |tokens| scope.spawn(move || each(tokens, |token| self.pipeline(site, token)));
            let threads: Vec<_> = tokens.chunks(share).map(run).collect();
            let died = |_| anyhow::anyhow!("a thread died");
            threads.into_iter().map(|thread| thread.join().map_err(died)?).sum()
        })
    }
}

impl Sites {
    fn make(site: impl Fn() -> anyhow::Result<Site>) -> anyhow::Result<Sites> {
        Ok(Sites { one: site()?, several: site()?, known: site()? })
    }
}

impl Site {
    fn make(
        folder: &Path,
        attester: &TokenSigner,
        signing: &SigningKey,
        chain: &[Vec<u8>],
        now: SystemTime,
    ) -> anyhow::Result<Site> {
        let folder = tempfile::tempdir_in(folder)?;
        let log = Log::create(folder.path(), skerry_audit::Limits::default(), &mut rng())?;
        let id = uuid::Builder::from_random_bytes(random()).into_uuid();
        let authorities = vec![Authority::built_in(attester)?];
        let config = VaultConfig { id, kind: VaultKind::Vault, authorities, floor: VaultFloor::default() };
        let signing = SigningKey::from_pkcs8(Algorithm::Rs256, &signing.to_pkcs8()?)?;
        let custody = Software::new(Zeroizing::new(KEK), KEK_ID);
        let vault = Vault::new(config, custody, ReleaseSigner::new(signing, chain)?, Arc::new(log))?;
        let create = CreateCommand {
            name: KeyName::parse(KEY)?,
            key_type: KeyType::Rsa { bits: RsaBits::B2048 },
            key_ops: ["encrypt", "decrypt", "sign", "verify", "wrapKey", "unwrapKey"].map(str::to_owned).to_vec(),
            exportable: true,
            policy: Some(POLICY.as_bytes()),
            immutable: false,
            who: TENANT,
            request_id: "made for the bench",
        };
        let key = vault.create(&create, now, &mut rng())?;
        Ok(Site { id, vault, key, _folder: folder })
    }
}

impl Token {
    fn new(text: String) -> anyhow::Result<Token> {
        let (input, signature) = text.rsplit_once('.').context("no JWS")?;
        Ok(Token { input: 0..input.len(), signature: B64.decode(signature)?, text })
    }

    fn verify_sig(&self, key: &ParsedPublicKey) -> anyhow::Result<()> {
        let input = self.text.get(self.input.clone()).context("no JWS")?;
        Ok(key.verify_sig(input.as_bytes(), &self.signature)?)
    }

    fn claims(&self) -> anyhow::Result<Value> {
        let payload = self.text.split('.').nth(1).context("no JWS")?;
        Ok(serde_json::from_slice(&B64.decode(payload)?)?)
    }
}

impl Sealed {
    fn of(site: &Site) -> anyhow::Result<Sealed> {
        let version = site.key.version(None).context("no version")?;
        let (head, ciphertext) = version.material.as_bytes().split_at_checked(61).context("no record")?;
        let part = |range: Range<usize>| head.get(range).context("no record");
        let place = [site.id.as_bytes().as_slice(), site.key.head.id.as_bytes(), &version.version.0].concat();
        Ok(Sealed {
            salt: part(17..49)?.try_into()?,
            nonce: part(49..61)?.try_into()?,
            info: [b"skerry material key", place.as_slice()].concat(),
            aad: [&[1], KEK_ID.as_slice(), &place, &[1, 1, 1, 1, 0, 0]].concat(),
            ciphertext: ciphertext.to_vec(),
        })
    }

    fn open(&self) -> anyhow::Result<Zeroizing<Vec<u8>>> {
        let mut key = Zeroizing::new([0; 32]);
        let secret = Salt::new(HKDF_SHA256, &self.salt).extract(&KEK);
        secret.expand(&[&self.info], HKDF_SHA256)?.fill(key.as_mut_slice())?;
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.as_slice())?);
        let mut text = Zeroizing::new(self.ciphertext.clone());
        let nonce = Nonce::assume_unique_for_key(self.nonce);
        let len = key.open_in_place(nonce, Aad::from(&self.aad), &mut text)?.len();
        text.truncate(len);
        Ok(text)
    }
}

/// OAEP(target, K) || KWP(K, data).
fn wrap(target: &OaepPublicEncryptingKey, data: &[u8]) -> anyhow::Result<Vec<u8>> {
    let k = Zeroizing::new(random::<32>());
    let oaep_len = target.ciphertext_size();
    let mut wrapped = vec![0; oaep_len + data.len().next_multiple_of(8) + 8];
    let (oaep, kwp) = wrapped.split_at_mut(oaep_len);
    target.encrypt(&OAEP_SHA256_MGF1SHA256, k.as_slice(), oaep, None)?;
    AesKek::new(&AES_256, k.as_slice())?.wrap_with_padding(data, kwp)?;
    Ok(wrapped)
}

fn sign(key: &RsaKeyPair, message: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)?;
    Ok(signature)
}

/// What the TEE holds in the end.
fn released(workload: &UnwrapKey, answer: &str) -> anyhow::Result<Vec<u8>> {
    let answer = Token::new(answer.to_owned())?.claims()?;
    let key_hsm = answer["response"]["key"]["key"]["key_hsm"].as_str().context("no key_hsm")?;
    let key_hsm: Value = serde_json::from_slice(&B64.decode(key_hsm)?)?;
    let wrapped = B64.decode(key_hsm["ciphertext"].as_str().context("no ciphertext")?)?;
    Ok(skerry_keywrap::unwrap(WRAP, workload, &wrapped)?.expose().to_vec())
}

// Releases: tokens, keys, certificates.

/// Tokens that differ in id and in key, signed on two threads.
fn tokens(
    signer: &TokenSigner,
    evidence: &Evidence,
    workloads: &[UnwrapKey],
    count: usize,
    now: SystemTime,
) -> anyhow::Result<Vec<Token>> {
    let claims =
        workloads.iter().map(|workload| token_claims(evidence, workload)).collect::<anyhow::Result<Vec<_>>>()?;
    let result = |claims| AttestationResult::assertion(signer.issuer().clone(), claims, Provenance::Real, now);
    let results: Vec<_> = claims.into_iter().map(result).collect();
    let token = |(_, result)| Token::new(signer.sign(result, random())?.into_string());
    let half = |parity| (0..count).zip(results.iter().cycle()).filter(move |(index, _)| index % 2 == parity);
    let (even, odd) = std::thread::scope(|scope| {
        let odd = scope.spawn(|| half(1).map(token).collect::<anyhow::Result<Vec<_>>>());
        (half(0).map(token).collect::<anyhow::Result<Vec<_>>>(), odd.join())
    });
    // The order does not matter to anyone who asks for distinct tokens; the first is for the first workload.
    Ok([even?, odd.map_err(|_| anyhow::anyhow!("a thread died"))??].into_iter().flatten().collect())
}

/// What a confidential VM's token says: report, VM configuration, two keys of the TEE, and a key release client's payload.
fn token_claims(evidence: &Evidence, workload: &UnwrapKey) -> anyhow::Result<strict::Object> {
    let report = Report::parse(&evidence.report)?;
    let mut claims = skerry_verifier::claims::of_snp(&report, Generation::Milan);
    let (n, e) = workload.public_components();
    let key = |kid, op| json!({"kid": kid, "kty": "RSA", "e": B64.encode(e), "n": B64.encode(n), "key_ops": [op]});
    let platform = json!({
        "keys": [key("HCLAkPub", "sign"), key("HCLEkPub", "decrypt")],
        "user-data": "00".repeat(64),
        "vm-configuration": vm_configuration(),
    });
    let runtime = json!({
        "client-payload": {"nonce": B64.encode([7; 32]), "claims": B64.encode([9; 768])},
        "keys": [key("TpmSigningKey", "sign"), key("TpmEphemeralEncryptionKey", "encrypt")],
        "user-data": "a5".repeat(64),
        "vm-configuration": vm_configuration(),
    });
    claims.insert(names::COMPLIANCE_STATUS, "azure-compliant-cvm");
    claims.insert(names::POLICY_HASH, B64.encode([3; 32]));
    claims.insert("x-ms-isolation-tee", object(&json!({"x-ms-runtime": platform}))?);
    claims.insert(names::RUNTIME, object(&runtime)?);
    Ok(claims)
}

fn vm_configuration() -> Value {
    json!({
        "console-enabled": true, "current-time": 1_763_000_000_u64, "secure-boot": true, "tpm-enabled": true,
        "tpm-persisted": true, "root-cert-thumbprint": B64.encode([5; 32]),
        "vmUniqueId": "5c0d7b62-8f1e-4d0b-9a59-6c1f6f3c8f0e",
    })
}

/// A managed identity's access token, as Entra makes them.
fn bearer(key: &SigningKey, now: SystemTime) -> anyhow::Result<Token> {
    let now = unix_secs(now);
    let id = "3f0a1c9e-52f4-4b6d-8f9c-1b6d2f7e4a10";
    let resource =
        format!("/subscriptions/{id}/resourcegroups/confidential/providers/Microsoft.Compute/virtualMachines/tee-7");
    let claims = json!({
        "aud": AUDIENCE, "iss": TENANT, "iat": now, "nbf": now, "exp": now + 86_400, "aio": B64.encode([1; 48]),
        "appid": id, "appidacr": "2", "groups": [id, id, id], "idp": TENANT, "idtyp": "app", "oid": id,
        "rh": B64.encode([2; 48]), "sub": id, "tid": id, "uti": B64.encode([3; 16]), "ver": "1.0", "xms_ftd": B64.encode([4; 48]),
        "xms_idrel": "7 20", "xms_mirid": resource, "xms_az_rid": resource, "xms_rd": B64.encode([5; 64]),
    });
    let header = json!({"typ": "JWT", "alg": "RS256", "x5t": B64.encode([6; 20]), "kid": "principals"});
    Token::new(ProtectedHeader::new(&header.to_string()).sign(claims.to_string().as_bytes(), key)?)
}

/// Three certificates. Those above the leaf are as large as a public CA's with RSA-4096; nobody walks the chain here.
fn chain(key: &SigningKey, now: SystemTime) -> anyhow::Result<Vec<Vec<u8>>> {
    let leaf = Ca::generate("Skerry bench", now)?.issue(key, &[HOST], now)?.into_iter().next().context("no leaf")?;
    Ok(vec![leaf, vec![0x30; 1_500], vec![0x30; 1_400]])
}

fn rs256() -> anyhow::Result<SigningKey> {
    Ok(SigningKey::generate(Algorithm::Rs256)?)
}

fn parsed(key: &PublicKey) -> anyhow::Result<ParsedPublicKey> {
    let PublicKey::Rsa(key) = key else { anyhow::bail!("no RSA key") };
    let components = PublicKeyComponents { n: key.modulus(), e: key.exponent() };
    Ok(components.to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)?)
}

fn target(workload: &UnwrapKey) -> anyhow::Result<OaepPublicEncryptingKey> {
    let (n, e) = workload.public_components();
    oaep_key(n, e)
}

fn oaep_key(n: &[u8], e: &[u8]) -> anyhow::Result<OaepPublicEncryptingKey> {
    let key: PublicEncryptingKey =
        PublicKeyComponents { n, e }.try_into().map_err(|_| anyhow::anyhow!("key refused"))?;
    Ok(OaepPublicEncryptingKey::new(key)?)
}

fn object(value: &Value) -> anyhow::Result<strict::Object> {
    let value = strict::parse(value.to_string().as_bytes(), &skerry_jose::limits::JSON)?;
    value.into_object().context("no object")
}

// Appraisals of SEV-SNP evidence.

/// Evidence of processors that differ, and verifiers that have seen none of them or all.
struct Appraisals {
    now: SystemTime,
    evidence: Vec<Evidence>,
    requests: Vec<SnpRequest>,
    bare: Vec<[Signature; 4]>,
    keys: AuthorityKeys,
    /// One for each block.
    fresh: Vec<Verifier>,
    known: Verifier,
}

/// Keys of ARK and ASK; the ARK certifies itself and the ASK, the ASK the VCEK.
struct AuthorityKeys {
    ark: ParsedPublicKey,
    ask: ParsedPublicKey,
}

/// What was signed, the signature, and the key where it is the processor's own.
struct Signature {
    message: Vec<u8>,
    signature: Vec<u8>,
    key: Option<ParsedPublicKey>,
}

impl Appraisals {
    fn make(size: &Size) -> anyhow::Result<Appraisals> {
        let now = SystemTime::now();
        let made = now - Duration::from_secs(86_400);
        let root = Root::generate(Generation::Milan, made, &mut rng())?;
        let evidence =
            (0..size.chips).map(|number| one_evidence(&root, number, made)).collect::<anyhow::Result<Vec<_>>>()?;
        let signing = rs256()?;
        let verifier = || anyhow::Ok(verifier(&root, &signing)?);
        let appraisals = Appraisals {
            now,
            requests: evidence.iter().map(request).collect(),
            bare: evidence.iter().map(signatures).collect::<anyhow::Result<_>>()?,
            keys: AuthorityKeys { ark: certified(root.ark_der(), PSS)?, ask: certified(root.ask_der(), PSS)? },
            fresh: (0..size.blocks).map(|_| verifier()).collect::<anyhow::Result<_>>()?,
            known: verifier()?,
            evidence,
        };
        each(&appraisals.requests, |request| appraisals.verify(&appraisals.known, request))?;
        Ok(appraisals)
    }

    fn first(&self) -> anyhow::Result<&Evidence> {
        self.evidence.first().context("no evidence")
    }

    fn cases(&self) -> [Case<'_>; 4] {
        let verify_all = |verifier| each(&self.requests, |request| self.verify(verifier, request));
        [
            Case::new(SNP_BARE, |_| {
                each(&self.bare, |[ark, ask, vek, report]| {
                    ark.verify(&self.keys.ark)?;
                    ask.verify(&self.keys.ark)?;
                    vek.verify(&self.keys.ask)?;
                    report.verify(&self.keys.ask)
                })
            }),
            Case::new("SNP: verifier, chain cold", move |block| {
                verify_all(self.fresh.get(block).context("no verifier")?)
            })
            .against(SNP_BARE, AIM_SNP),
            Case::new(SNP_BARE_KNOWN, |_| each(&self.bare, |[_, _, _, report]| report.verify(&self.keys.ask))),
            Case::new("SNP: verifier, chain cached", move |_| verify_all(&self.known)).against(SNP_BARE_KNOWN, AIM_SNP),
        ]
    }

    fn verify(&self, verifier: &Verifier, request: &SnpRequest) -> anyhow::Result<()> {
        std::hint::black_box(verifier.verify(request, self.now)?);
        Ok(())
    }
}

impl Signature {
    /// With its own key if it has one, else with the authority's.
    fn verify(&self, authority: &ParsedPublicKey) -> anyhow::Result<()> {
        Ok(self.key.as_ref().unwrap_or(authority).verify_sig(&self.message, &self.signature)?)
    }
}

fn one_evidence(root: &Root, number: usize, made: SystemTime) -> anyhow::Result<Evidence> {
    let chip = root.chip(ChipConfig::numbered(Generation::Milan, u32::try_from(number)?), made)?;
    Ok(chip.boot(TeeConfig { measurement: MEASUREMENT, ..TeeConfig::default() }, &mut rng()).attest(b"{}")?)
}

fn request(evidence: &Evidence) -> SnpRequest {
    SnpRequest {
        report: evidence.report.clone(),
        chain_pem: evidence.vek_chain_pem.clone().into_bytes(),
        uvm: Vec::new(),
        runtime_data: None,
        init_data: None,
        nonce: None,
    }
}

fn verifier(root: &Root, signing: &SigningKey) -> anyhow::Result<Verifier> {
    let signing = SigningKey::from_pkcs8(Algorithm::Rs256, &signing.to_pkcs8()?)?;
    let config = VerifierConfig::simulated(&[(Generation::Milan, root.ark_spki_sha256()?)], TrustList::none());
    Ok(Verifier::new(config, TokenSigner::new(IssuerUrl::parse(ISSUER)?, signing)))
}

/// The three certificates' signatures, root first, and the report's.
fn signatures(evidence: &Evidence) -> anyhow::Result<[Signature; 4]> {
    let chain = x509::Certificate::from_pem_bundle(evidence.vek_chain_pem.as_bytes(), &Limits::default())?;
    let [vek, ask, ark] = <[_; 3]>::try_from(chain).map_err(|_| anyhow::anyhow!("a chain has three certificates"))?;
    let report = Report::parse(&evidence.report)?;
    let number = |little_endian: &[u8]| little_endian.iter().rev().copied().collect::<Vec<u8>>();
    let report = Signature {
        message: report.signed().to_vec(),
        signature: [number(report.signature_r()), number(report.signature_s())].concat(),
        key: Some(certified(vek.der(), &ECDSA_P384_SHA384_FIXED)?),
    };
    Ok([certificate_signature(&ark)?, certificate_signature(&ask)?, certificate_signature(&vek)?, report])
}

fn certificate_signature(certificate: &x509::Certificate) -> anyhow::Result<Signature> {
    let parsed = x509_cert::Certificate::from_der(certificate.der())?;
    Ok(Signature { message: certificate.tbs().to_vec(), signature: parsed.signature().raw_bytes().to_vec(), key: None })
}

fn certified(der: &[u8], algorithm: &'static dyn VerificationAlgorithm) -> anyhow::Result<ParsedPublicKey> {
    let certificate = x509::Certificate::from_der(der, &Limits::default())?;
    let key = certificate.public_key()?;
    ParsedPublicKey::new(algorithm, key.bits).map_err(|_| anyhow::anyhow!("key refused"))
}

fn rng() -> impl CryptoRng {
    UnwrapErr(SysRng)
}

fn random<const N: usize>() -> [u8; N] {
    let mut octets = [0; N];
    rng().fill_bytes(&mut octets);
    octets
}

fn unix_secs(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

const BARE: &str = "bare parts";
const STRAIGHT: &str = "straight-line function";
const SYNCED: &str = "straight-line and a synced write";
const BARE_KNOWN: &str = "cached: bare parts";
const STRAIGHT_KNOWN: &str = "cached: straight-line function";
const SNP_BARE: &str = "SNP: bare, chain and report";
const SNP_BARE_KNOWN: &str = "SNP: bare, report";

/// The pipeline over the straight-line function, and the verifier over its bare signature checks.
const AIM_RELEASE: f64 = 1.05;
const AIM_SNP: f64 = 1.1;

const PSS: &dyn VerificationAlgorithm = &RSA_PSS_2048_8192_SHA384;
const WRAP: WrapAlgorithm = WrapAlgorithm::RsaAesKeyWrap256;
const HOST: &str = "vault.localhost";
const KEY: &str = "payments";
const NONCE: &str = "4f1c7a52d0e94d7bb6f2";
const ISSUER: &str = "https://attest.localhost";
const TENANT: &str = "https://sts.localhost/3f0a1c9e-52f4-4b6d-8f9c-1b6d2f7e4a10/";
const AUDIENCE: &str = "https://vault.localhost";
const KEK: [u8; 32] = [0x4b; 32];
const KEK_ID: [u8; 16] = [1; 16];
const TAG_LEN: usize = 16;
/// An RSA-2048 signature in base64url.
const SIGNATURE_CHARS: usize = 342;
/// Octets of a release in the log.
const RECORD_LEN: usize = 814;
const MEASUREMENT: [u8; 48] = [0xab; 48];

/// Four clauses on one authority, minified as a vault keeps it.
const POLICY: &str = concat!(
    r#"{"version":"1.0.0","anyOf":[{"authority":"https://attest.localhost","allOf":["#,
    r#"{"claim":"x-ms-attestation-type","equals":"sevsnpvm"},"#,
    r#"{"claim":"x-ms-sevsnpvm-is-debuggable","equals":"false"},"#,
    r#"{"claim":"x-ms-runtime.vm-configuration.secure-boot","equals":"true"},"#,
    r#"{"claim":"x-ms-sevsnpvm-launchmeasurement","equals":""#,
    "abababababababababababababababababababababababababababababababab",
    "abababababababababababababababab",
    r#""}]}]}"#,
);
