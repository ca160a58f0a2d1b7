//! Follows a function's code from its start, with what is known of its frame.

use super::effect::{Effects, number_of, table_of};
use super::jump_table;
use super::path::{Front, Late, Outcome, Path, Stop, Way};
use super::region::{NOT_REACHED, Region, mark};
use super::value::{AT_ENTRY, State, Value, register::RSP};
use iced_x86::{FlowControl, Instruction, Mnemonic, OpKind, Register};

/// How often a function is begun anew, each time with one more call taken for one that does not return.
const MAX_ATTEMPTS: usize = 12;
/// Calls of a way that are looked at for one that may not return.
const MAX_BLAMED: usize = 64;

/// Instructions of a called function that are looked at.
const MAX_CALLED: usize = 1 << 10;

/// Who reads memory that does not change: an address and how many bytes.
pub(super) type Read<'a> = &'a dyn Fn(u64, usize) -> Option<Vec<u8>>;

/// Follows functions, one after the other.
pub(super) struct Explorer<'r, 'a> {
    pub(super) region: &'r mut Region<'a>,
    pub(super) effects: Effects,
    pub(super) read: Read<'r>,
    /// Instructions that may still be followed.
    pub(super) budget: usize,
}

impl Explorer<'_, '_> {
    /// Follows a function; its code has rules then. `None`, also if what it comes to does not do, leaves everything as it was.
    pub(super) fn explore(
        &mut self,
        root: u64,
        entry: &State,
        does: impl Fn(&Outcome) -> bool,
    ) -> Option<Outcome> {
        for _ in 0..MAX_ATTEMPTS {
            let mut path = Path::from_start(root, entry);
            let stop = match self.follow(&mut path) {
                Ok(()) if does(&path.outcome) => {
                    path.reached.iter().for_each(|&(at, _)| self.region.remove_mark(at, mark::UNDER_WAY));
                    return Some(path.outcome);
                }
                Ok(()) => Stop::Inconsistent,
                Err(stop) => stop,
            };
            for &(at, length) in &path.reached {
                self.region.remove_mark(at, mark::UNDER_WAY);
                self.region.set_rule(at, length.into(), NOT_REACHED);
            }
            match stop {
                Stop::DoesNotReturn(call) => self.region.add_mark(call, mark::NO_RETURN),
                Stop::Inconsistent => return None,
            }
        }
        None
    }

    fn follow(&mut self, path: &mut Path) -> Result<(), Stop> {
        while let Some(mut front) = path.next() {
            while let Some(next) = self.step(path, &mut front)? {
                if front.behind_call.is_some() && !self.region.is_padding(front.at..next) {
                    front.behind_call = None;
                }
                front.at = next;
                self.budget = self.budget.checked_sub(1).ok_or(Stop::Inconsistent)?;
            }
        }
        Ok(())
    }

    /// One instruction; what comes next, if the way goes on.
    fn step(&mut self, path: &mut Path, front: &mut Front) -> Result<Option<u64>, Stop> {
        let at = front.at;
        if !self.region.contains(at) {
            return self.leave(path, front);
        }
        if self.region.is_behind_lock(at) && !self.region.has(at, mark::BOUNDARY) {
            return Ok(Some(at - 1));
        }
        let is_start = self.region.has(at, mark::START) && at != path.root;
        if is_start && front.state.rule() != Some(AT_ENTRY) {
            // Behind a call that does not return the next function begins.
            return self.refuse(path, front);
        }
        if !self.arrive(path, front)? {
            return Ok(None);
        }
        // Two instructions that overlap are not both ones.
        let Some(instruction) = self.region.decode(at).filter(|_| !self.region.has(at, mark::INSIDE)) else {
            return self.refuse(path, front);
        };
        let number = self.region.number(front.state.rule());
        self.region.set_rule(at, instruction.len(), number);
        self.region.add_mark(at, mark::UNDER_WAY);
        path.reached.push((at, instruction.len() as u8));
        self.carry_out(path, &instruction, front)
    }

    /// Meets what is known at an address; whether there is something to go on for.
    fn arrive(&mut self, path: &mut Path, front: &mut Front) -> Result<bool, Stop> {
        let at = front.at;
        if let Some((before, its_way)) = path.labels.get_mut(&at) {
            let its_way = *its_way;
            // By the frame pointer the frame may be the same, however far down the stack pointer is.
            let differs = before.stack_pointer() != front.state.stack_pointer()
                && before.rule() != front.state.rule()
                && !before.outermost;
            if differs && (front.behind_call.is_some() || front.way != its_way) {
                let is_blamed = front.behind_call.is_some() || self.blamed(path, front.way).is_some();
                if is_blamed {
                    return self.refuse(path, front).map(|_| false);
                }
                if let Some(call) = self.blamed(path, its_way) {
                    return Err(Stop::DoesNotReturn(call));
                }
            }
            let Some((before, _)) = path.labels.get_mut(&at) else { return Ok(false) };
            let is_less = before.meet(&front.state);
            if is_less {
                front.state = before.clone();
                front.again = true;
            }
            return Ok(is_less);
        }
        let known = self.region.rule(at);
        let is_own = self.region.has(at, mark::UNDER_WAY);
        if known != NOT_REACHED && !(is_own && front.again) {
            if known == self.region.number(front.state.rule()) {
                path.outcome.joins |= !is_own;
                return Ok(false);
            }
            return self.refuse(path, front).map(|_| false);
        }
        if self.region.has(at, mark::LABEL) || at == path.root {
            path.labels.insert(at, (front.state.clone(), front.way));
        }
        Ok(true)
    }

    /// What is found does not go with the way there: a call on it does not return. If it was the last thing done, nothing has
    /// been concluded from it yet.
    fn refuse(&mut self, path: &Path, front: &Front) -> Result<Option<u64>, Stop> {
        if let Some(call) = front.behind_call {
            self.region.add_mark(call, mark::NO_RETURN);
            return Ok(None);
        }
        Err(self.blamed(path, front.way).map_or(Stop::Inconsistent, Stop::DoesNotReturn))
    }

    /// The last call on a way that may be one that does not return.
    fn blamed(&self, path: &Path, way: Way) -> Option<u64> {
        path.calls_of(way).take(MAX_BLAMED).find(|&call| {
            let behind = self.region.decode(call).map_or(call, |instruction| instruction.next_ip());
            self.late(behind) == Late::Yes || behind.is_multiple_of(16)
        })
    }

    fn late(&self, behind_call: u64) -> Late {
        let next = self.region.skip_padding(behind_call);
        let is_led_to = self.region.has(next, mark::LABEL | mark::START) || !self.region.contains(next);
        if next != behind_call || is_led_to { Late::Yes } else { Late::No }
    }

    fn carry_out(
        &mut self,
        path: &mut Path,
        instruction: &Instruction,
        front: &mut Front,
    ) -> Result<Option<u64>, Stop> {
        let next = instruction.next_ip();
        match (instruction.flow_control(), instruction.mnemonic()) {
            (FlowControl::Return, _) => self.leave(path, front),
            (FlowControl::UnconditionalBranch, _) => {
                let target = instruction.near_branch_target();
                if !self.region.contains(target) {
                    return self.leave_by_jump(path, front);
                }
                if self.is_other_function(path, target, &front.state) {
                    path.outcome.leaves |= !self.region.never_returns(target);
                    return Ok(None);
                }
                path.push_jump(target, front.state.clone(), front.way)?;
                Ok(None)
            }
            (FlowControl::ConditionalBranch, _) => {
                self.branch(path, instruction, front)?;
                Ok(Some(next))
            }
            (FlowControl::IndirectBranch, _) => self.jump(path, instruction, front),
            (FlowControl::Call | FlowControl::IndirectCall, Mnemonic::Call) => {
                self.call(path, instruction, front)
            }
            (FlowControl::Exception, _) | (_, Mnemonic::Int3 | Mnemonic::Hlt) => Ok(None),
            _ => {
                self.effects.apply(&mut front.state, instruction);
                Ok(Some(next))
            }
        }
    }

    /// Whether a jump goes on in another function, with the stack as this one has found it.
    fn is_other_function(&self, path: &Path, target: u64, state: &State) -> bool {
        self.region.has(target, mark::START) && target != path.root && state.rule() == Some(AT_ENTRY)
    }

    fn branch(&mut self, path: &mut Path, instruction: &Instruction, front: &mut Front) -> Result<(), Stop> {
        let target = instruction.near_branch_target();
        let (mut taken, compared) = (front.state.clone(), front.state.compared);
        let with_itself = compared.and_then(|last| last.checked_add(1));
        match instruction.mnemonic() {
            Mnemonic::Ja => front.state.bound = with_itself,
            Mnemonic::Jae => front.state.bound = compared,
            Mnemonic::Jbe => taken.bound = with_itself,
            Mnemonic::Jb => taken.bound = compared,
            Mnemonic::Jne => self.end_of_probing(instruction, &mut front.state),
            _ => {}
        }
        if !self.region.contains(target) || self.is_other_function(path, target, &taken) {
            path.outcome.leaves = true;
            return Ok(());
        }
        path.push_jump(target, taken, front.way)
    }

    fn call(
        &mut self,
        path: &mut Path,
        instruction: &Instruction,
        front: &mut Front,
    ) -> Result<Option<u64>, Stop> {
        let (at, next) = (instruction.ip(), instruction.next_ip());
        if instruction.flow_control() == FlowControl::Call {
            let target = instruction.near_branch_target();
            if target == next {
                // Only for its address: it stays on the stack.
                let place = front.state.stack_pointer().and_then(|place| place.plus(-8));
                front.state.set(RSP, place.map_or(Value::Unknown, Value::Stack));
                return Ok(Some(next));
            }
            if self.region.never_returns(target) {
                return Ok(None);
            }
        }
        if self.region.has(at, mark::NO_RETURN) || self.region.is_end_of_function(next) {
            return Ok(None);
        }
        let mut state = front.state.clone();
        let keeper = (0..16).find(|&number| state.keeps_stack(number));
        let kept = keeper.filter(|&number| self.leaves_alone(instruction, number));
        Effects::apply_call(&mut state, |number| Some(number) != kept);
        path.push_return(next, state, at, front.way, self.late(next))?;
        Ok(None)
    }

    /// Whether a call is of a function that calls nothing else and has no instruction that writes a register: those that go
    /// with hand-written assembly keep what compilers take every call to change.
    fn leaves_alone(&mut self, call: &Instruction, number: usize) -> bool {
        if call.flow_control() != FlowControl::Call {
            return false;
        }
        let (mut at, mut farthest) = (call.near_branch_target(), 0);
        for _ in 0..MAX_CALLED {
            let Some(instruction) = self.region.decode(at) else { return false };
            match instruction.flow_control() {
                FlowControl::Return if at >= farthest => return true,
                FlowControl::Return | FlowControl::Next => {}
                FlowControl::ConditionalBranch => farthest = farthest.max(instruction.near_branch_target()),
                _ => return false,
            }
            if self.effects.writes(&instruction, number) {
                return false;
            }
            at = instruction.next_ip();
        }
        false
    }

    /// The way leads out of the function.
    fn leave(&mut self, path: &mut Path, front: &Front) -> Result<Option<u64>, Stop> {
        let state = &front.state;
        if state.stack_pointer().is_none() && state.is_elsewhere {
            return Ok(None);
        }
        if state.can_leave() {
            path.outcome.leaves |= !state.outermost;
            path.outcome.outermost |= state.outermost;
            return Ok(None);
        }
        self.refuse(path, front)
    }

    /// The same by a jump: where it leads there is the caller's frame.
    fn leave_by_jump(&mut self, path: &mut Path, front: &Front) -> Result<Option<u64>, Stop> {
        let state = &front.state;
        if state.can_leave() && state.has_own_frame_pointer() {
            return self.refuse(path, front);
        }
        self.leave(path, front)
    }

    /// By a table, or to what only a register or memory knows.
    fn jump(
        &mut self,
        path: &mut Path,
        instruction: &Instruction,
        front: &Front,
    ) -> Result<Option<u64>, Stop> {
        let state = &front.state;
        let target = match instruction.op0_kind() {
            OpKind::Memory => table_of(state, instruction, 8).map_or(Value::Unknown, Value::Target),
            _ => {
                number_of(instruction.op0_register()).map_or(Value::Unknown, |number| state.register(number))
            }
        };
        let targets = jump_table::targets(self.region, self.read, target, state.bound, path.root);
        if targets.is_empty() && state.can_leave() {
            return self.leave_by_jump(path, front);
        }
        if targets.is_empty() {
            path.outcome.open.push(state.clone());
        }
        for target in targets {
            self.region.add_mark(target, mark::LABEL);
            let mut state = state.clone();
            (state.bound, state.compared) = (None, None);
            path.push_jump(target, state, front.way)?;
        }
        Ok(None)
    }

    /// A loop that touches each page of a large frame ends when the stack pointer is what another register says.
    fn end_of_probing(&self, jump: &Instruction, state: &mut State) {
        let compare = (3..=4).filter_map(|bytes| self.region.decode(jump.ip().checked_sub(bytes)?));
        let found = compare
            .into_iter()
            .find(|before| before.mnemonic() == Mnemonic::Cmp && before.next_ip() == jump.ip());
        let Some(compare) = found else { return };
        let other = match (compare.op0_register(), compare.op1_register()) {
            (Register::RSP, other) | (other, Register::RSP) if other.is_gpr64() => other,
            _ => return,
        };
        if let Some(place) = number_of(other).and_then(|number| state.place_in(number)) {
            state.set(RSP, Value::Stack(place));
        }
    }
}
