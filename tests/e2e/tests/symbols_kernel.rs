//! Names of what is loaded into the kernel.

use anyhow::Result;
use telegen_e2e::{Agent, AgentSettings, Program, Scratch};

#[test]
fn a_bpf_program_that_is_loaded_while_the_agent_runs_has_its_name() -> Result<()> {
    let scratch = Scratch::new()?;
    let rules = "  target_process_names: [tg-before, tg-bpf-busy]\n";
    let agent = Agent::start(&scratch, &AgentSettings { interval: "2s", rules, ..AgentSettings::default() })?;
    let before = scratch.start(Program::Syscalls, "tg-before", &[])?;
    agent.wait_for_profiles("kernel symbols", |all| {
        all.iter().any(|profile| profile.functions().contains("vfs_read"))
    })?;
    drop(before);
    let _busy = scratch.start(Program::BpfBusy, "tg-bpf-busy", &[])?;
    let is_program =
        |function: &str| function.starts_with("bpf_prog_") && function.ends_with("_tg_busy [bpf]");
    let profiles = agent.wait_for_profiles("samples in the BPF program", |all| {
        all.iter().any(|profile| {
            let within =
                |sample: &telegen_e2e::Sample| sample.frames.iter().any(|frame| is_program(&frame.function));
            profile.count(within) * 2 > profile.total() && profile.total() > 0
        })
    })?;
    let profile =
        profiles.iter().rev().find(|profile| profile.functions().iter().any(|name| is_program(name)));
    let frames: Vec<_> = profile.into_iter().flat_map(|profile| profile.frames()).collect();
    assert!(frames.iter().any(|frame| is_program(&frame.function) && frame.file == "[bpf]"), "{frames:?}");
    Ok(())
}
