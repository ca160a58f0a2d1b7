//! The unit of the service, read by systemd's own tools, since nothing here is systemd.

use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::time::Duration;
use telegen_e2e::manifests::repository;
use telegen_e2e::{NEEDED_CAPABILITIES, Program, Running, Scratch, run, telegen, telegen_binary, until};

const LIMIT: Duration = Duration::from_secs(60);
const UNIT: &str = "deploy/systemd/telegen.service";

fn setting(unit: &str, name: &str) -> Result<String> {
    let line = unit.lines().find_map(|line| line.strip_prefix(&format!("{name}=")));
    Ok(line.with_context(|| format!("no {name}="))?.to_owned())
}

/// The unit with the binary under test in the place of the installed one.
fn unit(scratch: &Scratch) -> Result<(String, std::path::PathBuf)> {
    let text = fs::read_to_string(repository(UNIT))?;
    let binary = telegen_binary()?;
    let here = text.replace("/usr/bin/telegen", binary.to_str().context("a path")?);
    let file = scratch.write("telegen.service", &here)?;
    Ok((text, file))
}

#[test]
fn systemd_understands_every_line_of_the_unit() -> Result<()> {
    let scratch = Scratch::new()?;
    let (_, file) = unit(&scratch)?;
    let outcome = run(Command::new("systemd-analyze").arg("verify").arg(file), LIMIT)?.expect_code(0)?;
    assert!(outcome.output().trim().is_empty(), "{outcome}");
    Ok(())
}

#[test]
fn the_unit_is_as_exposed_as_the_book_says() -> Result<()> {
    let scratch = Scratch::new()?;
    let (_, file) = unit(&scratch)?;
    let mut analyze = Command::new("systemd-analyze");
    analyze.args(["security", "--offline=true", "--no-pager", "--threshold=30"]).arg(file);
    let outcome = run(&mut analyze, LIMIT)?.expect_code(0)?;
    let last = outcome.stdout.lines().rfind(|line| line.contains("Overall exposure")).context("no figure")?;
    let figure = last.split_whitespace().find(|word| word.parse::<f64>().is_ok()).context("no figure")?;
    let page = fs::read_to_string(repository("docs/permissions.md"))?;
    assert!(page.contains(&format!("exposure level {figure}")), "not in docs/permissions.md: {last}");
    Ok(())
}

#[test]
fn the_units_capabilities_and_arguments_are_those_of_telegen() -> Result<()> {
    let scratch = Scratch::new()?;
    let (text, _) = unit(&scratch)?;
    let names = |setting: &str| setting.split(' ').map(str::to_owned).collect::<BTreeSet<_>>();
    let needed: BTreeSet<_> =
        NEEDED_CAPABILITIES.iter().map(|name| format!("CAP_{}", name.to_uppercase())).collect();
    assert_eq!(names(&setting(&text, "AmbientCapabilities")?), needed);
    let mut bounding = needed;
    bounding.insert("CAP_SETPCAP".into());
    assert_eq!(names(&setting(&text, "CapabilityBoundingSet")?), bounding);
    let command = setting(&text, "ExecStart")?;
    let words: Vec<&str> = command.split(' ').collect();
    assert_eq!(words[0], "/usr/bin/telegen");
    let absent = "/nonexistent/config.yaml";
    let arguments = words[1..].iter().map(|word| if word.starts_with('/') { absent } else { word });
    let outcome = run(&mut telegen(arguments)?, LIMIT)?.expect_code(2)?;
    assert!(outcome.stderr.contains(absent), "{outcome}");
    // What does not mend itself, as docs/configuration.md has it.
    assert_eq!(setting(&text, "RestartPreventExitStatus")?, "2 4");
    Ok(())
}

/// The names in a set of system calls, those of the sets in it included.
fn system_calls(set: &str, all: &mut BTreeSet<String>) -> Result<()> {
    if !set.starts_with('@') {
        all.insert(set.to_owned());
        return Ok(());
    }
    let outcome = run(Command::new("systemd-analyze").args(["syscall-filter", "--no-pager", set]), LIMIT)?;
    for name in outcome.expect_code(0)?.stdout.lines().skip(1).map(str::trim) {
        if !name.is_empty() && !name.starts_with('#') {
            system_calls(name, all)?;
        }
    }
    Ok(())
}

#[test]
fn the_units_filter_lets_through_all_that_an_agent_calls() -> Result<()> {
    let scratch = Scratch::new()?;
    let (text, _) = unit(&scratch)?;
    let mut allowed = BTreeSet::new();
    for set in setting(&text, "SystemCallFilter")?.split(' ') {
        system_calls(set, &mut allowed)?;
    }
    assert!(allowed.contains("bpf") && allowed.contains("read") && !allowed.contains("mount"), "{allowed:?}");
    let _burner = scratch.start(Program::Burn, "tg-filtered", &[])?;
    let profiles = scratch.join("profiles");
    let config = format!(
        "profiler:\n  collection_interval: 1s\n  target_process_names: [tg-filtered]\n  export: {{files: \
         {{directory: {}}}}}\n  server: {{listen: \"127.0.0.1:0\", health_listen: \"127.0.0.1:0\"}}\n",
        profiles.display()
    );
    let config = scratch.write("config.yaml", &config)?;
    let trace = scratch.join("trace");
    let mut command = Command::new("strace");
    command.args(["--follow-forks", "--seccomp-bpf", "-qq", "-o"]).arg(&trace).arg(telegen_binary()?);
    let agent = Running::spawn(command.args(["agent", "--config"]).arg(config))?;
    until(LIMIT, "two profiles", || {
        let files = telegen_e2e::record_files(&profiles).unwrap_or_default();
        Ok((files.iter().filter(|name| name.ends_with(".pb.gz")).count() >= 2).then_some(()))
    })
    .with_context(|| agent.stderr().unwrap_or_default())?;
    drop(agent);
    // `1234  openat(AT_FDCWD, …` and `1234  <... openat resumed>…`.
    let text = String::from_utf8_lossy(&fs::read(&trace)?).into_owned();
    let name = |line: &str| {
        let call = line.split_whitespace().nth(1)?.split_once('(')?.0.to_owned();
        call.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_').then_some(call)
    };
    let called: BTreeSet<String> = text.lines().filter_map(name).collect();
    assert!(called.contains("bpf") && called.contains("perf_event_open") && called.len() > 30, "{called:?}");
    let refused: Vec<_> = called.difference(&allowed).collect();
    // The C library asks for it and goes on without.
    let refused: Vec<_> = refused.into_iter().filter(|name| *name != "rseq").collect();
    assert!(refused.is_empty(), "the unit refuses {refused:?}");
    Ok(())
}
