//! The health listener: probes and metrics, and nothing else.

use anyhow::{Context, Result};
use std::time::Duration;
use telegen_e2e::{Agent, AgentSettings, Metrics, Profile, Program, Scratch, until};

const LIMIT: Duration = Duration::from_secs(60);

/// Names that are promised; a histogram is there by its series.
const PROMISED: [&str; 20] = [
    "telegen_profiler_processes_scanned",
    "telegen_profiler_processes_matched",
    "telegen_profiler_filter_cache_hits_total",
    "telegen_profiler_filter_cache_misses_total",
    "telegen_profiler_samples_total",
    "telegen_profiler_samples_rejected_total",
    "telegen_profiler_samples_undecided_total",
    "telegen_profiler_decision_latency_seconds_bucket",
    "telegen_profiler_decision_latency_seconds_count",
    "telegen_profiler_decision_latency_seconds_sum",
    "telegen_profiler_targets",
    "telegen_profiler_bpf_map_bytes",
    "telegen_profiler_cache_bytes",
    "telegen_profiler_exports_total",
    "telegen_profiler_config_reloads_total",
    "telegen_profiler_config_last_reload_successful",
    "telegen_profiler_config_info",
    "telegen_build_info",
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
];

fn start(scratch: &Scratch, name: &str) -> Result<Agent> {
    let rules = format!("  target_process_names: [{name}]\n");
    Agent::start(scratch, &AgentSettings { interval: "1s", rules: &rules, ..AgentSettings::default() })
}

#[test]
fn probes_are_answered_and_nothing_else_is_there() -> Result<()> {
    let scratch = Scratch::new()?;
    let agent = start(&scratch, "tg-none")?;
    for (path, status) in [("/healthz", 200), ("/readyz", 200), ("/metrics", 200)] {
        assert_eq!(agent.get(path)?.status, status, "{path}");
    }
    for path in ["/", "/nothing", "/debug/pprof/profile", "/api/v1/targets"] {
        assert_eq!(agent.get(path)?.status, 404, "{path}");
    }
    Ok(())
}

#[test]
fn the_promised_metrics_are_there() -> Result<()> {
    let scratch = Scratch::new()?;
    let _burner = scratch.start(Program::Burn, "tg-metrics", &[])?;
    let agent = start(&scratch, "tg-metrics")?;
    agent.wait_for_profiles("profiles", |all| all.len() >= 2)?;
    let response = agent.get("/metrics")?;
    let metrics = Metrics::parse(&response.body)?;
    let names = metrics.names();
    let missing: Vec<_> = PROMISED.iter().filter(|name| !names.contains(*name)).collect();
    assert!(missing.is_empty(), "missing {missing:?} in {names:?}");
    assert!(metrics.label_values("telegen_profiler_filter_cache_hits_total", "type").contains("process"));
    assert!(metrics.label_values("telegen_profiler_config_info", "hash").iter().all(|hash| !hash.is_empty()));
    assert!(metrics.sum("telegen_profiler_bpf_map_bytes", &[])? > 0.0);
    assert!(response.headers.to_ascii_lowercase().contains("content-type: "), "{}", response.headers);
    Ok(())
}

#[test]
fn the_numbers_follow_the_processes() -> Result<()> {
    let scratch = Scratch::new()?;
    let agent = start(&scratch, "tg-gauge")?;
    let matched = |expected: f64| {
        until(LIMIT, &format!("{expected} matched"), || {
            let metrics = agent.metrics()?;
            let matched = metrics.sum("telegen_profiler_processes_matched", &[("filter", "enabled")])?;
            Ok((matched == expected).then_some(metrics))
        })
    };
    matched(0.0)?;
    let first = scratch.start(Program::Sleeper, "tg-gauge", &[])?;
    let metrics = matched(1.0)?;
    assert_eq!(metrics.sum("telegen_profiler_targets", &[("target", "default")])?, 1.0);
    let scanned = metrics.sum("telegen_profiler_processes_scanned", &[("filter", "enabled")])?;
    let processes = std::fs::read_dir("/proc")?.flatten();
    let processes =
        processes.filter(|entry| entry.file_name().to_string_lossy().parse::<u32>().is_ok()).count() as f64;
    assert!((scanned - processes).abs() <= 10.0, "{scanned} scanned, {processes} in /proc");
    let second = telegen_e2e::Running::spawn(&mut std::process::Command::new(scratch.join("tg-gauge")))?;
    matched(2.0)?;
    drop(first);
    matched(1.0)?;
    drop(second);
    matched(0.0)?;
    Ok(())
}

#[test]
fn the_samples_that_are_exported_are_counted() -> Result<()> {
    let scratch = Scratch::new()?;
    let burner = scratch.start(Program::Burn, "tg-exported", &[])?;
    let agent = start(&scratch, "tg-exported")?;
    agent.wait_for_profiles("two profiles", |all| all.len() >= 2)?;
    drop(burner);
    // Once the target is gone and the last interval is over, both numbers stand still.
    let exported = || -> Result<(f64, u64)> {
        let metric = agent
            .metrics()?
            .sum("telegen_profiler_samples_total", &[("type", "cpu"), ("outcome", "exported")]);
        Ok((metric.unwrap_or(0.0), agent.profiles()?.iter().map(Profile::total).sum()))
    };
    std::thread::sleep(Duration::from_secs(4));
    let (metric, files) = exported().context("after the end of the target")?;
    assert!(files > 20, "{files} samples");
    assert_eq!(metric, files as f64);
    assert!(agent.metrics()?.sum("telegen_profiler_exports_total", &[])? > 0.0);
    Ok(())
}

#[test]
fn processes_in_the_same_control_groups_are_looked_up_once() -> Result<()> {
    let scratch = Scratch::new()?;
    let _sleepers: Vec<_> =
        (0..5).map(|_| scratch.start(Program::Sleeper, "tg-together", &[])).collect::<Result<_>>()?;
    let rules = "  target_container_ids: [0123456789ab]\n";
    let agent = Agent::start(&scratch, &AgentSettings { rules, ..AgentSettings::default() })?;
    let metrics = agent.metrics()?;
    let of = |what: &str| {
        metrics.sum(&format!("telegen_profiler_filter_cache_{what}_total"), &[("type", "container")])
    };
    let (hits, misses) = (of("hits")?, of("misses")?);
    assert!(misses >= 1.0 && hits >= 4.0, "{hits} known, {misses} read");
    Ok(())
}
