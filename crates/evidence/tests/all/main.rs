//! Integration tests of the evidence verifier: real vectors, simulated chains, flips, and another implementation as oracle.

mod binding;
mod certificates;
mod chain;
mod flips;
mod oracle;
mod report;
mod support;
mod vectors;
