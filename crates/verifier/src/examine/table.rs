//! The checks, in the order in which the Verifier makes them, and which error means that which of them failed.
//!
//! Names are stable: people and vectors quote them. Checks that are made in turns for several certificates share a
//! stage; when one of a stage fails, the others of it count as not reached. A variant without a row of its own falls to
//! the first check of its step, so that nothing is called passed that was not; a test finds such variants.

/// What a check looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    Report,
    Chain,
    Uvm,
    Data,
    Floor,
}

/// One check.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) subject: Subject,
    pub(super) stage: u8,
    pub(super) name: &'static str,
    pub(super) clause: &'static str,
}

impl Row {
    pub(super) fn name(row: &&Row) -> &'static str {
        row.name
    }

    pub(super) fn clause(row: &&Row) -> &'static str {
        row.clause
    }
}

const fn row(subject: Subject, stage: u8, name: &'static str, clause: &'static str) -> Row {
    Row { subject, stage, name, clause }
}

use Subject::{Chain, Data, Floor, Report, Uvm};

/// The first check of all.
pub(super) const FIRST: &str = "report-format";

/// Every check.
pub(super) const CHECKS: &[Row] = &[
    row(Report, 0, FIRST, "AMD 56860, ATTESTATION_REPORT: 1184 bytes"),
    row(Report, 1, "report-version", "AMD 56860, ATTESTATION_REPORT.VERSION: 2 to 5"),
    row(Report, 2, "report-reserved", "AMD 56860, ATTESTATION_REPORT: reserved bytes are zero"),
    row(Chain, 3, "certificates-parse", "RFC 5280, 4.1 and 4.2"),
    row(Chain, 4, "certificates-roles", "AMD 57230, 3; AMD 58369: common names"),
    row(Chain, 5, "crl-format", "RFC 5280, 5.1"),
    row(Chain, 6, "chain-complete", "AMD 57230, 3: VCEK, ASK, ARK; AMD 58369: VLEK, ASVK, ARK"),
    row(Chain, 7, "root-pinned", "AMD 57230, 3: ARK, by public key and name"),
    row(Chain, 8, "names-link", "RFC 5280, 6.1.3 (a)(4)"),
    row(Chain, 8, "critical-extensions", "RFC 5280, 4.2"),
    row(Chain, 9, "chain-product", "AMD 57230, 3: one generation"),
    row(Chain, 10, "ca-constraints", "RFC 5280, 4.2.1.3 and 4.2.1.9"),
    row(Chain, 11, "root-self-signature", "AMD 57230, 3: RSASSA-PSS, SHA-384"),
    row(Chain, 12, "intermediate-signature", "AMD 57230, 3: RSASSA-PSS, SHA-384"),
    row(Chain, 13, "vek-signature", "AMD 57230, 3: RSASSA-PSS, SHA-384"),
    row(Chain, 14, "certificates-validity", "RFC 5280, 4.1.2.5"),
    row(Chain, 15, "crl-present", "AMD 57230, 4"),
    row(Chain, 16, "crl-signature", "AMD 57230, 4; RFC 5280, 5.1.1"),
    row(Chain, 17, "crl-validity", "RFC 5280, 5.1.2.4 and 5.1.2.5"),
    row(Chain, 18, "not-revoked", "AMD 57230, 4: ASK and ASVK"),
    row(Chain, 19, "vek-extensions", "AMD 57230, 3.1; AMD 58369: extensions 3704.1"),
    row(Chain, 19, "vek-product", "AMD 57230, 3.1: productName"),
    row(Chain, 20, "vek-key", "AMD 57230, 3: P-384"),
    row(Report, 21, "report-signature-algorithm", "AMD 56860, ATTESTATION_REPORT.SIGNATURE_ALGO: 1"),
    row(Report, 22, "signing-key", "AMD 56860, ATTESTATION_REPORT.SIGNING_KEY"),
    row(Report, 23, "chip-key-mask", "AMD 56860, ATTESTATION_REPORT.MASK_CHIP_KEY"),
    row(Report, 24, "processor", "AMD 56860, ATTESTATION_REPORT.CPUID_FAM_ID, CPUID_MOD_ID"),
    row(Report, 25, "tcb-format", "AMD 56860, TCB_VERSION"),
    row(Report, 26, "chip-id", "AMD 57230, 3.1: hwID = CHIP_ID; AMD 58369: csp_id"),
    row(Report, 27, "tcb-match", "AMD 57230, 3.1: SPLs = REPORTED_TCB"),
    row(Report, 28, "report-signature", "AMD 56860, ATTESTATION_REPORT.SIGNATURE; FIPS 186-5, 6.4.2"),
    row(Report, 29, "policy-format", "AMD 56860, POLICY: bit 17 set, 63:26 clear"),
    row(Report, 30, "guest-requested", "AMD 56860, ATTESTATION_REPORT.VMPL: 0 to 3"),
    row(Report, 31, "author-key", "AMD 56860, ATTESTATION_REPORT.AUTHOR_KEY_EN"),
    row(Report, 32, "tcb-order", "AMD 56860: REPORTED <= COMMITTED <= CURRENT_TCB"),
    row(Report, 33, "firmware-order", "AMD 56860: COMMITTED <= CURRENT version"),
    row(Uvm, 34, "uvm-format", "RFC 9052, 3 and 4.2"),
    row(Uvm, 35, "uvm-certificates", "RFC 9360, 2: x5chain"),
    row(Uvm, 36, "uvm-issuer", "did:x509 version 0: syntax"),
    row(Uvm, 37, "uvm-thumbprint", "RFC 9360, 2: x5t"),
    row(Uvm, 38, "uvm-signature", "RFC 9052, 4.4"),
    row(Uvm, 39, "uvm-chain", "RFC 5280, 6.1"),
    row(Uvm, 40, "uvm-did", "did:x509 version 0: fingerprint and policies"),
    row(Uvm, 41, "uvm-trust", "trust list: issuer and feed"),
    row(Uvm, 42, "uvm-payload", "observed: x-ms-sevsnpvm-guestsvn and -launchmeasurement"),
    row(Uvm, 43, "uvm-svn", "trust list: lowest security version"),
    row(Uvm, 44, "uvm-measurement", "AMD 56860, ATTESTATION_REPORT.MEASUREMENT = endorsed"),
    row(Data, 45, "measurement-present", "AMD 56860, ATTESTATION_REPORT.MEASUREMENT: not zero"),
    row(Data, 46, "data-size", "limits: bytes of runtime and init data"),
    row(Data, 47, "runtime-data", "AMD 56860, ATTESTATION_REPORT.REPORT_DATA = SHA-256, zeroes"),
    row(Data, 48, "init-data", "AMD 56860, ATTESTATION_REPORT.HOST_DATA = SHA-256"),
    row(Floor, 49, "floor-debug", "AMD 56860, POLICY.DEBUG, bit 19"),
    row(Floor, 50, "floor-migration", "AMD 56860, POLICY.MIGRATE_MA, bit 18"),
    row(Floor, 51, "floor-vmpl", "AMD 56860, ATTESTATION_REPORT.VMPL"),
    row(Floor, 52, "floor-guest-svn", "AMD 56860, ATTESTATION_REPORT.GUEST_SVN"),
    row(Floor, 53, "floor-tcb", "AMD 56860, REPORTED_TCB and LAUNCH_TCB"),
];

/// The check that failed when an error has this key: the row with the longest key that `key` begins with.
pub(super) fn check_of(key: &str) -> &'static str {
    let rows = ERRORS.iter().filter(|(prefix, _)| begins_with(key, prefix));
    rows.max_by_key(|(prefix, _)| prefix.len()).map_or(FIRST, |(_, check)| check)
}

/// Whether `key` is `prefix`, or something within it or about one of its certificates.
pub(super) fn begins_with(key: &str, prefix: &str) -> bool {
    key.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '@']))
}

/// Error, check. A bare type stands for variants that are not listed: the first check of that step.
pub(super) const ERRORS: &[(&str, &str)] = &[
    ("ParseError", FIRST),
    ("ParseError.Length", FIRST),
    ("ParseError.UnsupportedVersion", "report-version"),
    ("ParseError.ReservedNotZero", "report-reserved"),
    ("ParseError.SignaturePadding", "report-reserved"),
    ("EndorsementError", "certificates-parse"),
    ("EndorsementError.X509", "certificates-parse"),
    ("EndorsementError.UnknownRole", "certificates-roles"),
    ("EndorsementError.Ambiguous", "certificates-roles"),
    ("EndorsementError.NoVek", "certificates-roles"),
    ("CrlError", "crl-format"),
    ("ChainError", "chain-complete"),
    ("ChainError.Missing", "chain-complete"),
    ("ChainError.Crossed", "chain-complete"),
    ("ChainError.UnknownRoot", "root-pinned"),
    ("ChainError.Issuer", "names-link"),
    ("ChainError.CriticalExtension", "critical-extensions"),
    ("ChainError.Product", "chain-product"),
    ("ChainError.NotCa", "ca-constraints"),
    ("ChainError.VekIsCa", "ca-constraints"),
    ("ChainError.Malformed", "ca-constraints"),
    ("ChainError.Malformed.Extension", "ca-constraints"),
    ("ChainError.Malformed@Ark", "root-self-signature"),
    ("ChainError.Malformed@Ask", "intermediate-signature"),
    ("ChainError.Malformed@Asvk", "intermediate-signature"),
    ("ChainError.Malformed@Vek", "vek-signature"),
    ("ChainError.SignatureAlgorithm", "root-self-signature"),
    ("ChainError.SignatureAlgorithm@Ark", "root-self-signature"),
    ("ChainError.SignatureAlgorithm@Ask", "intermediate-signature"),
    ("ChainError.SignatureAlgorithm@Asvk", "intermediate-signature"),
    ("ChainError.SignatureAlgorithm@Vek", "vek-signature"),
    ("ChainError.BadSignature", "root-self-signature"),
    ("ChainError.BadSignature@Ark", "root-self-signature"),
    ("ChainError.BadSignature@Ask", "intermediate-signature"),
    ("ChainError.BadSignature@Asvk", "intermediate-signature"),
    ("ChainError.BadSignature@Vek", "vek-signature"),
    ("ChainError.BudgetExhausted", "root-self-signature"),
    ("ChainError.NotYetValid", "certificates-validity"),
    ("ChainError.Expired", "certificates-validity"),
    ("ChainError.CrlMissing", "crl-present"),
    ("ChainError.Crl", "crl-signature"),
    ("ChainError.Crl.X509", "crl-signature"),
    ("ChainError.Crl.TooMany", "crl-format"),
    ("ChainError.Crl.CriticalExtension", "crl-format"),
    ("ChainError.Crl.Issuer", "crl-signature"),
    ("ChainError.Crl.SignatureAlgorithm", "crl-signature"),
    ("ChainError.Crl.IssuerMayNotSign", "crl-signature"),
    ("ChainError.Crl.BadSignature", "crl-signature"),
    ("ChainError.Crl.NotYetValid", "crl-validity"),
    ("ChainError.Crl.NoNextUpdate", "crl-validity"),
    ("ChainError.Crl.Expired", "crl-validity"),
    ("ChainError.Revoked", "not-revoked"),
    ("ChainError.Vek", "vek-extensions"),
    ("ChainError.Vek.Missing", "vek-extensions"),
    ("ChainError.Vek.Unexpected", "vek-extensions"),
    ("ChainError.Vek.Malformed", "vek-extensions"),
    ("ChainError.Vek.ReservedSpl", "vek-extensions"),
    ("ChainError.Vek.Product", "vek-product"),
    ("ChainError.Vek.Key", "vek-key"),
    ("ReportError", "report-signature-algorithm"),
    ("ReportError.VekNotYetValid", "certificates-validity"),
    ("ReportError.VekExpired", "certificates-validity"),
    ("ReportError.UnsupportedSignatureAlgorithm", "report-signature-algorithm"),
    ("ReportError.Unsigned", "signing-key"),
    ("ReportError.ReservedSigningKey", "signing-key"),
    ("ReportError.SigningKeyMismatch", "signing-key"),
    ("ReportError.ChipKeyMasked", "chip-key-mask"),
    ("ReportError.UnsupportedProcessor", "processor"),
    ("ReportError.GenerationMismatch", "processor"),
    ("ReportError.TcbReserved", "tcb-format"),
    ("ReportError.ChipIdMasked", "chip-id"),
    ("ReportError.ChipIdNotMasked", "chip-id"),
    ("ReportError.ChipIdMismatch", "chip-id"),
    ("ReportError.TcbMismatch", "tcb-match"),
    ("ReportError.SignatureRange", "report-signature"),
    ("ReportError.BadSignature", "report-signature"),
    ("ReportError.MalformedPolicy", "policy-format"),
    ("ReportError.NotGuestRequested", "guest-requested"),
    ("ReportError.AuthorKeyDigestUnexpected", "author-key"),
    ("ReportError.AuthorKeyDigestMissing", "author-key"),
    ("ReportError.CommittedAboveCurrent", "tcb-order"),
    ("ReportError.ReportedAboveCommitted", "tcb-order"),
    ("ReportError.CommittedVersionAboveCurrent", "firmware-order"),
    ("UvmError", "uvm-format"),
    ("UvmError.Cose", "uvm-format"),
    ("UvmError.Cose.KeyMismatch", "uvm-signature"),
    ("UvmError.Cose.SignatureLength", "uvm-signature"),
    ("UvmError.Cose.Signature", "uvm-signature"),
    ("UvmError.Chain", "uvm-certificates"),
    ("UvmError.Chain.Empty", "uvm-certificates"),
    ("UvmError.Chain.Malformed", "uvm-certificates"),
    ("UvmError.Chain.UnknownCritical", "uvm-chain"),
    ("UvmError.Chain.LeafIsCa", "uvm-chain"),
    ("UvmError.Chain.NotCa", "uvm-chain"),
    ("UvmError.Chain.KeyUsage", "uvm-chain"),
    ("UvmError.Chain.PathLength", "uvm-chain"),
    ("UvmError.Chain.IssuerName", "uvm-chain"),
    ("UvmError.Chain.Signature", "uvm-chain"),
    ("UvmError.Chain.NotYetValid", "uvm-chain"),
    ("UvmError.Chain.Expired", "uvm-chain"),
    ("UvmError.Did", "uvm-issuer"),
    ("UvmError.Did.TooLong", "uvm-issuer"),
    ("UvmError.Did.Method", "uvm-issuer"),
    ("UvmError.Did.Version", "uvm-issuer"),
    ("UvmError.Did.FingerprintAlgorithm", "uvm-issuer"),
    ("UvmError.Did.Fingerprint", "uvm-issuer"),
    ("UvmError.Did.NoPolicy", "uvm-issuer"),
    ("UvmError.Did.TooManyPolicies", "uvm-issuer"),
    ("UvmError.Did.UnknownPolicy", "uvm-issuer"),
    ("UvmError.Did.MalformedPolicy", "uvm-issuer"),
    ("UvmError.Did.PercentEncoding", "uvm-issuer"),
    ("UvmError.Did.NoSuchCertificate", "uvm-did"),
    ("UvmError.Did.PolicyUnmet", "uvm-did"),
    ("UvmError.Did.MalformedExtension", "uvm-did"),
    ("UvmError.X5t", "uvm-thumbprint"),
    ("UvmError.LeafKey", "uvm-signature"),
    ("UvmError.BudgetExhausted", "uvm-signature"),
    ("UvmError.UnknownIssuer", "uvm-trust"),
    ("UvmError.UnknownFeed", "uvm-trust"),
    ("UvmError.SvnBelowMinimum", "uvm-svn"),
    ("UvmError.SvnConflict", "uvm-payload"),
    ("UvmError.DetachedPayload", "uvm-payload"),
    ("UvmError.ContentType", "uvm-payload"),
    ("UvmError.Payload", "uvm-payload"),
    ("UvmMismatch", "uvm-measurement"),
    ("BindingError", "measurement-present"),
    ("BindingError.ZeroMeasurement", "measurement-present"),
    ("BindingError.TooLong", "data-size"),
    ("BindingError.RuntimeData", "runtime-data"),
    ("BindingError.InitData", "init-data"),
    ("FloorRefusal", "floor-debug"),
    ("FloorRefusal.Debug", "floor-debug"),
    ("FloorRefusal.Migration", "floor-migration"),
    ("FloorRefusal.Vmpl", "floor-vmpl"),
    ("FloorRefusal.GuestSvn", "floor-guest-svn"),
    ("FloorRefusal.Tcb", "floor-tcb"),
    ("FloorRefusal.TcbReserved", "floor-tcb"),
];
