//! Addresses that are handed out anew while they are sampled and read.

use crate::{DEFAULT, PERIOD_NS, TOKEN, collector, facts_of, landmark, tick};
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};
use telegen_collect::{CodeChange, Collector, Frame, Interval, Marker, Reading, Remaps, Tick};
use telegen_model::{SpaceState, Token};
use telegen_process::ProcFs;

/// What the kernel side would say.
#[derive(Clone, Debug, Default)]
struct Kernel(Arc<Said>);

#[derive(Debug, Default)]
struct Said {
    /// What is handed out, one after the other.
    areas: Mutex<Vec<Range<u64>>>,
    /// Handed out whenever it is asked how much there is.
    restless: Mutex<Option<Range<u64>>>,
    /// Handed out likewise while mappings are read, and at once forgotten where it was.
    restless_while_read: AtomicU32,
    forgotten: AtomicU32,
    gone: AtomicU32,
    readings: Arc<AtomicU32>,
}

impl Kernel {
    fn with(areas: impl IntoIterator<Item = Range<u64>>) -> Self {
        let kernel = Self::default();
        kernel.0.areas.lock().expect("nobody panics").extend(areas);
        kernel
    }

    fn hand_out(&self, area: Range<u64>) {
        self.0.areas.lock().expect("nobody panics").push(area);
    }

    fn readings(&self) -> u32 {
        self.0.readings.load(Ordering::Relaxed)
    }

    /// A collector that has begun to follow this process.
    fn collector(&self) -> Collector {
        let mut collector = collector().with_remaps(self.clone());
        collector.start(TOKEN, facts_of(std::process::id()), None);
        collector
    }
}

impl Remaps for Kernel {
    fn state(&self, _: Token) -> Option<SpaceState> {
        self.0
            .areas
            .lock()
            .expect("nobody panics")
            .extend(self.0.restless.lock().expect("nobody panics").clone());
        if self.readings() > 0 {
            let more = self.0.restless_while_read.load(Ordering::Relaxed);
            self.0.forgotten.fetch_add(more, Ordering::Relaxed);
        }
        let known = self.0.areas.lock().expect("nobody panics").len() as u32;
        let remaps = known + self.0.forgotten.load(Ordering::Relaxed);
        (self.0.gone.load(Ordering::Relaxed) == 0).then_some(SpaceState { remaps, ..SpaceState::default() })
    }

    fn areas(&self, _: Token, up_to: u32) -> Vec<(u32, Range<u64>)> {
        (1..=up_to).zip(self.0.areas.lock().expect("nobody panics").iter().cloned()).collect()
    }

    fn reading(&self, _: Token) -> Reading {
        struct Counted(Arc<AtomicU32>);
        impl Drop for Counted {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::Relaxed);
            }
        }
        self.0.readings.fetch_add(1, Ordering::Relaxed);
        Reading::new(Counted(self.0.readings.clone()))
    }
}

/// Addresses of which code is sampled.
fn code() -> Range<u64> {
    let page = landmark() & !0xfff;
    page..page + 0x2000
}

/// Addresses of nothing.
fn beside() -> Range<u64> {
    let start = code().start + 0x10_0000_0000;
    start..start + 0x1000
}

fn record(collector: &mut Collector, remaps: u16) {
    collector.record(TOKEN, DEFAULT, &Tick { remaps, ..tick(&[landmark()], &[]) });
}

fn take(collector: &mut Collector) -> Interval {
    collector.take_interval((SystemTime::now(), Instant::now()))
}

fn is_named(interval: &Interval) -> bool {
    interval.frames.iter().any(|frame| matches!(frame, Frame::User { .. }))
}

#[test]
fn what_was_replaced_between_a_sample_and_the_reading_has_no_name() {
    for (area, remaps, replaced) in [(code(), 0, true), (beside(), 0, false), (code(), 1, false)] {
        let mut collector = Kernel::with([area.clone()]).collector();
        collector.read_mappings(TOKEN, Instant::now());
        record(&mut collector, remaps);
        let interval = take(&mut collector);
        let marker = Frame::Marker(Marker::Replaced);
        assert_eq!(interval.frames.contains(&marker), replaced, "{area:x?} {remaps}: {:?}", interval.frames);
        assert_eq!(is_named(&interval), !replaced);
    }
}

#[test]
fn what_is_sampled_after_a_reading_waits_for_the_next() {
    let kernel = Kernel::with([beside()]);
    let mut collector = kernel.collector();
    collector.read_mappings(TOKEN, Instant::now());
    record(&mut collector, 2);
    collector.settle(Instant::now());
    // Nobody can say what it was: the count is never reached.
    let interval = take(&mut collector);
    assert_eq!(interval.frames, [Frame::Marker(Marker::Replaced)]);
    assert_eq!(interval.rows.iter().map(|row| row.count).sum::<u64>(), 1);
}

#[test]
fn what_was_handed_out_beside_the_code_since_a_reading_needs_no_other() {
    for (area, named) in [(beside(), true), (code(), false)] {
        let kernel = Kernel::default();
        let mut collector = kernel.collector();
        collector.read_mappings(TOKEN, Instant::now());
        kernel.hand_out(area);
        // The process is gone: there is no other reading.
        kernel.0.gone.store(1, Ordering::Relaxed);
        record(&mut collector, 1);
        assert_eq!(is_named(&take(&mut collector)), named);
    }
}

#[test]
fn what_was_handed_out_before_the_end_is_known_afterwards() {
    let kernel = Kernel::default();
    let mut collector = kernel.collector();
    collector.read_mappings(TOKEN, Instant::now());
    kernel.hand_out(beside());
    kernel.0.gone.store(1, Ordering::Relaxed);
    collector.end(TOKEN);
    // As when the kernel side has forgotten it.
    kernel.0.areas.lock().expect("nobody panics").clear();
    record(&mut collector, 1);
    assert!(is_named(&take(&mut collector)));
}

#[test]
fn a_list_that_is_overtaken_by_what_it_is_about_is_not_taken() {
    for (area, taken) in [(beside(), true), (code(), false)] {
        let kernel = Kernel::default();
        *kernel.0.restless.lock().expect("nobody panics") = Some(area);
        let mut collector = kernel.collector();
        collector.read_mappings(TOKEN, Instant::now());
        let changes = collector.take_changes();
        assert_eq!(matches!(changes[..], [CodeChange::Mapped(..)]), taken);
        assert_eq!(collector.next_due().is_none(), taken, "it is read again");
    }
}

#[test]
fn who_maps_faster_than_anybody_can_tell_is_read_as_it_stands() {
    let kernel = Kernel::default();
    kernel.0.restless_while_read.store(1000, Ordering::Relaxed);
    let mut collector = kernel.collector();
    collector.read_mappings(TOKEN, Instant::now());
    let changes = collector.take_changes();
    assert!(matches!(changes[..], [CodeChange::Mapped(..)]), "{changes:?}");
    assert_eq!(kernel.readings(), 0, "it is over, or it would go on");
}

#[test]
fn a_reading_lasts_until_its_change_is_dropped() {
    let kernel = Kernel::default();
    let mut collector = kernel.collector();
    collector.read_mappings(TOKEN, Instant::now());
    let changes = collector.take_changes();
    assert!(matches!(changes[..], [CodeChange::Mapped(..)]), "{changes:?}");
    assert_eq!(kernel.readings(), 1);
    drop(changes);
    assert_eq!(kernel.readings(), 0);
    // The same is read: whoever has asked is told, …
    let later = Instant::now() + Duration::from_secs(1);
    collector.read_mappings(TOKEN, later);
    collector.catch_up(later + Duration::from_secs(1));
    let changes = collector.take_changes();
    assert!(matches!(changes[..], [CodeChange::Confirmed(..)]), "{changes:?}");
    assert_eq!(kernel.readings(), 1);
    drop(changes);
    // … and nobody else.
    collector.record(TOKEN, DEFAULT, &tick(&[beside().start], &[]));
    collector.settle(later + Duration::from_secs(100));
    assert!(collector.take_changes().is_empty());
    assert_eq!(kernel.readings(), 0);
}

#[test]
fn what_is_noticed_is_read_a_moment_later_and_at_once_the_first_time() {
    let mut collector = Kernel::default().collector();
    let now = Instant::now();
    collector.read_mappings(TOKEN, now);
    assert_eq!(collector.take_changes().len(), 1);
    // A loader first finds room, and then maps.
    let noticed = now + Duration::from_secs(5);
    collector.read_mappings(TOKEN, noticed);
    assert!(collector.take_changes().is_empty());
    assert_eq!(collector.next_due(), Some(noticed + Duration::from_millis(3)));
    collector.catch_up(noticed + Duration::from_millis(3));
    assert_eq!(collector.take_changes().len(), 1);
}

#[test]
fn of_an_image_that_is_gone_its_successor_is_not_read() {
    let kernel = Kernel::default();
    kernel.0.gone.store(1, Ordering::Relaxed);
    let mut collector = kernel.collector();
    collector.read_mappings(TOKEN, Instant::now());
    assert!(collector.take_changes().is_empty());
    record(&mut collector, 0);
    assert_eq!(take(&mut collector).frames, [Frame::Marker(Marker::ProcessGone)]);
}

/// Mappings are noticed to have changed, and read.
fn read_at(collector: &mut Collector, noticed: Instant) {
    collector.read_mappings(TOKEN, noticed);
    collector.catch_up(noticed + Duration::from_millis(500));
}

/// Where code was, by the last list that there is.
fn gone(collector: &mut Collector) -> Vec<Range<u64>> {
    match collector.take_changes().pop() {
        Some(CodeChange::Mapped(_, _, listed, _) | CodeChange::Confirmed(_, listed, _)) => listed.gone,
        other => panic!("a list: {other:?}"),
    }
}

/// A process of which nothing but the list of its mappings is made up.
struct FakeProcess {
    maps: std::path::PathBuf,
}

impl FakeProcess {
    fn new(root: &Path) -> Self {
        let directory = root.join(std::process::id().to_string());
        fs::create_dir(&directory).expect("a new directory");
        fs::copy("/proc/self/stat", directory.join("stat")).expect("its statistics");
        Self { maps: directory.join("maps") }
    }

    /// It has these mapped: start, end, and the file; without a name, no file.
    fn maps(&self, mappings: &[(&str, &str, &str)]) {
        let line = |(start, end, name): &(&str, &str, &str)| {
            let file = if name.is_empty() { "00:00 0" } else { "08:01 77" };
            format!("{start}-{end} r-xp 00000000 {file} {name}\n")
        };
        let stack = ["7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0 [stack]\n".to_owned()];
        let lines = mappings.iter().map(line).chain(stack).collect::<String>();
        fs::write(&self.maps, lines).expect("a file of our own");
    }

    /// A collector that has begun to follow it.
    fn collector(&self, root: &Path, kernel: &Kernel) -> Collector {
        let mut collector = Collector::new(ProcFs::new(root), PERIOD_NS).with_remaps(kernel.clone());
        collector.start(TOKEN, facts_of(std::process::id()), None);
        collector
    }
}

#[test]
fn where_code_was_is_told_as_long_as_samples_of_it_may_be_under_way() {
    let root = tempfile::tempdir().expect("a directory");
    let process = FakeProcess::new(root.path());
    let mut collector = process.collector(root.path(), &Kernel::default());
    let begun = Instant::now();
    let read = |collector: &mut Collector, second| {
        read_at(collector, begun + Duration::from_secs(second));
        gone(collector)
    };
    let program = ("400000", "402000", "/bin/program");
    process.maps(&[program, ("500000", "502000", "/lib/plug-in"), ("800000", "802000", "")]);
    assert_eq!(read(&mut collector, 0), []);
    process.maps(&[program]);
    let expected = 0x50_0000..0x50_2000;
    assert_eq!(
        read(&mut collector, 1),
        std::slice::from_ref(&expected),
        "nothing is named by what no file is behind"
    );
    assert_eq!(read(&mut collector, 2), std::slice::from_ref(&expected), "it is the same");
    process.maps(&[program, ("501000", "503000", "/lib/other")]);
    assert_eq!(read(&mut collector, 3), [], "there is code again");
    process.maps(&[program]);
    assert_eq!(read(&mut collector, 4).len(), 1);
    collector.settle(begun + Duration::from_secs(5));
    collector.settle(begun + Duration::from_secs(5));
    assert_eq!(read(&mut collector, 6), [], "all samples of it are named");
}

#[test]
fn a_sample_of_code_that_is_about_to_be_read_waits_for_that() {
    let root = tempfile::tempdir().expect("a directory");
    let process = FakeProcess::new(root.path());
    process.maps(&[("400000", "402000", "/bin/program")]);
    let kernel = Kernel::default();
    let mut collector = process.collector(root.path(), &kernel);
    let begun = Instant::now();
    collector.read_mappings(TOKEN, begun);
    // Code comes beside all that is known, is noticed, and sampled before it is read.
    kernel.hand_out(0x50_0000..0x50_2000);
    process.maps(&[("400000", "402000", "/bin/program"), ("500000", "502000", "/lib/plug-in")]);
    let noticed = begun + Duration::from_millis(50);
    collector.read_mappings(TOKEN, noticed);
    collector.record(TOKEN, DEFAULT, &Tick { remaps: 1, ..tick(&[0x50_0100], &[]) });
    collector.settle(noticed + Duration::from_millis(1));
    collector.settle(noticed + Duration::from_millis(10));
    assert!(is_named(&take(&mut collector)));
}

#[test]
fn a_child_has_a_list_of_its_own_once_it_is_sure_to_be_right() {
    for (area, is_current) in [(beside(), true), (code(), false)] {
        let kernel = Kernel::default();
        let mut collector = kernel.collector();
        collector.read_mappings(TOKEN, Instant::now());
        collector.take_changes();
        // The parent is handed out more, and forks; nothing has been sampled since.
        kernel.hand_out(area);
        let child = Token(8);
        collector.start(child, facts_of(std::process::id()), Some(TOKEN));
        let changes = collector.take_changes();
        assert_eq!(matches!(changes[..], [CodeChange::Mapped(Token(8), ..)]), is_current, "{changes:?}");
        collector.record(child, DEFAULT, &Tick { remaps: 1, ..tick(&[landmark()], &[]) });
        // It is told at the latest when it has been read, though that is what its parent had.
        collector.read_mappings(child, Instant::now());
        let changes = collector.take_changes();
        let read = if is_current {
            matches!(changes[..], [CodeChange::Confirmed(Token(8), ..)])
        } else {
            matches!(changes[..], [CodeChange::Mapped(Token(8), ..)])
        };
        assert!(read, "{changes:?}");
        assert!(is_named(&take(&mut collector)));
    }
}

#[test]
fn what_was_learnt_twice_counts_once() {
    let root = tempfile::tempdir().expect("a directory");
    let process = FakeProcess::new(root.path());
    process.maps(&[("400000", "402000", "/bin/program")]);
    let kernel = Kernel::default();
    let mut collector = process.collector(root.path(), &kernel);
    let begun = Instant::now();
    collector.read_mappings(TOKEN, begun);
    kernel.hand_out(beside());
    // On its way out it has nothing mapped; what it has been handed out is learnt then, and when it ends.
    process.maps(&[]);
    collector.read_mappings(TOKEN, begun + Duration::from_millis(50));
    collector.catch_up(begun + Duration::from_millis(100));
    collector.end(TOKEN);
    for remaps in [0, 1] {
        collector.record(TOKEN, DEFAULT, &Tick { remaps, ..tick(&[0x40_0100], &[]) });
    }
    let interval = take(&mut collector);
    assert!(!interval.frames.contains(&Frame::Marker(Marker::Replaced)), "{:?}", interval.frames);
}

#[test]
fn of_many_images_some_are_read_at_a_time() {
    let mut collector = Kernel::default().collector();
    let tokens: Vec<_> = (100..140).map(Token).collect();
    let begun = Instant::now();
    for &token in &tokens {
        collector.start(token, facts_of(std::process::id()), None);
        collector.read_mappings(token, begun);
    }
    collector.take_changes();
    tokens.iter().for_each(|token| collector.read_mappings(*token, begun + Duration::from_secs(1)));
    let later = begun + Duration::from_secs(2);
    let mut read = Vec::new();
    while collector.next_due().is_some() {
        collector.catch_up(later);
        read.push(collector.take_changes().len());
    }
    assert_eq!(read, [16, 16, 8]);
}

#[test]
fn readings_by_which_nothing_is_replaced_do_not_push_out_what_was() {
    let root = tempfile::tempdir().expect("a directory");
    let process = FakeProcess::new(root.path());
    let program = ("400000", "402000", "/bin/program");
    process.maps(&[program, ("500000", "502000", "/lib/plug-in")]);
    let kernel = Kernel::default();
    let mut collector = process.collector(root.path(), &kernel);
    let begun = Instant::now();
    read_at(&mut collector, begun);
    process.maps(&[program]);
    for second in 1..10 {
        kernel.hand_out(beside());
        read_at(&mut collector, begun + Duration::from_secs(second));
    }
    collector.record(TOKEN, DEFAULT, &tick(&[0x50_0100], &[]));
    assert!(is_named(&take(&mut collector)));
}
