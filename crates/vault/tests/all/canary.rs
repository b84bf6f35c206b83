//! Attack 50: key material is nowhere but in the TEE: not in the log, not in what is printed, not in an answer.

use skerry_client::Asked;
use skerry_jose::b64;
use skerry_keys::{Curve, KeyType, OctBits, RsaBits};
use skerry_vault::command::ReleaseCommand;

use crate::support::*;

/// Secrets of every family, and the root of all keys, looked for in every form in which bytes are usually written.
#[test]
fn attack_50_key_material_appears_nowhere() {
    let scene = Setup::default().bare();
    let types = [
        KeyType::Rsa { bits: RsaBits::B2048 },
        KeyType::Ec { curve: Curve::P256 },
        KeyType::Oct { bits: OctBits::B256 },
    ];
    let mut said = Vec::new();
    let mut secrets = vec![ROOT.to_vec()];
    for (index, key_type) in types.into_iter().enumerate() {
        let (key, token) = (format!("key-{index}"), good_token());
        let record = scene.create(&key, key_type);
        said.extend([format!("{:?}", record.head), format!("{:?}", record.version.material)]);
        let answer = scene.answer(&ReleaseCommand { name: &name(&key), ..command(&token) }).unwrap();
        let kid = format!("https://{HOST}/keys/{key}");
        let release = scene.verify(&answer.value, &Asked { kid: &kid, ..asked(&token) }).unwrap();
        said.extend([format!("{answer:?}"), part(&answer.value, 1), format!("{release:?}")]);
        secrets.push(private_part(key_type, release.unwrap(tee()).unwrap().expose()));
        said.push(format!("{:?}", release.unwrap(thief()).err()));
    }
    let imported: Vec<u8> = (1..=32).map(|octet: u8| octet.wrapping_mul(37)).collect();
    said.push(format!("{:?}", scene.import(&create("imported"), &imported).err()));
    scene.import(&CreateCommand { key_type: OCT, ..create("imported") }, &imported).unwrap();
    said.push(scene.release_key("imported", &good_token()).unwrap().value);
    secrets.push(imported);
    said.extend(refusals(&scene));
    assert!(said.iter().any(|text| written(text.as_bytes(), &MEASUREMENT)), "the search finds what is there");
    for secret in &secrets {
        assert!(said.iter().all(|text| !written(text.as_bytes(), secret)));
        assert!(!written(&scene.log_bytes(), secret));
    }
}

/// Every kind of refusal, printed both ways.
fn refusals(scene: &Scene) -> Vec<String> {
    let wrong = token(&claims().with("x-ms-attestation-type", "tdxvm"));
    let refused = ["", "x.y.z", wrong.as_str()].map(|token| scene.release_key("key-0", token).unwrap_err());
    let made = [CreateCommand { immutable: true, ..create("key-0") }, CreateCommand { policy: None, ..create("a") }]
        .map(|made| scene.make(&made).err().unwrap());
    let refused = refused.iter().flat_map(|one| [format!("{one}"), format!("{one:?}")]);
    refused.chain(made.iter().flat_map(|one| [format!("{one}"), format!("{one:?}")])).collect()
}

/// A part of the material that no public key has in it: the scalar of EC, the last number of RSA (its CRT
/// coefficient), the seed of ML-DSA.
fn private_part(key_type: KeyType, material: &[u8]) -> Vec<u8> {
    match key_type {
        KeyType::Ec { .. } => {
            let head = [0x02, 0x01, 0x01, 0x04, 0x20];
            let at = material.windows(head.len()).position(|window| window == head).unwrap() + head.len();
            material[at..at + 32].to_vec()
        }
        KeyType::Rsa { .. } => material[material.len() - 32..].to_vec(),
        KeyType::Oct { .. } => material.to_vec(),
        KeyType::Akp { .. } => material[material.len() - 32..].to_vec(),
    }
}

/// Whether some text has these octets: raw, in hex of either case, in base64 at any alignment, or as a list of numbers.
fn written(text: &[u8], octets: &[u8]) -> bool {
    let list = format!("{octets:?}");
    let mut forms = vec![
        octets.to_vec(),
        hex::encode(octets).into_bytes(),
        hex::encode_upper(octets).into_bytes(),
        list.trim_matches(['[', ']']).as_bytes().to_vec(),
    ];
    for skipped in 0..3 {
        let whole = &octets[skipped..skipped + (octets.len() - skipped) / 3 * 3];
        forms.extend([b64::encode(whole).into_bytes(), b64::encode_standard(whole).into_bytes()]);
    }
    forms.iter().any(|form| text.windows(form.len()).any(|window| window == form))
}
