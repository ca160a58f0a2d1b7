//! Programs whose debug information is in files of its own.

use crate::program::{C, Program, offset_of};
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use telegen_model::{BuildId, FileId, FileOffset, Pid};
use telegen_process::{ProcFs, Root};
use telegen_symbolize::{
    Budget, DebugFiles, DebugOutcome, DebugServer, Failure, Place, Source, Symbolizer, build_id,
};

/// A function with two more inlined into it, from its first instruction on.
const INLINED: &str = r#"
#include <stdlib.h>
static inline __attribute__((always_inline)) int a_function_that_is_inlined_and_has_a_long_name(volatile int *number)
{
    return *number * 3;
}
__attribute__((noinline)) int inlined_into_hidden(volatile int *number)
{
    return a_function_that_is_inlined_and_has_a_long_name(number);
}
int main(int argc, char **argv)
{
    volatile int number = argc;
    return inlined_into_hidden(&number) + (argc > 9 ? atoi(argv[1]) : 0);
}
"#;
const DIRECTORY: &str = "opt/app";
const WITH_BUILD_ID: &[&str] = &["-O2", "-g", "-Wl,--build-id"];
const WITHOUT: &[&str] = &["-O2", "-g", "-Wl,--build-id=none"];

/// Directories that look like /proc/7/root and /proc/1/root, with a stripped program in the first.
pub(crate) struct Machine {
    proc: tempfile::TempDir,
    program: Program,
    /// The program as it was before.
    whole: PathBuf,
    /// Debug information that was split off, not in place yet.
    split_off: PathBuf,
    /// Where `hidden`, which only a full symbol table has, is in the program.
    hidden: FileOffset,
}

fn tool(tool: &str, arguments: &[&Path]) {
    let status = Command::new(tool).args(arguments).stdin(Stdio::null()).status().expect("it is installed");
    assert!(status.success(), "{tool} {arguments:?}");
}

impl Machine {
    /// `None`, said aloud, if there is no compiler here.
    pub(crate) fn new(flags: &[&str]) -> Option<Self> {
        Self::of(C, "hidden", flags)
    }

    /// Of another source, in which another function is looked up.
    fn of(source: &str, function: &str, flags: &[&str]) -> Option<Self> {
        let program = Program::compile("gcc", source, flags)?;
        let functions = program.functions();
        let (_, start, _) = functions.iter().find(|(name, ..)| name == function).expect("the function");
        let hidden = FileOffset(offset_of(&program, *start));
        let [whole, split_off] = ["whole", "program.debug"].map(|name| program.directory.path().join(name));
        fs::copy(&program.path, &whole).expect("copied");
        tool("objcopy", &["--only-keep-debug".as_ref(), &program.path, &split_off]);
        tool("strip", &["--strip-all".as_ref(), &program.path]);
        let proc = tempfile::tempdir().expect("a directory");
        for root in ["1/root", "7/root"] {
            fs::create_dir_all(proc.path().join(root).join(DIRECTORY)).expect("made");
        }
        Some(Self { proc, program, whole, split_off, hidden })
    }

    /// Puts the link to the debug file, as it is now, into the program.
    pub(crate) fn link(&self) {
        let link = format!("--add-gnu-debuglink={}", self.split_off.display());
        tool("objcopy", &[link.as_ref(), &self.program.path]);
    }

    pub(crate) fn below(&self, root: &str, path: &str) -> PathBuf {
        let path = self.proc.path().join(root).join("root").join(path);
        fs::create_dir_all(path.parent().expect("a directory")).expect("made");
        path
    }

    /// Puts the debug file there.
    pub(crate) fn place(&self, root: &str, path: &str) -> PathBuf {
        let path = self.below(root, path);
        fs::copy(&self.split_off, &path).expect("copied");
        path
    }

    pub(crate) fn path_by_build_id(&self) -> String {
        let file = File::open(&self.split_off).expect("the debug file");
        let id = build_id::read(&file).expect("ELF").expect("a build id").to_string();
        format!("usr/lib/debug/.build-id/{}/{}.debug", &id[..2], &id[2..])
    }

    fn root(&self, pid: u32) -> Arc<Root> {
        Arc::new(Root::of_process(&ProcFs::new(self.proc.path()), Pid(pid)).expect("the root"))
    }

    /// Looks the hidden function up; and says what came of the files that were looked at.
    pub(crate) fn look_up(&self) -> (Place, Vec<(DebugOutcome, u64)>) {
        let mut symbolizer = Symbolizer::with_debug_files(Budget::default(), Some(self.root(1)), None);
        let debug_files = DebugFiles::to_seek(self.root(7), &format!("/{DIRECTORY}/program"));
        let place = self.look_up_with(&mut symbolizer, &debug_files);
        let outcomes = symbolizer.debug_outcomes().filter(|(_, count)| *count > 0).collect();
        (place, outcomes)
    }

    pub(crate) fn look_up_with(&self, symbolizer: &mut Symbolizer, debug_files: &DebugFiles) -> Place {
        let file = File::open(&self.program.path).expect("the program");
        let id = FileId::Inode { device: 0, inode: 1, ctime_ns: 0, size: 0 };
        let source = Source { id: &id, file: Some(&file), module: "program", split_files: None };
        (*symbolizer.symbolize_with(source, debug_files, &[self.hidden])[0]).clone()
    }

    fn expect_nothing(&self, outcomes: &[(DebugOutcome, u64)]) {
        let (place, found) = self.look_up();
        let nameless = format!("[program+{:#x}]", self.hidden.0);
        assert_eq!((&*place.frames[0].name, &*found), (&*nameless, outcomes));
        assert!(place.segment.is_some());
    }
}

fn assert_named(place: &Place) {
    let frame = &place.frames[0];
    assert_eq!((&*frame.name, frame.line), ("hidden", 5), "{place:?}");
    assert!(frame.file.ends_with("program.c"), "{frame:?}");
}

#[test]
fn by_build_id_the_debug_file_of_the_target_is_found_before_the_hosts() {
    let Some(machine) = Machine::new(WITH_BUILD_ID) else { return };
    machine.expect_nothing(&[]);
    let path = machine.path_by_build_id();
    machine.place("1", &path);
    let (place, outcomes) = machine.look_up();
    assert_named(&place);
    assert_eq!(outcomes, [(DebugOutcome::FoundOnHost, 1)]);
    machine.place("7", &path);
    let (place, outcomes) = machine.look_up();
    assert_named(&place);
    assert_eq!(outcomes, [(DebugOutcome::FoundInTarget, 1)]);
}

#[test]
fn by_its_name_the_debug_file_is_found_in_each_of_the_usual_places() {
    for flags in [WITH_BUILD_ID, WITHOUT] {
        let Some(machine) = Machine::new(flags) else { return };
        machine.link();
        for directory in ["opt/app", "opt/app/.debug", "usr/lib/debug/opt/app"] {
            let path = format!("{directory}/program.debug");
            let placed = machine.place("7", &path);
            let (place, outcomes) = machine.look_up();
            assert_named(&place);
            assert_eq!(outcomes, [(DebugOutcome::FoundInTarget, 1)], "{path}");
            fs::remove_file(placed).expect("removed");
        }
        machine.expect_nothing(&[]);
        machine.place("1", "usr/lib/debug/opt/app/program.debug");
        if flags == WITHOUT {
            // A checksum of 32 bits does not say which machine it is of.
            machine.expect_nothing(&[]);
        } else {
            assert_named(&machine.look_up().0);
        }
    }
}

#[test]
fn the_debug_file_of_another_build_is_not_believed() {
    let Some(machine) = Machine::new(WITH_BUILD_ID) else { return };
    let Some(other) = Machine::new(&["-O1", "-g", "-Wl,--build-id"]) else { return };
    machine.link();
    fs::copy(&other.split_off, machine.below("7", &machine.path_by_build_id())).expect("copied");
    fs::copy(&other.split_off, machine.below("7", "opt/app/program.debug")).expect("copied");
    machine.expect_nothing(&[(DebugOutcome::WrongBuildId, 2)]);
    machine.place("7", "opt/app/.debug/program.debug");
    assert_named(&machine.look_up().0);
}

#[test]
fn a_debug_file_that_has_changed_is_not_believed_without_a_build_id() {
    let Some(machine) = Machine::new(WITHOUT) else { return };
    machine.link();
    let placed = machine.place("7", "opt/app/program.debug");
    assert_named(&machine.look_up().0);
    let mut bytes = fs::read(&placed).expect("read");
    bytes.push(0);
    fs::write(&placed, bytes).expect("written");
    machine.expect_nothing(&[(DebugOutcome::WrongChecksum, 1)]);
}

#[test]
fn what_is_no_debug_file_is_passed_over() {
    let Some(machine) = Machine::new(WITH_BUILD_ID) else { return };
    machine.link();
    let (by_id, first, second, third) = (
        machine.below("7", &machine.path_by_build_id()),
        machine.below("7", "opt/app/program.debug"),
        machine.below("7", "opt/app/.debug/program.debug"),
        machine.below("7", "usr/lib/debug/opt/app/program.debug"),
    );
    tool("mkfifo", &[&by_id]);
    fs::copy(&machine.program.path, first).expect("copied");
    fs::write(second, "no ELF").expect("written");
    // Where it leads there is the right file, but not below this root.
    symlink(&machine.split_off, third).expect("linked");
    let before = Instant::now();
    machine.expect_nothing(&[
        (DebugOutcome::Empty, 1),
        (DebugOutcome::NotRegular, 1),
        (DebugOutcome::NotElf, 1),
    ]);
    assert!(before.elapsed() < Duration::from_secs(5), "{:?}", before.elapsed());
}

#[test]
fn a_link_within_the_root_is_followed() {
    let Some(machine) = Machine::new(WITH_BUILD_ID) else { return };
    machine.place("7", "usr/lib/debug/opt/app/program.debug");
    let link = machine.below("7", &machine.path_by_build_id());
    symlink("../../opt/app/program.debug", link).expect("linked");
    assert_named(&machine.look_up().0);
}

#[test]
fn a_huge_file_costs_nothing() {
    let Some(machine) = Machine::new(WITH_BUILD_ID) else { return };
    let placed = machine.place("7", &machine.path_by_build_id());
    File::options().write(true).open(placed).and_then(|file| file.set_len(1 << 42)).expect("a sparse file");
    machine.expect_nothing(&[(DebugOutcome::TooLarge, 1)]);
    let Some(machine) = Machine::new(WITHOUT) else { return };
    machine.link();
    let placed = machine.place("7", "opt/app/program.debug");
    File::options().write(true).open(placed).and_then(|file| file.set_len(8 << 30)).expect("a sparse file");
    let before = Instant::now();
    machine.expect_nothing(&[(DebugOutcome::ChecksumTooCostly, 1)]);
    assert!(before.elapsed() < Duration::from_secs(5), "{:?}", before.elapsed());
}

#[test]
fn a_debug_file_is_opened_once_and_closed_with_its_last_user() {
    let Some(machine) = Machine::new(WITH_BUILD_ID) else { return };
    let placed = machine.place("7", &machine.path_by_build_id());
    let mut symbolizer = Symbolizer::new(Budget::default());
    let debug_files = DebugFiles::to_seek(machine.root(7), "/opt/app/program");
    assert_named(&machine.look_up_with(&mut symbolizer, &debug_files));
    assert_eq!(symbolizer.figures().debug_files, 1);
    // It is open: neither its name nor its process is needed any more.
    fs::remove_file(placed).expect("removed");
    symbolizer.trim();
    symbolizer.trim();
    assert_named(&machine.look_up_with(&mut symbolizer, &debug_files));
    assert!(symbolizer.figures().debug_info_bytes <= Budget::default().debug_info_bytes);
    drop(debug_files);
    assert_eq!(symbolizer.figures().debug_files, 0);
    let found = symbolizer.debug_outcomes().find(|(outcome, _)| *outcome == DebugOutcome::FoundInTarget);
    assert_eq!(found, Some((DebugOutcome::FoundInTarget, 1)));
}

#[test]
fn what_was_said_without_a_debug_file_is_said_anew_when_there_is_one() {
    let Some(machine) = Machine::new(WITH_BUILD_ID) else { return };
    let mut symbolizer = Symbolizer::new(Budget::default());
    let place = machine.look_up_with(&mut symbolizer, &DebugFiles::default());
    assert!(place.frames[0].name.starts_with("[program+"), "{place:?}");
    machine.place("7", &machine.path_by_build_id());
    let debug_files = DebugFiles::to_seek(machine.root(7), "/opt/app/program");
    let file = File::open(&machine.program.path).expect("the program");
    let id = FileId::Inode { device: 0, inode: 1, ctime_ns: 0, size: 0 };
    let source = Source { id: &id, file: Some(&file), module: "program", split_files: None };
    // A place that is not known yet, so that the files are looked at.
    symbolizer.symbolize_with(source, &debug_files, &[FileOffset(machine.hidden.0 + 1)]);
    assert_named(&machine.look_up_with(&mut symbolizer, &debug_files));
}

#[test]
fn lines_are_found_for_a_program_that_has_kept_its_symbols() {
    let Some(machine) = Machine::new(WITH_BUILD_ID) else { return };
    tool("strip", &["--strip-debug".as_ref(), &machine.whole, "-o".as_ref(), &machine.program.path]);
    let (place, _) = machine.look_up();
    assert_eq!((&*place.frames[0].name, place.frames[0].line), ("hidden", 0));
    machine.place("7", &machine.path_by_build_id());
    assert_named(&machine.look_up().0);
}

/// Puts compressed symbols into the stripped program, as Fedora does.
fn add_mini_debug_info(machine: &Machine, symbols: &Path) {
    tool("xz", &["--keep".as_ref(), "--force".as_ref(), symbols]);
    let section = format!("--add-section=.gnu_debugdata={}.xz", symbols.display());
    tool("objcopy", &[section.as_ref(), &machine.program.path]);
}

#[test]
fn compressed_symbols_of_the_program_itself_have_its_local_functions() {
    let Some(machine) = Machine::new(WITH_BUILD_ID) else { return };
    let symbols = machine.program.directory.path().join("symbols");
    let arguments = ["-S", "--remove-section=.comment", "--keep-symbol=hidden"].map(Path::new);
    tool("objcopy", &[&arguments[..], &[machine.split_off.as_path(), symbols.as_path()]].concat());
    add_mini_debug_info(&machine, &symbols);
    let mut symbolizer = Symbolizer::new(Budget::default());
    let place = machine.look_up_with(&mut symbolizer, &DebugFiles::default());
    assert_eq!((&*place.frames[0].name, place.frames[0].line), ("hidden", 0));
    let held = symbolizer.figures().debug_info_bytes;
    assert!((1..=Budget::default().debug_info_bytes).contains(&held), "{held} bytes");
    symbolizer.trim();
    assert_eq!(symbolizer.figures().debug_info_bytes, 0);
    // What was split off tells more.
    machine.place("7", &machine.path_by_build_id());
    assert_named(&machine.look_up().0);
}

#[test]
fn a_bomb_in_the_place_of_symbols_costs_nothing_but_their_names() {
    let Some(machine) = Machine::new(WITH_BUILD_ID) else { return };
    let bomb = machine.program.directory.path().join("bomb");
    File::create(&bomb).and_then(|file| file.set_len(256 << 20)).expect("a sparse file");
    add_mini_debug_info(&machine, &bomb);
    let mut symbolizer = Symbolizer::new(Budget::default());
    let before = Instant::now();
    let place = machine.look_up_with(&mut symbolizer, &DebugFiles::default());
    assert!(place.frames[0].name.starts_with("[program+0x"), "{place:?}");
    assert!(before.elapsed() < Duration::from_secs(10), "{:?}", before.elapsed());
    let failures: Vec<_> = symbolizer.failures().filter(|(_, count)| *count > 0).collect();
    assert_eq!(failures, [(Failure::SymbolsTooLarge, 1)]);
    assert!(symbolizer.figures().debug_info_bytes < 4096);
}

/// Two debug files of the same source, of which dwz has put what they have in common into a third.
fn with_supplementary(machine: &Machine, path: &str) -> Option<PathBuf> {
    let directory = machine.program.directory.path();
    let (other, common) = (directory.join("other.debug"), directory.join("common.debug"));
    fs::copy(&machine.split_off, &other).expect("copied");
    let mut dwz = Command::new("dwz");
    dwz.arg("-m").arg(&common).args(["-M", path]).arg(&machine.split_off).arg(&other);
    match dwz.stdin(Stdio::null()).status() {
        Ok(status) => assert!(status.success(), "{dwz:?}"),
        Err(error) => {
            eprintln!("SKIPPED: no dwz: {error}");
            return None;
        }
    }
    assert!(common.exists(), "there is enough in common");
    Some(common)
}

#[test]
fn names_in_a_supplementary_file_are_found_and_only_in_the_right_one() {
    let path = "/usr/lib/debug/.dwz/common.debug";
    let Some(machine) = Machine::of(INLINED, "inlined_into_hidden", WITH_BUILD_ID) else { return };
    let Some(common) = with_supplementary(&machine, path) else { return };
    machine.place("7", &machine.path_by_build_id());
    let names =
        |place: &Place| -> Vec<String> { place.frames.iter().map(|frame| frame.name.to_string()).collect() };
    let (without, outcomes) = machine.look_up();
    assert_eq!(outcomes, [(DebugOutcome::FoundInTarget, 1)]);
    fs::copy(&common, machine.below("7", &path[1..])).expect("copied");
    let (with, outcomes) = machine.look_up();
    assert_eq!(outcomes, [(DebugOutcome::FoundInTarget, 2)]);
    assert_ne!(names(&without), names(&with), "something was in the supplementary file");
    assert!(names(&with).contains(&"a_function_that_is_inlined_and_has_a_long_name".to_owned()), "{with:?}");
    // The supplementary file of another pair of files.
    fs::copy(&machine.split_off, machine.below("7", &path[1..])).expect("copied");
    let (other, outcomes) = machine.look_up();
    assert_eq!(outcomes, [(DebugOutcome::FoundInTarget, 1), (DebugOutcome::WrongBuildId, 1)]);
    assert_eq!(names(&other), names(&without));
}

/// Who has a file, from the second question on.
#[derive(Debug)]
struct Later {
    path: PathBuf,
    asked: AtomicUsize,
}

impl DebugServer for Later {
    fn ask(&self, _: &BuildId) -> Option<File> {
        (self.asked.fetch_add(1, Ordering::SeqCst) > 0).then(|| File::open(&self.path).expect("there"))
    }
}

#[test]
fn what_a_server_sends_later_is_in_the_next_profile() {
    let Some(machine) = Machine::new(WITH_BUILD_ID) else { return };
    let server = Arc::new(Later { path: machine.split_off.clone(), asked: AtomicUsize::new(0) });
    let mut symbolizer = Symbolizer::with_debug_files(Budget::default(), None, Some(server.clone()));
    let debug_files = DebugFiles::to_seek(machine.root(7), "/opt/app/program");
    let first = machine.look_up_with(&mut symbolizer, &debug_files);
    assert!(first.frames[0].name.starts_with("[program+0x"), "{first:?}");
    assert_named(&machine.look_up_with(&mut symbolizer, &debug_files));
    assert_named(&machine.look_up_with(&mut symbolizer, &debug_files));
    assert_eq!(server.asked.load(Ordering::SeqCst), 2, "nobody is asked for what is there");
    let found = |symbolizer: &Symbolizer, wanted| {
        symbolizer.debug_outcomes().find(|(outcome, _)| *outcome == wanted).map(|(_, count)| count)
    };
    assert_eq!(found(&symbolizer, DebugOutcome::FoundOnServer), Some(1));
}

#[test]
fn a_server_is_not_believed_and_not_asked_for_what_is_here() {
    let Some(machine) = Machine::new(WITH_BUILD_ID) else { return };
    let server =
        Arc::new(Later { path: machine.whole.with_file_name("program.c"), asked: AtomicUsize::new(1) });
    let mut symbolizer = Symbolizer::with_debug_files(Budget::default(), None, Some(server.clone()));
    let debug_files = || DebugFiles::to_seek(machine.root(7), "/opt/app/program");
    let place = machine.look_up_with(&mut symbolizer, &debug_files());
    assert!(place.frames[0].name.starts_with("[program+0x"), "{place:?}");
    let outcomes: Vec<_> = symbolizer.debug_outcomes().filter(|(_, count)| *count > 0).collect();
    assert_eq!(outcomes, [(DebugOutcome::NotElf, 1)]);
    machine.place("7", &machine.path_by_build_id());
    let mut symbolizer = Symbolizer::with_debug_files(Budget::default(), None, Some(server.clone()));
    assert_named(&machine.look_up_with(&mut symbolizer, &debug_files()));
    assert_eq!(server.asked.load(Ordering::SeqCst), 2);
}
