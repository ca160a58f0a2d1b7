//! The clocks: one perf event per online CPU, with the tick program attached.

use crate::{CpuSet, Error, sys};
use libbpf_rs::{Link, ProgramImpl};
use std::collections::BTreeMap;
use std::os::fd::IntoRawFd;

/// What makes a CPU tick.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Clock {
    /// A high-resolution timer of the kernel, stopped while the CPU is idle. Works everywhere.
    CpuClock,
    /// The CPU's cycle counter; needs a hardware counter, which most virtual machines lack.
    Cycles,
}

impl Clock {
    /// The name in configuration and messages.
    pub fn name(self) -> &'static str {
        match self {
            Clock::CpuClock => "cpu-clock",
            Clock::Cycles => "cycles",
        }
    }
}

/// Whether a clock of this kind may be opened with the capabilities that this thread has in force.
///
/// # Errors
///
/// Why not.
pub fn may_open_clock(clock: Clock) -> Result<(), Error> {
    let cpu = CpuSet::online()?.iter().next().unwrap_or(0);
    sys::open_clock(clock, 1, cpu).map(drop).map_err(|source| Error::PerfEvent {
        clock: clock.name(),
        cpu,
        source,
    })
}

/// The clocks that run now, by CPU.
pub(crate) struct Clocks {
    clock: Clock,
    sample_hz: u32,
    links: BTreeMap<u32, Link>,
}

impl Clocks {
    pub(crate) fn new(clock: Clock, sample_hz: u32) -> Self {
        Self { clock, sample_hz, links: BTreeMap::new() }
    }

    /// Starts the clocks of CPUs that have come, drops those of CPUs that have gone. How many of each.
    pub(crate) fn follow(
        &mut self,
        online: &CpuSet,
        program: &ProgramImpl<'_, libbpf_rs::Mut>,
    ) -> Result<(usize, usize), Error> {
        let before = self.links.len();
        self.links.retain(|cpu, _| online.contains(*cpu));
        let gone = before - self.links.len();
        let mut come = 0;
        for cpu in online.iter() {
            if self.links.contains_key(&cpu) {
                continue;
            }
            match self.start(cpu, program) {
                Ok(link) => {
                    self.links.insert(cpu, link);
                    come += 1;
                }
                // On its way in or out: the next call finds it ready, or gone.
                Err(Error::PerfEvent { source, .. }) if source.raw_os_error() == Some(libc::ENODEV) => {}
                Err(error) => return Err(error),
            }
        }
        Ok((come, gone))
    }

    fn start(&self, cpu: u32, program: &ProgramImpl<'_, libbpf_rs::Mut>) -> Result<Link, Error> {
        let failed = |source| Error::PerfEvent { clock: self.clock.name(), cpu, source };
        let event = sys::open_clock(self.clock, self.sample_hz, cpu).map_err(failed)?;
        // The link owns the event from here on, and closes it.
        program
            .attach_perf_event(event.into_raw_fd())
            .map_err(|source| Error::Attach { program: "tg_cpu_tick".into(), source })
    }
}
