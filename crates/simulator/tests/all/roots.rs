//! Roots: certificates, and storing them.

use der::{Decode, Encode};
use skerry_simulator::{ChipConfig, Generation, Oddities, Root, SimulatorError, Tcb, VekExtension, VlekConfig};
use x509_cert::Certificate;

use crate::stock::{chip, made, root};

/// A stored root is the same authority and gives a chip the same key again.
#[test]
fn a_root_survives_storage() {
    let root = root(Generation::Genoa);
    let again = Root::from_pem(&root.to_pem().unwrap()).unwrap();
    assert_eq!(again.generation(), Generation::Genoa);
    assert_eq!(again.ark_spki_sha256(), root.ark_spki_sha256());
    assert_eq!(again.ca_chain_pem(), root.ca_chain_pem());
    assert_eq!(*again.to_pem().unwrap(), *root.to_pem().unwrap());
    let config = ChipConfig::numbered(Generation::Genoa, 1);
    let (chip, same) = (chip(Generation::Genoa), again.chip(config, made()).unwrap());
    assert_eq!(spki(chip.vek_der()), spki(same.vek_der()));
}

/// The issuer of VLEKs is stored once it was made.
#[test]
fn a_stored_root_keeps_its_asvk() {
    let root = root(Generation::Turin);
    let asvk = root.asvk_der().unwrap().to_vec();
    let again = Root::from_pem(&root.to_pem().unwrap()).unwrap();
    assert_eq!(again.asvk_der().unwrap(), asvk);
}

/// Another chip, another TCB and another provider each have another key.
#[test]
fn endorsement_keys_are_versioned() {
    let (generation, root) = (Generation::Milan, root(Generation::Milan));
    let config = ChipConfig::numbered(generation, 1);
    let tcb = Tcb { microcode: 9, ..config.reported_tcb };
    let vlek = VlekConfig::recent(generation);
    let ders = [
        root.chip(config.clone(), made()).unwrap(),
        root.chip(ChipConfig { reported_tcb: tcb, ..config }, made()).unwrap(),
        root.chip(ChipConfig::numbered(generation, 2), made()).unwrap(),
        root.vlek(vlek.clone(), made()).unwrap(),
        root.vlek(VlekConfig { csp_id: "CN=other".to_owned(), ..vlek }, made()).unwrap(),
    ];
    let keys: std::collections::BTreeSet<_> = ders.iter().map(|chip| spki(chip.vek_der())).collect();
    assert_eq!(keys.len(), 5);
}

/// Storage that was tampered with or cut is refused, each kind by its own variant.
#[test]
fn damaged_storage_is_refused() {
    let root = root(Generation::Milan);
    let text = root.to_pem().unwrap();
    let blocks: Vec<String> =
        text.split_inclusive("-----\n").collect::<Vec<_>>().chunks(2).map(|b| b.concat()).collect();
    let refusal = |order: &[usize]| {
        let text: String = order.iter().map(|at| blocks[*at].as_str()).collect();
        Root::from_pem(&text).err()
    };
    assert_eq!(refusal(&[0, 1, 2, 3, 4]), None);
    assert_eq!(refusal(&[]), Some(SimulatorError::MalformedPem { index: 0 }));
    assert_eq!(refusal(&[0, 1, 2, 3]), Some(SimulatorError::MalformedPem { index: 4 }));
    assert_eq!(refusal(&[0, 2, 1, 3, 4]), Some(SimulatorError::MalformedPem { index: 1 }));
    assert_eq!(refusal(&[0, 1, 4, 3, 2]), Some(SimulatorError::KeyMismatch { index: 0 }));
    assert_eq!(refusal(&[0, 1, 2, 3, 2]), Some(SimulatorError::KeyMismatch { index: 1 }));
    let header = "-----BEGIN SKERRY SIMULATED ROOT-----\nAQ==\n-----END SKERRY SIMULATED ROOT-----\n";
    let refused = Root::from_pem(header).err();
    assert_eq!(refused, Some(SimulatorError::MalformedHeader { len: 1 }));
    let empty_key = format!("{}-----BEGIN PRIVATE KEY-----\nAQ==\n-----END PRIVATE KEY-----\n", blocks[0]);
    assert_eq!(Root::from_pem(&empty_key).err(), Some(SimulatorError::KeyRejected { index: 0 }));
    let bad = "-----BEGIN CERTIFICATE-----\nAQ==\n-----END CERTIFICATE-----\n";
    let bad_certificate = format!("{}{}{bad}", blocks[0], blocks[1]);
    let refused = Root::from_pem(&bad_certificate).err();
    assert_eq!(refused, Some(SimulatorError::MalformedCertificate { index: 0 }));
}

/// Names, serial numbers and extensions are those of real certificates.
#[test]
fn certificates_have_amds_shape() {
    let root = root(Generation::Milan);
    let name = "OU=Engineering,C=US,L=Santa Clara,ST=CA,O=Advanced Micro Devices,CN=";
    let table = [
        (root.ark_der().to_vec(), "ARK-Milan", "ARK-Milan", vec![1, 0, 0], 4),
        (root.ask_der().to_vec(), "SEV-Milan", "ARK-Milan", vec![1, 0, 1], 5),
        (root.asvk_der().unwrap().to_vec(), "SEV-VLEK-Milan", "ARK-Milan", vec![1, 1, 1], 5),
        (chip(Generation::Milan).vek_der().to_vec(), "SEV-VCEK", "SEV-Milan", vec![0], 11),
        (chip(Generation::Turin).vek_der().to_vec(), "SEV-VCEK", "SEV-Turin", vec![0], 11),
    ];
    for (der, subject, issuer, serial, extensions) in table {
        let certificate = Certificate::from_der(&der).unwrap();
        let tbs = certificate.tbs_certificate();
        let reversed = |name: &str| name.split(',').rev().collect::<Vec<_>>().join(",");
        assert_eq!(reversed(&tbs.subject().to_string()), format!("{name}{subject}"));
        assert_eq!(reversed(&tbs.issuer().to_string()), format!("{name}{issuer}"));
        assert_eq!(tbs.serial_number().as_bytes(), serial);
        assert_eq!(tbs.extensions().unwrap().len(), extensions);
    }
}

/// Hardware id and levels are raw as the certificates observed have them.
#[test]
fn vcek_extensions_are_amds() {
    use VekExtension as E;
    let hw_id = |generation| ChipConfig::numbered(generation, 1).chip_id.to_vec();
    let milan = chip(Generation::Milan);
    assert_eq!(extension(milan.vek_der(), E::StructVersion), Some(vec![2, 1, 0]));
    assert_eq!(extension(milan.vek_der(), E::Product), Some(b"\x16\x08Milan-B0".to_vec()));
    assert_eq!(extension(milan.vek_der(), E::UcodeSpl), Some(vec![2, 2, 0, 219]));
    assert_eq!(extension(milan.vek_der(), E::SnpSpl), Some(vec![2, 1, 24]));
    assert_eq!(extension(milan.vek_der(), E::HwId), Some(hw_id(Generation::Milan)));
    assert_eq!(extension(milan.vek_der(), E::FmcSpl), None);
    let turin = chip(Generation::Turin);
    assert_eq!(extension(turin.vek_der(), E::StructVersion), Some(vec![2, 1, 1]));
    assert_eq!(extension(turin.vek_der(), E::FmcSpl), Some(vec![2, 1, 1]));
    assert_eq!(extension(turin.vek_der(), E::Spl4), None);
    assert_eq!(extension(turin.vek_der(), E::HwId), Some(hw_id(Generation::Turin)[..8].to_vec()));
}

/// Oddities change what they say and nothing else.
#[test]
fn oddities_do_what_they_say() {
    let oddities = Oddities {
        missing: vec![VekExtension::SnpSpl],
        duplicated: vec![VekExtension::UcodeSpl],
        replaced: vec![(VekExtension::BlSpl, vec![4, 0])],
        unknown_critical: true,
        serial: Some(5),
        ..Oddities::default()
    };
    let config = ChipConfig { oddities, ..ChipConfig::numbered(Generation::Milan, 1) };
    let chip = root(Generation::Milan).chip(config, made()).unwrap();
    assert_eq!(extension(chip.vek_der(), VekExtension::SnpSpl), None);
    assert_eq!(extension(chip.vek_der(), VekExtension::BlSpl), Some(vec![4, 0]));
    let certificate = Certificate::from_der(chip.vek_der()).unwrap();
    let tbs = certificate.tbs_certificate();
    assert_eq!(tbs.serial_number().as_bytes(), [5]);
    let extensions = tbs.extensions().unwrap();
    assert_eq!(extensions.iter().filter(|e| e.critical).count(), 1);
    let twice = extensions.iter().filter(|e| e.extn_id == VekExtension::UcodeSpl.oid());
    assert_eq!(twice.count(), 2);
}

/// Times that X.509 cannot say are refused before a key is certified.
#[test]
fn a_chip_from_before_1970_is_refused() {
    let before = std::time::UNIX_EPOCH - std::time::Duration::from_secs(1);
    let config = ChipConfig::numbered(Generation::Milan, 1);
    let refused = root(Generation::Milan).chip(config, before).err();
    assert_eq!(refused, Some(SimulatorError::TimeOutOfRange));
}

fn spki(der: &[u8]) -> Vec<u8> {
    let certificate = Certificate::from_der(der).unwrap();
    certificate.tbs_certificate().subject_public_key_info().to_der().unwrap()
}

fn extension(der: &[u8], id: VekExtension) -> Option<Vec<u8>> {
    let certificate = Certificate::from_der(der).unwrap();
    let extensions = certificate.tbs_certificate().extensions().unwrap().clone();
    let found = extensions.iter().find(|extension| extension.extn_id == id.oid());
    found.map(|extension| extension.extn_value.as_bytes().to_vec())
}
