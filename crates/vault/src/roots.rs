//! What of a store a token's roots are needed for, and their end.

use std::collections::BTreeMap;
use std::time::SystemTime;

use skerry_audit::{Entry, Event, Verdict};
use skerry_keys::{Custody, CustodyError, Level, RootId};
use skerry_store::{At, Row};
use uuid::Uuid;

use crate::entries;
use crate::installation::Installation;
use crate::records::Records;
use crate::refusal::Refusal;
use crate::stored::{VAULTS, is_head};
use crate::vault::Keks;

impl Installation {
    /// How many versions of keys are wrapped under each root of the token that holds them: in all vaults that the store has, of
    /// configuration or not, deleted keys among them. Without a token there are none.
    ///
    /// The caller vouches that nobody makes a key meanwhile: what an older server makes is under what it takes for the newest root.
    pub async fn token_roots(&self) -> Result<BTreeMap<RootId, u64>, Refusal> {
        let (mut roots, mut vaults, mut after) = (BTreeMap::new(), BTreeMap::<Uuid, (Keks, Records)>::new(), None);
        loop {
            let page = self.store().range(VAULTS, after.as_deref(), ROWS, At::Linearizable).await?;
            after = page.rows.last().map(|row: &Row| row.key.clone());
            for row in &page.rows {
                let Some(vault) = is_head(&row.key) else { continue };
                let (keks, records) = vaults.entry(vault).or_insert_with(|| {
                    let keks = self.keks(vault);
                    let records = Records::new(self.store().clone(), self.keks(vault).records, vault);
                    (keks, records)
                });
                let Custody::Strict(custody) = &keks.material else { return Ok(roots) };
                let head = records.head_of(row)?;
                for of in &head.versions {
                    let (version, _) = records.version_at(&head, of, At::Linearizable).await?;
                    match custody.root_of(&version.material, &head.binding(vault, &version)) {
                        Ok(root) => *roots.entry(root).or_insert(0_u64) += 1,
                        // It needs none.
                        Err(CustodyError::OtherCustody { found: Level::Software }) => {}
                        Err(error) => return Err(Refusal::Custody(error)),
                    }
                }
            }
            if !page.more {
                return Ok(roots);
            }
        }
    }

    /// Puts on record, durably, that these roots are about to be destroyed.
    pub async fn record_destruction(&self, roots: &[RootId], who: &str, now: SystemTime) -> Result<(), Refusal> {
        let names: Vec<_> = roots.iter().map(RootId::to_string).collect();
        let text = format!("roots of the token are destroyed: {}", names.join(", "));
        let entry = entries::service(Event::RootsDestroyed, now, Verdict::Permitted, text);
        self.record(Entry { who: who.to_owned(), ..entry }).await.map(drop)
    }
}

/// Rows read at a time.
const ROWS: usize = 256;
