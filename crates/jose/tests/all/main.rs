//! The JOSE core against its attackers (docs/threats.md, Token) and against another implementation.

mod attacks;
mod keys;
mod oracle;
mod support;
