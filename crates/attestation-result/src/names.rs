//! Names of claims, as Microsoft Azure Attestation spells them, and our own.
//!
//! `x-ms-*` names are the wire's; `x-skerry-*` are ours and appear only where Azure has nothing to say.

/// Type of the TEE: `sevsnpvm`, `sgx`, `tdxvm`, `azurevm`.
pub const ATTESTATION_TYPE: &str = "x-ms-attestation-type";
/// `azure-compliant-uvm` or `azure-compliant-cvm`, when the platform is recognised; else absent.
pub const COMPLIANCE_STATUS: &str = "x-ms-compliance-status";
/// Hash of the appraisal policy.
pub const POLICY_HASH: &str = "x-ms-policy-hash";
/// Who signed the appraisal policy, if anybody did.
pub const POLICY_SIGNER: &str = "x-ms-policy-signer";
/// Runtime data, as the object it is.
pub const RUNTIME: &str = "x-ms-runtime";
/// Init data, as the object it is.
pub const INITTIME: &str = "x-ms-inittime";
/// Claims of the TEE that a guest with a vTPM runs in, as an object.
pub const ISOLATION_TEE: &str = "x-ms-isolation-tee";
/// Version of the token's form.
pub const VERSION: &str = "x-ms-ver";
/// True iff some chain of the evidence ended at an anchor that is not a vendor's.
pub const SIMULATED: &str = "x-skerry-simulated";

/// SEV-SNP claims (offsets in the attestation report are in `skerry-verifier`'s table).
pub mod snp {
    #![allow(missing_docs)]
    pub const AUTHOR_KEY_DIGEST: &str = "x-ms-sevsnpvm-authorkeydigest";
    pub const BOOTLOADER_SVN: &str = "x-ms-sevsnpvm-bootloader-svn";
    pub const FAMILY_ID: &str = "x-ms-sevsnpvm-familyId";
    pub const GUEST_SVN: &str = "x-ms-sevsnpvm-guestsvn";
    pub const HOST_DATA: &str = "x-ms-sevsnpvm-hostdata";
    pub const ID_KEY_DIGEST: &str = "x-ms-sevsnpvm-idkeydigest";
    pub const IMAGE_ID: &str = "x-ms-sevsnpvm-imageId";
    pub const IS_DEBUGGABLE: &str = "x-ms-sevsnpvm-is-debuggable";
    pub const LAUNCH_MEASUREMENT: &str = "x-ms-sevsnpvm-launchmeasurement";
    pub const MICROCODE_SVN: &str = "x-ms-sevsnpvm-microcode-svn";
    pub const MIGRATION_ALLOWED: &str = "x-ms-sevsnpvm-migration-allowed";
    pub const REPORT_DATA: &str = "x-ms-sevsnpvm-reportdata";
    pub const REPORT_ID: &str = "x-ms-sevsnpvm-reportid";
    pub const SMT_ALLOWED: &str = "x-ms-sevsnpvm-smt-allowed";
    pub const SNPFW_SVN: &str = "x-ms-sevsnpvm-snpfw-svn";
    pub const TEE_SVN: &str = "x-ms-sevsnpvm-tee-svn";
    pub const VMPL: &str = "x-ms-sevsnpvm-vmpl";
    /// First TCB component of Turin, for which Azure has no name.
    pub const FMC_SVN: &str = "x-skerry-sevsnpvm-fmc-svn";
}

/// SGX claims, of quotes and of Open Enclave reports, that are read here; none is made here.
pub mod sgx {
    /// Digests of what the evidence was judged by, and of the evidence.
    pub const COLLATERAL: &str = "x-ms-sgx-collateral";
    /// Member of [`COLLATERAL`]: SHA-256 of the quote, or of the Open Enclave report with its header, as submitted (recorded).
    pub const QUOTE_HASH: &str = "quotehash";
    /// Measurement of the enclave.
    pub const MRENCLAVE: &str = "x-ms-sgx-mrenclave";
}

/// TDX claims that are read here; none is made here.
pub mod tdx {
    /// Measurement of the trust domain as it was built.
    pub const MRTD: &str = "tdx_mrtd";
}
