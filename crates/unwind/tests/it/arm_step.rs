//! From a frame to its caller on Arm, as `src/rule.rs` says what a rule means. The kernel side walks no stacks of Arm yet; until
//! then this is what the tables are held to.

use crate::kernel_side::{Memory, Registers, Step};
use telegen_unwind::RawRule;

const STACK_POINTER: u8 = 31;
const FRAME_POINTER: u8 = 29;
const LINK: u16 = 30;

/// The caller of a frame whose other registers are told by their DWARF numbers.
pub(crate) fn step(
    rule: &RawRule,
    registers: Registers,
    other: &dyn Fn(u16) -> u64,
    memory: Memory<'_>,
) -> (Step, Registers) {
    match caller(rule, registers, other, memory) {
        Ok(caller) => (Step::Done, caller),
        Err(step) => (step, registers),
    }
}

fn caller(
    rule: &RawRule,
    registers: Registers,
    other: &dyn Fn(u16) -> u64,
    memory: Memory<'_>,
) -> Result<Registers, Step> {
    let word = |base: u64, offset: i64| memory(base.wrapping_add_signed(offset)).ok_or(Step::Unreadable);
    let base = match rule.register {
        STACK_POINTER => registers.sp,
        FRAME_POINTER => registers.fp.ok_or(Step::Unsupported)?,
        number => other(number.into()),
    };
    let sp = match rule.kind {
        0 => return Err(Step::Unknown),
        1 => base.wrapping_add_signed(rule.cfa_offset.into()),
        2 => word(base, rule.cfa_offset.into())?.wrapping_add_signed(rule.cfa_added.into()),
        5 => return Err(Step::Outermost),
        _ => return Err(Step::Unsupported),
    };
    let pc = match rule.return_address {
        0 => other(LINK),
        _ => word(sp, rule.return_address_offset.into())?,
    };
    let fp = match (rule.frame_pointer, registers.fp) {
        (0, fp) => fp,
        (1, _) => Some(word(sp, rule.frame_pointer_offset.into())?),
        (2, Some(fp)) => Some(word(fp, rule.frame_pointer_offset.into())?),
        _ => None,
    };
    Ok(Registers { pc, sp, fp })
}
