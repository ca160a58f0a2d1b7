//! Readers on other threads while the owner writes.

use crate::stories::{named, observed};
use std::sync::atomic::{AtomicBool, Ordering};
use telegen_model::{Pid, Token};
use telegen_rules::Verdict;
use telegen_select::{Event, Limits, Rates, Selector};

#[test]
fn readers_never_see_another_process_s_decision() {
    let mut selector = Selector::new(named(&["java"]), Pid(1), Limits::default(), Rates::default());
    let selection = selector.selection();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    // Even pids only ever are java, odd ones only ever bash.
                    for pid in 100..200 {
                        let verdict = selection.should_profile(Pid(pid)).verdict;
                        let wrong = if pid % 2 == 0 { Verdict::Skip } else { Verdict::Profile };
                        assert_ne!(verdict, wrong, "pid {pid}");
                    }
                    assert!(
                        selection
                            .filtered_processes()
                            .iter()
                            .all(|process| process.facts.key.id.pid.0 % 2 == 0)
                    );
                }
            });
        }
        let mut out = Vec::new();
        let mut token = 0;
        for round in 0..300 {
            for pid in 100..200 {
                token += 1;
                let name = if pid % 2 == 0 { "java" } else { "bash" };
                selector.handle(Event::Execed(observed(pid, round, 0, token, name)), &mut out);
                if token % 3 == 0 {
                    selector.handle(Event::Exited { token: Token(token) }, &mut out);
                }
                out.clear();
            }
        }
        done.store(true, Ordering::Relaxed);
    });
}
