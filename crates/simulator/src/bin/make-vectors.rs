//! Writes the simulated vectors: `simulated-vectors OUTDIR`.
//!
//! Reports, certificates, revocation lists and endorsements under roots made for one run and then
//! forgotten, with a `vectors.json` that says of each whether a verifier must accept it. The dates
//! are fixed; keys and signatures differ with every run, so what is committed is the output.
//! Deliberately not here: verifying them. The verifier's tests read the folder.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use der::DateTime;
use getrandom::SysRng;
use rand_core::UnwrapErr;
use skerry_simulator::{
    Chip, ChipConfig, EndorsementForm, Generation, Oddities, PssParameters, Root, SIGNED_LEN, Tcb, TeeConfig, UVM_FEED,
    UvmSigner, VekExtension, VekIssuer, VekKind, VlekConfig,
};

type Failure = Box<dyn std::error::Error>;

/// 2026-01-01 00:00:00, when everything was made.
const MADE: u64 = 1_767_225_600;
const DAY: u64 = 86_400;
/// When vectors are to be verified unless they say otherwise.
const VERIFY_AT: u64 = MADE + 30 * DAY;

fn main() -> Result<(), Failure> {
    let out = std::env::args().nth(1).ok_or("usage: simulated-vectors OUTDIR")?;
    let stock = Stock::new()?;
    let mut folder = Folder::default();
    stock.certificates(&mut folder)?;
    let mut vectors = Vec::new();
    for case in cases(&stock)? {
        vectors.push(case.write(&mut folder)?);
    }
    let index = object([("vectors", Json::List(vectors)), ("other_files", Json::List(Vec::new()))]);
    folder.put("README.md", README);
    folder.put("vectors.json", format!("{}\n", index.text(0)));
    folder.write(Path::new(&out))
}

const README: &str = "\
# Simulated vectors

SEV-SNP evidence under roots that exist nowhere else, written by `simulated-vectors` of
`skerry-simulator`. No private key was kept, so a file cannot be made again: all are written at once.

`vectors.json` has for each vector the report, the VEK, a chain file, and

- `anchor`: the one root that is trusted, by generation and SHA-256 of its SubjectPublicKeyInfo;
- `verify_at_unix`: the time of verification, in seconds;
- `crl`, and `cose` with `uvm_trust`: a revocation list, an endorsement and who may make one;
- `verdict`: `accept`; `reject` where the evidence is not genuine; `reject-debug`,
  `reject-migration` and `accept-if-vmpl-1-allowed` where it is and a policy decides;
- `check`: for `reject`, the error: its type, then its variants from outside to inside;
- `expected_claims`: what a parser reads, for reports that are not rejected.

The runtime data that a report is bound to is the `id` of its vector.
";

/// What the vectors share: a root per generation, one more for Milan that nobody trusts, signers.
struct Stock {
    milan: Root,
    genoa: Root,
    turin: Root,
    foreign: Root,
    /// The usual chips, in the order of [`Generation::ALL`].
    vceks: Vec<Chip>,
    vleks: Vec<Chip>,
    signer: UvmSigner,
    other_signer: UvmSigner,
}

impl Stock {
    fn new() -> Result<Self, Failure> {
        let mut rng = UnwrapErr(SysRng);
        let mut root = |generation| Root::generate(generation, at(MADE), &mut rng);
        let milan = root(Generation::Milan)?;
        let genoa = root(Generation::Genoa)?;
        let turin = root(Generation::Turin)?;
        let vcek = |root: &Root| root.chip(ChipConfig::numbered(root.generation(), 1), at(MADE));
        let vlek = |root: &Root| root.vlek(VlekConfig::recent(root.generation()), at(MADE));
        Ok(Self {
            vceks: vec![vcek(&milan)?, vcek(&genoa)?, vcek(&turin)?],
            vleks: vec![vlek(&milan)?, vlek(&genoa)?, vlek(&turin)?],
            milan,
            genoa,
            turin,
            foreign: root(Generation::Milan)?,
            signer: UvmSigner::generate(at(MADE), &mut UnwrapErr(SysRng))?,
            other_signer: UvmSigner::generate(at(MADE), &mut UnwrapErr(SysRng))?,
        })
    }

    fn root(&self, generation: Generation) -> &Root {
        match generation {
            Generation::Milan => &self.milan,
            Generation::Genoa => &self.genoa,
            Generation::Turin => &self.turin,
        }
    }

    /// Chain files hold ASK, ARK and ASVK in that order; the usual endorsement keys lie beside.
    fn certificates(&self, folder: &mut Folder) -> Result<(), Failure> {
        let roots =
            [("milan", &self.milan), ("genoa", &self.genoa), ("turin", &self.turin), ("foreign-milan", &self.foreign)];
        for (name, root) in roots {
            let vlek_chain = root.vlek_chain_pem()?;
            let asvk = vlek_chain.split_inclusive(PEM_END).next().unwrap_or_default();
            folder.put(&chain_file(name), format!("{}{asvk}\n", root.ca_chain_pem()?));
        }
        folder.put("certs/milan_ark_asvk.pem", self.milan.vlek_chain_pem()?);
        let ca_chain = self.milan.ca_chain_pem()?;
        let ask = ca_chain.split_inclusive(PEM_END).next().unwrap_or_default();
        let foreign_chain = self.foreign.ca_chain_pem()?;
        let foreign_ark = foreign_chain.split_inclusive(PEM_END).nth(1).unwrap_or_default();
        folder.put("certs/milan_ask_foreign_ark.pem", format!("{ask}{foreign_ark}\n"));
        folder.put("certs/milan_ask_ask.pem", format!("{ask}\n{ask}\n"));
        for chip in self.vceks.iter().chain(&self.vleks) {
            let name = chip.generation().name().to_lowercase();
            folder.put(&format!("certs/{name}.{}", vek_suffix(chip.kind())), chip.vek_der());
        }
        Ok(())
    }

    fn vcek(&self, generation: Generation) -> Result<Chip, Failure> {
        usual(&self.vceks, generation)
    }

    fn odd_vcek(&self, generation: Generation, oddities: Oddities) -> Result<Chip, Failure> {
        let config = ChipConfig { oddities, ..ChipConfig::numbered(generation, 1) };
        Ok(self.root(generation).chip(config, at(MADE))?)
    }

    fn vlek(&self, generation: Generation) -> Result<Chip, Failure> {
        usual(&self.vleks, generation)
    }
}

fn usual(chips: &[Chip], generation: Generation) -> Result<Chip, Failure> {
    let chip = chips.iter().find(|chip| chip.generation() == generation);
    Ok(chip.cloned().ok_or("no chip of that generation")?)
}

fn vek_suffix(kind: VekKind) -> &'static str {
    match kind {
        VekKind::Vcek => "vcek.der",
        VekKind::Vlek => "vlek.der",
    }
}

const PEM_END: &str = "-----END CERTIFICATE-----";

/// One vector before it is written.
struct Case<'a> {
    id: String,
    verdict: &'static str,
    reason: &'static str,
    check: Option<&'static str>,
    chip: Chip,
    report: Vec<u8>,
    chain: String,
    chain_issuer: &'static str,
    anchor: &'a Root,
    years: u16,
    validity: Option<(u64, u64)>,
    verify_at: u64,
    crl: Option<Vec<u8>>,
    uvm: Option<(Vec<u8>, String, u64)>,
}

impl<'a> Case<'a> {
    /// An acceptable vector; the methods below make it another.
    fn accept(id: &str, reason: &'static str, root: &'a Root, chip: Chip, config: TeeConfig) -> Result<Self, Failure> {
        let report = chip.boot(config, &mut UnwrapErr(SysRng)).attest(id.as_bytes())?.report;
        let (chain_issuer, years) = match chip.kind() {
            VekKind::Vcek => ("ASK", 7),
            VekKind::Vlek => ("ASVK", 1),
        };
        Ok(Self {
            id: id.to_owned(),
            verdict: "accept",
            reason,
            check: None,
            chain: chain_file(&chip.generation().name().to_lowercase()),
            chip,
            report,
            chain_issuer,
            anchor: root,
            years,
            validity: None,
            verify_at: VERIFY_AT,
            crl: None,
            uvm: None,
        })
    }

    /// `check` is the verifier's error: its type, then variants from outside to inside.
    fn reject(mut self, check: &'static str) -> Self {
        self.verdict = "reject";
        self.check = Some(check);
        self
    }

    fn verdict(mut self, verdict: &'static str) -> Self {
        self.verdict = verdict;
        self
    }

    fn edit(mut self, change: impl FnOnce(&mut Vec<u8>)) -> Self {
        change(&mut self.report);
        self
    }

    /// Changes one byte of the signed part and signs again.
    fn resigned(mut self, offset: usize, value: u8) -> Result<Self, Failure> {
        set(&mut self.report, offset, value);
        let signed: [u8; SIGNED_LEN] = bytes(&self.report, 0, SIGNED_LEN).try_into()?;
        self.report = self.chip.sign_report(&signed)?.to_vec();
        Ok(self)
    }

    fn chain(mut self, name: &str, issuer: &'static str) -> Self {
        (self.chain, self.chain_issuer) = (name.to_owned(), issuer);
        self
    }

    fn anchor(mut self, anchor: &'a Root) -> Self {
        self.anchor = anchor;
        self
    }

    fn verify_at(mut self, secs: u64) -> Self {
        self.verify_at = secs;
        self
    }

    fn validity(mut self, from: u64, to: u64) -> Self {
        self.validity = Some((from, to));
        self
    }

    fn crl(mut self, crl: Vec<u8>) -> Self {
        self.crl = Some(crl);
        self
    }

    fn uvm(mut self, cose: Vec<u8>, issuer: String, svn_min: u64) -> Self {
        self.uvm = Some((cose, issuer, svn_min));
        self
    }

    fn write(&self, folder: &mut Folder) -> Result<Json, Failure> {
        let id = &self.id;
        let kind = match self.chip.kind() {
            VekKind::Vcek => "VCEK",
            VekKind::Vlek => "VLEK",
        };
        let report = format!("{id}.report.bin");
        folder.put(&report, self.report.clone());
        let vek = format!("{id}.{}", vek_suffix(self.chip.kind()));
        let vek = folder.put_shared(&vek, self.chip.vek_der());
        let generation = text(&self.chip.generation().name().to_lowercase());
        let mut members = vec![
            ("id", text(id)),
            ("report", text(&report)),
            ("vek", text(&vek)),
            ("vek_kind", text(kind)),
            ("chain", text(&self.chain)),
            ("chain_issuer", text(self.chain_issuer)),
            ("generation", generation),
            ("origin", Json::List(vec![text("simulated")])),
            (
                "anchor",
                object([
                    ("generation", text(&self.anchor.generation().name().to_lowercase())),
                    ("ark_spki_sha256", hex(&self.anchor.ark_spki_sha256()?)),
                ]),
            ),
            ("verdict", text(self.verdict)),
            ("reason", text(self.reason)),
            ("verify_at", text(&date_time(self.verify_at)?)),
            ("verify_at_unix", Json::Number(self.verify_at)),
            ("vek_validity", self.vek_validity()?),
        ];
        members.extend(self.check.map(|check| ("check", text(check))));
        members.extend(self.write_extras(folder));
        // What a refused report says is asserted of nobody.
        if self.verdict != "reject" {
            members.push(("expected_claims", claims(self.chip.generation(), &self.report)));
        }
        Ok(Json::Object(members))
    }

    fn write_extras(&self, folder: &mut Folder) -> Vec<(&'static str, Json)> {
        let mut members = Vec::new();
        if let Some(crl) = &self.crl {
            let name = format!("{}.crl.der", self.id);
            folder.put(&name, crl.clone());
            members.push(("crl", text(&name)));
        }
        if let Some((cose, issuer, svn_min)) = &self.uvm {
            let name = format!("{}.cose", self.id);
            folder.put(&name, cose.clone());
            let trust =
                object([("issuer", text(issuer)), ("feed", text(UVM_FEED)), ("svn_min", Json::Number(*svn_min))]);
            members.extend([("cose", text(&name)), ("uvm_trust", trust)]);
        }
        members
    }

    fn vek_validity(&self) -> Result<Json, Failure> {
        let made = DateTime::from_unix_duration(Duration::from_secs(MADE))?;
        let until = DateTime::new(made.year() + self.years, 1, 1, 0, 0, 0)?.unix_duration();
        let (from, to) = self.validity.unwrap_or((MADE, until.as_secs()));
        Ok(Json::List(vec![text(&calendar(from)?), text(&calendar(to)?)]))
    }
}

fn cases(stock: &Stock) -> Result<Vec<Case<'_>>, Failure> {
    let parts = [
        genuine(stock)?,
        odd_reports(stock)?,
        odd_signatures(stock)?,
        odd_certificates(stock)?,
        odd_chains(stock)?,
        revocation(stock)?,
        utility_vms(stock)?,
    ];
    Ok(parts.into_iter().flatten().collect())
}

fn genuine(stock: &Stock) -> Result<Vec<Case<'_>>, Failure> {
    use Generation::{Genoa, Milan, Turin};
    let vceks = [
        ("milan-v2-vcek", Milan, 2, "version 2 has no cpuid: the certificate tells the generation"),
        ("milan-v3-vcek", Milan, 3, "as Confidential ACI on Milan"),
        ("milan-v4-vcek", Milan, 4, "version 4 has the layout of version 3"),
        ("milan-v5-vcek", Milan, 5, "mitigation vectors on an older generation"),
        ("genoa-v3-vcek", Genoa, 3, "as Confidential ACI on Genoa"),
        ("genoa-v5-vcek", Genoa, 5, "mitigation vectors on an older generation"),
        ("turin-v3-vcek", Turin, 3, "order of the tcb follows the generation, not the version"),
        ("turin-v5-vcek", Turin, 5, "as Confidential ACI on Turin: hardware id of 8 bytes, fmc"),
    ];
    let mut cases = Vec::new();
    for (id, generation, version, reason) in vceks {
        let config = TeeConfig { version: Some(version), ..TeeConfig::default() };
        let chip = stock.vcek(generation)?;
        cases.push(Case::accept(id, reason, stock.root(generation), chip, config)?);
    }
    let vleks = [("milan-v3-vlek", Milan), ("genoa-v3-vlek", Genoa), ("turin-v5-vlek", Turin)];
    for (id, generation) in vleks {
        let reason = "signed by a vlek: chip id zero, csp id in the certificate";
        let (root, chip) = (stock.root(generation), stock.vlek(generation)?);
        cases.push(Case::accept(id, reason, root, chip, TeeConfig::default())?);
    }
    let older = Oddities { pss: PssParameters::WithTrailer, ..Oddities::default() };
    let current = Tcb { microcode: 222, ..Tcb::recent(Milan) };
    let ahead = TeeConfig { current_tcb: Some(current), ..TeeConfig::default() };
    let inner = TeeConfig { vmpl: 1, ..TeeConfig::default() };
    let debug = TeeConfig { policy: 0xb001f, ..TeeConfig::default() };
    let migratable = TeeConfig { policy: 0x7001f, ..TeeConfig::default() };
    cases.extend([
        Case::accept(
            "milan-v3-older-pss",
            "explicit trailerField in the vcek's signature algorithm",
            &stock.milan,
            stock.odd_vcek(Milan, older)?,
            TeeConfig::default(),
        )?,
        Case::accept(
            "milan-v3-current-tcb-ahead",
            "current tcb above reported tcb: the reported one names the vcek",
            &stock.milan,
            stock.vcek(Milan)?,
            ahead,
        )?,
        Case::accept("milan-v3-vmpl1", "vmpl 1", &stock.milan, stock.vcek(Milan)?, inner)?
            .verdict("accept-if-vmpl-1-allowed"),
        Case::accept(
            "milan-v3-debug",
            "genuine, but the guest policy allows debugging",
            &stock.milan,
            stock.vcek(Milan)?,
            debug,
        )?
        .verdict("reject-debug"),
        Case::accept(
            "milan-v3-migration",
            "genuine, but the guest policy allows a migration agent",
            &stock.milan,
            stock.vcek(Milan)?,
            migratable,
        )?
        .verdict("reject-migration"),
    ]);
    Ok(cases)
}

/// Authentic reports that say what must be refused.
fn odd_reports(stock: &Stock) -> Result<Vec<Case<'_>>, Failure> {
    let usual = TeeConfig::default;
    let milan = Tcb::recent(Generation::Milan);
    let configs = [
        (
            "neg-version6",
            "ParseError.UnsupportedVersion",
            "a version nobody knows",
            TeeConfig { version: Some(6), ..usual() },
        ),
        (
            "neg-version1",
            "ParseError.UnsupportedVersion",
            "pre-release version",
            TeeConfig { version: Some(1), ..usual() },
        ),
        (
            "neg-signature-algo",
            "ReportError.UnsupportedSignatureAlgorithm",
            "signature algorithm 2",
            TeeConfig { signature_algo: 2, ..usual() },
        ),
        (
            "neg-policy-reserved-bit",
            "ReportError.MalformedPolicy",
            "guest policy bit 26 is reserved and must be zero",
            TeeConfig { policy: 0x403_001f, ..usual() },
        ),
        (
            "neg-policy-bit17-clear",
            "ReportError.MalformedPolicy",
            "guest policy bit 17 must be one",
            TeeConfig { policy: 0x1001f, ..usual() },
        ),
        (
            "neg-vmpl-host",
            "ReportError.NotGuestRequested",
            "asked for by the host, not by the guest",
            TeeConfig { vmpl: u32::MAX, ..usual() },
        ),
        (
            "neg-vcek-flagged-vlek",
            "ReportError.SigningKeyMismatch",
            "signing key says vlek, certificate is a vcek",
            TeeConfig { key_info: Some(4), ..usual() },
        ),
        (
            "neg-signing-key-none",
            "ReportError.Unsigned",
            "signing key says none",
            TeeConfig { key_info: Some(0x1c), ..usual() },
        ),
        (
            "neg-mask-chip-key",
            "ReportError.ChipKeyMasked",
            "the chip key is masked, so the signature cannot be its",
            TeeConfig { key_info: Some(2), ..usual() },
        ),
        (
            "neg-cpuid-other-generation",
            "ReportError.GenerationMismatch",
            "cpuid of Genoa under the certificates of Milan",
            TeeConfig { cpuid: Some([0x19, 0x11, 1]), ..usual() },
        ),
        (
            "neg-cpuid-unknown",
            "ReportError.UnsupportedProcessor.UnsupportedProcessor",
            "cpuid of no known processor",
            TeeConfig { cpuid: Some([0x17, 0x31, 0]), ..usual() },
        ),
        (
            "neg-author-digest",
            "ReportError.AuthorKeyDigestUnexpected",
            "author key digest although there is no author key",
            TeeConfig { author_key_digest: [1; 48], ..usual() },
        ),
        (
            "neg-committed-above-current",
            "ReportError.CommittedAboveCurrent",
            "committed tcb above the current one",
            TeeConfig { committed_tcb: Some(Tcb { snp: milan.snp + 1, ..milan }), ..usual() },
        ),
    ];
    let mut cases = Vec::new();
    for (id, check, reason, config) in configs {
        let chip = stock.vcek(Generation::Milan)?;
        cases.push(Case::accept(id, reason, &stock.milan, chip, config)?.reject(check));
    }
    let flagged = TeeConfig { key_info: Some(0), ..usual() };
    cases.extend([
        Case::accept(
            "neg-vlek-flagged-vcek",
            "signing key says vcek, certificate is a vlek",
            &stock.milan,
            stock.vlek(Generation::Milan)?,
            flagged,
        )?
        .reject("ReportError.SigningKeyMismatch"),
        Case::accept(
            "neg-vlek-with-chip-id",
            "a vlek signs, but the report shows a chip id",
            &stock.milan,
            stock.vlek(Generation::Milan)?,
            TeeConfig { chip_id: Some([7; 64]), ..usual() },
        )?
        .reject("ReportError.ChipIdNotMasked"),
        Case::accept(
            "neg-turin-chip-id-tail",
            "chip id goes on after the 8 bytes that are certified",
            &stock.turin,
            stock.vcek(Generation::Turin)?,
            usual(),
        )?
        .resigned(0x1a8, 1)?
        .reject("ReportError.ChipIdMismatch"),
    ]);
    Ok(cases)
}

/// Reports whose bytes were changed after signing.
fn odd_signatures(stock: &Stock) -> Result<Vec<Case<'_>>, Failure> {
    type Change = fn(&mut Vec<u8>);
    let changes: [(&str, &str, &'static str, Change); 9] = [
        ("neg-measurement-flip", "ReportError.BadSignature", "measurement changed after signing", |report| {
            flip(report, 0x90);
        }),
        ("neg-report-data-flip", "ReportError.BadSignature", "report data changed after signing", |report| {
            flip(report, 0x50);
        }),
        ("neg-signature-zero", "ReportError.SignatureRange", "r and s are zero", |report| {
            report.truncate(SIGNED_LEN);
            report.resize(1184, 0);
        }),
        ("neg-signature-flip", "ReportError.BadSignature", "s changed", |report| flip(report, 0x2e8)),
        ("neg-signature-padding-r", "ParseError.SignaturePadding", "byte 48 of r must be zero", |report| {
            set(report, 0x2d0, 1);
        }),
        ("neg-signature-padding-s", "ParseError.SignaturePadding", "byte 71 of s must be zero", |report| {
            set(report, 0x32f, 1);
        }),
        ("neg-signature-tail", "ParseError.ReservedNotZero", "what follows the signature must be zero", |report| {
            set(report, 0x49f, 1);
        }),
        ("neg-size-1183", "ParseError.Length", "one byte short", |report| report.truncate(1183)),
        ("neg-size-1185", "ParseError.Length", "one byte over", |report| report.push(0)),
    ];
    let mut cases = Vec::new();
    for (id, check, reason, change) in changes {
        let check: &'static str = check;
        let chip = stock.vcek(Generation::Milan)?;
        let case = Case::accept(id, reason, &stock.milan, chip, TeeConfig::default())?;
        cases.push(case.edit(change).reject(check));
    }
    Ok(cases)
}

/// Certificates that the right authority signed and that are wrong in one way.
fn odd_certificates(stock: &Stock) -> Result<Vec<Case<'_>>, Failure> {
    use Generation::{Milan, Turin};
    let names = |list: &[&str]| Some(list.iter().map(|name| (*name).to_owned()).collect());
    let milan = Tcb::recent(Milan);
    let odd = Oddities::default;
    let table = [
        (
            "neg-chip-id",
            "ReportError.ChipIdMismatch",
            "certificate of another chip",
            Milan,
            Oddities { hw_id: Some(vec![9; 64]), ..odd() },
        ),
        (
            "neg-tcb-microcode",
            "ReportError.TcbMismatch",
            "certificate of another microcode",
            Milan,
            Oddities { tcb: Some(Tcb { microcode: milan.microcode - 1, ..milan }), ..odd() },
        ),
        (
            "neg-tcb-fmc",
            "ReportError.TcbMismatch",
            "certificate of another fmc",
            Turin,
            Oddities { tcb: Some(Tcb { fmc: 2, ..Tcb::recent(Turin) }), ..odd() },
        ),
        (
            "neg-missing-snpspl",
            "ChainError.Vek.Missing",
            "no snpSPL",
            Milan,
            Oddities { missing: vec![VekExtension::SnpSpl], ..odd() },
        ),
        (
            "neg-missing-hwid",
            "ChainError.Vek.Missing",
            "no hwID",
            Milan,
            Oddities { missing: vec![VekExtension::HwId], ..odd() },
        ),
        (
            "neg-missing-product",
            "ChainError.Vek.Missing",
            "no product name",
            Milan,
            Oddities { missing: vec![VekExtension::Product], ..odd() },
        ),
        (
            "neg-missing-fmcspl",
            "ChainError.Vek.Missing",
            "no fmcSPL on Turin",
            Turin,
            Oddities { missing: vec![VekExtension::FmcSpl], ..odd() },
        ),
        (
            "neg-duplicate-ucodespl",
            "EndorsementError.X509.DuplicateExtension",
            "ucodeSPL twice",
            Milan,
            Oddities { duplicated: vec![VekExtension::UcodeSpl], ..odd() },
        ),
        (
            "neg-spl-not-integer",
            "ChainError.Vek.Malformed",
            "blSPL is an octet string",
            Milan,
            Oddities { replaced: vec![(VekExtension::BlSpl, vec![4, 1, 4])], ..odd() },
        ),
        (
            "neg-product-other",
            "ChainError.Vek.Product",
            "product name of another generation",
            Milan,
            Oddities { product: Some("Genoa".to_owned()), ..odd() },
        ),
        (
            "neg-two-common-names",
            "EndorsementError.UnknownRole",
            "two common names",
            Milan,
            Oddities { common_names: names(&["SEV-VCEK", "SEV-VLEK"]), ..odd() },
        ),
        (
            "neg-no-common-name",
            "EndorsementError.UnknownRole",
            "no common name",
            Milan,
            Oddities { common_names: names(&[]), ..odd() },
        ),
        (
            "neg-unknown-critical",
            "ChainError.CriticalExtension",
            "a critical extension nobody knows",
            Milan,
            Oddities { unknown_critical: true, ..odd() },
        ),
    ];
    let mut cases = Vec::new();
    for (id, check, reason, generation, oddities) in table {
        let chip = stock.odd_vcek(generation, oddities)?;
        let root = stock.root(generation);
        cases.push(Case::accept(id, reason, root, chip, TeeConfig::default())?.reject(check));
    }
    let from = MADE + 365 * DAY;
    let to = from + 365 * DAY;
    let later = Oddities { validity: Some((at(from), at(to))), ..odd() };
    cases.extend([
        Case::accept(
            "neg-vcek-not-yet-valid",
            "vcek is valid from a year later on",
            &stock.milan,
            stock.odd_vcek(Milan, later)?,
            TeeConfig::default(),
        )?
        .validity(from, to)
        .reject("ChainError.NotYetValid"),
        Case::accept(
            "neg-vlek-expired",
            "vlek has expired two years after issue",
            &stock.milan,
            stock.vlek(Milan)?,
            TeeConfig::default(),
        )?
        .verify_at(MADE + 730 * DAY)
        .reject("ChainError.Expired"),
    ]);
    Ok(cases)
}

/// Chains that are signed throughout and must not be trusted, or are not signed.
fn odd_chains(stock: &Stock) -> Result<Vec<Case<'_>>, Failure> {
    use Generation::Milan;
    let issued_by = |issuer| Oddities { issuer: Some(issuer), ..Oddities::default() };
    let foreign = || stock.foreign.chip(ChipConfig::numbered(Milan, 1), at(MADE));
    let case = |id, reason, chip| Case::accept(id, reason, &stock.milan, chip, TeeConfig::default());
    Ok(vec![
        case("neg-untrusted-root", "everything right, under another root", foreign()?)?
            .chain(&chain_file("foreign-milan"), "ASK")
            .reject("ChainError.UnknownRoot"),
        case("neg-grafted-vcek", "vcek of another root under the trusted chain", foreign()?)?
            .reject("ChainError.BadSignature"),
        case("neg-ask-as-ark", "the ask is offered as ark", stock.vcek(Milan)?)?
            .chain("certs/milan_ask_ask.pem", "ASK")
            .reject("ChainError.Missing"),
        case("neg-vcek-from-asvk", "vcek issued by the asvk", stock.odd_vcek(Milan, issued_by(VekIssuer::Asvk))?)?
            .chain(&chain_file("milan"), "ASVK")
            .reject("ChainError.Crossed"),
        case("neg-vcek-from-ark", "vcek issued by the ark itself", stock.odd_vcek(Milan, issued_by(VekIssuer::Ark))?)?
            .reject("ChainError.Issuer"),
        case(
            "neg-wrong-intermediate",
            "issuer of the vcek left out of the chain, the other one given",
            stock.vcek(Milan)?,
        )?
        .chain("certs/milan_ark_asvk.pem", "ASVK")
        .reject("ChainError.Missing"),
        case("neg-wrong-generation-chain", "vcek of Milan, chain of Genoa", stock.vcek(Milan)?)?
            .chain(&chain_file("genoa"), "ASK")
            .anchor(&stock.genoa)
            .reject("ChainError.Issuer"),
        case("neg-foreign-ark", "ark of another root above the ask", stock.vcek(Milan)?)?
            .chain("certs/milan_ask_foreign_ark.pem", "ASK")
            .reject("ChainError.UnknownRoot"),
        case("neg-foreign-ask", "ask of another root below the trusted ark", stock.vcek(Milan)?)?
            .chain("certs/milan_ask_foreign_ark.pem", "ASK")
            .anchor(&stock.foreign)
            .reject("ChainError.BadSignature"),
    ])
}

fn revocation(stock: &Stock) -> Result<Vec<Case<'_>>, Failure> {
    use Generation::Milan;
    let [_, ask, asvk] = stock.milan.serials();
    let (from, to) = (at(MADE), at(MADE + 180 * DAY));
    let vcek = |id, reason| Case::accept(id, reason, &stock.milan, stock.vcek(Milan)?, TeeConfig::default());
    let vlek = Case::accept(
        "neg-asvk-revoked",
        "the asvk is revoked",
        &stock.milan,
        stock.vlek(Milan)?,
        TeeConfig::default(),
    )?;
    let list = |revoked: &[u32]| stock.milan.crl(revoked, from, to);
    let mut flipped = list(&[])?;
    let middle = flipped.len() - 1;
    flip(&mut flipped, middle);
    Ok(vec![
        vcek("milan-v3-crl-empty", "revocation list without entries")?.crl(list(&[])?),
        vcek("milan-v3-crl-asvk", "revoking the asvk does not touch vceks")?.crl(list(&[asvk])?),
        vcek("neg-ask-revoked", "the ask is revoked")?.crl(list(&[1, ask])?).reject("ChainError.Revoked"),
        vlek.crl(list(&[asvk])?).reject("ChainError.Revoked"),
        vcek("neg-crl-other-key", "revocation list signed by a foreign key of the same name")?
            .crl(stock.foreign.crl(&[], from, to)?)
            .reject("ChainError.Crl.BadSignature"),
        vcek("neg-crl-flip", "last byte of the revocation list's signature changed")?
            .crl(flipped)
            .reject("ChainError.Crl.BadSignature"),
        vcek("neg-crl-stale", "revocation list past its next update")?
            .crl(list(&[])?)
            .verify_at(MADE + 181 * DAY)
            .reject("ChainError.Crl.Expired"),
        vcek("neg-crl-early", "revocation list from the future")?
            .crl(stock.milan.crl(&[], at(MADE + 60 * DAY), to)?)
            .reject("ChainError.Crl.NotYetValid"),
    ])
}

fn utility_vms(stock: &Stock) -> Result<Vec<Case<'_>>, Failure> {
    let measurement = TeeConfig::default().measurement;
    let case = |id, reason| {
        let chip = stock.vcek(Generation::Milan)?;
        Case::accept(id, reason, &stock.milan, chip, TeeConfig::default())
    };
    let signer = &stock.signer;
    let cose = |svn| signer.endorse(measurement, svn, UVM_FEED);
    let integer = signer.endorse_as(EndorsementForm::IntegerSvn, measurement, 104, UVM_FEED)?;
    let mut flipped = cose(104)?;
    // The payload's measurement comes last before the signature of 96 bytes with its head of 2.
    let offset = flipped.len() - 96 - 2 - 10;
    flip(&mut flipped, offset);
    Ok(vec![
        case("uvm-text-svn", "security version as text")?.uvm(cose(104)?, signer.did(), 100),
        case("uvm-integer-svn", "security version as number")?.uvm(integer, signer.did(), 100),
        case("uvm-svn-equal", "security version at the minimum")?.uvm(cose(100)?, signer.did(), 100),
        case("neg-uvm-rollback", "security version below the minimum")?
            .uvm(cose(99)?, signer.did(), 100)
            .reject("UvmError.SvnBelowMinimum"),
        case("neg-uvm-unknown-issuer", "endorsed by a stranger")?
            .uvm(stock.other_signer.endorse(measurement, 104, UVM_FEED)?, signer.did(), 100)
            .reject("UvmError.UnknownIssuer"),
        case("neg-uvm-unknown-feed", "endorsed for another feed")?
            .uvm(signer.endorse(measurement, 104, "ConfAKS-AMD-UVM")?, signer.did(), 100)
            .reject("UvmError.UnknownFeed"),
        case("neg-uvm-other-measurement", "endorses another image")?
            .uvm(signer.endorse([1; 48], 104, UVM_FEED)?, signer.did(), 100)
            .reject("UvmMismatch"),
        case("neg-uvm-payload-flip", "payload changed after signing")?
            .uvm(flipped, signer.did(), 100)
            .reject("UvmError.Cose.Signature"),
    ])
}

/// What a parser must read from a report, with the members of the vectors of real evidence.
fn claims(generation: Generation, report: &[u8]) -> Json {
    let version = number(report, 0, 4);
    let policy = number(report, 0x08, 8);
    let key_info = number(report, 0x48, 4);
    let raw = |offset, len| hex(bytes(report, offset, len));
    let bit = |of: u64, bit: u32| Json::Bool(of >> bit & 1 == 1);
    let from = |minimum, value| {
        if version >= minimum { value } else { Json::Null }
    };
    object([
        ("version", Json::Number(version)),
        ("guest_svn", Json::Number(number(report, 0x04, 4))),
        ("policy", text(&format!("{policy:#x}"))),
        ("vmpl", Json::Number(number(report, 0x30, 4))),
        ("signature_algo", Json::Number(number(report, 0x34, 4))),
        ("platform_info", Json::Number(number(report, 0x40, 8))),
        ("key_info", Json::Number(key_info)),
        ("signing_key", signing_key(key_info)),
        ("author_key_en", Json::Number(key_info & 1)),
        ("mask_chip_key", Json::Number(key_info >> 1 & 1)),
        ("abi", text(&format!("{}.{}", policy >> 8 & 0xff, policy & 0xff))),
        ("smt_allowed", bit(policy, 16)),
        ("migrate_ma_allowed", bit(policy, 18)),
        ("debug_allowed", bit(policy, 19)),
        ("single_socket", bit(policy, 20)),
        ("family_id", raw(0x10, 16)),
        ("image_id", raw(0x20, 16)),
        ("report_data", raw(0x50, 64)),
        ("measurement", raw(0x90, 48)),
        ("host_data", raw(0xc0, 32)),
        ("id_key_digest", raw(0xe0, 48)),
        ("author_key_digest", raw(0x110, 48)),
        ("report_id", raw(0x140, 32)),
        ("report_id_ma", raw(0x160, 32)),
        ("reported_tcb_raw", raw(0x180, 8)),
        ("reported_tcb", tcb(generation, bytes(report, 0x180, 8))),
        ("current_tcb_raw", raw(0x38, 8)),
        ("committed_tcb_raw", raw(0x1e0, 8)),
        ("launch_tcb_raw", raw(0x1f0, 8)),
        ("cpuid_fam_mod_step", from(3, raw(0x188, 3))),
        ("chip_id", raw(0x1a0, 64)),
        ("current_version", firmware(bytes(report, 0x1e8, 3))),
        ("committed_version", firmware(bytes(report, 0x1ec, 3))),
        ("launch_mit_vector", from(5, Json::Number(number(report, 0x1f8, 8)))),
        ("current_mit_vector", from(5, Json::Number(number(report, 0x200, 8)))),
    ])
}

fn signing_key(key_info: u64) -> Json {
    match key_info >> 2 & 7 {
        0 => text("VCEK"),
        1 => text("VLEK"),
        7 => text("NONE"),
        _ => Json::Null,
    }
}

fn tcb(generation: Generation, raw: &[u8]) -> Json {
    let level = |at: usize| Json::Number(number(raw, at, 1));
    match generation {
        Generation::Milan | Generation::Genoa => {
            object([("bootloader", level(0)), ("tee", level(1)), ("snp", level(6)), ("microcode", level(7))])
        }
        Generation::Turin => object([
            ("fmc", level(0)),
            ("bootloader", level(1)),
            ("tee", level(2)),
            ("snp", level(3)),
            ("microcode", level(7)),
        ]),
    }
}

fn firmware(raw: &[u8]) -> Json {
    let part = |at: usize| number(raw, at, 1);
    text(&format!("{}.{}.{}", part(2), part(1), part(0)))
}

fn number(report: &[u8], offset: usize, len: usize) -> u64 {
    bytes(report, offset, len).iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

fn bytes(report: &[u8], offset: usize, len: usize) -> &[u8] {
    report.get(offset..offset + len).unwrap_or_default()
}

fn set(report: &mut [u8], offset: usize, value: u8) {
    report.iter_mut().skip(offset).take(1).for_each(|byte| *byte = value);
}

fn flip(report: &mut [u8], offset: usize) {
    report.iter_mut().skip(offset).take(1).for_each(|byte| *byte ^= 1);
}

fn chain_file(name: &str) -> String {
    format!("certs/{name}_ask_ark_asvk.pem")
}

fn at(secs: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(secs)
}

fn calendar(secs: u64) -> Result<String, Failure> {
    Ok(date_time(secs)?.replace('T', " ").replace('Z', ""))
}

fn date_time(secs: u64) -> Result<String, Failure> {
    Ok(DateTime::from_unix_duration(Duration::from_secs(secs))?.to_string())
}

/// Files to be written, by name.
#[derive(Default)]
struct Folder(BTreeMap<String, Vec<u8>>);

impl Folder {
    fn put(&mut self, name: &str, bytes: impl Into<Vec<u8>>) {
        self.0.insert(name.to_owned(), bytes.into());
    }

    /// Puts the file unless there is one with the same bytes; gives the name of the one there is.
    fn put_shared(&mut self, name: &str, bytes: &[u8]) -> String {
        if let Some((known, _)) = self.0.iter().find(|(_, other)| other.as_slice() == bytes) {
            return known.clone();
        }
        self.put(name, bytes);
        name.to_owned()
    }

    fn write(&self, out: &Path) -> Result<(), Failure> {
        std::fs::create_dir_all(out.join("certs"))?;
        for (name, bytes) in &self.0 {
            std::fs::write(out.join(name), bytes)?;
        }
        Ok(())
    }
}

/// A JSON value to be written; texts here need no escapes beyond quotes and backslashes.
#[derive(Clone)]
enum Json {
    Null,
    Bool(bool),
    Number(u64),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(&'static str, Json)>),
}

impl Json {
    fn text(&self, depth: usize) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Number(value) => value.to_string(),
            Self::Text(value) => format!("{value:?}"),
            Self::List(items) => block('[', ']', depth, items.iter().map(|item| item.text(depth + 1))),
            Self::Object(members) => {
                let member = |(name, value): &(&str, Self)| format!("\"{name}\": {}", value.text(depth + 1));
                block('{', '}', depth, members.iter().map(member))
            }
        }
    }
}

fn block(open: char, close: char, depth: usize, items: impl Iterator<Item = String>) -> String {
    let mut out = String::from(open);
    for (at, item) in items.enumerate() {
        let comma = if at == 0 { "" } else { "," };
        let _ = write!(out, "{comma}\n{:width$}{item}", "", width = depth + 1);
    }
    if out.len() > 1 {
        let _ = write!(out, "\n{:depth$}", "");
    }
    out.push(close);
    out
}

fn object<const N: usize>(members: [(&'static str, Json); N]) -> Json {
    Json::Object(members.into())
}

fn text(value: &str) -> Json {
    Json::Text(value.to_owned())
}

fn hex(bytes: &[u8]) -> Json {
    Json::Text(hex::encode(bytes))
}
