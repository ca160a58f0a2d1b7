//! The kubelet as the source of pods.

use anyhow::{Result, ensure};
use std::time::{Duration, Instant};
use telegen_e2e::{
    Agent, AgentSettings, Container, NODE, Node, Program, Scratch, USER, figure, run, skip, telegen, until,
};
use telegen_test_kubernetes::{Grant, Kubelet, Pod, ServerCertificate};

const LIMIT: Duration = Duration::from_secs(60);

struct World {
    scratch: Scratch,
    node: Node,
    kubelet: Kubelet,
}

impl World {
    fn start(certificate: ServerCertificate) -> Result<Self> {
        let scratch = Scratch::new()?;
        let node = Node::start(&scratch)?;
        let access = node.server.access();
        access.revoke_grants(USER);
        access.grant(USER, Grant::cluster("get", "", "nodes/proxy"));
        scratch.write("ca.crt", &access.authority().pem())?;
        scratch.write("token", &access.issue_token(USER))?;
        let kubelet = Kubelet::start(&node.server, NODE, certificate)?;
        Ok(Self { scratch, node, kubelet })
    }

    fn settings(&self, certificate: &str) -> String {
        let (url, token) = (self.kubelet.url(), self.scratch.text("token"));
        format!(
            "  kubernetes: {{enabled: true, node_name: {NODE}, source: kubelet, \
             kubelet: {{url: \"{url}\", token_file: {token}, {certificate}}}}}\n"
        )
    }

    fn with_ca(&self) -> String {
        self.settings(&format!("ca_file: {}", self.scratch.text("ca.crt")))
    }

    fn agent(&self, rules: &str) -> Result<Agent> {
        let rules = self.with_ca() + rules;
        Agent::start(
            &self.scratch,
            &AgentSettings { interval: "1s", rules: &rules, ..AgentSettings::default() },
        )
    }

    fn run(&self, pod: Pod, name: &str) -> Result<Container> {
        self.node.run(&self.scratch, pod, Program::SleeperStatic, name)
    }
}

#[test]
fn pods_of_the_kubelet_are_selected_and_a_new_one_is_found_soon() -> Result<()> {
    if !Container::is_supported() {
        skip!("no runc");
    }
    let world = World::start(ServerCertificate::Good)?;
    let db = world.run(Pod::new("shop", "db-0").label("app", "db"), "tg-k8k-db")?;
    let other = world.run(Pod::new("tools", "x").label("app", "x"), "tg-k8k-other")?;
    let rules = "  targets: [{name: all, namespaces: [shop]}, {name: db, labels: {app: late}}]\n";
    let agent = world.agent(rules)?;
    agent.wait_for_decision(db.pid(), "profile")?;
    assert_eq!(agent.decision_on(other.pid())?["decision"], "skip");
    ensure!(world.node.server.ledger().is_empty(), "the API server is not asked");
    let begin = Instant::now();
    let late = world.run(Pod::new("tools", "late").label("app", "late"), "tg-k8k-late")?;
    let decided = agent.wait_for_decision(late.pid(), "profile")?;
    assert_eq!(decided["target"], "db", "{decided}");
    figure(&format!("a new pod was known after {:?}, its start by runc included", begin.elapsed()));
    assert!(begin.elapsed() < Duration::from_secs(6), "{:?}", begin.elapsed());
    Ok(())
}

#[test]
fn a_certificate_of_the_kubelets_own_is_taken_only_if_that_is_written_out() -> Result<()> {
    if !Container::is_supported() {
        skip!("no runc");
    }
    let world = World::start(ServerCertificate::SelfSigned)?;
    let db = world.run(Pod::new("shop", "db-0"), "tg-k8k-own")?;
    let list = |settings: &str| {
        let text = format!("profiler:\n{settings}  target_pods: [db-0]\n");
        let config = world.scratch.write("kubelet.yaml", &text)?;
        run(telegen(["targets", "-o", "json", "--config"])?.arg(config), LIMIT)
    };
    let outcome = list(&world.with_ca())?.expect_code(1)?;
    assert!(outcome.stderr.contains("kubelet") && outcome.stderr.contains("certificate"), "{outcome}");
    let outcome = list(&world.settings("insecure: true"))?.expect_code(0)?;
    let found: serde_json::Value = serde_json::from_str(&outcome.stdout)?;
    assert_eq!(found["processes"][0]["pid"], db.pid(), "{outcome}");
    Ok(())
}

#[test]
fn a_kubelet_that_forbids_it_is_quoted() -> Result<()> {
    let world = World::start(ServerCertificate::Good)?;
    world.node.server.access().revoke_grants(USER);
    let text = format!("profiler:\n{}  target_namespaces: [shop]\n", world.with_ca());
    let config = world.scratch.write("kubelet.yaml", &text)?;
    let outcome = run(telegen(["targets", "--config"])?.arg(config), LIMIT)?.expect_code(1)?;
    for piece in ["kubelet", "403", "nodes", "proxy"] {
        assert!(outcome.stderr.contains(piece), "{piece}\n{outcome}");
    }
    Ok(())
}

#[test]
fn deployments_are_not_known_to_a_kubelet_and_a_rule_on_them_warns() -> Result<()> {
    let world = World::start(ServerCertificate::Good)?;
    let agent = world.agent("  target_deployments: [web]\n")?;
    until(LIMIT, "a warning", || {
        let log = agent.log()?;
        Ok((log.contains("deployments") && log.contains("kubelet does not know")).then_some(()))
    })
}
