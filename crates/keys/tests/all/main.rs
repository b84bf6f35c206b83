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
mod ml_dsa;
#[cfg(test)]
mod public;
#[cfg(test)]
mod release;
#[cfg(test)]
mod sign;
#[cfg(test)]
mod transfer;
