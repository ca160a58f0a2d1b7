//! Code that the sections do not describe: who is asked for it, and what becomes of the answers.

use gimli::{EndianSlice, LittleEndian};
use proptest::prelude::*;
use std::cell::RefCell;
use std::ops::Range;
use std::slice;
use telegen_unwind::{
    Arch, Cfa, Compiled, Elsewhere, FunctionRows, RawRule, ReturnAddress, Rule, SavedRegister, Sections,
    Undescribed, compile_with,
};

/// `.eh_frame` of functions that leave the stack pointer where it was.
fn eh_frame(functions: &[Range<u64>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let entry = |bytes: &mut Vec<u8>, body: &[u8]| {
        let length = body.len().next_multiple_of(8);
        bytes.extend((length as u32).to_le_bytes());
        bytes.extend(body);
        bytes.resize(bytes.len() + length - body.len(), 0);
    };
    // CFA = rsp + 8, the return address at CFA - 8.
    let common = [0, 0, 0, 0, 1, 0, 1, 0x78, 16, 0x0c, 7, 8, 0x90, 1];
    entry(&mut bytes, &common);
    for function in functions {
        let to_common = (bytes.len() + 4) as u32;
        let words = [function.start.to_le_bytes(), (function.end - function.start).to_le_bytes()];
        entry(&mut bytes, &[&to_common.to_le_bytes()[..], &words.concat()].concat());
    }
    bytes
}

fn pushed(bytes: i32) -> Rule {
    Rule::Frame {
        cfa: Cfa::Register { register: 7, offset: 8 + bytes },
        frame_pointer: SavedRegister::Same,
        rbx: SavedRegister::Lost,
        return_address: ReturnAddress::AtCfa(-8),
    }
}

type Told = (u64, u64, Vec<(u64, Rule)>);

/// Knows these functions, and writes down what it was asked for.
struct Knows<'a> {
    functions: &'a [Told],
    asked: &'a RefCell<Vec<Range<u64>>>,
}

impl Undescribed for Knows<'_> {
    fn functions(&mut self, gap: Range<u64>, found: &mut dyn FnMut(FunctionRows<'_>)) {
        self.asked.borrow_mut().push(gap.clone());
        let inside = self.functions.iter().filter(|(start, ..)| gap.contains(start));
        inside.for_each(|(start, end, rows)| found(FunctionRows { start: *start, end: *end, rows }));
    }
}

fn compile(
    described: &[Range<u64>],
    code: &[Range<u64>],
    sources: &[&[Told]],
) -> (Compiled, Vec<Vec<Range<u64>>>) {
    let bytes = eh_frame(described);
    let asked: Vec<RefCell<Vec<Range<u64>>>> = sources.iter().map(|_| RefCell::default()).collect();
    let boxed = sources.iter().zip(&asked);
    let boxed = boxed.map(|(functions, asked)| Box::new(Knows { functions, asked }) as Box<dyn Undescribed>);
    let elsewhere = Elsewhere { code: code.to_vec(), sources: boxed.collect() };
    let sections = Sections {
        start: 0x1000,
        eh_frame: Some((EndianSlice::new(&bytes, LittleEndian), 0x8000)),
        debug_frame: None,
        text: 0,
        got: 0,
        tells_rbx: false,
    };
    let compiled = compile_with(Arch::X86_64, sections, elsewhere).expect("a table");
    (compiled, asked.into_iter().map(RefCell::into_inner).collect())
}

fn rule_at(compiled: &Compiled, address: u64) -> RawRule {
    compiled.book.rules()[usize::from(compiled.table.find(address).0)]
}

#[test]
fn what_lies_before_between_and_behind_functions_is_asked_for() {
    let described = [0x1100..0x1200, 0x1208..0x1300, 0x1400..0x1500];
    let code = [0x1000..0x1800, 0x2000..0x2100];
    let (compiled, asked) = compile(&described, &code, &[&[]]);
    assert_eq!(asked, [[0x1000..0x1100, 0x1300..0x1400, 0x1500..0x1800, 0x2000..0x2100]]);
    assert_eq!(compiled.found.undescribed_bytes, 0x100 * 6);
    assert_eq!((compiled.functions, compiled.found.functions), (3, 0));
}

#[test]
fn rows_of_a_source_stand_beside_those_of_the_sections() {
    let told: [Told; 2] = [
        (0x1200, 0x1240, vec![(0x1200, pushed(0)), (0x1201, pushed(8))]),
        (0x1280, 0x12a0, vec![(0x1290, pushed(16))]),
    ];
    let (compiled, _) =
        compile(&[0x1100..0x1200, 0x1300..0x1400], slice::from_ref(&(0x1000..0x1400)), &[&told]);
    let expected = [
        (0x10ff, Rule::Unknown),
        (0x11ff, pushed(0)),
        (0x1200, pushed(0)),
        (0x123f, pushed(8)),
        (0x1240, Rule::Unknown),
        (0x1280, Rule::Unknown),
        (0x1290, pushed(16)),
        (0x129f, pushed(16)),
        (0x12a0, Rule::Unknown),
        (0x1300, pushed(0)),
        (0x1400, Rule::Unknown),
    ];
    for (address, rule) in expected {
        assert_eq!(rule_at(&compiled, address), rule.into(), "at {address:#x}");
    }
    assert_eq!((compiled.found.functions, compiled.found.rows), (2, 3));
    assert_eq!(compiled.found.known_bytes, 0x40 + 0x10);
}

#[test]
fn a_source_is_asked_for_what_the_one_before_does_not_know() {
    let first: [Told; 1] = [(0x1100, 0x1180, vec![(0x1100, pushed(0))])];
    let second: [Told; 1] = [(0x1180, 0x1200, vec![(0x1180, pushed(8))])];
    let (compiled, asked) = compile(&[], slice::from_ref(&(0x1000..0x1300)), &[&first, &second]);
    assert_eq!(asked[0], slice::from_ref(&(0x1000..0x1300)));
    assert_eq!(asked[1], [0x1000..0x1100, 0x1180..0x1300]);
    assert_eq!(rule_at(&compiled, 0x117f), pushed(0).into());
    assert_eq!(rule_at(&compiled, 0x1180), pushed(8).into());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever a source tells: what the sections say stands, and what is told out of order is left out.
    #[test]
    fn what_the_sections_say_stands(
        told in proptest::collection::vec(
            (0xff0u64..0x1500, 0u64..0x120, proptest::collection::vec((0u64..0x130, 0i32..9), 0..6)),
            0..12,
        ),
    ) {
        let told: Vec<Told> = told
            .into_iter()
            .map(|(start, bytes, rows)| {
                let rows = rows.into_iter().map(|(at, height)| (start + at, pushed(8 + height * 8)));
                (start, start + bytes, rows.collect())
            })
            .collect();
        let (compiled, _) = compile(&[0x1100..0x1200, 0x1300..0x1400], slice::from_ref(&(0x1000..0x1480)), &[&told]);
        for address in (0x1100..0x1200).chain(0x1300..0x1400) {
            prop_assert_eq!(rule_at(&compiled, address), pushed(0).into(), "at {:#x}", address);
        }
        prop_assert_eq!(rule_at(&compiled, 0x1480), Rule::Unknown.into());
        prop_assert!(compiled.found.functions + compiled.found.refused <= told.len() as u64);
        for address in 0x1000..0x1480 {
            let rule = rule_at(&compiled, address);
            let is_told = told.iter().any(|(_, _, rows)| rows.iter().any(|row| RawRule::from(row.1) == rule));
            prop_assert!(is_told || rule == pushed(0).into() || rule == Rule::Unknown.into());
        }
    }
}
