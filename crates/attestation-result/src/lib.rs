//! What a Verifier asserts: claims, names, provenance, token, authority, trust in a token
