//! Answers that are none: cut, broken, late.

use anyhow::{Context, Result, anyhow, ensure};
use std::time::Duration;
use telegen_e2e::{Agent, AgentSettings, Container, Node, Program, Sample, Scratch, skip};
use telegen_test_kubernetes::{Fault, Interruption, Pod, Which};

const LIMIT: Duration = Duration::from_secs(60);

/// What goes wrong, and what is open ends for it to be asked again.
type Trouble = (Interruption, Option<(&'static str, Fault)>);

/// Lets each trouble come upon a running agent: it goes on sampling, and hears of a change afterwards.
fn expect_recovery(name: &str, troubles: &[Trouble]) -> Result<()> {
    let scratch = Scratch::new()?;
    let node = Node::start(&scratch)?;
    let burner = node.run(&scratch, Pod::new("shop", "known"), Program::BurnStatic, name)?;
    let edited = format!("{name}-edited");
    let edited = node.run(&scratch, Pod::new("shop", "edited"), Program::SleeperStatic, &edited)?;
    let rules = format!("{}  target_pods: [known]\n  target_labels: {{on: \"1\"}}\n", node.settings());
    let settings = AgentSettings { interval: "1s", rules: &rules, ..AgentSettings::default() };
    let agent = Agent::start(&scratch, &settings)?;
    agent.wait_for_decision(burner.pid(), "profile")?;
    let ledger = node.server.ledger();
    let samples = || -> Result<u64> {
        let of_it = |sample: &Sample| sample.label("process.pid") == burner.pid().to_string();
        Ok(agent.profiles()?.iter().map(|profile| profile.count(of_it)).sum())
    };
    for (nth, (interruption, fault)) in troubles.iter().enumerate() {
        let (value, expected) = if nth % 2 == 0 { (Some("1"), "profile") } else { (None, "skip") };
        // What a list has said may be acted upon before there is a watch again.
        telegen_e2e::until(LIMIT, "an open watch", || {
            Ok((node.server.faults().open_watches() == 1).then_some(()))
        })?;
        if let Some((verb, fault)) = fault {
            node.server.faults().next(1, Which::only(verb, "pods"), fault.clone());
        }
        let asked = ledger.len();
        ensure!(node.server.faults().interrupt_watches(*interruption) == 1, "one watch is open");
        ensure!(ledger.wait(asked + 1, LIMIT, |_| true), "nobody asks again");
        // It is written down before anything is heard of it again: that must not be lost.
        node.label("shop", "edited", "on", value)?;
        agent.wait_for_decision(edited.pid(), expected)?;
        assert_eq!(
            agent.decision_on(burner.pid())?["decision"],
            "profile",
            "after {interruption:?} {fault:?}"
        );
    }
    let before = samples()?;
    agent.wait_for_profiles("further samples", |_| samples().is_ok_and(|now| now > before))?;
    Ok(())
}

/// The same for several agents at once, each with troubles of its own: most of the time is spent waiting.
fn expect_recoveries(groups: &[(&str, &[Trouble])]) -> Result<()> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = groups
            .iter()
            .map(|(name, troubles)| {
                scope.spawn(|| expect_recovery(name, troubles).context((*name).to_owned()))
            })
            .collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().map_err(|_| anyhow!("a thread has panicked"))?)
    })
}

#[test]
fn a_watch_that_breaks_off_or_is_answered_wrongly_is_gone_on_with() -> Result<()> {
    if !Container::is_supported() {
        skip!("no runc");
    }
    let cut = [
        (Interruption::MidLine, None),
        (Interruption::BetweenLines, None),
        (Interruption::InternalError, None),
    ];
    let wrong = [
        (Interruption::Clean, Some(("watch", Fault::MalformedJson))),
        (Interruption::Clean, Some(("watch", Fault::InternalError))),
        (Interruption::Clean, Some(("watch", Fault::CutAfter { bytes: 40 }))),
    ];
    expect_recoveries(&[("tg-k8a-cut", &cut), ("tg-k8a-wrong", &wrong)])
}

#[test]
fn a_list_that_comes_slowly_is_waited_for_and_one_that_is_wrong_is_asked_for_again() -> Result<()> {
    if !Container::is_supported() {
        skip!("no runc");
    }
    let slowly = Fault::Slow { bytes: 1000, every: Duration::from_millis(100) };
    let slow = [
        (Interruption::Expired, Some(("list", slowly))),
        (Interruption::Expired, Some(("list", Fault::BadGateway))),
        (Interruption::Expired, Some(("list", Fault::InternalError))),
    ];
    let wrong = [
        (Interruption::Expired, Some(("list", Fault::MalformedJson))),
        (Interruption::Expired, Some(("list", Fault::CutAfter { bytes: 3000 }))),
        (Interruption::Expired, Some(("list", Fault::EndAfter { bytes: 3000 }))),
    ];
    expect_recoveries(&[("tg-k8a-slow", &slow), ("tg-k8a-list", &wrong)])
}
