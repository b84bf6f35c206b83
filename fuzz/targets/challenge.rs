//! Challenges of vaults: what is answered with a token asks for one for the vault's own domain, and names an authority by
//! an https URL with a tenant that is one plain segment.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use skerry_client::http::Endpoint;
use skerry_client::vault::Challenge;

static VAULT: LazyLock<Endpoint> =
    LazyLock::new(|| Endpoint::parse("https://kv1.vault.example:8443").expect("a vault's URL"));

fuzz_target!(|parameters: &str| {
    let Ok(challenge) = Challenge::parse(parameters) else { return };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    assert!(!challenge.tenant().is_empty() && challenge.tenant().bytes().all(plain), "a tenant");
    assert!(challenge.authority().prefix().is_empty());
    if challenge.check(&VAULT).is_err() {
        return;
    }
    let resource = challenge.resource().to_ascii_lowercase();
    let domain = resource.strip_prefix("https://").expect("a token for https");
    let domain = domain.strip_suffix('/').unwrap_or(domain);
    let domain = domain.strip_suffix(":8443").unwrap_or(domain);
    assert!(["kv1.vault.example", "vault.example", "example"].contains(&domain), "a token for {domain}");
});
