//! Tiles: their names, their octets, and trees and proofs that are read from them.

use crate::naive::{leaves, mth, path, subproof};
use proptest::prelude::*;
use skerry_tlog::{
    Hash, TileError, TileId, TileKind, bundle, consistency, entries_of, hashes_of, inclusion, node_of_tile, root,
    tile_of_node,
};
use std::collections::HashMap;

const LEAVES: TileKind = TileKind::Hashes { level: 0 };

/// Names are those of the specification's examples; whatever else could be meant is refused.
#[test]
fn names_have_one_spelling() {
    for (kind, index, width, expected) in [
        (LEAVES, 0, 256, "tile/0/000"),
        (LEAVES, 1_234_067, 256, "tile/0/x001/x234/067"),
        (TileKind::Hashes { level: 1 }, 5, 17, "tile/1/005.p/17"),
        (TileKind::Entries, 999, 255, "tile/entries/999.p/255"),
        (TileKind::Entries, 1000, 1, "tile/entries/x001/000.p/1"),
        (LEAVES, u64::MAX, 256, "tile/0/x018/x446/x744/x073/x709/x551/615"),
    ] {
        let tile = TileId { kind, index, width };
        assert_eq!(tile.to_string(), expected);
        assert_eq!(TileId::parse(expected), Ok(tile));
    }
    for odd in [
        "",
        "tile/0",
        "tile/0/",
        "tile/0/0",
        "tile/0/0000",
        "tile/8/000",
        "tile/00/000",
        "tile/+0/000",
        "tile/0/x000/000",
        "tile/0/001/000",
        "tile/0/x001",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000.p/",
        "tile/0/+00",
        "tile/0/x018/x446/x744/x073/x709/x551/616",
        "tile/data/000",
        "/tile/0/000",
        "tile/0/000/",
    ] {
        assert_eq!(TileId::parse(odd), Err(TileError::Path), "{odd}");
    }
}

/// The specification's own example of a tree of 70,000, and of one of 256.
#[test]
fn trees_have_the_tiles_that_the_specification_counts() {
    let of = |level, size| TileId::of_tree(TileKind::Hashes { level }, size);
    let partial = |level, index, width| Some(TileId { kind: TileKind::Hashes { level }, index, width });
    assert_eq!(of(0, 70_000), (273, partial(0, 273, 112)));
    assert_eq!(of(1, 70_000), (1, partial(1, 1, 17)));
    assert_eq!(of(2, 70_000), (0, partial(2, 0, 1)));
    assert_eq!(of(3, 70_000), (0, None));
    assert_eq!(of(0, 256), (1, None));
    assert_eq!(of(1, 256), (0, partial(1, 0, 1)));
    assert_eq!(TileId::of_tree(TileKind::Entries, 257).0, 1);
}

/// All tiles of a tree, each from the definition.
fn tiles(all: &[Hash]) -> HashMap<TileId, Vec<Hash>> {
    let size = u64::try_from(all.len()).unwrap();
    let mut tiles = HashMap::new();
    for level in 0..3_u8 {
        let kind = TileKind::Hashes { level };
        let (full, partial) = TileId::of_tree(kind, size);
        let ids = (0..full).map(|index| TileId { kind, index, width: 256 }).chain(partial);
        for id in ids {
            let span = 256_usize.pow(u32::from(level));
            let start = usize::try_from(id.index).unwrap() * 256;
            let hash = |i: usize| mth(&all[(start + i) * span..(start + i + 1) * span]);
            tiles.insert(id, (0..usize::from(id.width)).map(hash).collect());
        }
    }
    tiles
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    /// Roots and proofs from tiles alone are those of the definitions.
    #[test]
    fn proofs_come_out_of_tiles(size in 1_usize..900, pick in any::<prop::sample::Index>()) {
        let (all, index) = (leaves(size), pick.index(size));
        let (tiles, len, at) = (tiles(&all), u64::try_from(size).unwrap(), u64::try_from(index).unwrap());
        let node = |height, index| {
            let tile = tile_of_node(height, index, len);
            node_of_tile(height, index, tiles.get(&tile).ok_or(tile)?).ok_or(tile)
        };
        prop_assert_eq!(root(len, node), Ok(mth(&all)));
        prop_assert_eq!(inclusion(at, len, node), Ok(Some(path(index, &all))));
        if index > 0 {
            prop_assert_eq!(consistency(at, len, node), Ok(Some(subproof(index, &all, true))));
        }
    }

    /// What is bundled comes out again; cut or longer anywhere it is no bundle.
    #[test]
    fn bundles_come_apart(entries in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..20)) {
        let octets = bundle(entries.iter().map(Vec::as_slice)).unwrap();
        let width = u16::try_from(entries.len()).unwrap();
        prop_assert_eq!(entries_of(&octets, width).unwrap(), entries.iter().map(Vec::as_slice).collect::<Vec<_>>());
        for len in 0..octets.len() {
            let cut = matches!(entries_of(&octets[..len], width), Err(TileError::Bundle { .. }));
            prop_assert!(cut);
        }
        let longer = [octets.as_slice(), &[0]].concat();
        prop_assert_eq!(entries_of(&longer, width), Err(TileError::Bundle { entry: entries.len() }));
    }
}

/// A tile of another length than its width says is none; the longest entry is bundled, one octet more is not.
#[test]
fn lengths_are_exact() {
    let all = leaves(3);
    let octets = all.concat();
    assert_eq!(hashes_of(&octets, 3).unwrap(), all);
    for (len, width) in [(96, 2), (96, 4), (95, 3), (0, 1)] {
        let expected = usize::from(width) * 32;
        assert_eq!(hashes_of(&octets[..len], width), Err(TileError::Length { len, expected }));
    }
    let long = vec![7; skerry_tlog::limits::ENTRY_LEN_MAX + 1];
    assert!(bundle([&long[1..]]).is_ok());
    assert_eq!(bundle([long.as_slice()]), Err(TileError::EntryTooLong { len: 65_536 }));
}
