//! How to get from a frame to its caller's.

use gimli::Register;

/// How to get from a frame to its caller's, in one range of addresses.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Rule {
    /// Nothing is known of this range; frame pointers may do.
    Unknown,
    /// The outermost frame: there is no caller.
    Outermost,
    /// The frame that the kernel puts under a signal handler: the interrupted registers lie on the stack.
    Signal,
    /// Call frame information that is beyond what a rule can say.
    Unsupported,
    /// Go's run time has left a goroutine for its thread's own stack: it goes on where that was left.
    Goroutine(Goroutine),
    /// `register + offset` is the canonical frame address, the return address at -8, and the caller's frame may be on another
    /// stack: a function of Go's that changes stacks half-way.
    OtherStack {
        /// The DWARF number of the register.
        register: u8,
        /// The distance, in bytes.
        offset: i32,
        /// The caller's frame pointer.
        frame_pointer: SavedRegister,
    },
    /// The same on one stack, of a function that has been made to look as if it had been called where the program was
    /// interrupted: the address found is that of the next instruction, whatever is in front of it.
    Interrupted {
        /// The DWARF number of the register.
        register: u8,
        /// The distance, in bytes.
        offset: i32,
        /// The caller's frame pointer.
        frame_pointer: SavedRegister,
    },
    /// Go has called C on its thread's own stack. At `stack pointer + kept` is the goroutine, below it how far below the upper
    /// end of its stack its stack pointer was; or no goroutine, and the stack pointer itself. The canonical frame address is
    /// `offset` from there, the return address at -8.
    CallOfC {
        /// The distance of the place, in bytes.
        kept: i32,
        /// The distance of the canonical frame address.
        offset: i16,
        /// The caller's frame pointer.
        frame_pointer: SavedRegister,
    },
    /// The usual.
    Frame {
        /// The canonical frame address: the caller's stack pointer at the call.
        cfa: Cfa,
        /// The caller's frame pointer.
        frame_pointer: SavedRegister,
        /// The caller's `rbx`, by which some code finds its frame that is written by hand. [`SavedRegister::Lost`] in all
        /// binaries but the few that have such code.
        rbx: SavedRegister,
        /// Where it goes on in the caller.
        return_address: ReturnAddress,
    },
}

impl Rule {
    /// Whether a frame is found by this register.
    pub(crate) fn is_by(&self, by: Register) -> bool {
        match self {
            Self::Frame { cfa: Cfa::Register { register, .. } | Cfa::Deref { register, .. }, .. } => {
                u16::from(*register) == by.0
            }
            _ => false,
        }
    }
}

/// Where Go keeps where a goroutine was left: offsets of fields in the structures of its run time.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Goroutine {
    /// Of the pointer to the running goroutine, `g`, from where the thread's local storage ends.
    pub thread_local: i32,
    /// `g.m`, the goroutine's thread.
    pub thread: u8,
    /// `m.curg`, the goroutine that the thread works for.
    pub current: i16,
    /// `g.sched.sp`, its stack pointer, behind which is its program counter.
    pub stack_pointer: u8,
    /// `g.sched.bp`, its frame pointer.
    pub frame_pointer: i16,
    /// How far from its stack pointer the frame ends of the function that has left it, the return address at -8; `None` if
    /// it goes on at its program counter.
    pub returns: Option<i16>,
}

/// The canonical frame address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Cfa {
    /// `register + offset`.
    Register {
        /// The DWARF number of the register.
        register: u8,
        /// The distance, in bytes.
        offset: i32,
    },
    /// `*(register + offset) + added`: a function that aligns its stack keeps the address there.
    Deref {
        /// The DWARF number of the register.
        register: u8,
        /// The distance of the place, in bytes.
        offset: i32,
        /// What is added to what is found there.
        added: i16,
    },
    /// `*(stack pointer + 8 × register + offset) + added`: the same where what lies below is as long as the register says, as in
    /// OpenSSL's multiplications.
    Indexed {
        /// The DWARF number of the register.
        register: u8,
        /// The distance of the place, in bytes.
        offset: i32,
        /// What is added to what is found there.
        added: i16,
    },
    /// An entry of the procedure linkage table: `rsp + 8`, and 8 more from byte `threshold` of the 16 on.
    Plt {
        /// The offset within the entry from which on its push has been done.
        threshold: u8,
    },
}

/// The caller's value of a register.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SavedRegister {
    /// It is still in the register.
    Same,
    /// At `CFA + offset`.
    AtCfa(i16),
    /// At `frame pointer + offset`, the frame pointer being this frame's.
    AtFramePointer(i16),
    /// It is lost.
    Lost,
}

/// Where it goes on in the caller.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ReturnAddress {
    /// At `CFA + offset`; on x86 always at -8.
    AtCfa(i16),
    /// In the link register: a function on Arm that calls no other.
    InLinkRegister,
    /// In this register, by its DWARF number, and nowhere on the stack: on x86, while `vfork` is under way.
    In(u8),
}

impl Cfa {
    pub(crate) fn register(register: Register, offset: i64) -> Option<Self> {
        Some(Self::Register { register: number(register)?, offset: offset.try_into().ok()? })
    }

    pub(crate) fn indexed(register: Register, offset: i64, added: i64) -> Option<Self> {
        let (offset, added) = (offset.try_into().ok()?, added.try_into().ok()?);
        Some(Self::Indexed { register: number(register)?, offset, added })
    }

    pub(crate) fn deref(register: Register, offset: i64, added: i64) -> Option<Self> {
        let (offset, added) = (offset.try_into().ok()?, added.try_into().ok()?);
        Some(Self::Deref { register: number(register)?, offset, added })
    }
}

fn number(register: Register) -> Option<u8> {
    u8::try_from(register.0).ok()
}

/// A rule as the kernel side reads it; `c/unwind_table.h` has the same layout.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct RawRule {
    /// What kind of rule it is.
    pub kind: u8,
    /// The register of the canonical frame address, or a threshold.
    pub register: u8,
    /// Where the frame pointer is.
    pub frame_pointer: u8,
    /// Where the return address is.
    pub return_address: u8,
    /// Of the canonical frame address.
    pub cfa_offset: i32,
    /// Added to what is found at the place of the canonical frame address.
    pub cfa_added: i16,
    /// Of the frame pointer's place.
    pub frame_pointer_offset: i16,
    /// Of the return address's place.
    pub return_address_offset: i16,
    /// Where `rbx` is: 0 if that is not known, 1 if it is still in the register, else its offset from the canonical frame address.
    pub rbx: i16,
}

impl RawRule {
    fn with(self, frame_pointer: SavedRegister) -> Self {
        let (frame_pointer, frame_pointer_offset) = match frame_pointer {
            SavedRegister::Same => (place::SAME, 0),
            SavedRegister::AtCfa(offset) => (place::AT_CFA, offset),
            SavedRegister::AtFramePointer(offset) => (place::AT_FRAME_POINTER, offset),
            SavedRegister::Lost => (place::LOST, 0),
        };
        Self { frame_pointer, frame_pointer_offset, ..self }
    }

    /// Its bytes, as the kernel side has them.
    pub fn to_bytes(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&[self.kind, self.register, self.frame_pointer, self.return_address]);
        bytes[4..8].copy_from_slice(&self.cfa_offset.to_ne_bytes());
        bytes[8..10].copy_from_slice(&self.cfa_added.to_ne_bytes());
        bytes[10..12].copy_from_slice(&self.frame_pointer_offset.to_ne_bytes());
        bytes[12..14].copy_from_slice(&self.return_address_offset.to_ne_bytes());
        bytes[14..].copy_from_slice(&self.rbx.to_ne_bytes());
        bytes
    }
}

/// Of [`RawRule::rbx`]: no register is saved so close to the canonical frame address.
const RBX_IS_SAME: i16 = 1;

/// Values of [`RawRule::kind`].
pub(crate) mod kind {
    pub(crate) const UNKNOWN: u8 = 0;
    pub(crate) const REGISTER: u8 = 1;
    pub(crate) const DEREF: u8 = 2;
    pub(crate) const PLT: u8 = 3;
    pub(crate) const SIGNAL: u8 = 4;
    pub(crate) const OUTERMOST: u8 = 5;
    pub(crate) const UNSUPPORTED: u8 = 6;
    pub(crate) const RETURN_IN_REGISTER: u8 = 7;
    pub(crate) const OTHER_STACK: u8 = 8;
    pub(crate) const INTERRUPTED: u8 = 9;
    pub(crate) const CALL_OF_C: u8 = 10;
    pub(crate) const GOROUTINE: u8 = 11;
    pub(crate) const INDEXED: u8 = 12;
}

/// Values of [`RawRule::frame_pointer`] and [`RawRule::return_address`].
pub(crate) mod place {
    pub(crate) const SAME: u8 = 0;
    pub(crate) const AT_CFA: u8 = 1;
    pub(crate) const AT_FRAME_POINTER: u8 = 2;
    pub(crate) const LOST: u8 = 3;
}

impl From<Rule> for RawRule {
    fn from(rule: Rule) -> Self {
        let only = |kind| Self { kind, ..Self::default() };
        match rule {
            Rule::Unknown => only(kind::UNKNOWN),
            Rule::Outermost => only(kind::OUTERMOST),
            Rule::Signal => only(kind::SIGNAL),
            Rule::Unsupported => only(kind::UNSUPPORTED),
            Rule::OtherStack { register, offset, frame_pointer } => {
                Self { register, cfa_offset: offset, ..only(kind::OTHER_STACK) }.with(frame_pointer)
            }
            Rule::Interrupted { register, offset, frame_pointer } => {
                Self { register, cfa_offset: offset, ..only(kind::INTERRUPTED) }.with(frame_pointer)
            }
            Rule::CallOfC { kept, offset, frame_pointer } => {
                Self { cfa_offset: kept, cfa_added: offset, ..only(kind::CALL_OF_C) }.with(frame_pointer)
            }
            Rule::Goroutine(goroutine) => Self {
                register: goroutine.thread,
                frame_pointer: goroutine.stack_pointer,
                return_address: goroutine.returns.map_or(place::SAME, |_| place::AT_CFA),
                cfa_offset: goroutine.thread_local,
                cfa_added: goroutine.returns.unwrap_or(0),
                frame_pointer_offset: goroutine.current,
                return_address_offset: goroutine.frame_pointer,
                ..only(kind::GOROUTINE)
            },
            Rule::Frame {
                cfa: Cfa::Register { offset, .. },
                return_address: ReturnAddress::In(register),
                ..
            } => Self { register, cfa_offset: offset, ..only(kind::RETURN_IN_REGISTER) },
            Rule::Frame { return_address: ReturnAddress::In(_), .. } => only(kind::UNSUPPORTED),
            Rule::Frame { cfa, frame_pointer, rbx, return_address } => {
                let (kind, register, cfa_offset, cfa_added) = match cfa {
                    Cfa::Register { register, offset } => (kind::REGISTER, register, offset, 0),
                    Cfa::Deref { register, offset, added } => (kind::DEREF, register, offset, added),
                    Cfa::Indexed { register, offset, added } => (kind::INDEXED, register, offset, added),
                    Cfa::Plt { threshold } => (kind::PLT, threshold, 8, 0),
                };
                let (return_address, return_address_offset) = match return_address {
                    ReturnAddress::AtCfa(offset) => (place::AT_CFA, offset),
                    ReturnAddress::InLinkRegister | ReturnAddress::In(_) => (place::SAME, 0),
                };
                let raw = Self {
                    kind,
                    register,
                    return_address,
                    cfa_offset,
                    cfa_added,
                    return_address_offset,
                    rbx: match rbx {
                        SavedRegister::Same => RBX_IS_SAME,
                        SavedRegister::AtCfa(offset) if offset < 0 => offset,
                        _ => 0,
                    },
                    ..Self::default()
                };
                raw.with(frame_pointer)
            }
        }
    }
}
