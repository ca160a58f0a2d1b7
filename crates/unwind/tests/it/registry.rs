//! Who has which table when.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::sync::LazyLock;
use telegen_model::{FileId, Listed, SpaceState, Token};
use telegen_unwind::{Binary, Code, KernelSide, Range, RawRule, Registry, Table, TableLimits, TableState};

/// What the kernel side would hold.
#[derive(Default)]
struct Kernel {
    tables: BTreeMap<u32, usize>,
    mapped: BTreeMap<Token, Vec<Range<u32>>>,
    removed: BTreeSet<Token>,
    rules: usize,
    next: u32,
    room: Option<usize>,
}

impl KernelSide for Kernel {
    type Slot = u32;

    fn extend_rules(&mut self, rules: &[RawRule]) {
        assert!(rules.len() >= self.rules, "rules are never taken back");
        self.rules = rules.len();
    }

    fn add_table(&mut self, table: &Table) -> Option<u32> {
        if self.room.is_some_and(|room| self.tables.len() >= room) {
            return None;
        }
        self.next += 1;
        self.tables.insert(self.next, table.bytes().len());
        Some(self.next)
    }

    fn remove_table(&mut self, slot: u32) {
        let used = self
            .mapped
            .values()
            .flatten()
            .any(|range| matches!(range.table, TableState::Ready { slot: used, .. } if used == slot));
        assert!(!used, "table {slot} is still referred to");
        assert!(self.tables.remove(&slot).is_some());
    }

    fn set_mapped(&mut self, image: Token, ranges: &[Range<u32>], _: SpaceState) {
        self.mapped.insert(image, ranges.to_vec());
    }

    fn remove_mapped(&mut self, image: Token) {
        self.mapped.remove(&image);
        self.removed.insert(image);
    }
}

const AMPLE: TableLimits = TableLimits { bytes: 16 << 20, unused_bytes: 16 << 20 };

fn id(number: u64) -> FileId {
    FileId::Inode { device: 1, inode: number, ctime_ns: 0, size: 0 }
}

/// Mappings of the first bytes of binaries, one after the other.
fn code(binaries: &[u64]) -> Vec<Code<u64>> {
    let code = |(at, &binary): (usize, &u64)| {
        let start = 0x10_0000 * (1 + at as u64);
        Code { start, end: start + 0x1000, offset: offset(), binary: Some((id(binary), binary)) }
    };
    binaries.iter().enumerate().map(code).collect()
}

/// The table of this program.
fn own() -> Binary {
    static OWN: LazyLock<Binary> = LazyLock::new(|| {
        Binary::read(File::open("/proc/self/exe").expect("this program")).expect("its table")
    });
    OWN.clone()
}

/// Where this program's code begins in its file.
fn offset() -> u64 {
    static OFFSET: LazyLock<u64> = LazyLock::new(|| {
        let layout = own().layout;
        (0..1 << 24).step_by(4096).find(|&offset| layout.position(offset).is_some()).expect("it has code")
    });
    *OFFSET
}

fn states(kernel: &Kernel, image: u64) -> Vec<&'static str> {
    let name = |range: &Range<u32>| match range.table {
        TableState::None => "none",
        TableState::Awaited => "awaited",
        TableState::Ready { .. } => "ready",
    };
    kernel.mapped[&Token(image)].iter().map(name).collect()
}

#[test]
fn a_table_is_made_once_for_all_that_map_the_binary() {
    let (mut kernel, mut registry) = (Kernel::default(), Registry::new(1 << 14, AMPLE));
    registry.mapped(Token(1), code(&[7]), Listed::default(), &mut kernel);
    registry.mapped(Token(2), code(&[7, 8]), Listed::default(), &mut kernel);
    assert_eq!((states(&kernel, 1), states(&kernel, 2)), (vec!["awaited"], vec!["awaited", "awaited"]));
    assert_eq!(registry.next_job(), Some((id(7), 7)));
    assert_eq!(registry.next_job(), Some((id(8), 8)));
    assert_eq!(registry.next_job(), None);
    registry.finish_job(&id(7), Some(own()), &mut kernel);
    assert_eq!((states(&kernel, 1), states(&kernel, 2)), (vec!["ready"], vec!["ready", "awaited"]));
    registry.finish_job(&id(8), None, &mut kernel);
    assert_eq!(states(&kernel, 2), ["ready", "none"]);
    registry.mapped(Token(3), code(&[7]), Listed::default(), &mut kernel);
    assert_eq!((states(&kernel, 3), registry.next_job()), (vec!["ready"], None));
    let figures = registry.figures();
    assert_eq!((figures.tables, figures.without, figures.refused), (1, 1, 0));
    assert!(figures.bytes > 0 && figures.rows > 1_000 && kernel.rules == figures.rules);
}

#[test]
fn the_last_user_takes_the_table_along_unless_there_is_room_for_it() {
    for (limits, left) in [(AMPLE, 1), (TableLimits { unused_bytes: 0, ..AMPLE }, 0)] {
        let (mut kernel, mut registry) = (Kernel::default(), Registry::new(1 << 14, limits));
        for image in [1, 2] {
            registry.mapped(Token(image), code(&[7]), Listed::default(), &mut kernel);
        }
        registry.finish_job(&id(7), Some(own()), &mut kernel);
        registry.unmapped(Token(1), &mut kernel);
        assert_eq!(kernel.tables.len(), 1, "somebody still uses it");
        registry.unmapped(Token(2), &mut kernel);
        assert_eq!((kernel.tables.len(), kernel.mapped.len()), (left, 0));
        assert_eq!(registry.figures().tables, left);
        assert_eq!(registry.figures().bytes, kernel.tables.values().sum::<usize>());
        // An image that nobody knows needs no farewell.
        registry.unmapped(Token(9), &mut kernel);
    }
}

#[test]
fn of_unused_tables_the_one_used_least_recently_goes() {
    let bytes = own().compiled.table.bytes().len();
    let limits = TableLimits { bytes: bytes * 2 + bytes / 2, unused_bytes: usize::MAX };
    let (mut kernel, mut registry) = (Kernel::default(), Registry::new(1 << 14, limits));
    for binary in [1, 2] {
        registry.mapped(Token(binary), code(&[binary]), Listed::default(), &mut kernel);
        registry.finish_job(&id(binary), Some(own()), &mut kernel);
        registry.unmapped(Token(binary), &mut kernel);
    }
    registry.mapped(Token(11), code(&[1]), Listed::default(), &mut kernel);
    registry.unmapped(Token(11), &mut kernel);
    registry.mapped(Token(3), code(&[3]), Listed::default(), &mut kernel);
    registry.finish_job(&id(3), Some(own()), &mut kernel);
    assert_eq!(states(&kernel, 3), ["ready"]);
    registry.mapped(Token(12), code(&[1, 2]), Listed::default(), &mut kernel);
    assert_eq!(states(&kernel, 12), ["ready", "awaited"], "2 had to go, 1 was used later");
}

#[test]
fn beyond_the_limit_a_binary_has_no_table_and_is_counted() {
    let limits = TableLimits { bytes: 1024, unused_bytes: 0 };
    let (mut kernel, mut registry) = (Kernel::default(), Registry::new(1 << 14, limits));
    registry.mapped(Token(1), code(&[7]), Listed::default(), &mut kernel);
    registry.finish_job(&id(7), Some(own()), &mut kernel);
    assert_eq!((states(&kernel, 1), kernel.tables.len(), registry.figures().refused), (vec!["none"], 0, 1));

    let mut kernel = Kernel { room: Some(0), ..Kernel::default() };
    let mut registry = Registry::new(1 << 14, AMPLE);
    registry.mapped(Token(1), code(&[7]), Listed::default(), &mut kernel);
    registry.finish_job(&id(7), Some(own()), &mut kernel);
    assert_eq!((states(&kernel, 1), registry.figures().refused), (vec!["none"], 1));
}

#[test]
fn nobody_makes_a_table_that_nobody_waits_for() {
    let (mut kernel, mut registry) = (Kernel::default(), Registry::new(1 << 14, AMPLE));
    registry.mapped(Token(1), code(&[7]), Listed::default(), &mut kernel);
    registry.unmapped(Token(1), &mut kernel);
    assert_eq!(registry.next_job(), None);
    // Whoever comes later waits for one again.
    registry.mapped(Token(2), code(&[7]), Listed::default(), &mut kernel);
    assert_eq!(registry.next_job(), Some((id(7), 7)));
    // And a table that comes too late for all of them is kept like any other without users.
    registry.unmapped(Token(2), &mut kernel);
    registry.finish_job(&id(7), Some(own()), &mut kernel);
    assert_eq!(kernel.tables.len(), 1);
}

#[test]
fn a_job_that_fits_does_not_wait_for_those_before_it() {
    let (mut kernel, mut registry) = (Kernel::default(), Registry::new(1 << 14, AMPLE));
    registry.mapped(Token(1), code(&[100, 101, 7, 102, 8]), Listed::default(), &mut kernel);
    let small = |handle: &u64| *handle < 100;
    assert_eq!(registry.next_job_of(small), Some((id(7), 7)));
    assert_eq!(registry.next_job_of(|handle| !small(handle)), Some((id(100), 100)));
    assert_eq!(registry.next_job_of(small), Some((id(8), 8)));
    assert_eq!(registry.next_job_of(small), None);
    assert_eq!(registry.next_job(), Some((id(101), 101)));
}

#[test]
fn other_mappings_of_an_image_replace_those_before() {
    let limits = TableLimits { unused_bytes: 0, ..AMPLE };
    let (mut kernel, mut registry) = (Kernel::default(), Registry::new(1 << 14, limits));
    registry.mapped(Token(1), code(&[7]), Listed::default(), &mut kernel);
    registry.finish_job(&id(7), Some(own()), &mut kernel);
    registry.mapped(Token(1), code(&[7, 8]), Listed::default(), &mut kernel);
    assert_eq!(states(&kernel, 1), ["ready", "awaited"]);
    registry.mapped(Token(1), code(&[8]), Listed::default(), &mut kernel);
    assert_eq!((states(&kernel, 1), kernel.tables.len()), (vec!["awaited"], 0));
}

#[test]
fn a_thousand_images_come_and_go_and_leave_nothing() {
    let limits = TableLimits { unused_bytes: 0, ..AMPLE };
    let (mut kernel, mut registry) = (Kernel::default(), Registry::<u32, u64>::new(1 << 14, limits));
    for image in 0..1_000 {
        registry.mapped(Token(image), code(&[image % 3]), Listed::default(), &mut kernel);
        if let Some((made, _)) = registry.next_job() {
            registry.finish_job(&made, Some(own()), &mut kernel);
        }
        if let Some(before) = image.checked_sub(5) {
            registry.unmapped(Token(before), &mut kernel);
        }
    }
    (995..1_000).for_each(|image| registry.unmapped(Token(image), &mut kernel));
    let figures = registry.figures();
    assert_eq!((kernel.tables.len(), kernel.mapped.len()), (0, 0));
    assert_eq!((figures.tables, figures.bytes, figures.rows), (0, 0, 0));
}

#[test]
fn where_code_was_is_told_until_it_is_not_said_any_more() {
    let (mut kernel, mut registry) = (Kernel::default(), Registry::new(1 << 14, AMPLE));
    // One before all code, one behind it.
    let gone = vec![0x1000..0x3000, 0x40_0000..0x40_2000];
    let listed = Listed { gone, ..Listed::default() };
    registry.mapped(Token(1), code(&[7]), listed, &mut kernel);
    let (of, _) = registry.next_job().expect("a table to make");
    registry.finish_job(&of, Some(own()), &mut kernel);
    assert_eq!(states(&kernel, 1), ["awaited", "ready", "awaited"]);
    assert!(kernel.mapped[&Token(1)].is_sorted_by_key(|range| range.start));
    assert_eq!(kernel.mapped[&Token(1)][0], Range { start: 0x1000, end: 0x3000, table: TableState::Awaited });
    registry.confirmed(Token(1), Listed::default(), &mut kernel);
    assert_eq!(states(&kernel, 1), ["ready"]);
    kernel.mapped.clear();
    registry.tell_again(Token(1), &mut kernel);
    assert_eq!(states(&kernel, 1), ["ready"]);
    registry.tell_again(Token(2), &mut kernel);
    assert_eq!(kernel.mapped.len(), 1, "of whom nothing is known nothing is told");
}

#[test]
fn an_image_is_forgotten_even_if_it_never_had_code() {
    let (mut kernel, mut registry) = (Kernel::default(), Registry::<u32, u64>::new(1 << 14, AMPLE));
    registry.unmapped(Token(9), &mut kernel);
    assert!(kernel.removed.contains(&Token(9)));
}
