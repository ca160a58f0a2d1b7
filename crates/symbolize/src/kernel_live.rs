//! The kernel's symbols as they are now: modules and BPF programs come and go.

use crate::{Error, KernelSymbols};
use foldhash::fast::RandomState;
use hashbrown::HashSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long symbols are good for at the least. Reading them takes some 60 ms.
const SHORTEST_WAIT: Duration = Duration::from_secs(10);
/// How long at the most, if reading them again has told nothing new.
const LONGEST_WAIT: Duration = Duration::from_secs(20 * 60);
/// Addresses that are remembered as looked at.
const MAX_SEEN: usize = 1 << 14;

/// Symbols that are read when they are first wanted, and again when an address is met that they may not explain.
///
/// `/proc/kallsyms` says where functions begin, not where they end. So an address behind the last function of a module or
/// among BPF programs may be in something that was loaded later. Each such address is a reason to read it again, once,
/// and the less often the more often there was nothing new.
#[derive(Debug)]
pub struct LiveKernelSymbols {
    path: PathBuf,
    held: Option<Held>,
    wait: Duration,
    readings: u64,
}

#[derive(Debug)]
struct Held {
    symbols: KernelSymbols,
    read: Instant,
    /// Addresses that are explained as well as may be.
    seen: HashSet<u64, RandomState>,
}

impl LiveKernelSymbols {
    /// Symbols from a file in the format of `/proc/kallsyms`. It is not read yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), held: None, wait: SHORTEST_WAIT, readings: 0 }
    }

    /// The symbols, read again if that may help to explain some of the addresses.
    ///
    /// # Errors
    ///
    /// If they cannot be read at first. If they cannot be read again, what is known remains.
    pub fn explaining(
        &mut self,
        addresses: impl Iterator<Item = u64> + Clone,
        now: Instant,
    ) -> Result<&KernelSymbols, Error> {
        let is_due = match &self.held {
            None => true,
            Some(held) => {
                now.saturating_duration_since(held.read) >= self.wait
                    && addresses.clone().any(|address| held.is_reason_to_read(address))
            }
        };
        if is_due {
            self.read(now)?;
        }
        let path = &self.path;
        let held = self
            .held
            .as_mut()
            .ok_or_else(|| Error::Read { path: path.clone(), source: std::io::ErrorKind::NotFound.into() })?;
        if is_due {
            for address in addresses {
                held.see(address);
            }
        }
        Ok(&held.symbols)
    }

    fn read(&mut self, now: Instant) -> Result<(), Error> {
        let symbols = match KernelSymbols::read_from(&self.path) {
            Ok(symbols) => symbols,
            Err(error) if self.held.is_none() => return Err(error),
            Err(_) => KernelSymbols::default(),
        };
        self.readings += 1;
        let before = self.held.take();
        self.wait = match &before {
            Some(before) if symbols.is_empty() || before.symbols.is_same_as(&symbols) => {
                (self.wait * 2).min(LONGEST_WAIT)
            }
            _ => SHORTEST_WAIT,
        };
        self.held = Some(match before {
            Some(before) if symbols.is_empty() => Held { read: now, ..before },
            Some(before) => Held { symbols, read: now, seen: before.seen },
            None => Held { symbols, read: now, seen: HashSet::default() },
        });
        Ok(())
    }

    /// Drops them; they are read again when they are wanted.
    pub fn clear(&mut self) {
        self.held = None;
    }

    /// How often they were read.
    pub fn readings(&self) -> u64 {
        self.readings
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.held.as_ref().map_or(0, |held| held.symbols.bytes() + held.seen.allocation_size())
    }
}

impl Held {
    fn is_reason_to_read(&self, address: u64) -> bool {
        !self.symbols.is_sure_of(address) && !self.seen.contains(&address)
    }

    fn see(&mut self, address: u64) {
        if self.symbols.is_sure_of(address) {
            return;
        }
        if self.seen.len() >= MAX_SEEN {
            self.seen.clear();
        }
        self.seen.insert(address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const CORE: &str = "ffffffff81000000 T _text\nffffffff81000100 T do_work\nffffffff81000200 T end_of_it\n";
    const MODULE: &str = "ffffffffc0000000 t first\t[mod]\nffffffffc0000100 t last\t[mod]\n";
    const PROGRAM: &str = "ffffffffc0001000 t bpf_prog_1_x\t[bpf]\n";

    struct Fixture {
        directory: tempfile::TempDir,
        live: LiveKernelSymbols,
        now: Instant,
    }

    impl Fixture {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let live = LiveKernelSymbols::new(directory.path().join("kallsyms"));
            Self { directory, live, now: Instant::now() }
        }

        fn write(&self, parts: &[&str]) {
            fs::write(self.directory.path().join("kallsyms"), parts.concat()).unwrap();
        }

        /// The name at an address some seconds later.
        fn name(&mut self, address: u64, seconds: u64) -> Option<String> {
            self.now += Duration::from_secs(seconds);
            let symbols = self.live.explaining([address].into_iter(), self.now).unwrap();
            symbols.lookup(address).map(|symbol| symbol.name.to_owned())
        }
    }

    #[test]
    fn what_is_loaded_later_gets_its_name() {
        let mut fixture = Fixture::new();
        fixture.write(&[CORE, MODULE]);
        assert_eq!(fixture.name(0xffff_ffff_8100_0110, 0).as_deref(), Some("do_work"));
        fixture.write(&[CORE, MODULE, PROGRAM]);
        assert_eq!(fixture.name(0xffff_ffff_8100_0110, 60).as_deref(), Some("do_work"));
        assert_eq!(fixture.name(0xffff_ffff_c000_0010, 60).as_deref(), Some("first"));
        assert_eq!(fixture.live.readings(), 1, "all that was certain");
        assert_eq!(fixture.name(0xffff_ffff_c000_1010, 1).as_deref(), Some("bpf_prog_1_x"));
        assert_eq!(fixture.live.readings(), 2);
    }

    #[test]
    fn what_cannot_be_explained_is_asked_for_ever_less_often() {
        let mut fixture = Fixture::new();
        fixture.write(&[CORE, MODULE]);
        let unknown = 0xffff_ffff_c080_0000;
        for second in 0..3600 {
            fixture.name(unknown + second, 1);
        }
        let readings = fixture.live.readings();
        assert!((5..12).contains(&readings), "{readings} in an hour");
        for _ in 0..3600 {
            fixture.name(unknown + 3599, 1);
        }
        assert!(fixture.live.readings() <= readings + 1, "the same address is no new reason");
        fixture.write(&[CORE, MODULE, PROGRAM]);
        fixture.name(unknown + 7_000, 3600);
        assert_eq!(fixture.live.wait, SHORTEST_WAIT, "something was new");
        assert!(fixture.live.bytes() > 0);
        fixture.live.clear();
        assert_eq!(fixture.live.bytes(), 0);
    }

    #[test]
    fn what_cannot_be_read_again_is_kept() {
        let mut fixture = Fixture::new();
        let now = fixture.now;
        assert!(fixture.live.explaining([1].into_iter(), now).is_err());
        fixture.write(&[CORE]);
        fixture.name(0xffff_ffff_8100_0110, 0);
        fs::remove_file(fixture.directory.path().join("kallsyms")).unwrap();
        fixture.name(0xffff_ffff_c000_0000, 60);
        assert_eq!(fixture.name(0xffff_ffff_8100_0110, 0).as_deref(), Some("do_work"));
        assert_eq!(fixture.live.readings(), 2);
    }
}
