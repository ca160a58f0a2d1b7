//! The tables that give each instruction of a function a number: `pcvalue` in `runtime/symtab.go`.

use gimli::{Reader, Result};

/// What instructions have of which a table says nothing.
pub const NONE: i32 = -1;

/// The numbers of a table, each with where it ends to be valid.
#[derive(Debug)]
pub struct Runs<R> {
    table: R,
    quantum: u64,
    end: u64,
    value: i32,
    is_first: bool,
}

impl<R: Reader> Runs<R> {
    /// The reader stands where the table begins; distances between instructions are multiples of `quantum`.
    pub fn new(table: R, quantum: u8) -> Self {
        Self { table, quantum: quantum.into(), end: 0, value: NONE, is_first: true }
    }

    /// The next number, and how far from where the function begins the first instruction is for which it is not valid any
    /// more; `None` at the end of the table.
    ///
    /// # Errors
    ///
    /// If the table ends too soon.
    pub fn next_run(&mut self) -> Result<Option<(u64, i32)>> {
        let change = self.table.read_uleb128()? as u32;
        if change == 0 && !self.is_first {
            return Ok(None);
        }
        self.is_first = false;
        // Zigzag: the lowest bit is the sign.
        self.value = self.value.wrapping_add((change >> 1) as i32 ^ -((change & 1) as i32));
        let length = self.table.read_uleb128()?.saturating_mul(self.quantum);
        self.end = self.end.saturating_add(length);
        Ok(Some((self.end, self.value)))
    }
}

/// The numbers of some instructions, by their ascending distances from where the function begins. The reader stands
/// where the table begins.
///
/// # Errors
///
/// If the table ends too soon.
pub fn values(table: impl Reader, quantum: u8, wanted: &[u32]) -> Result<Vec<i32>> {
    let mut values = Vec::with_capacity(wanted.len());
    let mut runs = Runs::new(table, quantum);
    while values.len() < wanted.len()
        && let Some((end, value)) = runs.next_run()?
    {
        while let Some(&next) = wanted.get(values.len())
            && u64::from(next) < end
        {
            values.push(value);
        }
    }
    values.resize(wanted.len(), NONE);
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gimli::{EndianSlice, LittleEndian};
    use proptest::prelude::*;

    fn of(table: &[u8], quantum: u8, wanted: &[u32]) -> Result<Vec<i32>> {
        values(EndianSlice::new(table, LittleEndian), quantum, wanted)
    }

    #[test]
    fn each_value_is_valid_up_to_the_next() {
        // +5, -2, +64: at 4, 10, 300.
        let table = [12, 4, 3, 6, 0x80, 1, 0xa2, 2, 0];
        assert_eq!(of(&table, 1, &[0, 3, 4, 9, 10, 299, 300]).unwrap(), [5, 5, 3, 3, 67, 67, -1]);
        assert_eq!(of(&table, 4, &[15, 16]).unwrap(), [5, 3]);
        assert_eq!(of(&[0, 8, 0], 1, &[2, 8]).unwrap(), [-1, -1], "the first change may be none");
        assert!(of(&table[..5], 1, &[200]).is_err(), "it ends too soon");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(table in prop::collection::vec(any::<u8>(), 0..60), quantum in 1u8..5, wanted in prop::collection::btree_set(any::<u32>(), 0..9)) {
            let wanted: Vec<u32> = wanted.into_iter().collect();
            if let Ok(values) = of(&table, quantum, &wanted) {
                prop_assert_eq!(values.len(), wanted.len());
            }
        }
    }
}
