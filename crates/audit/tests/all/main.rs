//! Tests of the audit log through files: the chain, crashes, locks and limits.

#[cfg(test)]
mod chain;
#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod lifecycle;
