//! Many readers against the one writer: whatever a reader is told must have been true at some instant of its call.
//!
//! A clock is odd while the writer does something and even in between. Readers note what it shows before and after each
//! call; the writer notes which step has changed what, by a model of its own. Afterwards each answer is held against
//! what was true from the one reading of the clock to the other.

use crate::stories::{named, observed};
use crate::world::NAMES;
use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::thread;
use telegen_model::{Pid, ProcessFacts, Token};
use telegen_rules::{Decision, Key, Reason, Verdict};
use telegen_select::{Event, Limits, Rates, SelectedProcess, Selection, Selector};

const PIDS: u32 = 24;
const FIRST_PID: u32 = 100;
const READERS: u64 = 4;
/// What each reader asks; the writer works for as long as one of them does.
const QUESTIONS: usize = 40_000;
/// Names that are selected, by the rules in force one after another.
const RULES: [&[&str]; 4] = [&["java"], &["ruby", "java"], &["bash"], &["java", "bash", "ruby"]];

/// Numbers that look random, the same from the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % sides as u64) as usize
    }
}

/// A process as the writer knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Live {
    token: u64,
    start: u64,
    generation: u32,
    comm: usize,
    executable: usize,
}

impl Live {
    /// What the rules make of it, by their text.
    fn decision(self, rules: usize) -> Decision {
        let is_own = |name: &&str| [self.comm, self.executable].iter().any(|&own| NAMES[own] == *name);
        match RULES[rules].iter().position(is_own) {
            Some(at) => Decision::profile(Reason::Included { key: Key::ProcessNames, index: at as u16 }),
            None => Decision::skip(Reason::NotIncluded),
        }
    }

    fn is(self, facts: &ProcessFacts) -> bool {
        facts.key.id.start.0 == self.start
            && facts.key.generation.0 == self.generation
            && *facts.comm == *NAMES[self.comm]
    }
}

/// Values, each with the step that brought it about.
struct History<T>(Vec<(i64, T)>);

impl<T: Copy + PartialEq> History<T> {
    fn note(&mut self, step: i64, value: T) {
        if self.0.last().is_none_or(|(_, last)| *last != value) {
            self.0.push((step, value));
        }
    }

    /// What was true at some instant between two readings of the clock.
    fn between(&self, (before, after): (i64, i64)) -> impl Iterator<Item = T> {
        let first = self.0.partition_point(|&(step, _)| before > 2 * step + 1).saturating_sub(1);
        let states = self.0[first..].iter().take_while(move |&&(step, _)| after > 2 * step);
        states.map(|&(_, value)| value)
    }
}

type State = Option<(Live, Decision)>;

/// What was asked, and the answer.
enum Answer {
    Decision(u32, Decision),
    Filtered(Vec<SelectedProcess>),
    Summary(String),
    Forgotten(u32),
}

type Heard = Vec<((i64, i64), Answer)>;

/// Asks one thing after the other.
fn read(selection: &Selection, clock: &AtomicU64, seed: u64) -> Heard {
    let mut dice = Dice(seed);
    let now = || {
        // What is done before is done for the writer, too, when it looks at what happens after.
        fence(Ordering::SeqCst);
        clock.load(Ordering::SeqCst) as i64
    };
    let ask = |_| {
        let pid = FIRST_PID + dice.below(PIDS as usize) as u32;
        let before = now();
        let answer = match dice.below(64) {
            0..8 => Answer::Filtered(selection.filtered_processes()),
            8..10 => Answer::Summary(selection.summary()),
            10 => {
                selection.forget(Pid(pid));
                Answer::Forgotten(pid)
            }
            _ => Answer::Decision(pid, selection.should_profile(Pid(pid))),
        };
        ((before, now()), answer)
    };
    (0..QUESTIONS).map(ask).collect()
}

struct Writer {
    selector: Selector,
    dice: Dice,
    rules: usize,
    live: Vec<Option<Live>>,
    numbers: u64,
    by_pid: Vec<History<State>>,
    by_rules: History<usize>,
}

impl Writer {
    fn new(seed: u64) -> Self {
        Self {
            selector: Selector::new(named(RULES[0]), Pid(1), Limits::default(), Rates::default()),
            dice: Dice(seed),
            rules: 0,
            live: vec![None; PIDS as usize],
            numbers: 0,
            by_pid: (0..PIDS).map(|_| History(vec![(-1, None)])).collect(),
            by_rules: History(vec![(-1, 0)]),
        }
    }

    fn step(&mut self, step: i64, clock: &AtomicU64) {
        clock.store(2 * step as u64 + 1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        let mut out = Vec::new();
        if self.dice.below(40) == 0 {
            self.rules = self.dice.below(RULES.len());
            self.selector.reload(named(RULES[self.rules]), Rates::default(), &mut out);
        } else {
            let event = self.event();
            self.selector.handle(event, &mut out);
        }
        for (history, live) in self.by_pid.iter_mut().zip(&self.live) {
            history.note(step, live.map(|live| (live, live.decision(self.rules))));
        }
        self.by_rules.note(step, self.rules);
        clock.store(2 * step as u64 + 2, Ordering::SeqCst);
    }

    fn event(&mut self) -> Event {
        let at = self.dice.below(self.live.len());
        let name = self.dice.below(NAMES.len());
        self.numbers += 1;
        let token = self.numbers;
        let (next, event): (Option<Live>, fn(Live, u32) -> Event) = match (self.live[at], self.dice.below(8))
        {
            (Some(live), 0..3) => {
                self.live[at] = None;
                return Event::Exited { token: Token(live.token) };
            }
            (Some(live), 3..5) => {
                let comm = NAMES[name].into();
                self.live[at] = Some(Live { comm: name, ..live });
                return Event::Renamed { token: Token(live.token), comm };
            }
            (Some(live), _) => {
                let next =
                    Live { token, generation: live.generation + 1, comm: name, executable: name, ..live };
                (Some(next), |live, pid| Event::Execed(live.observe(pid)))
            }
            // Another process is given the pid.
            (None, _) => {
                let next = Live { token, start: token, generation: 0, comm: name, executable: name };
                (Some(next), |live, pid| Event::Forked { child: live.observe(pid), parent: Token(0) })
            }
        };
        self.live[at] = next;
        event(next.expect("is new"), FIRST_PID + at as u32)
    }
}

impl Live {
    fn observe(self, pid: u32) -> telegen_select::Observed {
        observed(pid, self.start, self.generation, self.token, NAMES[self.executable])
    }
}

/// Whether a decision can be missing because it was forgotten: from when that began until the first step that has begun
/// after it has ended.
fn is_forgotten(forgotten: &[(i64, i64)], (before, after): (i64, i64)) -> bool {
    let decided_again = |done: i64| 2 * ((done + 1) / 2) + 2;
    forgotten.iter().any(|&(begun, done)| after >= begun && before <= decided_again(done))
}

fn check_list(writer: &Writer, window: (i64, i64), list: &[SelectedProcess]) {
    let pids: Vec<u32> = list.iter().map(|process| process.facts.key.id.pid.0).collect();
    assert!(pids.is_sorted_by(|a, b| a < b), "one process a pid: {pids:?}, {window:?}");
    let mut listed = HashSet::new();
    for process in list {
        let (facts, decision) = (&process.facts, process.decision);
        assert!(decision.is_profile());
        assert_eq!(process.rules.decide(facts, None, false), decision, "by its own rules: {:?}", facts.key);
        let at = facts.key.id.pid.0 - FIRST_PID;
        let mut states = writer.by_pid[at as usize].between(window).flatten();
        assert!(
            states.any(|(live, true_then)| live.is(facts) && true_then == decision),
            "{:?}: {decision:?}, {window:?}",
            facts.key
        );
        listed.insert(at as usize);
    }
    for (at, history) in writer.by_pid.iter().enumerate() {
        let states: Vec<State> = history.between(window).collect();
        if let [Some((live, decision))] = states[..] {
            assert_eq!(decision.is_profile(), listed.contains(&at), "{live:?} all the time: {window:?}");
        }
    }
}

fn check(writer: &Writer, heard: &[Heard]) {
    let all = || heard.iter().flatten();
    let mut forgotten = vec![Vec::new(); PIDS as usize];
    for (window, answer) in all() {
        if let Answer::Forgotten(pid) = answer {
            forgotten[(pid - FIRST_PID) as usize].push(*window);
        }
    }
    let summaries = RULES.map(|rules| format!("Active filters: ProcessNames=[{}]", rules.join(",")));
    let (mut verdicts, mut lists, mut words) = (HashSet::new(), 0, 0);
    for (window, answer) in all() {
        match answer {
            Answer::Decision(pid, decision) => {
                let at = (pid - FIRST_PID) as usize;
                let mut states = writer.by_pid[at].between(*window);
                let is_true =
                    states.any(|state| state.map_or(Decision::UNKNOWN, |(_, then)| then) == *decision);
                let is_missing = *decision == Decision::UNKNOWN && is_forgotten(&forgotten[at], *window);
                assert!(is_true || is_missing, "pid {pid}: {decision:?} at no instant of {window:?}");
                verdicts.insert(decision.verdict);
            }
            Answer::Filtered(list) => {
                check_list(writer, *window, list);
                lists += usize::from(!list.is_empty());
            }
            Answer::Summary(text) => {
                assert!(
                    writer.by_rules.between(*window).any(|rules| summaries[rules] == *text),
                    "{text}, {window:?}"
                );
                words += 1;
            }
            Answer::Forgotten(_) => {}
        }
    }
    let seen =
        [Verdict::Profile, Verdict::Skip, Verdict::Pending].iter().all(|verdict| verdicts.contains(verdict));
    assert!(seen && lists > 10 && words > 10, "readers have hardly been at it");
}

#[test]
fn what_a_reader_is_told_was_true_at_some_instant_of_its_call() {
    for seed in [1, 20_261_125] {
        let mut writer = Writer::new(seed);
        let selection = writer.selector.selection();
        let clock = AtomicU64::new(0);
        let heard: Vec<Heard> = thread::scope(|scope| {
            let readers: Vec<_> = (1..=READERS)
                .map(|reader| {
                    let (selection, clock) = (selection.clone(), &clock);
                    scope.spawn(move || read(&selection, clock, seed + reader * 7_919))
                })
                .collect();
            for step in 0.. {
                writer.step(step, &clock);
                if readers.iter().all(|reader| reader.is_finished()) {
                    break;
                }
                // Where there are fewer CPUs than threads, the others come in between.
                if step % 64 == 0 {
                    thread::yield_now();
                }
            }
            readers.into_iter().map(|reader| reader.join().expect("a reader")).collect()
        });
        check(&writer, &heard);
    }
}
