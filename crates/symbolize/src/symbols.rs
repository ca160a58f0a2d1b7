//! Symbol tables, gone through once for many addresses and not kept.

use crate::alias::{self, Reach};
use crate::elf::{Elf, Section, read_up_to};
use crate::{Error, Failure};
use object::elf::{
    STB_LOCAL, STB_WEAK, STT_FILE, STT_FUNC, STT_GNU_IFUNC, STT_NOTYPE, STT_SECTION, STT_TLS, Sym32, Sym64,
    SymbolType,
};
use object::read::elf::Sym;
use object::{Endianness, pod};
use std::cmp::Ordering;

/// Bytes of a table that are read at a time.
const CHUNK_BYTES: usize = 64 << 10;
/// Symbols of one table that are looked at: ten times as many as the largest programs have.
const MAX_SYMBOLS: u64 = 8 << 20;
/// Pairs of a symbol and an address in it that are looked at: a hostile table may have all symbols contain all addresses.
const MAX_PAIRS: usize = 4 << 20;
/// Names of equal standing for one place that are compared.
const MAX_ALIASES: usize = 8;
/// Bytes of a name that are read.
const MAX_NAME_BYTES: usize = 8192;
/// Most names are no longer than this; only the rest costs a second read.
const USUAL_NAME_BYTES: usize = 192;
/// A symbol without a size reaches no further than this.
const MAX_UNSIZED_BYTES: u64 = 1 << 20;

/// The names of the symbols that some ascending addresses lie in, as the tables have them, and what has kept it from
/// finding more. The tables of one program may be in several files.
pub(crate) fn find(elves: &[&Elf<'_>], addresses: &[u64]) -> (Vec<Option<String>>, Option<Failure>) {
    let mut search = Search::new(addresses);
    let mut failure = None;
    for (file, elf) in elves.iter().enumerate() {
        search.file = file;
        for table in [".symtab", ".dynsym"] {
            let Some(table) = elf.section(table) else { continue };
            let scanned = if elf.is_64 {
                search.scan::<Sym64<Endianness>>(elf, table)
            } else {
                search.scan::<Sym32<Endianness>>(elf, table)
            };
            if let Err(error) = scanned {
                failure = Some(Failure::of_symbols(&error));
            }
        }
    }
    search.spread_labels();
    let name = |(at, &address): (usize, &u64)| {
        let label = || {
            let label = search.before[at].label.as_ref()?;
            // A label in another section says nothing of this one.
            let section = elves[label.file].code_section(address);
            section.is_none_or(|section| section == label.section).then_some(label)
        };
        best_name(elves, search.within[at].as_ref().or_else(label)?)
    };
    (addresses.iter().enumerate().map(name).collect(), failure)
}

/// The symbols that begin at one place, and are of equal standing.
#[derive(Clone, Debug)]
struct Place {
    start: u64,
    is_function: bool,
    reach: Reach,
    /// Which file's section that number is.
    file: usize,
    section: u16,
    names: Vec<Name>,
}

#[derive(Clone, Copy, Debug)]
struct Name {
    /// Which file it is in.
    file: usize,
    /// Where in the file it begins, and how many bytes there are until its table ends.
    offset: u64,
    left: u64,
}

impl Place {
    /// The innermost symbol counts, functions before labels, and of several for one place those of the greatest reach.
    fn order(&self, other: &Self) -> Ordering {
        (self.is_function, self.start, self.reach).cmp(&(other.is_function, other.start, other.reach))
    }
}

fn offer(held: &mut Option<Place>, place: Place) {
    match held {
        None => *held = Some(place),
        Some(held) => match place.order(held) {
            Ordering::Less => {}
            Ordering::Greater => *held = place,
            Ordering::Equal if held.names.len() < MAX_ALIASES => held.names.extend(place.names),
            Ordering::Equal => {}
        },
    }
}

/// What ends, and what may not have ended, before an address.
#[derive(Clone, Debug, Default)]
struct Before {
    /// Where the last symbol with a size ends.
    end: u64,
    /// The last symbol without a size.
    label: Option<Place>,
}

/// Of labels the last counts, whether it is said to be a function or not.
fn offer_label(held: &mut Option<Place>, label: Place) {
    if held.as_ref().is_none_or(|held| label.start >= held.start) {
        held.take_if(|held| held.start < label.start);
        offer(held, label);
    }
}

struct Search<'a> {
    addresses: &'a [u64],
    /// For each address the symbol that contains it by its size.
    within: Vec<Option<Place>>,
    /// For each address what lies between the address before it and itself; then, once all are known, what lies before
    /// it.
    before: Vec<Before>,
    pairs: usize,
    /// Which file is gone through.
    file: usize,
}

impl<'a> Search<'a> {
    fn new(addresses: &'a [u64]) -> Self {
        let count = addresses.len();
        Self {
            addresses,
            within: vec![None; count],
            before: vec![Before::default(); count],
            pairs: 0,
            file: 0,
        }
    }

    fn scan<S: Sym<Endian = Endianness>>(&mut self, elf: &Elf<'_>, table: &Section) -> Result<(), Error> {
        let strings = elf.sections.get(table.link as usize).ok_or(Error::Damaged("symbols without names"))?;
        let size = size_of::<S>();
        let count = table.bytes / size as u64;
        let (mut at, mut left) = (table.offset, count.min(MAX_SYMBOLS) as usize);
        while left > 0 {
            let wanted = left.min(CHUNK_BYTES / size);
            let bytes = read_up_to(elf.file, at, wanted * size)?;
            let read = bytes.len() / size;
            let (symbols, _) =
                pod::slice_from_bytes::<S>(&bytes, read).map_err(|()| Error::Damaged("a symbol table"))?;
            for symbol in symbols {
                self.take(elf, symbol, strings);
            }
            if read < wanted {
                return Err(Error::Damaged("a symbol table ends too soon"));
            }
            at = at.saturating_add((wanted * size) as u64);
            left -= wanted;
        }
        if count > MAX_SYMBOLS || self.pairs >= MAX_PAIRS {
            Err(Error::TooLarge("a symbol table"))
        } else {
            Ok(())
        }
    }

    fn take<S: Sym<Endian = Endianness>>(&mut self, elf: &Elf<'_>, symbol: &S, strings: &Section) {
        let endian = elf.endian;
        let (kind, section) = (symbol.st_type(), symbol.st_shndx(endian));
        if kind == STT_SECTION || kind == STT_FILE || kind == STT_TLS || section.is_special() {
            return;
        }
        let (start, size): (u64, u64) = (symbol.st_value(endian).into(), symbol.st_size(endian).into());
        let end = start.saturating_add(size);
        let first = self.addresses.partition_point(|&address| address < start);
        let Some(&address) = self.addresses.get(first) else { return };
        if size != 0 && end <= address {
            self.before[first].end = self.before[first].end.max(end);
            return;
        }
        let is_label = kind == STT_NOTYPE;
        let is_mapping = is_label && symbol.st_bind() == STB_LOCAL && elf.has_mapping_symbols;
        if !may_be_code(kind) || is_mapping || symbol.st_name(endian) == 0 || start == 0 {
            return;
        }
        let name = u64::from(symbol.st_name(endian));
        let reach = match symbol.st_bind() {
            STB_WEAK => Reach::Weak,
            STB_LOCAL => Reach::Local,
            _ => Reach::Global,
        };
        let (file, left) = (self.file, strings.bytes.saturating_sub(name));
        let names = vec![Name { file, offset: strings.offset.saturating_add(name), left }];
        let place = Place { start, is_function: !is_label, reach, file, section: section.0, names };
        if size == 0 {
            offer_label(&mut self.before[first].label, place);
        } else {
            self.offer_within(first, end, &place);
        }
    }

    /// Offers a symbol to the addresses that it contains.
    fn offer_within(&mut self, first: usize, end: u64, place: &Place) {
        let contained = self.addresses[first..].partition_point(|&address| address < end);
        let contained = contained.min(MAX_PAIRS - self.pairs);
        self.pairs += contained;
        for held in &mut self.within[first..first + contained] {
            offer(held, place.clone());
        }
        if let Some(before) = self.before.get_mut(first + contained) {
            before.end = before.end.max(end);
        }
    }

    /// A symbol without a size reaches up to the next symbol, or to the end of the function that it is in.
    fn spread_labels(&mut self) {
        for at in 1..self.before.len() {
            let (earlier, later) = self.before.split_at_mut(at);
            let (before, here) = (&earlier[at - 1], &mut later[0]);
            here.end = here.end.max(before.end);
            if here.label.is_none() {
                here.label.clone_from(&before.label);
            }
        }
        for (before, address) in self.before.iter_mut().zip(self.addresses) {
            let end = before.end;
            before.label.take_if(|label| label.start < end || address - label.start >= MAX_UNSIZED_BYTES);
        }
    }
}

fn may_be_code(kind: SymbolType) -> bool {
    [STT_FUNC, STT_GNU_IFUNC, STT_NOTYPE].contains(&kind)
}

fn best_name(elves: &[&Elf<'_>], place: &Place) -> Option<String> {
    let names = place.names.iter().filter_map(|name| read_name(elves[name.file], *name));
    names.reduce(|best, name| {
        if alias::compare(name.as_bytes(), best.as_bytes()) == Ordering::Greater { name } else { best }
    })
}

/// A name without the version behind it, `@VERSION` or `@@VERSION`, that linkers write into tables of symbols.
fn unversioned(name: &[u8]) -> &[u8] {
    match name.iter().position(|&byte| byte == b'@') {
        Some(at @ 1..) => &name[..at],
        _ => name,
    }
}

/// A name that cannot be read is no name; that the file is damaged will show elsewhere.
fn read_name(elf: &Elf<'_>, name: Name) -> Option<String> {
    for most in [USUAL_NAME_BYTES, MAX_NAME_BYTES] {
        let most = usize::try_from(name.left).unwrap_or(usize::MAX).min(most);
        let bytes = read_up_to(elf.file, name.offset, most).ok()?;
        if let Some(end) = bytes.iter().position(|&byte| byte == 0) {
            return (end > 0).then(|| String::from_utf8_lossy(unversioned(&bytes[..end])).into_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_no_part_of_a_name() {
        assert_eq!(unversioned(b"memcpy@@GLIBC_2.14"), b"memcpy");
        assert_eq!(unversioned(b"memcpy@GLIBC_2.2.5"), b"memcpy");
        assert_eq!(unversioned(b"memcpy"), b"memcpy");
        assert_eq!(unversioned(b"@odd"), b"@odd");
    }
}
