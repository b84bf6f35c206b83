//! The policies people have: Microsoft's samples, scripts and defaults, each against a token it was written for.

use super::{holds, policy};

const EUS2: &str = "https://sharedeus2.eus2.attest.azure.net";
const WEU: &str = "https://sharedweu.weu.attest.azure.net";

/// An SGX token.
const SGX: &str = r#"{"x-ms-attestation-type":"sgx","x-ms-sgx-is-debuggable":false,"x-ms-sgx-svn":2,
    "x-ms-sgx-mrsigner":"83f4e819861adef6ffb2a4865efea9337b91ed30fa33491b17f0d5d9e8204410",
    "x-ms-sgx-mrenclave":"a1a2b50d81f8a0b1b0d4b3c5fa8b9e0d7d26bdb5b7c6dfb9f1f8a3a6f1b2c3d4"}"#;

/// A token of an Azure confidential VM: the claims of the TEE are one level down.
const CVM: &str = r#"{"x-ms-attestation-type":"azurevm","x-ms-azurevm-vmid":"B2A4D5B8-0000-4000-8000-3E6E5B1C2D3F",
    "x-ms-runtime":{"keys":[]},"x-ms-policy":{"edge-compliant-cvm":true},
    "x-ms-isolation-tee":{"x-ms-attestation-type":"sevsnpvm","x-ms-compliance-status":"azure-compliant-cvm",
        "x-ms-sevsnpvm-is-debuggable":false,"x-ms-sevsnpvm-vmpl":0}}"#;

/// A token of a confidential VM whose evidence went to the SEV-SNP endpoint.
const FLAT_CVM: &str = r#"{"x-ms-attestation-type":"sevsnpvm","x-ms-compliance-status":"azure-compliant-cvm"}"#;

/// A token of a confidential container group.
const ACI: &str = r#"{"x-ms-attestation-type":"sevsnpvm","x-ms-compliance-status":"azure-compliant-uvm",
    "x-ms-sevsnpvm-is-debuggable":false,"x-ms-sevsnpvm-vmpl":0,"x-ms-sevsnpvm-guestsvn":100,
    "x-ms-sevsnpvm-hostdata":"73973b78d70cc68353426de188db5dfc57e5b766e399935fb73a61127ea26d20"}"#;

/// One sample: name, policy, who signs, the token it is for, and tokens it must not be for (a change of the first).
type Sample = (&'static str, &'static str, &'static str, &'static str, &'static [(&'static str, &'static str)]);

const SAMPLES: &[Sample] = &[
    (
        "SGX 1",
        r#"{"version":"1.0.0","anyOf":[{"authority":"https://sharedeus2.eus2.attest.azure.net","allOf":[
            {"claim":"x-ms-sgx-mrsigner","equals":"83f4e819861adef6ffb2a4865efea9337b91ed30fa33491b17f0d5d9e8204410"}]}]}"#,
        EUS2,
        SGX,
        &[("83f4", "83f5"), ("83f4e", "83F4E"), ("mrsigner", "mrsigned")],
    ),
    (
        "SGX 2",
        r#"{"version":"1.0.0","anyOf":[{"authority":"https://sharedeus2.eus2.attest.azure.net","allOf":[
            {"claim":"x-ms-sgx-mrsigner","equals":"83f4e819861adef6ffb2a4865efea9337b91ed30fa33491b17f0d5d9e8204410"},
            {"claim":"x-ms-sgx-mrenclave","equals":"a1a2b50d81f8a0b1b0d4b3c5fa8b9e0d7d26bdb5b7c6dfb9f1f8a3a6f1b2c3d4"}]}]}"#,
        EUS2,
        SGX,
        &[("83f4", "83f5"), ("a1a2", "a1a3")],
    ),
    (
        "SGX 3: a number, an order, and anyOf before version",
        r#"{"anyOf":[{"authority":"https://sharedeus2.eus2.attest.azure.net","allOf":[
            {"claim":"x-ms-sgx-mrsigner","equals":"83f4e819861adef6ffb2a4865efea9337b91ed30fa33491b17f0d5d9e8204410"},
            {"claim":"x-ms-sgx-mrenclave","equals":"a1a2b50d81f8a0b1b0d4b3c5fa8b9e0d7d26bdb5b7c6dfb9f1f8a3a6f1b2c3d4"},
            {"claim":"x-ms-sgx-svn","greater":1}]}],"version":"1.0.0"}"#,
        EUS2,
        SGX,
        &[("svn\":2", "svn\":1"), ("svn\":2", "svn\":null"), ("svn\":2", "svn\":2.0"), ("a1a2", "a1a3")],
    ),
    (
        "CVM 1: two authorities, names without prefix",
        r#"{"version":"1.0.0","anyOf":[
            {"authority":"https://sharedweu.weu.attest.azure.net","allOf":[{"claim":"x-ms-attestation-type","equals":"sevsnpvm"},
                {"claim":"x-ms-compliance-status","equals":"azure-compliant-cvm"}]},
            {"authority":"https://sharedeus2.eus2.attest.azure.net","allOf":[{"claim":"x-ms-attestation-type","equals":"sevsnpvm"},
                {"claim":"x-ms-compliance-status","equals":"azure-compliant-cvm"}]}]}"#,
        EUS2,
        FLAT_CVM,
        &[("sevsnpvm", "azurevm"), ("cvm", "uvm")],
    ),
    (
        "CVM 2: an outermost allOf",
        r#"{"version":"1.0.0","allOf":[{"authority":"https://sharedweu.weu.attest.azure.net","allOf":[
            {"claim":"x-ms-isolation-tee.x-ms-attestation-type","equals":"sevsnpvm"},
            {"claim":"x-ms-isolation-tee.x-ms-compliance-status","equals":"azure-compliant-cvm"},
            {"claim":"x-ms-azurevm-vmid","equals":"B2A4D5B8-0000-4000-8000-3E6E5B1C2D3F"}]}]}"#,
        WEU,
        CVM,
        &[("B2A4", "B2A5"), ("azure-compliant-cvm", "not"), ("sevsnpvm\"", "tdxvm\"")],
    ),
    (
        "CVM README",
        r#"{"version":"1.0.0","anyOf":[{"authority":"https://sharedweu.weu.attest.azure.net/","allOf":[
            {"claim":"x-ms-isolation-tee.x-ms-attestation-type","equals":"sevsnpvm"},
            {"claim":"x-ms-isolation-tee.x-ms-compliance-status","equals":"azure-compliant-cvm"}]}]}"#,
        WEU,
        CVM,
        &[("azure-compliant-cvm", "not"), ("x-ms-isolation-tee", "x-ms-isolation")],
    ),
    (
        "Azure Local CVM",
        r#"{"version":"1.0.0","anyOf":[{"authority":"https://sharedweu.weu.attest.azure.net","allOf":[
            {"claim":"x-ms-isolation-tee.x-ms-sevsnpvm-is-debuggable","equals":"false"},
            {"claim":"x-ms-isolation-tee.x-ms-attestation-type","equals":"sevsnpvm"},
            {"claim":"x-ms-policy.edge-compliant-cvm","equals":"true"}]}]}"#,
        WEU,
        CVM,
        &[("debuggable\":false", "debuggable\":true"), ("cvm\":true", "cvm\":false"), ("cvm\":true", "cvm\":1")],
    ),
    (
        "ACI",
        r#"{"version":"1.0.0","anyOf":[{"authority":"https://fabrikam1.wus.attest.azure.net","allOf":[
            {"claim":"x-ms-attestation-type","equals":"sevsnpvm"},
            {"claim":"x-ms-compliance-status","equals":"azure-compliant-uvm"},
            {"claim":"x-ms-sevsnpvm-hostdata","equals":"73973b78d70cc68353426de188db5dfc57e5b766e399935fb73a61127ea26d20"}]}]}"#,
        "https://fabrikam1.wus.attest.azure.net",
        ACI,
        &[("73973", "73974"), ("uvm", "cvm"), ("hostdata", "hostData")],
    ),
    (
        "ACI sidecar tests: boolean and number as text",
        r#"{"version":"1.0.0","anyOf":[{"authority":"https://sharedeus2.eus2.attest.azure.net","allOf":[
            {"claim":"x-ms-sevsnpvm-hostdata","equals":"73973b78d70cc68353426de188db5dfc57e5b766e399935fb73a61127ea26d20"},
            {"claim":"x-ms-compliance-status","equals":"azure-compliant-uvm"},
            {"claim":"x-ms-sevsnpvm-is-debuggable","equals":"false"},{"claim":"x-ms-sevsnpvm-vmpl","equals":"0"}]}]}"#,
        EUS2,
        ACI,
        &[("debuggable\":false", "debuggable\":true"), ("vmpl\":0", "vmpl\":1"), ("vmpl\":0", "vmpl\":false")],
    ),
    (
        "AKS kata script: version 0.2 (its trailing comma is refused)",
        r#"{"version":"0.2","anyOf":[{"authority":"https://sharedeus2.eus2.attest.azure.net","allOf":[
            {"claim":"x-ms-attestation-type","equals":"sevsnpvm"}]}]}"#,
        EUS2,
        ACI,
        &[("sevsnpvm\"", "sevsnpvm \"")],
    ),
    (
        "az --default-cvm-policy",
        r#"{"version":"1.0.0","anyOf":[{"authority":"https://sharedweu.weu.attest.azure.net","allOf":[
            {"claim":"x-ms-compliance-status","equals":"azure-compliant-cvm"}]}]}"#,
        WEU,
        FLAT_CVM,
        &[("cvm", "uvm")],
    ),
    (
        "az --default-data-disk-policy: a list within a list",
        r#"{"version":"1.0.0","anyOf":[{"authority":"https://sharedweu.weu.attest.azure.net","allOf":[
            {"anyOf":[{"claim":"x-ms-isolation-tee.x-ms-attestation-type","equals":"sevsnpvm"},
                {"claim":"x-ms-isolation-tee.x-ms-attestation-type","equals":"tdxvm"}]},
            {"claim":"x-ms-isolation-tee.x-ms-compliance-status","equals":"azure-compliant-cvm"}]}]}"#,
        WEU,
        CVM,
        &[("azure-compliant-cvm", "not"), ("sevsnpvm\"", "sgx\"")],
    ),
    (
        "SDK tests: anyOf as the inner list, version 1.0",
        r#"{"anyOf":[{"anyOf":[{"claim":"sdk-test","equals":true}],"authority":"https://sharedweu.weu.attest.azure.net"}],"version":"1.0"}"#,
        WEU,
        r#"{"sdk-test":true}"#,
        &[("true", "false"), ("sdk-test", "sdk")],
    ),
    (
        "an early managed HSM: condition and value",
        r#"{"version":"1.0","anyOf":[{"authority":"https://sharedweu.weu.attest.azure.net","anyOf":[
            {"claim":"sdk-test","condition":"equals","value":"true"}]}]}"#,
        WEU,
        r#"{"sdk-test":true}"#,
        &[("true", "false")],
    ),
];

// Each sample holds for the token it was written for and its signer, not for another signer nor for a changed token.
#[test]
fn samples_hold_for_the_tokens_they_were_written_for() {
    for (name, text, by, token, changes) in SAMPLES {
        let policy = policy(text);
        assert!(holds(&policy, by, token), "{name}");
        assert!(!holds(&policy, "https://other.attest.example", token), "{name}");
        assert!(!holds(&policy, by, "{}"), "{name}");
        for (from, to) in *changes {
            let changed = token.replace(from, to);
            assert_ne!(changed, *token, "{name}: {from}");
            assert!(!holds(&policy, by, &changed), "{name}: {from} -> {to}");
        }
    }
}

// The sample without prefix does not match the token of a real confidential VM, as its author would hope.
#[test]
fn the_sample_without_prefix_misses_real_tokens() {
    let (_, text, by, ..) = SAMPLES.iter().find(|(name, ..)| name.starts_with("CVM 1")).unwrap();
    assert!(!holds(&policy(text), by, CVM));
}

// Two tokens either of which a nested anyOf admits.
#[test]
fn a_nested_list_admits_each_alternative() {
    let (_, text, by, token, _) = SAMPLES.iter().find(|(name, ..)| name.contains("data-disk")).unwrap();
    assert!(holds(&policy(text), by, &token.replace("\"sevsnpvm\"", "\"tdxvm\"")));
}
