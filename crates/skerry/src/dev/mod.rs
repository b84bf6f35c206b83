//! `skerry dev`.

/// The file that tells a folder of `dev`.
pub(crate) const MARK: &str = "dev.env";
