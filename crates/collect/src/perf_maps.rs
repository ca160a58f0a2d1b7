//! Names of code that was made while its process ran, from the perf maps that just-in-time compilers write.

use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};
use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant};
use telegen_model::ProcessKey;
use telegen_process::{Error, PerfMapFile, ProcFs};
use telegen_symbolize::PerfMapParser;

/// Bytes of a map that are read; that of a large Java service has some 20 MiB.
const MAX_BYTES: u64 = 64 << 20;
const PIECE_BYTES: usize = 64 << 10;
/// How long a map may take to read: it may lie on a file system that is the process's own.
const MAX_TIME: Duration = Duration::from_secs(1);

/// A name, or that there is none.
pub(crate) type Name = Option<Arc<str>>;

/// The names that were asked for of all processes that had generated code in the last interval.
#[derive(Debug, Default)]
pub(crate) struct PerfMaps {
    proc: ProcFs,
    known: HashMap<ProcessKey, Known, RandomState>,
    used: HashSet<ProcessKey, RandomState>,
    pub(crate) failures: PerfMapFailures,
}

/// Maps that could not be read in full, by reason.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct PerfMapFailures {
    pub(crate) untrusted: u64,
    pub(crate) too_large: u64,
    pub(crate) too_slow: u64,
}

#[derive(Debug)]
struct Known {
    /// What was read: the file, and how long it was.
    read: ((u64, u64), u64),
    names: HashMap<u64, Name, RandomState>,
}

impl PerfMaps {
    /// The names at addresses of a process, which ascend. What the map does not say, or what cannot be asked for any
    /// more, has none.
    pub(crate) fn names(&mut self, process: &ProcessKey, addresses: &[u64]) -> Vec<Name> {
        self.used.insert(*process);
        if let Some((map, length)) = self.open(process) {
            let read = (map.identity, length);
            let known = self.known.get(process);
            // An address may have become another function since, but then the map is longer, too.
            let current = known.is_some_and(|known| {
                known.read == read && addresses.iter().all(|address| known.names.contains_key(address))
            });
            if !current {
                let names = addresses.iter().copied().zip(self.read(map, addresses)).collect();
                self.known.insert(*process, Known { read, names });
            }
        }
        let known = self.known.get(process);
        addresses.iter().map(|address| known?.names.get(address)?.clone()).collect()
    }

    /// Forgets processes that had no generated code since the last call.
    pub(crate) fn sweep(&mut self) {
        let used = std::mem::take(&mut self.used);
        self.known.retain(|process, _| used.contains(process));
    }

    fn open(&mut self, process: &ProcessKey) -> Option<(PerfMapFile, u64)> {
        let pid = process.id.pid;
        let map = match PerfMapFile::open(&self.proc, pid) {
            Ok(map) => map?,
            Err(Error::Untrusted { .. } | Error::NotRegular { .. }) => {
                self.failures.untrusted += 1;
                return None;
            }
            Err(_) => return None,
        };
        // The pid may be another process's by now, and then so is the map.
        let ticks = self.proc.stat(pid).ok()?.start_ticks;
        let length = map.file.metadata().ok()?.len();
        process.id.start.same_tick(ticks).then_some((map, length))
    }

    fn read(&mut self, map: PerfMapFile, addresses: &[u64]) -> Vec<Name> {
        let begun = Instant::now();
        let mut parser = PerfMapParser::new(addresses);
        let mut file = map.file.take(MAX_BYTES);
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            match file.read(&mut piece) {
                // What was found until then is better than nothing.
                Ok(0) | Err(_) => break,
                Ok(bytes) if !parser.push(&piece[..bytes]) => break,
                Ok(_) if begun.elapsed() > MAX_TIME => {
                    self.failures.too_slow += 1;
                    break;
                }
                Ok(_) => {}
            }
        }
        self.failures.too_large += u64::from(file.limit() == 0);
        let found = parser.finish();
        self.failures.too_slow += u64::from(found.too_costly);
        found.names
    }
}
