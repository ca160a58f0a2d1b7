//! `telegen record`: one profile, into files.

use crate::command::{HeldCommand, passed_on, start_ticks};
use crate::engine::{Engine, EngineOptions, HOUSEKEEPING_INTERVAL};
use crate::failure::{Failure, Status};
use crate::metrics::Metrics;
use crate::output::{ProgressLine, counted, grouped, print, say, shown};
use crate::pods::PATIENCE;
use crate::privileges::{self, Role};
use crate::signals::Signals;
use crate::targets::nothing_matched;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use telegen_export::{Existing, Format, OutputFile, TopFunctions};
use telegen_model::{Profile, StartTime};
use telegen_rules::RuleSet;

/// How long the profiler looks for a process that matches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Patience {
    /// Not at all.
    None,
    /// Until there is one.
    Wait,
}

/// What is recorded, and where to.
pub(crate) struct RecordOptions {
    pub(crate) engine: EngineOptions,
    pub(crate) rules: RuleSet,
    /// A command to be run and recorded; empty for none.
    pub(crate) command: Vec<OsString>,
    /// `None`: until the command ends.
    pub(crate) duration: Option<Duration>,
    pub(crate) outputs: Vec<(PathBuf, Format)>,
    pub(crate) existing: Existing,
    pub(crate) patience: Patience,
    /// The target flags as they were given, for a command line to be shown.
    pub(crate) flags: String,
}

/// How often the end of a recording is looked for.
const TICK: Duration = Duration::from_millis(20);
const PROGRESS_INTERVAL: Duration = Duration::from_millis(250);
const TOP_FUNCTIONS: usize = 10;

/// Records; the status to exit with.
pub(crate) fn run(options: RecordOptions) -> Result<u8, Failure> {
    let outputs = options
        .outputs
        .iter()
        .map(|(path, format)| Ok((OutputFile::prepare(path, options.existing)?, *format)))
        .collect::<Result<Vec<_>, telegen_export::Error>>()
        .map_err(cannot_write)?;
    let signals = Signals::catch().map_err(|error| Failure::new(Status::Failed, error))?;
    let mut recording = Recording::start(&options, signals)?;
    privileges::confine();
    let begun = (SystemTime::now(), Instant::now());
    recording.run(&options)?;
    let Recording { engine, mut command, mut progress, targets, signals } = recording;
    progress.show("stopping …");
    let counters = engine.counters();
    let undelivered = engine.undelivered();
    let metrics = engine.metrics();
    let mut profile = engine.stop()?;
    if options.patience == Patience::Wait {
        // What was waited for before the first match is not part of the recording.
        (profile.start, profile.duration) = (begun.0, begun.1.elapsed());
    }
    progress.clear();
    for (output, format) in outputs {
        output.write(|writer| format.write(&profile, writer)).map_err(cannot_write)?;
    }
    let lost = counters.ring_full + metrics.lost_in_user_space();
    if undelivered > 0 {
        // On targets and others alike: nobody knows whose they were.
        say(&format!(
            "about {} ticks were due on this machine and never came, which makes its profiles as much too small",
            grouped(undelivered)
        ));
    }
    print(&summary(&profile, targets, lost, &options))
        .map_err(|error| Failure::new(Status::Failed, error))?;
    let Some(command) = &mut command else { return Ok(0) };
    if signals.end() {
        // From a terminal it has had the signal, too; sent to us alone, it means the command as well.
        command.terminate();
    }
    Ok(command.wait().map_or(0, passed_on))
}

fn cannot_write(error: telegen_export::Error) -> Failure {
    let hint =
        if matches!(error, telegen_export::Error::Exists { .. }) { " (--force overwrites it)" } else { "" };
    Failure::message(Status::Failed, format!("{error}{hint}"))
}

struct Recording {
    engine: Engine,
    signals: Signals,
    command: Option<HeldCommand>,
    progress: ProgressLine,
    /// Most targets at a time.
    targets: usize,
}

impl Recording {
    fn start(options: &RecordOptions, signals: Signals) -> Result<Self, Failure> {
        // The command has its caller's privileges: it is there, and held back, before telegen gives up its own.
        let held = match options.command.as_slice() {
            [] => None,
            command => Some(HeldCommand::start(command)?),
        };
        let started = privileges::give_up(Role::Command).and_then(|()| {
            Ok(Engine::start(options.rules.clone(), &options.engine, Arc::new(Metrics::new()))?)
        });
        let engine = match started {
            Ok(engine) => engine,
            Err(failure) => {
                held.into_iter().for_each(HeldCommand::discard);
                return Err(failure);
            }
        };
        let mut recording =
            Self { engine, signals, command: None, progress: ProgressLine::new(), targets: 0 };
        match held {
            None => recording.find_targets(options)?,
            Some(held) => recording.start_command(held)?,
        }
        Ok(recording)
    }

    /// Makes sure that there is something to record.
    fn find_targets(&mut self, options: &RecordOptions) -> Result<(), Failure> {
        if options.rules.needs_pod()
            && let Some(kubernetes) = self.engine.kubernetes()
            && let Err(missing) = kubernetes.wait(PATIENCE)
        {
            return Err(Failure::message(Status::Failed, format!("there are rules on pods; {missing}")));
        }
        if self.engine.selection().counts().1 > 0 {
            return Ok(());
        }
        if options.patience == Patience::None {
            return Err(nothing_matched(&options.rules, options.engine.kubernetes.clone(), &options.flags));
        }
        while self.engine.selection().counts().1 == 0 {
            if self.signals.end() {
                return Err(nothing_matched(
                    &options.rules,
                    options.engine.kubernetes.clone(),
                    &options.flags,
                ));
            }
            self.progress.show("waiting for a process that matches …");
            std::thread::sleep(TICK);
        }
        Ok(())
    }

    /// Lets the command go such that its first instruction is recorded.
    fn start_command(&mut self, mut held: HeldCommand) -> Result<(), Failure> {
        if let Err(failure) = self.follow(&held) {
            held.discard();
            return Err(failure);
        }
        held.let_go()?;
        self.command = Some(held);
        Ok(())
    }

    fn follow(&self, held: &HeldCommand) -> Result<(), Failure> {
        const PATIENCE: Duration = Duration::from_secs(5);
        let ticks = start_ticks(held.pid());
        let deadline = Instant::now() + PATIENCE;
        // The event of its fork may still be on its way.
        while Instant::now() < deadline {
            let known = self.engine.selection().all_processes().into_iter().find(|process| {
                let id = process.facts.key.id;
                id.pid == held.pid() && ticks.is_some_and(|ticks| StartTime::same_tick(id.start, ticks))
            });
            if let Some(process) = known
                && self.engine.follow(held.id(process.facts.key.id.start))?
            {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Err(Failure::message(
            Status::Failed,
            "the kernel has not told of the process that should become the command",
        ))
    }

    fn run(&mut self, options: &RecordOptions) -> Result<(), Failure> {
        let begun = Instant::now();
        let (mut next_progress, mut next_housekeeping) = (begun, begun + HOUSEKEEPING_INTERVAL);
        loop {
            let now = Instant::now();
            self.targets = self.targets.max(self.engine.selection().counts().1);
            let over = options.duration.is_some_and(|duration| now.duration_since(begun) >= duration);
            if over
                || self.signals.end()
                || self.command.as_mut().is_some_and(|command| command.ended().is_some())
            {
                return Ok(());
            }
            if now >= next_progress {
                next_progress = now + PROGRESS_INTERVAL;
                self.show_progress(now.duration_since(begun), options.duration);
            }
            if now >= next_housekeeping {
                next_housekeeping = now + HOUSEKEEPING_INTERVAL;
                self.engine.follow_cpus();
            }
            let left =
                options.duration.map_or(TICK, |duration| (begun + duration).saturating_duration_since(now));
            std::thread::sleep(left.min(TICK));
        }
    }

    fn show_progress(&mut self, elapsed: Duration, of: Option<Duration>) {
        let counters = self.engine.counters();
        let of = of.map_or(String::new(), |of| format!(" of {:.0}", of.as_secs_f64()));
        self.progress.show(&format!(
            "{:.0}{of} s · {} · {} · {} lost",
            elapsed.as_secs_f64(),
            counted(self.engine.selection().counts().1 as u64, "target", "targets"),
            counted(counters.sampled, "sample", "samples"),
            grouped(counters.ring_full),
        ));
    }
}

fn summary(profile: &Profile, targets: usize, lost: u64, options: &RecordOptions) -> String {
    let samples = counted(profile.total_count(), "sample", "samples");
    let targets = counted(targets as u64, "target", "targets");
    let seconds = profile.duration.as_secs_f64();
    let mut text = format!("{targets}, {samples} in {seconds:.1} s, {} lost\n", grouped(lost));
    if profile.total_count() > 0 {
        text.push_str("\ntop functions:\n");
        text.push_str(&TopFunctions::new(profile, TOP_FUNCTIONS).to_string());
        text.push('\n');
    } else {
        text.push_str("the targets used no CPU meanwhile\n");
    }
    for (path, format) in &options.outputs {
        text.push_str(&format!("{}: {}\n", format.name(), shown(&path.to_string_lossy())));
    }
    text
}
