//! What the attestation service's routes take and answer, for the OpenAPI document. Each route has to be described: a new one
//! does not compile until it is.

use http::Method;
use skerry_jose::json::Object;

use super::{API_VERSIONS, Route, built};
use crate::openapi::{Described, Row, Schema, array, object, octets, one_of, parameter, reference, required, text};

/// Every operation at every path.
pub(crate) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for (path, route) in Route::all() {
        // HEAD is what GET is, without the body.
        for method in route.methods().iter().filter(|method| *method != Method::HEAD) {
            rows.push((path.clone(), method.as_str().to_ascii_lowercase(), described(&path, route, method)));
        }
    }
    rows
}

fn described(path: &str, route: Route, method: &Method) -> Described {
    let (summary, body, success) = words(route, method);
    let words = path.split(|byte: char| !byte.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    Described {
        id: std::iter::once(method.as_str().to_ascii_lowercase().as_str()).chain(words).collect::<Vec<_>>().join("-"),
        summary,
        body,
        success: success.map(|schema| (200, Some(schema))),
        parameters: &["attestation-api-version"],
        error: "AttestationError",
        authorized: route.is_of_policies(),
    }
}

/// What it does, takes and answers.
fn words(route: Route, method: &Method) -> (&'static str, Option<&'static str>, Option<&'static str>) {
    let token = Some("AttestationToken");
    match route {
        Route::Attest(kind) if built(kind).is_ok() => ("Attest evidence", Some("AttestRequest"), token),
        Route::Attest(_) => ("Not here: answered with InvalidOperation", None, None),
        Route::Certs => ("The certificates that tokens are signed under", None, Some("SigningCertificates")),
        Route::Metadata => ("OpenID Connect discovery", None, Some("OpenIdMetadata")),
        Route::Policy(_) if method == Method::PUT => ("Set the appraisal policy", Some("PolicyDocument"), token),
        Route::Policy(_) => ("The appraisal policy, in a signed token", None, token),
        Route::PolicyReset(_) => ("Go back to the default appraisal policy", Some("PolicyDocument"), token),
        Route::PolicyCertificates => ("Who may sign policies, in a signed token", None, token),
        Route::PolicyCertificatesChange => ("Not here: who may sign policies is configuration", None, None),
    }
}

/// Parameters by their names among the components. Absent is as good as known.
pub(crate) fn parameters() -> Vec<(&'static str, Object)> {
    vec![("attestation-api-version", parameter("api-version", "query", false, one_of(API_VERSIONS)))]
}

/// Every schema of the service's bodies.
pub(crate) fn schemas() -> Vec<(&'static str, Schema)> {
    let data = object([("data", octets()), ("dataType", text().of("JSON or Binary"))]);
    let request = object([
        ("report", octets().of("JSON with SnpReport, VcekCertChain and Endorsements")),
        ("runtimeData", data.clone()),
        ("initTimeData", data),
        ("nonce", text()),
        ("draftPolicyForAttestation", text()),
    ]);
    let certificate =
        object([("kty", text()), ("kid", text()), ("n", octets()), ("e", octets()), ("x5c", array(text()))]);
    let metadata = object([
        ("claims_supported", array(text())),
        ("id_token_signing_alg_values_supported", array(text())),
        ("issuer", text()),
        ("jwks_uri", text()),
        ("response_types_supported", array(text())),
    ]);
    let error = object([("code", one_of(CODES)), ("message", text())]);
    vec![
        ("AttestRequest", required(request, &["report"])),
        (
            "PolicyDocument",
            text().of("a JWS in compact form whose payload has AttestationPolicy; unsigned where that is taken"),
        ),
        ("AttestationToken", required(object([("token", text().of("a JWS in compact form"))]), &["token"])),
        ("SigningCertificate", required(certificate, &["kty", "kid"])),
        ("SigningCertificates", required(object([("keys", array(reference("SigningCertificate")))]), &["keys"])),
        ("OpenIdMetadata", required(metadata, &["issuer", "jwks_uri"])),
        ("AttestationError", required(object([("error", required(error, &["code", "message"]))]), &["error"])),
    ]
}

/// Every code of an error, those of the listener among them.
const CODES: [&str; 15] = [
    "BadRequest",
    "Forbidden",
    "InvalidOperation",
    "InvalidParameter",
    "InvalidQuote",
    "MethodNotAllowed",
    "MisdirectedRequest",
    "NotFound",
    "PolicyEvaluationError",
    "PolicyParsingError",
    "RequestTimeout",
    "RequestTooLarge",
    "ServerBusy",
    "Unauthorized",
    "UnsupportedMediaType",
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Each path that is described leads to its route, and every kind of route is described.
    #[test]
    fn all_paths_are_described() {
        for (path, route) in Route::all() {
            let segments: Vec<String> = path.split('/').skip(1).map(str::to_owned).collect();
            assert_eq!(Route::of(&segments), Some(route), "{path}");
        }
        let kinds: std::collections::HashSet<_> =
            Route::all().into_iter().map(|(_, route)| std::mem::discriminant(&route)).collect();
        assert_eq!(kinds.len(), 7);
    }
}
