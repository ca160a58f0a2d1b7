//! Samples, drained from their rings.

use crate::abi::{
    RawSample, SAMPLE_ENDING_SHIFT, SAMPLE_KERNEL_TRUNCATED, SAMPLE_NOT_READY, SAMPLE_REMAPS_SHIFT, State,
    read_field, target_of, token_of,
};
use crate::{Error, sys};
use libbpf_rs::{MapHandle, MapType, RingBuffer, RingBufferBuilder, libbpf_sys};
use std::mem::offset_of;
use std::os::fd::BorrowedFd;
use telegen_model::{Ending, Pid, TargetNumber, Tid, Token};

/// How many seconds of full load a ring holds: the reader comes ten times a second, so this is a reserve for a
/// machine so busy that the reader does not get to run.
const RESERVE_SECONDS: u64 = 2;
/// A sample of some 50 frames; longer ones use up the reserve faster.
const TYPICAL_SAMPLE_BYTES: u64 = 512;
const MIN_RING_BYTES: u64 = 64 * 1024;
const MAX_RING_BYTES: u64 = 8 * 1024 * 1024;
const MAX_RINGS: usize = 16;

/// A tick on a target.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// The program image.
    pub token: Token,
    /// The target that it belonged to.
    pub target: TargetNumber,
    /// When: CLOCK_MONOTONIC, in nanoseconds.
    pub time_ns: u64,
    /// The process.
    pub pid: Pid,
    /// The thread.
    pub tid: Tid,
    /// The thread's name, NUL-padded.
    pub comm: &'a [u8],
    /// Addresses of the user stack, leaf first.
    pub user: &'a [u64],
    /// Addresses of the kernel stack, leaf first; empty if the tick did not interrupt the kernel.
    pub kernel: &'a [u64],
    /// Why the user stack ends where it does.
    pub ending: Ending,
    /// Frame pointers stood in for an unwind table that was not there yet, so the user stack may be wrong.
    pub not_ready: bool,
    /// The kernel stack goes on beyond what could be taken.
    pub kernel_truncated: bool,
    /// How often addresses that were code had been handed out anew in the process: the low half of the number.
    pub remaps: u16,
}

fn ending(flags: u32) -> Ending {
    match flags >> SAMPLE_ENDING_SHIFT & 0xff {
        1 => Ending::Outermost,
        2 => Ending::NoRule,
        3 => Ending::Unsupported,
        4 => Ending::Unreadable,
        5 => Ending::NoProgress,
        6 => Ending::Unmapped,
        7 => Ending::Truncated,
        _ => Ending::NoStack,
    }
}

/// The rings, before they have a reader.
pub struct SampleRings(Vec<MapHandle>);

/// Hands samples to its thread.
pub struct SampleReader {
    ring: RingBuffer<'static>,
}

impl SampleRings {
    /// How many rings a machine of `cpus` CPUs gets.
    pub(crate) fn count(cpus: usize) -> usize {
        cpus.clamp(1, MAX_RINGS)
    }

    pub(crate) fn create(cpus: usize, sample_hz: u32) -> Result<Self, Error> {
        let count = Self::count(cpus);
        let bytes = ring_bytes(cpus.div_ceil(count) as u64, u64::from(sample_hz));
        let options = libbpf_sys::bpf_map_create_opts {
            sz: size_of::<libbpf_sys::bpf_map_create_opts>() as _,
            ..Default::default()
        };
        (0..count)
            .map(|_| MapHandle::create(MapType::RingBuf, Some("tg_samples"), 0, 0, bytes, &options))
            .collect::<Result<_, _>>()
            .map(Self)
            .map_err(|source| Error::Load { source, log: vec![format!("creating a ring of {bytes} bytes")] })
    }

    pub(crate) fn duplicate(&self) -> Result<Self, Error> {
        let failed = |source| Error::Attach { program: "the rings of samples".into(), source };
        self.0.iter().map(MapHandle::try_from).collect::<Result<_, _>>().map(Self).map_err(failed)
    }

    pub(crate) fn maps(&self) -> &[MapHandle] {
        &self.0
    }

    /// A reader whose thread calls `handle` for each sample.
    pub fn reader(&self, handle: impl FnMut(Sample<'_>) + 'static) -> Result<SampleReader, Error> {
        let failed =
            |source: libbpf_rs::Error| Error::Attach { program: "the rings of samples".into(), source };
        let handle = std::rc::Rc::new(std::cell::RefCell::new(handle));
        let mut builder = RingBufferBuilder::new();
        for map in &self.0 {
            let handle = handle.clone();
            builder
                .add(map, move |bytes: &[u8]| {
                    if let Some(sample) = parse(bytes) {
                        (handle.borrow_mut())(sample);
                    }
                    0
                })
                .map_err(failed)?;
        }
        Ok(SampleReader { ring: builder.build().map_err(failed)? })
    }
}

impl SampleReader {
    /// A descriptor that is readable while a ring is not empty.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        sys::ring_descriptor(&self.ring)
    }

    /// Handles all samples that there are; how many there were.
    pub fn drain(&mut self) -> usize {
        usize::try_from(self.ring.consume_raw()).unwrap_or(0)
    }
}

fn ring_bytes(cpus: u64, sample_hz: u64) -> u32 {
    (cpus * sample_hz * RESERVE_SECONDS * TYPICAL_SAMPLE_BYTES)
        .next_power_of_two()
        .clamp(MIN_RING_BYTES, MAX_RING_BYTES) as u32
}

fn parse(bytes: &[u8]) -> Option<Sample<'_>> {
    const HEAD: usize = size_of::<RawSample>();
    if bytes.len() < HEAD {
        return None;
    }
    let frames = sys::words(&bytes[HEAD..]);
    let user = usize::from(read_field!(bytes, RawSample, user_frames, u16));
    let kernel = usize::from(read_field!(bytes, RawSample, kernel_frames, u16));
    let flags = read_field!(bytes, RawSample, flags, u32);
    let word = read_field!(bytes, RawSample, word, u64);
    let comm = offset_of!(RawSample, comm);
    debug_assert!(matches!(State::of_word(word), State::Profile { .. }));
    Some(Sample {
        token: token_of(word),
        target: target_of(word),
        time_ns: read_field!(bytes, RawSample, time_ns, u64),
        pid: Pid(read_field!(bytes, RawSample, pid, u32)),
        tid: Tid(read_field!(bytes, RawSample, tid, u32)),
        comm: &bytes[comm..comm + 16],
        user: frames.get(..user)?,
        kernel: frames.get(user..user + kernel)?,
        ending: ending(flags),
        not_ready: flags & SAMPLE_NOT_READY != 0,
        kernel_truncated: flags & SAMPLE_KERNEL_TRUNCATED != 0,
        remaps: (flags >> SAMPLE_REMAPS_SHIFT) as u16,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rings_grow_with_rate_and_cpus_and_stay_powers_of_two() {
        assert_eq!(ring_bytes(1, 99), 128 * 1024);
        assert_eq!(ring_bytes(1, 1), 64 * 1024);
        assert_eq!(ring_bytes(8, 10_000), 8 * 1024 * 1024);
        assert_eq!(SampleRings::count(2), 2);
        assert_eq!(SampleRings::count(192), 16);
    }

    #[test]
    fn frames_are_split_into_user_and_kernel() {
        let mut words = [0u64; 6 + 3];
        words[0] = 9 << 16 | 5 << 8 | 1;
        words[3] = 2 | 1 << 16; // user_frames, kernel_frames
        words[6..].copy_from_slice(&[10, 11, 12]);
        assert_eq!(read(&words).expect("whole"), (Token(9), vec![10, 11], vec![12]));
        assert_eq!(read(&words[..8]), None, "cut short");
    }

    /// Parses a record that lies aligned, as the ring hands it out.
    fn read(words: &[u64]) -> Option<(Token, Vec<u64>, Vec<u64>)> {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        // A byte vector's start need not be aligned, so find the place in it that is.
        let mut buffer = vec![0; bytes.len() + 8];
        let at = buffer.as_ptr().align_offset(8);
        buffer[at..at + bytes.len()].copy_from_slice(&bytes);
        let sample = parse(&buffer[at..at + bytes.len()])?;
        Some((sample.token, sample.user.to_vec(), sample.kernel.to_vec()))
    }
}
