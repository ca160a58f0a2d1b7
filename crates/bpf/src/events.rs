//! Processes come, change and go, as the kernel tells it.

use crate::abi::{RawEvent, State, control_group, read_field, text, token_of};
use crate::{Error, Shared, sys};
use libbpf_rs::{Map, MapHandle, RingBuffer, RingBufferBuilder};
use rustix::event::{Timespec, epoll};
use std::mem::{MaybeUninit, offset_of};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use telegen_model::{
    ControlGroup, Generation, KernelKey, Pid, ProcessId, ProcessKey, StartTime, Token, base_name,
};

/// What has happened to a process.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EventKind {
    /// It was forked off and has not run yet. Its names and executable are its parent's.
    Forked {
        /// The parent's program image.
        parent: Token,
    },
    /// It runs another program from here on, none of it yet.
    Execed {
        /// The path of the program, `None` if it is too long or too deep to be told here.
        executable: Option<Box<str>>,
        /// Base name of `argv[0]`.
        argv0: Option<Box<str>>,
    },
    /// Its leader has another name.
    Renamed,
    /// Its last thread is past its exit.
    Exited,
    /// Its first sample since it was forked or called exec is on its way.
    FirstSample,
    /// It is in another control group.
    Moved,
    /// It has mapped or unmapped code since its mappings were last told to the kernel side.
    Remapped,
}

/// Something that has happened to a process.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    /// What.
    pub kind: EventKind,
    /// Where the process stands in the kernel's table.
    pub key: KernelKey,
    /// Its program image: the new one after an exec.
    pub token: Token,
    /// What the kernel does with its ticks.
    pub state: State,
    /// Who it is.
    pub process: ProcessKey,
    /// Its parent, 0 if that is not visible from the agent's pid namespace.
    pub parent: Pid,
    /// Its leader's name; empty where an event does not tell it.
    pub comm: Box<str>,
    /// The control group by which its container is told, if it is in one, as exec and a move tell it; a fork, if the child is
    /// not in all the groups of its parent.
    pub cgroup: Option<ControlGroup>,
    /// When it happened: CLOCK_MONOTONIC, in nanoseconds.
    pub time_ns: u64,
}

/// The ring of lifecycle events, before it has a reader.
pub struct EventRing {
    map: MapHandle,
    shared: Shared,
}

/// Hands lifecycle events to its thread, in the order in which they happened.
///
/// The kernel side wakes the reader for each event that awaits an answer; for any other one only if the reader had nothing left
/// to read, and has not promised to look soon.
pub struct EventReader {
    ring: RingBuffer<'static>,
    /// Readable once for each time that the kernel side has woken somebody.
    wake_ups: OwnedFd,
    shared: Shared,
    /// How many events had awaited an answer when the ring was last drained.
    answered: u64,
}

impl EventRing {
    pub(crate) fn new(map: &Map<'_>, shared: Shared) -> Result<Self, Error> {
        let map = MapHandle::try_from(map).map_err(no_ring)?;
        Ok(Self { map, shared })
    }

    /// A reader whose thread, this one, calls `handle` for each event. It is made one that the scheduler lets run soon when it is
    /// woken.
    pub fn reader(&self, mut handle: impl FnMut(Event) + 'static) -> Result<EventReader, Error> {
        sys::shorten_time_slice();
        let mut builder = RingBufferBuilder::new();
        builder
            .add(&self.map, move |bytes: &[u8]| {
                if let Some(event) = parse(bytes) {
                    handle(event);
                }
                0
            })
            .map_err(no_ring)?;
        let failed = |source: rustix::io::Errno| Error::Kernel {
            action: "waiting for lifecycle events",
            source: source.into(),
        };
        let wake_ups = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(failed)?;
        let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&wake_ups, self.map.as_fd(), epoll::EventData::new_u64(0), flags).map_err(failed)?;
        Ok(EventReader {
            ring: builder.build().map_err(no_ring)?,
            wake_ups,
            shared: self.shared.clone(),
            answered: 0,
        })
    }
}

fn no_ring(source: libbpf_rs::Error) -> Error {
    Error::Attach { program: "the ring of events".into(), source }
}

impl EventReader {
    /// A descriptor that is readable when the kernel side has woken the reader, until [`EventReader::awaits_answer`] is asked.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.wake_ups.as_fd()
    }

    /// Whether an event that has come awaits an answer. One that is being written at this very moment may not be seen.
    pub fn awaits_answer(&mut self) -> bool {
        let mut wake_up = [MaybeUninit::uninit()];
        // The edge is all that is taken. Without one, or after a signal, there is nothing to take.
        let _ = epoll::wait(&self.wake_ups, &mut wake_up, Some(&Timespec::default()));
        self.shared.awaited() != self.answered
    }

    /// Promises to look for events soon, or takes that back. An event that is being written while it is taken back may come
    /// without a wake-up: so one has to look once more some time after.
    pub fn attend(&self, attentive: bool) {
        self.shared.set_attentive(attentive);
    }

    /// Handles all events that there are; how many there were.
    pub fn drain(&mut self) -> usize {
        self.answered = self.shared.awaited();
        usize::try_from(self.ring.consume_raw()).unwrap_or(0)
    }
}

fn parse(bytes: &[u8]) -> Option<Event> {
    const HEAD: usize = size_of::<RawEvent>();
    if bytes.len() < HEAD {
        return None;
    }
    let path_bytes = usize::from(read_field!(bytes, RawEvent, path_bytes, u16));
    let argv0_bytes = usize::from(read_field!(bytes, RawEvent, argv0_bytes, u16));
    let path = bytes.get(HEAD..HEAD + path_bytes)?;
    let argv0 = bytes.get(HEAD + path_bytes..HEAD + path_bytes + argv0_bytes)?;
    let kind = match read_field!(bytes, RawEvent, kind, u32) {
        1 => EventKind::Forked { parent: token_of(read_field!(bytes, RawEvent, parent_word, u64)) },
        2 => EventKind::Execed {
            executable: (!path.is_empty()).then(|| text(path)),
            argv0: (!argv0.is_empty()).then(|| base_name(&text(argv0)).into()),
        },
        3 => EventKind::Exited,
        4 => EventKind::Renamed,
        5 => EventKind::FirstSample,
        6 => EventKind::Remapped,
        7 => EventKind::Moved,
        _ => return None,
    };
    let word = read_field!(bytes, RawEvent, word, u64);
    let comm = offset_of!(RawEvent, comm);
    Some(Event {
        kind,
        key: KernelKey(read_field!(bytes, RawEvent, key, u32)),
        token: token_of(word),
        state: State::of_word(word),
        process: ProcessKey {
            id: ProcessId {
                pid: Pid(read_field!(bytes, RawEvent, pid, u32)),
                start: StartTime(read_field!(bytes, RawEvent, start_ns, u64)),
            },
            generation: Generation(read_field!(bytes, RawEvent, generation, u32)),
        },
        parent: Pid(read_field!(bytes, RawEvent, parent, u32)),
        comm: text(&bytes[comm..comm + 16]),
        cgroup: control_group(&bytes[offset_of!(RawEvent, cgroup)..]),
        time_ns: read_field!(bytes, RawEvent, time_ns, u64),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_beyond_the_record_are_refused() {
        let mut bytes = vec![0; size_of::<RawEvent>()];
        bytes[0] = 2;
        assert!(parse(&bytes).is_some());
        bytes[offset_of!(RawEvent, argv0_bytes)] = 1;
        assert!(parse(&bytes).is_none());
        bytes.push(b'x');
        let event = parse(&bytes).expect("whole now");
        assert_eq!(event.kind, EventKind::Execed { executable: None, argv0: Some("x".into()) });
    }
}
