//! Targets with names: who owns what, with which exclusions, and until when.

use anyhow::{Context, Result};
use serde_json::Value;
use std::fs;
use std::time::{Duration, SystemTime};
use telegen_e2e::{Agent, AgentSettings, Outcome, Profile, Program, Running, Scratch, run, telegen, until};

const LIMIT: Duration = Duration::from_secs(60);

fn targets(scratch: &Scratch, config: &str, arguments: &[&str]) -> Result<Outcome> {
    let config = scratch.write("config.yaml", config)?;
    run(telegen(["targets", "--config"])?.arg(config).args(arguments), LIMIT)?.expect_code(0)
}

/// Decision, target and reason for a process by a configuration.
fn decided(scratch: &Scratch, config: &str, running: &Running) -> Result<(String, String, String)> {
    let outcome = targets(scratch, config, &["--all", "-o", "json"])?;
    let list: Value = serde_json::from_str(&outcome.stdout).with_context(|| outcome.to_string())?;
    let processes = list["processes"].as_array().context("no list")?;
    let process = processes.iter().find(|process| process["pid"] == running.pid()).context("not listed")?;
    let text = |key: &str| process[key].as_str().unwrap_or_default().to_owned();
    Ok((text("decision"), text("target"), text("reason")))
}

fn said(decision: &str, target: &str, reason: &str) -> (String, String, String) {
    (decision.into(), target.into(), reason.into())
}

#[test]
fn the_first_target_that_says_yes_owns_a_process() -> Result<()> {
    let scratch = Scratch::new()?;
    let one = scratch.start(Program::Sleeper, "tg-owned-one", &[])?;
    let two = scratch.start(Program::Sleeper, "tg-owned-two", &[])?;
    let flat = scratch.start(Program::Sleeper, "tg-owned-flat", &[])?;
    let none = scratch.start(Program::Sleeper, "tg-owned-none", &[])?;
    let config = "profiler:
  targets:
    - {name: first, process_names: [tg-x, tg-owned-one]}
    - {name: second, process_names: [\"tg-owned-{one,two}\"]}
  target_process_names: [tg-owned-two, tg-owned-flat]
";
    let decided = |running| decided(&scratch, config, running);
    assert_eq!(decided(&one)?, said("profile", "first", "targets[0].process_names[1] = \"tg-owned-one\""));
    assert_eq!(
        decided(&two)?,
        said("profile", "second", "targets[1].process_names[0] = \"tg-owned-{one,two}\"")
    );
    assert_eq!(decided(&flat)?, said("profile", "default", "target_process_names[1] = \"tg-owned-flat\""));
    let (decision, target, reason) = decided(&none)?;
    assert_eq!((decision.as_str(), target.as_str()), ("skip", ""));
    assert!(reason.contains("targets[1].process_names does not: name is \"tg-owned-none\""), "{reason}");
    let wide = targets(&scratch, config, &["-o", "wide"])?;
    let row = wide.stdout.lines().find(|line| line.contains("tg-owned-two")).context("no row")?;
    assert!(row.split_whitespace().any(|word| word == "second"), "{wide}");
    Ok(())
}

#[test]
fn exclusions_of_a_target_are_its_own_and_flat_ones_hold_for_all() -> Result<()> {
    let scratch = Scratch::new()?;
    let a = scratch.start(Program::Sleeper, "tg-fenced-a", &[])?;
    let b = scratch.start(Program::Sleeper, "tg-fenced-b", &[])?;
    let c = scratch.start(Program::Sleeper, "tg-fenced-c", &[])?;
    let config = "profiler:
  targets:
    - {name: most, process_names: [\"tg-fenced-*\"], exclude_process_names: [tg-fenced-a]}
    - {name: rest, process_names: [tg-fenced-a]}
  exclude_process_names: [tg-fenced-c]
";
    assert_eq!(decided(&scratch, config, &a)?.1, "rest");
    assert_eq!(decided(&scratch, config, &b)?.1, "most");
    let excluded = said("skip", "", "exclude_process_names[0] = \"tg-fenced-c\"");
    assert_eq!(decided(&scratch, config, &c)?, excluded);
    let without_rest = config.replace("    - {name: rest, process_names: [tg-fenced-a]}\n", "");
    let excluded = said("skip", "", "targets[0].exclude_process_names[0] = \"tg-fenced-a\"");
    assert_eq!(decided(&scratch, &without_rest, &a)?, excluded);
    Ok(())
}

#[test]
fn all_types_of_a_target_must_match_if_it_says_so() -> Result<()> {
    let scratch = Scratch::new()?;
    let both = scratch.start(Program::Sleeper, "here/tg-strict", &[])?;
    let name_only = scratch.start(Program::Sleeper, "there/tg-strict", &[])?;
    let config = format!(
        "profiler:\n  targets:\n    - {{name: strict, match: all, process_names: [tg-strict], executables: [\"{}/here/*\"]}}\n",
        scratch.path().display()
    );
    let all = said("profile", "strict", "every include type of targets[0] matches (match: all)");
    assert_eq!(decided(&scratch, &config, &both)?, all);
    let (decision, _, reason) = decided(&scratch, &config, &name_only)?;
    assert_eq!(decision, "skip");
    assert!(reason.contains("targets[0].process_names matches; targets[0].executables does not"), "{reason}");
    Ok(())
}

#[test]
fn flags_replace_named_targets_and_leave_exclusions() -> Result<()> {
    let scratch = Scratch::new()?;
    let named = scratch.start(Program::Sleeper, "tg-flags-named", &[])?;
    let flagged = scratch.start(Program::Sleeper, "tg-flags-b", &[])?;
    let config = "profiler:
  targets: [{name: a, process_names: [tg-flags-named]}]
  exclude_process_names: [tg-flags-c]
";
    let outcome = targets(&scratch, config, &["--name", "tg-flags-[b-c]", "-o", "json"])?;
    let list: Value = serde_json::from_str(&outcome.stdout)?;
    let pids: Vec<u64> =
        list["processes"].as_array().into_iter().flatten().filter_map(|p| p["pid"].as_u64()).collect();
    assert_eq!(pids, [u64::from(flagged.pid())], "{list}");
    assert_eq!(list["processes"][0]["target"], "default");
    drop(named);
    Ok(())
}

fn labelled(profile: &Profile, name: &str) -> Vec<String> {
    let mut labels: Vec<String> = profile
        .samples
        .iter()
        .filter(|sample| sample.label("process.executable.name") == name)
        .map(|sample| sample.label("target").to_owned())
        .collect();
    labels.sort();
    labels.dedup();
    labels
}

#[test]
fn samples_carry_the_name_of_their_target_which_a_reload_may_change() -> Result<()> {
    let scratch = Scratch::new()?;
    let _a = scratch.start(Program::Burn, "tg-named-a", &[])?;
    let _b = scratch.start(Program::Burn, "tg-named-b", &[])?;
    let rules =
        "  targets: [{name: alpha, process_names: [tg-named-a]}]\n  target_process_names: [tg-named-b]\n";
    let agent = Agent::start(&scratch, &AgentSettings { interval: "1s", rules, ..AgentSettings::default() })?;
    let both = |profiles: &[Profile]| {
        profiles.iter().any(|p| p.count_of("tg-named-a") > 0 && p.count_of("tg-named-b") > 0)
    };
    let profiles = agent.wait_for_profiles("samples of both", both)?;
    for profile in &profiles {
        assert!(labelled(profile, "tg-named-a").iter().all(|target| target == "alpha"));
        assert!(labelled(profile, "tg-named-b").iter().all(|target| target == "default"));
    }
    let log = agent.log()?;
    let summary = "Active filters: Targets=[alpha(ProcessNames=[tg-named-a])], ProcessNames=[tg-named-b]";
    assert!(log.contains(summary), "{log}");
    let file = scratch.join("agent.yaml");
    let text = fs::read_to_string(&file)?.replace("alpha", "beta");
    fs::rename(scratch.write("agent.yaml.new", &text)?, &file)?;
    let now = SystemTime::now();
    agent.wait_for_profiles("samples of the target's new name", |profiles| {
        profiles.iter().any(|p| p.start > now && labelled(p, "tg-named-a") == ["beta"])
    })?;
    Ok(())
}

#[test]
fn a_target_ends_without_a_restart_and_nothing_widens() -> Result<()> {
    let scratch = Scratch::new()?;
    let _burner = scratch.start(Program::Burn, "tg-ending", &[])?;
    let end = jiff::Timestamp::now() + Duration::from_secs(8);
    let rules = format!("  targets: [{{name: short, process_names: [tg-ending], until: \"{end}\"}}]\n");
    let agent =
        Agent::start(&scratch, &AgentSettings { interval: "1s", rules: &rules, ..AgentSettings::default() })?;
    agent
        .wait_for_profiles("samples before the end", |all| all.iter().any(|p| p.count_of("tg-ending") > 0))?;
    until(LIMIT, "the end", || {
        Ok((agent.metrics()?.sum("telegen_profiler_processes_matched", &[])? == 0.0).then_some(()))
    })?;
    let log = agent.log()?;
    assert!(log.contains("the end of a target has come") && log.contains("matched=0, "), "{log}");
    std::thread::sleep(Duration::from_secs(2));
    let before = agent.profiles()?.len();
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(agent.profiles()?.len(), before, "nothing is sampled any more");
    Ok(())
}

#[test]
fn a_target_that_has_ended_is_warned_about_and_selects_nothing() -> Result<()> {
    let scratch = Scratch::new()?;
    let sleeper = scratch.start(Program::Sleeper, "tg-ended", &[])?;
    let config = "profiler:
  targets:
    - name: over
      process_names: [tg-ended]
      until: 2020-01-01T00:00:00Z
";
    let outcome = targets(&scratch, config, &["--all", "--explain"])?;
    assert!(
        outcome.stderr.contains("config.yaml:5:14") && outcome.stderr.contains("target `over`"),
        "{outcome}"
    );
    let pid = sleeper.pid().to_string();
    let row = outcome.stdout.lines().find(|line| line.split_whitespace().any(|word| word == pid));
    assert!(row.is_some_and(|row| row.contains("every target has ended")), "{outcome}");
    Ok(())
}
