//! What machine code tells of frames, against what call frame information says of the same code.

use crate::agreement::{Bytes, described};
use gimli::{EhFrame, UnwindSection};
use iced_x86::{Decoder, DecoderOptions};
use object::{Object, ObjectSection, ObjectSegment, ObjectSymbol, SymbolKind};
use proptest::prelude::*;
use std::path::Path;
use telegen_unwind::{
    Arch, Binary, Compiled, Elsewhere, MachineCode, RawRule, Sections, compile, compile_with,
};

/// Addresses of instructions.
#[derive(Default, Debug)]
struct Tally {
    /// That call frame information describes.
    described: u64,
    /// For which the code tells a frame, …
    told: u64,
    /// … by the same register in the same way, …
    same: u64,
    /// … by another register, …
    otherwise: u64,
    /// … the same but for the frame pointer, which it does not tell, …
    without_frame_pointer: u64,
    /// … and otherwise than call frame information.
    wrong: u64,
    first_wrong: Option<u64>,
}

fn rule_at(compiled: &Compiled, address: u64) -> RawRule {
    compiled.book.rules()[usize::from(compiled.table.find(address).0)]
}

/// Kinds of rules: a frame found by a register, by what a place holds, by where in a stub it is; the return address in a register;
/// what is beyond a rule. And where a frame pointer is that is lost.
const BY_REGISTER: u8 = 1;
const BY_PLACE: u8 = 2;
const IN_STUB: u8 = 3;
const BEYOND: u8 = 6;
const IN_REGISTER: u8 = 7;
const SAME: u8 = 0;
const AT_CFA: u8 = 1;
const LOST: u8 = 3;

/// Whether what the code tells is what is described.
fn is_right(told: RawRule, described: RawRule, tally: &mut Tally) -> bool {
    let place = |rule: RawRule| (rule.kind, rule.register, rule.cfa_offset, rule.cfa_added);
    let saved = |rule: RawRule| (rule.frame_pointer, rule.frame_pointer_offset);
    let is_frame = matches!(told.kind, BY_REGISTER | BY_PLACE);
    // Compilers do not say that a register has been taken off the stack again: where it was is below the stack pointer then.
    let is_restored = told.frame_pointer == SAME
        && described.frame_pointer == AT_CFA
        && i32::from(described.frame_pointer_offset) < -described.cfa_offset;
    let counter = if place(told) == place(described) && (saved(told) == saved(described) || is_restored) {
        &mut tally.same
    } else if is_frame && place(told) == place(described) && told.frame_pointer == LOST {
        &mut tally.without_frame_pointer
    } else if is_frame
        && matches!(described.kind, BY_REGISTER..=IN_STUB)
        && told.register != described.register
    {
        &mut tally.otherwise
    } else if is_frame && place(told) == place(described) && described.frame_pointer == SAME {
        // It is in both places, some time before the stack pointer goes up.
        &mut tally.otherwise
    } else if is_frame && described.kind == BEYOND
        || described.kind == IN_REGISTER && told.cfa_offset == described.cfa_offset
    {
        // `vfork` has put the return address back, and the register holds it still.
        &mut tally.otherwise
    } else {
        return false;
    };
    *counter += 1;
    true
}

/// Functions of a file as if nothing described them, held against what does.
fn compare(path: &Path, symbols: Symbols) -> Tally {
    let data = std::fs::read(path).expect("a file");
    let file = object::File::parse(&*data).expect("an ELF file");
    let (of_file, frames, bases) = described(&file);
    let described = compile(Arch::X86_64, of_file).expect("a table");
    let read = |address: u64, bytes: usize| {
        let has = |segment: &object::Segment<'_, '_>| {
            (segment.address()..segment.address() + segment.size()).contains(&address)
        };
        let segment = file.segments().find(has)?;
        segment.data_range(address, bytes as u64).ok()?.map(<[u8]>::to_vec)
    };
    let starts = || {
        let functions = file.dynamic_symbols().filter(|symbol| symbol.kind() == SymbolKind::Text);
        functions.map(|symbol| symbol.address()).filter(|_| symbols == Symbols::Kept).collect()
    };
    let text = file.section_by_name(".text").expect("code");
    let text = text.address()..text.address() + text.size();
    let code: Vec<_> = std::iter::once(text.clone()).collect();
    let source = MachineCode::new(code.clone(), &read, starts);
    let elsewhere = Elsewhere { code, sources: vec![Box::new(source)] };
    let nothing = Sections { start: 0, eh_frame: None, debug_frame: None, text: 0, got: 0, tells_rbx: false };
    let told = compile_with::<Bytes<'_>>(Arch::X86_64, nothing, elsewhere).expect("a table");
    assert_eq!(told.found.refused, 0, "{}: {:?}", path.display(), told.found);
    let mut tally = Tally::default();
    let mut entries = frames.entries(&bases);
    while let Some(entry) = entries.next().expect("an entry") {
        let gimli::CieOrFde::Fde(partial) = entry else { continue };
        let fde = partial.parse(EhFrame::cie_from_offset).expect("a function");
        if fde.initial_address() < text.start || fde.end_address() > text.end {
            continue;
        }
        let code = read(fde.initial_address(), fde.len() as usize).expect("its code");
        let mut decoder = Decoder::with_ip(64, &code, fde.initial_address(), DecoderOptions::NONE);
        while decoder.can_decode() {
            let at = decoder.ip();
            let _ = decoder.decode();
            tally.described += 1;
            let (mine, theirs) = (rule_at(&told, at), rule_at(&described, at));
            if mine.kind == 0 {
                continue;
            }
            tally.told += 1;
            if !is_right(mine, theirs, &mut tally) {
                tally.wrong += 1;
                tally.first_wrong.get_or_insert(at);
            }
        }
    }
    tally
}

/// Whether a file has the symbols that others link to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Symbols {
    Kept,
    Stripped,
}

/// Files that are mostly C, which alone is built without call frame information. C++ cannot be: its exceptions need it, and lead to
/// code that nothing else does.
const FILES: [&str; 5] = [
    "/lib64/ld-linux-x86-64.so.2",
    "/lib/x86_64-linux-gnu/libc.so.6",
    "/lib/x86_64-linux-gnu/libm.so.6",
    "/usr/bin/bash",
    "/usr/lib/x86_64-linux-gnu/libcrypto.so.3",
];

#[test]
fn code_tells_of_its_frames_what_call_frame_information_says() {
    let (mut told, mut otherwise) = (0, 0);
    for path in FILES.map(Path::new).into_iter().filter(|path| path.exists()) {
        for (symbols, least) in [(Symbols::Kept, 96), (Symbols::Stripped, 90)] {
            let tally = compare(path, symbols);
            assert!(tally.told * 100 >= tally.described * least, "{} {symbols:?}: {tally:?}", path.display());
            // Some of glibc's hand-written functions push registers and do not say so; the code does.
            assert!(tally.wrong * 1_000 <= tally.told, "{} {symbols:?}: {tally:?}", path.display());
            assert!(
                tally.without_frame_pointer * 100 <= tally.told,
                "{} {symbols:?}: {tally:?}",
                path.display()
            );
            told += tally.told;
            otherwise += tally.otherwise;
        }
    }
    assert!(told > 200_000, "{told} instructions");
    assert!(otherwise * 100 <= told, "{otherwise} of {told} cannot be compared");
}

/// musl as distributions build it, where it is installed.
#[test]
fn nearly_all_of_a_library_without_call_frame_information_has_rules() {
    for path in ["/usr/lib/x86_64-linux-musl/libc.so", "/lib/ld-musl-x86_64.so.1"] {
        let Ok(file) = std::fs::File::open(path) else { continue };
        let found = Binary::read(file).expect("a table").compiled.found;
        // The rest is padding.
        assert!(found.known_bytes * 100 >= found.undescribed_bytes * 92, "{path}: {found:?}");
        assert_eq!(found.refused, 0, "{path}");
    }
}

const BASE: u64 = 0x40_0000;

/// What is told of bytes that stand at [`BASE`].
fn told_of(bytes: &[u8], starts: impl FnOnce() -> Vec<u64>) -> Compiled {
    let read = |address: u64, count: usize| {
        let from = usize::try_from(address.checked_sub(BASE)?).ok()?;
        bytes.get(from..from.checked_add(count)?).map(<[u8]>::to_vec)
    };
    let code: Vec<_> = std::iter::once(BASE..BASE + bytes.len() as u64).collect();
    let source = MachineCode::new(code.clone(), &read, starts);
    let elsewhere = Elsewhere { code, sources: vec![Box::new(source)] };
    let nothing =
        Sections { start: BASE, eh_frame: None, debug_frame: None, text: 0, got: 0, tells_rbx: false };
    compile_with::<Bytes<'_>>(Arch::X86_64, nothing, elsewhere).expect("a table")
}

/// Bytes that are mostly instructions that matter: pushes, jumps a few bytes on, calls, returns, and what moves the stack pointer.
fn likely_code() -> impl Strategy<Value = Vec<u8>> {
    let whole = prop_oneof![
        Just(vec![0x55]),
        Just(vec![0x5d]),
        Just(vec![0xc3]),
        Just(vec![0xc9]),
        Just(vec![0x48, 0x89, 0xe5]),
        Just(vec![0x48, 0x83, 0xe4, 0xf0]),
        Just(vec![0xff, 0xe0]),
        any::<u8>().prop_map(|by| vec![0x48, 0x83, 0xec, by]),
        any::<u8>().prop_map(|by| vec![0x48, 0x83, 0xc4, by]),
        any::<u8>().prop_map(|by| vec![0x74, by]),
        any::<u8>().prop_map(|by| vec![0xeb, by]),
        any::<i16>().prop_map(|by| [&[0xe8][..], &i32::from(by).to_le_bytes()].concat()),
        any::<i16>().prop_map(|by| [&[0x48, 0x8d, 0x15][..], &i32::from(by).to_le_bytes()].concat()),
        Just(vec![0x48, 0x63, 0x04, 0x82, 0x48, 0x01, 0xd0, 0xff, 0xe0]),
        proptest::collection::vec(any::<u8>(), 1..8),
    ];
    proptest::collection::vec(whole, 0..1_500).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Any bytes end, and what is told of them is in order: what is not would be refused.
    #[test]
    fn whatever_bytes_are_taken_for_code_what_is_told_is_in_order(
        bytes in prop_oneof![likely_code(), proptest::collection::vec(any::<u8>(), 0..4_000)],
        starts in proptest::collection::vec(0u64..4_000, 0..20),
    ) {
        let told = told_of(&bytes, || starts.iter().map(|start| BASE + start).collect());
        prop_assert_eq!(told.found.refused, 0);
        prop_assert!(told.found.known_bytes <= bytes.len() as u64);
    }
}

/// Code that leads everywhere at once costs no more than its share.
#[test]
fn code_made_to_be_followed_for_ever_is_given_up() {
    // Each instruction is a conditional jump to another one; each second one pushes before.
    let jumps = (0..200_000u32).flat_map(|nth| {
        let to = (nth.wrapping_mul(2_654_435_761) % 200_000) as i32;
        let by = (to - nth as i32) * 7 - 7;
        [&[0x55, 0x0f, 0x84][..], &by.to_le_bytes()].concat()
    });
    let bytes: Vec<u8> = jumps.collect();
    let told = told_of(&bytes, || (0..200_000).map(|nth| BASE + nth * 7).collect());
    assert_eq!(told.found.known_bytes, 0, "{:?}", told.found);
}

#[test]
fn a_long_stretch_that_nothing_describes_is_left_to_frame_pointers() {
    let first = |bytes: u64| {
        let function = [0x53, 0x5b, 0xc3, 0xcc]; // push %rbx; pop %rbx; ret; int3
        let read = |_: u64, count: usize| Some(function.iter().copied().cycle().take(count).collect());
        let all = BASE..BASE + bytes;
        let source = MachineCode::new(std::iter::once(all.clone()).collect(), &read, || vec![BASE]);
        let elsewhere = Elsewhere { code: vec![all], sources: vec![Box::new(source)] };
        let nothing =
            Sections { start: BASE, eh_frame: None, debug_frame: None, text: 0, got: 0, tells_rbx: false };
        compile_with::<Bytes<'_>>(Arch::X86_64, nothing, elsewhere).expect("a table").found.known_bytes
    };
    assert!(first(1 << 20) > 0);
    assert_eq!(first(9 << 20), 0);
}
