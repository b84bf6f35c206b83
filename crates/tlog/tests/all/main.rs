//! Tests of trees, proofs, tiles, notes and checkpoints, against another way to compute them and against published vectors.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

#[cfg(test)]
mod edges;
#[cfg(test)]
mod naive;
#[cfg(test)]
mod notes;
#[cfg(test)]
mod proofs;
#[cfg(test)]
mod text;
#[cfg(test)]
mod tiles;
