//! `skerry evidence show`: what files of evidence say, in words.
//!
//! Nobody vouches for what is shown, with one exception: a UVM endorsement shows nothing before its signature holds.

use std::path::{Path, PathBuf};

use anyhow::Result;
use comfy_table::Table;
use der::Decode as _;
use der::asn1::{Ia5StringRef, ObjectIdentifier};
use skerry_evidence::limits::Limits;
use skerry_evidence::snp::{Generation, GuestPolicy, KeyInfo, PlatformInfo, RawTcb, Report, SigningKey, TcbVersion};
use skerry_evidence::uvm::{AuthenticEndorsement, Endorsement};
use skerry_evidence::x509::{Budget, Certificate, DistinguishedName};
use x509_cert::crl::CertificateList;
use x509_cert::name::Name;

use super::piece::Piece;
use super::time_text;
use crate::edge;

/// Shows each file; the second of the pair is whether every one of them could be shown.
pub(super) fn show(files: &[PathBuf]) -> Result<(String, bool)> {
    let pieces = files.iter().map(|file| Ok((file, Piece::read(file)?))).collect::<Result<Vec<_>>>()?;
    let mut shown = String::new();
    let mut all = true;
    for (file, piece) in pieces {
        let (text, is_shown) = match show_piece(&piece) {
            Ok(text) => (text, true),
            Err(why) => (why, false),
        };
        shown.push_str(&format!("{}: {}\n{text}\n", name(file), kind(&piece)));
        all &= is_shown;
    }
    Ok((shown.trim_end().to_owned(), all))
}

fn name(file: &Path) -> String {
    file.display().to_string()
}

fn kind(piece: &Piece) -> &'static str {
    match piece {
        Piece::Report(_) => "SEV-SNP attestation report",
        Piece::Certificates(_) => "certificates",
        Piece::Crl(_) => "certificate revocation list",
        Piece::Uvm(_) => "UVM endorsement",
        Piece::Host { .. } => "certificates as Azure's host serves them (THIM)",
    }
}

/// The text, or why there is none.
fn show_piece(piece: &Piece) -> std::result::Result<String, String> {
    match piece {
        Piece::Report(bytes) => Report::parse(bytes)
            .map(|report| show_report(&report))
            .map_err(|e| format!("malformed: {}", edge::chain(e))),
        Piece::Certificates(bytes) => show_certificates(bytes),
        Piece::Crl(bytes) => show_crl(bytes),
        Piece::Uvm(bytes) => show_uvm(bytes),
        Piece::Host { certificates, tcbm } => {
            let tcbm = tcbm.as_deref().map(|tcbm| format!("tcbm {tcbm}: {}\n", host_tcb(tcbm, certificates)));
            show_certificates(certificates).map(|text| tcbm.unwrap_or_default() + &text)
        }
    }
}

fn show_report(report: &Report) -> String {
    let mut table = edge::table(["field", "value", "meaning"]);
    let cpu = report.cpu_id().map(|id| format!("{:02x} {:02x} {:02x}", id.family, id.model, id.stepping));
    let generation = match report.generation() {
        Ok(Some(generation)) => generation.name().to_owned(),
        Ok(None) => "version 2 does not say".to_owned(),
        Err(unsupported) => unsupported.to_string(),
    };
    let vector = |vector: Option<u64>| vector.map_or("-".to_owned(), |bits| format!("{bits:#x}"));
    let (policy, platform, key) = (report.policy(), report.platform_info(), report.key_info());
    let rows: [[String; 3]; 23] = [
        plain("version", report.version()),
        plain("guest_svn", report.guest_svn()),
        ["policy".into(), format!("{:#x}", policy.0), policy_text(policy)],
        plain("family_id", hex::encode(report.family_id())),
        plain("image_id", hex::encode(report.image_id())),
        ["vmpl".into(), report.vmpl().to_string(), vmpl_text(report.vmpl())],
        ["signature_algo".into(), report.signature_algo().to_string(), "1: ECDSA P-384 with SHA-384".into()],
        ["platform_info".into(), format!("{:#x}", platform.0), platform_text(platform)],
        ["key_info".into(), format!("{:#x}", key.0), key_text(key)],
        plain("report_data", hex::encode(report.report_data())),
        plain("measurement", hex::encode(report.measurement())),
        plain("host_data", hex::encode(report.host_data())),
        plain("id_key_digest", hex::encode(report.id_key_digest())),
        plain("author_key_digest", hex::encode(report.author_key_digest())),
        plain("report_id", hex::encode(report.report_id())),
        plain("report_id_ma", hex::encode(report.report_id_ma())),
        ["cpuid".into(), cpu.unwrap_or_else(|| "-".into()), generation],
        plain("chip_id", hex::encode(report.chip_id())),
        plain("current_version", report.current_version()),
        plain("committed_version", report.committed_version()),
        plain("launch_mit_vector", vector(report.launch_mit_vector())),
        plain("current_mit_vector", vector(report.current_mit_vector())),
        plain("signature", format!("r {}\ns {}", scalar(report.signature_r()), scalar(report.signature_s()))),
    ];
    table.add_rows(rows);
    format!("{table}\n{}", tcb_table(report))
}

fn plain(name: &str, value: impl ToString) -> [String; 3] {
    [name.to_owned(), value.to_string(), String::new()]
}

/// Big-endian, as people write numbers.
fn scalar(little_endian: &[u8; 48]) -> String {
    hex::encode(little_endian.iter().rev().copied().collect::<Vec<u8>>())
}

/// One row for each component. Version 2 knows Milan and Genoa only, whose byte order is the same.
fn tcb_table(report: &Report) -> Table {
    let generation = report.generation().ok().flatten().unwrap_or(Generation::Milan);
    let mut table = edge::table(["TCB", "reported", "committed", "current", "launch"]);
    let raw = [report.reported_tcb(), report.committed_tcb(), report.current_tcb(), report.launch_tcb()];
    let decoded = raw.map(|tcb| tcb.decode(generation).ok());
    for (name, component) in COMPONENTS {
        let svn = |tcb: Option<TcbVersion>| match tcb.map(|tcb| component(&tcb)) {
            Some(Some(svn)) => svn.to_string(),
            Some(None) => "-".to_owned(),
            None => "?".to_owned(),
        };
        let [reported, committed, current, launch] = decoded.map(svn);
        table.add_row([(*name).to_owned(), reported, committed, current, launch]);
    }
    let [reported, committed, current, launch] = raw.map(|RawTcb(bytes)| hex::encode(bytes));
    table.add_row(["raw bytes".to_owned(), reported, committed, current, launch]);
    table
}

type Component = fn(&TcbVersion) -> Option<u8>;

const COMPONENTS: &[(&str, Component)] = &[
    ("fmc", |tcb| tcb.fmc),
    ("bootloader", |tcb| Some(tcb.bootloader)),
    ("tee", |tcb| Some(tcb.tee)),
    ("snp", |tcb| Some(tcb.snp)),
    ("microcode", |tcb| Some(tcb.microcode)),
];

/// `tcbm` is TCB_VERSION as one number in hex: the bytes of a report, the last first.
fn host_tcb(tcbm: &str, certificates: &[u8]) -> String {
    let mut bytes = [0; 8];
    if hex::decode_to_slice(tcbm, &mut bytes).is_err() {
        return "not eight bytes of hex".to_owned();
    }
    bytes.reverse();
    let certificates = Certificate::from_pem_bundle(certificates, &Limits::default()).unwrap_or_default();
    let product = certificates.iter().find_map(|c| c.extension(PRODUCT_NAME));
    let product = product.and_then(|der| Ia5StringRef::from_der(der).ok().map(|text| text.as_str().to_owned()));
    let generation = product.and_then(|name| Generation::from_product_name(&name)).unwrap_or(Generation::Milan);
    let Ok(tcb) = RawTcb(bytes).decode(generation) else { return "reserved bytes are set".to_owned() };
    let components = COMPONENTS.iter().filter_map(|(name, of)| of(&tcb).map(|svn| format!("{name} {svn}")));
    components.collect::<Vec<_>>().join(", ")
}

fn yes(on: bool, text: &str, otherwise: &str) -> String {
    if on { text.to_owned() } else { otherwise.to_owned() }
}

fn lines(all: impl IntoIterator<Item = String>) -> String {
    all.into_iter().filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

fn policy_text(policy: GuestPolicy) -> String {
    lines([
        format!("ABI at least {}.{}", policy.abi_major(), policy.abi_minor()),
        yes(policy.smt_allowed(), "SMT allowed", "SMT not allowed"),
        yes(policy.migrate_ma_allowed(), "MIGRATION AGENT ALLOWED", "no migration agent"),
        yes(policy.debug_allowed(), "DEBUG ALLOWED: the host can read the guest", "debug not allowed"),
        yes(policy.single_socket(), "one socket only", ""),
        yes(policy.cxl_allowed(), "CXL allowed", ""),
        yes(policy.mem_aes_256_xts(), "AES-256-XTS demanded", ""),
        yes(policy.rapl_disabled(), "RAPL must be off", ""),
        yes(policy.ciphertext_hiding(), "ciphertext hiding demanded", ""),
        yes(policy.page_swap_disabled(), "page swap disabled", ""),
        yes(policy.is_well_formed(), "", "MALFORMED: bit 17 clear or a reserved bit set"),
    ])
}

fn platform_text(platform: PlatformInfo) -> String {
    lines([
        yes(platform.smt_enabled(), "SMT on", "SMT off"),
        yes(platform.tsme_enabled(), "TSME on", ""),
        yes(platform.ecc_enabled(), "ECC memory", ""),
        yes(platform.rapl_disabled(), "RAPL off", ""),
        yes(platform.ciphertext_hiding(), "ciphertext hiding on", ""),
        yes(platform.alias_check_complete(), "memory alias check complete", "memory alias check not reported"),
        yes(platform.tio_enabled(), "SEV-TIO on", ""),
    ])
}

fn key_text(key: KeyInfo) -> String {
    let signer = match key.signing_key() {
        SigningKey::Vcek => "signed by the VCEK".to_owned(),
        SigningKey::Vlek => "signed by the VLEK".to_owned(),
        SigningKey::None => "NOT SIGNED".to_owned(),
        SigningKey::Reserved(value) => format!("signing key {value}: reserved"),
    };
    lines([
        signer,
        yes(key.author_key_en(), "an author key signed the ID key", ""),
        yes(key.mask_chip_key(), "chip key masked", ""),
    ])
}

fn vmpl_text(vmpl: u32) -> String {
    match vmpl {
        0 => "most privileged level of the guest".to_owned(),
        1..=3 => "below another level of the guest, such as a paravisor".to_owned(),
        u32::MAX => "asked for by the host, not by a guest".to_owned(),
        _ => "no level that exists".to_owned(),
    }
}

fn show_certificates(bytes: &[u8]) -> std::result::Result<String, String> {
    let limits = Limits::default();
    let parsed = match bytes.trim_ascii_start().starts_with(b"-----") {
        true => Certificate::from_pem_bundle(bytes, &limits),
        false => Certificate::from_der(bytes, &limits).map(|certificate| vec![certificate]),
    };
    let certificates = parsed.map_err(|error| format!("malformed: {}", edge::chain(error)))?;
    Ok(certificates.iter().map(|certificate| show_certificate(certificate).to_string()).collect::<Vec<_>>().join("\n"))
}

fn show_certificate(certificate: &Certificate) -> Table {
    let mut table = edge::table(["field", "value"]);
    let key = certificate.public_key().map_or_else(edge::chain, |key| format!("{:?}", key.kind));
    let algorithm = certificate.signature_algorithm().map_or_else(edge::chain, |algorithm| format!("{algorithm:?}"));
    let ca = certificate.is_ca().map_or_else(edge::chain, |ca| yes(ca, "may issue certificates", "leaf"));
    for (name, value) in [
        ("subject", distinguished(certificate.subject())),
        ("issuer", distinguished(certificate.issuer())),
        ("serial", hex::encode(certificate.serial())),
        ("not before", time_text(certificate.not_before())),
        ("not after", time_text(certificate.not_after())),
        ("public key", key),
        ("spki sha256", hex::encode(certificate.spki_sha256())),
        ("signature algorithm", algorithm),
        ("role", ca),
    ] {
        table.add_row([name.to_owned(), value]);
    }
    for (oid, name) in AMD_EXTENSIONS {
        if let Some(content) = certificate.extension(*oid) {
            table.add_row([format!("{name} ({oid})"), extension_text(content)]);
        }
    }
    table
}

/// DER INTEGER, IA5String, or bare bytes (AMD 57230, 3.1).
fn extension_text(content: &[u8]) -> String {
    let integer = u8::from_der(content).ok().map(|number| number.to_string());
    let text = || Ia5StringRef::from_der(content).ok().map(|text| text.as_str().to_owned());
    integer.or_else(text).unwrap_or_else(|| hex::encode(content))
}

fn distinguished(name: &DistinguishedName) -> String {
    Name::from_der(name.der()).map_or_else(|_| hex::encode(name.der()), |name| name.to_string())
}

fn show_crl(bytes: &[u8]) -> std::result::Result<String, String> {
    let list = <CertificateList>::from_der(bytes).map_err(|error| format!("malformed: {error}"))?.tbs_cert_list;
    let mut table = edge::table(["field", "value"]);
    let next = list.next_update.map_or("absent: such a list is refused".to_owned(), |t| time_text(t.to_system_time()));
    table.add_row(["issuer".to_owned(), list.issuer.to_string()]);
    table.add_row(["this update".to_owned(), time_text(list.this_update.to_system_time())]);
    table.add_row(["next update".to_owned(), next]);
    let revoked = list.revoked_certificates.unwrap_or_default();
    table.add_row(["revoked certificates".to_owned(), revoked.len().to_string()]);
    for entry in revoked {
        let since = time_text(entry.revocation_date.to_system_time());
        table.add_row([format!("serial {}", hex::encode(entry.serial_number.as_bytes())), since]);
    }
    Ok(table.to_string())
}

fn show_uvm(bytes: &[u8]) -> std::result::Result<String, String> {
    let parsed = Endorsement::parse(bytes).map_err(|error| format!("malformed: {}", edge::chain(error)))?;
    let mut budget = Budget::from(&Limits::default());
    let authentic = parsed.authenticate(&mut budget);
    let authentic = authentic.map_err(|error| format!("not authentic, so not shown: {}", edge::chain(error)))?;
    Ok(uvm_table(&authentic, parsed.receipts()).to_string())
}

fn uvm_table(endorsement: &AuthenticEndorsement, receipts: usize) -> Table {
    let mut table = edge::table(["field", "value"]);
    let or_absent = |text: Option<String>| text.unwrap_or_else(|| "absent".to_owned());
    let payload = match std::str::from_utf8(endorsement.payload()) {
        Ok(text) if !endorsement.is_hash_envelope() => text.to_owned(),
        _ => hex::encode(endorsement.payload()),
    };
    for (name, value) in [
        ("signature, chain, issuer", "hold; whom to trust is another question".to_owned()),
        ("issuer", endorsement.issuer().to_owned()),
        ("feed", endorsement.feed().to_owned()),
        ("signed at", or_absent(endorsement.signed_at().map(time_text))),
        ("svn in the header", or_absent(endorsement.header_svn().map(|svn| svn.to_string()))),
        ("content type", or_absent(endorsement.content_type().map(str::to_owned))),
        ("hash envelope", yes(endorsement.is_hash_envelope(), "yes: the payload is a digest", "no")),
        ("ledger receipts", format!("{receipts}, not verified")),
        ("payload", payload),
    ] {
        table.add_row([name.to_owned(), value]);
    }
    table
}

const fn amd(arcs: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(arcs)
}

const PRODUCT_NAME: ObjectIdentifier = amd("1.3.6.1.4.1.3704.1.2");

/// AMD 57230, 3.1, and AMD 58369.
const AMD_EXTENSIONS: &[(ObjectIdentifier, &str)] = &[
    (amd("1.3.6.1.4.1.3704.1.1"), "structVersion"),
    (PRODUCT_NAME, "productName"),
    (amd("1.3.6.1.4.1.3704.1.3.1"), "blSPL"),
    (amd("1.3.6.1.4.1.3704.1.3.2"), "teeSPL"),
    (amd("1.3.6.1.4.1.3704.1.3.3"), "snpSPL"),
    (amd("1.3.6.1.4.1.3704.1.3.4"), "spl4, reserved"),
    (amd("1.3.6.1.4.1.3704.1.3.5"), "spl5, reserved"),
    (amd("1.3.6.1.4.1.3704.1.3.6"), "spl6, reserved"),
    (amd("1.3.6.1.4.1.3704.1.3.7"), "spl7, reserved"),
    (amd("1.3.6.1.4.1.3704.1.3.8"), "ucodeSPL"),
    (amd("1.3.6.1.4.1.3704.1.3.9"), "fmcSPL"),
    (amd("1.3.6.1.4.1.3704.1.4"), "hwID"),
    (amd("1.3.6.1.4.1.3704.1.5"), "csp_id"),
];
