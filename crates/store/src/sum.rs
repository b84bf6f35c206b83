//! One authenticated sum over every row of a redb file: what shows at the next opening that rows were put back, taken
//! away or brought in while the file was closed, or beside us while it was open.
//!
//! ```text
//! of an entry:  HMAC-SHA256(rows key, 1 || length of key, 4 octets || key || row)
//! of an op id:  HMAC-SHA256(rows key, 2 || revision, 8 octets || row)
//! sum:          these as numbers of 256 bits, added up modulo 2^256
//!
//! table "sum": () -> 48 octets
//!    0  16  KEK id of the sum key
//!   16  32  HMAC-SHA256(sum key, sum)
//! ```
//!
//! Keys are the root's KEKs of the labels "store rows" and "store sum" and an id of zeros; numbers are big endian.
//!
//! A change takes what a row was out of the sum and adds what it is, so it costs the rows that change and not those that
//! are there. The sum itself is nowhere in the file: who saw it could shift it by the difference of two states that he
//! also saw. Whoever opens adds up anew, so its tag is enough; docs/decisions/009 says why it is not sealed instead.

use crate::error::StoreError;
use crate::row::{OP_LEN, SUM_LEN};
use crate::seal::Root;
use aws_lc_rs::hmac::{self, Context, HMAC_SHA256, Key};
use zeroize::Zeroizing;

/// The sum of the rows that were added and not taken away again. No Debug, no Clone; wiped when dropped.
pub(crate) struct Sum {
    rows: Key,
    whole: Key,
    root: [u8; ROOT_LEN],
    total: Zeroizing<Number>,
}

impl Sum {
    /// Of no rows, under the keys of this root.
    pub(crate) fn new(root: &Root) -> Self {
        let (rows, _) = root.kek(ROWS, &[0; 16]);
        let (whole, id) = root.kek(WHOLE, &[0; 16]);
        let key = |octets: &[u8; 32]| Key::new(HMAC_SHA256, octets);
        Self { rows: key(&rows), whole: key(&whole), root: id, total: Zeroizing::default() }
    }

    /// Adds an entry's row.
    pub(crate) fn add_entry(&mut self, key: &[u8], row: &[u8]) {
        self.add(self.of_entry(key, row));
    }

    /// Takes an entry's row away.
    pub(crate) fn take_entry(&mut self, key: &[u8], row: &[u8]) {
        self.take(self.of_entry(key, row));
    }

    /// Adds an op id's row.
    pub(crate) fn add_op(&mut self, revision: u64, row: &[u8; OP_LEN]) {
        self.add(self.of_op(revision, row));
    }

    /// Takes an op id's row away.
    pub(crate) fn take_op(&mut self, revision: u64, row: &[u8; OP_LEN]) {
        self.take(self.of_op(revision, row));
    }

    /// What the file keeps of it.
    pub(crate) fn to_row(&self) -> [u8; SUM_LEN] {
        let mut row = [0; SUM_LEN];
        let tag = hmac::sign(&self.whole, self.octets().as_slice());
        row.iter_mut().zip(self.root.iter().chain(tag.as_ref())).for_each(|(to, from)| *to = *from);
        row
    }

    /// Refuses what was written under another root, whatever the rows are.
    pub(crate) fn check_root(&self, row: &[u8; SUM_LEN]) -> Result<(), StoreError> {
        if row.starts_with(&self.root) { Ok(()) } else { Err(StoreError::OtherRoot) }
    }

    /// Refuses unless this was written of the same rows, under the same root.
    pub(crate) fn check(&self, row: &[u8; SUM_LEN]) -> Result<(), StoreError> {
        self.check_root(row)?;
        let (_, tag) = row.split_first_chunk::<ROOT_LEN>().ok_or(StoreError::Altered)?;
        hmac::verify(&self.whole, self.octets().as_slice(), tag).map_err(|_| StoreError::Altered)
    }

    fn of_entry(&self, key: &[u8], row: &[u8]) -> Number {
        // Infallible: keys are far shorter, and so are those that redb can hold.
        let len = u32::try_from(key.len()).unwrap_or(u32::MAX);
        self.of(&[&[ENTRY], &len.to_be_bytes(), key, row])
    }

    fn of_op(&self, revision: u64, row: &[u8; OP_LEN]) -> Number {
        self.of(&[&[OP], &revision.to_be_bytes(), row])
    }

    fn of(&self, parts: &[&[u8]]) -> Number {
        let mut context = Context::with_key(&self.rows);
        parts.iter().for_each(|part| context.update(part));
        number(context.sign().as_ref())
    }

    fn add(&mut self, row: Number) {
        combine(&mut self.total, row, u64::overflowing_add);
    }

    fn take(&mut self, row: Number) {
        combine(&mut self.total, row, u64::overflowing_sub);
    }

    fn octets(&self) -> Zeroizing<[u8; 32]> {
        let mut octets = Zeroizing::new([0; 32]);
        let limbs = self.total.iter().rev().flat_map(|limb| limb.to_be_bytes());
        octets.iter_mut().zip(limbs).for_each(|(to, from)| *to = from);
        octets
    }
}

/// 256 bits, the lowest 64 first.
type Number = [u64; 4];

fn number(octets: &[u8]) -> Number {
    let mut number = [0; 4];
    for (limb, octets) in number.iter_mut().zip(octets.rchunks(8)) {
        *limb = octets.iter().fold(0, |limb: u64, octet| limb << 8 | u64::from(*octet));
    }
    number
}

/// Adds or subtracts modulo 2^256: limb by limb, each with what the one below carries.
fn combine(total: &mut Number, by: Number, step: impl Fn(u64, u64) -> (u64, bool)) {
    let mut carry = false;
    for (limb, by) in total.iter_mut().zip(by) {
        let (first, one) = step(*limb, by);
        let (second, other) = step(first, u64::from(carry));
        (*limb, carry) = (second, one || other);
    }
}

/// Label of the key that makes a number of each row.
const ROWS: &str = "store rows";
/// Label of the key that authenticates the sum of them.
const WHOLE: &str = "store sum";
const ENTRY: u8 = 1;
const OP: u8 = 2;
const ROOT_LEN: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_wrap_and_carry() {
        // As numbers of 256 bits do, in both directions.
        let (one, most) = ([1, 0, 0, 0], [u64::MAX; 4]);
        for (left, right, sum) in [
            (one, most, [0; 4]),
            ([u64::MAX, 0, 7, 0], one, [0, 1, 7, 0]),
            ([u64::MAX, u64::MAX, 0, 0], one, [0, 0, 1, 0]),
            (most, most, [u64::MAX - 1, u64::MAX, u64::MAX, u64::MAX]),
            ([5, u64::MAX, 0, 0], [u64::MAX, u64::MAX, 1, 0], [4, u64::MAX, 2, 0]),
        ] {
            let mut total = left;
            combine(&mut total, right, u64::overflowing_add);
            assert_eq!(total, sum);
            combine(&mut total, right, u64::overflowing_sub);
            assert_eq!(total, left);
        }
    }

    #[test]
    fn numbers_are_big_endian() {
        // The last octet is the lowest.
        let octets: Vec<u8> = (0..32).collect();
        let number = number(&octets);
        assert_eq!((number[0], number[3]), (0x1819_1a1b_1c1d_1e1f, 0x0001_0203_0405_0607));
        let sum = Sum { total: Zeroizing::new(number), ..Sum::new(&Root::new(Zeroizing::new([1; 32]))) };
        assert_eq!(sum.octets().as_slice(), octets);
    }
}
