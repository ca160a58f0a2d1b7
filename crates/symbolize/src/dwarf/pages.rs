//! A file in pages, of which a bounded number is held, and a bound on the work done with them.

use gimli::{Error, Result};
use std::cell::{Cell, RefCell};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Bytes of a page. Smaller ones cost more calls, larger ones more copying where strings are picked from all over.
pub(crate) const PAGE_BYTES: u64 = 16 << 10;

/// What may still be done: one unit is about one number read, some nanoseconds.
///
/// Sizes and references in a hostile file may make a small file cost any amount of time and, as what is read is often
/// kept, of memory; this ends both.
#[derive(Debug)]
pub(crate) struct Effort(Cell<u64>);

impl Effort {
    pub(crate) fn new(units: u64) -> Self {
        Self(Cell::new(units))
    }

    /// Uses some; an error when there is none left.
    #[inline]
    pub(crate) fn spend(&self, units: u64) -> Result<()> {
        let left = self.0.get();
        self.0.set(left.saturating_sub(units));
        if left < units { Err(Error::Io) } else { Ok(()) }
    }

    /// Whether all is used up.
    pub(crate) fn is_spent(&self) -> bool {
        self.0.get() == 0
    }

    /// Does a part of the work with a part of the effort.
    pub(crate) fn at_most<T>(&self, units: u64, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let before = self.0.get();
        let granted = units.min(before);
        self.0.set(granted);
        let result = work();
        self.0.set(before - (granted - self.0.get()));
        result
    }
}

/// The pages of a file that were read last.
#[derive(Debug)]
pub(crate) struct Pages {
    file: File,
    most: usize,
    held: RefCell<Held>,
}

#[derive(Debug, Default)]
struct Held {
    pages: Vec<Page>,
    clock: u64,
}

#[derive(Debug)]
struct Page {
    number: u64,
    bytes: Arc<[u8]>,
    used: u64,
}

impl Pages {
    /// No more than `most` pages of a file.
    pub(crate) fn new(file: File, most: usize) -> Self {
        Self { file, most: most.max(1), held: RefCell::default() }
    }

    /// A page by its number. Where the file ends in it, it is shorter.
    pub(crate) fn page(&self, number: u64) -> Result<Arc<[u8]>> {
        let mut held = self.held.borrow_mut();
        held.clock += 1;
        let now = held.clock;
        if let Some(page) = held.pages.iter_mut().find(|page| page.number == number) {
            page.used = now;
            return Ok(page.bytes.clone());
        }
        let bytes: Arc<[u8]> = self.read(number)?.into();
        if held.pages.len() >= self.most
            && let Some(oldest) = (0..held.pages.len()).min_by_key(|&at| held.pages[at].used)
        {
            held.pages.swap_remove(oldest);
        }
        held.pages.push(Page { number, bytes: bytes.clone(), used: now });
        Ok(bytes)
    }

    fn read(&self, number: u64) -> Result<Vec<u8>> {
        let offset = number.checked_mul(PAGE_BYTES).ok_or(Error::Io)?;
        let mut bytes = vec![0; PAGE_BYTES as usize];
        let mut filled = 0;
        while filled < bytes.len() {
            match self.file.read_at(&mut bytes[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return Err(Error::Io),
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn no_more_pages_are_held_than_allowed_and_the_used_ones_stay() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![7; 10 * PAGE_BYTES as usize + 5]).unwrap();
        let pages = Pages::new(file, 3);
        let first = pages.page(0).unwrap();
        for number in 0..=10 {
            assert!(Arc::ptr_eq(&first, &pages.page(0).unwrap()), "used all the time");
            let bytes = pages.page(number).unwrap();
            assert_eq!(bytes.len(), if number == 10 { 5 } else { PAGE_BYTES as usize });
            assert!(pages.held.borrow().pages.len() <= 3);
        }
        assert!(pages.page(11).unwrap().is_empty(), "beyond the end");
        assert!(pages.page(u64::MAX / 2).is_err());
    }

    #[test]
    fn a_part_of_the_work_cannot_use_up_all_effort() {
        let effort = Effort::new(100);
        assert!(effort.at_most(10, || effort.spend(11)).is_err());
        assert!(effort.spend(90).is_ok(), "ten were used");
        assert!(effort.is_spent());
        assert!(effort.spend(1).is_err());
    }
}
