//! Tests of the key wrap against another author's implementation, and of every refusal.

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod key;
#[cfg(test)]
mod oracle;
#[cfg(test)]
mod refusal;
#[cfg(test)]
mod rfc5649;
