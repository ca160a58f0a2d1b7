//! What became of ticks and samples.

use super::{Metrics, ReasonLabel, set};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use telegen_model::ProfileKind;

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct SampleLabels {
    r#type: &'static str,
    outcome: &'static str,
}

/// What became of a sample.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum SampleOutcome {
    /// It is in a profile that was handed over.
    Exported,
    /// It was in a profile that could not be handed over.
    ExportFailed,
    /// Its ring was full.
    RingFull,
    /// Its process was past its last thread's exit.
    Exiting,
    /// Its process could no longer be looked at when it was drained.
    UnknownProcess,
    /// The table of stacks was full.
    StackTableFull,
    /// Nothing is configured to take profiles.
    NoSink,
}

impl SampleOutcome {
    const ALL: [Self; 7] = [
        Self::Exported,
        Self::ExportFailed,
        Self::RingFull,
        Self::Exiting,
        Self::UnknownProcess,
        Self::StackTableFull,
        Self::NoSink,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Exported => "exported",
            Self::ExportFailed => "export_failed",
            Self::RingFull => "ring_full",
            Self::Exiting => "exiting",
            Self::UnknownProcess => "unknown_process",
            Self::StackTableFull => "stack_table_full",
            Self::NoSink => "no_sink",
        }
    }
}

/// Ticks and samples.
#[derive(Debug, Default)]
pub(super) struct SampleMetrics {
    samples: Family<SampleLabels, Counter>,
    pub(super) rejected: Counter,
    pub(super) undecided: Counter,
    undelivered: Gauge,
    stacks_flawed: Family<ReasonLabel, Counter>,
}

impl SampleMetrics {
    pub(super) fn register(&self, profiler: &mut Registry) {
        profiler.register("samples", "Samples of targets, by what became of them", self.samples.clone());
        profiler.register(
            "samples_rejected",
            "Ticks on processes that are not targets",
            self.rejected.clone(),
        );
        profiler.register(
            "samples_undecided",
            "Ticks on processes before it was known whether they are targets",
            self.undecided.clone(),
        );
        profiler.register(
            "samples_undelivered_estimate",
            "Ticks that were due, from the time that CPUs were busy, and never came; 0 below 2 % of them",
            self.undelivered.clone(),
        );
        profiler.register(
            "stacks_incomplete",
            "Samples whose stack ends early, by reason",
            self.stacks_flawed.clone(),
        );
    }
}

impl Metrics {
    /// Every series of the samples, at 0.
    pub(super) fn touch_samples(&self) {
        for outcome in SampleOutcome::ALL {
            self.sample(outcome);
        }
    }

    /// Takes over how many ticks were due and have not come.
    pub(crate) fn set_undelivered(&self, count: u64) {
        self.samples.undelivered.set(count as i64);
    }

    /// Takes over a count of samples that is kept elsewhere.
    pub(crate) fn set_samples(&self, outcome: SampleOutcome, count: u64) {
        set(&self.sample(outcome), count);
    }

    /// Counts samples whose stack ends early.
    pub(crate) fn count_flawed_stacks(&self, reason: &'static str, count: u64) {
        self.samples.stacks_flawed.get_or_create(&ReasonLabel { reason }).inc_by(count);
    }

    /// Counts samples by what became of them.
    pub(crate) fn count_samples(&self, outcome: SampleOutcome, count: u64) {
        self.sample(outcome).inc_by(count);
    }

    /// Samples that were taken but did not get into a profile.
    pub(crate) fn lost_in_user_space(&self) -> u64 {
        self.sample(SampleOutcome::UnknownProcess).get() + self.sample(SampleOutcome::StackTableFull).get()
    }

    pub(super) fn sample(&self, outcome: SampleOutcome) -> Counter {
        let r#type = kind_name(ProfileKind::Cpu);
        self.samples.samples.get_or_create(&SampleLabels { r#type, outcome: outcome.name() }).clone()
    }
}

fn kind_name(kind: ProfileKind) -> &'static str {
    match kind {
        ProfileKind::Cpu => "cpu",
        _ => "other",
    }
}
