//! What the kernel side knows of targets.

/// The number by which the kernel side, and every sample, knows a target. It stands for the same name and the same sample
/// rate for as long as it is in use; 0 is that of the target `default`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct TargetNumber(pub u8);

/// A control group: its id, which is that of no other for as long as the machine is up, and its hierarchy.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ControlGroup {
    /// Inode number and generation.
    pub id: u64,
    /// The hierarchy, 0 for that of version 2: ids are its own.
    pub hierarchy: u32,
}
