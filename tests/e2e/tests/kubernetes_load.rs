//! What an agent costs the server, and what many pods cost the agent.

use anyhow::{Context, Result};
use std::fs;
use std::time::{Duration, Instant};
use telegen_e2e::{Agent, AgentSettings, NODE, Node, Scratch, figure, until};
use telegen_test_kubernetes::{Container, Entry, FieldSelectors, Options, Pod, Runtime};

const LIMIT: Duration = Duration::from_secs(60);
/// Pods on a crowded node; the variable makes it another number.
const PODS: &str = "TELEGEN_E2E_PODS";
/// Agents whose memory is compared, each with none and with many pods.
const AGENTS: usize = 3;

fn start(scratch: &Scratch, node: &Node) -> Result<Agent> {
    let rules = format!("{}  target_namespaces: [shop]\n", node.settings());
    Agent::start(scratch, &AgentSettings { interval: "60s", rules: &rules, ..AgentSettings::default() })
}

/// Lets so many pods be on the node, of so many replica sets.
fn fill(node: &Node, pods: usize, sets: usize) -> Result<()> {
    let sets = (0..sets)
        .map(|nth| node.replica_set("shop", &format!("web-{nth}"), &[("app", "web"), ("tier", "front")]))
        .collect::<Result<Vec<_>>>()?;
    for nth in 0..pods {
        let containers =
            ["web", "proxy"].map(|name| Container::running(name, Runtime::Containerd.container_id()));
        let pod = Pod::of(&sets[nth % sets.len()]).node(NODE);
        node.put(containers.into_iter().fold(pod, Pod::container).build())?;
    }
    Ok(())
}

fn known(agent: &Agent, pods: usize) -> Result<()> {
    until(LIMIT, &format!("{pods} pods"), || {
        let known = agent.metrics()?.sum("telegen_profiler_kubernetes_pods", &[])?;
        Ok((known == pods as f64).then_some(()))
    })
}

#[test]
fn an_agent_asks_for_one_list_one_watch_and_each_owner_once() -> Result<()> {
    let scratch = Scratch::new()?;
    let node = Node::start(&scratch)?;
    fill(&node, 30, 3)?;
    let elsewhere = node.replica_set("shop", "elsewhere", &[])?;
    for _ in 0..20 {
        node.put(Pod::of(&elsewhere).node("node-2").build())?;
    }
    let agent = start(&scratch, &node)?;
    known(&agent, 30)?;
    // Another pod of a set that is known costs nothing but its event.
    let set =
        node.server.cluster().get("ReplicaSet", "shop", elsewhere["metadata"]["name"].as_str().unwrap())?;
    node.put(Pod::of(&set).node(NODE).build())?;
    node.put(Pod::of(&set).node(NODE).build())?;
    known(&agent, 32)?;
    let entries = node.server.ledger().entries();
    let count = |like: &dyn Fn(&Entry) -> bool| entries.iter().filter(|entry| like(entry)).count();
    assert_eq!(count(&|entry| entry.is("list", "pods")), 1, "{entries:?}");
    assert_eq!(count(&|entry| entry.is("watch", "pods")), 1, "{entries:?}");
    assert_eq!(count(&|entry| entry.is("get", "replicasets.apps")), 4, "{entries:?}");
    assert_eq!(entries.len(), 6, "nothing else is asked: {entries:?}");
    for entry in entries.iter().filter(|entry| entry.resource == "pods") {
        assert_eq!(entry.parameter("fieldSelector"), Some(&*format!("spec.nodeName={NODE}")), "{entry:?}");
    }
    let list = entries.iter().find(|entry| entry.is("list", "pods")).context("no list")?;
    assert_eq!(list.parameter("resourceVersion"), Some("0"), "from the server's cache: {list:?}");
    for owner in entries.iter().filter(|entry| entry.verb == "get") {
        let accept = owner.header("accept").unwrap_or_default();
        assert!(accept.contains("PartialObjectMetadata"), "no more than is needed: {owner:?}");
    }
    assert_eq!(node.server.ledger().open_watches(), 1);
    Ok(())
}

/// The anonymous memory of an agent, in bytes.
fn memory(agent: &Agent) -> Result<u64> {
    status_bytes(agent, "RssAnon:")
}

/// A size that `/proc/PID/status` tells.
fn status_bytes(agent: &Agent, field: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", agent.running.pid()))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)).context(field.to_owned())?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}

fn median(agents: &[Agent]) -> Result<u64> {
    let mut values = agents.iter().map(memory).collect::<Result<Vec<_>>>()?;
    values.sort_unstable();
    Ok(values[values.len() / 2])
}

/// Agents that know no pods, and as many that know some, of which the server sends them more or less.
struct Compared {
    without: Vec<Agent>,
    with: Vec<Agent>,
    /// Where the agents and their servers live, to be dropped after them.
    _nodes: [Node; 2],
    _scratches: Vec<Scratch>,
}

impl Compared {
    fn start(options: Options, pods: usize, fill: impl FnOnce(&Node) -> Result<()>) -> Result<Self> {
        let scratches = (0..2 * AGENTS).map(|_| Scratch::new()).collect::<Result<Vec<_>>>()?;
        let nodes = [Node::start(&scratches[0])?, Node::start_with(&scratches[1], options)?];
        fill(&nodes[1])?;
        let (mut without, mut with) = (Vec::new(), Vec::new());
        for scratches in scratches.chunks(2) {
            without.push(start(&scratches[0], &nodes[0])?);
            with.push(start(&scratches[1], &nodes[1])?);
        }
        for agent in &with {
            known(agent, pods)?;
        }
        Ok(Self { without, with, _nodes: nodes, _scratches: scratches })
    }

    /// Waits until who knows the pods takes no more than so many bytes more than who knows none.
    fn come_to_rest(&self, what: &str, limit: u64) -> Result<()> {
        let begin = Instant::now();
        let mut growth = Vec::new();
        let rest = until(2 * LIMIT, "memory to be given back", || {
            growth.push(median(&self.with)?.saturating_sub(median(&self.without)?));
            Ok(growth.last().is_some_and(|growth| *growth <= limit).then_some(()))
        });
        let [first, last] =
            [growth.first(), growth.last()].map(|bytes| bytes.copied().unwrap_or_default() / 1024);
        let (without, took) = (median(&self.without)? / 1024, begin.elapsed());
        figure(&format!(
            "{first} KiB more for {what} at first, {last} KiB after {took:?}; {without} KiB without"
        ));
        rest
    }
}

#[test]
fn many_pods_take_little_memory() -> Result<()> {
    let pods: usize = std::env::var(PODS).ok().map(|text| text.parse()).transpose()?.unwrap_or(250);
    let compared = Compared::start(Options::default(), pods, |node| fill(node, pods, pods / 5 + 1))?;
    // What reading a list takes for a while is given back some ten seconds later.
    compared.come_to_rest(&format!("{pods} pods"), pods as u64 * 4096)
}

#[test]
fn pods_of_other_nodes_that_a_server_sends_all_the_same_are_dropped_while_they_are_read() -> Result<()> {
    let (ours, others) = (250, 4750);
    let options = Options { field_selectors: FieldSelectors::Ignored, ..Options::default() };
    let compared = Compared::start(options, ours, |node| {
        fill(node, ours, ours / 5 + 1)?;
        for nth in 0..others {
            let container = Container::running("web", Runtime::Containerd.container_id());
            let pod = Pod::new("shop", &format!("far-{nth}")).node(&format!("other-{}", nth % 19));
            node.put(pod.container(container).build())?;
        }
        Ok(())
    })?;
    let highest = |agents: &[Agent]| -> Result<u64> {
        agents.iter().try_fold(0, |most: u64, agent| Ok(most.max(status_bytes(agent, "VmHWM:")?)))
    };
    let peak = highest(&compared.with)?.saturating_sub(highest(&compared.without)?);
    figure(&format!("{} KiB more while 5,000 pods were read, of which 250 were kept", peak / 1024));
    assert!(peak < 8 << 20, "{peak} bytes more at most: 5,000 pods were held");
    for agent in &compared.with {
        let strangers = agent.metrics()?.sum("telegen_profiler_kubernetes_pods_of_other_nodes_total", &[])?;
        assert_eq!(strangers, f64::from(others));
        let log = agent.log()?;
        assert_eq!(log.matches("does not select by spec.nodeName").count(), 1, "{log}");
    }
    compared.come_to_rest("250 pods of 5,000 that were sent", 1 << 20)
}
