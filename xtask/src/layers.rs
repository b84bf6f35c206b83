//! Which crate may use which: the table of docs/design.md, "Crates", against what cargo says.
//!
//! Normal and build dependencies count, also those behind a feature or for one platform; development dependencies are
//! free. What a crate may use, it may use with all that this may use. A crate that is not in the table is an error, and so
//! is an entry of `[workspace.dependencies]` that no member uses: each of them is a decision, and nobody made that one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use cargo_metadata::{DependencyKind, MetadataCommand};

/// What a crate may use of ours.
#[derive(Debug, Clone, Copy)]
enum May {
    /// These, and what they may use.
    Use(&'static [&'static str]),
    /// Every crate that ships; what is for development only does not.
    UseWhatShips,
    /// Every crate.
    UseAny,
}

/// docs/design.md, "Crates", in the order of that table. Names are those of packages.
const TABLE: &[(&str, May)] = &[
    ("skerry-jose", May::Use(&[])),
    ("skerry-meter", May::Use(&[])),
    ("skerry-store", May::Use(&["skerry-meter"])),
    ("skerry-store-etcd", May::Use(&["skerry-store"])),
    ("skerry-pkcs11", May::Use(&[])),
    ("skerry-unseal", May::Use(&["skerry-store", "skerry-pkcs11"])),
    ("skerry-keywrap", May::Use(&[])),
    ("skerry-lc", May::Use(&[])),
    ("skerry-sources", May::Use(&["skerry-jose"])),
    ("skerry-evidence", May::Use(&[])),
    ("skerry-attestation-result", May::Use(&["skerry-jose"])),
    ("skerry-policy", May::Use(&["skerry-attestation-result"])),
    ("skerry-verifier", May::Use(&["skerry-evidence", "skerry-policy", "skerry-attestation-result", "skerry-sources"])),
    ("skerry-tlog", May::Use(&["skerry-jose"])),
    ("skerry-audit", May::Use(&["skerry-jose", "skerry-tlog"])),
    ("skerry-backup", May::Use(&["skerry-audit", "skerry-store"])),
    ("skerry-keys", May::Use(&["skerry-keywrap", "skerry-pkcs11", "skerry-lc", "skerry-policy", "skerry-audit"])),
    ("skerry-identity", May::Use(&["skerry-jose", "skerry-sources", "skerry-store"])),
    ("skerry-vault", May::Use(&["skerry-keys", "skerry-identity", "skerry-store"])),
    ("skerry-http", May::Use(&["skerry-vault", "skerry-verifier", "skerry-identity"])),
    ("skerry-client", May::Use(&["skerry-jose", "skerry-tlog", "skerry-attestation-result", "skerry-keywrap"])),
    ("skerry-attester", May::Use(&["skerry-client", "skerry-evidence"])),
    ("skerry-simulator", May::Use(&["skerry-evidence"])),
    (TESTKIT, May::UseAny),
    (FAULTS, May::UseAny),
    ("skerry", May::UseWhatShips),
    ("xtask", May::Use(&[])),
];

/// For development only.
const TESTKIT: &str = "skerry-testkit";
const FAULTS: &str = "skerry-faults";

/// What the check found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    rows: Vec<(String, String)>,
    faults: Vec<Fault>,
}

/// One thing that is not as the table says.
#[derive(Debug, PartialEq, Eq)]
enum Fault {
    /// A member that the table does not name.
    UnknownCrate(String),
    /// A crate that uses what it may not.
    Edge { from: String, to: String, allowed: String },
    /// A dependency of the workspace that no member uses.
    Unused(String),
}

impl Report {
    pub(crate) fn is_clean(&self) -> bool {
        self.faults.is_empty()
    }

    pub(crate) fn text(&self) -> String {
        let width = self.rows.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
        let mut text = String::new();
        for (name, uses) in &self.rows {
            // Infallible: a String takes every byte.
            let _ = writeln!(text, "{name:width$}  {uses}");
        }
        for fault in &self.faults {
            let _ = writeln!(text, "{fault}");
        }
        let _ = writeln!(text, "{} crates, {} faults", self.rows.len(), self.faults.len());
        text
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::UnknownCrate(name) => {
                write!(f, "unknown crate: {name} is in no row of docs/design.md, Crates, nor of xtask/src/layers.rs")
            }
            Self::Edge { from, to, allowed } => write!(f, "forbidden: {from} uses {to}; the table allows {allowed}"),
            Self::Unused(name) => write!(f, "unused: [workspace.dependencies] {name} is used by no member"),
        }
    }
}

/// One package: its name, what it uses to be built, and what it uses at all.
#[derive(Debug)]
struct Package {
    name: String,
    uses: BTreeSet<String>,
    mentions: BTreeSet<String>,
}

/// Asks cargo and judges the workspace in the current folder.
pub(crate) fn run() -> Result<Report> {
    let metadata = MetadataCommand::new().no_deps().exec().context("cargo metadata")?;
    let members: BTreeSet<_> = metadata.workspace_members.iter().collect();
    let packages: Vec<Package> =
        metadata.packages.iter().filter(|package| members.contains(&package.id)).map(Package::from).collect();
    let manifest = metadata.workspace_root.join("Cargo.toml");
    let manifest = std::fs::read_to_string(&manifest).with_context(|| format!("{manifest}"))?;
    Ok(judge(&packages, &workspace_dependencies(&manifest)))
}

impl From<&cargo_metadata::Package> for Package {
    fn from(package: &cargo_metadata::Package) -> Self {
        let named = |dependency: &cargo_metadata::Dependency| dependency.name.clone();
        let builds = |kind| kind != DependencyKind::Development;
        let uses = package.dependencies.iter().filter(|dependency| builds(dependency.kind)).map(named).collect();
        // The manifest speaks of a renamed dependency by its new name.
        let mentioned = |d: &cargo_metadata::Dependency| d.rename.clone().unwrap_or_else(|| d.name.clone());
        let mentions = package.dependencies.iter().map(mentioned).collect();
        Package { name: package.name.to_string(), uses, mentions }
    }
}

fn judge(packages: &[Package], workspace_dependencies: &[String]) -> Report {
    let table: BTreeMap<&str, May> = TABLE.iter().copied().collect();
    let ours: BTreeSet<&str> =
        packages.iter().map(|package| package.name.as_str()).chain(table.keys().copied()).collect();
    let mut report = Report::default();
    for package in packages {
        let uses: Vec<&str> = package.uses.iter().map(String::as_str).filter(|name| ours.contains(name)).collect();
        report.rows.push((package.name.clone(), if uses.is_empty() { "-".to_owned() } else { uses.join(", ") }));
        match table.get(package.name.as_str()) {
            None => report.faults.push(Fault::UnknownCrate(package.name.clone())),
            Some(may) => report.faults.extend(forbidden(&table, &package.name, *may, &uses)),
        }
    }
    let mentioned: BTreeSet<&str> = packages.iter().flat_map(|p| &p.mentions).map(String::as_str).collect();
    let unused = workspace_dependencies.iter().filter(|name| !mentioned.contains(name.as_str()));
    report.faults.extend(unused.cloned().map(Fault::Unused));
    report
}

fn forbidden(table: &BTreeMap<&str, May>, from: &str, may: May, uses: &[&str]) -> Vec<Fault> {
    let (bad, allowed): (Vec<&str>, String) = match may {
        May::UseAny => (Vec::new(), String::new()),
        May::UseWhatShips => {
            let bad = uses.iter().copied().filter(|to| [TESTKIT, FAULTS].contains(to)).collect();
            (bad, format!("any but {TESTKIT} and {FAULTS}"))
        }
        May::Use(names) => {
            let closure = closure(table, names);
            (uses.iter().copied().filter(|to| !closure.contains(to)).collect(), list(&closure))
        }
    };
    let edge = |to: &str| Fault::Edge { from: from.to_owned(), to: to.to_owned(), allowed: allowed.clone() };
    bad.into_iter().map(edge).collect()
}

fn list(names: &BTreeSet<&str>) -> String {
    match names.is_empty() {
        true => "none of ours".to_owned(),
        false => names.iter().copied().collect::<Vec<_>>().join(", "),
    }
}

/// These names and all that the table lets them use.
fn closure(table: &BTreeMap<&str, May>, names: &[&'static str]) -> BTreeSet<&'static str> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&'static str> = names.to_vec();
    while let Some(name) = open.pop() {
        if reached.insert(name)
            && let Some(May::Use(more)) = table.get(name)
        {
            open.extend(*more);
        }
    }
    reached
}

/// The names in `[workspace.dependencies]`, as `name = ...`, `name.x = ...` and `[workspace.dependencies.name]` give them.
fn workspace_dependencies(manifest: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut inside = false;
    let mut depth = 0_usize;
    for line in manifest.lines().map(|line| line.split('#').next().unwrap_or_default().trim()) {
        if depth == 0 && line.starts_with('[') {
            inside = line == "[workspace.dependencies]";
            let table = line.strip_prefix("[workspace.dependencies.").and_then(|rest| rest.strip_suffix(']'));
            names.extend(table.map(unquoted));
        } else if inside && depth == 0 {
            names.extend(line.split_once('=').and_then(|(name, _)| name.split('.').next()).map(unquoted));
        }
        // An array of features may go over several lines.
        depth = depth.saturating_add(line.matches('[').count()).saturating_sub(line.matches(']').count());
    }
    names
}

fn unquoted(name: &str) -> String {
    name.trim().trim_matches('"').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, uses: &[&str]) -> Package {
        let uses: BTreeSet<String> = uses.iter().map(|name| (*name).to_owned()).collect();
        Package { name: name.to_owned(), mentions: uses.clone(), uses }
    }

    fn faults(packages: &[Package]) -> Vec<Fault> {
        judge(packages, &[]).faults
    }

    /// What the table lists is allowed, and what that may use in turn; crates of others are nobody's business here.
    #[test]
    fn edges_of_the_table_are_allowed() {
        let packages = [
            package("skerry-policy", &["skerry-attestation-result", "skerry-jose", "serde"]),
            package("skerry-vault", &["skerry-keys", "skerry-audit", "skerry-jose", "skerry-keywrap"]),
            package("skerry", &["skerry-vault", "skerry-simulator"]),
            package(TESTKIT, &["skerry-verifier", "skerry-simulator"]),
        ];
        assert_eq!(faults(&packages), []);
    }

    /// An edge that the table does not have is named, with what it does have.
    #[test]
    fn a_bad_edge_is_a_fault() {
        let fault = |from: &str, to: &str, allowed: &str| Fault::Edge {
            from: from.to_owned(),
            to: to.to_owned(),
            allowed: allowed.to_owned(),
        };
        for (from, to, allowed) in [
            ("skerry-evidence", "skerry-jose", "none of ours"),
            ("skerry-jose", "skerry-keys", "none of ours"),
            ("skerry-simulator", "skerry-verifier", "skerry-evidence"),
            ("skerry-policy", "skerry-evidence", "skerry-attestation-result, skerry-jose"),
            ("skerry-client", "skerry-vault", "skerry-attestation-result, skerry-jose, skerry-keywrap, skerry-tlog"),
            ("skerry-audit", TESTKIT, "skerry-jose, skerry-tlog"),
            ("skerry", TESTKIT, "any but skerry-testkit and skerry-faults"),
            ("skerry", FAULTS, "any but skerry-testkit and skerry-faults"),
        ] {
            assert_eq!(faults(&[package(from, &[to])]), [fault(from, to, allowed)]);
        }
    }

    /// A crate that nobody gave a place has none.
    #[test]
    fn an_unknown_crate_is_a_fault() {
        assert_eq!(faults(&[package("skerry-util", &[])]), [Fault::UnknownCrate("skerry-util".to_owned())]);
        let report = judge(&[package("skerry-jose", &["skerry-util"]), package("skerry-util", &[])], &[]);
        assert_eq!(report.faults.len(), 2);
        assert!(report.text().contains("forbidden: skerry-jose uses skerry-util; the table allows none of ours"));
    }

    /// A dependency that no member mentions is a fault; one that only tests use is not.
    #[test]
    fn an_unused_dependency_is_a_fault() {
        let mut jose = package("skerry-jose", &[]);
        jose.mentions.insert("proptest".to_owned());
        let report = judge(&[jose], &["proptest".to_owned(), "sev".to_owned()]);
        assert_eq!(report.faults, [Fault::Unused("sev".to_owned())]);
        assert!(!report.is_clean());
    }

    /// Every way to write an entry is read, comments and features over several lines are not entries.
    #[test]
    fn entries_are_found() {
        let manifest = "[workspace]\nmembers = [\"a\"]\n[workspace.dependencies]\n# x = 1\na = \"1\" # y = 2\n\
                        b = { version = \"1\", features = [\n  \"c\",\n] }\n\"d\" = \"1\"\ne.workspace = true\n\
                        [workspace.dependencies.f]\nversion = \"1\"\n[profile.dev]\ng = 1\n";
        assert_eq!(workspace_dependencies(manifest), ["a", "b", "d", "e", "f"]);
    }

    /// The table has each crate once and speaks of crates that it has, without a circle.
    #[test]
    fn the_table_is_sound() {
        let table: BTreeMap<&str, May> = TABLE.iter().copied().collect();
        assert_eq!(table.len(), TABLE.len());
        for (name, may) in TABLE {
            let May::Use(names) = may else { continue };
            assert!(names.iter().all(|name| table.contains_key(name)), "{name}");
            assert!(!closure(&table, names).contains(name), "{name} uses itself");
        }
    }
}
