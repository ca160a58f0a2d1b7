//! The tables of an ELF file: code, symbols, call frame information, relocations.

use super::{Export, Function, Module};
use anyhow::{Result, bail};
use gimli::{BaseAddresses, CieOrFde, DebugFrame, EhFrame, LittleEndian, UnwindSection};
use object::elf::{R_X86_64_GLOB_DAT, R_X86_64_IRELATIVE, R_X86_64_JUMP_SLOT, STT_GNU_IFUNC};
use object::read::elf::ElfFile64;
use object::{
    Object, ObjectSection, ObjectSegment, ObjectSymbol, ObjectSymbolTable, RelocationFlags, RelocationTarget,
    SegmentFlags, SymbolFlags, SymbolKind,
};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What a function without a size, as hand-written assembly has them, may at most extend to.
const LONGEST_UNSIZED: u64 = 4096;

pub(super) fn parse(data: &[u8]) -> Result<Module> {
    let file = ElfFile64::<object::Endianness>::parse(data)?;
    if file.architecture() != object::Architecture::X86_64 {
        bail!("its machine code is not that of x86-64");
    }
    let mut module = Module {
        code: Vec::new(),
        symbols: BTreeMap::new(),
        described: described(&file),
        names: HashMap::new(),
        exports: HashMap::new(),
        slots: HashMap::new(),
        stubs: stubs(&file),
        entry: file.entry(),
    };
    for segment in file.segments() {
        let executable = matches!(segment.flags(),
            SegmentFlags::Elf { p_flags, .. } if p_flags.0 & object::elf::PF_X.0 != 0);
        if executable {
            module.code.push((segment.address(), segment.data()?.to_vec()));
        }
    }
    read_symbols(&file, &mut module);
    read_other_names(&file, &mut module);
    read_slots(&file, &mut module);
    Ok(module)
}

fn read_symbols<'a>(file: &ElfFile64<'a, object::Endianness>, module: &mut Module) {
    let mut unsized_functions = BTreeMap::new();
    let all = file.symbols().map(|symbol| (symbol, false));
    for (symbol, dynamic) in all.chain(file.dynamic_symbols().map(|symbol| (symbol, true))) {
        if symbol.kind() != SymbolKind::Text || symbol.is_undefined() || symbol.address() == 0 {
            continue;
        }
        let name = symbol.name().unwrap_or_default().to_owned();
        let chooses = matches!(symbol.flags(),
            SymbolFlags::Elf { st_info, .. } if st_info.0 & 0xf == STT_GNU_IFUNC.0);
        if dynamic {
            module
                .exports
                .entry(name.clone())
                .or_default()
                .push(Export { address: symbol.address(), chooses });
        }
        module.names.entry(symbol.address()).or_default().push(name);
        if symbol.size() > 0 {
            let end = module.symbols.entry(symbol.address()).or_default();
            *end = (*end).max(symbol.address() + symbol.size());
        } else {
            let section = symbol.section_index().and_then(|section| file.section_by_index(section).ok());
            let end = section.map_or(u64::MAX, |section| section.address() + section.size());
            unsized_functions.insert(symbol.address(), end);
        }
    }
    let starts: BTreeSet<u64> = module.symbols.keys().chain(unsized_functions.keys()).copied().collect();
    // Others, which have no symbols, may stand behind them: what is called there is one.
    let called = called(module);
    for (mut start, section_end) in unsized_functions {
        let next = starts.range(start + 1..).next().copied().unwrap_or(u64::MAX);
        let end = next.min(section_end).min(start + LONGEST_UNSIZED);
        if end <= start {
            // It only marks the end of a section.
            continue;
        }
        for &other in called.range(start + 1..end) {
            module.symbols.entry(start).or_insert(other);
            start = other;
        }
        module.symbols.entry(start).or_insert(end);
    }
}

/// What the code of a module calls in it, one instruction after the other.
fn called(module: &Module) -> BTreeSet<u64> {
    let decoders = module
        .code
        .iter()
        .map(|(base, bytes)| iced_x86::Decoder::with_ip(64, bytes, *base, iced_x86::DecoderOptions::NONE));
    let calls = decoders.flatten().filter(|instruction| instruction.is_call_near());
    calls.map(|call| call.near_branch_target()).collect()
}

/// Names in the debug file of this build, if a package of them is installed here. It cannot be the module's word: where it has none
/// of its own for a place, that place stays without.
fn read_other_names(file: &ElfFile64<'_, object::Endianness>, module: &mut Module) {
    let Ok(Some(id)) = file.build_id() else { return };
    let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    let Some((first, rest)) = id.split_at_checked(2) else { return };
    let Ok(data) = std::fs::read(format!("/usr/lib/debug/.build-id/{first}/{rest}.debug")) else { return };
    let Ok(other) = ElfFile64::<object::Endianness>::parse(&*data) else { return };
    for symbol in other.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text) {
        let name = symbol.name().unwrap_or_default().split('@').next().unwrap_or_default();
        if let Some(names) = module.names.get_mut(&symbol.address()) {
            names.push(name.to_owned());
        }
    }
}

/// The pointers to functions that the dynamic linker sets.
fn read_slots(file: &ElfFile64<'_, object::Endianness>, module: &mut Module) {
    let table = file.dynamic_symbol_table();
    for (address, relocation) in file.dynamic_relocations().into_iter().flatten() {
        let RelocationFlags::Elf { r_type } = relocation.flags() else { continue };
        let name = match (r_type, relocation.target()) {
            (R_X86_64_IRELATIVE, _) => None,
            (R_X86_64_JUMP_SLOT | R_X86_64_GLOB_DAT, RelocationTarget::Symbol(index)) => {
                let symbol = table.as_ref().and_then(|table| table.symbol_by_index(index).ok());
                symbol.and_then(|symbol| Some(symbol.name().ok()?.to_owned()))
            }
            _ => continue,
        };
        module.slots.insert(address, name);
    }
}

/// Where the stubs are through which functions of other modules are called.
fn stubs(file: &ElfFile64<'_, object::Endianness>) -> Vec<Function> {
    let named = |name: &str| [".plt", ".plt.sec", ".plt.got"].contains(&name);
    let sections = file.sections().filter(|section| section.name().is_ok_and(named));
    sections
        .map(|section| Function { start: section.address(), end: section.address() + section.size() })
        .collect()
}

/// Functions as call frame information describes them.
fn described(file: &ElfFile64<'_, object::Endianness>) -> BTreeMap<u64, u64> {
    let mut functions = BTreeMap::new();
    let mut bases = BaseAddresses::default();
    let section = |name: &str| {
        let section = file.section_by_name(name)?;
        Some((section.address(), section.uncompressed_data().ok()?))
    };
    if let Some(text) = file.section_by_name(".text") {
        bases = bases.set_text(text.address());
    }
    if let Some((address, data)) = section(".eh_frame") {
        let bases = bases.clone().set_eh_frame(address);
        collect(&EhFrame::new(&data, LittleEndian), &bases, &mut functions);
    }
    if let Some((_, data)) = section(".debug_frame") {
        let mut frames = DebugFrame::new(&data, LittleEndian);
        frames.set_address_size(8);
        collect(&frames, &bases, &mut functions);
    }
    functions
}

fn collect<R: gimli::Reader, S: UnwindSection<R>>(
    section: &S,
    bases: &BaseAddresses,
    to: &mut BTreeMap<u64, u64>,
) {
    let mut entries = section.entries(bases);
    while let Ok(Some(entry)) = entries.next() {
        if let CieOrFde::Fde(partial) = entry
            && let Ok(description) = partial.parse(S::cie_from_offset)
            && description.len() > 0
        {
            let start = description.initial_address();
            to.insert(start, start + description.len());
        }
    }
}
