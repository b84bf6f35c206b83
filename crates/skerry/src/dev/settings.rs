//! The settings of `dev`: what a developer needs on one machine, from its keys and ports.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::SystemTime;

use skerry_attestation_result::IssuerUrl;
use skerry_evidence::snp::Generation;
use skerry_http::{Names, tls};
use skerry_identity::{Assignment, Client, Permission, Principal, Scope, SecretDigest};
use skerry_keys::Level;
use skerry_vault::{Throttling, Wanted};
use skerry_verifier::Floor;
use uuid::{Uuid, uuid};

use super::folder::Folder;
use super::keys::{Certificates, Keys};
use super::ports::{Ports, Service};
use crate::config::{
    self, Anchors, Attestation, Authority, Drain, Identity, Issuer, Listener, ReleaseKey, Serves, Settings,
    StoreSettings, Vault, VaultKind, VaultListener,
};
use crate::root::Source;

/// Settings for these ports. The simulated root, and no other, is believed; the vaults take what it vouches for.
pub(super) fn settings(
    folder: &Folder,
    keys: &Keys,
    certificates: &Certificates,
    ports: &Ports,
    now: SystemTime,
) -> anyhow::Result<Settings> {
    let attestation = attestation(keys, ports)?;
    let identity = identity(keys, ports)?;
    let issuer = issuer(&identity, ports);
    let access = VAULTS.map(|(_, _, id)| Assignment {
        issuer: identity.issuer.as_str().to_owned(),
        subjects: vec![DEVELOPER.to_owned(), MACHINE.to_owned()],
        scope: Scope::Vault(*id.as_bytes()),
        permissions: Permission::ALL.into_iter().collect(),
    });
    let authority = Authority { url: attestation.issuer.clone(), keys: config::Keys::BuiltIn, min_iat: 0 };
    let listeners = Service::ALL.iter().map(|service| listener(*service, keys, certificates, ports, now));
    Ok(Settings {
        data: folder.path().to_owned(),
        root: Source::Key(keys.root.clone()),
        store: StoreSettings::Embedded,
        custody: Level::Software,
        hsm: None,
        ready_rsa_keys: Wanted { b2048: 2, ..Wanted::default() },
        listeners: listeners.collect::<anyhow::Result<_>>()?,
        operations: None,
        drain: Drain::default(),
        diagnostics: None,
        traces: None,
        issuers: vec![issuer],
        vaults: VAULTS.map(|(name, kind, id)| vault(name, kind, id, &authority.url)).to_vec(),
        authorities: vec![authority],
        attestation: Some(attestation),
        identity: Some(identity),
        access: access.to_vec(),
        recovery: None,
        warnings: Vec::new(),
    })
}

pub(super) fn attestation(keys: &Keys, ports: &Ports) -> anyhow::Result<Attestation> {
    let issuer = IssuerUrl::parse(&ports.url(Service::Attestation))?;
    let anchors = Anchors::Simulated(vec![(Generation::Milan, keys.simulator.ark_spki_sha256()?)]);
    let callers = [DEVELOPER, MACHINE].map(|subject| Principal::new(identity_issuer(ports), subject));
    Ok(Attestation {
        issuer,
        signing_key: keys.attestation.clone(),
        anchors,
        floor: Floor::default(),
        policy_readers: Vec::new(),
        policy_setters: callers.to_vec(),
        policy_signers: Vec::new(),
    })
}

pub(super) fn identity(keys: &Keys, ports: &Ports) -> anyhow::Result<Identity> {
    let secret = SecretDigest::of(&keys.client_secret);
    let resources = resources(ports);
    let may_all = |client: Client| resources.iter().fold(client, |client, one| client.resource(one.as_str()));
    Ok(Identity {
        issuer: IssuerUrl::parse(&identity_issuer(ports))?,
        tenant: TENANT.to_owned(),
        signing_key: keys.identity.clone(),
        token_lifetime_secs: TOKEN_LIFETIME_SECS,
        clients: vec![may_all(Client::with_secret(DEVELOPER, secret)), may_all(Client::managed(MACHINE))],
        also_tenants: vec!["adfs".to_owned()],
        managed: Some(MACHINE.to_owned()),
    })
}

/// What clients ask tokens for: Azure's names, and whatever challenges derive from a Host of ours.
fn resources(ports: &Ports) -> Vec<String> {
    let azure = [VAULT_RESOURCE, HSM_RESOURCE, ATTEST_RESOURCE, "https://management.azure.com"].map(str::to_owned);
    let own = [Service::Vault, Service::ManagedHsm].into_iter().flat_map(|service| {
        let port = ports.of(service);
        ["localhost", "127.0.0.1", VAULT_DOMAIN, HSM_DOMAIN]
            .into_iter()
            .flat_map(move |host| [format!("https://{host}:{port}"), format!("https://{host}")])
    });
    let mut resources: Vec<String> = azure.into_iter().chain(own).collect();
    resources.sort();
    resources.dedup();
    resources
}

fn issuer(identity: &Identity, ports: &Ports) -> Issuer {
    Issuer {
        url: identity.issuer.clone(),
        also: Vec::new(),
        tenant: Some(TENANT.to_owned()),
        authorization: Some(authorization(ports)),
        token_lifetime_max_secs: TOKEN_LIFETIME_SECS,
        keys: config::Keys::BuiltIn,
    }
}

fn authorization(ports: &Ports) -> String {
    format!("{}/{TENANT}", ports.url(Service::Identity))
}

pub(super) fn identity_issuer(ports: &Ports) -> String {
    format!("{}/{TENANT}", ports.url(Service::Identity))
}

fn listener(
    service: Service,
    keys: &Keys,
    certificates: &Certificates,
    ports: &Ports,
    now: SystemTime,
) -> anyhow::Result<Listener> {
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let domain = match service {
        Service::Vault => Some(VAULT_DOMAIN),
        Service::ManagedHsm => Some(HSM_DOMAIN),
        Service::Attestation | Service::Identity | Service::Metadata => None,
    };
    let port = ports.of(service);
    let addresses = vec![loopback];
    let domains: Vec<String> = domain.into_iter().map(str::to_owned).collect();
    let mut names = Names { hosts: vec!["localhost".to_owned()], domains, addresses, port };
    let serves = match service {
        Service::Vault => Serves::Vaults(vaults("dev", keys, certificates, ports)),
        Service::ManagedHsm => Serves::Vaults(vaults("hsm", keys, certificates, ports)),
        Service::Attestation => Serves::Attestation,
        Service::Identity => Serves::Identity,
        Service::Metadata => Serves::Metadata,
    };
    let tls = match service {
        Service::Metadata => {
            // Whoever reaches it gets a token: by no name, which DNS could be made to point here.
            names.hosts.clear();
            None
        }
        _ => {
            let wildcards = names.domains.iter().map(|domain| format!("*.{domain}"));
            let hosts: Vec<String> = names.hosts.iter().cloned().chain(wildcards).collect();
            let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
            let leaf = certificates.ca.issue_tls(&hosts, &names.addresses, now)?;
            Some(tls::server_config(&leaf.chain_der, &leaf.key_pkcs8)?)
        }
    };
    Ok(Listener { address: SocketAddr::new(loopback, port), names, tls, serves })
}

fn vaults(name: &str, keys: &Keys, certificates: &Certificates, ports: &Ports) -> VaultListener {
    let release = ReleaseKey { key: keys.release.clone(), chain: certificates.release.clone() };
    VaultListener {
        vaults: vec![name.to_owned()],
        default_vault: Some(name.to_owned()),
        audiences: resources(ports),
        authorization: authorization(ports),
        release,
    }
}

fn vault(name: &str, kind: VaultKind, id: Uuid, authority: &IssuerUrl) -> Vault {
    Vault {
        name: name.to_owned(),
        id,
        kind,
        custody: Level::Software,
        authorities: vec![authority.clone()],
        retention_days: 90,
        purge_protection: false,
        token_age_max_secs: None,
        throttling: Throttling::Off,
        accept_simulated: true,
    }
}

/// The same in every folder: what tells vaults of two folders apart is their root.
const VAULTS: [(&str, VaultKind, Uuid); 2] = [
    ("dev", VaultKind::Premium, uuid!("2f6a1f4e-95c5-4c0e-8a43-1d0d3f8a7b01")),
    ("hsm", VaultKind::ManagedHsm, uuid!("2f6a1f4e-95c5-4c0e-8a43-1d0d3f8a7b02")),
];

/// Domains in which a label names a vault: `https://dev.vault.localhost:8443` passes the check that SDKs make of a
/// challenge's resource.
pub(super) const VAULT_DOMAIN: &str = "vault.localhost";
pub(super) const HSM_DOMAIN: &str = "managedhsm.localhost";

/// The tenant, its developer and its machine. Fixed, so that scripts may have them.
pub(super) const TENANT: &str = "5ce11000-0000-4000-8000-000000000001";
pub(super) const DEVELOPER: &str = "5ce11000-0000-4000-8000-000000000002";
const MACHINE: &str = "5ce11000-0000-4000-8000-000000000003";

pub(super) const VAULT_RESOURCE: &str = "https://vault.azure.net";
pub(super) const HSM_RESOURCE: &str = "https://managedhsm.azure.net";
pub(super) const ATTEST_RESOURCE: &str = "https://attest.azure.net";

/// A week, so that a shell that loaded dev.env goes on working.
const TOKEN_LIFETIME_SECS: u64 = 7 * 86_400;
