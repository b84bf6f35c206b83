//! What a release and an appraisal cost beyond the cryptography they cannot do without.
//!
//! Three things are timed side by side: the bare calls of the cryptographic library on prepared inputs; a straight-line
//! function, written here on the library, `serde_json` and `base64`, which does the same with parsing and printing but
//! without policy, audit log, store or cache; and the pipeline as a server runs it, with its hand-overs from thread to
//! thread. So too SEV-SNP evidence. The figure is CPU time of the whole process per request, over blocks in which all
//! cases take turns. Then releases with the audit log and without it take turns, and the figure is how many a second there
//! are ([`audit`] says what is left out); and what counting for metrics takes ([`counters`]). docs/performance.md reads the tables.
//!
//! `cargo bench --bench release` measures, `-- --json` prints JSON, `-- --only TEXT` takes the cases whose name has TEXT
//! and what they are compared with. Without `--bench` (`cargo test --benches`) each case runs once. Missed aims are printed
//! and never fail the run.

#[path = "../common/mod.rs"]
mod common;

mod audit;
mod counters;

use std::fs::File;
use std::io::Write as _;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use aws_lc_rs::signature::ParsedPublicKey;
use serde_json::{Value, json};
use skerry_evidence::snp::Generation;
use skerry_identity::Permission;
use skerry_keywrap::UnwrapKey;
use skerry_simulator::{Evidence, Root};
use skerry_vault::Pools;
use skerry_vault::command::{Context, ReleaseCommand};
use skerry_verifier::Verifier;
use skerry_verifier::wire::SnpRequest;
use tokio::runtime::Runtime;

use audit::{Asking, Place};
use common::measure::{Asked, Case, cpu_time, measure, print_table, rows_json};
use common::rate;
use common::site::{Actors, Site, caller, pools, randomizer};
use common::snp::{self, PSS, Signature, certified, one_evidence, signatures};
use common::straight::{Straight, WRAP};
use common::token::{Token, tokens};
use common::{HOST, NONCE, each, rng, rs256};

fn main() -> anyhow::Result<()> {
    let asked = Asked::of(std::env::args());
    let size = if asked.measures { FULL } else { TINY };
    let appraisals = Appraisals::make(&size)?;
    let releases = Releases::make(&size, appraisals.first()?)?;
    let cases = releases.cases(&size).into_iter().chain(appraisals.cases()).collect();
    let mut cases = asked.choose(cases);
    measure(&mut cases, size.blocks, cpu_time)?;
    let asking = releases.asking();
    let mut rates = rate::choose(&asked, audit::rates(&asking, &releases.places, &size));
    rate::measure(&mut rates, size.blocks)?;
    let counting = counters::measure(&asked, size.blocks)?;
    match (asked.measures, asked.json) {
        (false, _) => Ok(()),
        (true, true) => {
            let (rates, counting) = (rate::json(&rates), counters::json(&counting));
            let inputs = releases.sizes();
            let all = json!({"inputs": inputs, "rows": rows_json(&cases), "rates": rates, "counting": counting});
            Ok(writeln!(std::io::stdout().lock(), "{all:#}")?)
        }
        (true, false) => {
            print_table(&cases, &releases.sizes())?;
            rate::print(&rates)?;
            counters::print(&counting)
        }
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

// Releases.

/// Everything that a release needs.
struct Releases {
    now: SystemTime,
    runtime: Runtime,
    straight: Arc<Straight>,
    tokens: Arc<Vec<Token>>,
    /// Claims of the tokens that stay in the cache.
    claims: Vec<Value>,
    /// A file beside the logs on disk.
    synced: File,
    disk: Sites,
    tmpfs: Option<Sites>,
    /// With the log and without it.
    places: Vec<Place>,
}

/// A vault for each way of using it: one caller, several, tokens that it knows.
struct Sites {
    one: Site,
    several: Site,
    known: Site,
}

impl Releases {
    fn make(size: &Size, evidence: &Evidence) -> anyhow::Result<Releases> {
        let actors = Actors::make(SystemTime::now())?;
        let workloads = (0..size.targets).map(|_| UnwrapKey::generate(2048)).collect::<Result<Vec<_>, _>>()?;
        let tokens = tokens(&actors.token_signer()?, evidence, &workloads, size.tokens, actors.now)?;
        let claims = tokens.iter().take(size.kept).map(Token::claims).collect::<anyhow::Result<_>>()?;
        let (runtime, pools) = (tokio::runtime::Builder::new_multi_thread().enable_all().build()?, pools()?);
        let sites = |folder: &Path| runtime.block_on(Sites::make(folder, &actors, &pools));
        let disk = sites(Path::new(env!("CARGO_TARGET_TMPDIR")))?;
        let tmpfs = Some(Path::new("/dev/shm")).filter(|folder| folder.is_dir()).map(sites).transpose()?;
        let folders = [("on disk", Path::new(env!("CARGO_TARGET_TMPDIR"))), ("in tmpfs", Path::new("/dev/shm"))];
        let place = |(words, folder)| runtime.block_on(Place::make(words, folder, &actors, &pools));
        let places =
            folders.into_iter().filter(|(_, folder)| folder.is_dir()).map(place).collect::<anyhow::Result<_>>()?;
        let mut releases = Releases {
            now: actors.now,
            straight: Arc::new(Straight::new(&actors, &rs256()?, &workloads, &disk.one)?),
            tokens: Arc::new(tokens),
            claims,
            synced: tempfile::tempfile_in(env!("CARGO_TARGET_TMPDIR"))?,
            runtime,
            disk,
            tmpfs,
            places,
        };
        releases.settle(workloads.first().context("no TEE")?)?;
        Ok(releases)
    }

    /// Shows the tokens that stay in the cache to the vaults that are to know them.
    fn settle(&mut self, workload: &UnwrapKey) -> anyhow::Result<()> {
        let token = self.tokens.first().context("no token")?;
        let answer = self.pipeline(&self.disk.one, token)?;
        Arc::get_mut(&mut self.straight).context("shared already")?.settle(workload, token, &answer)?;
        for site in [Some(&self.disk), self.tmpfs.as_ref()].into_iter().flatten().map(|sites| &sites.known) {
            each(self.tokens.iter().take(self.claims.len()), |token| self.pipeline(site, token))?;
        }
        Ok(())
    }

    fn cases<'a>(&'a self, size: &'a Size) -> Vec<Case<'a>> {
        let share = |block| size.share(block).filter_map(|index| Some((index, self.tokens.get(index)?)));
        let fresh = |block| self.tokens.get(size.share(block)).unwrap_or_default();
        let known = |block| size.share(block).map(|index| index % self.claims.len());
        let bare = move |block| each(share(block), |(index, token)| self.straight.bare(index, Some(token)));
        let straight = move |block| each(fresh(block), |token| self.straight_line(token));
        let synced = move |block| each(fresh(block), |token| self.straight_line_synced(token));
        let mut cases = vec![
            Case::new(BARE, bare),
            Case::new(STRAIGHT, straight).against(&[BARE], None),
            Case::new(SYNCED, synced).against(&[STRAIGHT], None),
        ];
        for (sites, place) in [(Some(&self.disk), "on disk"), (self.tmpfs.as_ref(), "in tmpfs")] {
            let Some(sites) = sites else { continue };
            let beside = |case: Case<'a>| if place == "on disk" { case.beside(&[SYNCED]) } else { case };
            let run = move |block| each(fresh(block), |token| self.pipeline(&sites.one, token));
            let one = Case::new(format!("pipeline, {place}"), run).against(&[STRAIGHT], AIM_RELEASE);
            let run = move |block| self.in_parallel(&sites.several, fresh(block));
            let several = Case::new(format!("pipeline, {place}, 8 callers"), run).against(&[STRAIGHT], AIM_RELEASE);
            cases.extend([beside(one), beside(several)]);
        }
        let bare = move |block| each(size.share(block), |index| self.straight.bare(index, None));
        let straight = move |block| each(known(block), |index| self.straight_line_known(index));
        cases.push(Case::new(BARE_KNOWN, bare));
        cases.push(Case::new(STRAIGHT_KNOWN, straight).against(&[BARE_KNOWN], None));
        for (sites, place) in [(Some(&self.disk), "on disk"), (self.tmpfs.as_ref(), "in tmpfs")] {
            let Some(sites) = sites else { continue };
            let tokens = move |block| known(block).filter_map(|index| self.tokens.get(index));
            let run = move |block| each(tokens(block), |token| self.pipeline(&sites.known, token));
            let case = Case::new(format!("cached: pipeline, {place}"), run);
            cases.push(case.against(&[STRAIGHT_KNOWN], AIM_RELEASE));
        }
        cases
    }

    fn asking(&self) -> Asking<'_> {
        Asking { runtime: &self.runtime, now: self.now, straight: &self.straight, tokens: &self.tokens }
    }

    fn sizes(&self) -> String {
        self.straight.sizes(self.tokens.first())
    }

    fn straight_line(&self, token: &Token) -> anyhow::Result<String> {
        self.straight.check_bearer()?;
        self.straight.release(&token.text)
    }

    /// With a record as long as the log's made durable: what the log cannot do without.
    fn straight_line_synced(&self, token: &Token) -> anyhow::Result<String> {
        (&self.synced).write_all(&[b' '; RECORD_LEN])?;
        self.synced.sync_data()?;
        self.straight_line(token)
    }

    fn straight_line_known(&self, index: usize) -> anyhow::Result<String> {
        self.straight.check_bearer()?;
        self.straight.answer(self.claims.get(index).context("no claims")?)
    }

    fn pipeline(&self, site: &Site, token: &Token) -> anyhow::Result<String> {
        self.straight.check_bearer()?;
        let grant = site.access.grant(&caller(), *site.vault.id().as_bytes(), Permission::Release)?;
        let context = Context { grant: &grant, request_id: REQUEST_ID, now: self.now, randomness: &randomizer };
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
        Ok(self.runtime.block_on(site.vault.release(&context, &command))?.value)
    }

    /// As a server under load: eight requests at a time and one log, so that releases share its syncs.
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
    async fn make(folder: &Path, actors: &Actors, pools: &Pools) -> anyhow::Result<Sites> {
        Ok(Sites {
            one: Site::make(folder, actors, pools).await?,
            several: Site::make(folder, actors, pools).await?,
            known: Site::make(folder, actors, pools).await?,
        })
    }
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

impl Appraisals {
    fn make(size: &Size) -> anyhow::Result<Appraisals> {
        let now = SystemTime::now();
        let made = now - Duration::from_secs(86_400);
        let root = Root::generate(Generation::Milan, made, &mut rng())?;
        let evidence = (0..size.chips)
            .map(|number| one_evidence(&root, number, b"{}", made))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let signing = rs256()?;
        let verifier = || snp::verifier(&root, &signing);
        let appraisals = Appraisals {
            now,
            requests: evidence.iter().map(|evidence| snp::request(evidence, None)).collect(),
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
            .against(&[SNP_BARE], AIM_SNP),
            Case::new(SNP_BARE_KNOWN, |_| each(&self.bare, |[_, _, _, report]| report.verify(&self.keys.ask))),
            Case::new("SNP: verifier, chain cached", move |_| verify_all(&self.known))
                .against(&[SNP_BARE_KNOWN], AIM_SNP),
        ]
    }

    fn verify(&self, verifier: &Verifier, request: &SnpRequest) -> anyhow::Result<()> {
        std::hint::black_box(verifier.verify(request, self.now)?);
        Ok(())
    }
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

const REQUEST_ID: &str = "6f1f1f9e-6a3a-4b5e-9f0e-0b9d5a0f2c11";
/// Octets of a release in the log.
const RECORD_LEN: usize = 814;
