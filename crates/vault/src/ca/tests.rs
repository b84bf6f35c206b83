//! What the CA issues, judged by the verifier that rustls and our client use; what it refuses; how it is stored.

use std::collections::BTreeSet;

use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use skerry_jose::{Algorithm, SigningKey};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_cert::ext::pkix::{AuthorityKeyIdentifier, BasicConstraints, SubjectKeyIdentifier};

use super::*;

const NOW: u64 = 1_800_000_000;
const YEAR: u64 = 365 * 86_400;
const SUBTREES: [&str; 1] = ["localhost"];
const RANGES: [(IpAddr, u8); 2] =
    [(IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 0)), 8), (IpAddr::V6(std::net::Ipv6Addr::LOCALHOST), 128)];

fn at(secs: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(secs)
}

fn constrained() -> (Ca, PortIssuer) {
    Ca::generate_constrained("test", &SUBTREES, &RANGES, at(NOW)).unwrap()
}

fn rsa() -> &'static SigningKey {
    static KEY: std::sync::OnceLock<SigningKey> = std::sync::OnceLock::new();
    KEY.get_or_init(|| SigningKey::generate(Algorithm::Rs256).unwrap())
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// The verdict of webpki on a chain for a TLS server, with the names that it takes of those asked.
fn judge(chain: &[Vec<u8>], root: &[u8], now: u64, names: &[&str]) -> Result<Vec<String>, webpki::Error> {
    let root = CertificateDer::from(root);
    let anchor = anchor_from_trusted_cert(&root).unwrap();
    let chain: Vec<_> = chain.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
    let leaf = EndEntityCert::try_from(&chain[0])?;
    let now = UnixTime::since_unix_epoch(Duration::from_secs(now));
    let usage = KeyUsage::server_auth();
    leaf.verify_for_usage(ALL_VERIFICATION_ALGS, &[anchor], &chain[1..], now, usage, None, None)?;
    let takes = |name: &&str| leaf.verify_is_valid_for_subject_name(&ServerName::try_from(*name).unwrap()).is_ok();
    Ok(names.iter().copied().filter(|name| takes(name)).map(str::to_owned).collect())
}

#[test]
fn tls_leaf_of_a_constrained_ca_is_believed() {
    // A TLS client takes the leaf for its names and addresses and for no others.
    let (ca, _) = constrained();
    let names = ["localhost", "*.vault.localhost"];
    let leaf = ca.issue_tls(&names, &[ip("127.0.0.1"), ip("::1")], at(NOW)).unwrap();
    assert_eq!(leaf.chain_der.len(), 2);
    let asked =
        ["localhost", "a.vault.localhost", "127.0.0.1", "::1", "b.localhost", "a.b.vault.localhost", "127.0.0.2"];
    let taken = judge(&leaf.chain_der, ca.root_der(), NOW, &asked).unwrap();
    assert_eq!(taken, ["localhost", "a.vault.localhost", "127.0.0.1", "::1"]);
    let key = CaKey::from_pkcs8(&leaf.key_pkcs8).unwrap();
    let certificate = Certificate::from_der(&leaf.chain_der[0]).unwrap();
    let spki = certificate.tbs_certificate().subject_public_key_info();
    assert_eq!(spki.subject_public_key.raw_bytes(), key.der_bytes());
}

#[test]
fn release_leaf_with_ports_is_believed() {
    // The JWS leaf carries host and port, passes beside its three certificates, and its host is taken by our client.
    let (ca, ports) = constrained();
    let names = ["localhost", "localhost:8443", "127.0.0.1:8443", "[::1]:8443", "127.0.0.1", "vault.localhost:8443"];
    let chain = ports.issue(rsa(), &names, at(NOW)).unwrap();
    assert_eq!(chain.len(), 3);
    assert_eq!(chain[2], ca.root_der());
    for chain in [&chain[..], &chain[..2]] {
        let taken = judge(chain, ca.root_der(), NOW, &["localhost", "127.0.0.1", "vault.localhost"]).unwrap();
        assert_eq!(taken, ["localhost", "127.0.0.1"]);
    }
    let end = secs(ca.not_after());
    assert!(judge(&chain, ca.root_der(), end, &[]).is_ok());
    assert!(judge(&chain, ca.root_der(), end + 1, &[]).is_err());
}

#[test]
fn constraints_and_ports_exclude_each_other() {
    // The reason for the second CA: below DNS constraints a dNSName with a port fails the whole chain.
    let (ca, _) = constrained();
    for name in ["localhost:8443", "127.0.0.1:8443"] {
        let names = [Name::parse("localhost").unwrap(), Name::parse(name).unwrap()];
        let key = CaKey::generate().unwrap();
        let leaf = ca.issuer.issue(release_params(&names).unwrap(), &key, at(NOW), LEAF_DAYS).unwrap();
        let verdict = judge(&[leaf, ca.issuer.der.clone()], ca.root_der(), NOW, &[]);
        assert_eq!(verdict, Err(webpki::Error::MalformedDnsIdentifier), "{name}");
    }
}

#[test]
fn constraints_hold_at_the_verifier() {
    // What the CA would not issue is refused by the client too, were it issued.
    let (ca, _) = constrained();
    for name in ["vault.example", "evillocalhost", "10.0.0.1", "::2"] {
        let names = [Name::parse(name).unwrap()];
        let key = CaKey::generate().unwrap();
        let leaf = ca.issuer.issue(release_params(&names).unwrap(), &key, at(NOW), LEAF_DAYS).unwrap();
        let verdict = judge(&[leaf, ca.issuer.der.clone()], ca.root_der(), NOW, &[]);
        assert_eq!(verdict, Err(webpki::Error::NameConstraintViolation), "{name}");
    }
}

#[test]
fn names_outside_the_constraints_are_refused() {
    // By every way that issues; a constrained CA without ranges has no address at all.
    let refused = |name: &str| CaError::NotPermitted { name: name.to_owned() };
    let (ca, _) = constrained();
    for name in ["vault.example", "evillocalhost", "localhost.example", "*.vault.example"] {
        assert_eq!(ca.issue_tls(&["localhost", name], &[], at(NOW)).err(), Some(refused(name)));
        assert_eq!(ca.issue(rsa(), &[name], at(NOW)).err(), Some(refused(name)));
        assert_eq!(ca.issue_signing(rsa(), name, at(NOW)).err(), name.contains('.').then(|| refused(name)));
    }
    for address in ["128.0.0.1", "126.255.255.255", "::2", "10.0.0.1", "::ffff:127.0.0.1"] {
        assert_eq!(ca.issue_tls(&["localhost"], &[ip(address)], at(NOW)).err(), Some(refused(address)));
    }
    assert!(ca.issue_tls(&["a.LOCALHOST"], &[ip("127.255.255.255")], at(NOW)).is_ok());
    for name in ["vault.example:8443", "10.0.0.1:8443", "[::2]:8443", "vault.example"] {
        let (_, ports) = constrained();
        assert_eq!(ports.issue(rsa(), &["localhost", name], at(NOW)).err(), Some(refused(name)));
    }
    let (ca, _) = Ca::generate_constrained("test", &SUBTREES, &[], at(NOW)).unwrap();
    assert_eq!(ca.issue_tls(&["localhost"], &[ip("127.0.0.1")], at(NOW)).err(), Some(refused("127.0.0.1")));
    let leaf =
        ca.issuer.issue(server_params(&[Name::Ip(ip("127.0.0.1"))]).unwrap(), ca.issuer.issuer.key(), at(NOW), 1);
    let verdict = judge(&[leaf.unwrap(), ca.issuer.der.clone()], ca.root_der(), NOW, &[]);
    assert_eq!(verdict, Err(webpki::Error::NameConstraintViolation));
}

#[test]
fn ports_need_the_other_issuer() {
    // A constrained CA says so; one without constraints takes ports itself.
    let (ca, _) = constrained();
    let refused = CaError::Port { name: "localhost:8443".into() };
    assert_eq!(ca.issue(rsa(), &["localhost", "localhost:8443"], at(NOW)), Err(refused));
    assert!(ca.issue(rsa(), &["localhost"], at(NOW)).is_ok());
    let ca = Ca::generate("test", at(NOW)).unwrap();
    let chain = ca.issue(rsa(), &["vault.example", "vault.example:8443"], at(NOW)).unwrap();
    assert_eq!(judge(&chain, ca.root_der(), NOW, &["vault.example"]).unwrap(), ["vault.example"]);
}

#[test]
fn odd_names_are_refused() {
    // Only DNS names, addresses, and these with a port are names; for TLS a port is none.
    let ca = Ca::generate("test", at(NOW)).unwrap();
    let long = "a".repeat(64);
    let longest = [["a"; 127].join(".").as_str(), "b"].join(".");
    let odd = [
        "",
        ".",
        "a..b",
        ".a",
        "a.",
        "h\u{f6}st",
        "a b",
        "a/b",
        "-a",
        "a-",
        "*",
        "*.a",
        "a.*.b",
        "x*.a.b",
        "**.a.b",
        "1.2",
        "300.1.1.1",
        "a:",
        ":1",
        "a:0",
        "a:01",
        "a:65536",
        "a:+1",
        "a:b",
        "a:1:2",
        "[::1]",
        "[127.0.0.1]:1",
        "[a]:1",
        "::1:x",
        "https://a",
        &long,
        &longest,
    ];
    for name in odd {
        assert_eq!(ca.issue(rsa(), &[name], at(NOW)).err(), Some(CaError::Name(name.into())), "{name:?}");
    }
    for name in ["a:1", "127.0.0.1", "::1", "*.a", "a."] {
        let refused = Some(CaError::Name(name.into()));
        assert_eq!(ca.issue_tls(&[name], &[], at(NOW)).err(), refused, "{name:?}");
    }
    assert_eq!(ca.issue(rsa(), &[], at(NOW)).err(), Some(CaError::NoName));
    assert_eq!(ca.issue_tls(&[], &[], at(NOW)).err(), Some(CaError::NoName));
    let fine = ["a", "A_b.c-d.e1", "*.a.b", "127.0.0.1", "::1", "a:1", "127.0.0.1:65535", "[::1]:443", "*.a.b:8443"];
    assert!(ca.issue(rsa(), &fine, at(NOW)).is_ok());
}

#[test]
fn odd_constraints_are_refused() {
    // A subtree is a DNS name, a range has no bits behind its prefix, and there is at least one subtree.
    let with = |dns: &[&str], ip: &[(IpAddr, u8)]| Ca::generate_constrained("test", dns, ip, at(NOW)).err();
    assert_eq!(with(&[], &RANGES), Some(CaError::NoSubtree));
    for odd in ["", ".localhost", "*.localhost", "127.0.0.1", "localhost:8443", "a b"] {
        assert_eq!(with(&["localhost", odd], &RANGES), Some(CaError::Subtree(odd.into())));
    }
    for (address, prefix) in [("127.0.0.1", 8), ("127.0.0.0", 33), ("::1", 129), ("::1", 127), ("1.0.0.0", 0)] {
        let address = ip(address);
        assert_eq!(with(&SUBTREES, &[(address, prefix)]), Some(CaError::Range { address, prefix }));
    }
    for (address, prefix) in [("127.0.0.1", 32), ("0.0.0.0", 0), ("::", 0), ("::1", 128), ("10.128.0.0", 9)] {
        assert_eq!(with(&SUBTREES, &[(ip(address), prefix)]), None);
    }
    let long = "x".repeat(65 - " Root CA".len());
    let name = format!("{long} Root CA");
    assert_eq!(Ca::generate(&long, at(NOW)).err(), Some(CaError::Name(name)));
}

#[test]
fn stored_ca_is_the_same_ca() {
    // Root, names, constraints and end survive; what it issues is believed by who trusts the root from before.
    let (ca, _) = constrained();
    let text = ca.to_pem().unwrap();
    let read = Ca::from_pem(&text).unwrap();
    assert_eq!(read.root_der(), ca.root_der());
    assert_eq!(read.not_after(), ca.not_after());
    assert_eq!(*read.to_pem().unwrap(), *text);
    assert_eq!(read.issuer.permitted, ca.issuer.permitted);
    let leaf = read.issue_tls(&["localhost"], &[ip("::1")], at(NOW + YEAR)).unwrap();
    assert_eq!(judge(&leaf.chain_der, ca.root_der(), NOW + YEAR, &["localhost"]).unwrap(), ["localhost"]);
    let issuer = |der: &[u8]| Certificate::from_der(der).unwrap().tbs_certificate().issuer().to_der().unwrap();
    let subject = |der: &[u8]| Certificate::from_der(der).unwrap().tbs_certificate().subject().to_der().unwrap();
    assert_eq!(issuer(&leaf.chain_der[0]), subject(&leaf.chain_der[1]));
    let refused = CaError::NotPermitted { name: "vault.example".into() };
    assert_eq!(read.issue_tls(&["vault.example"], &[], at(NOW)).err(), Some(refused));
    let free = Ca::generate("test", at(NOW)).unwrap();
    let read = Ca::from_pem(&free.to_pem().unwrap()).unwrap();
    assert!(read.issue_tls(&["vault.example"], &[ip("10.0.0.1")], at(NOW)).is_ok());
    assert_eq!(free.to_pem().unwrap().matches("-----BEGIN ").count(), 3);
}

#[test]
fn stored_ca_that_is_none_is_refused() {
    // Cut, reordered, mixed or altered: each is told.
    let refused = |text: &str| Ca::from_pem(text).err();
    let (one, other) = (Ca::generate("one", at(NOW)).unwrap(), Ca::generate("one", at(NOW)).unwrap());
    let (text, others) = (one.to_pem().unwrap(), other.to_pem().unwrap());
    let blocks = |text: &str| -> Vec<String> {
        text.split_inclusive("-----\n").collect::<Vec<_>>().chunks(2).map(<[&str]>::concat).collect()
    };
    let (mine, theirs) = (blocks(&text), blocks(&others));
    assert_eq!((mine.len(), mine.concat()), (3, text.to_string()));
    let (root, issuing, key) = (&mine[0], &mine[1], &mine[2]);
    let padding = " ".repeat(17 * 1024);
    for odd in [
        String::new(),
        [root.as_str(), issuing].concat(),
        [root.as_str(), key, issuing].concat(),
        [issuing.as_str(), key].concat(),
        [text.as_str(), root].concat(),
        [text.as_str(), "\n"].concat(),
        ["# ", text.as_str()].concat(),
        [root.as_str(), "\n", issuing, key].concat(),
        text.replace('\n', "\r\n"),
        text[..text.len() - 1].to_owned(),
        text.replacen('M', "!", 1),
        [text.as_str(), &padding].concat(),
    ] {
        assert_eq!(refused(&odd), Some(CaError::Pem), "{odd:.60}");
    }
    assert_eq!(refused(&[root, issuing, &theirs[2]].map(String::as_str).concat()), Some(CaError::OtherKey));
    assert_eq!(refused(&[&theirs[0], issuing, key].map(String::as_str).concat()), Some(CaError::OtherRoot));
    assert_eq!(refused(&[issuing, issuing, key].map(String::as_str).concat()), Some(CaError::OtherRoot));
    assert_eq!(refused(&[root, root, key].map(String::as_str).concat()), Some(CaError::OtherKey));
    let no_key = pem::encode(&one.root_der, &one.issuer.der, &[0x30, 0]).unwrap();
    assert_eq!(refused(&no_key), Some(CaError::OtherKey));
    let no_certificate = pem::encode(&one.root_der, &[0x30, 0], &[0x30, 0]).unwrap();
    assert_eq!(refused(&no_certificate), Some(CaError::Unreadable));
}

#[test]
fn certificates_have_what_strict_clients_want() {
    // X509_V_FLAG_X509_STRICT: critical basic constraints and key usages of CAs, key identifiers that fit together.
    let (ca, ports) = constrained();
    let tls = ca.issue_tls(&["localhost"], &[], at(NOW)).unwrap().chain_der;
    let token = ca.issue_signing(rsa(), "https://attest.localhost/", at(NOW)).unwrap();
    let jws = ports.issue(rsa(), &["localhost:8443"], at(NOW)).unwrap();
    let root = Certificate::from_der(ca.root_der()).unwrap();
    let root_id = identifiers(&root).0.unwrap();
    for chain in [tls, token, jws] {
        let leaf = Certificate::from_der(&chain[0]).unwrap();
        let issuing = Certificate::from_der(&chain[1]).unwrap();
        for (certificate, path_len) in [(&root, 1), (&issuing, 0)] {
            let (critical, basic) = extension::<BasicConstraints>(certificate).unwrap();
            assert_eq!((critical, basic.ca, basic.path_len_constraint), (true, true, Some(path_len)));
            let (critical, usage) = extension::<x509_cert::ext::pkix::KeyUsage>(certificate).unwrap();
            assert!(critical && usage.key_cert_sign() && usage.crl_sign() && !usage.digital_signature());
        }
        let (issuing_id, issuing_of) = identifiers(&issuing);
        assert_eq!(issuing_of.unwrap(), root_id);
        assert_eq!(identifiers(&leaf).1, issuing_id);
        assert!(!extension::<BasicConstraints>(&leaf).is_some_and(|(_, basic)| basic.ca));
    }
}

fn extension<'a, T>(certificate: &'a Certificate) -> Option<(bool, T)>
where
    T: x509_cert::der::Decode<'a> + x509_cert::der::oid::AssociatedOid,
    T::Error: std::fmt::Debug,
{
    certificate.tbs_certificate().get_extension::<T>().unwrap()
}

/// Subject and authority key identifiers.
fn identifiers(certificate: &Certificate) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
    let subject = extension::<SubjectKeyIdentifier>(certificate).map(|(_, id)| id.0.as_bytes().to_vec());
    let authority = extension::<AuthorityKeyIdentifier>(certificate);
    (subject, authority.and_then(|(_, id)| id.key_identifier).map(|id| id.as_bytes().to_vec()))
}

#[test]
fn nothing_outlives_the_ca() {
    // A leaf is valid for a year or until the CA ends; after that nothing is issued.
    let (ca, _) = constrained();
    let end = secs(ca.not_after());
    assert_eq!(end, NOW - 300 + 10 * YEAR);
    let until = |now| {
        let leaf = ca.issue_tls(&["localhost"], &[], at(now)).unwrap().chain_der;
        Certificate::from_der(&leaf[0]).unwrap().tbs_certificate().validity().not_after.to_unix_duration().as_secs()
    };
    assert_eq!(until(NOW), NOW - 300 + YEAR);
    assert_eq!(until(end - 10), end);
    assert_eq!(until(end), end);
    let refused = CaError::Expired { not_after_secs: end, now_secs: end + 1 };
    assert_eq!(ca.issue_tls(&["localhost"], &[], at(end + 1)).err(), Some(refused));
}

#[test]
fn serial_numbers_are_given_once() {
    // The same key certified again, later or for other names, gets another number of the same length.
    let ca = Ca::generate("test", at(NOW)).unwrap();
    let serial = |names: &[&str], now| {
        let leaf = ca.issue(rsa(), names, at(now)).unwrap();
        Certificate::from_der(&leaf[0]).unwrap().tbs_certificate().serial_number().as_bytes().to_vec()
    };
    let serials: BTreeSet<_> = [serial(&["a"], NOW), serial(&["a"], NOW + 1), serial(&["b"], NOW)].into();
    assert_eq!(serials.len(), 3);
    assert!(serials.iter().all(|serial| serial.len() == 16 && serial[0] < 0x80));
}

#[test]
fn token_leaf_is_for_signatures_only() {
    // It names the issuer, chains to the root, and no TLS client takes it for a host.
    let (ca, _) = constrained();
    let name = "https://localhost:8443/attest";
    let chain = ca.issue_signing(rsa(), name, at(NOW)).unwrap();
    assert_eq!(chain.len(), 3);
    let leaf = Certificate::from_der(&chain[0]).unwrap();
    assert_eq!(name::common_name(leaf.tbs_certificate().subject()), Some(name.to_owned()));
    assert_eq!(judge(&chain, ca.root_der(), NOW, &["localhost"]).unwrap(), [""; 0]);
    let long = "x".repeat(65);
    assert_eq!(ca.issue_signing(rsa(), &long, at(NOW)).err(), Some(CaError::Name(long)));
    assert_eq!(ca.issue_signing(rsa(), "", at(NOW)).err(), Some(CaError::Name(String::new())));
}

#[test]
fn leaf_keys_are_rsa() {
    // Real clients demand it of the release JWS, and token keys are RSA in Azure's key sets.
    let ec = SigningKey::generate(Algorithm::Es256).unwrap();
    let (ca, ports) = constrained();
    assert_eq!(ca.issue(&ec, &["localhost"], at(NOW)).err(), Some(CaError::LeafKey));
    assert_eq!(ca.issue_signing(&ec, "name", at(NOW)).err(), Some(CaError::LeafKey));
    assert_eq!(ports.issue(&ec, &["localhost"], at(NOW)).err(), Some(CaError::LeafKey));
}
