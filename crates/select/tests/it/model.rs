//! Random streams of events, against a model that remembers everything and decides from scratch.

use crate::world::{Live, NAMES, World};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use telegen_model::{Pid, ProcessId, StartTime, Token};
use telegen_rules::{RuleSet, RuleSpec};
use telegen_select::{Event, Limits, Rates, Selector, Standing};

#[derive(Clone, Debug)]
enum Step {
    Fork { parent: usize, pid: u32 },
    Exec { process: usize, name: usize },
    Exit { process: usize },
    Rename { process: usize, name: usize },
    Follow { process: usize },
    Forget { pid: u32 },
    Reload { rules: usize },
    Limit { most: usize },
    Rescan,
}

/// Names and pids of a set of rules.
const RULES: [(&[&str], &[u32]); 6] = [
    (&["java"], &[]),
    (&["java", "ruby"], &[]),
    (&["bash"], &[3]),
    (&[], &[2, 3, 2]),
    (&["ruby"], &[4]),
    (&[], &[]),
];

fn compile((names, pids): (&[&str], &[u32])) -> RuleSet {
    let process_names = names.iter().map(|&name| name.into()).collect();
    let spec = RuleSpec { process_names, pids: pids.to_vec(), ..RuleSpec::default() };
    RuleSet::compile(&spec).expect("valid")
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (any::<usize>(), 2u32..8).prop_map(|(parent, pid)| Step::Fork { parent, pid }),
        8 => (any::<usize>(), 0usize..3).prop_map(|(process, name)| Step::Exec { process, name }),
        6 => any::<usize>().prop_map(|process| Step::Exit { process }),
        4 => (any::<usize>(), 0usize..3).prop_map(|(process, name)| Step::Rename { process, name }),
        1 => any::<usize>().prop_map(|process| Step::Follow { process }),
        1 => (2u32..8).prop_map(|pid| Step::Forget { pid }),
        2 => (0..RULES.len()).prop_map(|rules| Step::Reload { rules }),
        2 => prop_oneof![0usize..4, Just(100)].prop_map(|most| Step::Limit { most }),
        2 => Just(Step::Rescan),
    ];
    prop::collection::vec(step, 0..60)
}

/// Which process each pid rule was bound to: the start time of the first that was seen.
type Bound = BTreeMap<u32, u64>;

fn bind(bound: &mut Bound, rules: usize, world: &World) {
    for &pid in RULES[rules].1 {
        if let Some((_, live)) = world.by_pid(pid) {
            bound.entry(pid).or_insert(live.start);
        }
    }
}

fn wanted(live: &Live, rules: usize, bound: &Bound) -> bool {
    let (names, pids) = RULES[rules];
    live.followed
        || bound.get(&live.pid) == Some(&live.start)
        || names.is_empty() && pids.is_empty()
        || [live.comm, live.executable].iter().any(|&name| names.contains(&NAMES[name]))
}

/// One step in the world, and the news of it.
fn take(step: &Step, time: u64, world: &mut World) -> Option<Event> {
    Some(match *step {
        Step::Fork { parent, pid } => {
            let parent = world.pick(parent)?;
            let child = world.fork(parent, pid, time)?;
            Event::Forked { child: world.observe(child), parent: Token(parent) }
        }
        Step::Exec { process, name } => {
            let image = world.exec(world.pick(process)?, name);
            Event::Execed(world.observe(image))
        }
        Step::Exit { process } => {
            let token = world.pick(process)?;
            world.live.remove(&token);
            world.told_dead.insert(token);
            Event::Exited { token: Token(token) }
        }
        Step::Rename { process, name } => {
            let token = world.pick(process)?;
            world.live.get_mut(&token).expect("picked").comm = name;
            Event::Renamed { token: Token(token), comm: NAMES[name].into() }
        }
        _ => return None,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn after_every_step_all_agree(steps in steps(), max_targets in prop_oneof![1 => 0usize..4, 2 => Just(100)]) {
        let (mut world, mut max_targets) = (World::new(), max_targets);
        let (mut rules, mut bound) = (0, Bound::new());
        let mut selector = Selector::new(compile(RULES[rules]), Pid(1), Limits { max_targets }, Rates::default());
        let selection = selector.selection();
        let mut out = Vec::new();
        selector.handle(Event::Seen(world.observe(1)), &mut out);
        world.carry_out(out);
        for (time, step) in steps.into_iter().enumerate() {
            let mut out = Vec::new();
            match step {
                Step::Reload { rules: next } => {
                    let same = next == rules && RULES[next].1.is_empty();
                    rules = next;
                    bound.clear();
                    selector.reload(compile(RULES[rules]), Rates::default(), &mut out);
                    prop_assert!(!same || out.is_empty(), "the same rules again change nothing");
                }
                Step::Rescan => {
                    selector.begin_scan();
                    for token in world.live.keys() {
                        selector.handle(Event::Seen(world.observe(*token)), &mut out);
                    }
                    let repairs = selector.finish_scan(&mut out);
                    prop_assert!(out.is_empty() && repairs == Default::default(), "nothing was lost: {out:?}");
                }
                Step::Limit { most } => {
                    let oldest: Vec<u64> = world.started.iter().copied().take(most).collect();
                    max_targets = most;
                    selector.set_max_targets(most, &mut out);
                    world.carry_out(std::mem::take(&mut out));
                    prop_assert!(oldest.iter().all(|token| world.started.contains(token)), "it is the newest that go");
                }
                Step::Follow { process } => {
                    let Some(token) = world.pick(process) else { continue };
                    let live = world.live.get_mut(&token).expect("picked");
                    live.followed = true;
                    let id = ProcessId { pid: Pid(live.pid), start: StartTime(live.start) };
                    prop_assert!(selector.follow(id, &mut out));
                }
                Step::Forget { pid } => {
                    selection.forget(Pid(pid));
                    prop_assert!(!selection.should_profile(Pid(pid)).is_profile());
                    // Any event will do, were it news of nobody.
                    selector.handle(Event::Exited { token: Token(u64::MAX) }, &mut out);
                    prop_assert!(out.is_empty(), "profiling is not interrupted");
                }
                event => {
                    let Some(event) = take(&event, time as u64 + 1, &mut world) else { continue };
                    selector.handle(event, &mut out);
                }
            }
            bind(&mut bound, rules, &world);
            world.carry_out(out);
            let wanted: BTreeSet<u64> = world.live.iter()
                .filter(|(_, live)| wanted(live, rules, &bound)).map(|(&token, _)| token).collect();
            prop_assert!(world.started.is_subset(&wanted), "{:?} of {:?}", world.started, wanted);
            prop_assert_eq!(world.started.len(), wanted.len().min(max_targets), "no place stays empty");
            prop_assert_eq!(selection.counts(), (world.live.len(), world.started.len()));
            let listed: BTreeSet<u32> = selection.filtered_processes().iter().map(|p| p.facts.key.id.pid.0).collect();
            prop_assert_eq!(listed.len(), world.started.len());
            for (token, live) in &world.live {
                let profiled = world.started.contains(token);
                prop_assert_eq!(selection.should_profile(Pid(live.pid)).is_profile(), profiled);
                prop_assert_eq!(listed.contains(&live.pid), profiled);
                prop_assert_eq!(matches!(live.standing, Standing::Profile { .. }), profiled, "{:?}", live);
                prop_assert_ne!(live.standing, Standing::Undecided);
            }
            for pid in (2..8).filter(|&pid| world.by_pid(pid).is_none()) {
                prop_assert!(!selection.should_profile(Pid(pid)).is_profile());
            }
        }
    }
}
