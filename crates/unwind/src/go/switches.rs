//! The functions of Go's run time that change stacks by hand, or that nothing has called: from the instruction on that does so,
//! its own table does not say where the caller is. What they do is known from `runtime/asm_amd64.s` and `sys_linux_amd64.s`;
//! where they do it, and where `g` and `m` keep what they leave behind, from their instructions. A function whose instructions are
//! others than those of Go 1.16 to 1.27 is left as its table has it, and ends a stack where that does not do.

use super::frame_pointer::{Stored, restores};
use crate::{Cfa, Goroutine, Rule, SavedRegister};
use gimli::X86_64;

/// Bytes of such a function that are looked at; they have up to some hundred.
pub(super) const CODE_BYTES: usize = 2048;

/// What a function does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Special {
    /// Nothing has called it.
    Outermost,
    /// It is marked so, yet what it returns to is the frame of a signal.
    Handler,
    /// What a signal's handler returns to.
    SignalReturn,
    /// It looks as if it had been called where the program was interrupted.
    Interrupted,
    /// It keeps its frame pointer while its stack pointer is on another stack, or is aligned.
    KeepsFramePointer,
    /// `systemstack`: goes to the thread's own stack, and comes back.
    Systemstack,
    /// `morestack`: the same, but does not come back.
    Morestack,
    /// `mcall`, `gogo`, `clone`: from where the stack pointer is set on, its caller is left for good.
    Leaves,
    /// `asmcgocall`: calls C on the thread's own stack.
    CallsC,
}

impl Special {
    pub(super) fn of_name(name: &str) -> Option<Self> {
        Some(match name {
            "runtime.goexit" | "runtime.mstart" | "runtime.rt0_go" | "_rt0_amd64_linux" | "_rt0_amd64" => {
                Self::Outermost
            }
            "runtime.sigtramp" | "runtime.sigprofNonGoWrapper" => Self::Handler,
            "runtime.sigreturn" | "runtime.sigreturn__sigaction" => Self::SignalReturn,
            "runtime.asyncPreempt" | "runtime.sigpanic" | "runtime.sigpanic0" => Self::Interrupted,
            "runtime.nanotime1"
            | "runtime.walltime"
            | "runtime.walltime1"
            | "time.now"
            | "runtime.vgetrandom1"
            | "runtime.sigfwd"
            | "runtime.callCgoMmap"
            | "runtime.callCgoMunmap"
            | "runtime.callCgoSigaction"
            | "runtime.asmcgocall_no_g"
            | "runtime.cgocallback" => Self::KeepsFramePointer,
            "runtime.systemstack" => Self::Systemstack,
            "runtime.morestack" => Self::Morestack,
            "runtime.mcall" | "runtime.gogo" | "gogo" | "runtime.clone" => Self::Leaves,
            "runtime.asmcgocall" => Self::CallsC,
            _ => return None,
        })
    }
}

/// Where `g` and `m` keep where a goroutine was left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Offsets {
    /// Of `g`, from where the thread's local storage ends.
    thread_local: i32,
    /// `g.m`
    thread: u8,
    /// `m.curg`
    current: i16,
    /// `g.sched.sp`; `g.sched.pc` is behind it.
    stack_pointer: u8,
    /// `g.sched.bp`
    frame_pointer: i16,
}

impl Offsets {
    /// What the instructions of `systemstack` and `morestack` say.
    pub(super) fn read(systemstack: &[u8], morestack: &[u8]) -> Option<Self> {
        // MOVQ g(CX), AX; MOVQ g_m(AX), BX
        let thread = *behind(systemstack, &[0x48, 0x8b, 0x58])?.first()?;
        // CMPQ AX, m_curg(BX)
        let current = behind(systemstack, &[0x48, 0x3b, 0x83])?.first_chunk()?;
        // MOVQ (g_sched+gobuf_sp)(AX), SP
        let stack_pointer = *behind(systemstack, &[0x48, 0x8b, 0x60])?.first()?;
        // MOVQ BP, (g_sched+gobuf_bp)(SI) or (DI)
        let saves = behind(morestack, &[0x48, 0x89, 0x6e]).or_else(|| behind(morestack, &[0x48, 0x89, 0x6f]));
        let frame_pointer = i16::from(*saves?.first()?);
        Some(Self {
            thread_local: thread_local(morestack)?,
            thread,
            current: i32::from_le_bytes(*current).try_into().ok()?,
            stack_pointer,
            frame_pointer,
        })
    }

    /// The rule by which it goes on where the goroutine was left: in a function that has called, `returns` bytes below the end of
    /// whose frame it was, or else right there.
    fn rule(self, returns: Option<i16>) -> Rule {
        let Self { thread_local, thread, current, stack_pointer, frame_pointer } = self;
        Rule::Goroutine(Goroutine { thread_local, thread, current, stack_pointer, frame_pointer, returns })
    }
}

/// Where `g` is: `mov %fs:distance, %reg`, or `mov $distance, %rcx` and then `%fs:(%rcx)`.
fn thread_local(code: &[u8]) -> Option<i32> {
    let direct = |bytes: &[u8]| match *bytes {
        [0x64, 0x48, 0x8b, mode, 0x25, a, b, c, d, ..] if mode & 0xc7 == 0x04 => {
            Some(i32::from_le_bytes([a, b, c, d]))
        }
        [0x48, 0xc7, 0xc1, a, b, c, d, 0x64, 0x48, 0x8b, ..] => Some(i32::from_le_bytes([a, b, c, d])),
        _ => None,
    };
    code.windows(12).find_map(direct)
}

/// The bytes behind the first place of some others.
fn behind<'a>(code: &'a [u8], pattern: &[u8]) -> Option<&'a [u8]> {
    let at = code.windows(pattern.len()).position(|window| window == pattern)?;
    code.get(at + pattern.len()..)
}

/// Where an instruction ends that begins with such bytes and has as many more, at or behind a place.
fn end_of(code: &[u8], from: usize, pattern: &[u8], more: usize) -> Option<usize> {
    let at = code.get(from..)?.windows(pattern.len()).position(|window| window == pattern)?;
    Some(from + at + pattern.len() + more).filter(|end| *end <= code.len())
}

/// A function whose rows are to be put right.
pub(super) struct Function<'a> {
    pub(super) code: &'a [u8],
    /// By their distances from where it begins.
    pub(super) rows: &'a mut Vec<(u64, Rule)>,
    pub(super) stored: Option<Stored>,
}

impl Function<'_> {
    pub(super) fn correct(&mut self, special: Special, offsets: Option<Offsets>) {
        let end = self.code.len();
        match special {
            Special::Outermost => *self.rows = vec![(0, Rule::Outermost)],
            Special::SignalReturn => *self.rows = vec![(0, Rule::Signal)],
            Special::Handler => {}
            Special::Interrupted => self.replace(0, end, interrupted),
            Special::KeepsFramePointer => self.keep_frame_pointer(),
            Special::Systemstack if self.has_frame_pointer() => self.keep_frame_pointer(),
            Special::Systemstack => self.systemstack(offsets),
            Special::Morestack => {
                // MOVQ (g_sched+gobuf_sp)(BX), SP
                let rule = offsets.map_or(Rule::Unsupported, |offsets| offsets.rule(None));
                if let Some(from) = end_of(self.code, 0, &[0x48, 0x8b, 0x63], 1) {
                    self.replace(from, end, |_| rule);
                }
            }
            Special::Leaves => {
                // MOVQ (g_sched+gobuf_sp)(R14), SP or (SI); MOVQ gobuf_sp(BX), SP; MOVQ SI, SP
                let patterns: [(&[u8], usize); 4] = [
                    (&[0x49, 0x8b, 0x66], 1),
                    (&[0x48, 0x8b, 0x66], 1),
                    (&[0x48, 0x8b, 0x23], 0),
                    (&[0x48, 0x89, 0xf4], 0),
                ];
                let from = patterns.iter().find_map(|(pattern, more)| end_of(self.code, 0, pattern, *more));
                if let Some(from) = from {
                    self.replace(from, end, |_| Rule::Outermost);
                }
            }
            Special::CallsC => self.call_c(),
        }
    }

    fn has_frame_pointer(&self) -> bool {
        self.stored.is_some_and(|stored| stored.frame_from.is_some())
    }

    /// From where the frame pointer is set to where it is the caller's again, it leads to the end of the frame.
    fn keep_frame_pointer(&mut self) {
        let Some(from) = self.stored.and_then(|stored| stored.frame_from) else { return };
        let usual = SavedRegister::AtCfa(Stored::USUAL_PLACE);
        let other = |rule: Rule| match rule {
            Rule::Frame { frame_pointer, .. } if frame_pointer == usual => {
                Rule::OtherStack { register: X86_64::RBP.0 as u8, offset: 16, frame_pointer }
            }
            rule => rule,
        };
        let before = self.rows.clone();
        self.replace(from as usize, self.code.len(), other);
        // MOVQ distance(SP), BP: back on the stack that it was called on, the frame not yet given back.
        for (nth, &(start, rule)) in before.iter().enumerate() {
            let end = before.get(nth + 1).map_or(self.code.len(), |next| next.0 as usize);
            let Rule::Frame { cfa: Cfa::Register { offset, .. }, .. } = rule else { continue };
            for at in start as usize..end {
                if let Some(length) = restores(&self.code[at..], offset - 16) {
                    self.replace(at + length, end, |_| rule);
                    break;
                }
            }
        }
    }

    /// Before Go 1.21, which has a frame pointer here.
    fn systemstack(&mut self, offsets: Option<Offsets>) {
        let rule = offsets.map_or(Rule::Unsupported, |offsets| offsets.rule(Some(8)));
        // MOVQ BX, SP or MOVQ (g_sched+gobuf_sp)(DX), SP; …; MOVQ (g_sched+gobuf_sp)(AX), SP
        let from = end_of(self.code, 0, &[0x48, 0x89, 0xdc], 0)
            .or_else(|| end_of(self.code, 0, &[0x48, 0x8b, 0x62], 1));
        let Some(from) = from else { return };
        let to = end_of(self.code, from, &[0x48, 0x8b, 0x60], 1).unwrap_or(self.code.len());
        self.replace(from, to, |_| rule);
    }

    /// What was the stack pointer is in DX first. Then there is, below where C's stack begins, the goroutine, and how far below the
    /// upper end of its stack that is; or no goroutine, and the stack pointer itself.
    fn call_c(&mut self) {
        let mut done = 0;
        // ANDQ $~15, SP
        while let Some(aligned) = end_of(self.code, done, &[0x48, 0x83, 0xe4, 0xf0], 0) {
            // MOVQ SI, SP
            let Some(to) = end_of(self.code, aligned, &[0x48, 0x89, 0xf4], 0) else { return };
            let Some((kept, stored)) = kept(self.code, aligned).filter(|(_, stored)| *stored <= to) else {
                return;
            };
            // MOVQ (g_sched+gobuf_sp)(SI), SP; SUBQ $…, SP: both of four bytes.
            let in_front = aligned.checked_sub(8).and_then(|at| self.code.get(..at)).unwrap_or_default();
            let switched = in_front.ends_with(&[0x48, 0x8b, 0x66, 0x38]);
            let from = aligned - if switched { 8 } else { 4 };
            self.replace(from, stored, |rule| match rule {
                Rule::Frame { cfa: Cfa::Register { offset, .. }, frame_pointer, .. } => {
                    Rule::OtherStack { register: X86_64::RDX.0 as u8, offset, frame_pointer }
                }
                rule => rule,
            });
            self.replace(stored, to, |rule| match rule {
                Rule::Frame { cfa: Cfa::Register { offset, .. }, frame_pointer, .. } => {
                    let offset = i16::try_from(offset);
                    offset.map_or(Rule::Unsupported, |offset| Rule::CallOfC { kept, offset, frame_pointer })
                }
                rule => rule,
            });
            done = to;
        }
    }

    /// Gives each instruction from one place on up to another one another rule, made from its present one.
    fn replace(&mut self, from: usize, to: usize, by: impl Fn(Rule) -> Rule) {
        let (from, to) = (from as u64, to as u64);
        if from >= to {
            return;
        }
        self.split(from);
        self.split(to);
        for (_, rule) in self.rows.iter_mut().filter(|row| (from..to).contains(&row.0)) {
            *rule = by(*rule);
        }
    }

    /// Lets a row begin at a place.
    fn split(&mut self, at: u64) {
        let behind = self.rows.partition_point(|row| row.0 < at);
        if self.rows.get(behind).is_some_and(|row| row.0 == at) || at >= self.code.len() as u64 {
            return;
        }
        if let Some(&(_, rule)) = behind.checked_sub(1).and_then(|before| self.rows.get(before)) {
            self.rows.insert(behind, (at, rule));
        }
    }
}

fn interrupted(rule: Rule) -> Rule {
    match rule {
        Rule::Frame { cfa: Cfa::Register { register, offset }, frame_pointer, .. } => {
            Rule::Interrupted { register, offset, frame_pointer }
        }
        rule => rule,
    }
}

/// Where on C's stack the goroutine is kept, and where the instruction ends that stores what is below it: `MOVQ DI, kept(SP)` and
/// `MOVQ DI, (kept-8)(SP)`, or `MOVQ $0, kept(SP)` and `MOVQ DX, (kept-8)(SP)`.
fn kept(code: &[u8], from: usize) -> Option<(i32, usize)> {
    let rest = code.get(from..)?;
    let (kept, register) = match *rest {
        [0x48, 0x89, 0x7c, 0x24, kept, ..] => (kept, 0x3c),
        [0x48, 0xc7, 0x44, 0x24, kept, 0, 0, 0, 0, ..] => (kept, 0x14),
        _ => return None,
    };
    let below = kept.checked_sub(8)?;
    let stored = match below {
        0 => end_of(code, from, &[0x48, 0x89, register, 0x24], 0)?,
        below => end_of(code, from, &[0x48, 0x89, register | 0x40, 0x24, below], 0)?,
    };
    Some((kept.into(), stored))
}
