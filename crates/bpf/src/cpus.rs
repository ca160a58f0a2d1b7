//! Which CPUs there are.

use crate::Error;
use std::io;
use std::path::{Path, PathBuf};

/// A set of CPUs, in ascending order.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CpuSet(Vec<u32>);

impl CpuSet {
    /// The CPUs that are running now.
    pub fn online() -> Result<Self, Error> {
        Self::read(Path::new("/sys/devices/system/cpu/online"))
    }

    /// The CPUs that there can ever be.
    pub fn possible() -> Result<Self, Error> {
        Self::read(Path::new("/sys/devices/system/cpu/possible"))
    }

    fn read(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::CpuList { path: PathBuf::from(path), source };
        let text = std::fs::read_to_string(path).map_err(failed)?;
        Self::parse(&text).ok_or_else(|| {
            failed(io::Error::new(io::ErrorKind::InvalidData, format!("not a list of CPUs: {text:?}")))
        })
    }

    /// A list as the kernel writes them (`0-3,8`); `None` if it is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let mut cpus = Vec::new();
        for range in text.trim().split(',').filter(|range| !range.is_empty()) {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let (first, last) = (first.parse::<u32>().ok()?, last.parse::<u32>().ok()?);
            if last < first || last > 1 << 20 {
                return None;
            }
            cpus.extend(first..=last);
        }
        cpus.sort_unstable();
        cpus.dedup();
        Some(Self(cpus))
    }

    /// The CPUs in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().copied()
    }

    /// Whether a CPU is among them.
    pub fn contains(&self, cpu: u32) -> bool {
        self.0.binary_search(&cpu).is_ok()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_as_the_kernel_writes_them() {
        let cpus = CpuSet::parse("0-2,5,7-8\n").expect("a list");
        assert_eq!(cpus.iter().collect::<Vec<_>>(), [0, 1, 2, 5, 7, 8]);
        assert!(cpus.contains(5) && !cpus.contains(6));
        assert!(CpuSet::parse("").expect("an empty list").is_empty());
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for text in ["a", "1-", "-", "3-1", "0-99999999999", "0-9999999"] {
            assert_eq!(CpuSet::parse(text), None, "{text}");
        }
    }

    #[test]
    fn this_machine_has_a_cpu() {
        assert!(!CpuSet::online().expect("sysfs is mounted").is_empty());
    }
}
