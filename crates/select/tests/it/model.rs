//! Random streams of events, against a model that remembers everything and decides from scratch.

use crate::stories::{named, observed};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use telegen_model::{Pid, Token};
use telegen_select::{Event, Limits, Operation, Selector, Standing};

#[derive(Clone, Debug)]
enum Step {
    Fork { parent: usize, pid: u32 },
    Exec { process: usize, name: usize },
    Exit { process: usize },
    Rename { process: usize, name: usize },
    Reload { rules: usize },
    Rescan,
}

const NAMES: [&str; 3] = ["java", "bash", "ruby"];
const RULES: [&[&str]; 3] = [&["java"], &["java", "ruby"], &["bash"]];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (any::<usize>(), 2u32..8).prop_map(|(parent, pid)| Step::Fork { parent, pid }),
        4 => (any::<usize>(), 0usize..3).prop_map(|(process, name)| Step::Exec { process, name }),
        3 => any::<usize>().prop_map(|process| Step::Exit { process }),
        2 => (any::<usize>(), 0usize..3).prop_map(|(process, name)| Step::Rename { process, name }),
        1 => (0usize..3).prop_map(|rules| Step::Reload { rules }),
        1 => Just(Step::Rescan),
    ];
    prop::collection::vec(step, 0..60)
}

#[derive(Clone, Debug)]
struct Live {
    pid: u32,
    start: u64,
    generation: u32,
    comm: usize,
    executable: usize,
    standing: Standing,
}

/// What the kernel and the sampler would hold.
#[derive(Default)]
struct World {
    live: BTreeMap<u64, Live>,
    started: BTreeSet<u64>,
    tokens: u64,
}

impl World {
    fn pick(&self, at: usize) -> Option<u64> {
        (!self.live.is_empty()).then(|| *self.live.keys().nth(at % self.live.len()).expect("within"))
    }

    fn new_token(&mut self) -> u64 {
        self.tokens += 1;
        self.tokens
    }

    fn observe(&self, token: u64) -> telegen_select::Observed {
        let live = &self.live[&token];
        let mut observed = observed(live.pid, live.start, live.generation, token, NAMES[live.executable]);
        observed.facts.comm = NAMES[live.comm].into();
        observed.standing = live.standing;
        observed
    }

    fn carry_out(&mut self, out: Vec<Operation>) {
        for operation in out {
            match operation {
                Operation::Set { token, standing, key } => {
                    let live = self.live.get_mut(&token.0).expect("only the living are decided on");
                    assert_eq!(key.0, live.pid);
                    live.standing = standing;
                }
                Operation::Start { token, .. } => assert!(self.started.insert(token.0), "started twice"),
                Operation::End { token } => assert!(self.started.remove(&token.0), "ended without a start"),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn after_every_step_all_agree(steps in steps()) {
        let mut world = World::default();
        let mut rules = 0;
        let mut selector = Selector::new(named(RULES[rules]), Pid(1), Limits::default());
        let selection = selector.selection();
        let first = world.new_token();
        let shell = Live { pid: 1_000, start: 0, generation: 0, comm: 1, executable: 1, standing: Standing::Undecided };
        world.live.insert(first, shell);
        let mut out = Vec::new();
        selector.handle(Event::Seen(world.observe(first)), &mut out);
        world.carry_out(out);
        for (time, step) in steps.into_iter().enumerate() {
            let mut out = Vec::new();
            match step {
                Step::Fork { parent, pid } => {
                    let Some(parent) = world.pick(parent) else { continue };
                    if world.live.values().any(|live| live.pid == pid) {
                        continue;
                    }
                    let token = world.new_token();
                    let child = Live { pid, start: time as u64 + 1, generation: 0, ..world.live[&parent].clone() };
                    world.live.insert(token, child);
                    let child = world.observe(token);
                    selector.handle(Event::Forked { child, parent: Token(parent) }, &mut out);
                }
                Step::Exec { process, name } => {
                    let Some(before) = world.pick(process) else { continue };
                    let token = world.new_token();
                    let mut live = world.live.remove(&before).expect("picked");
                    live.generation += 1;
                    (live.comm, live.executable, live.standing) = (name, name, Standing::Undecided);
                    world.live.insert(token, live);
                    selector.handle(Event::Execed(world.observe(token)), &mut out);
                }
                Step::Exit { process } => {
                    let Some(token) = world.pick(process) else { continue };
                    world.live.remove(&token);
                    selector.handle(Event::Exited { token: Token(token) }, &mut out);
                }
                Step::Rename { process, name } => {
                    let Some(token) = world.pick(process) else { continue };
                    world.live.get_mut(&token).expect("picked").comm = name;
                    selector.handle(Event::Renamed { token: Token(token), comm: NAMES[name].into() }, &mut out);
                }
                Step::Reload { rules: next } => {
                    selector.reload(named(RULES[next]), &mut out);
                    prop_assert!(next != rules || out.is_empty(), "the same rules again change nothing");
                    rules = next;
                }
                Step::Rescan => {
                    selector.begin_scan();
                    for token in world.live.keys() {
                        selector.handle(Event::Seen(world.observe(*token)), &mut out);
                    }
                    let repairs = selector.finish_scan(&mut out);
                    prop_assert!(out.is_empty() && repairs == Default::default(), "nothing was lost");
                }
            }
            world.carry_out(out);
            let wanted = |live: &Live| [live.comm, live.executable].iter().any(|&name| RULES[rules].contains(&NAMES[name]));
            let targets: BTreeSet<u64> =
                world.live.iter().filter(|(_, live)| wanted(live)).map(|(&token, _)| token).collect();
            prop_assert_eq!(&world.started, &targets);
            prop_assert_eq!(selection.counts(), (world.live.len(), targets.len()));
            for (token, live) in &world.live {
                let profiled = targets.contains(token);
                prop_assert_eq!(selection.should_profile(Pid(live.pid)).is_profile(), profiled);
                prop_assert_eq!(live.standing != Standing::Skip, profiled);
            }
            for pid in 2..8 {
                if !world.live.values().any(|live| live.pid == pid) {
                    prop_assert!(!selection.should_profile(Pid(pid)).is_profile());
                }
            }
        }
    }
}
