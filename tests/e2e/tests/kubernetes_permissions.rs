//! Permissions that come while an agent runs.

use anyhow::Result;
use std::thread::sleep;
use std::time::Duration;
use telegen_e2e::{Agent, AgentSettings, Container, Node, Program, Scratch, USER, skip, until};
use telegen_test_kubernetes::{Grant, Interruption, Pod};

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn owners_that_could_not_be_asked_for_are_asked_for_once_they_can() -> Result<()> {
    if !Container::is_supported() {
        skip!("no runc");
    }
    let scratch = Scratch::new()?;
    let node = Node::start(&scratch)?;
    let access = node.server.access();
    access.revoke_grants(USER);
    for verb in ["list", "watch"] {
        access.grant(USER, Grant::cluster(verb, "", "pods"));
    }
    let set = node.replica_set("shop", "web", &[])?;
    let web = node.run(&scratch, Pod::of(&set), Program::SleeperStatic, "tg-k8p-web")?;
    let second = node.replica_set("shop", "web-two", &[])?;
    let two = node.run(&scratch, Pod::of(&second), Program::SleeperStatic, "tg-k8p-two")?;
    let rules = format!("{}  target_deployments: [web, web-two]\n", node.settings());
    let settings = AgentSettings { interval: "60s", rules: &rules, ..AgentSettings::default() };
    let agent = Agent::start(&scratch, &settings)?;
    agent.wait_for_decision(web.pid(), "skip")?;
    agent.wait_for_decision(two.pid(), "skip")?;
    let sets = || node.server.ledger().count(|entry| entry.is("get", "replicasets.apps"));
    // A watch that has lasted for five seconds is renewed at once.
    let renew = || {
        sleep(Duration::from_secs(6));
        node.server.faults().interrupt_watches(Interruption::Clean);
    };
    let asked = sets();
    assert_eq!(asked, 2, "each is asked for once");
    // A watch that begins anew, as it does every few minutes, is the occasion to try again: by one of both.
    until(LIMIT, "another try", || {
        renew();
        Ok((sets() > asked).then_some(()))
    })?;
    assert_eq!(sets(), asked + 1, "one stands for all that need the same permission");
    assert_eq!(agent.decision_on(web.pid())?["decision"], "skip");
    access.grant(USER, Grant::cluster("get", "apps", "replicasets"));
    until(LIMIT, "the deployments", || {
        renew();
        let decisions = [agent.decision_on(web.pid())?, agent.decision_on(two.pid())?];
        Ok(decisions.iter().all(|decision| decision["decision"] == "profile").then_some(()))
    })?;
    let log = agent.log()?;
    for (said, times) in
        [("workloads of pods are shown as replicasets", 1), ("replicasets may be asked for now", 1)]
    {
        assert_eq!(log.matches(said).count(), times, "{said}\n{log}");
    }
    let lists = node.server.ledger().count(|entry| entry.is("list", "pods"));
    assert_eq!(lists, 1, "pods are not listed for that");
    Ok(())
}
