//! A decision from the cache: 10,000 processes, asked for in random order.
#![allow(missing_docs)]

use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use telegen_model::{
    Generation, KernelKey, Pid, PodFacts, ProcessFacts, ProcessId, ProcessKey, StartTime, Token,
};
use telegen_rules::{RuleSet, RuleSpec};
use telegen_select::{Event, Limits, Observed, Rates, Selector, Standing};

const PROCESSES: u32 = 10_000;

fn should_profile(criterion: &mut Criterion) {
    let spec = RuleSpec { process_names: vec!["java*".into()], ..RuleSpec::default() };
    let rules = RuleSet::compile(&spec).expect("a valid pattern");
    let mut selector = Selector::new(rules, Pid(1), Limits::default(), Rates::default());
    let mut out = Vec::new();
    // Pids as a node has them after some days: spread over the whole range.
    let pids: Vec<Pid> = (0..PROCESSES).map(|n| Pid(n.wrapping_mul(2_654_435_761) % 4_194_303 + 1)).collect();
    for (n, &pid) in pids.iter().enumerate() {
        let id = ProcessId { pid, start: StartTime(n as u64) };
        let name = if n % 20 == 0 { "java" } else { "bash" };
        let facts = ProcessFacts {
            key: ProcessKey { id, generation: Generation(0) },
            parent: Pid(1),
            kernel_thread: false,
            comm: name.into(),
            executable: Some(format!("/usr/bin/{name}").into()),
            argv0: Some(name.into()),
            container: None,
            pod: PodFacts::InNone,
        };
        let observed = Observed {
            facts,
            token: Token(n as u64 + 1),
            key: KernelKey(pid.0),
            standing: Standing::Undecided,
        };
        selector.handle(Event::Seen(observed), &mut out);
        out.clear();
    }
    let selection = selector.selection();
    let mut state = 1u64;
    criterion.bench_function("should_profile, 10,000 processes in random order", |bencher| {
        bencher.iter(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let pid = pids[(state >> 33) as usize % pids.len()];
            black_box(selection.should_profile(pid))
        });
    });
}

criterion_group!(benches, should_profile);
criterion_main!(benches);
