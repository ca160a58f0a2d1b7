//! Limits and layouts that the programs share with user space; `c/abi.h` says the same in C.

use std::mem::{offset_of, size_of};
use telegen_model::{ControlGroup, TargetNumber, Token};

/// Highest number of CPUs whose ticks can be counted.
pub(crate) const MAX_CPUS: usize = 1024;
/// Most decisions that one call hands over.
pub(crate) const APPLY_MAX: usize = 256;
/// Most user frames of a sample.
pub(crate) const MAX_USER_FRAMES: u32 = 512;
const BITMAP_WORDS: usize = 4 * 1024 * 1024 / 64;
const STATE_MASK: u64 = 0x03;
const BY_PID: u32 = 0x04;
const FOLLOW: u32 = 0x08;
const GONE: u64 = 0x20;
/// In the place of a state: the entry is to be deleted.
pub(crate) const RELEASE: u32 = 0x40;
const TARGET_SHIFT: u32 = 8;
const TOKEN_SHIFT: u32 = 16;

/// What the kernel side does with a process's ticks.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum State {
    /// Counts them as undecided, until user space answers.
    Undecided,
    /// Samples them; `by_pid` keeps children from inheriting it, `follow` carries it through fork and exec.
    Profile {
        /// Chosen by its pid.
        by_pid: bool,
        /// Chosen with all its descendants.
        follow: bool,
        /// Which target it belongs to.
        target: TargetNumber,
    },
    /// Counts them as rejected.
    Skip,
    /// Counts them as exiting: the process's last thread is past its exit.
    Exiting,
}

impl State {
    pub(crate) fn bits(self) -> u32 {
        match self {
            State::Undecided => 0,
            State::Profile { by_pid, follow, target } => {
                let flags = if by_pid { BY_PID } else { 0 } | if follow { FOLLOW } else { 0 };
                1 | flags | u32::from(target.0) << TARGET_SHIFT
            }
            State::Skip => 2,
            State::Exiting => 3,
        }
    }

    pub(crate) fn of_word(word: u64) -> Self {
        match word & STATE_MASK {
            0 => State::Undecided,
            1 => State::Profile {
                by_pid: word & u64::from(BY_PID) != 0,
                follow: word & u64::from(FOLLOW) != 0,
                target: target_of(word),
            },
            2 => State::Skip,
            _ => State::Exiting,
        }
    }
}

/// The token in a state word.
pub(crate) fn token_of(word: u64) -> Token {
    Token(word >> TOKEN_SHIFT)
}

/// Whether a state word is that of a process whose last thread is past its exit.
pub(crate) fn is_over(word: u64) -> bool {
    word & GONE != 0
}

/// The target in a state word.
pub(crate) fn target_of(word: u64) -> TargetNumber {
    TargetNumber((word >> TARGET_SHIFT) as u8)
}

macro_rules! read_field {
    ($bytes:expr, $struct:ty, $field:ident, $type:ty) => {{
        const AT: usize = std::mem::offset_of!($struct, $field);
        const SIZE: usize = std::mem::size_of::<$type>();
        let mut raw = [0; SIZE];
        raw.copy_from_slice(&$bytes[AT..AT + SIZE]);
        <$type>::from_ne_bytes(raw)
    }};
}
pub(crate) use read_field;

/// `struct tg_cgroup`.
#[repr(C)]
#[allow(dead_code)]
pub(crate) struct RawCgroup {
    pub(crate) id: u64,
    pub(crate) hierarchy: u32,
    pub(crate) unused: u32,
}
const _: () = assert!(size_of::<RawCgroup>() == 16);

/// The control group in a `struct tg_cgroup`; `None` if there is none.
pub(crate) fn control_group(bytes: &[u8]) -> Option<ControlGroup> {
    let id = read_field!(bytes, RawCgroup, id, u64);
    let hierarchy = read_field!(bytes, RawCgroup, hierarchy, u32);
    (id != 0).then_some(ControlGroup { id, hierarchy })
}

/// `struct tg_process`.
#[repr(C)]
#[allow(dead_code)]
pub(crate) struct RawProcess {
    pub(crate) word: u64,
    pub(crate) start_ns: u64,
    pub(crate) pid: u32,
    pub(crate) generation: u32,
    pub(crate) forked_from: u64,
    pub(crate) remaps: u32,
    pub(crate) told: u32,
}
const _: () = assert!(size_of::<RawProcess>() == 40);

/// `struct tg_event`; only its layout is used.
#[repr(C)]
#[allow(dead_code, missing_docs)]
pub(crate) struct RawEvent {
    pub(crate) kind: u32,
    pub(crate) key: u32,
    pub(crate) pid: u32,
    pub(crate) parent: u32,
    pub(crate) word: u64,
    pub(crate) parent_word: u64,
    pub(crate) start_ns: u64,
    pub(crate) time_ns: u64,
    pub(crate) generation: u32,
    pub(crate) path_bytes: u16,
    pub(crate) argv0_bytes: u16,
    pub(crate) comm: [u8; 16],
    pub(crate) cgroup: RawCgroup,
}
const _: () = assert!(size_of::<RawEvent>() == 88);

/// `struct tg_scanned`.
#[repr(C)]
#[allow(dead_code)]
pub(crate) struct RawScanned {
    pub(crate) key: u32,
    pub(crate) pid: u32,
    pub(crate) parent: u32,
    pub(crate) generation: u32,
    pub(crate) word: u64,
    pub(crate) start_ns: u64,
    pub(crate) cgroup: RawCgroup,
    pub(crate) cgroups: u64,
    pub(crate) kernel_thread: u32,
    pub(crate) path_bytes: u32,
    pub(crate) comm: [u8; 16],
}
const _: () = assert!(size_of::<RawScanned>() == 80);

/// `struct tg_scanned_argv0`.
#[repr(C)]
#[allow(dead_code)]
pub(crate) struct RawScannedArgv0 {
    pub(crate) key: u32,
    pub(crate) argv0_bytes: u32,
    pub(crate) start_ns: u64,
}
const _: () = assert!(size_of::<RawScannedArgv0>() == 16);

/// `struct tg_sample`.
#[repr(C)]
#[allow(dead_code)]
pub(crate) struct RawSample {
    pub(crate) word: u64,
    pub(crate) time_ns: u64,
    pub(crate) pid: u32,
    pub(crate) tid: u32,
    pub(crate) user_frames: u16,
    pub(crate) kernel_frames: u16,
    pub(crate) flags: u32,
    pub(crate) comm: [u8; 16],
}
const _: () = assert!(size_of::<RawSample>() == 48);
pub(crate) const SAMPLE_KERNEL_TRUNCATED: u32 = 0x1;
pub(crate) const SAMPLE_NOT_READY: u32 = 0x2;
pub(crate) const SAMPLE_ENDING_SHIFT: u32 = 8;
pub(crate) const SAMPLE_REMAPS_SHIFT: u32 = 16;

/// Bits of a table's number that say where it stands; the others, which of the tables that have stood there it is.
pub(crate) const TABLE_SLOT_BITS: u32 = 13;
/// Tables that there may be.
pub(crate) const MAX_TABLES: u32 = 1 << TABLE_SLOT_BITS;
/// Rules that there may be.
pub(crate) const MAX_RULES: usize = 16384;
/// Bytes of a rule, `struct tg_unwind_rule`.
pub(crate) const RULE_BYTES: usize = 16;
/// Bytes of a block of a table, `struct tg_unwind_block`.
pub(crate) const BLOCK_BYTES: usize = 1024;
/// Ranges of a part of a list of mappings.
pub(crate) const PART_RANGES: usize = 32;
/// Parts of a list of mappings.
pub(crate) const MAX_PARTS: usize = 255;
pub(crate) const TABLE_NONE: u32 = 0xffff_ffff;
pub(crate) const TABLE_AWAITED: u32 = 0xffff_fffe;

/// `struct tg_range`.
#[repr(C)]
#[allow(dead_code)]
pub(crate) struct RawRange {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) position: u32,
    pub(crate) table: u32,
}
const _: () = assert!(size_of::<RawRange>() == 24);

/// `struct tg_mapped`.
#[repr(C)]
#[allow(dead_code)]
pub(crate) struct RawMapped {
    pub(crate) low: u64,
    pub(crate) high: u64,
    pub(crate) exec_pages: u64,
    pub(crate) left: u8,
    pub(crate) right: u8,
    pub(crate) unused: u16,
    pub(crate) told: u32,
    pub(crate) remaps: u32,
    pub(crate) unused_too: u32,
    pub(crate) ranges: [RawRange; PART_RANGES],
}
const _: () = assert!(size_of::<RawMapped>() == 40 + 24 * PART_RANGES);

/// Areas that are kept of an image.
pub(crate) const AREAS: usize = 128;

/// `struct tg_area`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct RawArea {
    pub(crate) start: u64,
    pub(crate) end: u64,
}

/// `struct tg_areas`.
#[repr(C)]
pub(crate) struct RawAreas {
    pub(crate) remaps: u32,
    pub(crate) unused: u32,
    pub(crate) areas: [RawArea; AREAS],
}
const _: () = assert!(size_of::<RawAreas>() == 8 + 16 * AREAS);

/// `struct tg_tick_counts`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct RawTickCounts {
    pub(crate) rejected: u64,
    pub(crate) undecided: u64,
    pub(crate) exiting: u64,
    pub(crate) sampled: u64,
    pub(crate) ring_full: u64,
    pub(crate) passed_over: u64,
    pub(crate) unused: [u64; 2],
}

/// `struct tg_apply_item`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct RawApplyItem {
    pub(crate) key: u32,
    pub(crate) state: u32,
    pub(crate) token: u64,
    pub(crate) outcome: u64,
}

/// Most patterns that the programs can try.
pub(crate) const MAX_PATTERNS: usize = 64;
/// Room for the text of a pattern.
pub(crate) const PATTERN_BYTES: usize = 64;
/// Targets that can be told apart at a time.
pub(crate) const MAX_TARGETS: usize = 256;

/// `struct tg_pattern`.
#[repr(C)]
#[allow(dead_code)]
pub(crate) struct RawPattern {
    pub(crate) subject: u8,
    pub(crate) form: u8,
    pub(crate) kind: u8,
    pub(crate) rank: u8,
    pub(crate) length: u8,
    pub(crate) unused: [u8; 3],
    pub(crate) text: [u8; PATTERN_BYTES],
}
const _: () = assert!(size_of::<RawPattern>() == 72);

/// `struct tg_policy`.
#[repr(C)]
pub(crate) struct RawPolicy {
    pub(crate) version: u32,
    pub(crate) patterns: u32,
    pub(crate) ranks: u32,
    pub(crate) exclusions: u32,
    pub(crate) watch_cgroups: u32,
    pub(crate) knows_inclusions: u32,
    pub(crate) rank: [[u8; 2]; MAX_PATTERNS],
    pub(crate) pattern: [RawPattern; MAX_PATTERNS],
    pub(crate) steps: [u32; MAX_TARGETS],
}
const _: () = assert!(size_of::<RawPolicy>() == 24 + 2 * MAX_PATTERNS + 72 * MAX_PATTERNS + 4 * MAX_TARGETS);

/// By so many numbers processes are told apart whose mappings are being read.
pub(crate) const READINGS: usize = 4096;

/// `struct tg_shared`.
#[repr(C)]
pub(crate) struct RawShared {
    pub(crate) bitmap: [u64; BITMAP_WORDS],
    pub(crate) ticks: [RawTickCounts; MAX_CPUS],
    pub(crate) events_lost: u64,
    pub(crate) processes_refused: u64,
    pub(crate) pid_level: u32,
    pub(crate) pid_namespace: u32,
    pub(crate) agent_key: u32,
    pub(crate) unused: u32,
    pub(crate) next_token: u64,
    pub(crate) awaited: u64,
    pub(crate) attentive: u64,
    pub(crate) apply_count: u32,
    pub(crate) apply_unused: u32,
    pub(crate) apply_items: [RawApplyItem; APPLY_MAX],
    pub(crate) policy: RawPolicy,
    pub(crate) readings: [u32; READINGS],
}
const _: () = assert!(
    size_of::<RawShared>()
        == 512 * 1024 + 64 * 1024 + 64 + 24 * APPLY_MAX + size_of::<RawPolicy>() + 4 * READINGS
);
const _: () = assert!(offset_of!(RawShared, ticks) == 512 * 1024);

/// The program's constants, in the order in which `c/state.h` declares them: the section `.rodata`.
#[repr(C)]
pub(crate) struct RawConstants {
    pub(crate) ring_count: u32,
    pub(crate) user_frames: u32,
    pub(crate) kernel_stacks: u8,
}

/// The text before the first NUL, anything that is not UTF-8 in it replaced.
pub(crate) fn text(bytes: &[u8]) -> Box<str> {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_survives_its_word() {
        for state in [
            State::Undecided,
            State::Skip,
            State::Exiting,
            State::Profile { by_pid: false, follow: false, target: TargetNumber(0) },
            State::Profile { by_pid: true, follow: false, target: TargetNumber(1) },
            State::Profile { by_pid: false, follow: true, target: TargetNumber(255) },
        ] {
            let word = 77 << TOKEN_SHIFT | u64::from(state.bits());
            assert_eq!(State::of_word(word), state);
            assert_eq!(token_of(word), Token(77));
        }
    }

    #[test]
    fn text_ends_at_the_first_nul() {
        assert_eq!(&*text(b"java\0\0junk"), "java");
        assert_eq!(&*text(b"no end"), "no end");
        assert_eq!(&*text(b"\xff\0"), "\u{fffd}");
    }
}
