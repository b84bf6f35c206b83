//! Backups of a server, as they are read without a key, and the chunks in them, as whoever has the certificates can make them. An
//! input is the plaintext of a chunk, and a file.
#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use skerry_backup::{Backup, Part};
use skerry_store::Exported;

fuzz_target!(|data: &[u8]| {
    if let Some(Part::Rows(rows)) = Part::parse(data) {
        let len: usize = rows.iter().map(len).sum();
        assert_eq!(len + 1, data.len(), "each octet belongs to a row");
    }
    let mut told = 0;
    let Ok(backup) = Backup::open(Cursor::new(data), |octets| told += octets) else { return };
    assert_eq!((told, backup.octets()), (backup.octets(), data.len() as u64));
    assert!(!backup.recipients().is_empty() && backup.chunks() > 0);
});

/// Octets that a row has in a chunk.
fn len(row: &Exported) -> usize {
    match row {
        Exported::Entry(row) => 2 + row.key.len() + 4 + 24 + row.entry.value.len(),
        Exported::Op { .. } => 8 + 17,
    }
}
