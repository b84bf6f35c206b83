//! Lists that come in pages, one at a time.

use skerry_jose::json::Value;

use super::answer::Row;
use super::{API_VERSION, AnswerError, Vault, VaultError, object};
use crate::http::{Connection, Endpoint};
use crate::limits::{ANSWER_BYTES_MAX, EMPTY_PAGES_MAX};

/// Why a list does not go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PagesError {
    /// The link leads to another server, which is not asked with this one's token.
    #[error("the next page is said to be at {0:?}, which is not the vault's")]
    Foreign(String),
    /// The link leads to the page it stands on.
    #[error("the next page is said to be this one")]
    Circle,
    /// Pages without rows.
    #[error("{EMPTY_PAGES_MAX} pages in a row are empty")]
    Empty,
}

/// The rest of a list. Rows are given page by page, so that a list of any length takes the memory of one.
pub struct Pages<'a> {
    vault: &'a Vault,
    operation: &'static str,
    next: Option<String>,
    empty: usize,
    kept: Option<Connection>,
}

impl<'a> Pages<'a> {
    pub(super) fn new(vault: &'a Vault, operation: &'static str, path: String) -> Pages<'a> {
        Pages { vault, operation, next: Some(format!("{path}?{API_VERSION}")), empty: 0, kept: None }
    }

    /// The rows of the next page that has some, or none at the end.
    pub async fn next(&mut self) -> Result<Option<Vec<Row>>, VaultError> {
        while let Some(path) = self.next.take() {
            let answer = self.vault.page(self.operation, &path, &mut self.kept).await?;
            let page = object(&answer, self.operation, ANSWER_BYTES_MAX)?;
            let malformed = |name| VaultError::Answer { operation: self.operation, why: AnswerError::Member(name) };
            // Null, missing and empty end a list (observed in SDKs).
            let next = match page.get("nextLink") {
                None | Some(Value::Null) => None,
                Some(link) => Some(link.as_str().ok_or(malformed("nextLink"))?).filter(|link| !link.is_empty()),
            };
            let refused = |why| VaultError::Pages { operation: self.operation, why };
            self.next = next.map(|link| follow(link, self.vault.endpoint(), &path)).transpose().map_err(refused)?;
            let rows = page.get("value").and_then(Value::as_array).ok_or(malformed("value"))?;
            let rows: Vec<Row> = rows.iter().map(|row| Row::read(row, self.operation)).collect::<Result<_, _>>()?;
            if !rows.is_empty() {
                self.empty = 0;
                return Ok(Some(rows));
            }
            self.empty += 1;
            if self.empty >= EMPTY_PAGES_MAX {
                return Err(refused(PagesError::Empty));
            }
        }
        Ok(None)
    }
}

/// Path and query of the link, iff it leads to the vault itself and not back to the page at `from`.
fn follow(link: &str, vault: &Endpoint, from: &str) -> Result<String, PagesError> {
    let foreign = || PagesError::Foreign(link.to_owned());
    let (origin, tail) = split(link).ok_or_else(foreign)?;
    let origin = Endpoint::parse(origin).map_err(|_| foreign())?;
    let plain = tail.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    if !origin.same_origin(vault) || !plain {
        return Err(foreign());
    }
    if tail == from { Err(PagesError::Circle) } else { Ok(tail.to_owned()) }
}

/// `https://authority` and the rest.
fn split(link: &str) -> Option<(&str, &str)> {
    let rest =
        link.get(..HTTPS.len()).filter(|scheme| scheme.eq_ignore_ascii_case(HTTPS)).and(link.get(HTTPS.len()..))?;
    let at = HTTPS.len() + rest.find('/')?;
    link.split_at_checked(at)
}

const HTTPS: &str = "https://";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // reason: tests

    use super::*;

    /// A token goes to the server it is for: links elsewhere are not followed, in whatever spelling.
    #[test]
    fn links_lead_to_the_vault_itself() {
        let vault = Endpoint::parse("https://kv.vault.example").unwrap();
        let foreign = |link: &str| Err(PagesError::Foreign(link.to_owned()));
        for link in ["https://kv.vault.example/keys?a=b", "https://KV.vault.example:443/keys?a=b"] {
            assert_eq!(follow(link, &vault, "/keys?x"), Ok("/keys?a=b".to_owned()));
        }
        assert_eq!(follow("https://kv.vault.example/keys?x", &vault, "/keys?x"), Err(PagesError::Circle));
        for link in [
            "",
            "/keys?a=b",
            "//kv.vault.example/keys",
            "http://kv.vault.example/keys",
            "https://kv.vault.example",
            "https://kv.vault.example?x=/",
            "https://kv.vault.example:8443/keys",
            "https://other.vault.example/keys",
            "https://kv.vault.example.evil.example/keys",
            "https://kv.vault.example@evil.example/keys",
            "https://kv.vault.example\\@evil.example/keys",
            "https://kv.vault.example/keys a",
            "https://kv.vault.example/keys\r\nHost: x",
            "https://kv.vault.example/keys#x",
            "\u{e9}ttps://kv.vault.example/keys",
        ] {
            assert_eq!(follow(link, &vault, "/keys?x"), foreign(link), "{link}");
        }
    }
}
