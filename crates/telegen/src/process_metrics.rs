//! What every process says of itself: `process_cpu_seconds_total` and its like, as Prometheus's client libraries name them.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};

/// The metrics of this process, read from /proc when asked for.
#[derive(Default)]
pub(crate) struct ProcessMetrics {
    cpu_seconds: Counter<f64, AtomicU64>,
    resident_bytes: Gauge,
    virtual_bytes: Gauge,
    open_fds: Gauge,
    max_fds: Gauge,
    start_seconds: Gauge<f64, AtomicU64>,
}

impl ProcessMetrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        let process = registry.sub_registry_with_prefix("process");
        process.register_with_unit(
            "cpu",
            "User and system CPU time",
            Unit::Seconds,
            self.cpu_seconds.clone(),
        );
        process.register_with_unit(
            "resident_memory",
            "Resident memory",
            Unit::Bytes,
            self.resident_bytes.clone(),
        );
        process.register_with_unit(
            "virtual_memory",
            "Virtual memory",
            Unit::Bytes,
            self.virtual_bytes.clone(),
        );
        process.register("open_fds", "Open file descriptors", self.open_fds.clone());
        process.register("max_fds", "Most file descriptors that may be open", self.max_fds.clone());
        process.register_with_unit(
            "start_time",
            "When the process started, since the epoch",
            Unit::Seconds,
            self.start_seconds.clone(),
        );
    }

    /// Reads what the kernel says of this process; what cannot be read keeps its last value.
    pub(crate) fn read(&self) {
        const USER_HZ: f64 = 100.0;
        if let Ok(stat) = fs::read_to_string("/proc/self/stat")
            && let Some((_, rest)) = stat.rsplit_once(')')
        {
            // Behind the name: field 3 of proc_pid_stat(5) comes first.
            let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
            let number = |field: usize| fields.get(field - 3).and_then(|text| text.parse::<f64>().ok());
            if let (Some(user), Some(system)) = (number(14), number(15)) {
                self.cpu_seconds.inner().store(((user + system) / USER_HZ).to_bits(), Ordering::Relaxed);
            }
            if let Some(bytes) = number(23) {
                self.virtual_bytes.set(bytes as i64);
            }
            if let Some(pages) = number(24) {
                self.resident_bytes.set(pages as i64 * rustix::param::page_size() as i64);
            }
            if let (Some(ticks), Some(boot)) = (number(22), boot_seconds()) {
                self.start_seconds.set(boot + ticks / USER_HZ);
            }
        }
        if let Ok(fds) = fs::read_dir("/proc/self/fd") {
            self.open_fds.set(fds.count() as i64);
        }
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        self.max_fds.set(limit.current.map_or(-1, |limit| limit as i64));
    }
}

fn boot_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok())
}
