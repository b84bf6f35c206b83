//! Stored release policies that name an attestation service which is not there any more: its URL has its port in it.

use anyhow::Context as _;
use skerry_attestation_result::IssuerUrl;
use skerry_http::Machine;
use skerry_identity::{Access, Assignment, Permission, Principal};
use skerry_vault::Vault;
use skerry_vault::command::{Context, ListCommand};
use skerry_vault::record::Key;

use crate::server::Vaults;

/// Keys, as `vault/name`, whose policies name authorities but not this one, so that no token of ours meets them.
pub(super) async fn of_other_authorities(
    vaults: &Vaults,
    (access, reader): (&[Assignment], &Principal),
    authority: &IssuerUrl,
    machine: &Machine,
) -> anyhow::Result<Vec<String>> {
    let access = Access::new(access.to_vec());
    let mut found = Vec::new();
    for (name, vault) in vaults {
        let grant = access.grant(reader, *vault.id().as_bytes(), Permission::List)?;
        let (now, randomness) = (machine.now(), machine.randomizer());
        let context = Context { grant: &grant, request_id: "start", now, randomness };
        let keys = keys(vault, &context).await.with_context(|| format!("keys of vault {name}"))?;
        let lost = keys.iter().filter(|key| {
            let policy = key.head.policy.as_ref();
            policy.is_some_and(|policy| policy.authorities().all(|named| named != authority))
        });
        found.extend(lost.map(|key| format!("{name}/{}", key.head.name)));
    }
    found.sort();
    Ok(found)
}

async fn keys(vault: &Vault, context: &Context<'_>) -> anyhow::Result<Vec<Key>> {
    let (mut keys, mut after) = (Vec::new(), None::<String>);
    loop {
        let command = ListCommand { rows_max: None, after: after.as_deref() };
        let page = vault.list(context, &command).await?;
        keys.extend(page.rows);
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(keys),
        }
    }
}
