//! News that comes late, or never: events wait in a queue, may be lost, and scans fall in between.

use crate::stories::named;
use crate::world::{NAMES, World};
use proptest::prelude::*;
use std::collections::{BTreeSet, VecDeque};
use telegen_model::{Pid, Token};
use telegen_select::{Event, Limits, Observed, Operation, Rates, Repairs, Selector};

#[derive(Clone, Debug)]
enum Step {
    Fork {
        parent: usize,
        pid: u32,
    },
    Exec {
        process: usize,
        name: usize,
    },
    Exit {
        process: usize,
    },
    Rename {
        process: usize,
        name: usize,
    },
    /// The oldest events reach the selection.
    Deliver {
        most: usize,
    },
    /// The newest event was lost.
    Lose,
    /// Processes are looked at.
    BeginScan,
    /// What has been seen reaches the selection, behind the events that wait now or before them.
    FinishScan {
        events_first: bool,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (any::<usize>(), 2u32..6).prop_map(|(parent, pid)| Step::Fork { parent, pid }),
        8 => (any::<usize>(), 0usize..3).prop_map(|(process, name)| Step::Exec { process, name }),
        8 => any::<usize>().prop_map(|process| Step::Exit { process }),
        4 => (any::<usize>(), 0usize..3).prop_map(|(process, name)| Step::Rename { process, name }),
        8 => (1usize..6).prop_map(|most| Step::Deliver { most }),
        1 => Just(Step::Lose),
        4 => Just(Step::BeginScan),
        4 => any::<bool>().prop_map(|events_first| Step::FinishScan { events_first }),
    ];
    prop::collection::vec(step, 0..80)
}

struct Story {
    world: World,
    selector: Selector,
    queue: VecDeque<Event>,
    picture: Option<Vec<Observed>>,
    lost: bool,
}

impl Story {
    fn new() -> Self {
        let selector = Selector::new(named(&["java"]), Pid(1), Limits::default(), Rates::default());
        Self { world: World::new(), selector, queue: VecDeque::new(), picture: None, lost: true }
    }

    fn act(&mut self, step: Step, time: u64) -> Option<()> {
        let world = &mut self.world;
        match step {
            Step::Fork { parent, pid } => {
                let parent = world.pick(parent)?;
                let child = world.fork(parent, pid, time)?;
                self.queue.push_back(Event::Forked { child: world.observe(child), parent: Token(parent) });
            }
            Step::Exec { process, name } => {
                let image = world.exec(world.pick(process)?, name);
                self.queue.push_back(Event::Execed(world.observe(image)));
            }
            Step::Exit { process } => {
                let token = world.pick(process)?;
                world.live.remove(&token);
                self.queue.push_back(Event::Exited { token: Token(token) });
            }
            Step::Rename { process, name } => {
                let token = world.pick(process)?;
                world.live.get_mut(&token).expect("picked").comm = name;
                self.queue.push_back(Event::Renamed { token: Token(token), comm: NAMES[name].into() });
            }
            Step::Deliver { most } => self.deliver(most),
            Step::Lose => self.lost |= self.queue.pop_back().is_some(),
            Step::BeginScan => self.begin_scan(),
            Step::FinishScan { events_first } => {
                self.finish_scan(events_first);
            }
        }
        Some(())
    }

    fn deliver(&mut self, most: usize) {
        for _ in 0..most {
            let Some(event) = self.queue.pop_front() else { return };
            if let Event::Exited { token } = event {
                self.world.told_dead.insert(token.0);
            }
            self.handle(event);
        }
    }

    fn handle(&mut self, event: Event) {
        let mut out = Vec::new();
        self.selector.handle(event, &mut out);
        self.world.carry_out(out);
    }

    fn begin_scan(&mut self) {
        self.selector.begin_scan();
        self.picture = Some(self.world.live.keys().map(|&token| self.world.observe(token)).collect());
    }

    fn finish_scan(&mut self, events_first: bool) -> Option<(Repairs, Vec<Operation>)> {
        let picture = self.picture.take()?;
        if events_first {
            self.deliver(usize::MAX);
        }
        for observed in picture {
            self.handle(Event::Seen(observed));
        }
        let mut out = Vec::new();
        let repairs = self.selector.finish_scan(&mut out);
        self.world.carry_out(out.clone());
        Some((repairs, out))
    }

    fn scan(&mut self) -> Repairs {
        self.begin_scan();
        self.finish_scan(true).expect("has begun").0
    }

    fn check(&self) {
        let java = |token: &u64| {
            let live = &self.world.live[token];
            [live.comm, live.executable].contains(&0)
        };
        let wanted: BTreeSet<u64> = self.world.live.keys().copied().filter(java).collect();
        assert_eq!(self.world.started, wanted);
        let selection = self.selector.selection();
        assert_eq!(selection.counts(), (self.world.live.len(), wanted.len()));
        for (token, live) in &self.world.live {
            assert_eq!(selection.should_profile(Pid(live.pid)).is_profile(), wanted.contains(token));
        }
        for pid in (2..6).filter(|&pid| self.world.by_pid(pid).is_none()) {
            assert!(!selection.should_profile(Pid(pid)).is_profile());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    #[test]
    fn once_all_news_has_come_all_agree(steps in steps()) {
        let mut story = Story::new();
        story.scan();
        story.lost = false;
        for (time, step) in steps.into_iter().enumerate() {
            story.act(step, time as u64 + 1);
            if story.queue.is_empty() && story.picture.is_none() && !story.lost {
                story.check();
            }
        }
        story.finish_scan(true);
        story.deliver(usize::MAX);
        if !story.lost {
            story.check();
        }
        // Whatever was lost, a scan in which nothing happens puts it right, and the next has nothing to do.
        story.scan();
        story.check();
        prop_assert_eq!(story.scan(), Repairs::default());
    }
}
