//! A process that is put into a pod's control group by hand: where real containers would take too long.

use crate::pod_place::{PodPlace, cgroups, mounted};
use crate::{Program, Running, Scratch};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A process in the control group of a container, in every hierarchy. It is killed, and the group is removed, when it
/// is dropped.
#[derive(Debug)]
pub struct PodProcess {
    running: Running,
    cgroup: String,
}

impl PodProcess {
    /// Starts a program as a runtime does: in the container's group already when it is executed.
    ///
    /// # Errors
    ///
    /// If a group cannot be made or the program not started.
    pub fn start(
        scratch: &Scratch,
        program: Program,
        name: &str,
        place: &PodPlace,
        container_id: &str,
    ) -> Result<Self> {
        let cgroup = place.cgroup(container_id);
        let groups: Vec<PathBuf> = mounted().iter().map(|root| root.join(&cgroup[1..])).collect();
        for group in &groups {
            fs::create_dir_all(group).with_context(|| format!("cannot make {}", group.display()))?;
            fill_cpuset(group);
        }
        // The last argument is the program, all before it are lists of processes.
        let script = "while [ $# -gt 1 ]; do echo $$ > \"$1\" || exit 9; shift; done; exec \"$1\"";
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh"]).args(groups.iter().map(|group| group.join("cgroup.procs")));
        let program = scratch.install(program, name)?;
        let running = Running::spawn(command.arg(&program))?;
        let mut process = Self { running, cgroup };
        let executable = format!("/proc/{}/exe", process.pid());
        // Polled more often than others are, since many are started one after the other.
        let begin = Instant::now();
        while !fs::read_link(&executable).is_ok_and(|path| path == program) {
            ensure!(process.running.is_running()?, "has ended: {}", process.running.stderr()?);
            ensure!(begin.elapsed() < Duration::from_secs(30), "{name} does not come to run");
            sleep(Duration::from_millis(2));
        }
        Ok(process)
    }

    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.running.pid()
    }
}

impl Drop for PodProcess {
    fn drop(&mut self) {
        self.running.kill();
        for group in cgroups(&self.cgroup) {
            // A group can be removed when its last process has gone, of which a busy kernel hears late.
            for _ in 0..400 {
                match fs::remove_dir(&group) {
                    Err(error)
                        if error.kind() == std::io::ErrorKind::ResourceBusy
                            && group.ends_with(leaf(&self.cgroup)) =>
                    {
                        sleep(Duration::from_millis(5));
                    }
                    _ => break,
                }
            }
        }
    }
}

fn leaf(cgroup: &str) -> &str {
    cgroup.rsplit_once('/').map_or(cgroup, |(_, leaf)| leaf)
}

/// In the first version a new group has no CPUs and no memory nodes, and takes no process without.
fn fill_cpuset(group: &std::path::Path) {
    let above: Vec<_> = group.ancestors().take_while(|path| path.join("cpuset.cpus").exists()).collect();
    for group in above.into_iter().rev() {
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let empty = fs::read_to_string(group.join(file)).is_ok_and(|text| text.trim().is_empty());
            if let Some(parent) = group.parent().filter(|_| empty)
                && let Ok(text) = fs::read_to_string(parent.join(file))
            {
                // Where it cannot be written, no process can be put there, and that says why.
                let _ = fs::write(group.join(file), text.trim());
            }
        }
    }
}
