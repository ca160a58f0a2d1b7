//! Any bytes as a rule, registers, memory and a table.

use telegen_unwind::RawRule;

/// What a search and a step are given.
pub(crate) struct Input<'a> {
    pub(crate) position: u32,
    pub(crate) rule: RawRule,
    pub(crate) pc: u64,
    pub(crate) sp: u64,
    pub(crate) fp: Option<u64>,
    pub(crate) other: Option<u64>,
    /// Where `rbx` has been saved, or what stands for that.
    pub(crate) rbx_at: u64,
    /// How often the walk has gone on on another stack.
    pub(crate) switches: u8,
    /// Where the thread's local storage ends.
    pub(crate) thread: u64,
    /// Memory, which repeats.
    pub(crate) words: Vec<u64>,
    /// Whole blocks, and a part of one.
    pub(crate) table: &'a [u8],
}

impl<'a> Input<'a> {
    pub(crate) fn of(mut bytes: &'a [u8]) -> Self {
        let position = u32::from_le_bytes(take(&mut bytes));
        let raw: [u8; 16] = take(&mut bytes);
        let half = |at: usize| i16::from_le_bytes([raw[at], raw[at + 1]]);
        let rule = RawRule {
            kind: raw[0],
            register: raw[1],
            frame_pointer: raw[2],
            return_address: raw[3],
            cfa_offset: i32::from_le_bytes([raw[4], raw[5], raw[6], raw[7]]),
            cfa_added: half(8),
            frame_pointer_offset: half(10),
            return_address_offset: half(12),
            rbx: half(14),
        };
        let [pc, sp, fp, other, rbx_at] = [(); 5].map(|()| u64::from_le_bytes(take(&mut bytes)));
        let [known, words]: [u8; 2] = take(&mut bytes);
        let words: Vec<u64> = (0..words % 32).map(|_| u64::from_le_bytes(take(&mut bytes))).collect();
        let thread = words.first().copied().unwrap_or_default();
        let [fp, other] = [(fp, 1), (other, 2)].map(|(value, bit)| (known & bit != 0).then_some(value));
        Self { position, rule, pc, sp, fp, other, rbx_at, switches: known >> 2, thread, words, table: bytes }
    }

    /// The word at an address, if it can be read.
    pub(crate) fn word(&self, address: u64) -> Option<u64> {
        let readable = !self.words.is_empty() && !address.is_multiple_of(7);
        readable.then(|| self.words[address as usize % self.words.len()])
    }
}

/// The next bytes; zeros where there are none left.
fn take<const N: usize>(bytes: &mut &[u8]) -> [u8; N] {
    let (taken, rest) = bytes.split_at(N.min(bytes.len()));
    *bytes = rest;
    std::array::from_fn(|at| taken.get(at).copied().unwrap_or_default())
}
