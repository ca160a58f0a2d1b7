//! Calls and jumps in machine code.

use super::{Function, Module};
use iced_x86::{FlowControl, Instruction, OpKind};
use std::collections::BTreeSet;

/// What an instruction calls, or jumps to.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Call {
    /// The function at an address of the same module.
    Function(u64),
    /// The function of a name, in whatever module; or one that has none and that the same module chooses.
    Named(Option<String>),
    /// What a register or memory points to.
    Unknown,
}

impl Module {
    /// The call that returns to an address; `None` if the instruction in front of it is none.
    pub fn call_before(&self, return_address: u64) -> Option<Call> {
        let Some(function) = self.function(return_address - 1) else {
            return self.call_of_unknown_function(return_address);
        };
        let instruction =
            self.instructions(function).find(|instruction| instruction.next_ip() == return_address)?;
        let calls = matches!(instruction.flow_control(), FlowControl::Call | FlowControl::IndirectCall);
        calls.then(|| self.target(&instruction))
    }

    /// Where a function goes to instead of returning: other functions, or parts of it that lie elsewhere.
    pub fn jumps_out_of(&self, function: Function) -> BTreeSet<Call> {
        let jumps = self.instructions(function).filter(|instruction| {
            use FlowControl::{ConditionalBranch, IndirectBranch, UnconditionalBranch};
            matches!(instruction.flow_control(), UnconditionalBranch | ConditionalBranch | IndirectBranch)
        });
        let calls = jumps.map(|instruction| self.target(&instruction));
        calls.filter(|call| !matches!(call, Call::Function(at) if function.contains(*at))).collect()
    }

    fn target(&self, instruction: &Instruction) -> Call {
        if instruction.op0_kind() == OpKind::NearBranch64 {
            return self.resolve_stub(instruction.near_branch_target());
        }
        if instruction.is_ip_rel_memory_operand()
            && let Some(name) = self.slot(instruction.ip_rel_memory_address())
        {
            return Call::Named(name.map(str::to_owned));
        }
        Call::Unknown
    }

    /// Stubs of the procedure linkage table jump to where a pointer points that the dynamic linker sets.
    fn resolve_stub(&self, at: u64) -> Call {
        let stub = self.instructions(Function { start: at, end: at + 16 }).take(2);
        let mut jumps = stub.filter(|instruction| instruction.flow_control() == FlowControl::IndirectBranch);
        match jumps.next() {
            Some(jump) if jump.is_ip_rel_memory_operand() => match self.slot(jump.ip_rel_memory_address()) {
                Some(name) => Call::Named(name.map(str::to_owned)),
                // Without a dynamic linker the program sets the pointers itself.
                None if self.is_stub(at) => Call::Named(None),
                None => Call::Function(at),
            },
            _ => Call::Function(at),
        }
    }

    fn is_stub(&self, address: u64) -> bool {
        self.stubs.iter().any(|stubs| stubs.contains(address))
    }

    /// What the stub of the procedure linkage table goes on to that an address is in; `None` if it is in none. The first call
    /// of a name may go through stubs that go to the dynamic linker only: what they are for cannot be told.
    pub fn stub_at(&self, address: u64) -> Option<Call> {
        if !self.is_stub(address) {
            return None;
        }
        // Where a table has an entry of 8 bytes for each name its first instruction is the jump.
        let resolved = [8, 16].map(|length| self.resolve_stub(address / length * length));
        let named = resolved.into_iter().find(|call| matches!(call, Call::Named(_)));
        Some(named.unwrap_or(Call::Unknown))
    }

    /// Without a description of the function its instructions cannot be told apart from its start on: the lengths
    /// that a call can have are tried.
    fn call_of_unknown_function(&self, return_address: u64) -> Option<Call> {
        [5, 2, 3, 6, 7, 4].into_iter().find_map(|length| {
            let start = return_address.checked_sub(length)?;
            let instruction = self.instructions(Function { start, end: return_address }).next()?;
            let calls = matches!(instruction.flow_control(), FlowControl::Call | FlowControl::IndirectCall);
            (calls && instruction.next_ip() == return_address).then(|| self.target(&instruction))
        })
    }
}
