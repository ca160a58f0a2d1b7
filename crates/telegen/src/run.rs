//! From the command line to the command.

use crate::agent::{self, AgentOptions};
use crate::cli::{
    AgentArgs, Cli, Command, ConfigCommand, DiffArgs, DoctorOutput, Event, ListOutput, RecordArgs,
    TargetsArgs,
};
use crate::diff::{self, Destination, DiffFormat, DiffOptions};
use crate::doctor::{self, DoctorFormat};
use crate::failure::{Failure, Status};
use crate::logging::{self, LogFormat};
use crate::manual;
use crate::output::{print, say};
use crate::privileges::{self, Role};
use crate::record::{self, Patience, RecordOptions};
use crate::settings::{DEFAULT_CONFIG, Settings, config_file};
use crate::targets::{self, ListFormat, ListOptions};
use clap::{CommandFactory, Parser};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use telegen_bpf::Clock;
use telegen_config::{LogLevel, Rules};
use telegen_export::{Existing, Format, recording_file_name};
use telegen_rules::RuleSet;
use telegen_select::Rates;

const DEFAULT_DURATION: Duration = Duration::from_secs(10);

/// Runs the command; the status to exit with.
pub(crate) fn run(arguments: Vec<OsString>) -> Result<u8, Failure> {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        // Help and versions come this way, too.
        Err(error) => {
            error.print().map_err(|error| Failure::new(Status::Failed, error))?;
            return Ok(u8::try_from(error.exit_code()).unwrap_or(Status::Usage as u8));
        }
    };
    match cli.command {
        Command::Agent(args) => agent(args).map(|()| 0),
        Command::Record(args) => record(args),
        Command::Targets(args) => list_targets(&args).map(|()| 0),
        Command::Config(ConfigCommand::Check { files }) => check_config(&files).map(|()| 0),
        Command::Config(ConfigCommand::Show { config }) => show_config(config.as_deref()).map(|()| 0),
        Command::Config(ConfigCommand::Reference) => print(&telegen_config::reference())
            .map_err(|error| Failure::new(Status::Failed, error))
            .map(|()| 0),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "telegen", &mut script);
            let script = String::from_utf8_lossy(&script);
            print(&script).map_err(|error| Failure::new(Status::Failed, error)).map(|()| 0)
        }
        Command::Man { directory } => manual::run(&directory).map(|()| 0),
        Command::Diff(args) => diff(args).map(|()| 0),
        Command::Doctor(args) => {
            log_for_people();
            let format = match args.output {
                DoctorOutput::Table => DoctorFormat::Table,
                DoctorOutput::Json => DoctorFormat::Json,
            };
            doctor::run(format, args.config.as_deref()).map(|()| 0)
        }
    }
}

/// Commands that people run say only what they have to.
fn log_for_people() {
    logging::start(tracing::Level::WARN, LogFormat::Text);
}

fn agent(args: AgentArgs) -> Result<(), Failure> {
    let flags = args.targets.rules();
    let file = config_file(args.config.as_deref()).map(Path::to_path_buf);
    if file.is_none() && flags == Rules::default() {
        return Err(Failure::message(
            Status::Usage,
            format!(
                "nothing says what to profile: give a configuration (--config FILE, or {DEFAULT_CONFIG}), or target \
                 flags such as --name java"
            ),
        ));
    }
    let settings = Settings::load(file.as_deref(), &flags)?;
    let log = &settings.config().log;
    logging::start(level(log.level), log_format(log.format));
    privileges::give_up(Role::Service)?;
    agent::run(AgentOptions { file, flags }, settings)
}

fn record(args: RecordArgs) -> Result<u8, Failure> {
    log_for_people();
    let flags = args.targets.rules();
    if !flags.has_includes() && !flags.has_exclusions() && !args.all && args.command.is_empty() {
        return Err(Failure::message(
            Status::Usage,
            "nothing says what to record: give a target flag such as --name java, --all, or -- COMMAND",
        ));
    }
    let mut settings = Settings::for_recording(config_file(args.config.as_deref()), &flags)?;
    settings.say_warnings();
    if !args.command.is_empty() {
        settings.rules = RuleSet::nothing();
    }
    let mut engine = settings.engine_options()?;
    engine.rates = Rates { default_hz: args.frequency, clock_hz: args.frequency };
    engine.kernel_stacks &= !args.no_kernel_stacks;
    engine.clock = match args.event {
        Event::CpuClock => Clock::CpuClock,
        Event::Cycles => Clock::Cycles,
    };
    record::run(RecordOptions {
        engine,
        rules: settings.rules,
        duration: args.duration.or(args.command.is_empty().then_some(DEFAULT_DURATION)),
        outputs: outputs(&args)?,
        existing: if args.force { Existing::Replace } else { Existing::Keep },
        patience: if args.wait { Patience::Wait } else { Patience::None },
        flags: args.targets.shown(),
        command: args.command,
    })
}

/// Which files, in which formats.
fn outputs(args: &RecordArgs) -> Result<Vec<(PathBuf, Format)>, Failure> {
    let format = format_named(args.format.as_deref())?;
    if args.output.is_empty() {
        let format = format.unwrap_or(Format::Pprof);
        return Ok(vec![(recording_file_name(SystemTime::now(), format).into(), format)]);
    }
    with_formats(&args.output, format)
}

fn format_named(name: Option<&str>) -> Result<Option<Format>, Failure> {
    name.map(str::parse::<Format>).transpose().map_err(|error| Failure::new(Status::Usage, error))
}

/// The files, each in this format or in that which its ending means.
fn with_formats(paths: &[PathBuf], format: Option<Format>) -> Result<Vec<(PathBuf, Format)>, Failure> {
    let with_format = |path: &PathBuf| match format {
        Some(format) => Ok((path.clone(), format)),
        None => Format::from_path(path)
            .map(|format| (path.clone(), format))
            .map_err(|error| Failure::new(Status::Usage, error)),
    };
    paths.iter().map(with_format).collect()
}

fn diff(args: DiffArgs) -> Result<(), Failure> {
    let format = format_named(args.format.as_deref())?;
    let destination = match format {
        None if args.output.is_empty() => Destination::Table,
        Some(format) if args.output.is_empty() => Destination::Stdout(format.try_into()?),
        format => {
            let files = with_formats(&args.output, format)?.into_iter();
            let files = files.map(|(path, format)| Ok((path, DiffFormat::try_from(format)?)));
            Destination::Files(files.collect::<Result<_, Failure>>()?)
        }
    };
    diff::run(DiffOptions {
        before: args.before,
        after: args.after,
        destination,
        existing: if args.force { Existing::Replace } else { Existing::Keep },
    })
}

fn list_targets(args: &TargetsArgs) -> Result<(), Failure> {
    log_for_people();
    let settings = Settings::load(config_file(args.config.as_deref()), &args.targets.rules())?;
    settings.say_warnings();
    let format = match args.output {
        ListOutput::Table => ListFormat::Table,
        ListOutput::Wide => ListFormat::Wide,
        ListOutput::Json => ListFormat::Json,
    };
    let options = ListOptions { format, all: args.all, explain: args.explain };
    let engine = settings.engine_options()?;
    if args.watch {
        return targets::watch::run(&settings.rules, engine.max_targets, engine.kubernetes, options);
    }
    targets::run(&settings.rules, engine.kubernetes, options)
}

fn check_config(files: &[PathBuf]) -> Result<(), Failure> {
    let mut wrong = Vec::new();
    for file in files {
        match Settings::load(Some(file), &Rules::default()) {
            Ok(settings) => {
                settings.say_warnings();
                targets::compare_readings(&settings.rules)?.iter().for_each(|line| say(line));
                print(&format!("{}: ok\n", file.display()))
                    .map_err(|error| Failure::new(Status::Failed, error))?;
            }
            Err(failure) => wrong.push(failure.to_string()),
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(Failure::message(Status::Usage, wrong.join("\n"))) }
}

fn show_config(file: Option<&Path>) -> Result<(), Failure> {
    let settings = Settings::load(config_file(file), &Rules::default())?;
    settings.say_warnings();
    print(&settings.config().show()).map_err(|error| Failure::new(Status::Failed, error))
}

fn level(level: LogLevel) -> tracing::Level {
    level.name().parse().unwrap_or(tracing::Level::INFO)
}

fn log_format(format: telegen_config::LogFormat) -> LogFormat {
    match format {
        telegen_config::LogFormat::Text => LogFormat::Text,
        telegen_config::LogFormat::Json => LogFormat::Json,
    }
}
