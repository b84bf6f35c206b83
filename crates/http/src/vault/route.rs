//! What is asked for: an operation, and the key and version it names, from the method and the path.
//!
//! A version may be left out or be an empty segment (observed: `/keys/name/`, `/keys/name//sign`, `/keys/name/sign`), so a
//! word of the protocol that stands where a version could is the word. Everything but names is read without case.

use http::Method;
use skerry_identity::Permission;

use crate::route::NotAllowed;

/// An operation of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // each is what its name says
pub(super) enum Operation {
    Create,
    Import,
    Get,
    Update,
    Delete,
    List,
    ListVersions,
    GetDeleted,
    ListDeleted,
    Recover,
    Purge,
    Encrypt,
    Decrypt,
    WrapKey,
    UnwrapKey,
    Sign,
    Verify,
    Release,
    Rotate,
    GetRotationPolicy,
    SetRotationPolicy,
    Backup,
    Restore,
    Random,
    SecureWrapKey,
    SecureUnwrapKey,
    Attestation,
    /// Our own.
    GetFloor,
    SetFloor,
}

impl Operation {
    /// All of them.
    pub(super) const ALL: [Operation; 29] = {
        use Operation::*;
        [
            Create,
            Import,
            Get,
            Update,
            Delete,
            List,
            ListVersions,
            GetDeleted,
            ListDeleted,
            Recover,
            Purge,
            Encrypt,
            Decrypt,
            WrapKey,
            UnwrapKey,
            Sign,
            Verify,
            Release,
            Rotate,
            GetRotationPolicy,
            SetRotationPolicy,
            Backup,
            Restore,
            Random,
            SecureWrapKey,
            SecureUnwrapKey,
            Attestation,
            GetFloor,
            SetFloor,
        ]
    };

    /// As it is counted.
    pub(super) fn counted(self) -> crate::operation::Operation {
        let at = Self::ALL.iter().position(|one| *one == self);
        crate::operation::Operation::of_vault(at.unwrap_or(usize::MAX))
    }

    /// Its name, which descriptions, metrics and tests share.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Create => "Create",
            Self::Import => "Import",
            Self::Get => "Get",
            Self::Update => "Update",
            Self::Delete => "Delete",
            Self::List => "List",
            Self::ListVersions => "ListVersions",
            Self::GetDeleted => "GetDeleted",
            Self::ListDeleted => "ListDeleted",
            Self::Recover => "Recover",
            Self::Purge => "Purge",
            Self::Encrypt => "Encrypt",
            Self::Decrypt => "Decrypt",
            Self::WrapKey => "WrapKey",
            Self::UnwrapKey => "UnwrapKey",
            Self::Sign => "Sign",
            Self::Verify => "Verify",
            Self::Release => "Release",
            Self::Rotate => "Rotate",
            Self::GetRotationPolicy => "GetRotationPolicy",
            Self::SetRotationPolicy => "SetRotationPolicy",
            Self::Backup => "Backup",
            Self::Restore => "Restore",
            Self::Random => "Random",
            Self::SecureWrapKey => "SecureWrapKey",
            Self::SecureUnwrapKey => "SecureUnwrapKey",
            Self::Attestation => "Attestation",
            Self::GetFloor => "GetFloor",
            Self::SetFloor => "SetFloor",
        }
    }

    pub(super) fn permission(self) -> Permission {
        match self {
            Self::Create => Permission::Create,
            Self::Import => Permission::Import,
            Self::Get | Self::GetDeleted | Self::Attestation => Permission::Get,
            Self::Update => Permission::Update,
            Self::Delete => Permission::Delete,
            Self::List | Self::ListVersions | Self::ListDeleted => Permission::List,
            Self::Recover => Permission::Recover,
            Self::Purge => Permission::Purge,
            Self::Encrypt => Permission::Encrypt,
            Self::Decrypt => Permission::Decrypt,
            Self::WrapKey | Self::SecureWrapKey => Permission::WrapKey,
            Self::UnwrapKey | Self::SecureUnwrapKey => Permission::UnwrapKey,
            Self::Sign => Permission::Sign,
            Self::Verify => Permission::Verify,
            Self::Release => Permission::Release,
            Self::Rotate => Permission::Rotate,
            Self::GetRotationPolicy => Permission::GetRotationPolicy,
            Self::SetRotationPolicy => Permission::SetRotationPolicy,
            Self::Backup => Permission::Backup,
            Self::Restore => Permission::Restore,
            // Azure's permission for it is one of roles that this vault does not have.
            Self::Random => Permission::Get,
            Self::GetFloor => Permission::GetVaultFloor,
            Self::SetFloor => Permission::SetVaultFloor,
        }
    }
}

/// What is asked for. Name and version are as in the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asked<'a> {
    pub(super) operation: Operation,
    pub(super) name: Option<&'a str>,
    pub(super) version: Option<&'a str>,
}

/// Why nothing is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NoRoute {
    Path,
    Method(NotAllowed),
}

impl<'a> Asked<'a> {
    pub(super) fn of(method: &Method, segments: &'a [String]) -> Result<Asked<'a>, NoRoute> {
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let (place, name, version) = place(method, &segments).ok_or(NoRoute::Path)?;
        let operations = place.operations();
        // RFC 9110, 9.1: whoever answers GET answers HEAD.
        let method = if method == Method::HEAD { &Method::GET } else { method };
        match operations.iter().find(|(own, _)| own == method) {
            Some((_, operation)) => Ok(Asked { operation: *operation, name, version }),
            None => Err(NoRoute::Method(NotAllowed::of(operations.iter().map(|(own, _)| own)))),
        }
    }
}

/// Where something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Keys,
    Key,
    Version,
    Restore,
    /// What stands behind a key's name: its index in [`OF_KEYS`].
    OfKey(usize),
    DeletedKeys,
    DeletedKey,
    Recover,
    Random,
    Floor,
}

/// What may be asked at one path.
pub(super) type Operations = &'static [(Method, Operation)];

/// Every path in its canonical form, and what may be asked there: what a description of the surface is made of.
pub(super) fn all() -> Vec<(String, Operations)> {
    let mut paths: Vec<_> = PLACES.into_iter().map(|(path, place)| (path.to_owned(), place.operations())).collect();
    for (word, takes_version, operations) in OF_KEYS {
        paths.push((format!("/keys/{{key-name}}/{word}"), operations));
        if takes_version {
            paths.push((format!("/keys/{{key-name}}/{{key-version}}/{word}"), operations));
        }
    }
    paths
}

/// The places that are not a word behind a key's name.
const PLACES: [(&str, Place); 9] = [
    ("/keys", Place::Keys),
    ("/keys/{key-name}", Place::Key),
    ("/keys/{key-name}/{key-version}", Place::Version),
    ("/keys/restore", Place::Restore),
    ("/deletedkeys", Place::DeletedKeys),
    ("/deletedkeys/{key-name}", Place::DeletedKey),
    ("/deletedkeys/{key-name}/recover", Place::Recover),
    ("/rng", Place::Random),
    ("/x-skerry/floor", Place::Floor),
];

impl Place {
    fn operations(self) -> Operations {
        match self {
            Self::Keys => &[(Method::GET, Operation::List)],
            Self::Key => &[
                (Method::GET, Operation::Get),
                (Method::PUT, Operation::Import),
                (Method::PATCH, Operation::Update),
                (Method::DELETE, Operation::Delete),
            ],
            Self::Version => &[(Method::GET, Operation::Get), (Method::PATCH, Operation::Update)],
            Self::Restore => &[(Method::POST, Operation::Restore)],
            Self::OfKey(at) => OF_KEYS.get(at).map_or(&[], |(_, _, operations)| operations),
            Self::DeletedKeys => &[(Method::GET, Operation::ListDeleted)],
            Self::DeletedKey => &[(Method::GET, Operation::GetDeleted), (Method::DELETE, Operation::Purge)],
            Self::Recover => &[(Method::POST, Operation::Recover)],
            Self::Random => &[(Method::POST, Operation::Random)],
            Self::Floor => &[(Method::GET, Operation::GetFloor), (Method::PATCH, Operation::SetFloor)],
        }
    }
}

/// A place, a name, a version.
type Found<'a> = (Place, Option<&'a str>, Option<&'a str>);

fn place<'a>(method: &Method, segments: &[&'a str]) -> Option<Found<'a>> {
    let (first, rest) = segments.split_first()?;
    match first.to_ascii_lowercase().as_str() {
        "keys" => of_keys(method, rest),
        "deletedkeys" => of_deleted_keys(rest),
        "rng" if rest.is_empty() => Some((Place::Random, None, None)),
        // Under a name that no service of Azure has.
        "x-skerry" if matches!(*rest, [word] if word.eq_ignore_ascii_case("floor")) => Some((Place::Floor, None, None)),
        _ => None,
    }
}

fn of_keys<'a>(method: &Method, rest: &[&'a str]) -> Option<Found<'a>> {
    match *rest {
        [] | [""] => Some((Place::Keys, None, None)),
        [word] if word.eq_ignore_ascii_case("restore") && method == Method::POST => Some((Place::Restore, None, None)),
        [name] | [name, ""] | [name, "", ""] => Some((Place::Key, Some(name), None)),
        [name, word] => match of_key(word) {
            Some(at) => Some((Place::OfKey(at), Some(name), None)),
            None => Some((Place::Version, Some(name), Some(word))),
        },
        [name, "", word] => of_key(word).map(|at| (Place::OfKey(at), Some(name), None)),
        [name, version, ""] => Some((Place::Version, Some(name), Some(version))),
        [name, version, word] => {
            let takes_version = |at: &usize| OF_KEYS.get(*at).is_some_and(|(_, takes_version, _)| *takes_version);
            of_key(word).filter(takes_version).map(|at| (Place::OfKey(at), Some(name), Some(version)))
        }
        _ => None,
    }
}

fn of_deleted_keys<'a>(rest: &[&'a str]) -> Option<Found<'a>> {
    match *rest {
        [] | [""] => Some((Place::DeletedKeys, None, None)),
        [name] | [name, ""] => Some((Place::DeletedKey, Some(name), None)),
        [name, word] if word.eq_ignore_ascii_case("recover") => Some((Place::Recover, Some(name), None)),
        _ => None,
    }
}

fn of_key(word: &str) -> Option<usize> {
    OF_KEYS.iter().position(|(own, _, _)| own.eq_ignore_ascii_case(word))
}

/// Words behind a key's name (key-vault spec 2.1), whether a version may stand between, and what they are.
const OF_KEYS: [(&str, bool, Operations); 15] = [
    ("create", false, &[(Method::POST, Operation::Create)]),
    ("versions", false, &[(Method::GET, Operation::ListVersions)]),
    ("sign", true, &[(Method::POST, Operation::Sign)]),
    ("verify", true, &[(Method::POST, Operation::Verify)]),
    ("release", true, &[(Method::POST, Operation::Release)]),
    ("rotate", false, &[(Method::POST, Operation::Rotate)]),
    ("backup", false, &[(Method::POST, Operation::Backup)]),
    ("encrypt", true, &[(Method::POST, Operation::Encrypt)]),
    ("decrypt", true, &[(Method::POST, Operation::Decrypt)]),
    ("wrapkey", true, &[(Method::POST, Operation::WrapKey)]),
    ("unwrapkey", true, &[(Method::POST, Operation::UnwrapKey)]),
    ("securewrapkey", true, &[(Method::POST, Operation::SecureWrapKey)]),
    ("secureunwrapkey", true, &[(Method::POST, Operation::SecureUnwrapKey)]),
    (
        "rotationpolicy",
        false,
        &[(Method::GET, Operation::GetRotationPolicy), (Method::PUT, Operation::SetRotationPolicy)],
    ),
    ("attestation", true, &[(Method::GET, Operation::Attestation)]),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: Method, path: &str) -> Result<(Operation, Option<String>, Option<String>), NoRoute> {
        let segments: Vec<String> = path.split('/').skip(1).map(str::to_owned).collect();
        let asked = Asked::of(&method, &segments)?;
        Ok((asked.operation, asked.name.map(str::to_owned), asked.version.map(str::to_owned)))
    }

    /// Every form of a path that clients send is one operation, with the name and version as sent.
    #[test]
    fn forms_of_one_path_are_one_operation() {
        use Operation::*;
        const V: &str = "0123456789abcdef0123456789abcdef";
        let (get, put, post, patch, delete) = (Method::GET, Method::PUT, Method::POST, Method::PATCH, Method::DELETE);
        for (method, path, operation, name, version) in [
            (&get, "/keys", List, None, None),
            (&get, "/keys/", List, None, None),
            (&get, "/KEYS/k", Get, Some("k"), None),
            (&get, "/keys/k/", Get, Some("k"), None),
            (&get, &format!("/keys/k/{V}"), Get, Some("k"), Some(V)),
            (&get, &format!("/keys/k/{V}/"), Get, Some("k"), Some(V)),
            (&Method::HEAD, "/keys/k", Get, Some("k"), None),
            (&get, "/keys/restore", Get, Some("restore"), None),
            (&get, "/keys/create", Get, Some("create"), None),
            (&patch, "/keys/k/", Update, Some("k"), None),
            (&patch, &format!("/keys/k/{V}"), Update, Some("k"), Some(V)),
            (&put, "/keys/k", Import, Some("k"), None),
            (&delete, "/keys/k", Delete, Some("k"), None),
            (&post, "/keys/k/create", Create, Some("k"), None),
            (&post, "/keys/k//create", Create, Some("k"), None),
            (&get, "/keys/k/versions", ListVersions, Some("k"), None),
            (&post, "/keys/k/release", Release, Some("k"), None),
            (&post, "/keys/k//release", Release, Some("k"), None),
            (&post, &format!("/keys/k/{V}/release"), Release, Some("k"), Some(V)),
            (&post, "/keys/k//SIGN", Sign, Some("k"), None),
            (&post, "/keys/k/x/verify", Verify, Some("k"), Some("x")),
            (&get, "/deletedkeys", ListDeleted, None, None),
            (&get, "/deletedKeys/k", GetDeleted, Some("k"), None),
            (&delete, "/deletedkeys/k", Purge, Some("k"), None),
            (&post, "/deletedkeys/k/recover", Recover, Some("k"), None),
            (&post, "/keys/restore", Restore, None, None),
            (&post, "/keys/k/backup", Backup, Some("k"), None),
            (&post, "/keys/k//wrapKey", WrapKey, Some("k"), None),
            (&post, &format!("/keys/k/{V}/unwrapkey"), UnwrapKey, Some("k"), Some(V)),
            (&post, &format!("/keys/k/{V}/ENCRYPT"), Encrypt, Some("k"), Some(V)),
            (&post, "/keys/k/decrypt", Decrypt, Some("k"), None),
            (&post, "/keys/k/rotate", Rotate, Some("k"), None),
            (&get, "/keys/k/rotationpolicy", GetRotationPolicy, Some("k"), None),
            (&put, "/keys/k//rotationPolicy", SetRotationPolicy, Some("k"), None),
            (&post, "/keys/k//securewrapkey", SecureWrapKey, Some("k"), None),
            (&post, &format!("/keys/k/{V}/secureUnwrapKey"), SecureUnwrapKey, Some("k"), Some(V)),
            (&get, &format!("/keys/k/{V}/attestation"), Attestation, Some("k"), Some(V)),
            (&get, "/keys/k//attestation", Attestation, Some("k"), None),
            (&post, "/rng", Random, None, None),
            (&get, "/x-skerry/floor", GetFloor, None, None),
            (&patch, "/X-Skerry/Floor", SetFloor, None, None),
        ] {
            let expected = (operation, name.map(str::to_owned), version.map(str::to_owned));
            assert_eq!(asked(method.clone(), path), Ok(expected), "{method} {path}");
        }
    }

    /// Each path that is described leads to its operations, and whatever is asked anywhere is described: paths are made of all
    /// words that this file knows.
    #[test]
    fn all_paths_are_described() {
        const V: &str = "0123456789abcdef0123456789abcdef";
        for (path, operations) in all() {
            let path = path.replace("{key-name}", "k").replace("{key-version}", V);
            for (method, operation) in operations {
                assert_eq!(asked(method.clone(), &path).map(|asked| asked.0), Ok(*operation), "{method} {path}");
            }
        }
        let described: Vec<_> = all().into_iter().flat_map(|(_, operations)| operations.iter()).collect();
        let words: std::collections::BTreeSet<_> = include_str!("route.rs").split('"').skip(1).step_by(2).collect();
        let words = || words.iter().copied().filter(|word| word.bytes().all(|byte| byte.is_ascii_lowercase()));
        for first in words() {
            for second in [None, Some("k"), Some("restore")] {
                for third in words().map(Some).chain([None, Some(V)]) {
                    let segments: Vec<_> = [Some(first), second, third].into_iter().flatten().collect();
                    for method in [Method::GET, Method::PUT, Method::POST, Method::PATCH, Method::DELETE] {
                        if let Ok((operation, ..)) = asked(method.clone(), &format!("/{}", segments.join("/"))) {
                            assert!(described.contains(&&(method.clone(), operation)), "{method} {segments:?}");
                        }
                    }
                }
            }
        }
    }

    /// Every operation at any path is counted, under the name that the description has.
    #[test]
    fn all_operations_are_counted() {
        for (_, operations) in all() {
            for (_, operation) in operations {
                let counted = operation.counted();
                assert_eq!((counted.surface(), counted.name()), ("vault", format!("{operation:?}").as_str()));
            }
        }
    }

    /// Paths that are none of the protocol's.
    #[test]
    fn other_paths_are_no_route() {
        for path in [
            "/nothing",
            "/nothing/here",
            "/keys/k/v/frobnicate",
            "/keys/k/v/create",
            "/keys/k/v/versions",
            "/keys/k//frobnicate",
            "/keys/k/v/sign/x",
            "/keys/k/sign/x/",
            "/deletedkeys/k/frobnicate",
            "/deletedkeys/k/recover/x",
            "/rng/x",
            "/x-skerry",
            "/x-skerry/floor/x",
            "/x-skerry/other",
            "/secrets",
        ] {
            assert_eq!(asked(Method::GET, path), Err(NoRoute::Path), "{path}");
        }
    }

    /// A path that takes other methods says which.
    #[test]
    fn other_methods_are_told_which() {
        let (get, put, post, delete) = (Method::GET, Method::PUT, Method::POST, Method::DELETE);
        for (method, path, allowed) in [
            (delete.clone(), "/keys", vec![&get]),
            (post.clone(), "/keys/k", vec![&get, &put, &Method::PATCH, &delete]),
            (delete.clone(), "/keys/k/v", vec![&get, &Method::PATCH]),
            (get.clone(), "/keys/k/create", vec![&post]),
            (Method::HEAD, "/keys/k//sign", vec![&post]),
            (post.clone(), "/keys/k/rotationpolicy", vec![&get, &put]),
            (Method::OPTIONS, "/deletedkeys/k", vec![&get, &delete]),
            (get.clone(), "/rng", vec![&post]),
            (put.clone(), "/x-skerry/floor", vec![&get, &Method::PATCH]),
        ] {
            assert_eq!(asked(method, path), Err(NoRoute::Method(NotAllowed::of(allowed))), "{path}");
        }
    }
}
