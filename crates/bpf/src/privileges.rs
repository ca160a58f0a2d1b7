//! Whether the process may do what it is about to do, asked beforehand: the kernel's own answer is a bare EPERM.

use rustix::thread::{CapabilitySet, capabilities};

/// A capability that loading and sampling need.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Capability {
    /// Load BPF programs and maps.
    Bpf,
    /// Attach tracing programs and open perf events.
    Perfmon,
}

impl Capability {
    /// As `capabilities(7)` writes it.
    pub fn name(self) -> &'static str {
        match self {
            Capability::Bpf => "CAP_BPF",
            Capability::Perfmon => "CAP_PERFMON",
        }
    }
}

/// What this thread lacks of what loading needs. CAP_SYS_ADMIN contains both.
pub fn missing_capabilities() -> Vec<Capability> {
    let Ok(sets) = capabilities(None) else {
        return Vec::new();
    };
    let effective = sets.effective;
    if effective.contains(CapabilitySet::SYS_ADMIN) {
        return Vec::new();
    }
    [(Capability::Bpf, CapabilitySet::BPF), (Capability::Perfmon, CapabilitySet::PERFMON)]
        .into_iter()
        .filter(|(_, bit)| !effective.contains(*bit))
        .map(|(capability, _)| capability)
        .collect()
}
