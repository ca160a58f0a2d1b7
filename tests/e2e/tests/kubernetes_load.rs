//! What an agent costs the server, and what many pods cost the agent.

use anyhow::{Context, Result};
use std::fs;
use std::time::{Duration, Instant};
use telegen_e2e::{Agent, AgentSettings, NODE, Node, Scratch, figure, until};
use telegen_test_kubernetes::{Container, Entry, Pod, Runtime};

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
    let status = fs::read_to_string(format!("/proc/{}/status", agent.running.pid()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).context("no RssAnon")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}

fn median(agents: &[Agent]) -> Result<u64> {
    let mut values = agents.iter().map(memory).collect::<Result<Vec<_>>>()?;
    values.sort_unstable();
    Ok(values[values.len() / 2])
}

#[test]
fn many_pods_take_little_memory() -> Result<()> {
    let pods: usize = std::env::var(PODS).ok().map(|text| text.parse()).transpose()?.unwrap_or(250);
    // For 250 pods of two containers 1.25 MiB: the pods themselves, and what connections keep after a list of 2 MB. Measured are 1.0 to
    // 1.05 MiB; 5,000 pods take 2.3 KiB each.
    let limit = pods as u64 * 5120;
    let scratches = (0..2 * AGENTS).map(|_| Scratch::new()).collect::<Result<Vec<_>>>()?;
    let nodes = scratches[..2].iter().map(Node::start).collect::<Result<Vec<_>>>()?;
    fill(&nodes[1], pods, pods / 5 + 1)?;
    let begin = Instant::now();
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for scratches in scratches.chunks(2) {
        without.push(start(&scratches[0], &nodes[0])?);
        with.push(start(&scratches[1], &nodes[1])?);
    }
    for agent in &with {
        known(agent, pods)?;
    }
    // What reading a list takes for a while is given back some ten seconds later.
    let mut growth = Vec::new();
    let come_to_rest = until(2 * LIMIT, "memory to be given back", || {
        growth.push(median(&with)?.saturating_sub(median(&without)?));
        Ok(growth.last().is_some_and(|growth| *growth <= limit).then_some(()))
    });
    let [first, last] =
        [growth.first(), growth.last()].map(|bytes| bytes.copied().unwrap_or_default() / 1024);
    figure(&format!(
        "{first} KiB more for {pods} pods at first, {last} KiB after {:?}; {} KiB without",
        begin.elapsed(),
        median(&without)? / 1024
    ));
    come_to_rest
}
