//! `telegen`: a targeted continuous profiler for Linux nodes and Kubernetes.

mod access_metrics;
mod agent;
mod allocator;
mod cli;
mod command;
mod containers;
mod debug_file_metrics;
mod diff;
mod doctor;
#[cfg(test)]
mod documentation;
mod engine;
mod failure;
mod governor;
mod http;
mod kubernetes_metrics;
mod limit_metrics;
mod logging;
mod manual;
mod metrics;
mod output;
mod pods;
mod privileges;
mod process_metrics;
mod record;
mod run;
mod settings;
mod signals;
mod targeting;
mod targets;
mod unwind_metrics;
mod watch_metrics;

use std::process::ExitCode;

/// Memory that is freed goes back to the system; the allocator of the C library keeps much of it per thread.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    if arguments.get(1).is_some_and(|argument| argument == command::GATE) {
        // `telegen __gate -- COMMAND ARG…`
        return command::run_gate(arguments.get(3..).unwrap_or_default()).into();
    }
    match run::run(arguments) {
        Ok(status) => status.into(),
        Err(failure) => {
            output::say(&format!("telegen: {failure}"));
            ExitCode::from(failure.status as u8)
        }
    }
}
