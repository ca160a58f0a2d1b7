//! Entries of processes whose release the programs have not seen.

use crate::Error;
use crate::abi::{RawProcess, is_over, read_field, token_of};
use libbpf_rs::{MapCore, MapFlags, MapHandle};
use std::collections::HashSet;
use telegen_model::{KernelKey, Pid, Token};

/// So many entries are read at a time.
const PORTION: u32 = 256;

/// An entry whose process has ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Leftover {
    /// Where it stands in the kernel's table.
    pub key: KernelKey,
    /// The last program image of the process.
    pub token: Token,
}

/// Finds entries that have been left over in the kernel's table.
///
/// The programs delete an entry when its process is released. Programs are not run everywhere: a kernel may shield a
/// process from them, and what it releases in interrupts of that process they do not hear of.
pub struct Leftovers {
    processes: MapHandle,
    /// Those that had ended when they were last looked for. They may only have been waiting to be released.
    ended: HashSet<Leftover>,
}

impl Leftovers {
    pub(crate) fn new(processes: MapHandle) -> Self {
        Self { processes, ended: HashSet::new() }
    }

    /// The entries whose process has ended, is gone as `is_gone` says of the pid in the agent's namespace, and was so when this
    /// was last asked. Whoever has ended and has not been waited for is there still.
    ///
    /// # Errors
    ///
    /// If the table cannot be read.
    pub fn find(&mut self, is_gone: impl Fn(Pid) -> bool) -> Result<Vec<Leftover>, Error> {
        let failed = |source: libbpf_rs::Error| Error::Kernel {
            action: "reading the kernel's table of processes",
            source: std::io::Error::other(source),
        };
        let mut ended = HashSet::new();
        for (key, entry) in
            self.processes.lookup_batch(PORTION, MapFlags::ANY, MapFlags::ANY).map_err(failed)?
        {
            ended.extend(ended_process(&key, &entry).filter(|(_, pid)| is_gone(*pid)).map(|(left, _)| left));
        }
        let left = ended.intersection(&self.ended).copied().collect();
        self.ended = ended;
        Ok(left)
    }
}

/// Who has ended, and the pid in the agent's namespace.
fn ended_process(key: &[u8], entry: &[u8]) -> Option<(Leftover, Pid)> {
    if entry.len() < size_of::<RawProcess>() {
        return None;
    }
    let word = read_field!(entry, RawProcess, word, u64);
    let pid = Pid(read_field!(entry, RawProcess, pid, u32));
    let key = KernelKey(u32::from_ne_bytes(key.try_into().ok()?));
    is_over(word).then(|| (Leftover { key, token: token_of(word) }, pid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_that_of_a_process_which_has_ended_if_its_word_says_so() {
        let entry = |word: u64| {
            let mut entry = [0; 40];
            entry[..8].copy_from_slice(&word.to_ne_bytes());
            entry[16..20].copy_from_slice(&9u32.to_ne_bytes());
            entry
        };
        let key = 7u32.to_ne_bytes();
        // c/abi.h: 2 is "skip", 0x20 "its last thread is past its exit".
        let left = Leftover { key: KernelKey(7), token: Token(5) };
        assert_eq!(ended_process(&key, &entry(5 << 16 | 0x22)), Some((left, Pid(9))));
        assert_eq!(ended_process(&key, &entry(5 << 16 | 0x02)), None);
        assert_eq!(ended_process(&key, &[0; 7]), None);
    }
}
