//! System calls and memory that the kernel writes: all of this crate's unsafe code.

use crate::Clock;
use crate::abi::RawShared;
use libbpf_rs::libbpf_sys;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use std::ffi::c_void;
use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// The map `.bss` of the programs, mapped.
pub(crate) struct SharedMemory {
    base: *mut c_void,
}

// SAFETY: the memory is accessed by atomic operations only and lives until the last owner unmaps it.
unsafe impl Send for SharedMemory {}
// SAFETY: as above.
unsafe impl Sync for SharedMemory {}

impl SharedMemory {
    const BYTES: usize = size_of::<RawShared>().next_multiple_of(4096);

    /// Maps the memory of a map that is an array of one [`RawShared`].
    pub(crate) fn map(map: BorrowedFd<'_>) -> io::Result<Self> {
        // SAFETY: a fresh mapping at an address of the kernel's choice; nothing else refers to it.
        let base = unsafe {
            mmap(null_mut(), Self::BYTES, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED, map, 0)
        }?;
        Ok(Self { base })
    }

    fn u64_at(&self, offset: usize) -> &AtomicU64 {
        assert!(offset.is_multiple_of(8) && offset + 8 <= size_of::<RawShared>());
        // SAFETY: within the mapping and aligned, by the assertion; valid as long as `self`.
        unsafe { AtomicU64::from_ptr(self.base.byte_add(offset).cast()) }
    }

    fn u32_at(&self, offset: usize) -> &AtomicU32 {
        assert!(offset.is_multiple_of(4) && offset + 4 <= size_of::<RawShared>());
        // SAFETY: within the mapping and aligned, by the assertion; valid as long as `self`.
        unsafe { AtomicU32::from_ptr(self.base.byte_add(offset).cast()) }
    }

    pub(crate) fn load(&self, offset: usize) -> u64 {
        self.u64_at(offset).load(Ordering::Relaxed)
    }

    pub(crate) fn load_u32(&self, offset: usize) -> u32 {
        self.u32_at(offset).load(Ordering::Relaxed)
    }

    pub(crate) fn store(&self, offset: usize, value: u64) {
        self.u64_at(offset).store(value, Ordering::Relaxed);
    }

    /// Adds, and wraps around.
    pub(crate) fn add_u32(&self, offset: usize, value: u32) {
        self.u32_at(offset).fetch_add(value, Ordering::SeqCst);
    }

    pub(crate) fn store_u32(&self, offset: usize, value: u32) {
        self.u32_at(offset).store(value, Ordering::Relaxed);
    }
}

impl Drop for SharedMemory {
    fn drop(&mut self) {
        // SAFETY: mapped by `map`, unmapped only here; no reference outlives `self`.
        // A failure would leave a mapping behind, which does no harm.
        let _ = unsafe { munmap(self.base, Self::BYTES) };
    }
}

/// The values of a map that is an array and may be mapped, for writing.
pub(crate) struct MapMemory {
    base: *mut c_void,
    bytes: usize,
}

// SAFETY: the memory is written through `&mut self` only, and lives until the owner unmaps it.
unsafe impl Send for MapMemory {}

impl MapMemory {
    /// Maps the first `bytes` of a map's values.
    pub(crate) fn map(map: BorrowedFd<'_>, bytes: usize) -> io::Result<Self> {
        let bytes = bytes.next_multiple_of(4096);
        // SAFETY: a fresh mapping at an address of the kernel's choice; nothing else refers to it.
        let base =
            unsafe { mmap(null_mut(), bytes, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED, map, 0) }?;
        Ok(Self { base, bytes })
    }

    /// Writes at an offset. Programs that read at the same time may see some of it: they must not be led there before.
    pub(crate) fn write(&mut self, offset: usize, bytes: &[u8]) {
        assert!(offset.checked_add(bytes.len()).is_some_and(|end| end <= self.bytes));
        // SAFETY: within the mapping, by the assertion; the source cannot overlap with it.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.base.byte_add(offset).cast(), bytes.len());
        }
    }
}

impl Drop for MapMemory {
    fn drop(&mut self) {
        // SAFETY: mapped by `map`, unmapped only here; no reference outlives `self`.
        // A failure would leave a mapping behind, which does no harm.
        let _ = unsafe { munmap(self.base, self.bytes) };
    }
}

/// The first version of `struct perf_event_attr` (include/uapi/linux/perf_event.h), which the kernel still takes.
#[repr(C)]
struct PerfEventAttr {
    kind: u32,
    size: u32,
    config: u64,
    sample_period_or_freq: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_events: u32,
    bp_type: u32,
    config1: u64,
}
const _: () = assert!(size_of::<PerfEventAttr>() == 64);

const PERF_TYPE_HARDWARE: u32 = 0;
const PERF_TYPE_SOFTWARE: u32 = 1;
const PERF_COUNT_HW_CPU_CYCLES: u64 = 0;
const PERF_COUNT_SW_CPU_CLOCK: u64 = 0;
const PERF_FLAG_FD_CLOEXEC: libc::c_ulong = 1 << 3;
/// Bits of `flags`: start off, do not count the idle task, take `sample_freq` for a frequency.
const ATTR_DISABLED: u64 = 1 << 0;
const ATTR_EXCLUDE_IDLE: u64 = 1 << 7;
const ATTR_FREQ: u64 = 1 << 10;

/// Opens the clock of one CPU, for whatever runs there. It starts when a program is attached.
pub(crate) fn open_clock(clock: Clock, sample_hz: u32, cpu: u32) -> io::Result<OwnedFd> {
    let (kind, config, sample_period_or_freq, freq) = match clock {
        Clock::CpuClock => {
            (PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK, 1_000_000_000 / u64::from(sample_hz.max(1)), 0)
        }
        Clock::Cycles => (PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES, u64::from(sample_hz), ATTR_FREQ),
    };
    let attr = PerfEventAttr {
        kind,
        size: size_of::<PerfEventAttr>() as u32,
        config,
        sample_period_or_freq,
        sample_type: 0,
        read_format: 0,
        flags: ATTR_DISABLED | ATTR_EXCLUDE_IDLE | freq,
        wakeup_events: 0,
        bp_type: 0,
        config1: 0,
    };
    // SAFETY: `attr` is a valid attribute of the size it says; the other arguments are plain numbers.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            &raw const attr,
            -1,
            cpu as libc::c_int,
            -1,
            PERF_FLAG_FD_CLOEXEC,
        )
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just returned this descriptor, nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as libc::c_int) })
}

/// What bpf(2) says to attributes that are longer than any can be; its first check, before those of capabilities
/// (`bpf_check_uarg_tail_zero`, kernel/bpf/syscall.c). The command is one that was always open to all.
pub(crate) fn call_bpf_wrongly() -> io::Error {
    const LONGER_THAN_A_PAGE: libc::c_uint = 1 << 30;
    // SAFETY: the kernel looks at the length before it looks at the attributes, which are not there.
    unsafe {
        libc::syscall(
            libc::SYS_bpf,
            libbpf_sys::BPF_MAP_LOOKUP_ELEM,
            null_mut::<c_void>(),
            LONGER_THAN_A_PAGE,
        )
    };
    io::Error::last_os_error()
}

/// What perf_event_open(2) says to flags that do not exist; its first check (kernel/events/core.c).
pub(crate) fn call_perf_event_open_wrongly() -> io::Error {
    const NO_SUCH_FLAGS: libc::c_ulong = libc::c_ulong::MAX;
    // SAFETY: the kernel looks at the flags before it looks at the attributes, which are not there.
    unsafe { libc::syscall(libc::SYS_perf_event_open, null_mut::<c_void>(), 0, -1, -1, NO_SUCH_FLAGS) };
    io::Error::last_os_error()
}

/// Runs a program of type `syscall` once, in the context of this thread.
pub(crate) fn run_program(program: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: all fields may be zero.
    let mut options: libbpf_sys::bpf_test_run_opts = unsafe { zeroed() };
    options.sz = size_of::<libbpf_sys::bpf_test_run_opts>() as _;
    // SAFETY: a program that this process has loaded, and options without pointers.
    let result = unsafe { libbpf_sys::bpf_prog_test_run_opts(program.as_raw_fd(), &mut options) };
    if result < 0 { Err(io::Error::from_raw_os_error(-result)) } else { Ok(()) }
}

/// Opens an iterator of a link.
pub(crate) fn open_iterator(link: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    // SAFETY: a link that this process has made.
    let fd = unsafe { libbpf_sys::bpf_iter_create(link.as_raw_fd()) };
    if fd < 0 {
        return Err(io::Error::from_raw_os_error(-fd));
    }
    // SAFETY: the kernel has just returned this descriptor, nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The words of a record that the ring buffer hands out, which it aligns to 8 bytes.
pub(crate) fn words(bytes: &[u8]) -> &[u64] {
    // SAFETY: any bits are a valid u64.
    let (before, words, _) = unsafe { bytes.align_to::<u64>() };
    if before.is_empty() { words } else { &[] }
}

/// The descriptor that is readable while a ring has records.
pub(crate) fn ring_descriptor<'a>(ring: &'a libbpf_rs::RingBuffer<'_>) -> BorrowedFd<'a> {
    // SAFETY: the ring buffer owns the descriptor and outlives the borrow.
    unsafe { BorrowedFd::borrow_raw(ring.epoll_fd()) }
}

/// Another descriptor of the same object.
pub(crate) fn duplicate(object: impl AsFd) -> io::Result<OwnedFd> {
    object.as_fd().try_clone_to_owned()
}

/// Asks for short time slices for this thread: when it is woken on a CPU that is busy it need not wait until what runs there has
/// used up its own, which takes some milliseconds. Its share of the CPU is the same. Linux before 6.12 takes no notice.
pub(crate) fn shorten_time_slice() {
    const SLICE_NS: u64 = 100_000;
    let size = size_of::<libc::sched_attr>() as u32;
    // SAFETY: all fields may be zero.
    let mut attributes: libc::sched_attr = unsafe { zeroed() };
    // SAFETY: the kernel writes as many bytes as it is told that there are.
    let got = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, size, 0) };
    if got == 0 {
        attributes.sched_runtime = SLICE_NS;
        // SAFETY: the kernel reads as many bytes as the structure says that it has. What it refuses costs only time.
        unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    }
}
