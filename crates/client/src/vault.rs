//! A vault's REST API, as Azure Key Vault and Managed HSM have it: typed commands and answers.
//!
//! Nothing is sent to a vault with a token before it has challenged for one as the SDKs demand: with a resource that is a
//! domain of its own name ([`Challenge`]). Links to further pages are followed on the same origin only. A request is sent
//! again only after 429 or 503 with `Retry-After`, and after 503 only where doing it twice is doing it once. Not here: what
//! a release answer is worth ([`crate::VerifiedRelease`]).

mod answer;
mod challenge;
mod command;
mod credential;
mod error;
mod metadata;
mod name;
mod pages;
mod retry;

use http::Method;
use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use skerry_jose::b64;
use skerry_jose::json::{self, Object, Value};
use tokio::sync::OnceCell;
use zeroize::Zeroizing;

use crate::http::{Answer, Client, Connection, Content, Endpoint, HttpError, Sent};
use crate::limits::{ANSWER, ANSWER_BYTES_MAX, BACKUP_ANSWER_BYTES_MAX};

pub use answer::{Attributes, CipherAnswer, Deletion, Floor, Key, ReleasePolicy, Row, Tags};
pub use challenge::{Challenge, ChallengeError};
pub use command::{
    Changes, FloorChanges, LifetimeAction, NewKey, NewKind, PrivateJwk, RotationPolicy, Settings, ToCipher, Trigger,
};
pub use credential::{Authorities, Credential, CredentialError, Secret};
pub use error::{AnswerError, Refusal, VaultError};
pub use metadata::MetadataService;
pub use name::{KeyName, KeyRef, NotAKey, Version};
pub use pages::{Pages, PagesError};
pub use retry::Repeat;

/// One vault, asked as one caller.
pub struct Vault {
    client: Client,
    endpoint: Endpoint,
    credential: Credential,
    waiting: fn(&Waiting),
    token: OnceCell<Secret>,
}

/// The vault is busy, and the request will be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// What it answered.
    pub status: u16,
    /// Seconds until then.
    pub secs: u64,
}

/// What a vault tells anybody who asks without a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// Whose tokens it takes, and for what.
    pub challenge: Challenge,
    /// `x-ms-keyvault-region`.
    pub region: Option<String>,
    /// `x-ms-keyvault-service-version`.
    pub service_version: Option<String>,
}

impl Vault {
    /// A vault at `endpoint`, which configuration vouches for and which has no path: identifiers of keys have none. `waiting`
    /// is told of every wait.
    pub fn new(
        client: Client,
        endpoint: Endpoint,
        credential: Credential,
        waiting: fn(&Waiting),
    ) -> Result<Vault, VaultError> {
        if !endpoint.prefix().is_empty() {
            let url = format!("https://{}{}", endpoint.authority(), endpoint.prefix());
            return Err(VaultError::Http(HttpError::Url(url)));
        }
        Ok(Vault { client, endpoint, credential, waiting, token: OnceCell::new() })
    }

    /// Where it is.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// A key's identifier as it is addressed here.
    pub fn kid(&self, key: &KeyRef) -> String {
        format!("https://{}{}", self.endpoint.authority(), key.path())
    }

    /// What the vault says of itself, without a token.
    pub async fn about(&self) -> Result<About, VaultError> {
        let path = format!("/keys?{API_VERSION}");
        let (max, method) = (ANSWER_BYTES_MAX, Method::GET);
        let sent = Sent { method, path: &path, bearer: None, content: None, answer_bytes_max: max };
        let answer = self.client.send(&self.endpoint, sent).await.map_err(VaultError::Http)?;
        let text = |name| answer.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let challenge = Challenge::of(answer.status.as_u16(), answer.headers.get_all(WWW_AUTHENTICATE).iter());
        let challenge = challenge.and_then(|challenge| challenge.check(&self.endpoint).map(|()| challenge));
        Ok(About {
            challenge: challenge.map_err(VaultError::Challenge)?,
            region: text("x-ms-keyvault-region"),
            service_version: text("x-ms-keyvault-service-version"),
        })
    }

    /// Makes a key, or a new version of one.
    pub async fn create(&self, name: &KeyName, new: &NewKey) -> Result<Key, VaultError> {
        let path = format!("/keys/{name}/create");
        let answer = self.ask("create", Method::POST, &path, Some(new.to_body()), Repeat::Refused).await?;
        Key::read(&answer, "create", Some(name))
    }

    /// Brings a key in.
    pub async fn import(&self, name: &KeyName, jwk: &PrivateJwk, settings: &Settings) -> Result<Key, VaultError> {
        let body = jwk.to_import(settings);
        let answer = self.ask("import", Method::PUT, &format!("/keys/{name}"), Some(body), Repeat::Refused).await?;
        Key::read(&answer, "import", Some(name))
    }

    /// A key with its public half.
    pub async fn get(&self, key: &KeyRef) -> Result<Key, VaultError> {
        let answer = self.ask("get", Method::GET, &key.path(), None, Repeat::Always).await?;
        Key::read(&answer, "get", Some(&key.name))
    }

    /// Changes what can be changed; what is not said stays.
    pub async fn update(&self, key: &KeyRef, changes: &Changes) -> Result<Key, VaultError> {
        let body = changes.to_body();
        let answer = self.ask("update", Method::PATCH, &key.path(), Some(body), Repeat::Always).await?;
        Key::read(&answer, "update", Some(&key.name))
    }

    /// Makes a new version like the newest.
    pub async fn rotate(&self, name: &KeyName) -> Result<Key, VaultError> {
        let path = format!("/keys/{name}/rotate");
        let answer = self.ask("rotate", Method::POST, &path, None, Repeat::Refused).await?;
        Key::read(&answer, "rotate", Some(name))
    }

    /// The key's rotation policy.
    pub async fn rotation_policy(&self, name: &KeyName) -> Result<RotationPolicy, VaultError> {
        let path = format!("/keys/{name}/rotationpolicy");
        let answer = self.ask("get rotation policy", Method::GET, &path, None, Repeat::Always).await?;
        RotationPolicy::read(&answer)
    }

    /// Sets the key's rotation policy; what the vault made of it.
    pub async fn set_rotation_policy(
        &self,
        name: &KeyName,
        policy: &RotationPolicy,
    ) -> Result<RotationPolicy, VaultError> {
        let (path, body) = (format!("/keys/{name}/rotationpolicy"), policy.to_body());
        let answer = self.ask("set rotation policy", Method::PUT, &path, Some(body), Repeat::Always).await?;
        RotationPolicy::read(&answer)
    }

    /// Deletes a key, which can be recovered until it is purged.
    pub async fn delete(&self, name: &KeyName) -> Result<(Key, Option<Deletion>), VaultError> {
        let answer = self.ask("delete", Method::DELETE, &format!("/keys/{name}"), None, Repeat::Refused).await?;
        Ok((Key::read(&answer, "delete", Some(name))?, Deletion::read(&answer, "delete")?))
    }

    /// A deleted key.
    pub async fn deleted(&self, name: &KeyName) -> Result<(Key, Option<Deletion>), VaultError> {
        let path = format!("/deletedkeys/{name}");
        let answer = self.ask("get deleted", Method::GET, &path, None, Repeat::Always).await?;
        Ok((Key::read(&answer, "get deleted", Some(name))?, Deletion::read(&answer, "get deleted")?))
    }

    /// Takes a deletion back.
    pub async fn recover(&self, name: &KeyName) -> Result<Key, VaultError> {
        let path = format!("/deletedkeys/{name}/recover");
        let answer = self.ask("recover", Method::POST, &path, None, Repeat::Refused).await?;
        Key::read(&answer, "recover", Some(name))
    }

    /// Makes a deletion final.
    pub async fn purge(&self, name: &KeyName) -> Result<(), VaultError> {
        let path = format!("/deletedkeys/{name}");
        self.send("purge", Method::DELETE, &path, None, (Repeat::Refused, ANSWER_BYTES_MAX)).await.map(drop)
    }

    /// A key with all its versions, sealed for vaults that can open it.
    pub async fn backup(&self, name: &KeyName) -> Result<Vec<u8>, VaultError> {
        let path = format!("/keys/{name}/backup");
        let sent = self.send("backup", Method::POST, &path, None, (Repeat::Always, BACKUP_ANSWER_BYTES_MAX));
        octets(&object(&sent.await?, "backup", BACKUP_ANSWER_BYTES_MAX)?, "backup", "value")
    }

    /// Brings back what [`Vault::backup`] gave.
    pub async fn restore(&self, backup: &[u8]) -> Result<Key, VaultError> {
        let body = Object::new().with("value", b64::encode(backup)).to_json();
        let answer = self.ask("restore", Method::POST, "/keys/restore", Some(Body::plain(body)), Repeat::Refused);
        Key::read(&answer.await?, "restore", None)
    }

    /// Signs a digest, or a message where the algorithm signs those: the key that did, and the signature.
    pub async fn sign(&self, key: &KeyRef, alg: &str, digest: &[u8]) -> Result<(String, Vec<u8>), VaultError> {
        let body = Object::new().with("alg", alg).with("value", b64::encode(digest)).to_json();
        let path = format!("{}/sign", key.path());
        let answer = self.ask("sign", Method::POST, &path, Some(Body::plain(body)), Repeat::Always).await?;
        Ok((text(&answer, "sign", "kid")?.to_owned(), octets(&answer, "sign", "value")?))
    }

    /// Whether a signature is good.
    pub async fn verify(&self, key: &KeyRef, alg: &str, digest: &[u8], signature: &[u8]) -> Result<bool, VaultError> {
        let body = Object::new().with("alg", alg).with("digest", b64::encode(digest));
        let body = Body::plain(body.with("value", b64::encode(signature)).to_json());
        let path = format!("{}/verify", key.path());
        let answer = self.ask("verify", Method::POST, &path, Some(body), Repeat::Always).await?;
        let value = answer.get("value").and_then(Value::as_bool);
        value.ok_or(VaultError::Answer { operation: "verify", why: AnswerError::Member("value") })
    }

    /// Encrypts a text.
    pub async fn encrypt(&self, key: &KeyRef, text: &ToCipher) -> Result<CipherAnswer, VaultError> {
        self.cipher("encrypt", "encrypt", key, text).await
    }

    /// Decrypts a text.
    pub async fn decrypt(&self, key: &KeyRef, text: &ToCipher) -> Result<CipherAnswer, VaultError> {
        self.cipher("decrypt", "decrypt", key, text).await
    }

    /// Wraps a key's octets.
    pub async fn wrap(&self, key: &KeyRef, text: &ToCipher) -> Result<CipherAnswer, VaultError> {
        self.cipher("wrap", "wrapkey", key, text).await
    }

    /// Unwraps a key's octets.
    pub async fn unwrap(&self, key: &KeyRef, text: &ToCipher) -> Result<CipherAnswer, VaultError> {
        self.cipher("unwrap", "unwrapkey", key, text).await
    }

    /// Asks for a release to the TEE of an attestation token: the answer as it came, which nobody has verified.
    pub async fn release(&self, key: &KeyRef, token: &str, nonce: &str, enc: &str) -> Result<String, VaultError> {
        let answer = self.ask_for_release(key, Object::new().with("target", token), (nonce, enc)).await?;
        Ok(text(&answer, "release", "value")?.to_owned())
    }

    /// Asks as [`release`](Self::release) does, and for the proof that the release is in the vault's log: Skerry's own. What
    /// knows nothing of proofs sends none.
    pub async fn release_with_proof(
        &self,
        key: &KeyRef,
        token: &str,
        nonce: &str,
        enc: &str,
    ) -> Result<(String, Option<String>), VaultError> {
        let body = Object::new().with("target", token).with(PROOF, "inclusion");
        let answer = self.ask_for_release(key, body, (nonce, enc)).await?;
        let proof = answer.get(PROOF).map(|_| text(&answer, "release", PROOF).map(str::to_owned)).transpose()?;
        Ok((text(&answer, "release", "value")?.to_owned(), proof))
    }

    /// Asks for a key to be unwrapped to the TEE of an attestation token, and for the proof that this is in the vault's log: the
    /// octets of the envelope as they came, which nobody has verified, and the proof, if the vault knows of such.
    pub async fn secure_unwrap_with_proof(
        &self,
        key: &KeyRef,
        alg: &str,
        wrapped: &[u8],
        token: &str,
    ) -> Result<(Vec<u8>, Option<String>), VaultError> {
        let body = Object::new().with("alg", alg).with("value", b64::encode(wrapped));
        let body = Body::plain(body.with("target", token).with(PROOF, "inclusion").to_json());
        let (operation, path) = ("secure unwrap", format!("{}/secureunwrapkey", key.path()));
        let answer = self.ask(operation, Method::POST, &path, Some(body), Repeat::Refused).await?;
        let proof = answer.get(PROOF).map(|_| text(&answer, operation, PROOF).map(str::to_owned)).transpose()?;
        Ok((octets(&answer, operation, "value")?, proof))
    }

    async fn ask_for_release(
        &self,
        key: &KeyRef,
        body: Object,
        (nonce, enc): (&str, &str),
    ) -> Result<Object, VaultError> {
        let body = Body::plain(body.with("nonce", nonce).with("enc", enc).to_json());
        let path = format!("{}/release", key.path());
        self.ask("release", Method::POST, &path, Some(body), Repeat::Refused).await
    }

    /// What the vault demands of every release: Skerry's own.
    pub async fn floor(&self) -> Result<Floor, VaultError> {
        let answer = self.ask("get floor", Method::GET, "/x-skerry/floor", None, Repeat::Always).await?;
        Floor::read(&answer, "get floor")
    }

    /// Sets what is named of that.
    pub async fn set_floor(&self, changes: &FloorChanges) -> Result<Floor, VaultError> {
        let body = Some(changes.to_body());
        let answer = self.ask("set floor", Method::PATCH, "/x-skerry/floor", body, Repeat::Always).await?;
        Floor::read(&answer, "set floor")
    }

    /// Random octets, which Managed HSMs give.
    pub async fn random(&self, count: u32) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let body = Body::plain(Object::new().with("count", u64::from(count)).to_json());
        let answer = self.ask("random", Method::POST, "/rng", Some(body), Repeat::Always).await?;
        octets(&answer, "random", "value").map(Zeroizing::new)
    }

    /// All keys, by name, each with the attributes of its newest version.
    pub fn keys(&self) -> Pages<'_> {
        Pages::new(self, "list", "/keys".to_owned())
    }

    /// All versions of a key, in no order of time.
    pub fn versions(&self, name: &KeyName) -> Pages<'_> {
        Pages::new(self, "list versions", format!("/keys/{name}/versions"))
    }

    /// All deleted keys.
    pub fn deleted_keys(&self) -> Pages<'_> {
        Pages::new(self, "list deleted", "/deletedkeys".to_owned())
    }

    async fn cipher(
        &self,
        operation: &'static str,
        word: &str,
        key: &KeyRef,
        text: &ToCipher,
    ) -> Result<CipherAnswer, VaultError> {
        let path = format!("{}/{word}", key.path());
        let answer = self.ask(operation, Method::POST, &path, Some(text.to_body()), Repeat::Always).await?;
        CipherAnswer::read(answer, operation)
    }

    /// The JSON object that an operation answers.
    async fn ask(
        &self,
        operation: &'static str,
        method: Method,
        path: &str,
        body: Option<Body>,
        repeat: Repeat,
    ) -> Result<Object, VaultError> {
        let answer = self.send(operation, method, path, body, (repeat, ANSWER_BYTES_MAX)).await?;
        object(&answer, operation, ANSWER_BYTES_MAX)
    }

    /// A good answer to a request at a path of this API without a query.
    async fn send(
        &self,
        operation: &'static str,
        method: Method,
        path: &str,
        body: Option<Body>,
        how: (Repeat, usize),
    ) -> Result<Answer, VaultError> {
        self.send_at(operation, method, &format!("{path}?{API_VERSION}"), body, how).await
    }

    async fn send_at(
        &self,
        operation: &'static str,
        method: Method,
        path: &str,
        body: Option<Body>,
        (repeat, answer_bytes_max): (Repeat, usize),
    ) -> Result<Answer, VaultError> {
        let content = body.map(Body::into_content);
        let sent = Sent { method, path, bearer: None, content, answer_bytes_max };
        self.try_until(operation, repeat, async |token| {
            let sent = Sent { bearer: Some(token), ..sent.clone() };
            self.client.send(&self.endpoint, sent).await
        })
        .await
    }

    /// A page of a list, on the connection that is kept from the page before.
    async fn page(
        &self,
        operation: &'static str,
        path: &str,
        kept: &mut Option<Connection>,
    ) -> Result<Answer, VaultError> {
        let (method, max) = (Method::GET, ANSWER_BYTES_MAX);
        self.try_until(operation, Repeat::Always, async |token| {
            let method = method.clone();
            let sent = Sent { method, path, bearer: Some(token), content: None, answer_bytes_max: max };
            self.client.send_again(&self.endpoint, sent, kept).await
        })
        .await
    }

    /// The first good answer, as often as may be tried.
    async fn try_until(
        &self,
        operation: &'static str,
        repeat: Repeat,
        mut send: impl AsyncFnMut(&str) -> Result<Answer, HttpError>,
    ) -> Result<Answer, VaultError> {
        let token = self.token.get_or_try_init(|| self.authenticate()).await?;
        let mut tries = 0;
        loop {
            let answer = send(token.expose()).await.map_err(VaultError::Http)?;
            if answer.status.is_success() {
                return Ok(answer);
            }
            let status = answer.status.as_u16();
            let Some(wait) = retry::again(status, answer.headers.get(RETRY_AFTER), repeat, tries) else {
                return Err(error::refused(operation, &answer));
            };
            (self.waiting)(&Waiting { status, secs: wait.as_secs() });
            tokio::time::sleep(wait).await;
            tries += 1;
        }
    }

    async fn authenticate(&self) -> Result<Secret, VaultError> {
        let challenge = self.about().await?.challenge;
        self.credential.token(&self.client, &challenge).await.map_err(VaultError::Credential)
    }
}

/// A body of JSON, wiped when the last of it is sent.
pub(crate) struct Body(Zeroizing<String>);

impl Body {
    fn plain(json: String) -> Body {
        Body(Zeroizing::new(json))
    }

    fn into_content(self) -> Content {
        Content { media: crate::http::JSON, bytes: bytes::Bytes::from_owner(Wiped(self.0)) }
    }
}

/// Bytes of this owner are wiped when the last handle goes.
struct Wiped(Zeroizing<String>);

impl AsRef<[u8]> for Wiped {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

fn object(answer: &Answer, operation: &'static str, bytes_max: usize) -> Result<Object, VaultError> {
    let limits = json::Limits { bytes_max, ..ANSWER };
    let value = json::parse(&answer.body, &limits)
        .map_err(|error| VaultError::Answer { operation, why: AnswerError::Json(error) })?;
    value.into_object().ok_or(VaultError::Answer { operation, why: AnswerError::NotAnObject })
}

fn text<'a>(object: &'a Object, operation: &'static str, name: &'static str) -> Result<&'a str, VaultError> {
    let value = object.get(name).and_then(Value::as_str);
    value.ok_or(VaultError::Answer { operation, why: AnswerError::Member(name) })
}

fn octets(object: &Object, operation: &'static str, name: &'static str) -> Result<Vec<u8>, VaultError> {
    let octets = b64::decode_lenient(text(object, operation, name)?);
    octets.map_err(|_| VaultError::Answer { operation, why: AnswerError::Member(name) })
}

/// Of a release request: that a proof is wanted; of its answer: the proof.
const PROOF: &str = "x-skerry-proof";
/// The stable version that Azure's SDKs of today send by default (observed: azure-keyvault-keys 4.11.1 and later).
const API_VERSION: &str = "api-version=2025-07-01";
