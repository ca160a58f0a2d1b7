//! The command line.

mod lists;
mod target_flags;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;
use target_flags::INCLUDES;
pub(crate) use target_flags::TargetFlags;
use telegen_config::Cpu;

/// Targeted continuous profiler: select processes first, profile only those.
#[derive(Parser, Debug)]
#[command(name = "telegen", version, max_term_width = 100, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "\
Examples:
  telegen targets --name java --all --explain     why is each process (not) profiled
  telegen record --name java -d 30s -o java.svg   a flame graph of all Java processes
  telegen record -- ./server --port 80            a command, from its first instruction
  telegen agent --config config.yaml              a profile every 10 s, until told to stop
  telegen diff before.pb.gz after.pb.gz           what has grown, and what has shrunk
  telegen doctor                                  what is missing on this machine";

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Run as a service
    Agent(AgentArgs),
    /// Record one profile
    Record(RecordArgs),
    /// List what would be profiled, and why
    Targets(TargetsArgs),
    /// Check or show a configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Compare two profiles
    Diff(DiffArgs),
    /// Say what this machine lacks, and what that costs
    Doctor(DoctorArgs),
    /// Write a shell's completions to standard output
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Write the manual's pages into a directory
    Man {
        /// Where to; `man -l DIR/telegen-record.1` shows a page
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
}

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  telegen agent                                   with the configuration at its usual place
  telegen agent --config config.yaml --name java  its exclusions and limits, other targets
  kill -HUP PID                                   read the configuration again")]
pub(crate) struct AgentArgs {
    /// Configuration file [default: /etc/telegen/profiler/config.yaml]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) targets: TargetFlags,
}

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  telegen record --name java,python3 -d 10s -F 99 -o profile.pb.gz -o flame.svg
  telegen record --exe '/opt/*' --exclude-name worker --wait
  telegen record -o build.svg -- make -j4

Exit status: 0 done, 1 failed, 2 usage or configuration, 3 nothing matched, 4 not permitted; with a command, its own.")]
pub(crate) struct RecordArgs {
    /// Profile every process that is not excluded
    #[arg(long, conflicts_with_all = INCLUDES)]
    pub(crate) all: bool,
    /// How long to record [default: 10s, or until the command ends]
    #[arg(short, long, value_name = "TIME", value_parser = duration)]
    pub(crate) duration: Option<Duration>,
    /// Samples per second and CPU
    #[arg(short = 'F', long, value_name = "HZ", default_value_t = 99, value_parser = sample_hz())]
    pub(crate) frequency: u32,
    /// What makes a CPU tick
    #[arg(long, value_enum, default_value_t = Event::CpuClock)]
    pub(crate) event: Event,
    /// Where to write, guessing the format from the ending; may be repeated [default: telegen-TIME.pb.gz]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Vec<PathBuf>,
    /// pprof, folded, svg, html or json, whatever the file's ending
    #[arg(long)]
    pub(crate) format: Option<String>,
    /// Overwrite files that exist
    #[arg(long)]
    pub(crate) force: bool,
    /// Wait for the first process that matches; the duration starts there
    #[arg(long, conflicts_with = "command")]
    pub(crate) wait: bool,
    /// Leave kernel frames out
    #[arg(long)]
    pub(crate) no_kernel_stacks: bool,
    /// Configuration file, for exclusions and limits [default: /etc/telegen/profiler/config.yaml, if it is there]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Command to run and profile with all its descendants, from its first instruction to its exit
    #[arg(last = true, value_name = "COMMAND", conflicts_with = "all", conflicts_with_all = INCLUDES)]
    pub(crate) command: Vec<OsString>,
    #[command(flatten)]
    pub(crate) targets: TargetFlags,
}

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  telegen targets --name java                     what would be profiled
  telegen targets --name java --all --explain     why everything else would not
  telegen targets --namespace 'prod-*' --label app=web --match all
  telegen targets --name java --watch             processes that come and go
  telegen targets -o json | jq '.processes[].pid'")]
pub(crate) struct TargetsArgs {
    /// Configuration file [default: /etc/telegen/profiler/config.yaml, if it is there]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Also list what is not profiled
    #[arg(long)]
    pub(crate) all: bool,
    /// Say why
    #[arg(long)]
    pub(crate) explain: bool,
    /// Show changes as they happen, until Ctrl-C; with JSON, one object a line
    #[arg(long)]
    pub(crate) watch: bool,
    /// How to show it
    #[arg(short, long, value_enum, default_value_t = ListOutput::Table)]
    pub(crate) output: ListOutput,
    #[command(flatten)]
    pub(crate) targets: TargetFlags,
}

#[derive(Subcommand, Debug)]
pub(crate) enum ConfigCommand {
    /// Check configuration files; all errors are shown
    Check {
        /// Files to check
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Show the configuration in force, defaults included
    Show {
        /// Configuration file [default: /etc/telegen/profiler/config.yaml]
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Show every key with its type, unit, default and meaning
    Reference,
}

#[derive(Args, Debug)]
#[command(after_help = "\
Shares of the whole are compared, so that recordings may differ in length. Of a picture's boxes, red ones have grown and
blue ones have shrunk; each is as wide as its shares of both profiles together.

Examples:
  telegen diff before.pb.gz after.pb.gz
  telegen diff before.pb.gz after.pb.gz -o change.html
  telegen diff before.pb.gz after.pb.gz --format folded | flamegraph.pl > change.svg")]
pub(crate) struct DiffArgs {
    /// A pprof profile, of telegen or of any other program
    #[arg(value_name = "BEFORE")]
    pub(crate) before: PathBuf,
    /// Another one with the same kind of values
    #[arg(value_name = "AFTER")]
    pub(crate) after: PathBuf,
    /// Where to write, guessing the format from the ending; may be repeated
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Vec<PathBuf>,
    /// folded, svg, html or json, whatever the file's ending; without a file, to standard output
    #[arg(long)]
    pub(crate) format: Option<String>,
    /// Overwrite files that exist
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Args, Debug)]
pub(crate) struct DoctorArgs {
    /// Configuration file, for who is asked for pods [default: /etc/telegen/profiler/config.yaml, if it is there]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// How to show it
    #[arg(short, long, value_enum, default_value_t = DoctorOutput::Table)]
    pub(crate) output: DoctorOutput,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Event {
    CpuClock,
    Cycles,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum ListOutput {
    Table,
    Wide,
    Json,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum DoctorOutput {
    Table,
    Json,
}

fn sample_hz() -> clap::builder::RangedI64ValueParser<u32> {
    let range = Cpu::SAMPLE_HZ;
    clap::value_parser!(u32).range(i64::from(*range.start())..=i64::from(*range.end()))
}

fn duration(text: &str) -> Result<Duration, String> {
    match telegen_config::parse_duration(text) {
        Ok(Duration::ZERO) => Err("a recording takes some time".into()),
        Ok(duration) => Ok(duration),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_help_of_every_command_is_as_it_was_read() {
        let mut root = Cli::command();
        root.build();
        let mut text = root.render_help().to_string();
        for command in root.get_subcommands_mut().filter(|command| command.get_name() != "help") {
            let name = command.get_name().to_owned();
            text.push_str(&format!("\n==== {name} ====\n{}", command.render_help()));
        }
        insta::assert_snapshot!(text);
    }

    #[test]
    fn every_flag_that_includes_is_known_to_contradict_all() {
        let flags = TargetFlags::augment_args(clap::Command::new("x"));
        let ids: Vec<&str> = flags.get_arguments().map(|argument| argument.get_id().as_str()).collect();
        let includes: Vec<&str> =
            ids.into_iter().filter(|id| !id.starts_with("exclude") && *id != "match_types").collect();
        assert_eq!(includes, INCLUDES);
    }

    #[test]
    fn a_command_is_taken_as_it_stands() {
        let cli = Cli::parse_from(["telegen", "record", "-d", "2s", "--", "sh", "-c", "exit 3", "--name"]);
        let Command::Record(args) = cli.command else { panic!("record") };
        assert_eq!(args.command, ["sh", "-c", "exit 3", "--name"]);
        assert_eq!(args.duration, Some(Duration::from_secs(2)));
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for arguments in [
            &["record", "--all", "--name", "x"][..],
            &["record", "--all", "--", "true"],
            &["record", "--name", "x", "--", "true"],
            &["record", "--all", "-d", "0s"],
            &["record", "--all", "-F", "0"],
            &["record", "--all", "-F", "10001"],
            &["record", "--pid", "0"],
            &["record", "--all", "--namespace", "x"],
            &["record", "--label", "a=b", "--", "true"],
            &["record", "--label", ""],
        ] {
            let parsed = Cli::try_parse_from(["telegen"].iter().chain(arguments));
            assert_eq!(parsed.map_err(|error| error.exit_code()).err(), Some(2), "{arguments:?}");
        }
    }
}
