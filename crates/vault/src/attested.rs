//! What of the evidence goes on record: its digest, and what was measured, where the authority's token states them.
//!
//! Each kind of token has names of its own, and only those of the kind that the token says it is are read. Of a guest with a
//! vTPM both are of the TEE that it runs in, whose claims are an object of their own. No kind but SGX states a digest of its
//! evidence (recorded tokens; an Open Enclave report is stated as SGX too). What is no value of its form is not copied: an
//! authority may put text of any length there.

use skerry_attestation_result::names::{self, sgx, snp, tdx};
use skerry_jose::json::{Object, Value};

/// What a token states of its evidence. Whoever signed it vouches for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Attested {
    /// SHA-256 of the quote, or of the report with its header, as it was given to the authority.
    pub(crate) evidence: Option<[u8; 32]>,
    /// Launch measurement, `MRENCLAVE` or `MRTD`.
    pub(crate) measurement: Option<Vec<u8>>,
}

impl Attested {
    /// What these claims state. The caller believes the token that they are of.
    pub(crate) fn of(claims: &Object) -> Attested {
        let kind = |claims: &Object| claims.get(names::ATTESTATION_TYPE).and_then(Value::as_str).map(str::to_owned);
        match kind(claims).as_deref() {
            Some(GUEST) => match claims.get(names::ISOLATION_TEE).and_then(Value::as_object) {
                Some(tee) => Self::of_kind(kind(tee).as_deref(), tee),
                None => Attested::default(),
            },
            kind => Self::of_kind(kind, claims),
        }
    }

    fn of_kind(kind: Option<&str>, claims: &Object) -> Attested {
        let Some(stated) = STATED.iter().find(|stated| Some(stated.kind) == kind) else {
            return Attested::default();
        };
        let digest = stated.evidence.and_then(|(object, member)| claims.get(object)?.as_object()?.get(member));
        let evidence = digest.and_then(octets).and_then(|octets| octets.try_into().ok());
        let measurement = claims.get(stated.measurement).and_then(octets);
        Attested { evidence, measurement: measurement.filter(|octets| octets.len() == stated.measurement_len) }
    }
}

fn octets(value: &Value) -> Option<Vec<u8>> {
    let text = value.as_str().filter(|text| text.len() <= HEX_LEN_MAX)?;
    hex::decode(text).ok()
}

/// What tokens of a kind state, and where.
struct Stated {
    kind: &'static str,
    /// Object, and its member.
    evidence: Option<(&'static str, &'static str)>,
    measurement: &'static str,
    measurement_len: usize,
}

/// Lengths are AMD 56860 (ATTESTATION_REPORT.MEASUREMENT), SDM 3D (REPORT.MRENCLAVE), TDX ABI (TDINFO_STRUCT.MRTD).
const STATED: [Stated; 3] = [
    Stated { kind: "sevsnpvm", evidence: None, measurement: snp::LAUNCH_MEASUREMENT, measurement_len: 48 },
    Stated {
        kind: "sgx",
        evidence: Some((sgx::COLLATERAL, sgx::QUOTE_HASH)),
        measurement: sgx::MRENCLAVE,
        measurement_len: 32,
    },
    Stated { kind: "tdxvm", evidence: None, measurement: tdx::MRTD, measurement_len: 48 },
];
/// The kind whose TEE is in an object of its own.
const GUEST: &str = "azurevm";
/// The longest that is read, in digits.
const HEX_LEN_MAX: usize = 2 * 48;

#[cfg(test)]
mod tests {
    use super::*;
    use skerry_attestation_result::limits::TokenLimits;
    use skerry_jose::json;

    fn of(text: &str) -> Attested {
        Attested::of(json::parse(text.as_bytes(), &TokenLimits::default().jws.json).unwrap().as_object().unwrap())
    }

    fn hex_of(octet: u8, len: usize) -> String {
        hex::encode(vec![octet; len])
    }

    /// Each kind under its own names, alone or as the TEE of a guest; a kind that states no digest of its evidence has none on record.
    #[test]
    fn each_kind_has_its_names() {
        let sgx = format!(
            r#"{{"x-ms-attestation-type":"sgx","x-ms-sgx-mrenclave":"{}","x-ms-sgx-collateral":{{"qeidhash":"{}","quotehash":"{}"}}}}"#,
            hex_of(1, 32),
            hex_of(2, 32),
            hex_of(3, 32)
        );
        assert_eq!(of(&sgx), Attested { evidence: Some([3; 32]), measurement: Some(vec![1; 32]) });
        for (kind, claim) in [("sevsnpvm", "x-ms-sevsnpvm-launchmeasurement"), ("tdxvm", "tdx_mrtd")] {
            let tee = format!(r#"{{"x-ms-attestation-type":"{kind}","{claim}":"{}"}}"#, hex_of(4, 48));
            let stated = Attested { evidence: None, measurement: Some(vec![4; 48]) };
            assert_eq!(of(&tee), stated);
            let guest = format!(r#"{{"x-ms-attestation-type":"azurevm","x-ms-isolation-tee":{tee}}}"#);
            assert_eq!(of(&guest), stated, "as the TEE of a guest");
        }
    }

    /// A claim under the name of another kind, in another place or of another form is not what was attested.
    #[test]
    fn what_is_not_stated_is_not_made_up() {
        let (digest, long) = (hex_of(3, 32), hex_of(4, 48));
        for claims in [
            format!(r#"{{"x-ms-sgx-collateral":{{"quotehash":"{digest}"}}}}"#),
            format!(r#"{{"x-ms-attestation-type":"sevsnpvm","x-ms-sgx-collateral":{{"quotehash":"{digest}"}}}}"#),
            format!(r#"{{"x-ms-attestation-type":"sevsnpvm","tdx_mrtd":"{long}"}}"#),
            format!(r#"{{"x-ms-attestation-type":"sgx","x-ms-sgx-collateral":"{digest}"}}"#),
            format!(r#"{{"x-ms-attestation-type":"sgx","x-ms-sgx-collateral":{{"quotehash":"{digest}00"}}}}"#),
            format!(r#"{{"x-ms-attestation-type":"sgx","x-ms-sgx-collateral":{{"quotehash":"{}"}}}}"#, "zz".repeat(32)),
            format!(r#"{{"x-ms-attestation-type":"sgx","x-ms-sgx-mrenclave":"{long}"}}"#),
            format!(
                r#"{{"x-ms-attestation-type":"sgx","x-ms-runtime":{{"x-ms-sgx-collateral":{{"quotehash":"{digest}"}}}}}}"#
            ),
            format!(r#"{{"x-ms-attestation-type":"azurevm","x-ms-sevsnpvm-launchmeasurement":"{long}"}}"#),
            format!(
                r#"{{"x-ms-attestation-type":"azurevm","x-ms-runtime":{{"x-ms-isolation-tee":{{"x-ms-attestation-type":"sevsnpvm","x-ms-sevsnpvm-launchmeasurement":"{long}"}}}}}}"#
            ),
            r#"{"x-ms-attestation-type":7,"x-ms-isolation-tee":7}"#.to_owned(),
        ] {
            assert_eq!(of(&claims), Attested::default(), "{claims}");
        }
    }

    /// Tokens of the real service, the submitted octets beside two of them: what is on record is the digest of just those.
    #[test]
    fn recorded_tokens_state_the_digest_of_what_was_submitted() {
        let folder = std::env::var("SKERRY_VECTORS").unwrap_or_else(|_| "../../../shared/vectors".into());
        for (token, evidence) in [
            ("sgx/token-json.jwt", "sgx/quote-coffeelake.bin"),
            ("sgx/token-binary.jwt", "sgx/quote-coffeelake.bin"),
            ("openenclave/token-shared-json.jwt", "openenclave/report.bin"),
        ] {
            let read = |name: &str| std::fs::read(format!("{folder}/maa/{name}"));
            let (Ok(token), Ok(evidence)) = (read(token), read(evidence)) else {
                eprintln!("SKIPPED: {folder}/maa/{token} is not there (set SKERRY_VECTORS)");
                return;
            };
            let token = String::from_utf8(token).unwrap();
            let claims = skerry_jose::b64::decode(token.split('.').nth(1).unwrap()).unwrap();
            let stated = of(&String::from_utf8(claims).unwrap());
            assert_eq!(stated.evidence, Some(crate::entries::sha256(&[&evidence])));
            assert!(stated.measurement.is_some());
        }
    }
}
