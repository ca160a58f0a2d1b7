//! What is kept, what is not, and what a lookup may cost.

use crate::program::{C, Program, offset_of};
use std::fs::File;
use telegen_model::{FileId, FileOffset};
use telegen_symbolize::{Budget, Failure, Place, Source, Symbolizer, executable_segments};

const ID: FileId = FileId::Inode { device: 0, inode: 1, ctime_ns: 0, size: 0 };

fn look_up(symbolizer: &mut Symbolizer, file: Option<&File>, offsets: &[FileOffset]) -> Vec<Place> {
    let source = Source { id: &ID, file, module: "m", split_files: None };
    symbolizer.symbolize(source, offsets).iter().map(|place| (**place).clone()).collect()
}

fn failures(symbolizer: &Symbolizer) -> Vec<(Failure, u64)> {
    symbolizer.failures().filter(|(_, count)| *count > 0).collect()
}

/// A program, and where its function `outer` is in it.
fn program(flags: &[&str]) -> Option<(Program, File, FileOffset)> {
    let program = Program::compile("gcc", C, flags)?;
    let functions = program.functions();
    let (_, start, _) = functions.iter().find(|(name, ..)| name == "outer").expect("the function");
    let offset = FileOffset(offset_of(&program, *start));
    let file = File::open(&program.path).expect("the program");
    Some((program, file, offset))
}

#[test]
fn what_is_known_is_told_without_the_file() {
    let Some((_program, file, outer)) = program(&["-O2", "-g"]) else { return };
    let mut symbolizer = Symbolizer::new(Budget::default());
    let nowhere = FileOffset(1 << 40);
    let offsets = [nowhere, outer, nowhere, FileOffset(outer.0 + 1), outer];
    let first = look_up(&mut symbolizer, Some(&file), &offsets);
    assert_eq!(&*first[1].frames.last().expect("a frame").name, "outer");
    assert_eq!(&*first[0].frames[0].name, "[m+0x10000000000]");
    assert_eq!(first, look_up(&mut symbolizer, None, &offsets), "having no name is known as well");
    assert_eq!(failures(&symbolizer), []);
    let figures = symbolizer.figures();
    assert_eq!((figures.misses, figures.hits, figures.cached, figures.evicted), (5, 5, 3, 0));
}

#[test]
fn what_has_no_name_is_named_after_the_module_of_who_asks() {
    let mut symbolizer = Symbolizer::new(Budget::default());
    let file = File::open("/dev/null").expect("there");
    for module in ["one", "two"] {
        let source = Source { id: &ID, file: Some(&file), module, split_files: None };
        assert_eq!(
            *symbolizer.symbolize(source, &[FileOffset(16)])[0].frames[0].name,
            *format!("[{module}+0x10]")
        );
    }
    assert_eq!(failures(&symbolizer), [(Failure::NotElf, 1)]);
}

#[test]
fn a_file_that_cannot_be_read_now_may_be_later() {
    let Some((_program, file, outer)) = program(&["-O2", "-g0"]) else { return };
    let mut symbolizer = Symbolizer::new(Budget::default());
    assert!(look_up(&mut symbolizer, None, &[outer])[0].frames[0].name.starts_with("[m+0x"));
    assert_eq!(&*look_up(&mut symbolizer, Some(&file), &[outer])[0].frames[0].name, "outer");
    assert_eq!(failures(&symbolizer), [(Failure::Unreadable, 1)]);
}

#[test]
fn debug_information_beyond_the_budget_costs_lines_but_not_names() {
    let Some((_program, file, outer)) = program(&["-O2", "-g", "-gz=zlib"]) else { return };
    let small = Budget { debug_info_bytes: 64, ..Budget::default() };
    let cheap = Budget { effort: 100, ..Budget::default() };
    for (budget, failure) in [(small, Failure::DwarfTooLarge), (cheap, Failure::DwarfTooCostly)] {
        let mut symbolizer = Symbolizer::new(budget);
        for offset in [outer, FileOffset(outer.0 + 1)] {
            let place = &look_up(&mut symbolizer, Some(&file), &[offset])[0];
            assert_eq!((place.frames.len(), &*place.frames[0].name, place.frames[0].line), (1, "outer", 0));
        }
        assert_eq!(failures(&symbolizer)[0].0, failure);
        assert!(symbolizer.figures().debug_info_bytes <= budget.debug_info_bytes);
    }
}

#[test]
fn what_is_kept_can_be_given_back() {
    let Some((_program, file, outer)) = program(&["-O2", "-g"]) else { return };
    let mut symbolizer = Symbolizer::new(Budget::default());
    let before = look_up(&mut symbolizer, Some(&file), &[outer]);
    assert!(symbolizer.figures().debug_info_bytes > 0 && symbolizer.figures().cache_bytes > 0);
    symbolizer.trim();
    symbolizer.trim();
    let figures = symbolizer.figures();
    assert_eq!(
        (figures.debug_info_bytes, figures.cache_bytes, figures.cached, figures.evicted),
        (0, 0, 0, 1)
    );
    assert_eq!(look_up(&mut symbolizer, Some(&file), &[outer]), before);
}

#[test]
fn a_large_program_is_looked_up_within_a_small_budget() {
    let large =
        ["/usr/bin/node", "/usr/local/bin/node", "/usr/bin/docker", "/usr/bin/python3", "/proc/self/exe"];
    let path = large.into_iter().find(|path| std::fs::metadata(path).is_ok_and(|file| file.len() > 20 << 20));
    let Some(path) = path else {
        eprintln!("SKIPPED: none of {large:?} has more than 20 MiB");
        return;
    };
    let file = File::open(path).expect("it is there");
    let code = executable_segments(&file).expect("ELF")[0];
    let budget = Budget { cache_bytes: 256 << 10, debug_info_bytes: 64 << 10, ..Budget::default() };
    let mut symbolizer = Symbolizer::new(budget);
    let step = code.file_bytes / 1_000;
    for batch in 0..10 {
        let offsets: Vec<FileOffset> =
            (0..100).map(|at| FileOffset(code.offset + (batch * 100 + at) * step)).collect();
        let places = look_up(&mut symbolizer, Some(&file), &offsets);
        assert_eq!(places.len(), 100);
        assert!(places.iter().all(|place| place.segment == Some(code) && !place.frames[0].name.is_empty()));
        let figures = symbolizer.figures();
        assert!(figures.cache_bytes <= budget.cache_bytes, "{figures:?}");
        assert!(figures.debug_info_bytes <= budget.debug_info_bytes, "{figures:?}");
    }
    assert_eq!(symbolizer.figures().misses, 1_000);
}
