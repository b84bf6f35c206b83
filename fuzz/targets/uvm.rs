//! UVM endorsements (COSE_Sign1 with did:x509): read and checked without panic; none is Microsoft's.
#![no_main]

use libfuzzer_sys::fuzz_target;
use skerry_evidence::uvm::{CertificateTime, DidX509, Endorsement, TrustList};
use skerry_evidence::x509::Budget;

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = DidX509::parse(text);
    }
    let Ok(endorsement) = Endorsement::parse(data) else { return };
    for time in [CertificateTime::AtSigning, CertificateTime::Ignored] {
        let endorsement = endorsement.clone().with_certificate_time(time);
        assert!(endorsement.verify(&TrustList::microsoft(), &mut Budget::new(8)).is_err());
        let mut budget = Budget::new(8);
        let Ok(authentic) = endorsement.authenticate(&mut budget) else { continue };
        assert!(budget.remaining() < 7, "certificate and object cost a check each");
        let (issuer, feed) = (authentic.issuer().to_owned(), authentic.feed().to_owned());
        let _ = (authentic.header_svn(), authentic.signed_at(), authentic.content_type(), authentic.is_hash_envelope());
        let trust = TrustList::none().with_simulated(&issuer, &feed, 0);
        if let Ok(verified) = authentic.trust(&trust) {
            assert_eq!((verified.issuer(), verified.feed()), (issuer.as_str(), feed.as_str()));
        }
    }
});
