//! A configuration as Kubernetes mounts it: a link to a link to a directory, of which the one in the middle is swapped.

use anyhow::Result;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;
use telegen_e2e::{Program, Running, Scratch, telegen, until};

fn version(directory: &Path, number: u32, rules: &str) -> Result<String> {
    let name = format!("..2026_11_25_{number}");
    fs::create_dir(directory.join(&name))?;
    let text =
        format!("profiler:\n{rules}  server: {{listen: \"127.0.0.1:0\", health_listen: \"127.0.0.1:0\"}}\n");
    fs::write(directory.join(&name).join("config.yaml"), text)?;
    Ok(name)
}

/// As the kubelet does: the new link beside the old one, and then in its place.
fn swap(directory: &Path, to: &str) -> Result<()> {
    symlink(to, directory.join("..data_tmp"))?;
    fs::rename(directory.join("..data_tmp"), directory.join("..data"))?;
    Ok(())
}

#[test]
fn a_swapped_config_map_is_taken_over_and_a_wrong_one_is_not() -> Result<()> {
    let scratch = Scratch::new()?;
    let _burners = [
        scratch.start(Program::Sleeper, "tg-map-a", &[])?,
        scratch.start(Program::Sleeper, "tg-map-b", &[])?,
    ];
    let directory = scratch.path();
    swap(directory, &version(directory, 1, "  target_process_names: [tg-map-a]\n")?)?;
    symlink("..data/config.yaml", scratch.join("config.yaml"))?;
    let mut agent = Running::spawn(telegen(["agent", "--config"])?.arg(scratch.join("config.yaml")))?;
    let mut wait_for = |words: &str| {
        until(Duration::from_secs(60), words, || {
            anyhow::ensure!(agent.is_running()?, "{}", agent.stderr()?);
            Ok(agent.stderr()?.contains(words).then_some(()))
        })
    };
    wait_for("summary=\"Active filters: ProcessNames=[tg-map-a]\"")?;
    swap(directory, &version(directory, 2, "  target_process_names: [tg-map-b]\n")?)?;
    wait_for("summary=\"Active filters: ProcessNames=[tg-map-b]\"")?;
    swap(directory, &version(directory, 3, "  target_process_nmes: [x]\n")?)?;
    wait_for("did you mean `target_process_names`?")?;
    wait_for("the last good one stays in force")?;
    agent.terminate()?.expect_code(0)?;
    Ok(())
}
