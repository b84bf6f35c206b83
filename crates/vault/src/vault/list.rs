//! Lists, a page at a time.
//!
//! A list shows its vault as it was when its first page was asked for: where a page ended, and the store's revision that the
//! list is of, are sealed into its token for this vault and this list, so that nobody can make one up or use it for another.
//! Keys that come, go or change in between neither hide, repeat nor alter the others. The store holds so much of its past, and
//! none from before it was opened; a list that outlives that goes on in the newest state, after the last key that it gave: then
//! too a key that is there throughout is given once, since keys come in the order of their names.
//!
//! So the later pages of a list may show what has been changed since it began. Nothing is decided by them.

use std::collections::HashSet;
use std::sync::Arc;

use skerry_identity::Permission;
use skerry_jose::b64;
use skerry_policy::permit::Version;
use skerry_store::{At, Page, Revision, StoreError};

use crate::command::{Context, ListCommand};
use crate::limits::{ATTEMPTS_MAX, PAGE_ROWS_MAX, PAGE_TOKEN_CHARS_MAX};
use crate::record::{Key, KeyHead, KeyName};
use crate::refusal::Refusal;
use crate::stored::Corrupted;
use crate::vault::Vault;

/// A page of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Listing {
    /// The rows: keys and deleted keys at their newest version, or versions.
    pub rows: Vec<Key>,
    /// Where the next page begins; none on the last. Opaque.
    pub next: Option<String>,
}

impl Vault {
    /// Keys, by name without case.
    pub async fn list(&self, context: &Context<'_>, command: &ListCommand<'_>) -> Result<Listing, Refusal> {
        self.check(context, Permission::List)?;
        self.heads(context, self.records.place().heads(), command).await
    }

    /// Deleted keys that can be recovered, by name without case.
    pub async fn list_deleted(&self, context: &Context<'_>, command: &ListCommand<'_>) -> Result<Listing, Refusal> {
        self.check(context, Permission::List)?;
        self.heads(context, self.records.place().deleted_heads(), command).await
    }

    /// Versions of a key, by their ids, as Azure orders them (recorded).
    pub async fn list_versions(
        &self,
        context: &Context<'_>,
        name: &KeyName,
        command: &ListCommand<'_>,
    ) -> Result<Listing, Refusal> {
        self.check(context, Permission::List)?;
        let missing = || Refusal::KeyNotFound { name: name.to_string() };
        // As it is: the versions of a key that is gone are not listed any more.
        let (live, _) = self.records.live(name).await?.ok_or_else(missing)?;
        let prefix = self.records.place().versions(live.id);
        let mut from = self.from(&prefix, command).await?;
        for _ in 0..ATTEMPTS_MAX {
            let page = self.page(&prefix, command, &mut from).await?;
            let when = At::Snapshot(from.revision);
            let head = match self.records.live_at(name, when).await {
                Ok(head) => head.map(|(head, _)| head).filter(|head| head.id == live.id).ok_or_else(missing)?,
                Err(Refusal::Store(StoreError::Compacted { .. })) => continue,
                Err(refusal) => return Err(refusal),
            };
            if let Some(lacking) = self.lacking(&head, from.after.as_deref(), &page) {
                return Err(Corrupted::VersionMissing { version: lacking.to_string() }.into());
            }
            let mut rows = Vec::new();
            for row in &page.rows {
                // One that the head does not know is being restored.
                if let Some(version) = self.records.version_of(&head, row)? {
                    rows.push(Key { head: Arc::clone(&head), version });
                }
            }
            return Ok(Listing { rows, next: self.next(context, &prefix, &page)? });
        }
        Err(Refusal::Contended)
    }

    /// A version that the head has and that is not where the page should have it.
    fn lacking(&self, head: &KeyHead, after: Option<&[u8]>, page: &Page) -> Option<Version> {
        let last = page.rows.last().filter(|_| page.more).map(|row| row.key.as_slice());
        let there: HashSet<&[u8]> = page.rows.iter().map(|row| row.key.as_slice()).collect();
        let lacks = |version: &Version| {
            let at = self.records.place().version(head.id, *version);
            let within =
                after.is_none_or(|after| after < at.as_slice()) && last.is_none_or(|last| at.as_slice() <= last);
            within && !there.contains(at.as_slice())
        };
        head.versions.iter().map(|of| of.version).find(lacks)
    }

    async fn heads(
        &self,
        context: &Context<'_>,
        prefix: Vec<u8>,
        command: &ListCommand<'_>,
    ) -> Result<Listing, Refusal> {
        let mut from = self.from(&prefix, command).await?;
        for _ in 0..ATTEMPTS_MAX {
            let page = self.page(&prefix, command, &mut from).await?;
            match self.keys(&page).await {
                Ok(rows) => return Ok(Listing { rows, next: self.next(context, &prefix, &page)? }),
                Err(Refusal::Store(StoreError::Compacted { .. })) => {}
                Err(refusal) => return Err(refusal),
            }
        }
        Err(Refusal::Contended)
    }

    /// The keys of a page of heads, each at the version that was its newest then.
    async fn keys(&self, page: &Page) -> Result<Vec<Key>, Refusal> {
        let mut keys = Vec::with_capacity(page.rows.len());
        for row in &page.rows {
            let head = self.records.listed(row)?;
            let Some(of) = head.version(None).copied() else { continue };
            let (version, _) = self.records.version_at(&head, &of, At::Snapshot(page.revision)).await?;
            keys.push(Key { head, version });
        }
        Ok(keys)
    }

    /// The key at its newest version; none if it went away since its head was read.
    pub(super) async fn newest(&self, head: Arc<KeyHead>) -> Result<Option<Key>, Refusal> {
        let Some(of) = head.version(None).copied() else { return Ok(None) };
        match self.records.version_at(&head, &of, At::Linearizable).await {
            Ok((version, _)) => Ok(Some(Key { head, version })),
            Err(refusal) => match self.is_standing(&head).await? {
                true => Err(refusal),
                false => Ok(None),
            },
        }
    }

    async fn is_standing(&self, head: &KeyHead) -> Result<bool, Refusal> {
        let standing = match head.deletion {
            Some(_) => self.records.deleted(&head.name).await?,
            None => self.records.live(&head.name).await?,
        };
        Ok(standing.is_some_and(|(standing, _)| standing.id == head.id))
    }

    /// Where the page asked for begins.
    async fn from(&self, prefix: &[u8], command: &ListCommand<'_>) -> Result<From, Refusal> {
        match command.after {
            Some(token) => self.opened(prefix, token),
            None => Ok(From { after: None, revision: self.records.store().fence().await? }),
        }
    }

    /// The page that begins there. If the past that it is of is not held any more, it is of the newest state from then on.
    async fn page(&self, prefix: &[u8], command: &ListCommand<'_>, from: &mut From) -> Result<Page, Refusal> {
        let asked = command.rows_max.unwrap_or(PAGE_ROWS_MAX);
        if !(1..=PAGE_ROWS_MAX).contains(&asked) {
            return Err(Refusal::PageRows { asked, max: PAGE_ROWS_MAX });
        }
        let store = self.records.store();
        loop {
            let page = store.range(prefix, from.after.as_deref(), asked, At::Snapshot(from.revision)).await;
            match page {
                // Ahead is a revision from before an older store was put in place, which is for others to notice.
                Err(StoreError::Compacted { .. } | StoreError::Ahead { .. }) => from.revision = store.fence().await?,
                page => return Ok(page?),
            }
        }
    }

    fn next(&self, context: &Context<'_>, prefix: &[u8], page: &Page) -> Result<Option<String>, Refusal> {
        let Some(last) = page.rows.last().filter(|_| page.more) else { return Ok(None) };
        let plain = [&[TOKEN_FORMAT], page.revision.0.to_be_bytes().as_slice(), &last.key].concat();
        let sealed = self.pages.seal(prefix, &plain, &mut *(context.randomness)()).map_err(Refusal::Seal)?;
        Ok(Some(b64::encode(sealed)))
    }

    fn opened(&self, prefix: &[u8], token: &str) -> Result<From, Refusal> {
        let sealed = Some(token).filter(|token| token.len() <= PAGE_TOKEN_CHARS_MAX).map(b64::decode);
        let Some(Ok(sealed)) = sealed else { return Err(Refusal::PageToken) };
        let plain = self.pages.open(prefix, &sealed).map_err(|_| Refusal::PageToken)?;
        From::parse(&plain).ok_or(Refusal::PageToken)
    }
}

/// Where a page begins: after a row, in the state of a revision.
struct From {
    after: Option<Vec<u8>>,
    revision: Revision,
}

impl From {
    /// What [`Vault::next`] sealed.
    fn parse(plain: &[u8]) -> Option<From> {
        let (revision, last) = plain.strip_prefix(&[TOKEN_FORMAT])?.split_first_chunk()?;
        Some(From { after: Some(last.to_vec()), revision: Revision(u64::from_be_bytes(*revision)) })
    }
}

/// 1, the list's revision in 8 octets, the last row's key. Tokens of earlier builds had the key alone, which begins with `v`.
const TOKEN_FORMAT: u8 = 1;
