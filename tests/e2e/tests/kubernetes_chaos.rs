//! Pods that come, change and go faster than anybody could follow, and a server that fails meanwhile: when all has come
//! to rest, who is profiled is who should be.

use anyhow::{Context, Result};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use telegen_e2e::{
    Agent, AgentSettings, NODE, Node, PodPlace, PodProcess, Program, Scratch, figure, skip, until,
};
use telegen_test_kubernetes::{Container, Fault, Interruption, Pod, Runtime, Which};

/// How long, in seconds.
const LENGTH: &str = "TELEGEN_E2E_CHAOS_SECONDS";
/// What chance begins from: to see again what was seen.
const SEED: &str = "TELEGEN_E2E_CHAOS_SEED";
const EVENT: Duration = Duration::from_millis(50);
const MOST_PODS: usize = 60;
const RULES: &str = "  match: all\n  target_namespaces: [chaos-a, chaos-c]\n  target_labels: {on: \"1\"}\n  \
                     exclude_labels: {out: \"1\"}\n";

/// xorshift64*.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit
    }

    fn hex(&mut self, digits: usize) -> String {
        (0..digits).map(|_| char::from_digit(self.below(16) as u32, 16).unwrap_or('0')).collect()
    }

    fn uid(&mut self) -> String {
        [8, 4, 4, 4, 12].map(|digits| self.hex(digits)).join("-")
    }
}

/// A pod as it should be known, and a process of it, each of which may be there without the other.
struct Member {
    namespace: String,
    name: String,
    uid: String,
    container_id: String,
    labels: BTreeMap<&'static str, &'static str>,
    listed: bool,
    process: Option<PodProcess>,
}

impl Member {
    fn should_be_profiled(&self) -> bool {
        let label = |key: &str| self.labels.get(key).copied();
        self.listed && self.namespace != "chaos-b" && label("on") == Some("1") && label("out") != Some("1")
    }
}

struct World {
    scratch: Scratch,
    node: Node,
    agent: Agent,
    chance: Chance,
    members: Vec<Member>,
    counts: BTreeMap<&'static str, u64>,
    /// When the server is up again.
    down_until: Option<Instant>,
}

impl World {
    fn start(seed: u64) -> Result<Self> {
        let scratch = Scratch::new()?;
        let node = Node::start(&scratch)?;
        let rules = node.settings() + RULES;
        let agent = Agent::start(&scratch, &AgentSettings { rules: &rules, ..AgentSettings::default() })?;
        let chance = Chance(seed | 1);
        Ok(Self {
            scratch,
            node,
            agent,
            chance,
            members: Vec::new(),
            counts: BTreeMap::new(),
            down_until: None,
        })
    }

    fn event(&mut self) -> Result<()> {
        let what = match self.chance.below(100) {
            0..30 if self.members.len() < MOST_PODS => self.create()?,
            0..55 if !self.members.is_empty() => self.remove()?,
            55..92 if !self.members.is_empty() => self.edit()?,
            92..97 => self.trouble()?,
            _ => "nothing",
        };
        *self.counts.entry(what).or_default() += 1;
        Ok(())
    }

    fn create(&mut self) -> Result<&'static str> {
        let chance = &mut self.chance;
        let namespace = ["chaos-a", "chaos-b", "chaos-c"][chance.below(3)].to_owned();
        // Few names, so that some come again as other pods.
        let name = format!("web-{}", chance.below(2 * MOST_PODS));
        if self
            .members
            .iter()
            .any(|member| member.listed && member.namespace == namespace && member.name == name)
        {
            return Ok("nothing");
        }
        let mut labels = BTreeMap::new();
        if chance.below(3) > 0 {
            labels.insert("on", "1");
        }
        if chance.below(5) == 0 {
            labels.insert("out", "1");
        }
        let (uid, container_id) = (chance.uid(), chance.hex(64));
        let member = Member { namespace, name, uid, container_id, labels, listed: false, process: None };
        self.members.push(member);
        let nth = self.members.len() - 1;
        match self.chance.below(8) {
            0 => self.list(nth)?,
            1 => self.run(nth)?,
            2 | 3 => {
                self.run(nth)?;
                self.list(nth)?;
            }
            _ => {
                self.list(nth)?;
                self.run(nth)?;
            }
        }
        Ok("created")
    }

    /// Lets the server have the pod.
    fn list(&mut self, nth: usize) -> Result<()> {
        let member = &mut self.members[nth];
        let main = Container::running("main", Runtime::Containerd.named(&member.container_id));
        let pod = Pod::new(&member.namespace, &member.name).uid(&member.uid).node(NODE).container(main);
        let pod = member.labels.iter().fold(pod, |pod, (key, value)| pod.label(key, value));
        self.node.put(pod.build())?;
        member.listed = true;
        Ok(())
    }

    fn run(&mut self, nth: usize) -> Result<()> {
        let place = [PodPlace::cgroupfs, PodPlace::containerd, PodPlace::crio][self.chance.below(3)];
        let member = &mut self.members[nth];
        let place = place(&member.uid);
        let process =
            PodProcess::start(&self.scratch, Program::Sleeper, "tg-k8-chaos", &place, &member.container_id)?;
        member.process = Some(process);
        Ok(())
    }

    fn remove(&mut self) -> Result<&'static str> {
        let nth = self.chance.below(self.members.len());
        let part = self.chance.below(6);
        let member = &mut self.members[nth];
        // Most go as a whole; of some only the process, or only the pod, which leaves the other behind.
        if part != 0 && member.listed {
            self.node.server.cluster().delete("Pod", &member.namespace, &member.name)?;
            member.listed = false;
        }
        if part != 1 {
            member.process = None;
        }
        if member.process.is_none() && !member.listed {
            self.members.swap_remove(nth);
        }
        Ok("removed")
    }

    fn edit(&mut self) -> Result<&'static str> {
        let nth = self.chance.below(self.members.len());
        let key = ["on", "out"][self.chance.below(2)];
        let value = [Some("1"), Some("0"), None][self.chance.below(3)];
        let member = &mut self.members[nth];
        match value {
            Some(value) => member.labels.insert(key, value),
            None => member.labels.remove(key),
        };
        if member.listed {
            let (namespace, name) = (member.namespace.clone(), member.name.clone());
            self.node.label(&namespace, &name, key, value)?;
        } else if member.process.is_none() {
            self.list(nth)?;
        }
        Ok("edited")
    }

    fn trouble(&mut self) -> Result<&'static str> {
        let server = &self.node.server;
        match self.chance.below(8) {
            0 | 1 => {
                server.down()?;
                self.down_until =
                    Some(Instant::now() + Duration::from_millis(200 + 40 * self.chance.below(100) as u64));
                return Ok("outages");
            }
            2 => server.cluster().compact(),
            3 => server.faults().next(1, Which::any(), Fault::InternalError),
            4 => server.faults().next(
                1,
                Which::any(),
                Fault::CutAfter { bytes: self.chance.below(9000) as u64 },
            ),
            5 => server.faults().next(1, Which::any(), Fault::TooManyRequests { retry_after_s: 1 }),
            6 => server.faults().next(1, Which::only("list", "pods"), Fault::EndAfter { bytes: 2000 }),
            _ => server.faults().next(1, Which::only("watch", "pods"), Fault::MalformedJson),
        }
        let how =
            [Interruption::MidLine, Interruption::BetweenLines, Interruption::Clean, Interruption::Expired];
        server.faults().interrupt_watches(how[self.chance.below(how.len())]);
        Ok("troubles")
    }

    /// Who should be profiled, and under which pod.
    fn expected(&self) -> BTreeSet<(u32, String)> {
        let members = self.members.iter().filter(|member| member.should_be_profiled());
        members.filter_map(|member| Some((member.process.as_ref()?.pid(), member.name.clone()))).collect()
    }

    /// Who is.
    fn profiled(&self) -> Result<BTreeSet<(u32, String)>> {
        let list: Value = serde_json::from_str(&self.agent.ask("/api/v1/targets")?.body)?;
        let processes = list["processes"].as_array().context("a list")?;
        let entry = |process: &Value| {
            let pid = u32::try_from(process["pid"].as_u64()?).ok()?;
            Some((pid, process["pod"].as_str().unwrap_or_default().to_owned()))
        };
        Ok(processes.iter().filter_map(entry).collect())
    }

    /// Nobody is left undecided, and all is as it should be.
    fn come_to_rest(&mut self) -> Result<()> {
        self.node.server.faults().clear();
        self.node.server.up()?;
        let begin = Instant::now();
        until(Duration::from_secs(120), "the selection to be right", || {
            Ok((self.profiled()? == self.expected()).then_some(()))
        })
        .with_context(|| {
            format!(
                "profiled {:?}\nexpected {:?}\n{}",
                self.profiled(),
                self.expected(),
                self.agent.log().unwrap_or_default()
            )
        })?;
        figure(&format!(
            "right after {:?}: {} profiled of {} pods",
            begin.elapsed(),
            self.expected().len(),
            self.members.len()
        ));
        // And stays so.
        sleep(Duration::from_secs(1));
        assert_eq!(self.profiled()?, self.expected());
        Ok(())
    }
}

#[test]
fn who_is_profiled_at_last_is_who_should_be() -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        skip!("not root");
    }
    let length = std::env::var(LENGTH).ok().map(|text| text.parse()).transpose()?.unwrap_or(30);
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos() as u64;
    let seed = std::env::var(SEED).ok().map(|text| text.parse()).transpose()?.unwrap_or(now);
    figure(&format!("{SEED}={seed}"));
    let mut world = World::start(seed)?;
    let end = Instant::now() + Duration::from_secs(length);
    while Instant::now() < end {
        let next = Instant::now() + EVENT;
        world.event()?;
        if world.down_until.is_some_and(|until| until <= Instant::now()) {
            world.node.server.up()?;
            world.down_until = None;
        }
        sleep(next.saturating_duration_since(Instant::now()));
    }
    figure(&format!("{:?}", world.counts));
    world.come_to_rest()
}
