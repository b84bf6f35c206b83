//! Names and octets of tiles and bundles: each has one spelling, and what is read is all there is.
#![no_main]

use libfuzzer_sys::fuzz_target;
use skerry_tlog::{TileId, bundle, entries_of, hashes_of, node_of_tile};

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(tile) = TileId::parse(text)
    {
        assert_eq!(tile.to_string(), text, "a tile has one name");
        assert!((1..=256).contains(&tile.width));
    }
    let Some((width, octets)) = data.split_first() else { return };
    let width = u16::from(*width) + 1;
    if let Ok(entries) = entries_of(octets, width) {
        assert_eq!(entries.len(), usize::from(width));
        assert_eq!(bundle(entries).expect("they came out of a bundle"), octets);
    }
    if let Ok(hashes) = hashes_of(octets, width) {
        assert_eq!(hashes.concat(), octets);
        for height in 0..8 {
            let row = u64::from(width) >> height;
            let (from, len) = ((row << height) % 256, 1 << height);
            assert_eq!(node_of_tile(height, row, &hashes).is_some(), from + len <= u64::from(width));
        }
    }
});
