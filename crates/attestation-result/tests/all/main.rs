//! Tokens that must not be believed (docs/threats.md, Token), and the form of those that are made.

mod form;
mod support;
mod target;
mod trust;
