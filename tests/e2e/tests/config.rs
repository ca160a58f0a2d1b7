//! `telegen config`, and what is said about wrong configuration.

use anyhow::{Context, Result};
use std::time::Duration;
use telegen_e2e::{Outcome, Scratch, run, telegen};

const LIMIT: Duration = Duration::from_secs(60);

fn check(scratch: &Scratch, text: &str) -> Result<Outcome> {
    let file = scratch.write("c.yaml", text)?;
    run(telegen(["config", "check"])?.arg(file), LIMIT)
}

/// Fails unless the configuration is wrong and each of these is said about it.
fn assert_wrong(text: &str, says: &[&str]) -> Result<()> {
    let outcome = check(&Scratch::new()?, text)?.expect_code(2).with_context(|| text.to_owned())?;
    for what in says {
        assert!(outcome.output().contains(what), "no {what:?} for\n{text}\n{outcome}");
    }
    Ok(())
}

#[test]
fn a_good_configuration_is_good() -> Result<()> {
    let text = "profiler:
  enabled: true
  collection_interval: 10s
  cpu: {enabled: true, sample_rate: 99}
  target_process_names: [java, \"python3*\"]
  target_executables: [\"/opt/*/bin/server\"]
  exclude_process_names: [\"{sh,bash}\"]
  match: any
  export: {files: {directory: /var/lib/telegen, max_size: 512MiB, max_age: 24h}}
  server: {health_listen: \"0.0.0.0:9691\"}
  log: {level: info, format: json}
";
    check(&Scratch::new()?, text)?.expect_code(0)?;
    Ok(())
}

#[test]
fn an_error_has_its_place_a_caret_and_the_nearest_key() -> Result<()> {
    let text = "profiler:\n  enabled: true\n  target_proces_names: [java]\n";
    assert_wrong(text, &["c.yaml:3:3", "^", "target_proces_names", "target_process_names"])
}

#[test]
fn all_errors_are_said_at_once() -> Result<()> {
    let text =
        "profiler:\n  colection_interval: 10s\n  cpu: {sample_rate: fast}\n  exclude_proces_names: [sh]\n";
    assert_wrong(
        text,
        &["c.yaml:2:3", "collection_interval", "c.yaml:3:", "c.yaml:4:3", "exclude_process_names"],
    )
}

#[test]
fn several_files_are_all_checked() -> Result<()> {
    let scratch = Scratch::new()?;
    let good = scratch.write("good.yaml", "profiler:\n  target_process_names: [java]\n")?;
    let bad = scratch.write("bad.yaml", "profiler:\n  enable: true\n")?;
    let worse = scratch.write("worse.yaml", "profiler:\n  enabled: 3 times\n")?;
    let outcome = run(telegen(["config", "check"])?.args([&bad, &good, &worse]), LIMIT)?.expect_code(2)?;
    assert!(
        outcome.output().contains("bad.yaml:2:3") && outcome.output().contains("worse.yaml:2:"),
        "{outcome}"
    );
    run(telegen(["config", "check"])?.args([&good, &good]), LIMIT)?.expect_code(0)?;
    let outcome = run(telegen(["config", "check"])?.arg(scratch.join("none.yaml")), LIMIT)?;
    assert!(matches!(outcome.code(), Some(1 | 2)) && outcome.output().contains("none.yaml"), "{outcome}");
    Ok(())
}

#[test]
fn values_are_checked() -> Result<()> {
    assert_wrong("profiler:\n  collection_interval: 10 parsecs\n", &["c.yaml:2:", "parsecs"])?;
    assert_wrong("profiler:\n  cpu: {sample_rate: 0}\n", &["c.yaml:2:", "10000"])?;
    assert_wrong("profiler:\n  cpu: {sample_rate: 10001}\n", &["c.yaml:2:", "10000"])?;
    assert_wrong("profiler:\n  target_process_names: [\"tg-[a\"]\n", &["c.yaml:2:", "tg-[a"])?;
    assert_wrong("profiler:\n  target_process_names: java\n", &["c.yaml:2:"])?;
    assert_wrong("profiler:\n  match: some\n", &["c.yaml:2:", "any", "all"])?;
    assert_wrong("profiler:\n  export: {files: {directory: /x, max_size: big}}\n", &["c.yaml:2:", "big"])?;
    assert_wrong("profiler:\n  target_pids: [-1]\n", &["c.yaml:2:"])
}

#[test]
fn rules_on_pods_and_named_targets_are_checked() -> Result<()> {
    let good = "profiler:
  targets:
    - name: payments
      match: all
      process_names: [java]
      namespaces: [\"prod-*\"]
      labels: {app: payments}
      until: 2126-12-01T12:00:00Z
      cpu: {sample_rate: 199}
  target_labels: app=web,tier in (a,b),!canary
  exclude_namespaces: [kube-system]
  pod_annotations: opt_out
  match: any
";
    let outcome = check(&Scratch::new()?, good)?.expect_code(0)?;
    // That there is no source of some of these facts yet is all there is to say.
    let warnings: Vec<&str> = outcome.stderr.lines().filter(|line| line.contains("warning")).collect();
    assert!(matches!(warnings[..], [only] if only.contains("no Kubernetes source")), "{outcome}");
    assert_wrong("profiler:\n  target_labels: tier in a\n", &["c.yaml:2:18", "tier in a", "parentheses"])?;
    assert_wrong("profiler:\n  exclude_labels: [a=b, \"c d\"]\n", &["c.yaml:2:25", "c d"])?;
    let target = |keys: &str| format!("profiler:\n  targets:\n    - name: a\n      {keys}\n");
    assert_wrong(&target("proces_names: [java]"), &["c.yaml:4:7", "^", "process_names", "targets[0]"])?;
    assert_wrong(&target("target_pods: [x]"), &["c.yaml:4:7", "did you mean `pods`?"])?;
    assert_wrong(&target("process_names: [\"x[\"]"), &["c.yaml:4:23", "x["])?;
    assert_wrong(&target("until: tomorrow"), &["c.yaml:4:14", "tomorrow", "2026-12-01T12:00:00Z"])?;
    assert_wrong(&target("cpu: {sample_rate: 10001}"), &["c.yaml:4:26", "10000"])?;
    assert_wrong(
        "profiler:\n  targets: [{name: a}, {name: a}, {name: default}]\n",
        &["c.yaml:2:31", "c.yaml:2:42"],
    )?;
    assert_wrong("profiler:\n  pod_annotations: yes\n", &["c.yaml:2:20", "opt_out"])
}

#[test]
fn what_is_not_yaml_or_has_another_root_is_wrong() -> Result<()> {
    assert_wrong("profiler: [\n", &["c.yaml:"])?;
    assert_wrong("profilers:\n  enabled: true\n", &["c.yaml:1:1", "profiler"])?;
    assert_wrong("profiler:\n  enabled: true\n  enabled: false\n", &["c.yaml:3:3", "enabled"])?;
    assert_wrong("just words\n", &["c.yaml:1:"])
}

#[test]
fn old_keys_are_told_their_new_names() -> Result<()> {
    assert_wrong("profiler:\n  upload_interval: 10s\n", &["c.yaml:2:3", "collection_interval"])?;
    assert_wrong("profiler:\n  exclude_kernel: true\n", &["c.yaml:2:3", "kernel_stacks"])?;
    let text = "profiler:\n  off_cpu: {min_block_time_ns: 1000}\n";
    let outcome = check(&Scratch::new()?, text)?.expect_code(2)?;
    // The old name begins with the new one.
    let besides = outcome.output().replace("min_block_time_ns", "");
    assert!(besides.contains("c.yaml:2:") && besides.contains("min_block_time"), "{outcome}");
    assert_wrong("profiling:\n  enabled: true\n", &["c.yaml:1:1", "profiler"])?;
    assert_wrong("agent:\n  profiling:\n    enabled: true\n", &["c.yaml:", "profiler"])
}

#[test]
fn profile_types_that_are_not_built_are_not_accepted_silently() -> Result<()> {
    for kind in ["memory", "mutex"] {
        assert_wrong(&format!("profiler:\n  {kind}: {{enabled: true}}\n"), &["c.yaml:2:", kind])?;
    }
    Ok(())
}

#[test]
fn an_empty_list_is_warned_about() -> Result<()> {
    let outcome = check(&Scratch::new()?, "profiler:\n  target_process_names: []\n")?.expect_code(0)?;
    let output = outcome.output().to_lowercase();
    assert!(output.contains("warn") && output.contains("target_process_names"), "{outcome}");
    Ok(())
}

#[test]
fn two_kinds_of_rules_without_match_are_warned_about() -> Result<()> {
    let scratch = Scratch::new()?;
    let rules = "profiler:\n  target_process_names: [\"*\"]\n  target_executables: [/none]\n";
    let outcome = check(&scratch, rules)?.expect_code(0)?;
    let output = outcome.output();
    assert!(output.to_lowercase().contains("warn") && output.contains("match"), "{outcome}");
    // With `all` no process is selected, with `any` every one: both numbers are given.
    let numbers: Vec<u64> =
        output.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect();
    assert!(numbers.contains(&0) && numbers.iter().any(|number| *number > 5), "{outcome}");
    let said = check(&scratch, &format!("{rules}  match: any\n"))?.expect_code(0)?;
    assert!(!said.output().to_lowercase().contains("warn"), "{said}");
    Ok(())
}

#[test]
fn each_named_target_is_warned_about_by_its_name() -> Result<()> {
    let text = "profiler:
  targets:
    - {name: clear, match: any, process_names: [\"*\"], executables: [/none]}
    - {name: vague, process_names: [\"*\"], executables: [/none]}
";
    let outcome = check(&Scratch::new()?, text)?.expect_code(0)?;
    let output = outcome.output();
    assert!(output.contains("c.yaml:4:") && output.contains("target `vague`: several"), "{outcome}");
    assert!(output.contains("target `vague`: match: any would select"), "{outcome}");
    assert!(!output.contains("target `clear`"), "{outcome}");
    Ok(())
}

#[test]
fn every_command_that_reads_it_refuses_a_wrong_one() -> Result<()> {
    let scratch = Scratch::new()?;
    let file = scratch.write("c.yaml", "profiler:\n  enable: true\n")?;
    for command in [&["agent", "--config"][..], &["targets", "--config"], &["config", "show", "--config"]] {
        let outcome = run(telegen(command)?.arg(&file), LIMIT)?.expect_code(2)?;
        assert!(outcome.stderr.contains("c.yaml:2:3") && outcome.stderr.contains("enabled"), "{outcome}");
    }
    Ok(())
}

#[test]
fn what_is_shown_is_a_configuration_with_the_defaults() -> Result<()> {
    let scratch = Scratch::new()?;
    let file = scratch
        .write("c.yaml", "profiler:\n  target_process_names: [tg-shown]\n  cpu: {sample_rate: 19}\n")?;
    let shown = run(telegen(["config", "show", "--config"])?.arg(file), LIMIT)?.expect_code(0)?;
    for what in ["tg-shown", "sample_rate: 19", "collection_interval: 10s"] {
        assert!(shown.stdout.contains(what), "no {what:?}\n{shown}");
    }
    check(&scratch, &shown.stdout)?.expect_code(0)?;
    Ok(())
}

#[test]
fn the_reference_has_every_key_with_its_default() -> Result<()> {
    let reference = run(&mut telegen(["config", "reference"])?, LIMIT)?.expect_code(0)?;
    for key in [
        "enabled",
        "collection_interval",
        "sample_rate",
        "kernel_stacks",
        "profile_self",
        "match",
        "target_pid",
        "target_pids",
        "target_process_names",
        "target_executables",
        "exclude_process_names",
        "exclude_executables",
        "target_namespaces",
        "target_labels",
        "exclude_cronjobs",
        "targets",
        "until",
        "pod_annotations",
        "health_listen",
        "directory",
        "max_size",
        "level",
        "format",
    ] {
        let whole =
            |line: &str| line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| word == key);
        assert!(reference.stdout.lines().any(whole), "no {key}\n{reference}");
    }
    for default in ["10s", "99", "info"] {
        assert!(reference.stdout.contains(default), "no {default}\n{reference}");
    }
    Ok(())
}
