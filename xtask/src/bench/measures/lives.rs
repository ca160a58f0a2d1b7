//! P8: processes that live for a tenth of a second.

use crate::bench::agent::Agent;
use crate::bench::container::{self, Container};
use crate::bench::leaves::{self, Samples};
use crate::bench::programs_in_c::{LIFE, SPINNING, STARTER, STATIC, Workshop};
use crate::bench::{Bench, Row};
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const SAMPLE_HZ: f64 = 99.0;
const CPU_MILLISECONDS: &str = "100";

/// Shorter than it usually is: by its end nearly all of them are gone all the same.
const INTERVAL: Duration = Duration::from_secs(5);

/// What a run has found.
struct Outcome {
    lives: usize,
    /// With at least 0.8 × CPU time × rate samples whose leaf has a name.
    good: usize,
    samples: Samples,
    /// CPU time of all, × rate.
    due: f64,
    /// Ticks that the kernel has not delivered, on this machine as a whole.
    undelivered: f64,
}

/// By name, by executable and by container.
pub(crate) fn measure(bench: &Bench) -> Result<Vec<Row>> {
    println!("P8: {} short lives, three times", bench.effort.lives);
    let workshop = Workshop::open("lives")?;
    let starter = workshop.build(STARTER, &STATIC, "telegen-bench-starter")?;
    let life = workshop.build(LIFE, &STATIC, "telegen-bench-life")?;
    let by_name = "  target_process_names: [telegen-bench-life]\n".to_owned();
    let by_executable = format!("  target_executables: [\"{}\"]\n", life.display());
    Ok(vec![
        row(bench, "its name", &on_the_host(bench, &workshop, [&starter, &life], &by_name)?),
        row(bench, "its executable", &on_the_host(bench, &workshop, [&starter, &life], &by_executable)?),
        row(bench, "its container", &in_a_container(bench, &workshop, [&starter, &life])?),
    ])
}

fn row(bench: &Bench, by: &str, outcome: &Outcome) -> Row {
    let percent = |part: f64, of: f64| 100.0 * part / of.max(1.0);
    let good = percent(outcome.good as f64, outcome.lives as f64);
    let Samples { all, named, .. } = outcome.samples;
    let undelivered = match outcome.undelivered {
        0.0 => String::new(),
        ticks => format!("; the kernel has not delivered about {ticks:.0} ticks"),
    };
    Row {
        number: "P8",
        what: format!(
            "processes of {CPU_MILLISECONDS} ms CPU time that match by {by}, {} of them: share that has ≥ 0.8 × CPU time × 99 Hz samples with names",
            bench.effort.lives
        ),
        budget: "≥ 95 %",
        measured: format!(
            "{good:.1} %; {all} samples of {:.0}, {:.1} % of them with names{undelivered}",
            outcome.due,
            percent(named as f64, all as f64)
        ),
        met: Some(good >= 95.0),
    }
}

fn start(bench: &Bench, rules: &str) -> Result<Agent> {
    let settings = format!(
        "{rules}  collection_interval: {}s\n  cpu: {{sample_rate: {SAMPLE_HZ}}}\n",
        INTERVAL.as_secs()
    );
    Agent::start(&bench.telegen, &settings)
}

/// As many at a time as there are CPUs.
fn arguments(bench: &Bench, life: &Path) -> Result<Vec<String>> {
    let at_once = std::thread::available_parallelism()?;
    let life = life.to_string_lossy().into_owned();
    let (lives, at_once) = (bench.effort.lives.to_string(), at_once.to_string());
    Ok(vec!["each".into(), lives, at_once, life, CPU_MILLISECONDS.into()])
}

fn on_the_host(
    bench: &Bench,
    workshop: &Workshop,
    [starter, life]: [&Path; 2],
    rules: &str,
) -> Result<Outcome> {
    let said = workshop.path().join("said");
    let agent = start(bench, rules)?;
    let mut command = Command::new(starter);
    command.args(arguments(bench, life)?).stdin(Stdio::null()).stdout(fs::File::create(&said)?);
    let mut child = command.spawn().context("cannot start the starter")?;
    let ended = child.wait()?;
    ensure!(ended.success(), "the starter has ended with {ended}");
    outcome(bench, &agent, &said)
}

/// All of them are forked in one container, which the agent has found when it started.
fn in_a_container(bench: &Bench, workshop: &Workshop, programs: [&Path; 2]) -> Result<Outcome> {
    let said = workshop.path().join("said");
    let mut arguments = arguments(bench, &Container::place_of(programs[1])?)?;
    arguments.push(container::HOST_SELF.into());
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut container = Container::start(workshop.path(), &programs, &arguments, fs::File::create(&said)?)?;
    let rules = format!("  target_container_ids: [\"{}\"]\n", container::ID);
    let agent = start(bench, &rules)?;
    ensure!(agent.metric("telegen_profiler_processes_matched", "")? >= 1.0, "the container does not match");
    // Its end is what they wait for.
    drop(container.input());
    container.wait()?;
    outcome(bench, &agent, &said)
}

fn outcome(bench: &Bench, agent: &Agent, said: &Path) -> Result<Outcome> {
    let lives = lives(&fs::read_to_string(said)?)?;
    ensure!(lives.len() == bench.effort.lives, "{} of {} lives", lives.len(), bench.effort.lives);
    // An interval in which nothing is sampled is not written, so the clock must tell that the last one is.
    std::thread::sleep(2 * INTERVAL);
    let lost = agent.metric("telegen_profiler_samples_total", "ring_full")?;
    ensure!(lost == 0.0, "{lost} samples were lost");
    judge(
        &lives,
        &leaves::by_pid(&agent.profiles()?, SPINNING)?,
        agent.metric("telegen_profiler_samples_undelivered_estimate", "")?,
    )
}

/// CPU seconds by pid, as the processes have said.
fn lives(said: &str) -> Result<BTreeMap<u32, f64>> {
    let life = |line: &str| {
        let (pid, cpu_ns) = line.split_once(' ')?;
        Some((pid.parse().ok()?, cpu_ns.parse::<f64>().ok()? / 1e9))
    };
    said.lines().map(|line| life(line).with_context(|| format!("a life has said {line:?}"))).collect()
}

/// A run whose profile is wrong has no figures: too many samples, or samples elsewhere than where the time was spent.
fn judge(lives: &BTreeMap<u32, f64>, found: &BTreeMap<u32, Samples>, undelivered: f64) -> Result<Outcome> {
    let mut outcome =
        Outcome { lives: lives.len(), good: 0, samples: Samples::default(), due: 0.0, undelivered };
    for (pid, cpu_seconds) in lives {
        let (samples, due) = (found.get(pid).copied().unwrap_or_default(), cpu_seconds * SAMPLE_HZ);
        outcome.good += usize::from(samples.named as f64 >= 0.8 * due);
        outcome.samples.all += samples.all;
        outcome.samples.named += samples.named;
        outcome.samples.in_function += samples.in_function;
        outcome.due += due;
    }
    let (all, due) = (outcome.samples.all as f64, outcome.due);
    // P9's tolerance. Exec before and exit after what they say are theirs as well.
    let tolerance = due * f64::max(0.01, 2.0 / due.sqrt()) + 0.01 * due;
    ensure!(all <= due + tolerance, "there are {all} samples of CPU time × 99 Hz = {due:.0}");
    let spinning = outcome.samples.in_function as f64 / (outcome.samples.named as f64).max(1.0);
    ensure!(spinning >= 0.9, "only {:.1} % of the names are `{SPINNING}`", spinning * 100.0);
    Ok(outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(all: u64, named: u64) -> Samples {
        Samples { all, named, in_function: named }
    }

    #[test]
    fn eight_samples_of_ten_with_names_are_enough() {
        let lives = lives("7 100000000\n8 100000000\n9 100000000\n10 100000000\n").unwrap();
        let found = [(7, samples(10, 8)), (8, samples(10, 7)), (9, samples(7, 7)), (99, samples(50, 50))];
        let outcome = judge(&lives, &BTreeMap::from(found), 0.0).unwrap();
        assert_eq!((outcome.good, outcome.samples), (1, samples(27, 22)));
        assert!(super::lives("7\n").is_err());
    }

    #[test]
    fn wrong_profiles_have_no_figures() {
        let lives = BTreeMap::from([(7, 0.1)]);
        assert!(judge(&lives, &BTreeMap::from([(7, samples(17, 17))]), 0.0).is_err());
        let elsewhere = Samples { in_function: 3, ..samples(9, 9) };
        assert!(judge(&lives, &BTreeMap::from([(7, elsewhere)]), 0.0).is_err());
    }
}
