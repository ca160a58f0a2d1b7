//! How stacks are unwound, in figures.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Gauges and counters of the unwinder.
#[derive(Clone, Debug, Default)]
pub(crate) struct UnwindMetrics {
    tables: Gauge,
    rows: Gauge,
    images: Gauge,
    missing: Family<Missing, Counter>,
    found_functions: Counter,
    found_rows: Counter,
    undescribed_bytes: Counter,
    known_bytes: Counter,
}

/// The unwinder's figures as they stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct UnwindState {
    /// Binaries that have a table.
    pub(crate) tables: usize,
    /// Rows of all tables.
    pub(crate) rows: usize,
    /// Program images whose mappings the kernel side knows.
    pub(crate) images: usize,
    /// Binaries without call frame information.
    pub(crate) without: u64,
    /// Tables for which there was no room.
    pub(crate) refused: u64,
    /// Lists of mappings for which there was no room.
    pub(crate) images_refused: u64,
    /// Functions that call frame information does not describe, and something else does.
    pub(crate) found_functions: u64,
    /// Their rows.
    pub(crate) found_rows: u64,
    /// Bytes of code that call frame information does not describe.
    pub(crate) undescribed_bytes: u64,
    /// Those of them that have a rule nevertheless.
    pub(crate) known_bytes: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct Missing {
    reason: &'static str,
}

impl UnwindMetrics {
    pub(crate) fn register(&self, profiler: &mut Registry) {
        profiler.register("unwind_tables", "Binaries that have an unwind table", self.tables.clone());
        profiler.register("unwind_rows", "Rows of all unwind tables", self.rows.clone());
        profiler.register(
            "unwind_processes",
            "Program images whose mappings the kernel side knows",
            self.images.clone(),
        );
        profiler.register(
            "unwind_missing",
            "What is unwound by frame pointers alone, by reason: a binary without call frame information, no room for its table, no room for a process's mappings",
            self.missing.clone(),
        );
        for (name, help, counter) in [
            (
                "unwind_inferred_functions",
                "Functions without call frame information whose frames the code itself, or a table of its language, tells",
                &self.found_functions,
            ),
            ("unwind_inferred_rows", "Rows of these functions", &self.found_rows),
            (
                "unwind_undescribed_bytes",
                "Bytes of code, padding among them, that call frame information does not describe",
                &self.undescribed_bytes,
            ),
            (
                "unwind_inferred_bytes",
                "Bytes of such code that can be unwound nevertheless",
                &self.known_bytes,
            ),
        ] {
            profiler.register(name, help, counter.clone());
        }
        self.set(UnwindState::default());
    }

    pub(crate) fn set(&self, state: UnwindState) {
        self.tables.set(state.tables as i64);
        self.rows.set(state.rows as i64);
        self.images.set(state.images as i64);
        for (reason, count) in [
            ("no_information", state.without),
            ("no_room_for_table", state.refused),
            ("no_room_for_mappings", state.images_refused),
        ] {
            let counter = self.missing.get_or_create(&Missing { reason });
            counter.inc_by(count.saturating_sub(counter.get()));
        }
        for (counter, count) in [
            (&self.found_functions, state.found_functions),
            (&self.found_rows, state.found_rows),
            (&self.undescribed_bytes, state.undescribed_bytes),
            (&self.known_bytes, state.known_bytes),
        ] {
            counter.inc_by(count.saturating_sub(counter.get()));
        }
    }
}
