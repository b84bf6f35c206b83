//! `skerry key` and `skerry vault` as a person runs them, against `skerry dev` and against servers that are no vaults.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::SystemTime;

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use skerry_jose::{Algorithm, SigningKey};
use skerry_vault::ca::Ca;

use crate::dev::Folder;
use crate::process::Running;

/// A dev server, a shell that has loaded its dev.env, and a folder for files.
struct Shell {
    env: HashMap<String, String>,
    files: tempfile::TempDir,
    _server: Option<(Running, Folder)>,
}

impl Shell {
    fn new() -> Shell {
        let folder = Folder::new();
        let (running, env) = folder.start();
        Shell { env, files: tempfile::tempdir().unwrap(), _server: Some((running, folder)) }
    }

    /// The same shell with other variables; empty is unset.
    fn with(&self, changed: &[(&str, &str)]) -> Shell {
        let mut env = self.env.clone();
        env.extend(changed.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        Shell { env, files: tempfile::tempdir().unwrap(), _server: None }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    fn put(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    /// Runs a command in the folder of files. Whatever it says, it says no secret.
    fn run(&self, args: &str) -> Output {
        self.run_with(args, b"")
    }

    fn run_with(&self, args: &str, stdin: &[u8]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_skerry"));
        command.args(args.split(' ')).current_dir(self.files.path()).env_clear().envs(&self.env);
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(stdin).ok();
        let output = child.wait_with_output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        for name in ["SKR_TOKEN", "SKR_ATTEST_TOKEN", "SKR_CLIENT_SECRET"] {
            let secret = self.env.get(name).filter(|secret| !secret.is_empty());
            assert!(secret.is_none_or(|secret| !said.contains(secret)), "{args} says {name}");
        }
        // The second part of a JWS; Azure's own sentence on unknown keys has the first.
        assert!(!said.contains(".eyJ"), "{args} says a token: {said}");
        output
    }

    /// Standard output of a command that succeeds.
    fn says(&self, args: &str) -> String {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(0), "{args}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, args: &str) -> Value {
        serde_json::from_str(&self.says(&format!("{args} --json"))).unwrap()
    }

    /// A command ends with this code, and standard error says each of these.
    fn ends(&self, args: &str, code: i32, words: &[&str]) -> Output {
        let output = self.run(args);
        let said = String::from_utf8(output.stderr.clone()).unwrap();
        assert_eq!(output.status.code(), Some(code), "{args}: {output:?}");
        for word in words {
            assert!(said.contains(word), "{args}: {word:?} is not in {said:?}");
        }
        output
    }

    fn mode(&self, name: &str) -> u32 {
        std::fs::metadata(self.path(name)).unwrap().permissions().mode() & 0o777
    }

    /// A policy that simulated guests with zeros for host data meet.
    fn policy(&self) -> String {
        let authority = &self.env["SKR_ATTEST_URL"];
        let claim = |claim: &str, value: String| json!({"claim": claim, "equals": value});
        let all =
            [claim("x-ms-attestation-type", "sevsnpvm".to_owned()), claim("x-ms-sevsnpvm-hostdata", "0".repeat(64))];
        json!({"version": "1.0.0", "anyOf": [{"authority": authority, "allOf": all}]}).to_string()
    }
}

/// Every command once, in the order in which a person would come to it.
#[test]
fn keys_are_managed_from_a_shell() {
    let shell = Shell::new();
    making(&shell);
    listing(&shell);
    deleting(&shell);
    keeping(&shell);
    using(&shell);
    rotating(&shell);
    releasing(&shell);
    flooring(&shell);
    asking_as_others(&shell);
    refusals(&shell);
}

fn making(shell: &Shell) {
    let key = shell.json("key create first --kty ec --curve P-384 --op sign --tag a=b --expires 2099-01-31T00:00:00Z");
    let kid = format!("{}/keys/first/{}", shell.env["SKR_VAULT_URL"], key["version"].as_str().unwrap());
    assert_eq!((&key["kid"], &key["name"], &key["kty"]), (&json!(kid), &json!("first"), &json!("EC")));
    assert_eq!((&key["key_ops"], &key["tags"]), (&json!(["sign"]), &json!({"a": "b"})));
    assert_eq!((&key["public"]["crv"], &key["expires"]), (&json!("P-384"), &json!(4_073_500_800_u64)));
    let members = [
        "kid",
        "name",
        "version",
        "kty",
        "key_ops",
        "public",
        "enabled",
        "created",
        "updated",
        "not_before",
        "expires",
        "exportable",
        "tags",
        "deleted",
        "purge",
        "hsm_platform",
        "recovery_level",
        "recoverable_days",
        "min_iat",
        "release_policy",
    ];
    assert_eq!(key.as_object().unwrap().len(), members.len());
    assert!(members.iter().all(|member| key.get(member).is_some()), "{key}");
    let table = shell.says("key show first");
    assert!(table.contains(&kid) && table.contains("EC P-384") && table.contains("2099-01-31T00:00:00Z"), "{table}");
    assert_eq!(shell.json(&format!("key show first/{}", key["version"].as_str().unwrap())), key);

    let pair = SigningKey::generate(Algorithm::Rs256).unwrap().to_pkcs8().unwrap();
    let body = skerry_jose::b64::encode_standard(pair.as_slice());
    shell.put("rsa.pem", format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n"));
    shell.put("rsa.der", pair.as_slice());
    let imported = shell.json("key import pem rsa.pem --hsm");
    assert_eq!(imported["kty"], "RSA-HSM");
    assert_eq!(shell.json("key import der rsa.der")["public"]["n"], imported["public"]["n"]);
    // RFC 7515, A.3.1.
    let (x, y) = ("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");
    let d = "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI";
    let jwk = json!({"kty": "EC", "crv": "P-256", "d": d, "x": x, "y": y, "alg": "ES256"});
    shell.put("key.jwk", jwk.to_string());
    let imported = shell.json("key import jwk key.jwk --op sign");
    assert_eq!((&imported["kty"], &imported["key_ops"]), (&json!("EC"), &json!(["sign"])));
    assert_eq!(imported["public"], json!({"crv": "P-256", "x": x, "y": y}));
    let jwk = json!({"kty": "EC", "crv": "P-256", "d": d, "x": x, "y": "AQ"});
    shell.put("odd.jwk", jwk.to_string());
    shell.ends("key import odd odd.jwk", 1, &["import is refused: status 400 BadParameter", "request id: "]);
    shell.ends("key import odd none.pem", 2, &["none.pem cannot be read"]);
    shell.put("noise", [7; 16]);
    shell.ends("key import odd noise", 2, &["need --raw"]);

    shell.put("policy.json", shell.policy());
    let secret = shell.json("key create secret --hsm --policy policy.json");
    assert_eq!((&secret["exportable"], &secret["release_policy"]["immutable"]), (&json!(true), &json!(false)));
    let text: Value = serde_json::from_str(secret["release_policy"]["text"].as_str().unwrap()).unwrap();
    assert_eq!(text, serde_json::from_str::<Value>(&shell.policy()).unwrap());
    shell.put("bad.json", r#"{"version":"1.0.0","anyOf":[{"authority":"https://a.example","allOf":[]}]}"#);
    shell.ends("key set-policy secret bad.json", 1, &["was not sent: bad.json:1:", "anyOf[0].allOf"]);
    shell.ends("key set-policy secret policy.json --immutable", 2, &["--for-good"]);
    shell.put("port.json", shell.policy().replace("localhost:", "localhost.example:7"));
    shell.ends("key set-policy secret port.json", 0, &["warning: "]);
    let fixed = shell.json("key create fixed --kty ec --hsm --policy policy.json --immutable --for-good");
    assert_eq!(fixed["release_policy"]["immutable"], true);
    shell.ends("key set-policy fixed port.json", 1, &["AKV.SKR.1020"]);
    assert_eq!(
        shell.json("key set-policy secret policy.json")["release_policy"]["text"],
        secret["release_policy"]["text"]
    );
}

/// More keys than a page has, and versions, in tables and as lines of JSON.
fn listing(shell: &Shell) {
    for at in 0..26 {
        shell.says(&format!("key create many-{at:02} --kty ec"));
    }
    let lines = shell.says("key list --json");
    let rows: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let named = |row: &&Value| row["name"].as_str().unwrap().starts_with("many-");
    assert_eq!(rows.iter().filter(named).count(), 26);
    assert!(rows.iter().all(|row| row["version"].is_null() && row["enabled"] == true), "{lines}");
    let table = shell.says("key list");
    assert!(table.contains("many-25") && table.ends_with(&format!("{} keys\n", rows.len())), "{table}");
    shell.says("key create many-00 --kty ec");
    let versions = shell.says("key versions many-00 --json");
    let newest = shell.json("key show many-00")["version"].as_str().unwrap().to_owned();
    assert!(versions.lines().count() == 2 && versions.contains(&newest), "{versions}");
    assert!(shell.says("key versions many-01").ends_with("1 version\n"));
}

fn deleting(shell: &Shell) {
    let deleted = shell.json("key delete many-24");
    assert!(deleted["purge"].as_u64().unwrap() > deleted["deleted"].as_u64().unwrap(), "{deleted}");
    shell.ends("key show many-24", 1, &["status 404 KeyNotFound", "request id: ", "next: skerry key list"]);
    assert!(shell.says("key deleted").contains("many-24"));
    assert_eq!(shell.json("key deleted many-24")["purge"], deleted["purge"]);
    shell.ends("key create many-24 --kty ec", 1, &["ObjectIsDeletedButRecoverable", "skerry key recover"]);
    assert_eq!(shell.json("key recover many-24")["kid"], deleted["kid"]);
    shell.says("key delete many-24");
    assert_eq!(shell.json("key purge many-24"), json!({"name": "many-24", "purged": true}));
    shell.ends("key recover many-24", 1, &["status 404"]);
    assert!(shell.says("key deleted").ends_with("0 deleted keys\n"));
}

/// Backups are their owner's alone, and do not go over what is there.
fn keeping(shell: &Shell) {
    let before = shell.json("key show many-00");
    let kept = shell.json("key backup many-00 --out kept");
    assert_eq!((shell.mode("kept"), &kept["bytes"]), (0o600, &json!(shell.read("kept").len())));
    let blob = shell.read("kept");
    shell.ends("key backup many-00 --out kept", 2, &["kept is there already", "--force"]);
    assert_eq!(shell.read("kept"), blob);
    shell.says("key backup many-00 --out kept --force");
    shell.ends("key restore kept", 1, &["status 409 Conflict"]);
    shell.says("key delete many-00");
    shell.says("key purge many-00");
    assert_eq!(shell.json("key restore kept")["public"], before["public"]);
    shell.put("spoilt", [&blob[..], b"x"].concat());
    shell.ends("key restore spoilt", 1, &["status 400 BadParameter"]);
}

fn using(shell: &Shell) {
    shell.put("text", "a text that somebody wrote");
    let signature = shell.says("key sign first --alg ES384 --in text");
    let signature = signature.trim();
    shell.ends(
        &format!("key verify first --alg ES384 --in text --signature {signature}"),
        1,
        &["KeyOperationForbidden"],
    );
    let signature = shell.says("key sign pem --alg PS256 --in text");
    assert_eq!(
        shell.json(&format!("key verify pem --alg PS256 --in text --signature {}", signature.trim())),
        json!({"holds": true})
    );
    shell.put("other", "another text");
    let output = shell.ends(
        &format!("key verify pem --alg PS256 --in other --signature {}", signature.trim()),
        1,
        &["did not sign"],
    );
    assert!(String::from_utf8(output.stdout).unwrap().contains("does NOT hold"));
    shell.says("key sign pem --alg RS256 --in text --out signature");
    shell.says("key verify pem --alg RS256 --in text --signature-file signature");
    let digest = hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, b"a text that somebody wrote"));
    shell.says(&format!("key verify pem --alg RS256 --digest {digest} --signature-file signature"));
    shell.ends("key sign pem --alg RS256 --digest 00", 2, &["which is not what RS256 signs"]);
    shell.ends("key sign pem --alg RS1 --in text", 2, &["\"RS1\" is no algorithm"]);
    shell.ends("key sign pem --alg ES256 --in text", 1, &["status 400 BadParameter"]);

    shell.says("key encrypt pem --alg RSA-OAEP-256 --in text --out sealed");
    assert_eq!(shell.says("key decrypt pem --in sealed --out -"), "a text that somebody wrote");
    shell.says("key decrypt pem --in sealed --out opened");
    assert_eq!((shell.mode("opened"), shell.read("opened")), (0o600, shell.read("text")));
    shell.ends("key decrypt pem --in sealed --out opened", 2, &["opened is there already"]);
    let sealed: Value = serde_json::from_slice(&shell.read("sealed")).unwrap();
    let version = shell.json("key show pem")["kid"].clone();
    assert_eq!((&sealed["kid"], &sealed["alg"]), (&version, &json!("RSA-OAEP-256")));
    shell.put("broken", "{}");
    shell.ends("key decrypt pem --in broken --out x", 2, &["it has no member alg"]);

    // ML-DSA signs the file itself.
    shell.says("key create lattice --kty ML-DSA-44");
    shell.says("key sign lattice --alg ML-DSA-44 --in text --out signature --force");
    shell.says("key verify lattice --alg ML-DSA-44 --in text --signature-file signature");
    shell.ends("key verify lattice --alg ML-DSA-44 --in other --signature-file signature", 1, &["did not sign"]);

    // Types by Azure's names too, and keys that do one thing alone.
    assert_eq!(shell.json("key create typed --kty EC-HSM --curve P-384")["kty"], "EC-HSM");
    let kek = shell.json("key create kek --kty RSA-HSM --op import");
    assert_eq!((&kek["kty"], &kek["key_ops"]), (&json!("RSA-HSM"), &json!(["import"])));

    // Symmetric keys are a Managed HSM's, which is asked here as its own vault.
    let hsm = shell.with(&[("SKR_VAULT_URL", &shell.env["SKR_HSM_URL"])]);
    hsm.put("policy.json", shell.policy());
    let guard = hsm.json("key create guard --kty rsa-hsm --op secureWrapKey --op secureUnwrapKey --policy policy.json");
    assert_eq!(
        (&guard["exportable"], &guard["key_ops"]),
        (&json!(false), &json!(["secureWrapKey", "secureUnwrapKey"]))
    );
    hsm.put("raw", [0x5a; 32]);
    hsm.put("text", "a text that somebody wrote");
    assert_eq!(hsm.json("key import oct raw --raw --hsm")["kty"], "oct-HSM");
    hsm.says("key encrypt oct --alg A256GCM --in text --aad 0102 --out sealed");
    assert_eq!(hsm.says("key decrypt oct --in sealed --out -"), "a text that somebody wrote");
    hsm.says("key wrap oct --alg A256KW --in raw --out wrapped");
    hsm.ends("key unwrap oct --in wrapped --out -", 2, &["a key is not printed"]);
    hsm.says("key unwrap oct --in wrapped --out unwrapped");
    assert_eq!((hsm.mode("unwrapped"), hsm.read("unwrapped")), (0o600, vec![0x5a; 32]));
    hsm.says("key encrypt oct --alg A256CBCPAD --iv 000102030405060708090a0b0c0d0e0f --in text --out cbc");
    assert_eq!(hsm.says("key decrypt oct --in cbc --out -"), "a text that somebody wrote");
    assert_eq!(skerry_jose::b64::decode(hsm.says("vault random 24").trim()).unwrap().len(), 24);
    assert_eq!(hsm.json("vault random 16 --out octets")["bytes"], 16);
    assert_eq!((hsm.mode("octets"), hsm.read("octets").len()), (0o600, 16));
    shell.ends("vault random 16", 1, &["status 400 NotSupported", "this vault does not offer it"]);
    shell.ends("vault random 129", 2, &["129"]);

    assert_eq!(shell.json("key disable pem")["enabled"], false);
    shell.ends("key sign pem --alg RS256 --in text", 1, &["KeyDisabled", "next: skerry key enable"]);
    assert_eq!(shell.json("key enable pem")["enabled"], true);
    shell.says("key sign pem --alg RS256 --in text");
}

fn rotating(shell: &Shell) {
    let before = shell.json("key show first");
    let after = shell.json("key rotate first");
    assert!(before["version"] != after["version"] && before["tags"] == after["tags"], "{after}");
    let set = shell.json("key rotation-policy set first --expires-in P90D --rotate-before-expiry P10D");
    assert_eq!(set["expires_in"], "P90D");
    let rotate = json!({"action": "Rotate", "trigger": "before_expiry", "period": "P10D"});
    assert!(set["actions"].as_array().unwrap().contains(&rotate), "{set}");
    assert_eq!(shell.json("key rotation-policy show first"), set);
    assert!(shell.says("key rotation-policy show first").contains("P10D before expiry"));
    shell.ends("key rotation-policy set first --rotate-after P1D", 1, &["status 400"]);
}

/// What a vault demands of every release is shown, set and taken back, and denies in its own name.
fn flooring(shell: &Shell) {
    let nothing = shell.json("vault floor show");
    assert_eq!((&nothing["generation"], &nothing["policy"]), (&json!(0), &Value::Null));
    assert_eq!(nothing["configured"], json!({"token_age_max_secs": null, "simulated": true}));
    shell.says("key release secret --simulate");
    shell.put("strict.json", shell.policy().replace(&"0".repeat(64), &"1".repeat(64)));
    let set = shell.json("vault floor set --policy strict.json --oldest-token 3600 --raise-min-iat 1700000000");
    assert_eq!((&set["generation"], &set["token_age_max_secs"]), (&json!(1), &json!(3600)));
    assert_eq!(shell.json("vault floor show"), set);
    let shown = shell.says("vault floor show");
    assert!(shown.contains("2023-11-14T22:13:20Z") && shown.contains("3600 s") && shown.contains("TAKEN"), "{shown}");
    shell.ends("key release secret --simulate", 1, &["the vault's floor"]);
    shell.ends("vault floor set --raise-min-iat 1600000000", 1, &["status 400", "is not lowered"]);
    shell.ends("vault floor set --raise-min-iat yesterday", 2, &["--raise-min-iat", "a time is as"]);
    shell.ends("vault floor set", 2, &["required"]);
    shell.put("bent.json", "{}");
    shell.ends("vault floor set --policy bent.json", 1, &["was not sent"]);
    let back = shell.json("vault floor set --no-policy --any-age");
    assert_eq!((&back["policy"], &back["token_age_max_secs"]), (&Value::Null, &Value::Null));
    shell.says("key release secret --simulate");
}

fn releasing(shell: &Shell) {
    let other = "1".repeat(64);
    let released = shell.json("key release secret --simulate --out released.der");
    assert_eq!((&released["released"], &released["out"]), (&json!(true), &json!("released.der")));
    assert_eq!((shell.mode("released.der"), &released["authority"]), (0o600, &json!(shell.env["SKR_ATTEST_URL"])));
    assert_eq!(released["policy"], shell.json("key show secret")["release_policy"]["text"]);
    // What was released is the key: what it signs verifies under the vault's public half.
    let key = SigningKey::from_pkcs8(Algorithm::Rs256, &shell.read("released.der")).unwrap();
    let signed = skerry_jose::ProtectedHeader::new(r#"{"alg":"RS256"}"#).sign(b"{}", &key).unwrap();
    let (input, signature) = signed.rsplit_once('.').unwrap();
    shell.put("input", input);
    shell.says(&format!("key verify secret --alg RS256 --in input --signature {signature}"));
    let table = shell.says("key release secret --simulate");
    assert!(table.contains("release: verified, with its receipt; the key was not kept"), "{table}");
    assert!(table.contains("x-ms-sevsnpvm-hostdata") && table.contains("certificate of CN="), "{table}");
    shell.ends("key release secret --simulate --out released.der", 2, &["released.der is there already"]);

    // A denial is a table of clauses, or one object with them.
    let denied = shell.ends(
        &format!("key release secret --simulate --host-data {other} --out no.der"),
        1,
        &["release is refused: status 403 Forbidden", "does not meet key release policy requirements", "request id: "],
    );
    let table = String::from_utf8(denied.stdout).unwrap();
    for cell in ["anyOf[0].allOf[1]", "x-ms-sevsnpvm-hostdata", " NO ", " yes "] {
        assert!(table.contains(cell), "{cell} is not in {table}");
    }
    assert!(!shell.path("no.der").exists());
    let denied = shell.ends(&format!("key release secret --simulate --host-data {other} --json"), 1, &[]);
    let denied: Value = serde_json::from_slice(&denied.stdout).unwrap();
    let failed: Vec<&Value> =
        denied["clauses"].as_array().unwrap().iter().filter(|clause| clause["holds"] == false).collect();
    assert_eq!(failed.iter().map(|clause| &clause["clause"]).collect::<Vec<_>>(), ["anyOf[0].allOf[1]"]);
    assert_eq!(
        (&failed[0]["expected"], &failed[0]["seen"]),
        (&json!(format!("equals {}", "0".repeat(64))), &json!(format!("\"{other}\"")),)
    );
    shell.ends("key release first --simulate", 1, &["KeyNotExportable"]);
    shell.ends("key release secret --simulate --debug", 1, &["the attestation service refuses the evidence"]);

    // The TEE of a token and a key in files.
    let pair = SigningKey::generate(Algorithm::Rs256).unwrap();
    let pkcs8 = pair.to_pkcs8().unwrap();
    let tee = skerry_keywrap::UnwrapKey::from_pkcs8(&pkcs8).unwrap();
    let (n, e) = tee.public_components();
    let [n, e] = [n, e].map(skerry_jose::b64::encode);
    let runtime = json!({"keys": [{"kty": "RSA", "kid": "mine", "key_ops": ["encrypt"], "n": n, "e": e}]});
    shell.put("runtime.json", runtime.to_string());
    shell.put("tee.der", pkcs8.as_slice());
    let script = format!("{} runtime.json > token", shell.env["SKR_TEE_SIM"]);
    let made = Command::new("sh").args(["-c", &script]).current_dir(shell.files.path()).envs(&shell.env).status();
    assert!(made.unwrap().success());
    let released = shell.json("key release secret --attestation token --tee-key tee.der --enc CKM_RSA_AES_KEY_WRAP");
    assert_eq!((&released["target_kid"], &released["out"]), (&json!("mine"), &Value::Null));
    shell.ends("key release secret --attestation token --tee-key rsa.pem", 2, &["do not have this TEE's key"]);
    shell.ends("key release secret --attestation token --tee-key tee.der --debug", 2, &["are for --simulate"]);
    shell.ends("key release secret", 2, &["--simulate"]);

    // Under another root the answer is not believed, and nothing of it is kept.
    let now = SystemTime::now();
    let stranger = Ca::generate("stranger", now).unwrap();
    shell.put("stranger.pem", pem(stranger.root_der()));
    shell.ends(
        "key release secret --simulate --release-ca stranger.pem --out no.der",
        4,
        &["is not believed", "chain"],
    );
    assert!(!shell.path("no.der").exists());

    // What was attested before is revoked by raising the earliest time.
    assert_eq!(shell.json("key min-iat secret"), json!({"name": "secret", "min_iat": null}));
    let raised = shell.json("key min-iat secret --raise now")["min_iat"].as_u64().unwrap();
    assert_eq!(shell.json("key show secret")["min_iat"], raised);
    shell.ends("key min-iat secret --raise 1", 1, &["status 400"]);
    shell.ends("key min-iat secret --raise soon", 2, &["soon"]);
}

fn pem(der: &[u8]) -> String {
    let body = skerry_jose::b64::encode_standard(der);
    format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
}

/// Every way to be somebody, and the vault's word about itself.
fn asking_as_others(shell: &Shell) {
    let about = shell.json("vault show");
    assert_eq!((&about["vault"], &about["may_list"]), (&json!(shell.env["SKR_VAULT_URL"]), &json!(true)));
    assert!(about["authority"].as_str().unwrap().starts_with(&shell.env["SKR_IDENTITY_URL"]), "{about}");
    assert!(shell.says("vault show").contains("your token may list"));
    let client = shell.with(&[("SKR_TOKEN", "")]);
    client.says("key show first");
    let wrong = shell.with(&[("SKR_TOKEN", ""), ("SKR_CLIENT_SECRET", "of-somebody-else")]);
    wrong.ends("key show first", 1, &["no token for the vault", "status 401 invalid_client"]);
    let abroad = shell.with(&[("SKR_TOKEN", ""), ("SKR_IDENTITY_URL", "https://login.example")]);
    abroad.ends("key show first", 4, &["the client's secret is not for that authority", "SKR_IDENTITY_URL"]);
    let machine = shell.with(&[("SKR_TOKEN", ""), ("SKR_CLIENT_ID", "")]);
    machine.says("key show first");
    let nobody = shell.with(&[("SKR_TOKEN", ""), ("SKR_CLIENT_ID", ""), ("SKR_METADATA_URL", "")]);
    nobody.ends("key show first", 2, &["nobody to ask as", "SKR_TOKEN"]);
    nobody.put("token", format!("{}\n", shell.env["SKR_TOKEN"]));
    nobody.says("key show first --token-file token");
    nobody.ends("key show first --token-file none", 2, &["none cannot be read"]);
    let system = shell.with(&[("SKR_CA_FILE", ""), ("SSL_CERT_FILE", &shell.env["SKR_CA_FILE"])]);
    system.says("key show first");
    let odd = shell.with(&[("SKR_TOKEN", "two words")]);
    odd.ends("key show first", 2, &["SKR_TOKEN", "visible characters"]);
    let spoilt = shell.env["SKR_TOKEN"].rsplit_once('.').unwrap().0.to_owned() + ".AAAA";
    let spoilt = shell.with(&[("SKR_TOKEN", &spoilt)]);
    spoilt.ends("key show first", 1, &["status 401 Unauthorized", "get a new one"]);
    assert_eq!(spoilt.run("vault show").status.code(), Some(1));
}

fn refusals(shell: &Shell) {
    for name in ["a_b", "..", "a/latest"] {
        shell.ends(&format!("key show {name}"), 2, &["is no "]);
    }
    shell.ends("key create x --kty ec --size 2048", 2, &["--size is for keys of type rsa and oct"]);
    shell.ends("key create x --expires tomorrow", 2, &["seconds since the epoch"]);
    shell.ends("key show nobody-made-it", 1, &["status 404 KeyNotFound"]);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    shell.ends(&format!("key list --vault https://127.0.0.1:{port}"), 3, &["cannot connect to", "next: "]);
    shell.ends("key list --vault http://localhost", 2, &["is not an https URL"]);
    shell.ends(&format!("key list --vault {}/below", shell.env["SKR_VAULT_URL"]), 2, &["is not an https URL"]);
    let nowhere = shell.with(&[("SKR_VAULT_URL", "")]);
    nowhere.ends("key list", 2, &["no vault is named", "dev.env"]);
    let stranger = Ca::generate("stranger", SystemTime::now()).unwrap();
    shell.put("stranger.pem", pem(stranger.root_der()));
    shell.ends("key list --ca-file stranger.pem", 3, &["is not trusted", "--ca-file or SKR_CA_FILE"]);
    // The attestation service under the same CA is no vault, and gets no token.
    let attest = shell.env["SKR_ATTEST_URL"].clone();
    shell.ends(&format!("key list --vault {attest}"), 3, &["is this a vault?"]);
}

/// A server with a certificate that is good here, which answers each request with the next of these: its URL and what it read.
struct Impostor {
    shell: Shell,
    thread: std::thread::JoinHandle<Vec<String>>,
}

impl Impostor {
    fn new(answers: impl FnOnce(&str) -> Vec<String>) -> Impostor {
        let now = SystemTime::now();
        let ca = Ca::generate("impostor", now).unwrap();
        let leaf = ca.issue_tls(&["localhost"], &[], now).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(leaf.key_pkcs8.to_vec()));
        let chain = leaf.chain_der.iter().map(|der| der.clone().into()).collect();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = Arc::new(config.with_no_client_auth().with_single_cert(chain, key).unwrap());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let answers = answers(&url);
        let thread = std::thread::spawn(move || {
            let answered = |answer: &String| {
                let connection = ServerConnection::new(config.clone()).unwrap();
                let mut stream = StreamOwned::new(connection, listener.accept().unwrap().0);
                let mut read = [0; 16 * 1024];
                let len = stream.read(&mut read).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
                stream.conn.send_close_notify();
                stream.flush().ok();
                String::from_utf8_lossy(&read[..len]).into_owned()
            };
            answers.iter().map(answered).collect()
        });
        let files = tempfile::tempdir().unwrap();
        std::fs::write(files.path().join("ca.pem"), pem(ca.root_der())).unwrap();
        let pairs = [("SKR_VAULT_URL", url.as_str()), ("SKR_CA_FILE", "ca.pem"), ("SKR_TOKEN", SECRET)];
        let env = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Impostor { shell: Shell { env, files, _server: None }, thread }
    }

    fn read(self) -> String {
        self.thread.join().unwrap().concat()
    }
}

fn challenge(resource: &str) -> String {
    let header = format!(r#"Bearer authorization="https://login.example/t", resource="{resource}""#);
    format!("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: {header}\r\nContent-Length: 0\r\n\r\n")
}

fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

const SECRET: &str = "a-bearer-token-that-nobody-else-gets";

/// Servers that are no vaults are told apart by what they do, and the exit code says that it was they.
#[test]
fn impostors_get_nothing() {
    let impostor = Impostor::new(|_| vec![challenge("https://vault.azure.net")]);
    impostor.shell.ends("key list", 4, &["which is no domain of localhost", "no token was sent"]);
    assert!(!impostor.read().contains(SECRET));

    let page = r#"{"value":[],"nextLink":"https://evil.example/keys"}"#;
    let impostor = Impostor::new(|url| vec![challenge(url), answer("200 OK", page)]);
    impostor.shell.ends("key list", 4, &["https://evil.example/keys", "which is not the vault's"]);
    assert!(impostor.read().contains(SECRET));

    for body in ["[]", "{}", "not JSON", r#"{"value":[{"kid":1}]}"#] {
        let impostor = Impostor::new(|url| vec![challenge(url), answer("200 OK", body)]);
        impostor.shell.ends("key list", 4, &["the answer to list is not one"]);
        impostor.read();
    }
    let cut = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"value\":[".to_owned();
    let impostor = Impostor::new(|url| vec![challenge(url), cut]);
    impostor.shell.ends("key list", 3, &["did not answer in HTTP"]);
    impostor.read();

    // Busy: once more after the time it asks for, which is none, and then it is down.
    let busy = "HTTP/1.1 429 Many\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n".to_owned();
    let down = answer("500 Internal Server Error", r#"{"error":{"code":"X","message":"down\u001b[2J"}}"#);
    let impostor = Impostor::new(|url| vec![challenge(url), busy, down]);
    let output =
        impostor.shell.ends("key list", 3, &["the vault is busy (status 429): again in 0 s", "status 500 X: down"]);
    assert!(!output.stderr.contains(&0x1b));
    impostor.read();
}

/// What is asked of nobody ends as a usage error, and help names every command.
#[test]
fn help_names_every_command() {
    let output = crate::support::skerry(&["key", "--help"]);
    let help = crate::support::stdout(&output);
    for command in [
        "create",
        "import",
        "list",
        "show",
        "versions",
        "set-policy",
        "rotate",
        "rotation-policy",
        "disable",
        "enable",
        "delete",
        "deleted",
        "recover",
        "purge",
        "backup",
        "restore",
        "sign",
        "verify",
        "encrypt",
        "decrypt",
        "wrap",
        "unwrap",
        "release",
        "min-iat",
    ] {
        assert!(help.contains(&format!("\n  {command} ")), "{command} is not in {help}");
    }
    assert_eq!(crate::support::skerry(&["key"]).status.code(), Some(2));
    assert_eq!(crate::support::skerry(&["vault", "burn"]).status.code(), Some(2));
}
