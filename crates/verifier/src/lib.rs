//! Evidence in, attestation token out: verify, bind, claims, floor, policy, result
