//! The attestation service as its clients meet it: evidence in, tokens out, and each refusal with Azure's code.

use std::num::NonZeroUsize;
use std::sync::{Arc, OnceLock};

use http::HeaderValue;
use skerry_attestation_result::{Authority, IssuerUrl, TokenError, TokenSigner};
use skerry_evidence::snp::Generation;
use skerry_evidence::uvm::TrustList;
use skerry_http::attestation::{Caller, Config, Denied, ResultSigner, Surface};
use skerry_http::{Limits, Pool, Surface as Surfaces};
use skerry_identity::Principal;
use skerry_jose::json::{self, Object, Value};
use skerry_jose::limits::JwsLimits;
use skerry_jose::{Algorithm, JwkSet, JwsError, SigningKey, Unverified, b64};
use skerry_policy::attestation::{AppraisalPolicy, EvidenceType, PolicyDocument, Trust};
use skerry_simulator::{ChipConfig, Root, TeeConfig, UVM_FEED, UvmSigner};
use skerry_store::Store;
use skerry_store::seal::Root as KeyRoot;
use skerry_store::stamp::Kind;
use skerry_testkit::seeded;
use skerry_vault::Installation;
use skerry_vault::appraisal::AppraisalPolicies;
use skerry_verifier::{Verifier, VerifierConfig};

use crate::openapi::rows_of;
use crate::support::{Response, Site, machine, now, request, runtime};
use crate::vault::sweep::{Sweeper, bodies, lines, spoilt};

const ISSUER: &str = "https://attest.test";
const RUNTIME: &[u8] = br#"{"keys":[]}"#;

struct Simulated {
    root: Root,
    uvm: UvmSigner,
}

fn simulated() -> &'static Simulated {
    static SIMULATED: OnceLock<Simulated> = OnceLock::new();
    SIMULATED.get_or_init(|| Simulated {
        root: Root::generate(Generation::Milan, now(), &mut seeded(1)).unwrap(),
        uvm: UvmSigner::generate(now(), &mut seeded(2)).unwrap(),
    })
}

fn signing_key() -> SigningKey {
    static KEY: OnceLock<Vec<u8>> = OnceLock::new();
    let der = KEY.get_or_init(|| SigningKey::generate(Algorithm::Rs256).unwrap().to_pkcs8().unwrap().to_vec());
    SigningKey::from_pkcs8(Algorithm::Rs256, der).unwrap()
}

/// The service where anybody may sign policies who may set one.
async fn surface() -> Surfaces {
    surface_of(Vec::new()).await
}

/// The service whose policies these have to have signed, by their certificates.
async fn surface_of(policy_signers: Vec<Vec<u8>>) -> Surfaces {
    let issuer = IssuerUrl::parse(ISSUER).unwrap();
    let signer = TokenSigner::new(issuer.clone(), signing_key());
    let results = ResultSigner::new(&issuer, signer.kid(), signing_key());
    let certs = Object::new().with("keys", vec![signer.public_jwk()]);
    let root = (Generation::Milan, simulated().root.ark_spki_sha256().unwrap());
    let trust = TrustList::none().with_simulated(&simulated().uvm.did(), UVM_FEED, 10);
    let verifier = Arc::new(Verifier::new(VerifierConfig::simulated(&[root], trust), signer));
    let config = Config {
        verifier,
        certs,
        policies: policies(&policy_signers).await,
        policy_signers,
        results,
        callers: Box::new(|token| {
            let caller = |may_set| Ok(Caller { principal: Principal::new("https://login.test", "alice"), may_set });
            Box::pin(async move {
                match token {
                    "reader" => caller(false),
                    "setter" => caller(true),
                    "stranger" => Err(Denied::Forbidden),
                    "later" => Err(Denied::Unavailable),
                    _ => Err(Denied::Unauthorized),
                }
            })
        }),
        challenge: HeaderValue::from_static(CHALLENGE),
        pool: Arc::new(Pool::new(NonZeroUsize::MIN, 64).unwrap()),
        machine: machine(),
    };
    Surfaces::Attestation(Arc::new(Surface::new(config)))
}

/// In an installation of their own, whose log lies in a folder that stays until the tests end.
async fn policies(signers: &[Vec<u8>]) -> Arc<AppraisalPolicies> {
    let folder = tempfile::tempdir().unwrap().keep();
    let (machine, limits) = (machine(), skerry_audit::Limits::default());
    let root = KeyRoot::new(zeroize::Zeroizing::new([7; 32]));
    let opening =
        Installation::open(Store::memory(), root, Kind::Serve, &folder, limits, now(), machine.randomizer()).await;
    let trust = if signers.is_empty() { Trust::Callers } else { Trust::signers(signers).unwrap() };
    Arc::new(AppraisalPolicies::new(Arc::new(opening.unwrap().0), trust))
}

const CHALLENGE: &str = r#"Bearer authorization="https://login.test/tenant", resource="https://attest.test""#;

/// Base64url with padding, as the sidecar sends everything.
fn padded(octets: impl AsRef<[u8]>) -> String {
    let text = b64::encode(octets);
    let missing = (4 - text.len() % 4) % 4;
    text + &"=".repeat(missing)
}

/// The `report` member of a TEE with `RUNTIME`.
fn report(uvm: bool) -> String {
    let chip = simulated().root.chip(ChipConfig::numbered(Generation::Milan, 1), now()).unwrap();
    let evidence = chip.boot(TeeConfig::default(), &mut seeded(3)).attest(RUNTIME).unwrap();
    let mut report =
        Object::new().with("SnpReport", padded(&evidence.report)).with("VcekCertChain", padded(evidence.vek_chain_pem));
    if uvm {
        let endorsement = simulated().uvm.endorse(TeeConfig::default().measurement, 100, UVM_FEED).unwrap();
        let endorsements = Object::new().with("Uvm", vec![padded(endorsement)]).to_json();
        report.insert("Endorsements", padded(endorsements));
    }
    padded(report.to_json())
}

/// What the sidecar sends: a nonce that is a number of twenty digits, init data that is present and empty.
fn sidecar_body() -> Object {
    let runtime = Object::new().with("data", padded(RUNTIME)).with("dataType", "JSON");
    Object::new()
        .with("report", report(true))
        .with("runtimeData", runtime)
        .with("initTimeData", Object::new().with("data", "").with("dataType", ""))
        .with("nonce", u64::MAX)
}

async fn attest(site: &Site, path: &str, body: &Object) -> Response {
    site.ask("POST", path, "Content-Type: application/json\r\n", &body.to_json()).await
}

/// The claims of a token, believed because a key of `/certs` signed it.
async fn claims(site: &Site, response: &Response) -> Object {
    assert_eq!(response.status, 200, "{}", response.body);
    let body = response.json();
    assert_eq!(body.len(), 1);
    let token = body.get("token").unwrap().as_str().unwrap();
    let certs = site.get("/certs").await;
    let keys = JwkSet::parse(certs.body.as_bytes(), &skerry_jose::limits::JSON).unwrap();
    let authority = Authority::with_keys(IssuerUrl::parse(ISSUER).unwrap(), keys);
    assert_eq!(authority.verify(token, now()).map(drop), Ok(()));
    let unverified = Unverified::parse(token, &JwsLimits::default()).unwrap();
    assert_eq!(unverified.header().members().get("jku").unwrap().as_str(), Some("https://attest.test/certs"));
    unverified.claims_nobody_vouches_for().clone()
}

fn text<'a>(claims: &'a Object, name: &str) -> Option<&'a str> {
    claims.get(name).and_then(Value::as_str)
}

/// The code of a refusal, which is also its header.
fn code(response: &Response) -> String {
    assert_eq!(response.header("x-ms-error-code"), Some(response.code().as_str()), "{}", response.body);
    assert!(!response.message().is_empty());
    response.code()
}

/// The sidecar's request gets a token that a published key signed, and that says what was sent.
#[test]
fn the_sidecar_gets_its_token() {
    runtime().block_on(async {
        let site = Site::of(surface().await).await;
        let claims =
            claims(&site, &attest(&site, "/attest/SevSnpVM?api-version=2020-10-01", &sidecar_body()).await).await;
        assert_eq!(text(&claims, "iss"), Some(ISSUER));
        assert_eq!(text(&claims, "nonce"), Some("18446744073709551615"));
        assert_eq!(text(&claims, "x-ms-attestation-type"), Some("sevsnpvm"));
        assert_eq!(text(&claims, "x-ms-compliance-status"), Some("azure-compliant-uvm"));
        assert_eq!(claims.get("x-ms-runtime").unwrap().to_json(), r#"{"keys":[]}"#);
        assert!(claims.get("x-ms-inittime").is_none());
        assert_eq!(text(&claims, "jti").unwrap().len(), 64);
        assert_eq!(text(&claims, "x-ms-ver"), Some("1.0"));
    });
}

/// Every spelling of the path and every version that clients send are one service; two tokens have two ids.
#[test]
fn spellings_and_versions_are_one() {
    runtime().block_on(async {
        let site = Site::of(surface().await).await;
        let body = sidecar_body();
        let mut ids = Vec::new();
        for (path, version) in [
            ("/attest/SevSnpVm", "2018-09-01-preview"),
            ("/attest/SevSnpVM", "2020-10-01"),
            ("/attest/sevsnpvm", "2022-08-01"),
            ("/Attest/SEVSNPVM", "2022-09-01-preview"),
            ("//attest/SevSnpVm", "2023-04-01-preview"),
            ("/attest/SevSnpVm", "2025-06-01"),
            ("/attest/SevSnpVm", "2026-03-11-preview"),
        ] {
            let response = attest(&site, &format!("{path}?api%2Dversion={version}"), &body).await;
            let claims = claims(&site, &response).await;
            ids.push(text(&claims, "jti").unwrap().to_owned());
        }
        let response = attest(&site, "/attest/SevSnpVm", &body).await;
        ids.push(text(&claims(&site, &response).await, "jti").unwrap().to_owned());
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 8);
    });
}

/// Without runtime data there is a token all the same, for nothing to be released to. Padding is optional, nulls are absent.
#[test]
fn less_may_be_sent() {
    runtime().block_on(async {
        let site = Site::of(surface().await).await;
        let bare = Object::new().with("report", report(false).trim_end_matches('='));
        let nulls = bare.clone().with("runtimeData", Value::Null).with("nonce", Value::Null);
        // The Python client sends a type without data (observed).
        let untyped = bare.clone().with("initTimeData", Object::new().with("dataType", "JSON"));
        for body in [bare, nulls, untyped] {
            let response = attest(&site, "/attest/SevSnpVm?api-version=2022-08-01", &body).await;
            let claims = claims(&site, &response).await;
            assert!(claims.get("x-ms-runtime").is_none() && claims.get("nonce").is_none());
            assert!(claims.get("x-ms-compliance-status").is_none());
        }
    });
}

/// Under a draft policy the answer says what a token would say with the draft's hash, in the form that was recorded for SGX:
/// nobody signed it, and so nobody believes it.
#[test]
fn drafts_are_answered_and_signed_by_nobody() {
    runtime().block_on(async {
        let site = Site::of(surface().await).await;
        for (name, text, hash) in [
            ("draftPolicyForAttestation", SNP_RECORDED, "9NY0VnTQ-IiBriBplVUpFbczcDaEBUwsiFYAzHu_gco"),
            ("DraftPolicyForAttestation", SNP_DOCUMENTED, "LTPRQQju-FejAwdYihF8YV_c2XWebG9joKvrHKc3bxs"),
        ] {
            let body = sidecar_body().with(name, text);
            let response = attest(&site, "/attest/SevSnpVm?api-version=2022-08-01", &body).await;
            assert_eq!(response.status, 200, "{}", response.body);
            let token = response.json().get("token").unwrap().as_str().unwrap().to_owned();
            let [header, claims, signature] = token.split('.').collect::<Vec<_>>().try_into().unwrap();
            let part = |text| json::parse(&b64::decode(text).unwrap(), &skerry_jose::limits::JSON).unwrap();
            let (header, claims) = (part(header).into_object().unwrap(), part(claims).into_object().unwrap());
            assert_eq!((self::text(&header, "alg"), signature), (Some("none"), ""));
            let published = site.get("/certs").await;
            let keys = JwkSet::parse(published.body.as_bytes(), &skerry_jose::limits::JSON).unwrap();
            assert!(published.body.contains(self::text(&header, "kid").unwrap()));
            assert_eq!(self::text(&claims, "x-ms-policy-hash"), Some(hash));
            assert_eq!(self::text(&claims, "iss"), Some(ISSUER));
            assert!(claims.get("x-ms-policy-signer").is_none());
            let authority = Authority::with_keys(IssuerUrl::parse(ISSUER).unwrap(), keys);
            let none = TokenError::Jws(JwsError::Algorithm("none".into()));
            assert_eq!(authority.verify(&token, now()).err(), Some(none));
        }
        let nulled = sidecar_body().with("draftPolicyForAttestation", Value::Null);
        claims(&site, &attest(&site, "/attest/SevSnpVm?api-version=2022-08-01", &nulled).await).await;
    });
}

const SNP_RECORDED: &str = "version= 1.0;authorizationrules{=> permit();};";
const SNP_DOCUMENTED: &str = "version= 1.0;\n\nauthorizationrules\n{\n    => permit();\n};";

/// Members' names in another case, and everything in the standard alphabet, are the same request.
#[test]
fn members_are_read_leniently() {
    runtime().block_on(async {
        let site = Site::of(surface().await).await;
        let standard = |octets: &[u8]| b64::encode_standard(octets);
        let runtime = Object::new().with("Data", standard(RUNTIME)).with("DataType", "json");
        let report = b64::decode_lenient(report(true)).unwrap();
        let body = Object::new().with("Report", standard(&report)).with("RuntimeData", runtime).with("NONCE", "n");
        let claims = claims(&site, &attest(&site, "/attest/SevSnpVm?api-version=2022-08-01", &body).await).await;
        assert_eq!(claims.get("x-ms-runtime").unwrap().to_json(), r#"{"keys":[]}"#);
        assert_eq!(text(&claims, "nonce"), Some("n"));
    });
}

/// Each thing that is wrong with a request is 400 with its code, and a reason for its sender.
#[test]
fn refusals_have_their_codes() {
    runtime().block_on(async {
        let site = Site::of(surface().await).await;
        let body = sidecar_body();
        let spliced = Object::new().with("data", padded(br#"{"keys":[1]}"#)).with("dataType", "JSON");
        let other_report = padded(Object::new().with("SnpReport", "AAAA").with("VcekCertChain", "AAAA").to_json());
        for (body, expected, reason) in [
            (body.clone().with("report", "AAAA"), "InvalidParameter", "request: report is not acceptable JSON"),
            (body.clone().with("report", other_report), "InvalidQuote", "report: "),
            (body.clone().with("report", 1_u64), "InvalidParameter", "request: member report has the wrong JSON type"),
            (Object::new().with("nonce", 1_u64), "InvalidParameter", "request: member report is missing"),
            (body.clone().with("runtimeData", spliced), "InvalidParameter", "binding: "),
            (body.clone().with("nonce", "n".repeat(2_000)), "InvalidParameter", "request: member nonce has 2000 bytes"),
            (
                body.clone().with("draftPolicyForAttestation", "version= 1.0;"),
                "PolicyParsingError",
                "Invalid policy was specified Msg:[Policy Parser Exception Thrown: Offending symbol: '<EOF>'\nLine: '1', Column: '14'",
            ),
            (
                body.clone().with("DRAFTPOLICYFORATTESTATION", SNP_RECORDED.to_uppercase()),
                "PolicyParsingError",
                "Invalid policy was specified Msg:[Policy Parser Exception Thrown: Offending symbol: 'VERSION'\nLine: '1', Column: '1'",
            ),
            (
                body.clone().with("draftPolicyForAttestation", "version= 1.0;authorizationrules{};"),
                "PolicyEvaluationError",
                "Policy Evaluation Error has occurred Msg:[Policy Engine Exception: A Deny claim was issued, authorization failed. (no rule permits)]",
            ),
            (
                body.clone().with("draftPolicyForAttestation", true),
                "InvalidParameter",
                "request: member draftPolicyForAttestation has the wrong JSON type",
            ),
            (
                body.with("Report", "AAAA"),
                "InvalidParameter",
                "request: a member of body comes twice in different case",
            ),
        ] {
            let response = attest(&site, "/attest/SevSnpVm?api-version=2022-08-01", &body).await;
            assert_eq!((response.status, code(&response).as_str()), (400, expected), "{}", response.body);
            assert!(response.message().starts_with(reason), "{}", response.body);
            assert_eq!(response.header("retry-after"), None);
        }
    });
}

/// A debug TEE is genuine and not acceptable: another code.
#[test]
fn what_the_floor_refuses_has_its_own_code() {
    runtime().block_on(async {
        let site = Site::of(surface().await).await;
        let chip = simulated().root.chip(ChipConfig::numbered(Generation::Milan, 1), now()).unwrap();
        let debug = TeeConfig { policy: 0x3001f | 1 << 19, ..TeeConfig::default() };
        let evidence = chip.boot(debug, &mut seeded(3)).attest(RUNTIME).unwrap();
        let report = Object::new()
            .with("SnpReport", padded(&evidence.report))
            .with("VcekCertChain", padded(evidence.vek_chain_pem));
        let body = Object::new().with("report", padded(report.to_json()));
        let response = attest(&site, "/attest/SevSnpVm?api-version=2022-08-01", &body).await;
        assert_eq!((response.status, code(&response).as_str()), (400, "PolicyEvaluationError"));
    });
}

/// Bodies that are no request: none, too large, encoded, not JSON. The size is refused on the head alone.
#[test]
fn bodies_are_checked() {
    runtime().block_on(async {
        let site = Site::of(surface().await).await;
        let path = "/attest/SevSnpVm?api-version=2022-08-01";
        for (headers, body, status, expected) in [
            ("", "", 400, "InvalidParameter"),
            ("", "[]", 400, "InvalidParameter"),
            ("", "{", 400, "InvalidParameter"),
            ("", r#"{"report":"AA","report":"AA"}"#, 400, "InvalidParameter"),
            ("Content-Length: 4194305\r\n", "", 413, "RequestTooLarge"),
            ("Content-Encoding: gzip\r\n", "x", 415, "UnsupportedMediaType"),
        ] {
            let response = site.ask("POST", path, headers, body).await;
            assert_eq!((response.status, code(&response).as_str()), (status, expected), "{body}");
        }
    });
}

/// A body larger than the limit that does not say so is refused when it is, and everything below is read.
#[test]
fn large_bodies_are_read_to_their_limit() {
    runtime().block_on(async {
        let site = Site::of(surface().await).await;
        let head = request("POST", "/attest/SevSnpVm", &site.host(), "Transfer-Encoding: chunked\r\n", "");
        for (len, status) in [(4 << 20, 400), ((4 << 20) + 1, 413)] {
            let mut wire = site.connect().await;
            wire.send(format!("{head}{len:x}\r\n{}\r\n0\r\n\r\n", "x".repeat(len))).await;
            assert_eq!(wire.response().await.unwrap().status, status);
        }
    });
}

/// Types that Azure has and this service does not are 400 with a code, whatever is sent; types nobody has are 404.
#[test]
fn other_types_are_refused() {
    runtime().block_on(async {
        let site = Site::of(surface().await).await;
        for (kind, body) in [
            ("SgxEnclave", r#"{"quote":"AAAA"}"#),
            ("OpenEnclave", r#"{"report":"AAAA"}"#),
            ("TdxVm", r#"{"quote":"AAAA"}"#),
            ("AzureGuest", r#"{"attestationInfo":"AAAA"}"#),
            ("Tpm", r#"{"data":"AAAA"}"#),
        ] {
            let response = site.ask("POST", &format!("/attest/{kind}?api-version=2022-08-01"), "", body).await;
            assert_eq!((response.status, code(&response).as_str()), (400, "InvalidOperation"), "{kind}");
        }
        for path in ["/attest/VbsEnclave", "/attest", "/attest/SevSnpVm/x", "/", "/tcbbaselines/SgxEnclave"] {
            let response = site.ask("POST", path, "", "{}").await;
            assert_eq!((response.status, code(&response).as_str()), (404, "NotFound"), "{path}");
        }
    });
}

/// A method that a path does not take is 405 and says which it takes; HEAD is taken where GET is.
#[test]
fn methods_are_checked() {
    runtime().block_on(async {
        let site = Site::of(surface().await).await;
        for (method, path, allow) in [
            ("GET", "/attest/SevSnpVm", "POST"),
            ("PUT", "/attest/SevSnpVm", "POST"),
            ("OPTIONS", "/attest/SevSnpVm", "POST"),
            ("POST", "/certs", "GET, HEAD"),
            ("DELETE", "/.well-known/openid-configuration", "GET, HEAD"),
        ] {
            let response = site.ask(method, path, "", "").await;
            assert_eq!((response.status, code(&response).as_str()), (405, "MethodNotAllowed"), "{method} {path}");
            assert_eq!(response.header("allow"), Some(allow), "{method} {path}");
        }
        let response = site.ask("POST", "/policies/SevSnpVm", "Authorization: Bearer reader\r\n", "").await;
        assert_eq!((response.status, response.header("allow")), (405, Some("GET, HEAD, PUT")));
        assert_eq!(site.ask("HEAD", "/certs", "", "").await.status, 200);
    });
}

/// A version that nobody has, or two at once, is refused everywhere.
#[test]
fn versions_are_checked() {
    runtime().block_on(async {
        let site = Site::of(surface().await).await;
        for query in ["api-version=7.4", "api-version=", "api-version=2020-10-01&api-version=2020-10-01"] {
            for (method, path) in [("POST", "/attest/SevSnpVm"), ("GET", "/certs")] {
                let response = site.ask(method, &format!("{path}?{query}"), "", "").await;
                assert_eq!((response.status, code(&response).as_str()), (400, "InvalidParameter"), "{query}");
            }
        }
    });
}

/// Keys and metadata are for anybody, with and without a version, and agree with each other and with the tokens.
#[test]
fn keys_and_metadata_are_public() {
    runtime().block_on(async {
        let site = Site::of(surface().await).await;
        for query in ["", "?api-version=2025-06-01"] {
            let certs = site.get(&format!("/certs{query}")).await;
            assert_eq!((certs.status, certs.header("content-type")), (200, Some("application/json; charset=utf-8")));
            assert_eq!(certs.json().get("keys").unwrap().as_array().unwrap().len(), 1);
            let metadata = site.get(&format!("/.well-known/openid-configuration{query}")).await.json();
            assert_eq!(text(&metadata, "issuer"), Some(ISSUER));
            assert_eq!(text(&metadata, "jwks_uri"), Some("https://attest.test/certs"));
            let algorithms = metadata.get("id_token_signing_alg_values_supported").unwrap();
            assert_eq!(algorithms.to_json(), r#"["RS256"]"#);
        }
    });
}

/// All about policies asks for a token first, before path, method and version are judged: 401 with a challenge, 403
/// without, 503 if it cannot be told.
#[test]
fn policies_are_for_readers() {
    runtime().block_on(async {
        let site = Site::of(surface().await).await;
        for (method, path) in [
            ("GET", "/policies/SevSnpVm?api-version=9"),
            ("PUT", "/policies/SgxEnclave"),
            ("DELETE", "/policies/SevSnpVm"),
            ("POST", "/policies/Tpm:reset"),
            ("GET", "/certificates"),
            ("POST", "/certificates:add"),
            ("POST", "/certificates:remove"),
        ] {
            for (headers, status, expected) in [
                ("", 401, "Unauthorized"),
                ("Authorization: Basic reader\r\n", 401, "Unauthorized"),
                ("Authorization: Bearer bad\r\n", 401, "Unauthorized"),
                ("Authorization: Bearer stranger\r\n", 403, "Forbidden"),
            ] {
                let response = site.ask(method, path, headers, "").await;
                assert_eq!(
                    (response.status, code(&response).as_str()),
                    (status, expected),
                    "{method} {path} {headers}"
                );
                assert_eq!(response.header("www-authenticate"), (status == 401).then_some(CHALLENGE));
            }
            let response = site.ask(method, path, "Authorization: Bearer later\r\n", "").await;
            assert_eq!((response.status, response.header("retry-after")), (503, Some("1")));
        }
    });
}

/// The policy is given as a signed result of an hour that holds it as an unsigned one, as if somebody had set it so.
#[test]
fn the_policy_is_shown() {
    runtime().block_on(async {
        let site = Site::of(surface().await).await;
        let reader = "Authorization: Bearer reader\r\n";
        for path in ["/policies/SevSnpVm?api-version=2020-10-01", "/policies/sevsnpvm"] {
            let claims = claims(&site, &site.ask("GET", path, reader, "").await).await;
            let mut policy = text(&claims, "x-ms-policy").unwrap().split('.');
            let header = b64::decode(policy.next().unwrap()).unwrap();
            assert_eq!(header, br#"{"alg":"none"}"#);
            let payload = b64::decode(policy.next().unwrap()).unwrap();
            let payload = json::parse(&payload, &skerry_jose::limits::JSON).unwrap().into_object().unwrap();
            let stored = b64::decode(text(&payload, "AttestationPolicy").unwrap()).unwrap();
            assert_eq!(stored, AppraisalPolicy::snp_default().text().as_bytes());
            assert_eq!(policy.collect::<Vec<_>>(), [""]);
            let second = |name| claims.get(name).and_then(Value::as_u64).unwrap();
            assert_eq!((second("exp") - second("iat"), second("nbf")), (3_600, second("iat")));
            assert!(claims.get("jti").is_none() && claims.get("x-ms-ver").is_none());
        }
    });
}

/// Of other types the service's default is shown as the service shows it (recorded in 2021), byte for byte; a default that
/// no recording shows is not made up.
#[test]
fn defaults_of_other_types_are_shown_where_known() {
    runtime().block_on(async {
        let site = Site::of(surface().await).await;
        let reader = "Authorization: Bearer reader\r\n";
        for (kind, policy) in [
            ("SgxEnclave", SGX_DEFAULT),
            ("sgxenclave", SGX_DEFAULT),
            ("OpenEnclave", SGX_DEFAULT),
            ("Tpm", "eyJhbGciOiJub25lIn0.."),
        ] {
            let response = site.ask("GET", &format!("/policies/{kind}?api-version=2020-10-01"), reader, "").await;
            let claims = claims(&site, &response).await;
            assert_eq!(text(&claims, "x-ms-policy"), Some(policy), "{kind}");
            assert!(claims.get("x-ms-policy-result").is_none());
        }
        for kind in ["AzureGuest", "azureGuest"] {
            let response = site.ask("GET", &format!("/policies/{kind}?api-version=2020-10-01"), reader, "").await;
            assert_eq!((response.status, code(&response).as_str()), (400, "InvalidOperation"), "{kind}");
            assert!(response.message().starts_with("the default policy of attestation type "), "{}", response.body);
        }
        assert_eq!(site.ask("GET", "/policies/VbsEnclave", reader, "").await.status, 404);
    });
}

/// Recorded of a shared instance on 2021-07-01.
const SGX_DEFAULT: &str = concat!(
    "eyJhbGciOiJub25lIn0.eyJBdHRlc3RhdGlvblBvbGljeSI6ImRtVnljMmx2YmowZ01TNHdPMkYxZEdodmNtbDZZWFJwYjI1eWRX",
    "eGxjM3M5UGlCd1pYSnRhWFFvS1R0OU8ybHpjM1ZoYm1ObGNuVnNaWE43WXpwYmRIbHdaVDA5SW5ndGJYTXRjMmQ0TFdsekxXUmxZ",
    "blZuWjJGaWJHVWlYU0E5UGlCcGMzTjFaU2gwZVhCbFBTSnBjeTFrWldKMVoyZGhZbXhsSWl3Z2RtRnNkV1U5WXk1MllXeDFaU2s3",
    "WXpwYmRIbHdaVDA5SW5ndGJYTXRjMmQ0TFcxeWMybG5ibVZ5SWwwZ1BUNGdhWE56ZFdVb2RIbHdaVDBpYzJkNExXMXljMmxuYm1W",
    "eUlpd2dkbUZzZFdVOVl5NTJZV3gxWlNrN1l6cGJkSGx3WlQwOUluZ3RiWE10YzJkNExXMXlaVzVqYkdGMlpTSmRJRDAtSUdsemMz",
    "VmxLSFI1Y0dVOUluTm5lQzF0Y21WdVkyeGhkbVVpTENCMllXeDFaVDFqTG5aaGJIVmxLVHRqT2x0MGVYQmxQVDBpZUMxdGN5MXpa",
    "M2d0Y0hKdlpIVmpkQzFwWkNKZElEMC1JR2x6YzNWbEtIUjVjR1U5SW5CeWIyUjFZM1F0YVdRaUxDQjJZV3gxWlQxakxuWmhiSFZs",
    "S1R0ak9sdDBlWEJsUFQwaWVDMXRjeTF6WjNndGMzWnVJbDBnUFQ0Z2FYTnpkV1VvZEhsd1pUMGljM1p1SWl3Z2RtRnNkV1U5WXk1",
    "MllXeDFaU2s3WXpwYmRIbHdaVDA5SW5ndGJYTXRZWFIwWlhOMFlYUnBiMjR0ZEhsd1pTSmRJRDAtSUdsemMzVmxLSFI1Y0dVOUlu",
    "UmxaU0lzSUhaaGJIVmxQV011ZG1Gc2RXVXBPMzA3In0.",
);

const SETTER: &str = "Authorization: Bearer setter\r\nContent-Type: text/plain\r\n";
const READER: &str = "Authorization: Bearer reader\r\n";
/// `{"alg":"none"}`.
const UNSIGNED: &str = "eyJhbGciOiJub25lIn0";

fn payload(text: &str) -> String {
    b64::encode(Object::new().with("AttestationPolicy", b64::encode(text)).to_json())
}

fn unsigned(text: &str) -> String {
    format!("{UNSIGNED}.{}.", payload(text))
}

fn names_of(claims: &Object) -> Vec<&str> {
    claims.iter().map(|(name, _)| name).collect()
}

/// A policy is set, shown octet for octet, appraises the next evidence and what is issued by it is in the token; a reset
/// brings the default back. The results are those that are recorded, member for member.
#[test]
fn policies_are_set_used_and_reset() {
    runtime().block_on(async {
        let site = Site::of(surface().await).await;
        let path = "/policies/SevSnpVm?api-version=2020-10-01";
        let attested = || async { attest(&site, "/attest/SevSnpVm?api-version=2022-08-01", &sidecar_body()).await };
        let default = claims(&site, &attested().await).await;
        let text_of = |guest: u32| {
            format!(
                "version=1.0;authorizationrules{{[type==\"x-ms-sevsnpvm-guestsvn\", value=={guest}] => permit();}};\
                 issuancerules{{=> issue(type=\"level\", value=7);}};"
            )
        };
        let svn = default.get("x-ms-sevsnpvm-guestsvn").and_then(Value::as_u64).unwrap();
        let (good, bad) = (text_of(svn.try_into().unwrap()), text_of(99));
        let result = claims(&site, &site.ask("PUT", path, SETTER, &unsigned(&good)).await).await;
        assert_eq!(names_of(&result), ["exp", "iat", "iss", "nbf", "x-ms-policy-result", "x-ms-policy-token-hash"]);
        assert_eq!(text(&result, "x-ms-policy-result"), Some("Updated"));
        let document = PolicyDocument::parse(EvidenceType::SevSnpVm, &unsigned(&good), &Trust::Callers).unwrap();
        assert_eq!(text(&result, "x-ms-policy-token-hash"), Some(document.hash().as_str()));
        let shown = claims(&site, &site.ask("GET", path, READER, "").await).await;
        assert_eq!(text(&shown, "x-ms-policy"), Some(unsigned(&good).as_str()));
        let token = claims(&site, &attested().await).await;
        assert_eq!(token.get("level").and_then(Value::as_u64), Some(7));
        assert_eq!(token.get("x-skerry-simulated").and_then(Value::as_bool), Some(true));
        assert!(token.get("x-ms-policy-signer").is_none());
        assert_eq!(text(&token, "x-ms-policy-hash"), Some(document.policy().hash()));
        claims(&site, &site.ask("PUT", path, SETTER, &unsigned(&bad)).await).await;
        let refused = attested().await;
        assert_eq!((refused.status, code(&refused).as_str()), (400, "PolicyEvaluationError"));
        let result =
            claims(&site, &site.ask("POST", "/policies/sevsnpvm:reset", SETTER, &format!("{UNSIGNED}..")).await).await;
        assert_eq!(names_of(&result), ["exp", "iat", "iss", "nbf", "x-ms-policy-result"]);
        assert_eq!(text(&result, "x-ms-policy-result"), Some("Removed"));
        let again = claims(&site, &attested().await).await;
        assert_eq!(text(&again, "x-ms-policy-hash"), text(&default, "x-ms-policy-hash"));
        assert_eq!(names_of(&again), names_of(&default));
    });
}

/// Policies of types that are not attested here are set, shown and reset like any other.
#[test]
fn policies_of_other_types_are_kept() {
    runtime().block_on(async {
        let site = Site::of(surface().await).await;
        for kind in ["SgxEnclave", "OpenEnclave", "TdxVm", "AzureGuest", "Tpm"] {
            let (path, document) = (format!("/policies/{kind}"), unsigned(SNP_DOCUMENTED));
            claims(&site, &site.ask("PUT", &path, SETTER, &document).await).await;
            let shown = claims(&site, &site.ask("GET", &path, READER, "").await).await;
            assert_eq!(text(&shown, "x-ms-policy"), Some(document.as_str()), "{kind}");
            let reset = site.ask("POST", &format!("{path}:reset"), SETTER, &format!("{UNSIGNED}..")).await;
            assert_eq!(text(&claims(&site, &reset).await, "x-ms-policy-result"), Some("Removed"));
        }
    });
}

/// What is not a policy, or not in a document, is 400 with its code and changes nothing.
#[test]
fn documents_are_refused_with_their_codes() {
    runtime().block_on(async {
        let site = Site::of(surface().await).await;
        let path = "/policies/OpenEnclave?api-version=2020-10-01";
        let good = unsigned(SNP_DOCUMENTED);
        claims(&site, &site.ask("PUT", path, SETTER, &good).await).await;
        let parsing = "Invalid policy was specified Msg:[Policy Parser Exception Thrown: Offending symbol: 'this'\n\
            Line: '1', Column: '1'\nFailure message: 'mismatched input 'this' expecting 'version''\n\
            Failing rule: 'policy > versionInfo']";
        for (body, expected, message) in [
            (unsigned("this is no policy"), "PolicyParsingError", parsing),
            ("garbage".to_owned(), "InvalidOperation", "Malformed JWT: Could not find first period in the token."),
            (String::new(), "InvalidOperation", "Malformed JWT: Could not find first period in the token."),
            (format!("{UNSIGNED}.."), "InvalidOperation", "Could not find \"AttestationPolicy\" claim in policy token"),
            (format!("{UNSIGNED}.).."), "InvalidOperation", "Malformed JWT: 4 parts, where 3 are expected"),
            ("é.e.".to_owned(), "InvalidOperation", "header is not base64url without padding"),
        ] {
            let response = site.ask("PUT", path, SETTER, &body).await;
            assert_eq!((response.status, code(&response).as_str()), (400, expected), "{body}");
            assert_eq!(response.message(), message);
        }
        let too_long = "x".repeat(256 * 1024 + 1);
        assert_eq!(site.ask("PUT", path, SETTER, &too_long).await.status, 413);
        let reset = site.ask("POST", "/policies/OpenEnclave:reset", SETTER, &good).await;
        assert_eq!((reset.status, code(&reset).as_str()), (400, "InvalidOperation"));
        let shown = claims(&site, &site.ask("GET", path, READER, "").await).await;
        assert_eq!(text(&shown, "x-ms-policy"), Some(good.as_str()));
    });
}

/// Readers read and set nothing; the certificates of who may sign are nobody's to change.
#[test]
fn policies_are_set_by_setters() {
    runtime().block_on(async {
        let site = Site::of(surface().await).await;
        for (method, path) in [
            ("PUT", "/policies/SevSnpVm?api-version=2020-10-01"),
            ("POST", "/policies/SevSnpVm:reset?api-version=2020-10-01"),
            ("POST", "/certificates:add?api-version=2020-10-01"),
            ("POST", "/certificates:remove?api-version=2020-10-01"),
        ] {
            let response = site.ask(method, path, READER, &unsigned(SNP_DOCUMENTED)).await;
            assert_eq!((response.status, code(&response).as_str()), (403, "Forbidden"), "{method} {path}");
        }
        for path in ["/certificates:add", "/certificates:remove"] {
            let response = site.ask("POST", path, SETTER, "\"x\"").await;
            assert_eq!((response.status, code(&response).as_str()), (400, "InvalidOperation"), "{path}");
        }
        let shown = claims(&site, &site.ask("GET", "/policies/SevSnpVm", READER, "").await).await;
        assert_eq!(text(&shown, "x-ms-policy"), Some(unsigned(SNP_RECORDED).as_str()));
        let claims = claims(&site, &site.ask("GET", "/certificates?api-version=2020-10-01", READER, "").await).await;
        assert_eq!(claims.get("x-ms-policy-certificates").unwrap().to_json(), r#"{"keys":[]}"#);
        assert_eq!(site.ask("POST", "/policies/Vbs:reset", SETTER, "").await.status, 404);
    });
}

/// The key of a certificate that signs itself, and the certificate.
fn policy_signer() -> (SigningKey, Vec<u8>) {
    let key = SigningKey::generate(Algorithm::Rs256).unwrap();
    let der = key.to_pkcs8().unwrap();
    let pair = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&der.as_slice().into(), &rcgen::PKCS_RSA_SHA256).unwrap();
    let certificate = rcgen::CertificateParams::default().self_signed(&pair).unwrap();
    (key, certificate.der().to_vec())
}

fn signed(key: &SigningKey, certificate: &[u8], payload: &str) -> String {
    let header = format!(r#"{{"alg": "RSA256", "jwk": {{"x5c": ["{}"]}}}}"#, b64::encode_standard(certificate));
    let input = format!("{}.{payload}", b64::encode(header));
    format!("{input}.{}", b64::encode(key.sign(input.as_bytes()).unwrap()))
}

/// A signed policy's signer is in the result, in full, and in tokens in short (recorded); without signers anybody's holds.
#[test]
fn signers_are_echoed() {
    runtime().block_on(async {
        let site = Site::of(surface().await).await;
        let (key, certificate) = policy_signer();
        let document = signed(&key, &certificate, &payload(SNP_DOCUMENTED));
        let result = claims(&site, &site.ask("PUT", "/policies/SevSnpVm", SETTER, &document).await).await;
        let x5c = b64::encode_standard(&certificate);
        let full = format!(r#"{{"alg":"RS256","kty":"RSA","use":"sig","x5c":["{x5c}"]}}"#);
        assert_eq!(result.get("x-ms-policy-signer").unwrap().to_json(), full);
        let token = claims(&site, &attest(&site, "/attest/SevSnpVm", &sidecar_body()).await).await;
        assert_eq!(token.get("x-ms-policy-signer").unwrap().to_json(), format!(r#"{{"kty":"RSA","x5c":["{x5c}"]}}"#));
        let altered = format!("{}A.{}", &document[..document.find('.').unwrap()], document.split_once('.').unwrap().1);
        let response = site.ask("PUT", "/policies/SevSnpVm", SETTER, &altered).await;
        assert_eq!(response.status, 400, "{}", response.body);
        let cut = &document[..document.rfind('.').unwrap() + 1];
        let response = site.ask("PUT", "/policies/SevSnpVm", SETTER, cut).await;
        assert_eq!((response.status, code(&response).as_str()), (400, "InvalidParameter"));
    });
}

/// A service that has signers shows them, takes what they signed, and refuses the rest.
#[test]
fn configured_signers_alone_are_taken() {
    runtime().block_on(async {
        let (key, certificate) = policy_signer();
        let (stranger, other) = policy_signer();
        let site = Site::of(surface_of(vec![certificate.clone()]).await).await;
        let shown = claims(&site, &site.ask("GET", "/certificates", READER, "").await).await;
        let x5c = b64::encode_standard(&certificate);
        let keys = format!(r#"{{"keys":[{{"alg":"RS256","kty":"RSA","use":"sig","x5c":["{x5c}"]}}]}}"#);
        assert_eq!(shown.get("x-ms-policy-certificates").unwrap().to_json(), keys);
        for (document, expected) in [
            (unsigned(SNP_DOCUMENTED), "InvalidOperation"),
            (signed(&stranger, &other, &payload(SNP_DOCUMENTED)), "InvalidParameter"),
            (signed(&stranger, &certificate, &payload(SNP_DOCUMENTED)), "InvalidParameter"),
        ] {
            let response = site.ask("PUT", "/policies/SevSnpVm", SETTER, &document).await;
            assert_eq!((response.status, code(&response).as_str()), (400, expected), "{}", response.body);
        }
        let good = signed(&key, &certificate, &payload(SNP_DOCUMENTED));
        claims(&site, &site.ask("PUT", "/policies/SevSnpVm", SETTER, &good).await).await;
        let draft = sidecar_body().with("draftPolicyForAttestation", SNP_RECORDED);
        assert_eq!(attest(&site, "/attest/SevSnpVm", &draft).await.status, 200, "drafts are nobody's, and unsigned");
    });
}

/// Full threads are 503, before any evidence is looked at; requests that need none are answered.
#[test]
fn a_full_pool_is_busy() {
    runtime().block_on(async {
        let issuer = IssuerUrl::parse(ISSUER).unwrap();
        let signer = TokenSigner::new(issuer.clone(), signing_key());
        let config = Config {
            results: ResultSigner::new(&issuer, signer.kid(), signing_key()),
            certs: Object::new(),
            verifier: Arc::new(Verifier::new(VerifierConfig::real(), signer)),
            policies: policies(&[]).await,
            policy_signers: Vec::new(),
            callers: Box::new(|_| Box::pin(async { Err(Denied::Forbidden) })),
            challenge: HeaderValue::from_static(CHALLENGE),
            pool: Arc::new(Pool::new(NonZeroUsize::MIN, 0).unwrap()),
            machine: machine(),
        };
        let surface = Surfaces::Attestation(Arc::new(Surface::new(config)));
        let site = Site::with(Limits::default(), None, Some((surface, crate::support::names()))).await;
        let response = site.ask("POST", "/attest/SevSnpVm", "", "{}").await;
        assert_eq!((response.status, response.header("retry-after")), (503, Some("1")));
        assert_eq!(site.get("/certs").await.status, 200);
    });
}

/// The sweep of the vault, of this service too: request lines and bodies, right, nearly right and absurd.
#[test]
fn every_route_takes_everything() {
    runtime().block_on(async {
        let site = Site::of(surface().await).await;
        let authorization = "Authorization: Bearer setter\r\n".to_owned();
        let mut sweeper = Sweeper { site: &site, host: site.host(), authorization, statuses: Default::default() };
        let rows = rows_of(false);
        lines(&mut sweeper, &rows, "nope").await;
        for row in rows.iter().filter(|row| row.body().is_some()) {
            bodies(&mut sweeper, row, row.path, &[sidecar_body()]).await;
            let document = unsigned(AppraisalPolicy::snp_default().text());
            spoilt(&mut sweeper, row, row.path, document.as_bytes()).await;
        }
        assert!(sweeper.seen(200..300) > 50 && sweeper.seen(400..500) > 500, "{:?}", sweeper.statuses);
        assert_eq!(site.get("/certs").await.status, 200);
    });
}
