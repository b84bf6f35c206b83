//! Simulated chains, each authentic but for one thing, and the refusal that names that thing.

use std::time::SystemTime;

use skerry_evidence::{
    anchors::{Anchors, Provenance},
    limits::Limits,
    snp::{
        self, ChainError, Crl, CrlError, EndorsementError, Endorsements, Options, Role, VekError, VekKind, VerifiedVek,
    },
    x509::{Budget, Certificate, ObjectIdentifier, X509Error},
};
use skerry_simulator::{
    Chip, ChipConfig, Generation, Oddities, PssParameters, Tcb, VekExtension, VekIssuer, VlekConfig,
};

use crate::support::{
    DAY, OPTIONAL_CRL, REQUIRED_CRL, add_extension, anchors, authority_key, budget, endorsements, extension, made,
    milan, milan_chip, milan_vlek, other_milan, replace, resign, set_extension, soon, try_endorsements, turin, verify,
    wrap,
};

const BASIC_CONSTRAINTS: u8 = 0x13;
const KEY_USAGE: u8 = 0x0F;

fn odd(oddities: Oddities) -> Chip {
    milan().chip(ChipConfig { oddities, ..ChipConfig::numbered(Generation::Milan, 1) }, made()).unwrap()
}

fn odd_vlek(oddities: Oddities) -> Chip {
    milan().vlek(VlekConfig { oddities, ..VlekConfig::recent(Generation::Milan) }, made()).unwrap()
}

fn refusal(chip: &Chip) -> ChainError {
    verify(&endorsements(chip)).unwrap_err()
}

fn of_der(all: &[&[u8]]) -> Result<Endorsements, EndorsementError> {
    Endorsements::from_der(all, &Limits::default())
}

fn refusal_of(all: &[&[u8]]) -> ChainError {
    verify(&of_der(all).unwrap()).unwrap_err()
}

fn at(given: &Endorsements, now: SystemTime) -> Result<VerifiedVek, ChainError> {
    VerifiedVek::verify(given, &anchors(), &OPTIONAL_CRL, now, &mut budget())
}

/// VCEK and VLEK chains verify under a root that was added, in both encodings of PSS and with any serial, as simulated.
#[test]
fn simulated_chains_verify() {
    let vek = verify(&endorsements(&milan_chip())).unwrap();
    assert_eq!((vek.kind(), vek.generation(), vek.csp_id()), (VekKind::Vcek, snp::Generation::Milan, None));
    assert_eq!(vek.provenance(), Provenance::Simulated);
    let vlek = verify(&endorsements(&milan_vlek())).unwrap();
    assert_eq!((vlek.kind(), vlek.csp_id()), (VekKind::Vlek, Some("CN=cc-simulated.example")));
    for oddities in [
        Oddities { pss: PssParameters::WithTrailer, ..Oddities::default() },
        Oddities { serial: Some(77), ..Oddities::default() },
        Oddities { product: Some("Milan".to_owned()), ..Oddities::default() },
        Oddities { missing: vec![VekExtension::Spl4], ..Oddities::default() },
    ] {
        verify(&endorsements(&odd(oddities))).unwrap();
    }
}

/// Certificates find their place by name in any order; the same one twice does no harm, two different ones do.
#[test]
fn certificates_are_sorted_by_role() {
    let chip = milan_chip();
    let (vek, ask, ark, asvk) = (chip.vek_der(), milan().ask_der(), milan().ark_der(), milan().asvk_der().unwrap());
    for all in [[vek, ask, ark, asvk], [ark, asvk, vek, ask], [ask, ark, ask, vek]] {
        assert!(verify(&of_der(&all).unwrap()).is_ok());
    }
    let two = of_der(&[vek, ask, ark, other_milan().ask_der()]);
    assert_eq!(two, Err(EndorsementError::Ambiguous { role: Role::Ask }));
    assert_eq!(of_der(&[ask, ark]), Err(EndorsementError::NoVek));
    assert_eq!(of_der(&[]), Err(EndorsementError::NoVek));
    let many = [ask; 9];
    assert_eq!(of_der(&many), Err(EndorsementError::X509(X509Error::TooMany { count_max: 8 })));
    for names in [vec![], vec!["SEV-VCEK", "SEV-VCEK"], vec!["SEV-VCEK", "x"], vec!["sev-vcek"], vec!["SEV-VCEK "]] {
        let names = names.into_iter().map(str::to_owned).collect();
        let chip = odd(Oddities { common_names: Some(names), ..Oddities::default() });
        assert_eq!(try_endorsements(&chip), Err(EndorsementError::UnknownRole { index: 0 }));
    }
}

/// Root and intermediate must be there, and the intermediate of the right kind.
#[test]
fn missing_certificates_are_refused() {
    let (chip, vlek) = (milan_chip(), milan_vlek());
    let (ask, ark, asvk) = (milan().ask_der(), milan().ark_der(), milan().asvk_der().unwrap());
    assert_eq!(refusal_of(&[chip.vek_der(), ask]), ChainError::Missing { role: Role::Ark });
    assert_eq!(refusal_of(&[chip.vek_der(), ark, asvk]), ChainError::Missing { role: Role::Ask });
    assert_eq!(refusal_of(&[vlek.vek_der(), ark, ask]), ChainError::Missing { role: Role::Asvk });
}

/// An ASVK issues no VCEK, an ASK no VLEK, an ARK neither.
#[test]
fn crossed_issuers_are_refused() {
    let by = |issuer| Oddities { issuer: Some(issuer), ..Oddities::default() };
    assert_eq!(refusal(&odd(by(VekIssuer::Asvk))), ChainError::Crossed { kind: VekKind::Vcek });
    assert_eq!(refusal(&odd_vlek(by(VekIssuer::Ask))), ChainError::Crossed { kind: VekKind::Vlek });
    let chip = odd(by(VekIssuer::Ark));
    let all = [chip.vek_der(), milan().ask_der(), milan().ark_der()];
    assert_eq!(refusal_of(&all), ChainError::Issuer { role: Role::Vek });
}

/// A root that is not an anchor is refused, however well the chain holds together: another's, an ASK, one of another generation.
#[test]
fn roots_are_pinned_by_key() {
    let stranger = other_milan().chip(ChipConfig::numbered(Generation::Milan, 1), made()).unwrap();
    let spki_sha256 = other_milan().ark_spki_sha256().unwrap();
    assert_eq!(refusal(&stranger), ChainError::UnknownRoot { spki_sha256 });

    let ask = Certificate::from_der(milan().ask_der(), &Limits::default()).unwrap();
    let ask_as_ark = resign(milan().ark_der(), &authority_key(milan(), 1), |tbs| tbs[6] = ask.spki().to_vec());
    let all = [milan_chip().vek_der().to_vec(), milan().ask_der().to_vec(), ask_as_ark];
    let all: Vec<&[u8]> = all.iter().map(Vec::as_slice).collect();
    assert_eq!(refusal_of(&all), ChainError::UnknownRoot { spki_sha256: ask.spki_sha256() });

    let spki_sha256 = milan().ark_spki_sha256().unwrap();
    let as_genoa = Anchors::none().with_simulated(snp::Generation::Genoa, spki_sha256);
    for anchors in [as_genoa, Anchors::amd(), Anchors::none()] {
        let refused = VerifiedVek::verify(&endorsements(&milan_chip()), &anchors, &OPTIONAL_CRL, soon(), &mut budget());
        assert_eq!(refused.unwrap_err(), ChainError::UnknownRoot { spki_sha256 });
    }
}

/// Whatever is added at run time is simulated, twice added or not, and the worst of two decides.
#[test]
fn added_anchors_are_simulated() {
    let twice = anchors().with_simulated(snp::Generation::Milan, milan().ark_spki_sha256().unwrap());
    let vek = VerifiedVek::verify(&endorsements(&milan_chip()), &twice, &OPTIONAL_CRL, soon(), &mut budget()).unwrap();
    assert_eq!(vek.provenance(), Provenance::Simulated);
    use Provenance::{Real, Simulated};
    for (a, b, worst) in [
        (Real, Real, Real),
        (Real, Simulated, Simulated),
        (Simulated, Real, Simulated),
        (Simulated, Simulated, Simulated),
    ] {
        assert_eq!(Provenance::worst(a, b), worst);
    }
}

/// AMD's own root, when a simulated anchor names it too, no longer counts as real.
#[test]
fn a_real_root_added_is_simulated() {
    let Some(vector) = crate::support::vector("a_real_root_added_is_simulated", "milan-v3-caci") else { return };
    let chain = Certificate::from_pem_bundle(&vector.chain(), &Limits::default()).unwrap();
    let anchors = Anchors::amd().with_simulated(snp::Generation::Milan, chain[1].spki_sha256());
    let vek =
        VerifiedVek::verify(&vector.endorsements().unwrap(), &anchors, &OPTIONAL_CRL, vector.time(), &mut budget());
    assert_eq!(vek.unwrap().provenance(), Provenance::Simulated);
}

/// The intermediate's name and the VEK's product must be of the root's generation.
#[test]
fn products_agree() {
    let (ark_key, ask_key) = (authority_key(milan(), 0), authority_key(milan(), 1));
    let ask = resign(milan().ask_der(), &ark_key, |tbs| replace(&mut tbs[5], b"SEV-Milan", b"SEV-Genoa"));
    let vek = resign(milan_chip().vek_der(), &ask_key, |tbs| replace(&mut tbs[3], b"SEV-Milan", b"SEV-Genoa"));
    let expected = ChainError::Product { role: Role::Ask, generation: snp::Generation::Milan };
    assert_eq!(refusal_of(&[&vek, &ask, milan().ark_der()]), expected);
    for product in ["Genoa", "Turin", "milan", "Milan-", "Milan-B", "Milan-B00", "Milan-B!", "MilanB0", ""] {
        let chip = odd(Oddities { product: Some(product.to_owned()), ..Oddities::default() });
        assert_eq!(refusal(&chip), ChainError::Vek(VekError::Product), "{product}");
    }
}

/// Each issuer is the next subject.
#[test]
fn names_link() {
    let key = authority_key(milan(), 0);
    let rename = |der: &[u8]| resign(der, &key, |tbs| replace(&mut tbs[3], b"ARK-Milan", b"ARK-Genoa"));
    let chip = milan_chip();
    let ask = rename(milan().ask_der());
    assert_eq!(refusal_of(&[chip.vek_der(), &ask, milan().ark_der()]), ChainError::Issuer { role: Role::Ask });
    let ark = rename(milan().ark_der());
    assert_eq!(refusal_of(&[chip.vek_der(), milan().ask_der(), &ark]), ChainError::Issuer { role: Role::Ark });
}

/// Authorities are authorities by basic constraints, key usage and path length; a VEK is none.
#[test]
fn authority_is_checked() {
    let (ark_key, ask_key) = (authority_key(milan(), 0), authority_key(milan(), 1));
    let chip = milan_chip();
    let not_a_ca = extension(BASIC_CONSTRAINTS, true, &[0x30, 0]);
    let crl_only = extension(KEY_USAGE, true, &[0x03, 2, 1, 2]);
    let no_path = extension(BASIC_CONSTRAINTS, true, &[0x30, 6, 1, 1, 0xFF, 2, 1, 0]);
    for (arc, other) in [(BASIC_CONSTRAINTS, &not_a_ca), (KEY_USAGE, &crl_only)] {
        let ask = resign(milan().ask_der(), &ark_key, |tbs| set_extension(tbs, arc, other));
        assert_eq!(refusal_of(&[chip.vek_der(), &ask, milan().ark_der()]), ChainError::NotCa { role: Role::Ask });
    }
    for (arc, other) in [(BASIC_CONSTRAINTS, &not_a_ca), (KEY_USAGE, &crl_only), (BASIC_CONSTRAINTS, &no_path)] {
        let ark = resign(milan().ark_der(), &ark_key, |tbs| set_extension(tbs, arc, other));
        assert_eq!(refusal_of(&[chip.vek_der(), milan().ask_der(), &ark]), ChainError::NotCa { role: Role::Ark });
    }
    let ca = extension(BASIC_CONSTRAINTS, true, &[0x30, 3, 1, 1, 0xFF]);
    let vek = resign(chip.vek_der(), &ask_key, |tbs| add_extension(tbs, &ca));
    assert_eq!(refusal_of(&[&vek, milan().ask_der(), milan().ark_der()]), ChainError::VekIsCa);
    let nonsense = extension(BASIC_CONSTRAINTS, true, &[0x04, 0]);
    let vek = resign(chip.vek_der(), &ask_key, |tbs| add_extension(tbs, &nonsense));
    let source = X509Error::MalformedExtension { oid: ObjectIdentifier::new_unwrap("2.5.29.19") };
    assert_eq!(
        refusal_of(&[&vek, milan().ask_der(), milan().ark_der()]),
        ChainError::Malformed { role: Role::Vek, source }
    );
}

/// A critical extension that nobody here knows is refused in every certificate.
#[test]
fn unknown_critical_extensions_are_refused() {
    let chip = odd(Oddities { unknown_critical: true, ..Oddities::default() });
    assert_eq!(refusal(&chip), ChainError::CriticalExtension { role: Role::Vek });
    let unknown = extension(0x7E, true, &[0x05, 0]);
    let key = authority_key(milan(), 0);
    let ask = resign(milan().ask_der(), &key, |tbs| add_extension(tbs, &unknown));
    let chip = milan_chip();
    let all = [chip.vek_der(), &ask, milan().ark_der()];
    assert_eq!(refusal_of(&all), ChainError::CriticalExtension { role: Role::Ask });
    let ark = resign(milan().ark_der(), &key, |tbs| add_extension(tbs, &unknown));
    let all = [chip.vek_der(), milan().ask_der(), &ark];
    assert_eq!(refusal_of(&all), ChainError::CriticalExtension { role: Role::Ark });
}

/// Only RSASSA-PSS with SHA-384 and salt 48, whatever else the verifier of other chains knows.
#[test]
fn other_algorithms_are_refused() {
    let (ark_key, ask_key) = (authority_key(milan(), 0), authority_key(milan(), 1));
    let pkcs1 = wrap(0x30, &[&[0x06, 9, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 1, 0x0C, 5, 0]]);
    let salt = |tbs: &mut Vec<Vec<u8>>| replace(&mut tbs[2], &[0xA2, 3, 2, 1, 0x30], &[0xA2, 3, 2, 1, 0x20]);
    let chip = milan_chip();
    let expected = ChainError::SignatureAlgorithm { role: Role::Vek };
    for vek in [resign(chip.vek_der(), &ask_key, |tbs| tbs[2] = pkcs1.clone()), resign(chip.vek_der(), &ask_key, salt)]
    {
        assert_eq!(refusal_of(&[&vek, milan().ask_der(), milan().ark_der()]), expected);
    }
    let ask = resign(milan().ask_der(), &ark_key, |tbs| tbs[2] = pkcs1.clone());
    let all = [chip.vek_der(), &ask, milan().ark_der()];
    assert_eq!(refusal_of(&all), ChainError::SignatureAlgorithm { role: Role::Ask });
    let ark = resign(milan().ark_der(), &ark_key, |tbs| tbs[2] = pkcs1);
    let all = [chip.vek_der(), milan().ask_der(), &ark];
    assert_eq!(refusal_of(&all), ChainError::SignatureAlgorithm { role: Role::Ark });
}

/// Each signature is checked: same names, other keys.
#[test]
fn signatures_are_checked() {
    let chip = milan_chip();
    let stranger = other_milan().chip(ChipConfig::numbered(Generation::Milan, 1), made()).unwrap();
    let all = [stranger.vek_der(), milan().ask_der(), milan().ark_der()];
    assert_eq!(refusal_of(&all), ChainError::BadSignature { role: Role::Vek });
    let all = [chip.vek_der(), other_milan().ask_der(), milan().ark_der()];
    assert_eq!(refusal_of(&all), ChainError::BadSignature { role: Role::Ask });
    let vlek = milan_vlek();
    let all = [vlek.vek_der(), other_milan().asvk_der().unwrap(), milan().ark_der()];
    assert_eq!(refusal_of(&all), ChainError::BadSignature { role: Role::Asvk });
    let mut ark = milan().ark_der().to_vec();
    *ark.last_mut().unwrap() ^= 1;
    let all = [chip.vek_der(), milan().ask_der(), &ark];
    assert_eq!(refusal_of(&all), ChainError::BadSignature { role: Role::Ark });
}

/// Every certificate has its dates checked, and the proof ends with the first to end.
#[test]
fn dates_are_checked() {
    let (from, until) = (made() + 10 * DAY, made() + 20 * DAY);
    let chip = odd(Oddities { validity: Some((from, until)), ..Oddities::default() });
    let given = endorsements(&chip);
    let refused = |given: &Endorsements, now| at(given, now).unwrap_err();
    let now = from - DAY;
    assert_eq!(refused(&given, now), ChainError::NotYetValid { role: Role::Vek, not_before: from, now });
    let now = until + DAY;
    assert_eq!(refused(&given, now), ChainError::Expired { role: Role::Vek, not_after: until, now });
    for now in [from, until] {
        let vek = at(&given, now).unwrap();
        assert_eq!((vek.valid_from(), vek.valid_until()), (from, until));
    }
    let long = odd(Oddities { validity: Some((made() - 10 * DAY, made() + 20_000 * DAY)), ..Oddities::default() });
    let given = endorsements(&long);
    let now = made() - DAY;
    assert_eq!(refused(&given, now), ChainError::NotYetValid { role: Role::Ark, not_before: made(), now });
    let now = made() + 10_000 * DAY;
    assert!(matches!(refused(&given, now), ChainError::Expired { role: Role::Ark, .. }));
    let brief = Certificate::from_der(chip.vek_der(), &Limits::default()).unwrap();
    let validity = crate::support::elements(&crate::support::elements(brief.der())[0])[4].clone();
    let ask = resign(milan().ask_der(), &authority_key(milan(), 0), |tbs| tbs[4] = validity);
    let given = of_der(&[long.vek_der(), &ask, milan().ark_der()]).unwrap();
    let now = from - DAY;
    assert_eq!(refused(&given, now), ChainError::NotYetValid { role: Role::Ask, not_before: from, now });
    let now = until + DAY;
    assert_eq!(refused(&given, now), ChainError::Expired { role: Role::Ask, not_after: until, now });
}

/// Every extension a VEK must have is needed, none may occur twice, none of the other kind may be there.
#[test]
fn vek_extensions_are_checked() {
    use VekExtension as E;
    for which in [E::StructVersion, E::Product, E::BlSpl, E::TeeSpl, E::SnpSpl, E::UcodeSpl, E::HwId] {
        let chip = odd(Oddities { missing: vec![which], ..Oddities::default() });
        assert_eq!(refusal(&chip), ChainError::Vek(VekError::Missing { oid: which.oid() }));
    }
    for which in [E::Product, E::BlSpl, E::TeeSpl, E::SnpSpl, E::Spl4, E::UcodeSpl, E::HwId] {
        let chip = odd(Oddities { duplicated: vec![which], ..Oddities::default() });
        let expected = EndorsementError::X509(X509Error::DuplicateExtension { oid: which.oid() });
        assert_eq!(try_endorsements(&chip), Err(expected));
    }
    let vlek = odd_vlek(Oddities { missing: vec![E::CspId], ..Oddities::default() });
    assert_eq!(refusal(&vlek), ChainError::Vek(VekError::Missing { oid: E::CspId.oid() }));
    let with = |which, value: &[u8]| Oddities { replaced: vec![(which, value.to_vec())], ..Oddities::default() };
    let unexpected = |which: VekExtension| ChainError::Vek(VekError::Unexpected { oid: which.oid() });
    assert_eq!(refusal(&odd(with(E::CspId, &[0x16, 1, b'x']))), unexpected(E::CspId));
    assert_eq!(refusal(&odd(with(E::FmcSpl, &[2, 1, 1]))), unexpected(E::FmcSpl));
    assert_eq!(refusal(&odd_vlek(with(E::HwId, &[1; 64]))), unexpected(E::HwId));
}

/// SPLs are INTEGER 0 to 255 and nothing else; hwID is the bare bytes, of the generation's length.
#[test]
fn vek_extension_values_are_checked() {
    use VekExtension as E;
    let with = |which, value: &[u8]| odd(Oddities { replaced: vec![(which, value.to_vec())], ..Oddities::default() });
    let malformed = |which: VekExtension| ChainError::Vek(VekError::Malformed { oid: which.oid() });
    let integers: [&[u8]; 8] =
        [&[], &[2, 0], &[2, 1, 0x80], &[2, 2, 1, 0], &[2, 2, 0, 1], &[4, 1, 1], &[2, 1, 1, 0], &[2, 3, 0, 0, 1]];
    for which in [E::StructVersion, E::BlSpl, E::TeeSpl, E::SnpSpl, E::UcodeSpl] {
        for value in integers {
            assert_eq!(refusal(&with(which, value)), malformed(which), "{value:?}");
        }
    }
    assert!(verify(&endorsements(&with(E::UcodeSpl, &[2, 2, 0, 0xFF]))).is_ok_and(|v| v.tcb().microcode == 255));
    for value in [&[2, 1, 1][..], &[4, 0]] {
        let expected = ChainError::Vek(VekError::ReservedSpl { oid: E::Spl5.oid() });
        assert_eq!(refusal(&with(E::Spl5, value)), expected);
    }
    let nested = [&[0x04, 0x40][..], &[7; 64]].concat();
    for value in [&nested[..], &[7; 63], &[7; 65], &[7; 8], &[]] {
        assert_eq!(refusal(&with(E::HwId, value)), malformed(E::HwId));
    }
    assert_eq!(refusal(&with(E::Product, b"\x0c\x08Milan-B0")), malformed(E::Product));
}

/// Turin needs the FMC level and a short hwID.
#[test]
fn turin_has_its_own_extensions() {
    use VekExtension as E;
    let refusal = |oddities| {
        let config = ChipConfig { oddities, ..ChipConfig::numbered(Generation::Turin, 1) };
        let given = endorsements(&turin().chip(config, made()).unwrap());
        let anchors = crate::support::turin_anchors();
        VerifiedVek::verify(&given, &anchors, &OPTIONAL_CRL, soon(), &mut budget()).map(|v| v.tcb().fmc)
    };
    assert_eq!(refusal(Oddities::default()), Ok(Some(Tcb::recent(Generation::Turin).fmc)));
    let missing = Oddities { missing: vec![E::FmcSpl], ..Oddities::default() };
    assert_eq!(refusal(missing), Err(ChainError::Vek(VekError::Missing { oid: E::FmcSpl.oid() })));
    let long = Oddities { hw_id: Some(vec![7; 64]), ..Oddities::default() };
    assert_eq!(refusal(long), Err(ChainError::Vek(VekError::Malformed { oid: E::HwId.oid() })));
}

/// A VEK whose key is no uncompressed P-384 point is refused.
#[test]
fn vek_key_is_checked() {
    let key = authority_key(milan(), 1);
    let rsa = Certificate::from_der(milan().ask_der(), &Limits::default()).unwrap().spki().to_vec();
    let chip = milan_chip();
    let spki = Certificate::from_der(chip.vek_der(), &Limits::default()).unwrap().spki().to_vec();
    let mut off_curve = spki.clone();
    *off_curve.last_mut().unwrap() ^= 1;
    let at = spki.len() - 97;
    let mut form = spki.clone();
    form[at] = 0x06;
    for other in [rsa, off_curve, form] {
        let vek = resign(chip.vek_der(), &key, |tbs| tbs[6] = other);
        let all = [&vek[..], milan().ask_der(), milan().ark_der()];
        assert_eq!(refusal_of(&all), ChainError::Vek(VekError::Key));
    }
}

fn crl(revoked: &[u32]) -> Vec<u8> {
    milan().crl(revoked, made(), made() + 30 * DAY).unwrap()
}

fn parsed(der: &[u8]) -> Crl {
    Crl::from_der(der, &Limits::default()).unwrap()
}

fn with_crl(der: &[u8], options: &Options, now: SystemTime) -> Result<VerifiedVek, ChainError> {
    let given = endorsements(&milan_chip()).with_crl(parsed(der));
    VerifiedVek::verify(&given, &anchors(), options, now, &mut budget())
}

fn crl_refusal(der: &[u8]) -> CrlError {
    match with_crl(der, &OPTIONAL_CRL, soon()) {
        Err(ChainError::Crl(error)) => error,
        other => panic!("{other:?}"),
    }
}

/// A list that is required must be there; with one, the proof ends with the list.
#[test]
fn crl_is_required_where_policy_says() {
    let without = VerifiedVek::verify(&endorsements(&milan_chip()), &anchors(), &REQUIRED_CRL, soon(), &mut budget());
    assert_eq!(without.unwrap_err(), ChainError::CrlMissing);
    let vek = with_crl(&crl(&[1, 2, 3]), &REQUIRED_CRL, soon()).unwrap();
    assert_eq!(vek.valid_until(), made() + 30 * DAY);
}

/// A listed ARK, ASK or ASVK ends the chain; a list that names the other intermediate does not.
#[test]
fn revoked_authorities_are_refused() {
    let [ark, ask, asvk] = milan().serials();
    let judge = |chip: &Chip, revoked| {
        let given = endorsements(chip).with_crl(parsed(&crl(&[revoked])));
        VerifiedVek::verify(&given, &anchors(), &REQUIRED_CRL, soon(), &mut budget()).map(|_| ())
    };
    let revoked = |role| Err(ChainError::Revoked { role });
    let (chip, vlek) = (milan_chip(), milan_vlek());
    assert_eq!(judge(&chip, ask), revoked(Role::Ask));
    assert_eq!(judge(&chip, ark), revoked(Role::Ark));
    assert_eq!(judge(&chip, asvk), Ok(()));
    assert_eq!(judge(&vlek, asvk), revoked(Role::Asvk));
    assert_eq!(judge(&vlek, ask), Ok(()));
    assert_eq!(judge(&chip, 0), Ok(()), "serial 0 of a vcek is not on the list of the ark");
}

/// A list of another issuer, of another key, out of date, without end, or of another algorithm is refused, even where none is needed.
#[test]
fn bad_crls_are_refused() {
    let key = authority_key(milan(), 0);
    let foreign = turin().crl(&[], made(), made() + 30 * DAY).unwrap();
    assert_eq!(crl_refusal(&foreign), CrlError::Issuer);
    let forged = other_milan().crl(&[], made(), made() + 30 * DAY).unwrap();
    assert_eq!(crl_refusal(&forged), CrlError::BadSignature);
    let by_ask = resign(&crl(&[]), &authority_key(milan(), 1), |_| ());
    assert_eq!(crl_refusal(&by_ask), CrlError::BadSignature);
    let (this_update, next_update, now) = (made() + 2 * DAY, made() + 3 * DAY, soon());
    let early = milan().crl(&[], this_update, next_update).unwrap();
    assert_eq!(crl_refusal(&early), CrlError::NotYetValid { this_update, now });
    let next_update = made() + DAY / 2;
    let late = milan().crl(&[], made(), next_update).unwrap();
    assert_eq!(crl_refusal(&late), CrlError::Expired { next_update, now });
    let endless = resign(&crl(&[]), &key, |tbs| drop(tbs.remove(4)));
    assert_eq!(crl_refusal(&endless), CrlError::NoNextUpdate);
    let pkcs1 = wrap(0x30, &[&[0x06, 9, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 1, 0x0C, 5, 0]]);
    let other = resign(&crl(&[]), &key, |tbs| tbs[1] = pkcs1);
    assert_eq!(crl_refusal(&other), CrlError::SignatureAlgorithm);
}

/// A list needs an issuer that may sign lists.
#[test]
fn crl_issuer_needs_the_usage() {
    let sign_only = extension(KEY_USAGE, true, &[0x03, 2, 2, 4]);
    let ark = resign(milan().ark_der(), &authority_key(milan(), 0), |tbs| set_extension(tbs, KEY_USAGE, &sign_only));
    let given = of_der(&[milan_chip().vek_der(), milan().ask_der(), &ark]).unwrap();
    assert!(verify(&given).is_ok());
    let refused = verify(&given.with_crl(parsed(&crl(&[])))).unwrap_err();
    assert_eq!(refused, ChainError::Crl(CrlError::IssuerMayNotSign));
}

/// Delta, indirect and oversized lists do not parse.
#[test]
fn odd_crls_do_not_parse() {
    let (limits, key) = (Limits::default(), authority_key(milan(), 0));
    let delta = extension(0x1B, true, &[2, 1, 1]);
    let delta = resign(&crl(&[]), &key, |tbs| add_extension(tbs, &delta));
    assert_eq!(Crl::from_der(&delta, &limits), Err(CrlError::CriticalExtension));
    let indirect = extension(0x1D, true, &[0x30, 0]);
    let indirect = resign(&crl(&[5]), &key, |tbs| {
        let mut entry = crate::support::elements(&crate::support::elements(&tbs[5])[0]);
        entry.push(crate::support::sequence(&[indirect]));
        tbs[5] = crate::support::sequence(&[crate::support::sequence(&entry)]);
    });
    assert_eq!(Crl::from_der(&indirect, &limits), Err(CrlError::CriticalExtension));
    let few = Limits { crl_entries_max: 2, ..limits };
    assert_eq!(Crl::from_der(&crl(&[1, 2, 3]), &few), Err(CrlError::TooMany { count_max: 2 }));
    let len = crl(&[]).len();
    let short = Limits { crl_bytes_max: len - 1, ..limits };
    assert_eq!(Crl::from_der(&crl(&[]), &short), Err(CrlError::X509(X509Error::TooLong { len, len_max: len - 1 })));
    let differing = {
        let mut der = crl(&[]);
        let at = der.windows(5).rposition(|w| w == [0xA2, 3, 2, 1, 0x30]).unwrap();
        der[at + 4] = 0x20;
        der
    };
    assert_eq!(Crl::from_der(&differing, &limits), Err(CrlError::X509(X509Error::AlgorithmsDiffer)));
}

/// Work is paid from the budget: three signatures for a chain, four with a list, and not one for free.
#[test]
fn budget_limits_the_work() {
    let bare = endorsements(&milan_chip());
    let listed = bare.clone().with_crl(parsed(&crl(&[])));
    for (given, needed) in [(bare, 3), (listed, 4)] {
        for checks in 0..needed {
            let refused = VerifiedVek::verify(&given, &anchors(), &OPTIONAL_CRL, soon(), &mut Budget::new(checks));
            assert_eq!(refused.unwrap_err(), ChainError::BudgetExhausted);
        }
        let mut budget = Budget::new(needed);
        assert!(VerifiedVek::verify(&given, &anchors(), &OPTIONAL_CRL, soon(), &mut budget).is_ok());
        assert_eq!(budget.remaining(), 0);
    }
}
