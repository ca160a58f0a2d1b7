//! Where a Go function keeps its caller's frame pointer: what its first instructions say.

/// How far behind the first change of the stack pointer assembly may store the frame pointer.
const SCANNED_BYTES: usize = 64;

/// A frame pointer that has been stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Stored {
    /// The distance from the function's beginning from which on it is.
    pub(super) from: u64,
    /// Where, from the canonical frame address.
    pub(super) place: i16,
    /// From where on the register holds the address of that place, if it does.
    pub(super) frame_from: Option<u64>,
}

impl Stored {
    /// Where compilers store it: below the return address.
    pub(super) const USUAL_PLACE: i16 = -16;

    /// What the instructions of a function say in which the stack pointer changes first at a distance of `at`, by `depth`
    /// bytes. `code` is the function's, from its beginning on.
    pub(super) fn read(code: &[u8], at: u64, depth: i32) -> Option<Self> {
        let behind = usize::try_from(at).ok().and_then(|at| code.get(at..))?;
        let pushed = at.checked_sub(1).and_then(|at| code.get(at as usize)) == Some(&0x55);
        if pushed && depth == 8 {
            // PUSHQ BP; MOVQ SP, BP: since Go 1.21.
            let moves = behind.starts_with(&[0x48, 0x89, 0xe5]);
            return Some(Self { from: at, place: Self::USUAL_PLACE, frame_from: moves.then_some(at + 3) });
        }
        // MOVQ BP, distance(SP); LEAQ distance(SP), BP: before. Assembly may store other registers first.
        let scanned = &behind[..behind.len().min(SCANNED_BYTES)];
        let (skipped, length, distance) = (0..scanned.len()).find_map(|skipped| {
            stores(&scanned[skipped..]).map(|(length, distance)| (skipped, length, distance))
        })?;
        let place = distance.checked_sub(depth)?.checked_sub(8)?;
        let from = at + (skipped + length) as u64;
        let loads = loads_address(&scanned[skipped + length..], distance);
        let usual = place == i32::from(Self::USUAL_PLACE);
        Some(Self {
            from,
            place: i16::try_from(place).ok().filter(|place| *place <= Self::USUAL_PLACE)?,
            frame_from: loads.filter(|_| usual && skipped == 0).map(|length| from + length as u64),
        })
    }

    /// Whether it is still there when the stack pointer is that far below the return address.
    pub(super) fn is_in(&self, depth: i32) -> bool {
        i64::from(depth) + 8 >= -i64::from(self.place)
    }
}

/// `mov %rbp, distance(%rsp)`: its length and distance.
fn stores(code: &[u8]) -> Option<(usize, i32)> {
    operand(code, [0x48, 0x89], 0x2c)
}

/// `lea distance(%rsp), %rbp` of that distance: its length.
fn loads_address(code: &[u8], distance: i32) -> Option<usize> {
    operand(code, [0x48, 0x8d], 0x2c).filter(|found| found.1 == distance).map(|found| found.0)
}

/// `mov distance(%rsp), %rbp` of that distance: its length.
pub(super) fn restores(code: &[u8], distance: i32) -> Option<usize> {
    operand(code, [0x48, 0x8b], 0x2c).filter(|found| found.1 == distance).map(|found| found.0)
}

/// An instruction of an operand on the stack: its length and the operand's distance.
fn operand(code: &[u8], opcode: [u8; 2], register: u8) -> Option<(usize, i32)> {
    let rest = code.strip_prefix(&opcode)?;
    match *rest {
        [mode, 0x24, ..] if mode == register => Some((4, 0)),
        [mode, 0x24, distance, ..] if mode == register | 0x40 => Some((5, i32::from(distance as i8))),
        [mode, 0x24, a, b, c, d, ..] if mode == register | 0x80 => {
            Some((8, i32::from_le_bytes([a, b, c, d])))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_functions_since_go_1_21_it_is_pushed_first() {
        let code = [0x49, 0x3b, 0x66, 0x10, 0x76, 0x20, 0x55, 0x48, 0x89, 0xe5, 0x48, 0x83, 0xec, 0x20];
        assert_eq!(Stored::read(&code, 7, 8), Some(Stored { from: 7, place: -16, frame_from: Some(10) }));
        assert_eq!(Stored::read(&code, 14, 40), None, "the function ends here");
    }

    #[test]
    fn before_it_is_stored_in_a_frame_that_is_there_already() {
        let code = [
            0x48, 0x83, 0xec, 0x18, 0x48, 0x89, 0x6c, 0x24, 0x10, 0x48, 0x8d, 0x6c, 0x24, 0x10, 0x49, 0x89,
            0xe4,
        ];
        let stored = Stored::read(&code, 4, 24);
        assert_eq!(stored, Some(Stored { from: 9, place: -16, frame_from: Some(14) }));
        let stored = stored.unwrap();
        assert!(stored.is_in(24) && stored.is_in(8) && !stored.is_in(0));
        let large = [
            0x48, 0x81, 0xec, 0x90, 0, 0, 0, 0x48, 0x89, 0xac, 0x24, 0x88, 0, 0, 0, 0x48, 0x8d, 0xac, 0x24,
            0x88, 0, 0, 0,
        ];
        assert_eq!(Stored::read(&large, 7, 144), Some(Stored { from: 15, place: -16, frame_from: Some(23) }));
    }

    #[test]
    fn assembly_stores_it_among_other_registers() {
        // PUSHFQ; CLD; SUBQ $64, SP; MOVQ DI, (SP); MOVQ SI, 8(SP); MOVQ BP, 16(SP)
        let code = [
            0x48, 0x83, 0xec, 0x40, 0x48, 0x89, 0x3c, 0x24, 0x48, 0x89, 0x74, 0x24, 8, 0x48, 0x89, 0x6c,
            0x24, 16,
        ];
        let stored = Stored::read(&code, 4, 64).expect("it is stored");
        assert_eq!((stored.from, stored.place, stored.frame_from), (18, -56, None));
        assert!(stored.is_in(64) && !stored.is_in(40));
    }

    #[test]
    fn a_function_that_does_not_touch_it_has_none() {
        assert_eq!(Stored::read(&[0x48, 0x83, 0xec, 0x18, 0x90, 0x90], 4, 24), None);
        assert_eq!(Stored::read(&[], 4, 24), None);
    }
}
