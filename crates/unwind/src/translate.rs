//! Rows of call frame information into rules.

use crate::{Arch, Cfa, ReturnAddress, Rule, SavedRegister};
use gimli::{
    CfaRule, Encoding, Operation, Reader, Register, RegisterRule, UnwindExpression, UnwindSection,
    UnwindTableRow, X86_64,
};

/// What of a function the meaning of its rows depends on.
pub(crate) struct Translation<'a, S> {
    pub(crate) arch: Arch,
    pub(crate) section: &'a S,
    pub(crate) encoding: Encoding,
    pub(crate) signal_trampoline: bool,
    /// Whether rules are to say where `rbx` is.
    pub(crate) tells_rbx: bool,
}

/// Expressions of known meaning have up to nine operations.
const MAX_OPERATIONS: usize = 12;
/// Where the kernel leaves the stack pointer of the interrupted code: `uc_mcontext.gregs[REG_RSP]`, from the stack
/// pointer of the trampoline.
const X86_SIGNAL_STACK_POINTER: i32 = 160;

/// What an expression computes, if it is one that compilers and linkers write.
enum Meaning {
    Register { register: Register, offset: i64 },
    Deref { register: Register, offset: i64, added: i64 },
    Indexed { register: Register, offset: i64, added: i64 },
    Plt { threshold: u8 },
}

impl<S> Translation<'_, S> {
    /// The rule that a row stands for.
    pub(crate) fn rule<R: Reader>(&self, row: &UnwindTableRow<R::Offset>) -> Rule
    where
        S: UnwindSection<R>,
    {
        if matches!(row.register(self.arch.return_address()), Some(RegisterRule::Undefined)) {
            return Rule::Outermost;
        }
        let Some(cfa) = self.cfa::<R>(row) else { return Rule::Unsupported };
        if self.is_signal_frame(cfa) {
            return Rule::Signal;
        }
        let Some(return_address) = self.return_address::<R>(row) else { return Rule::Unsupported };
        let moves_only_the_stack = matches!(cfa, Cfa::Register { register, .. } if u16::from(register) == self.arch.stack_pointer().0)
            && self.frame_pointer::<R>(row, cfa) == SavedRegister::Same;
        if matches!(return_address, ReturnAddress::In(_)) && !moves_only_the_stack {
            return Rule::Unsupported;
        }
        Rule::Frame {
            cfa,
            frame_pointer: self.frame_pointer::<R>(row, cfa),
            rbx: self.rbx::<R>(row),
            return_address,
        }
    }

    fn rbx<R: Reader>(&self, row: &UnwindTableRow<R::Offset>) -> SavedRegister {
        match row.register(X86_64::RBX) {
            _ if !self.tells_rbx => SavedRegister::Lost,
            None | Some(RegisterRule::SameValue) => SavedRegister::Same,
            Some(RegisterRule::Offset(offset)) => {
                i16::try_from(offset).map_or(SavedRegister::Lost, SavedRegister::AtCfa)
            }
            Some(_) => SavedRegister::Lost,
        }
    }

    fn is_signal_frame(&self, cfa: Cfa) -> bool {
        let stack_pointer = self.arch.stack_pointer().0;
        let holds_stack_pointer = matches!(
            cfa,
            Cfa::Deref { register, offset: X86_SIGNAL_STACK_POINTER, added: 0 } if u16::from(register) == stack_pointer
        );
        self.signal_trampoline && (self.arch != Arch::X86_64 || holds_stack_pointer)
    }

    fn cfa<R: Reader>(&self, row: &UnwindTableRow<R::Offset>) -> Option<Cfa>
    where
        S: UnwindSection<R>,
    {
        match row.cfa() {
            CfaRule::RegisterAndOffset { register, offset } => Cfa::register(*register, *offset),
            CfaRule::Expression(expression) => match self.meaning::<R>(*expression)? {
                Meaning::Register { register, offset } => Cfa::register(register, offset),
                Meaning::Deref { register, offset, added } => Cfa::deref(register, offset, added),
                Meaning::Indexed { register, offset, added } => Cfa::indexed(register, offset, added),
                Meaning::Plt { threshold } => Some(Cfa::Plt { threshold }),
            },
        }
    }

    fn frame_pointer<R: Reader>(&self, row: &UnwindTableRow<R::Offset>, cfa: Cfa) -> SavedRegister
    where
        S: UnwindSection<R>,
    {
        match row.register(self.arch.frame_pointer()) {
            None | Some(RegisterRule::SameValue) => SavedRegister::Same,
            Some(RegisterRule::Offset(offset)) => {
                i16::try_from(offset).map_or(SavedRegister::Lost, SavedRegister::AtCfa)
            }
            Some(RegisterRule::Expression(expression)) => {
                self.saved_at::<R>(expression, cfa).unwrap_or(SavedRegister::Lost)
            }
            Some(_) => SavedRegister::Lost,
        }
    }

    /// A place given by an expression, relative to a register: functions that align their stack do so.
    fn saved_at<R: Reader>(&self, place: UnwindExpression<R::Offset>, cfa: Cfa) -> Option<SavedRegister>
    where
        S: UnwindSection<R>,
    {
        let Meaning::Register { register, offset } = self.meaning::<R>(place)? else { return None };
        if register == self.arch.frame_pointer() {
            return i16::try_from(offset).ok().map(SavedRegister::AtFramePointer);
        }
        match cfa {
            Cfa::Register { register: base, offset: distance } if u16::from(base) == register.0 => {
                i16::try_from(offset.checked_sub(distance.into())?).ok().map(SavedRegister::AtCfa)
            }
            _ => None,
        }
    }

    fn return_address<R: Reader>(&self, row: &UnwindTableRow<R::Offset>) -> Option<ReturnAddress> {
        match (self.arch, row.register(self.arch.return_address())) {
            (_, Some(RegisterRule::Offset(offset))) => {
                let offset = i16::try_from(offset).ok()?;
                (self.arch != Arch::X86_64 || offset == -8).then_some(ReturnAddress::AtCfa(offset))
            }
            (Arch::X86_64, Some(RegisterRule::Register(register))) => {
                u8::try_from(register.0).ok().map(ReturnAddress::In)
            }
            (Arch::Aarch64, None | Some(RegisterRule::SameValue)) => Some(ReturnAddress::InLinkRegister),
            _ => None,
        }
    }

    fn meaning<R: Reader>(&self, expression: UnwindExpression<R::Offset>) -> Option<Meaning>
    where
        S: UnwindSection<R>,
    {
        let mut iterator = expression.get(self.section).ok()?.operations(self.encoding);
        let mut operations = Vec::with_capacity(MAX_OPERATIONS);
        while let Some(operation) = iterator.next().ok()? {
            if operations.len() == MAX_OPERATIONS {
                return None;
            }
            operations.push(operation);
        }
        meaning_of(&operations)
    }
}

fn meaning_of<R: Reader>(operations: &[Operation<R>]) -> Option<Meaning> {
    use Operation::{And, Deref, Ge, Mul, Plus, PlusConstant, RegisterOffset, Shl, UnsignedConstant};
    let (rest, added) = match operations {
        [rest @ .., PlusConstant { value }] => (rest, i64::try_from(*value).ok()?),
        rest => (rest, 0),
    };
    match *rest {
        [RegisterOffset { register, offset, .. }] => {
            Some(Meaning::Register { register, offset: offset.checked_add(added)? })
        }
        [RegisterOffset { register, offset, .. }, Deref { size: 8, space: false, .. }] => {
            Some(Meaning::Deref { register, offset, added })
        }
        [
            RegisterOffset { register: X86_64::RSP, offset, .. },
            RegisterOffset { register, offset: 0, .. },
            UnsignedConstant { value: 8 },
            Mul,
            Plus,
            Deref { size: 8, space: false, .. },
        ] if register != X86_64::RSP => Some(Meaning::Indexed { register, offset, added }),
        [
            RegisterOffset { register: X86_64::RSP, offset: 8, .. },
            RegisterOffset { register: X86_64::RA, offset: 0, .. },
            UnsignedConstant { value: 15 },
            And,
            UnsignedConstant { value: threshold @ 0..=15 },
            Ge,
            UnsignedConstant { value: 3 },
            Shl,
            Plus,
        ] => Some(Meaning::Plt { threshold: threshold as u8 }),
        _ => None,
    }
}
