//! Vaults, keys, versions; the release engine and the wire form of its answer
