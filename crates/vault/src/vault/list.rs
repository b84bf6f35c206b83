//! Lists, a page at a time.
//!
//! A page goes on after the last row of the one before, so that keys that come and go in between neither hide nor repeat
//! the others. Where a page ended is sealed into its token for this vault and this list: nobody can make one up, or use it
//! for another list.

use std::collections::HashSet;
use std::sync::Arc;

use skerry_identity::Permission;
use skerry_jose::b64;
use skerry_policy::permit::Version;
use skerry_store::{At, Page};

use crate::command::{Context, ListCommand};
use crate::limits::{PAGE_ROWS_MAX, PAGE_TOKEN_CHARS_MAX};
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
        let (head, _) = self.records.live(name).await?.ok_or_else(missing)?;
        let prefix = self.records.place().versions(head.id);
        let (after, page) = self.page(&prefix, command).await?;
        if let Some(lacking) = self.lacking(&head, after.as_deref(), &page) {
            let version = lacking.to_string();
            return Err(match self.is_standing(&head).await? {
                true => Corrupted::VersionMissing { version }.into(),
                false => missing(),
            });
        }
        let mut rows = Vec::new();
        for row in &page.rows {
            // One that was made after the head was read is on the next page or the next list.
            if let Some(version) = self.records.version_of(&head, row)? {
                rows.push(Key { head: Arc::clone(&head), version });
            }
        }
        Ok(Listing { rows, next: self.next(context, &prefix, &page)? })
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
        let (_, page) = self.page(&prefix, command).await?;
        let mut rows = Vec::new();
        for row in &page.rows {
            let head = self.records.head_of(row)?;
            rows.extend(self.newest(head).await?);
        }
        Ok(Listing { rows, next: self.next(context, &prefix, &page)? })
    }

    /// The key at its newest version; none if it went away since its head was read.
    pub(super) async fn newest(&self, head: Arc<KeyHead>) -> Result<Option<Key>, Refusal> {
        let Some(of) = head.version(None).copied() else { return Ok(None) };
        match self.records.version(&head, &of).await {
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

    /// The page asked for, and the row that it comes after.
    async fn page(&self, prefix: &[u8], command: &ListCommand<'_>) -> Result<(Option<Vec<u8>>, Page), Refusal> {
        let asked = command.rows_max.unwrap_or(PAGE_ROWS_MAX);
        if !(1..=PAGE_ROWS_MAX).contains(&asked) {
            return Err(Refusal::PageRows { asked, max: PAGE_ROWS_MAX });
        }
        let after = command.after.map(|token| self.opened(prefix, token)).transpose()?;
        let page = self.records.store().range(prefix, after.as_deref(), asked, At::Linearizable).await?;
        Ok((after, page))
    }

    fn next(&self, context: &Context<'_>, prefix: &[u8], page: &Page) -> Result<Option<String>, Refusal> {
        let Some(last) = page.rows.last().filter(|_| page.more) else { return Ok(None) };
        let sealed = self.pages.seal(prefix, &last.key, &mut *(context.randomness)()).map_err(Refusal::Seal)?;
        Ok(Some(b64::encode(sealed)))
    }

    fn opened(&self, prefix: &[u8], token: &str) -> Result<Vec<u8>, Refusal> {
        let sealed = Some(token).filter(|token| token.len() <= PAGE_TOKEN_CHARS_MAX).map(b64::decode);
        let Some(Ok(sealed)) = sealed else { return Err(Refusal::PageToken) };
        let last = self.pages.open(prefix, &sealed).map_err(|_| Refusal::PageToken)?;
        Ok(last.to_vec())
    }
}
