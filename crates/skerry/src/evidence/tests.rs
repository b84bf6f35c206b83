//! The two commands against the simulated vectors of the project, and against files that are none.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::Parser;
use serde_json::Value;
use skerry_verifier::examine::{Criteria, SnpPieces, examine_snp};

use super::piece::Piece;
use super::{Command, show, verify};

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// What a command line says, and whether it accepts; an error in words otherwise.
fn say(arguments: &[&str]) -> Result<(String, bool), String> {
    let cli = Cli::try_parse_from(["evidence"].iter().chain(arguments)).map_err(|error| error.to_string())?;
    let said = match cli.command {
        Command::Show { files } => show::show(&files),
        Command::Verify(options) => verify::verify(&options, SystemTime::UNIX_EPOCH),
    };
    said.map_err(|error| format!("{error:#}"))
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors/simulated")
}

fn file(name: &str) -> String {
    folder().join(name).display().to_string()
}

fn vector(id: &str) -> Value {
    let text = std::fs::read(folder().join("vectors.json")).unwrap();
    let json: Value = serde_json::from_slice(&text).unwrap();
    json["vectors"].as_array().unwrap().iter().find(|vector| vector["id"] == id).unwrap().clone()
}

/// The command line that verifies a vector, with what its members say.
fn command_line(id: &str, more: &[&str]) -> Vec<String> {
    let vector = vector(id);
    let mut line = vec!["verify".to_owned()];
    for member in ["report", "vek", "chain", "crl", "cose"] {
        line.extend(vector[member].as_str().map(file));
    }
    let anchor = &vector["anchor"];
    let (generation, key) = (anchor["generation"].as_str().unwrap(), anchor["ark_spki_sha256"].as_str().unwrap());
    line.extend([format!("--anchor={generation}:{key}"), format!("--at={}", vector["verify_at"].as_str().unwrap())]);
    line.extend(more.iter().map(|argument| (*argument).to_owned()));
    line
}

fn verify_vector(id: &str, more: &[&str]) -> (String, bool) {
    let line = command_line(id, more);
    say(&line.iter().map(String::as_str).collect::<Vec<_>>()).unwrap()
}

/// Evidence is accepted and its last line says so; what the floor refuses is shown as authentic all the same.
#[test]
fn evidence_is_verified() {
    let (text, accepted) = verify_vector("milan-v3-vcek", &[]);
    assert!(accepted, "{text}");
    assert!(text.ends_with("authentic: yes   acceptable: yes   provenance: simulated"), "{text}");
    let (text, accepted) = verify_vector("milan-v3-debug", &[]);
    assert!(!accepted);
    assert!(text.contains("refused by floor-debug") && text.contains("next: launch the guest without debug"), "{text}");
    assert!(text.ends_with("authentic: yes   acceptable: no   provenance: simulated"), "{text}");
    assert!(verify_vector("milan-v3-debug", &["--allow-debug"]).1);
    assert!(!verify_vector("milan-v3-vmpl1", &[]).1);
    assert!(verify_vector("milan-v3-vmpl1", &["--vmpl-max=1"]).1);
    let (text, accepted) = verify_vector("neg-measurement-flip", &[]);
    assert!(!accepted);
    assert!(text.contains("refused by report-signature"), "{text}");
    assert!(text.ends_with("authentic: no   acceptable: no   provenance: none"), "{text}");
    assert!(verify_vector("milan-v3-crl-empty", &[]).0.contains("crl-signature"));
}

/// Without `--anchor` a simulated root is no root, and the words say what to do.
#[test]
fn a_simulated_root_must_be_named() {
    let line: Vec<String> =
        command_line("milan-v3-vcek", &[]).into_iter().filter(|a| !a.contains("--anchor")).collect();
    let (text, accepted) = say(&line.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
    assert!(!accepted && text.contains("refused by root-pinned") && text.contains("--anchor GENERATION"), "{text}");
}

/// Endorsements are believed from named issuers only, and from the lowest version on.
#[test]
fn endorsements_are_verified() {
    let trust = vector("uvm-text-svn")["uvm_trust"].clone();
    let issuer = format!("--uvm-issuer={}", trust["issuer"].as_str().unwrap());
    let feed = format!("--uvm-feed={}", trust["feed"].as_str().unwrap());
    assert!(verify_vector("uvm-text-svn", &[&issuer, &feed]).1);
    let (text, accepted) = verify_vector("uvm-text-svn", &[&issuer, &feed, "--uvm-svn-min=100000"]);
    assert!(!accepted && text.contains("refused by uvm-svn"), "{text}");
    let (text, accepted) = verify_vector("uvm-text-svn", &[]);
    assert!(!accepted && text.contains("refused by uvm-trust"), "{text}");
    let cose = file("uvm-text-svn.cose");
    let (text, accepted) = say(&["verify", &cose]).unwrap();
    assert!(!accepted && text.ends_with("authentic: yes   acceptable: no   provenance: none"), "{text}");
    assert!(say(&["verify", &cose, &issuer, &feed]).unwrap().1);
    assert!(say(&["verify", &cose, &issuer]).unwrap_err().contains("--uvm-feed"));
}

/// Certificates are verified alone; JSON says the same as the table.
#[test]
fn certificates_are_verified_alone() {
    let line: Vec<String> = command_line("milan-v3-vcek", &["--json"]);
    let alone: Vec<&str> = line.iter().map(String::as_str).filter(|a| !a.contains(".report.bin")).collect();
    let (text, accepted) = say(&alone).unwrap();
    let json: Value = serde_json::from_str(&text).unwrap();
    assert!(accepted);
    assert_eq!(json["examinations"][0]["what"], "certificate chain");
    assert_eq!((&json["authentic"], &json["provenance"]), (&Value::Bool(true), &Value::from("simulated")));
    let (text, accepted) = verify_vector("neg-tcb-microcode", &["--json"]);
    let json: Value = serde_json::from_str(&text).unwrap();
    assert!(!accepted);
    assert_eq!(json["examinations"][0]["refused"]["check"], "tcb-match");
    assert_eq!(json["examinations"][0]["refused"]["code"], "ReportError.TcbMismatch");
    let verdicts: Vec<_> =
        json["examinations"][0]["checks"].as_array().unwrap().iter().map(|c| &c["verdict"]).collect();
    assert_eq!(verdicts.iter().filter(|verdict| **verdict == "failed").count(), 1);
}

/// Runtime data is the very bytes or refused.
#[test]
fn runtime_data_is_bound() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let argument = format!("--runtime-data={}", data.display());
    std::fs::write(&data, "milan-v3-vcek").unwrap();
    assert!(verify_vector("milan-v3-vcek", &[&argument]).1);
    std::fs::write(&data, "milan-v3-vcek\n").unwrap();
    let (text, accepted) = verify_vector("milan-v3-vcek", &[&argument]);
    assert!(!accepted && text.contains("refused by runtime-data"), "{text}");
    let error = say(&["verify", &file("certs/milan.vcek.der"), &argument]).unwrap_err();
    assert!(error.contains("add the report"), "{error}");
}

/// What cannot be verified is an error that says what to do, and no refusal.
#[test]
fn usage_errors_name_the_next_step() {
    let report = file("milan-v3-vcek.report.bin");
    let crl = file("milan-v3-crl-empty.crl.der");
    for (arguments, words) in [
        (vec!["verify", &crl], "add a report"),
        (vec!["verify", &report, &report], "one set of evidence at a time"),
        (vec!["verify", "/no/such/file"], "/no/such/file"),
        (vec!["show", &file("README.md")], "no kind that is known here"),
        (vec!["show", &file("vectors.json")], "host-amd-cert.json"),
        (vec!["verify", &report, "--at=yesterday"], "2026-03-01T00:00:00Z"),
        (vec!["verify", &report, "--anchor=rome:00"], "milan, genoa or turin"),
        (vec!["verify", &report, "--anchor=milan:00"], "64 hex digits"),
        (vec!["verify", &report, "--vmpl-max=4"], "vmpl"),
        (vec!["verify"], "FILES"),
    ] {
        let error = say(&arguments).unwrap_err();
        assert!(error.contains(words), "{arguments:?}: {error}");
    }
}

/// A report is told apart raw, as hex and as base64; each other kind by its first bytes.
#[test]
fn pieces_are_told_by_content() {
    let report = std::fs::read(file("milan-v3-vcek.report.bin")).unwrap();
    let expected = Piece::Report(report.clone());
    let wrapped: String =
        hex::encode(&report).as_bytes().chunks(64).map(|c| format!("{}\r\n", c.escape_ascii())).collect();
    let texts = [hex::encode(&report), hex::encode_upper(&report), wrapped, format!("0x{}", hex::encode(&report))];
    let base64 = [skerry_jose::b64::encode(&report), skerry_jose::b64::encode_standard(&report)];
    for text in texts.iter().chain(&base64) {
        assert_eq!(Piece::of(text.as_bytes()).unwrap(), expected);
    }
    assert_eq!(Piece::of(&report).unwrap(), expected);
    assert!(matches!(Piece::of(&report[..1183]).unwrap(), Piece::Report(_)));
    type Is = fn(&Piece) -> bool;
    let kinds: [(&str, Is); 5] = [
        ("certs/milan.vcek.der", |p| matches!(p, Piece::Certificates(_))),
        ("certs/milan_ask_ark_asvk.pem", |p| matches!(p, Piece::Certificates(_))),
        ("neg-duplicate-ucodespl.vcek.der", |p| matches!(p, Piece::Certificates(_))),
        ("milan-v3-crl-empty.crl.der", |p| matches!(p, Piece::Crl(_))),
        ("uvm-text-svn.cose", |p| matches!(p, Piece::Uvm(_))),
    ];
    for (name, is) in kinds {
        assert!(is(&Piece::read(Path::new(&file(name))).unwrap()), "{name}");
    }
    // A certificate as long as a report is none, in either form.
    for start in [b"\x30\x82\x04\x9c".as_slice(), b"-----BEGIN CERTIFICATE-----"] {
        let mut bytes = vec![b'A'; 1184];
        bytes[..start.len()].copy_from_slice(start);
        assert!(matches!(Piece::of(&bytes).unwrap(), Piece::Certificates(_)));
    }
    let host = br#"{"vcekCert":"A","certificateChain":"B","tcbm":"7308000000000003"}"#;
    let tcbm = Some("7308000000000003".to_owned());
    assert_eq!(Piece::of(host).unwrap(), Piece::Host { certificates: b"A\nB".to_vec(), tcbm });
    for nothing in [b"".as_slice(), b"hello", b"{}", b"[]", b"\xff\xff\xff\xff"] {
        assert!(Piece::of(nothing).is_err());
    }
}

/// Fields are shown in words, TCBs by component, and an endorsement that was changed is not shown at all.
#[test]
fn fields_are_shown() {
    let (text, shown) = say(&["show", &file("milan-v3-debug.report.bin"), &file("certs/milan.vcek.der")]).unwrap();
    assert!(shown);
    for words in ["DEBUG ALLOWED", "signed by the VCEK", "Milan", "microcode", "hwID", "CN=SEV-VCEK", "spki sha256"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let (text, shown) = say(&["show", &file("neg-ask-revoked.crl.der"), &file("uvm-text-svn.cose")]).unwrap();
    assert!(
        shown && text.contains("next update") && text.contains("serial") && text.contains("ContainerPlat"),
        "{text}"
    );
    let (text, shown) = say(&["show", &file("neg-uvm-payload-flip.cose")]).unwrap();
    assert!(!shown && text.contains("not authentic, so not shown") && !text.contains("guestsvn"), "{text}");
    let (text, shown) = say(&["show", &file("neg-size-1183.report.bin")]).unwrap();
    assert!(!shown && text.contains("malformed: report has 1183 bytes"), "{text}");
}

/// Every next step belongs to a check that exists.
#[test]
fn next_steps_belong_to_checks() {
    let examination = examine_snp(&SnpPieces::default(), &Criteria::real(SystemTime::UNIX_EPOCH));
    for check in verify::next_step_checks() {
        assert!(examination.checks.iter().any(|c| c.name == check), "{check}");
    }
}
