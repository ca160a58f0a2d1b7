//! What differs between machines.

use gimli::{AArch64, Register, Vendor, X86_64};

/// A machine whose stacks can be unwound.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Arch {
    /// 64-bit x86.
    X86_64,
    /// 64-bit Arm.
    Aarch64,
}

impl Arch {
    /// The DWARF number of the stack pointer.
    pub(crate) fn stack_pointer(self) -> Register {
        match self {
            Self::X86_64 => X86_64::RSP,
            Self::Aarch64 => AArch64::SP,
        }
    }

    /// The DWARF number of the frame pointer.
    pub(crate) fn frame_pointer(self) -> Register {
        match self {
            Self::X86_64 => X86_64::RBP,
            Self::Aarch64 => AArch64::X29,
        }
    }

    /// The column of the return address: a register of its own on Arm, a place on the stack on x86.
    pub(crate) fn return_address(self) -> Register {
        match self {
            Self::X86_64 => X86_64::RA,
            Self::Aarch64 => AArch64::X30,
        }
    }

    /// Whose instructions of call frame information there are beside those of the standard: Arm's say that a return address is
    /// signed, and have the number of something else elsewhere.
    pub(crate) fn vendor(self) -> Vendor {
        match self {
            Self::X86_64 => Vendor::Default,
            Self::Aarch64 => Vendor::AArch64,
        }
    }

    /// Bytes of an address.
    pub(crate) fn address_bytes(self) -> u8 {
        8
    }
}
