//! Each string once.

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

/// The place of a string in a [`StringTable`]; `StringId(0)` is the empty string.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct StringId(pub u32);

/// Strings, each held once, in the order in which they were first seen; the empty string is always first.
///
/// This is the string table of pprof and of OTLP profiles, so encoders write it out as it stands.
#[derive(Clone, Debug)]
pub struct StringTable {
    bytes: String,
    /// End of each string in `bytes`; its start is the end of the one before.
    ends: Vec<u32>,
    index: HashTable<u32>,
    hasher: FixedState,
}

impl StringTable {
    /// A table that holds the empty string only.
    pub fn new() -> Self {
        let mut table = Self {
            bytes: String::new(),
            ends: Vec::new(),
            index: HashTable::new(),
            hasher: FixedState::default(),
        };
        table.intern("");
        table
    }

    /// The id of `string`, which is added if it is new.
    pub fn intern(&mut self, string: &str) -> StringId {
        let hash = self.hasher.hash_one(string);
        if let Some(&id) = self.index.find(hash, |&id| slice(&self.bytes, &self.ends, id) == string) {
            return StringId(id);
        }
        let id = u32::try_from(self.ends.len()).expect("fewer than 2^32 strings fit in memory");
        self.bytes.push_str(string);
        self.ends.push(u32::try_from(self.bytes.len()).expect("a profile's strings are far below 4 GiB"));
        let (bytes, ends, hasher) = (&self.bytes, &self.ends, &self.hasher);
        self.index.insert_unique(hash, id, |&id| hasher.hash_one(slice(bytes, ends, id)));
        StringId(id)
    }

    /// The string behind an id of this table.
    ///
    /// # Panics
    ///
    /// If the id is another table's and lies beyond the end of this one.
    pub fn get(&self, id: StringId) -> &str {
        slice(&self.bytes, &self.ends, id.0)
    }

    /// How many strings there are; at least 1.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Never true: the empty string is always there.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// All strings in the order of their ids.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        (0..self.ends.len() as u32).map(|id| slice(&self.bytes, &self.ends, id))
    }
}

impl Default for StringTable {
    fn default() -> Self {
        Self::new()
    }
}

fn slice<'a>(bytes: &'a str, ends: &[u32], id: u32) -> &'a str {
    let id = id as usize;
    let start = if id == 0 { 0 } else { ends[id - 1] as usize };
    &bytes[start..ends[id] as usize]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_empty_string_is_string_zero() {
        let mut table = StringTable::new();
        assert_eq!(table.intern(""), StringId(0));
        assert_eq!(table.len(), 1);
    }

    proptest! {
        #[test]
        fn equal_strings_share_an_id_and_different_ones_do_not(strings in prop::collection::vec("[a-c]{0,3}", 0..40)) {
            let mut table = StringTable::new();
            let ids: Vec<_> = strings.iter().map(|s| table.intern(s)).collect();
            for (a, id_a) in strings.iter().zip(&ids) {
                prop_assert_eq!(table.get(*id_a), a);
                for (b, id_b) in strings.iter().zip(&ids) {
                    prop_assert_eq!(a == b, id_a == id_b);
                }
            }
        }
    }
}
