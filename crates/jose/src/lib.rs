//! JWS, JWK, JWT compact forms and strict JSON; a closed list of algorithms
