//! Tests of the audit log through files: the chain, crashes, locks, limits, and reading back.

#[cfg(test)]
mod byhand;
#[cfg(test)]
mod chain;
#[cfg(test)]
mod checkpoint;
#[cfg(test)]
mod edges;
#[cfg(test)]
mod entries;
#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod history;
#[cfg(test)]
mod holes;
#[cfg(test)]
mod lifecycle;
#[cfg(test)]
mod power;
#[cfg(test)]
mod published;
#[cfg(test)]
mod query;
