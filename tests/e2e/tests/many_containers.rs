//! Thousands of containers on one node.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use telegen_e2e::{Running, Scratch, run, skip, telegen};

const LIMIT: Duration = Duration::from_secs(120);
const CONTAINERS: usize = 2_000;

/// Control groups as a kubelet makes them, each with one process that sleeps; all of it goes with this.
struct Node {
    groups: PathBuf,
    processes: Running,
}

impl Node {
    /// `None` where there is no hierarchy of version 2 to make groups in.
    fn start(scratch: &Scratch) -> Result<Option<Self>> {
        let roots = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"];
        let Some(root) = roots.iter().find(|root| Path::new(root).join("cgroup.controllers").exists()) else {
            return Ok(None);
        };
        let groups = PathBuf::from(format!("{root}/kubepods-telegen-{}", std::process::id()));
        let script = "n=0; while [ $n -lt \"$2\" ]; do \
            g=$1/pod0e2e0e2e-0000-4000-8000-$(printf %012x $n)/$(printf %064x $n); mkdir -p $g; \
            sleep 600 & echo $! > $g/cgroup.procs; n=$((n + 1)); done; echo ready; wait";
        let script = scratch.write("node.sh", script)?;
        let mut command = Command::new("sh");
        command.arg(script).arg(&groups).arg(CONTAINERS.to_string());
        let mut node = Self { groups, processes: Running::spawn(&mut command)? };
        telegen_e2e::until(LIMIT, "all containers", || {
            ensure!(node.processes.is_running()?, "{}", node.processes.stderr()?);
            Ok(node.processes.stdout()?.contains("ready").then_some(()))
        })?;
        Ok(Some(node))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.processes.kill();
        for pod in fs::read_dir(&self.groups).into_iter().flatten().flatten() {
            for group in
                fs::read_dir(pod.path()).into_iter().flatten().flatten().filter(|entry| entry.path().is_dir())
            {
                let _ = fs::write(group.path().join("cgroup.kill"), "1");
                // A group can be removed when its last process has gone.
                for _ in 0..50 {
                    if fs::remove_dir(group.path()).is_ok() {
                        break;
                    }
                    std::thread::sleep(Duration::from_millis(10));
                }
            }
            let _ = fs::remove_dir(pod.path());
        }
        let _ = fs::remove_dir(&self.groups);
    }
}

#[test]
fn each_of_thousands_is_told_from_the_others() -> Result<()> {
    let scratch = Scratch::new()?;
    let Some(_node) = Node::start(&scratch)? else { skip!("no control groups of version 2") };
    let wanted = format!("{:064x}", CONTAINERS - 7);
    let mut command = telegen(["targets", "--container", &wanted, "--all", "-o", "json"])?;
    let outcome = run(&mut command, LIMIT)?.expect_code(0)?;
    let list: Value = serde_json::from_str(&outcome.stdout)?;
    assert_eq!(list["matched"], 1);
    let processes = list["processes"].as_array().context("processes")?;
    let ids: BTreeSet<&str> =
        processes.iter().filter_map(|process| process["container_id"].as_str()).collect();
    let ours = (0..CONTAINERS).filter(|nth| ids.contains(&*format!("{nth:064x}"))).count();
    assert_eq!(ours, CONTAINERS);
    let profiled = processes.iter().find(|process| process["decision"] == "profile").context("one")?;
    assert_eq!(profiled["container_id"].as_str(), Some(&*wanted));
    Ok(())
}
