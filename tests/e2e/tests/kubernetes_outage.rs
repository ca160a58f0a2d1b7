//! A server that goes away while the agent runs, and comes back.

use anyhow::{Context, Result, ensure};
use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::Duration;
use telegen_e2e::{
    Agent, AgentSettings, Container, NODE, Node, PodPlace, Program, Sample, Scratch, USER, figure, skip,
    until,
};
use telegen_test_kubernetes::{
    Container as Listed, Credentials, Entry, Fault, Interruption, Pod, Runtime, Which,
};

const LIMIT: Duration = Duration::from_secs(60);
const RULES: &str = "  target_namespaces: [shop]\n";

/// A pod that the agent knows, burning.
struct World {
    scratch: Scratch,
    node: Node,
    known: Container,
    agent: Agent,
}

impl World {
    fn start(name: &str) -> Result<Self> {
        let scratch = Scratch::new()?;
        let node = Node::start(&scratch)?;
        let known = node.run(&scratch, Pod::new("shop", "known"), Program::BurnStatic, name)?;
        let rules = format!("{}{RULES}", node.settings());
        let settings = AgentSettings { interval: "1s", rules: &rules, ..AgentSettings::default() };
        let agent = Agent::start(&scratch, &settings)?;
        agent.wait_for_decision(known.pid(), "profile")?;
        Ok(Self { scratch, node, known, agent })
    }

    /// A container of a pod that the server gets to know now, and the agent when it can.
    fn run_new(&self, name: &str) -> Result<Container> {
        self.node.run(&self.scratch, Pod::new("shop", name), Program::BurnStatic, name)
    }

    fn samples(&self) -> Result<u64> {
        let pid = self.known.pid().to_string();
        let of_it = |sample: &Sample| sample.label("process.pid") == pid;
        Ok(self.agent.profiles()?.iter().map(|profile| profile.count(of_it)).sum())
    }

    /// What is known is still sampled.
    fn expect_more_samples(&self) -> Result<()> {
        let before = self.samples()?;
        self.agent.wait_for_profiles("further samples", |_| self.samples().is_ok_and(|now| now > before))?;
        Ok(())
    }

    fn lists(&self) -> usize {
        self.node.server.ledger().count(|entry| entry.is("list", "pods"))
    }
}

#[test]
fn what_is_known_stays_what_is_new_is_pending_and_the_watch_goes_on_where_it_was() -> Result<()> {
    if !Container::is_supported() {
        skip!("no runc");
    }
    let world = World::start("tg-k8o-known")?;
    let server = &world.node.server;
    server.down()?;
    let new = world.run_new("tg-k8o-new")?;
    let pending = world.agent.wait_for_decision(new.pid(), "pending")?;
    let reason = pending["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("target_namespaces"), "{pending}");
    assert_eq!(world.agent.decision_on(world.known.pid())?["decision"], "profile");
    world.expect_more_samples()?;
    assert_eq!(world.agent.decision_on(new.pid())?["decision"], "pending", "as long as nobody answers");
    let profiled = world.agent.profiles()?;
    let pids: BTreeSet<&str> =
        profiled.iter().flat_map(|profile| profile.label_values("process.pid")).collect();
    assert_eq!(pids, [&*world.known.pid().to_string()].into());
    let asked = server.ledger().len();
    server.up()?;
    let decided = world.agent.wait_for_decision(new.pid(), "profile")?;
    assert_eq!(decided["reason"], "target_namespaces[0] = \"shop\"");
    let since = server.ledger().since(asked);
    assert!(!since.iter().any(|entry| entry.is("list", "pods")), "{since:?}");
    let watch = since.iter().find(|entry| entry.is("watch", "pods")).context("no watch")?;
    let version: u64 = watch.parameter("resourceVersion").context("no version")?.parse()?;
    assert!(version > 0, "{watch:?}");
    Ok(())
}

#[test]
fn a_history_that_is_gone_costs_one_list() -> Result<()> {
    if !Container::is_supported() {
        skip!("no runc");
    }
    let world = World::start("tg-k8o-old")?;
    let server = &world.node.server;
    server.down()?;
    let new = world.run_new("tg-k8o-since")?;
    server.cluster().advance(100);
    server.cluster().compact();
    let lists = world.lists();
    server.up()?;
    world.agent.wait_for_decision(new.pid(), "profile")?;
    assert_eq!(world.agent.decision_on(world.known.pid())?["decision"], "profile");
    assert_eq!(world.lists() - lists, 1, "{:?}", server.ledger().entries());
    Ok(())
}

#[test]
fn an_outage_is_asked_through_seldom() -> Result<()> {
    if !Container::is_supported() {
        skip!("no runc");
    }
    const OUTAGE: Duration = Duration::from_secs(20);
    let world = World::start("tg-k8o-long")?;
    let server = &world.node.server;
    // A second server and a second agent, meanwhile: one that takes a watch and never says a word.
    let silent = World::start("tg-k8o-silent")?;
    silent.node.server.faults().next(1, Which::only("watch", "pods"), Fault::Hang);
    silent.node.server.faults().interrupt_watches(Interruption::Clean);
    ensure!(silent.node.server.ledger().wait(2, LIMIT, |entry| entry.is("watch", "pods")), "no watch");

    let asked = server.ledger().len();
    server.faults().start(Which::any(), Fault::Unavailable);
    server.cut_connections()?;
    sleep(OUTAGE);
    let requests = server.ledger().len() - asked;
    figure(&format!("{requests} requests in an outage of {OUTAGE:?}"));
    assert!((1..=10).contains(&requests), "{:?}", server.ledger().since(asked));
    assert_eq!(world.agent.decision_on(world.known.pid())?["decision"], "profile");
    world.expect_more_samples()?;
    let failures = world.agent.metrics()?.sum("telegen_profiler_kubernetes_failures_total", &[])?;
    assert!(failures >= 1.0, "{failures}");
    assert_eq!(world.agent.metrics()?.sum("telegen_profiler_kubernetes_in_sync", &[])?, 0.0);
    assert!(world.agent.log()?.contains("503"), "{}", world.agent.log()?);
    server.faults().clear();
    let in_sync = |agent: &Agent| -> Result<()> {
        until(LIMIT, "the source to be in sync", || {
            let now = agent.metrics()?.sum("telegen_profiler_kubernetes_in_sync", &[])?;
            Ok((now == 1.0).then_some(()))
        })
    };
    in_sync(&world.agent)?;

    silent.expect_more_samples()?;
    let new = silent.run_new("tg-k8o-after")?;
    silent.agent.wait_for_decision(new.pid(), "profile")?;
    in_sync(&silent.agent)
}

#[test]
fn a_server_that_asks_to_be_left_alone_is() -> Result<()> {
    if !Container::is_supported() {
        skip!("no runc");
    }
    let world = World::start("tg-k8o-busy")?;
    let server = &world.node.server;
    let asked = server.ledger().len();
    let busy = Fault::TooManyRequests { retry_after_s: 4 };
    server.faults().next(1, Which::only("watch", "pods"), busy);
    server.faults().interrupt_watches(Interruption::BetweenLines);
    let new = world.run_new("tg-k8o-wait")?;
    world.agent.wait_for_decision(new.pid(), "profile")?;
    let since: Vec<Entry> = server.ledger().since(asked);
    let refused = since.iter().position(|entry| entry.status == 429).context("nobody was refused")?;
    let after = since.get(refused + 1).context("nobody came back")?;
    let waited = after.at - since[refused].at;
    assert!(waited >= Duration::from_secs(4), "{waited:?}");
    Ok(())
}

#[test]
fn a_token_that_was_exchanged_is_read_again() -> Result<()> {
    if !Container::is_supported() {
        skip!("no runc");
    }
    let scratch = Scratch::new()?;
    let node = Node::start(&scratch)?;
    let first = node.server.access().issue_token(USER);
    let file = scratch.write("token", &first)?;
    node.write_kubeconfig(&Credentials::TokenFile(file))?;
    let rules = format!("{}{RULES}", node.settings());
    let agent = Agent::start(&scratch, &AgentSettings { rules: &rules, ..AgentSettings::default() })?;
    let uid = "dddd0004-0000-4000-8000-00000000000d";
    let second = node.server.access().rotate_token(USER);
    node.server.faults().interrupt_watches(Interruption::Clean);
    let refused = |entry: &Entry| entry.status == 401;
    ensure!(node.server.ledger().wait(1, LIMIT, refused), "the old token is not shown any more");
    scratch.write("token", &second)?;
    let place = PodPlace::cgroupfs(uid);
    let new = Container::start_in(&scratch, Program::SleeperStatic, "tg-k8o-token", &[], &place)?;
    let main = Listed::running("main", Runtime::Containerd.named(new.id()));
    node.put(Pod::new("shop", "new").uid(uid).node(NODE).container(main).build())?;
    agent.wait_for_decision(new.pid(), "profile")?;
    assert!(agent.log()?.contains("401"), "{}", agent.log()?);
    Ok(())
}
