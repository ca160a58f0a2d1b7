use crate::{DEFAULT, TOKEN, collector, facts_of, landmark, tick};
use std::process::{Child, Command, Stdio};
use std::time::{Instant, SystemTime};
use telegen_collect::{Collector, Flaws, Frame, Interval, Marker, Tick};
use telegen_model::{Ending, Token};

fn take(collector: &mut Collector) -> Interval {
    collector.take_interval((SystemTime::now(), Instant::now()))
}

fn frames(interval: &Interval) -> Vec<Frame> {
    interval.frames_of(&interval.rows[0]).to_vec()
}

#[test]
fn equal_ticks_are_one_row_and_lie_in_a_file() {
    let mut collector = collector();
    collector.start(TOKEN, facts_of(std::process::id()), None);
    let address = landmark();
    for _ in 0..3 {
        collector.record(TOKEN, DEFAULT, &tick(&[address, address + 1], &[]));
    }
    collector.settle(Instant::now());
    collector.record(TOKEN, DEFAULT, &tick(&[address, address + 1], &[]));
    let interval = take(&mut collector);
    assert_eq!((interval.rows.len(), interval.rows[0].count, interval.total_count()), (1, 4, 4));
    let &[Frame::User { module, offset: leaf }, Frame::User { offset: caller, .. }] = &frames(&interval)[..]
    else {
        panic!("two user frames: {:?}", frames(&interval));
    };
    // The caller's frame is the call, one before the address to which it returns.
    assert_eq!(leaf, caller);
    let own = std::env::current_exe().expect("this program");
    assert_eq!(interval.modules[module as usize].path.as_ref(), own.to_str().expect("UTF-8"));
}

#[test]
fn kernel_frames_come_first_and_flaws_become_marks() {
    let mut collector = collector();
    collector.start(TOKEN, facts_of(std::process::id()), None);
    let address = landmark();
    let flaws = Flaws { ending: Ending::Truncated, kernel_truncated: true, not_ready: false };
    collector.record(TOKEN, DEFAULT, &Tick { flaws, ..tick(&[address], &[u64::MAX - 100, u64::MAX - 200]) });
    let interval = take(&mut collector);
    let frames = frames(&interval);
    assert_eq!(frames[..2], [Frame::Kernel(u64::MAX - 100), Frame::Kernel(u64::MAX - 201)]);
    assert_eq!(frames[2], Frame::Marker(Marker::Truncated));
    assert!(matches!(frames[3], Frame::User { .. }));
    assert_eq!(frames[4], Frame::Marker(Marker::Truncated));
    assert_eq!((interval.count_marked(Marker::Truncated), interval.count_marked(Marker::Unmapped)), (1, 0));
}

#[test]
fn a_chain_that_leads_nowhere_is_cut_and_said_to_be() {
    let mut collector = collector();
    collector.start(TOKEN, facts_of(std::process::id()), None);
    collector.record(TOKEN, DEFAULT, &tick(&[landmark(), 0x10, landmark()], &[]));
    collector.record(TOKEN, DEFAULT, &tick(&[landmark(), 0], &[]));
    let interval = take(&mut collector);
    let ends: Vec<_> =
        interval.rows.iter().map(|row| *interval.frames_of(row).last().expect("frames")).collect();
    assert_eq!(ends[0], Frame::Marker(Marker::Unmapped));
    assert!(matches!(ends[1], Frame::User { .. }), "a null return address is where a chain ends");
}

#[test]
fn ticks_that_come_before_their_process_is_announced_are_not_lost() {
    let mut collector = collector();
    collector.record(TOKEN, DEFAULT, &tick(&[landmark()], &[]));
    collector.settle(Instant::now());
    collector.start(TOKEN, facts_of(std::process::id()), None);
    let interval = take(&mut collector);
    assert_eq!(interval.total_count(), 1);
    assert!(matches!(frames(&interval)[..], [Frame::User { .. }]));
}

#[test]
fn ticks_of_a_process_that_is_never_announced_are_counted() {
    let mut collector = collector();
    collector.record(Token(99), DEFAULT, &tick(&[1], &[]));
    collector.record(Token(99), DEFAULT, &tick(&[1], &[]));
    assert_eq!(take(&mut collector).total_count(), 0);
    assert_eq!(collector.losses().unknown_process, 2);
    assert_eq!(collector.known().0, 0, "and nothing of it is kept");
}

struct Sleeper(Child);

impl Sleeper {
    fn start() -> Self {
        Self(Command::new("sleep").arg("60").stdin(Stdio::null()).spawn().expect("sleep"))
    }

    fn end(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.end();
    }
}

/// An address in the code of the program that a process runs.
fn code_of(pid: u32) -> u64 {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).expect("maps");
    let line =
        maps.lines().find(|line| line.contains("r-xp") && line.contains("sleep")).expect("its own code");
    u64::from_str_radix(line.split('-').next().expect("an address"), 16).expect("hexadecimal") + 16
}

#[test]
fn a_process_that_has_gone_after_its_first_tick_keeps_its_places() {
    let mut collector = collector();
    let mut sleeper = Sleeper::start();
    std::thread::sleep(std::time::Duration::from_millis(50));
    let (pid, address) = (sleeper.0.id(), code_of(sleeper.0.id()));
    collector.start(TOKEN, facts_of(pid), None);
    collector.read_mappings(TOKEN, Instant::now());
    sleeper.end();
    collector.record(TOKEN, DEFAULT, &tick(&[address], &[]));
    collector.end(TOKEN);
    let interval = take(&mut collector);
    let [Frame::User { module, .. }] = frames(&interval)[..] else { panic!("{:?}", frames(&interval)) };
    let file = interval.modules[module as usize].file.as_ref().expect("a file");
    assert!(file.open.is_some(), "and its file can still be read");
    assert_eq!(collector.known().0, 0, "an image that has ended is forgotten with the interval");
}

#[test]
fn a_process_that_has_gone_before_it_could_be_looked_at_is_marked() {
    let mut collector = collector();
    let mut sleeper = Sleeper::start();
    collector.start(TOKEN, facts_of(sleeper.0.id()), None);
    sleeper.end();
    collector.record(TOKEN, DEFAULT, &tick(&[0x1000], &[u64::MAX]));
    let interval = take(&mut collector);
    assert_eq!(frames(&interval), [Frame::Kernel(u64::MAX), Frame::Marker(Marker::ProcessGone)]);
    assert_eq!(collector.losses().unknown_process, 0);
}

#[test]
fn a_forked_child_has_its_parent_s_mappings_until_its_own_are_read() {
    let mut collector = collector();
    collector.start(TOKEN, facts_of(std::process::id()), None);
    collector.read_mappings(TOKEN, Instant::now());
    // A child that is gone before anybody looks.
    let mut gone = facts_of(std::process::id());
    let mut process = (*gone).clone();
    process.key.id.pid = telegen_model::Pid(4_194_303);
    gone = process.into();
    collector.start(Token(8), gone, Some(TOKEN));
    collector.record(Token(8), DEFAULT, &tick(&[landmark()], &[]));
    let interval = take(&mut collector);
    assert!(matches!(frames(&interval)[..], [Frame::User { .. }]));
}

#[test]
fn a_pid_that_was_given_to_another_process_is_not_read() {
    let mut collector = collector();
    let mut facts = facts_of(std::process::id());
    let mut process = (*facts).clone();
    process.key.id.start.0 += 1_000_000_000;
    facts = process.into();
    collector.start(TOKEN, facts, None);
    collector.record(TOKEN, DEFAULT, &tick(&[landmark()], &[]));
    assert_eq!(frames(&take(&mut collector)), [Frame::Marker(Marker::ProcessGone)]);
}

#[test]
fn an_interval_begins_when_it_is_said_to() {
    let mut collector = collector();
    let (wall, begun) = (SystemTime::now(), Instant::now());
    std::thread::sleep(std::time::Duration::from_millis(30));
    let late = Instant::now();
    collector.begin((wall, late));
    let interval = take(&mut collector);
    assert_eq!(interval.start, wall);
    assert!(interval.duration <= late.elapsed() && begun.elapsed() > interval.duration);
}
