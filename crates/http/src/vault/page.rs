//! Pages of lists: how long they are, and the link to the next one (recorded).

use skerry_jose::json::{Object, Value};
use skerry_vault::command::ListCommand;
use skerry_vault::record::Key;
use skerry_vault::{Listing, VaultKind};

use crate::request::Request;
use crate::vault::refusal::Refused;

/// What a request says of the page it wants.
pub(super) struct PageAsked {
    rows: Option<usize>,
    after: Option<String>,
    base: String,
    api_version: String,
}

impl PageAsked {
    pub(super) fn of(request: &Request, api_version: &str) -> Result<PageAsked, Refused> {
        let parameter = |name| request.query(name).map_err(|_| Refused::ParameterTwice(name));
        let rows = parameter(MAX_RESULTS)?.map(number).transpose()?;
        let after = parameter(SKIP_TOKEN)?.map(str::to_owned);
        let host = request.host();
        // The port stands in links even where it is the default (recorded).
        let port = host.port().unwrap_or(if request.is_tls() { 443 } else { 80 });
        let segments = request.segments().iter().filter(|segment| !segment.is_empty());
        let path: String = segments.map(|segment| format!("/{segment}")).collect();
        // Kids are https whatever the listener, and so are links: clients send tokens to nothing else (observed).
        let base = format!("https://{}:{port}{path}", host.name());
        Ok(PageAsked { rows, after, base, api_version: api_version.to_owned() })
    }

    pub(super) fn command(&self) -> ListCommand<'_> {
        ListCommand { rows_max: self.rows, after: self.after.as_deref() }
    }

    /// `{"value":[...],"nextLink":...}`, which is null on the last page.
    pub(super) fn answer(&self, kind: VaultKind, listing: &Listing, row: impl Fn(&Key) -> Object) -> Object {
        let next = listing.next.as_deref().map_or(Value::Null, |token| self.link(token).into());
        let rows: Vec<Object> = listing.rows.iter().map(row).collect();
        match kind {
            VaultKind::Standard | VaultKind::Premium => Object::new().with("value", rows).with("nextLink", next),
            VaultKind::ManagedHsm => Object::new().with("nextLink", next).with("value", rows),
        }
    }

    /// Names and versions need no escape, and neither does a token.
    fn link(&self, token: &str) -> String {
        let rows = self.rows.map(|rows| format!("&{MAX_RESULTS}={rows}")).unwrap_or_default();
        format!("{}?api-version={}&{SKIP_TOKEN}={token}{rows}", self.base, self.api_version)
    }
}

fn number(text: &str) -> Result<usize, Refused> {
    let invalid = || Refused::Parameter { name: MAX_RESULTS, found: text.to_owned() };
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit())).ok_or_else(invalid)
}

const MAX_RESULTS: &str = "maxresults";
const SKIP_TOKEN: &str = "$skiptoken";
