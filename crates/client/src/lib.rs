//! The half of a release that runs in the TEE: verifies the release JWS and its receipt, unwraps the key
