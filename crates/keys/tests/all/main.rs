//! Tests of making, keeping, using and releasing keys, from sealing to what a TEE unwraps.

#[cfg(test)]
mod cipher;
#[cfg(test)]
mod compile_fail;
#[cfg(test)]
mod custody;
#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod generate;
#[cfg(test)]
mod import;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod ml_dsa;
#[cfg(test)]
#[allow(dead_code)] // reason: the tests of tokens use all of it
#[path = "../../../pkcs11/tests/all/place.rs"]
mod place;
#[cfg(test)]
mod public;
#[cfg(test)]
mod release;
#[cfg(test)]
mod sign;
#[cfg(test)]
mod strict;
#[cfg(test)]
mod strict_terms;
#[cfg(test)]
mod transfer;
