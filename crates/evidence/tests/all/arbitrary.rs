//! Arbitrary and spliced bytes: parsers answer, never panic, and keep what they accept as it was.

use proptest::prelude::*;
use skerry_evidence::{
    limits::Limits,
    snp::{Crl, Endorsements, Generation, RawTcb, Report, TcbVersion},
    x509::{Certificate, PublicKey},
};

use crate::support::{DAY, made, milan, milan_chip, verify};

fn splice(bytes: &[u8], at: usize, with: &[u8], len: usize) -> Vec<u8> {
    let at = at % bytes.len();
    let end = (at + len).min(bytes.len());
    [&bytes[..at], with, &bytes[end..]].concat()
}

fn tcb() -> impl Strategy<Value = TcbVersion> {
    any::<(Option<u8>, u8, u8, u8, u8)>().prop_map(|(fmc, bootloader, tee, snp, microcode)| TcbVersion {
        fmc,
        bootloader,
        tee,
        snp,
        microcode,
    })
}

proptest! {
    /// Whatever the bytes are, each parser returns.
    #[test]
    fn parsers_return(bytes in prop::collection::vec(any::<u8>(), 0..2048)) {
        let limits = Limits::default();
        let _ = (Report::parse(&bytes), Certificate::from_der(&bytes, &limits), Crl::from_der(&bytes, &limits));
        let _ = (Endorsements::from_pem(&bytes, &limits), PublicKey::from_spki(&bytes));
    }

    /// A certificate or list with a piece replaced is refused somewhere, and nothing panics on the way there.
    #[test]
    fn spliced_chains_do_not_verify(at in any::<usize>(), with in prop::collection::vec(any::<u8>(), 0..8), len in 0_usize..8) {
        let (chip, limits) = (milan_chip(), Limits::default());
        let list = milan().crl(&[1], made(), made() + 30 * DAY).unwrap();
        for which in 0..4 {
            let mut parts = [chip.vek_der().to_vec(), milan().ask_der().to_vec(), milan().ark_der().to_vec(), list.clone()];
            let spliced = splice(&parts[which], at, &with, len);
            prop_assume!(spliced != parts[which]);
            parts[which] = spliced;
            let [vek, ask, ark, list] = &parts;
            let given = Endorsements::from_der(&[vek, ask, ark], &limits);
            let verified = given.is_ok_and(|g| Crl::from_der(list, &limits).is_ok_and(|c| verify(&g.with_crl(c)).is_ok()));
            prop_assert!(!verified);
        }
    }

    /// A report that parses is kept as it came, and its fields are its bytes.
    #[test]
    fn reports_are_kept(version in 2_u32..=5, fields in prop::collection::vec(any::<u8>(), 0x180)) {
        let mut bytes = [0; 1184];
        bytes[..0x180].copy_from_slice(&fields);
        bytes[..4].copy_from_slice(&version.to_le_bytes());
        bytes[0x49..0x50].fill(0);
        bytes[0x48] &= 0x1F;
        let report = Report::parse(&bytes).unwrap();
        prop_assert_eq!(report.raw(), &bytes);
        prop_assert_eq!(report.signed(), &bytes[..0x2A0]);
        prop_assert_eq!(report.report_data(), &bytes[0x50..0x90]);
        prop_assert_eq!(report.measurement(), &bytes[0x90..0xC0]);
        prop_assert_eq!(report.host_data(), &bytes[0xC0..0xE0]);
        prop_assert_eq!(report.report_id_ma(), &bytes[0x160..0x180]);
    }

    /// A TCB version reads back as it was written, in the order of its generation.
    #[test]
    fn tcb_round_trips(tcb in tcb()) {
        let generations: &[Generation] =
            if tcb.fmc.is_some() { &[Generation::Turin] } else { &[Generation::Milan, Generation::Genoa] };
        for generation in generations {
            prop_assert_eq!(tcb.encode().decode(*generation), Ok(tcb));
        }
    }

    /// Eight bytes encode to themselves, or are refused because a reserved one is not zero.
    #[test]
    fn tcb_bytes_are_kept(bytes in prop::array::uniform8(prop_oneof![3 => Just(0), 1 => any::<u8>()])) {
        for generation in Generation::ALL {
            let reserved = if generation == Generation::Turin { 4..7 } else { 2..6 };
            let kept = RawTcb(bytes).decode(generation).ok().map(|t| t.encode().0);
            let allowed = bytes[reserved].iter().all(|b| *b == 0);
            prop_assert_eq!(kept, allowed.then_some(bytes));
        }
    }

    /// At least means every component, so neither of two may be at least the other.
    #[test]
    fn tcb_order_is_by_component(a in tcb(), b in tcb()) {
        let components = |t: TcbVersion| [t.bootloader, t.tee, t.snp, t.microcode];
        let fmc = match (a.fmc, b.fmc) { (Some(x), Some(y)) => x >= y, (None, None) => true, _ => false };
        let every = components(a).iter().zip(components(b)).all(|(x, y)| *x >= y);
        prop_assert_eq!(a.at_least(&b), fmc && every);
    }
}
