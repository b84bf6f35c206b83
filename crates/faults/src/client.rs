//! One call over HTTPS: what is sent, and what its answer means.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use http::Method;
use serde_json::{Value, json};
use skerry_client::http::{Ask, Client, Endpoint, HttpError};
use skerry_client::{Asked, Roots, VerifiedRelease};
use skerry_jose::b64;
use skerry_keywrap::{Algorithm as WrapAlgorithm, UnwrapKey};

use crate::history::End;
use crate::model::{Answer, Call, Id, Shown};
use crate::site::{HOST, TARGET_KID, policy};

/// What every client has.
pub struct Caller {
    client: Client,
    roots: Roots,
    bearer: String,
    /// What the two guests are attested.
    tokens: [String; 2],
    tee: Arc<UnwrapKey>,
    /// The vault at each node, by its port.
    nodes: Vec<(Endpoint, u16)>,
}

/// A release that a client holds the key of: where it says that it is on record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The node that answered.
    pub node: usize,
    /// In its log.
    pub index: u64,
    /// The record there.
    pub leaf: [u8; 32],
}

/// How a call ended; and what nothing that a vault answers may be.
pub struct Answered {
    /// For the history.
    pub end: End,
    /// Of a release.
    pub receipt: Option<Receipt>,
    /// An answer that no fault explains.
    pub defect: Option<String>,
}

impl Caller {
    /// Who asks the vaults at these ports.
    pub fn new(
        (client, roots): (Client, Roots),
        bearer: String,
        tokens: [String; 2],
        tee: Arc<UnwrapKey>,
        nodes: Vec<(Endpoint, u16)>,
    ) -> Caller {
        Caller { client, roots, bearer, tokens, tee, nodes }
    }

    /// Asks one node.
    pub async fn ask(&self, node: usize, key: &str, call: Call) -> Answered {
        let Some((endpoint, port)) = self.nodes.get(node) else { return unknown("no such node") };
        let (method, path, body) = self.request(key, call);
        let path = format!("{path}?api-version=7.4");
        let ask = Ask { method, path: &path, bearer: Some(&self.bearer), body: body.map(|body| body.to_string()) };
        let answer = match tokio::time::timeout(PATIENCE, self.client.ask(endpoint, ask)).await {
            Err(_) => return unknown("no answer in time"),
            // Nothing was sent.
            Ok(Err(error @ (HttpError::Connect { .. } | HttpError::Tls { .. }))) => {
                return Answered { end: End::Refused(error.to_string()), receipt: None, defect: None };
            }
            Ok(Err(error @ (HttpError::Protocol { .. } | HttpError::Time { .. }))) => {
                return unknown(&error.to_string());
            }
            Ok(Err(error)) => return defect(&error.to_string()),
            Ok(Ok(answer)) => answer,
        };
        let status = answer.status.as_u16();
        let json: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        match self.read(call, status, &json, (node, *port, key)) {
            Ok((answer, receipt)) => Answered { end: End::Answered(answer), receipt, defect: None },
            // Says that its clock is in doubt, before anything else is looked at.
            Err(_) if status == 503 && matches!(call, Call::Release(_)) && words(&json).contains("the clock says") => {
                Answered { end: End::Refused(words(&json)), receipt: None, defect: None }
            }
            // Says that it cannot; a change may have been made all the same.
            Err(_) if status == 503 => unknown(&format!("503 {}", words(&json))),
            Err(error) => defect(&format!("{call:?}: {status} {}: {error:#}", words(&json))),
        }
    }

    fn request(&self, key: &str, call: Call) -> (Method, String, Option<Value>) {
        let at = |tail: &str| format!("/keys/{key}{tail}");
        let tags = |tag: u64| json!({ "stamp": tag.to_string() });
        let policy =
            |other| json!({ "data": b64::encode(policy(other)), "contentType": "application/json; charset=utf-8" });
        match call {
            Call::Create(tag) => {
                let body = json!({
                    "kty": "EC-HSM", "crv": "P-256", "tags": tags(tag), "attributes": { "exportable": true },
                    "release_policy": policy(false),
                });
                (Method::POST, at("/create"), Some(body))
            }
            Call::Tag(tag) => (Method::PATCH, at(""), Some(json!({ "tags": tags(tag) }))),
            Call::Enable(enabled) => (Method::PATCH, at(""), Some(json!({ "attributes": { "enabled": enabled } }))),
            Call::Policy(other) => (Method::PATCH, at(""), Some(json!({ "release_policy": policy(other) }))),
            Call::Rotate => (Method::POST, at("/rotate"), Some(json!({}))),
            Call::Delete => (Method::DELETE, at(""), None),
            Call::Recover => (Method::POST, format!("/deletedkeys/{key}/recover"), None),
            Call::Get => (Method::GET, at(""), None),
            Call::Versions => (Method::GET, at("/versions"), None),
            Call::Release(other) => {
                let token = if other { &self.tokens[1] } else { &self.tokens[0] };
                let body = json!({ "target": token, "nonce": NONCE, "enc": ENC.as_str() });
                (Method::POST, at("/release"), Some(body))
            }
        }
    }

    /// What an answer means; an error if it means nothing that this call can be answered.
    fn read(
        &self,
        call: Call,
        status: u16,
        json: &Value,
        (node, port, key): (usize, u16, &str),
    ) -> anyhow::Result<(Answer, Option<Receipt>)> {
        let text = |pointer: &str| json.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let inner = text("/error/innererror/code");
        let answer = match (status, call) {
            (200, Call::Versions) => Answer::Versions(versions(json)?),
            (200, Call::Release(other)) => return self.released(text("/value"), other, (node, port, key)),
            (200, _) => Answer::Key(shown(json)?),
            (404, Call::Recover) => Answer::NotDeleted,
            (404, _) => Answer::NotFound,
            (409, Call::Create(_)) if inner == "ObjectIsDeletedButRecoverable" => Answer::Recoverable,
            (403, Call::Get | Call::Release(_) | Call::Rotate) if inner == "KeyDisabled" => Answer::Disabled,
            (403, Call::Release(_)) if text("/error/message").contains("key release policy") => Answer::Denied,
            (400, Call::Create(_)) if text("/error/message").contains("does not change the release policy") => {
                Answer::OtherPolicy
            }
            _ => anyhow::bail!("not an answer to this"),
        };
        Ok((answer, None))
    }

    /// Believed only if it verifies, as a TEE would have it.
    fn released(
        &self,
        answer: &str,
        other: bool,
        (node, port, key): (usize, u16, &str),
    ) -> anyhow::Result<(Answer, Option<Receipt>)> {
        let asked = Asked {
            host: HOST,
            kid: &format!("https://{HOST}:{port}/keys/{key}"),
            nonce: Some(NONCE),
            algorithm: ENC,
            token: if other { &self.tokens[1] } else { &self.tokens[0] },
            target_kid: TARGET_KID,
        };
        let release = VerifiedRelease::verify(answer, &asked, &self.roots, SystemTime::now())?;
        release.unwrap(&self.tee)?;
        let receipt = release.receipt();
        let of_record = Receipt { node, index: receipt.audit_index, leaf: receipt.audit_leaf };
        let version = version_of(release.kid())?;
        Ok((Answer::Released { version, generation: receipt.policy_generation }, Some(of_record)))
    }
}

fn unknown(why: &str) -> Answered {
    Answered { end: End::Unknown(why.to_owned()), receipt: None, defect: None }
}

/// Whatever it was, the change may have been made.
fn defect(what: &str) -> Answered {
    Answered { defect: Some(what.to_owned()), ..unknown(what) }
}

fn words(json: &Value) -> String {
    let text = |pointer: &str| json.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    format!("{} {}", text("/error/code"), text("/error/message"))
}

fn shown(json: &Value) -> anyhow::Result<Shown> {
    let text = |pointer: &str| json.pointer(pointer).and_then(Value::as_str);
    let policy_data = b64::decode(text("/release_policy/data").context("no policy")?)?;
    let policies = [policy(false), policy(true)];
    let other = policies.iter().position(|policy| policy.as_bytes() == policy_data).context("another policy")?;
    Ok(Shown {
        version: version_of(text("/key/kid").context("no kid")?)?,
        enabled: json.pointer("/attributes/enabled").and_then(Value::as_bool).context("no enabled")?,
        tag: text("/tags/stamp").context("no tag")?.parse()?,
        other_policy: other == 1,
    })
}

fn versions(json: &Value) -> anyhow::Result<BTreeSet<Id>> {
    anyhow::ensure!(json.get("nextLink").is_none_or(Value::is_null), "more versions than fit on a page");
    let rows = json.get("value").and_then(Value::as_array).context("no rows")?;
    rows.iter().map(|row| version_of(row.get("kid").and_then(Value::as_str).context("no kid")?)).collect()
}

fn version_of(kid: &str) -> anyhow::Result<Id> {
    Ok(Id::from_str_radix(kid.rsplit('/').next().context("no version")?, 16)?)
}

const NONCE: &str = "faults";
const ENC: WrapAlgorithm = WrapAlgorithm::RsaAesKeyWrap256;
/// A client gives up after this: longer than any pause of a process here, so that a late answer is met too.
const PATIENCE: Duration = Duration::from_secs(4);
