//! What earlier versions wrote: it is served, backed up and restored, or refused by its name. The folders are in tests/formats, whose
//! README says which program wrote each; none is ever made anew.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use skerry_store::seal::Root;
use skerry_store::{At, Store};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::backup::{Kept, make, released, status};
use super::*;

fn formats(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats").join(name)
}

/// Those that are read, oldest first.
const FOLDERS: [&str; 4] = ["memory-1", "version-1", "version-2", "memory-3"];

/// A site whose data folder an earlier version wrote, under the same root key.
fn of(format: &str) -> Kept {
    let kept = Kept::new();
    std::fs::DirBuilder::new().mode(0o700).create(kept.site.path("data/audit")).unwrap();
    std::fs::copy(formats(format).join("store.redb"), kept.site.path("data/store.redb")).unwrap();
    std::fs::copy(formats(format).join("audit.log"), kept.site.path("data/audit/audit.log")).unwrap();
    kept
}

/// The second octet of a record, in the clear: the number of its form, behind the CBOR array's head.
fn form(kept: &Kept, label: &str, id: &[u8; 16], prefix: &[u8]) -> u8 {
    let root = Root::new(Zeroizing::new([0x5a; 32]));
    let options = skerry_store::Options::new(|failure| panic!("{failure}"));
    let store = Store::open(&kept.site.path("data/store.redb"), &root, options).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let rows = runtime.block_on(store.range(prefix, None, 1, At::Linearizable)).unwrap().rows;
    root.sealer(label, id).open(&rows[0].key, &rows[0].entry.value).unwrap()[1]
}

/// Each folder is what the README says: else nothing is shown by reading it.
#[test]
fn folders_are_of_their_time() {
    let vault = Uuid::parse_str("6b1f0c1e-3f0f-4f43-9d7e-0b8a3d2f9c11").unwrap();
    let versions = [b"v/".as_slice(), vault.as_bytes(), b"/m/"].concat();
    for (format, memory, version) in [("memory-1", 1, 1), ("version-1", 2, 1), ("version-2", 2, 2), ("memory-3", 3, 2)]
    {
        let kept = of(format);
        assert_eq!(form(&kept, "skerry installation", &[0; 16], b"meta/memory"), memory, "{format}");
        assert_eq!(form(&kept, "vault records", vault.as_bytes(), &versions), version, "{format}");
    }
}

/// Keys are there as they were: one goes to its TEE, another gets one more version, one is deleted.
fn is_served(kept: &Kept) {
    let served = kept.site.start();
    assert!(!released(&served).is_empty());
    assert_eq!([status(&served, "plain"), status(&served, "deleted"), status(&served, "other")], [200, 404, 404]);
    make(&served, "plain");
    let (status, complaints) = served.running.stop("TERM");
    assert_eq!(status.code(), Some(0), "{complaints}");
    kept.json("verify --config @skerry.toml");
}

/// The memory without a checkpoint and without the log's tree, versions without an origin: all are read, and go on.
#[test]
fn earlier_folders_are_served() {
    for format in FOLDERS {
        let kept = of(format);
        kept.json("verify --config @skerry.toml");
        is_served(&kept);
        is_served(&kept);
    }
}

/// Backed up as they are, and restored: the backup of an earlier version's rows is a backup as any.
#[test]
fn earlier_folders_are_backed_up() {
    for format in FOLDERS {
        let kept = of(format);
        kept.backup("made.skb");
        let found = kept.json("verify-backup @made.skb --recovery-key @recovery.key");
        assert_eq!((&found["rows"], &found["rows_of_unknown_keys"]), (&found["rows_opened"], &json!(0)), "{format}");
        kept.json("restore @made.skb --recovery-key @recovery.key --data @new --after @data");
        kept.moved("new", "root.key");
        is_served(&kept);
    }
}

/// A store of format 1 had no sum over its rows. One that was made of it now would vouch for whatever is in it: it is refused by all.
#[test]
fn stores_without_a_sum_are_refused() {
    let kept = of("store-1");
    for command in ["serve --config @skerry.toml", "verify --config @skerry.toml"] {
        kept.refuses(command, 4, &["unknown store format 1"]);
    }
    let backup = "backup --config @skerry.toml --to @made.skb --recovery-cert @recovery.pem";
    kept.refuses(backup, 4, &["unknown store format 1"]);
}

/// A backup of format 1, to a recovery key that is there beside it.
#[test]
fn earlier_backups_are_restored() {
    let kept = Kept::new();
    std::fs::copy(formats("backup-1").join("backup.skb"), kept.site.path("made.skb")).unwrap();
    std::fs::copy(formats("backup-1").join("recovery.key"), kept.site.path("earlier.key")).unwrap();
    let about = kept.json("verify-backup @made.skb --recovery-key @earlier.key");
    let made = about["made"].as_str().unwrap();
    let restore = format!("restore @made.skb --recovery-key @earlier.key --data @new --accept-loss-since {made}");
    kept.json(&restore);
    kept.moved("new", "root.key");
    is_served(&kept);
}
