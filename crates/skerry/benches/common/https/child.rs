//! The server: what it serves, and the orders that it takes from who started it.

use std::io::{BufRead as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use serde_json::json;
use skerry_evidence::snp::Generation;
use skerry_http::{Limits, Listener, Machine, Names, Reply, Request, Server, Surface, attestation, tls, vault};
use skerry_identity::{Issuers, Permission, Provider};
use skerry_jose::json::Object;
use skerry_jose::{JwkSet, SigningKey};
use skerry_keys::{Curve, KeyType, OctBits, RsaBits};
use skerry_keywrap::UnwrapKey;
use skerry_policy::attestation::Trust;
use skerry_simulator::{Evidence, Root};
use skerry_sources::KeySet;
use skerry_vault::Pools;
use skerry_vault::appraisal::AppraisalPolicies;
use skerry_vault::ca::{Ca, TlsLeaf};
use skerry_vault::command::{Context, ReleaseCommand};
use skerry_vault::limits::PAGE_ROWS_MAX;
use skerry_verifier::wire::{Data, SnpRequest};

use super::cores;
use super::load::{ATTEST, CHILD, DISK, ECHO, TMPFS, TOKENS_FILE};
use super::operation::Operation;
use super::straight::ByHand;
use crate::common::measure::cpu_time;
use crate::common::site::{self, Actors, Site, caller, pools, randomizer};
use crate::common::straight::{Straight, WRAP};
use crate::common::token::{Token, tokens};
use crate::common::{HOST, NONCE, TENANT, copy, each, rng, rs256, snp};

/// Its folder and the number of tokens, iff this process is to be the server.
pub(crate) fn told(mut args: impl Iterator<Item = String>) -> Option<(String, usize)> {
    args.find(|arg| arg == CHILD)?;
    Some((args.next()?, args.next()?.parse().ok()?))
}

pub(crate) fn run(folder: &Path, tokens: usize) -> anyhow::Result<()> {
    let given = Given::make(tokens)?;
    std::fs::write(folder.join(TOKENS_FILE), given.lines())?;
    // Before any thread of the server's is started.
    let alone = cores::keep_to(cores::SERVER);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut serving = runtime.block_on(serve(&given, folder))?;
    serving.hello["alone"] = alone.into();
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", serving.hello)?;
    for order in std::io::stdin().lock().lines() {
        writeln!(out, "{}", obey(&serving, &order?)?)?;
    }
    Ok(())
}

/// `cpu`, `records`, `run COUNT OPERATION`, `run-synced COUNT OPERATION`, `bare COUNT OPERATION`.
fn obey(Serving { by_hand, sites, .. }: &Serving, order: &str) -> anyhow::Result<String> {
    let mut words = order.splitn(3, ' ');
    let word = words.next().unwrap_or_default();
    if word == "cpu" {
        return Ok(cpu_time()?.as_nanos().to_string());
    }
    if word == "records" {
        let of = |(_, site): &(&str, Site)| anyhow::Ok(site.installation.log().head()?.records);
        return Ok(sites.iter().map(of).sum::<anyhow::Result<u64>>()?.to_string());
    }
    let count: usize = words.next().context("no count")?.parse()?;
    let operation = words.next().and_then(Operation::of).context("no operation")?;
    match word {
        "bare" => each(0..count, |_| by_hand.bare(operation.kind))?,
        _ => each(0..count, |index| by_hand.run(operation.kind, index, word == "run-synced"))?,
    };
    Ok("done".to_owned())
}

/// What is made before the server.
struct Given {
    actors: Actors,
    principals: SigningKey,
    root: Root,
    evidence: Evidence,
    request: SnpRequest,
    workloads: Vec<UnwrapKey>,
    tokens: Vec<Token>,
}

impl Given {
    fn make(count: usize) -> anyhow::Result<Given> {
        let actors = Actors::make(SystemTime::now())?;
        let made = actors.now - Duration::from_secs(86_400);
        let root = Root::generate(Generation::Milan, made, &mut rng())?;
        let workloads = vec![UnwrapKey::generate(2048)?];
        let runtime_data = runtime_data(&workloads)?;
        let evidence = snp::one_evidence(&root, 7, runtime_data.as_bytes(), made)?;
        let request = snp::request(&evidence, Some(Data::json(runtime_data.as_bytes())?));
        let tokens = tokens(&actors.token_signer()?, &evidence, &workloads, count, actors.now)?;
        Ok(Given { actors, principals: rs256()?, root, evidence, request, workloads, tokens })
    }

    fn lines(&self) -> String {
        self.tokens.iter().map(|token| format!("{}\n", token.text)).collect()
    }
}

/// What a TEE binds to its report: the key that it wants keys wrapped to.
fn runtime_data(workloads: &[UnwrapKey]) -> anyhow::Result<String> {
    let (n, e) = workloads.first().context("no TEE")?.public_components();
    let jwk = skerry_jose::PublicKey::Rsa(skerry_jose::RsaPublicKey::new(n, e)?).to_jwk();
    let jwk = jwk.with("key_ops", vec!["encrypt"]).with("kid", "tee-key");
    Ok(Object::new().with("keys", vec![jwk]).to_json())
}

/// Starts to serve.
async fn serve(given: &Given, folder: &Path) -> anyhow::Result<Serving> {
    let (actors, pools) = (&given.actors, pools()?);
    let disk = Site::make(folder, actors, &pools).await?;
    let (rsa, ec) = (KeyType::Rsa { bits: RsaBits::B2048 }, KeyType::Ec { curve: Curve::P256 });
    let rsa = disk.create("rsa", rsa, actors.now).await?.version.version.to_string();
    let ec = disk.create("ec", ec, actors.now).await?.version.version.to_string();
    let oct = KeyType::Oct { bits: OctBits::B256 };
    let aes = disk.create("aes", oct, actors.now).await?.version.version.to_string();
    // For a page of a list that is full.
    for number in 0..PAGE_ROWS_MAX {
        disk.create(&format!("page-{number}"), oct, actors.now).await?;
    }
    let shm = Path::new("/dev/shm");
    let by_hand = by_hand(given, &disk, folder).await?;
    let mut sites = vec![(DISK, disk)];
    if shm.is_dir() {
        sites.push((TMPFS, Site::make(shm, actors, &pools).await?));
    }
    let mut hello = json!({
        "versions": {"rsa": rsa, "ec": ec, "aes": aes}, "tmpfs": sites.len() > 1, "disk": file_system(folder),
        "bearer": by_hand.bearer(), "sizes": by_hand.sizes(given.tokens.first()), "attest": given.request.to_body(),
    });
    let ca = Ca::generate("Skerry bench", actors.now)?;
    hello["root"] = STANDARD.encode(ca.root_der()).into();
    let names = [DISK, TMPFS, ATTEST, ECHO];
    let leaf = ca.issue_tls(&names, &[], actors.now)?;
    let machine = Machine::new(SystemTime::now, randomizer);
    let surfaces = [
        ("vault", vaults(given, &sites, &machine)?),
        ("attest", attestation(given, &sites, &pools, &machine)?),
        ("echo", Surface::function(|request| Box::pin(echo(request)))),
    ];
    let (words, surfaces): (Vec<_>, Vec<_>) = surfaces.into_iter().unzip();
    let listeners = surfaces.into_iter().map(|surface| listener(surface, &leaf)).collect::<anyhow::Result<_>>()?;
    let server = Server::bind(listeners, &machine).await?;
    for (word, address) in words.into_iter().zip(server.addresses()) {
        hello["ports"][word] = address.port().into();
    }
    tokio::spawn(server.serve(std::future::pending()));
    Ok(Serving { hello, by_hand, sites })
}

/// What is going on while orders are taken.
struct Serving {
    hello: serde_json::Value,
    by_hand: ByHand,
    /// Their folders go when they do.
    sites: Vec<(&'static str, Site)>,
}

/// The straight-line functions, after a release and an appraisal that show them what answers are like.
async fn by_hand(given: &Given, site: &Site, folder: &Path) -> anyhow::Result<ByHand> {
    let actors = &given.actors;
    let (token, workload) = (given.tokens.first().context("no token")?, given.workloads.first().context("no TEE")?);
    let grant = site.access.grant(&caller(), *site.vault.id().as_bytes(), Permission::Release)?;
    let context = Context { grant: &grant, request_id: "first", now: actors.now, randomness: &randomizer };
    let command = ReleaseCommand {
        name: &site.key.head.name,
        version: None,
        target: &token.text,
        nonce: Some(NONCE),
        enc: Some(WRAP),
        api_version: "7.4",
        host: HOST,
        proof: false,
    };
    let answer = site.vault.release(&context, &command).await?;
    let mut release = Straight::new(actors, &given.principals, &given.workloads, site)?;
    release.settle(workload, token, &answer.value)?;
    let verifier = snp::verifier(&given.root, &actors.attester)?;
    let attested = verifier.attest(&given.request, actors.now, &mut rng())?.into_string();
    let attest = (&given.evidence, given.request.to_body(), attested.as_str());
    ByHand::new(actors, release, &given.tokens, site.key.clone(), attest, folder)
}

/// As the program's: one listener for all vaults.
fn vaults(given: &Given, sites: &[(&str, Site)], machine: &Machine) -> anyhow::Result<Surface> {
    let keys = KeySet::fixed(JwkSet::of(vec![given.principals.verifying_key("principals")?]));
    let issuers = Issuers::new(vec![Provider::new(TENANT, keys)])?;
    let access = site::access();
    let vaults = sites.iter().map(|(host, site)| ((*host).to_owned(), Arc::clone(&site.vault))).collect();
    let headers = vault::ServiceHeaders {
        region: HeaderValue::from_static("bench"),
        service_version: HeaderValue::from_static("1.9"),
    };
    let config = vault::Config {
        vaults,
        issuers: Arc::new(issuers),
        access: Arc::new(access),
        authorization: TENANT.trim_end_matches('/').to_owned(),
        audiences: Vec::new(),
        headers,
        machine: machine.clone(),
    };
    Ok(Surface::Vault(Arc::new(vault::Surface::new(config)?)))
}

fn attestation(given: &Given, sites: &[(&str, Site)], pools: &Pools, machine: &Machine) -> anyhow::Result<Surface> {
    let installation = sites.first().map(|(_, site)| Arc::clone(&site.installation)).context("there is a vault")?;
    let verifier = Arc::new(snp::verifier(&given.root, &given.actors.attester)?);
    let signer = verifier.signer();
    let results = attestation::ResultSigner::new(signer.issuer(), signer.kid(), copy(&given.actors.attester)?);
    let config = attestation::Config {
        results,
        verifier,
        certs: Object::new(),
        policies: Arc::new(AppraisalPolicies::new(installation, Trust::Callers)),
        policy_signers: Vec::new(),
        callers: Box::new(|_| Box::pin(async { Err(attestation::Denied::Forbidden) })),
        challenge: HeaderValue::from_static("Bearer"),
        pool: Arc::clone(&pools.work),
        machine: machine.clone(),
    };
    Ok(Surface::Attestation(Arc::new(attestation::Surface::new(config))))
}

/// Reads what comes and answers as many octets as the path says.
async fn echo(request: &mut Request) -> Reply {
    let len = request.segments().first().and_then(|len| len.parse().ok()).unwrap_or_default();
    match request.body(1 << 20).await {
        Ok(_) => Reply::prepared(StatusCode::OK, Bytes::from(vec![b' '; len])),
        Err(error) => Reply::text(error.status(), error.to_string()),
    }
}

/// Addressed as behind a gateway, at the standard port.
fn listener(surface: Surface, leaf: &TlsLeaf) -> anyhow::Result<Listener> {
    Ok(Listener {
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        tls: Some(tls::server_config(&leaf.chain_der, &leaf.key_pkcs8)?),
        names: Names {
            hosts: vec![ATTEST.to_owned(), ECHO.to_owned()],
            domains: vec![HOST.to_owned()],
            addresses: Vec::new(),
            port: 443,
        },
        surface,
        // Connections are kept while other cases have their turn.
        limits: Limits { idle_time_max: Duration::from_secs(600), ..Limits::default() },
    })
}

/// The kind of file system that a folder is on: that of the longest mount point above it.
fn file_system(folder: &Path) -> String {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mounts = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        Some((words.next()?, words.next()?)).filter(|(point, _)| folder.starts_with(point))
    });
    mounts.max_by_key(|(point, _)| point.len()).map_or_else(|| "unknown".to_owned(), |(_, kind)| kind.to_owned())
}
