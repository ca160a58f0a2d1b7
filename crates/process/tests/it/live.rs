//! Real processes in unusual states.

use crate::child::Running;
use std::fs;
use std::io::Read;
use std::time::{Duration, Instant};
use telegen_model::{Pid, base_name};
use telegen_process::{Backing, Error, MappedFile, Mapping, ProcFs};

fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_process_may_call_itself_what_it_likes() {
    let name = "a) R 1 (b";
    let script = format!("printf '{name}' > /proc/$$/comm; echo ready; read x");
    let shell = Running::start("sh", &["-c", &script]).expect("there is always a shell");
    let facts = ProcFs::default().facts(shell.pid()).unwrap();
    assert_eq!((&*facts.comm, facts.argv0.as_deref()), (name, Some("sh")));
    assert_eq!(facts.parent, Pid(std::process::id()));
    let shell_path = fs::canonicalize("/bin/sh").unwrap();
    assert_eq!(facts.executable.as_deref(), shell_path.to_str());
}

#[test]
fn start_times_are_those_of_the_clock_since_boot() {
    let shell = Running::start("sh", &["-c", "echo ready; read x"]).expect("there is always a shell");
    let uptime = fs::read_to_string("/proc/uptime").unwrap();
    let now: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
    let start = ProcFs::default().facts(shell.pid()).unwrap().key.id.start.0 as f64 / 1e9;
    assert!((now - 60.0..=now + 0.1).contains(&start), "started at {start}, now it is {now}");
}

/// The main thread ends by itself, another one goes on.
const LEADER_LEAVES: &str = "
import ctypes, threading, time, sys
def work():
    time.sleep(0.2)
    print('ready', flush=True)
    time.sleep(600)
threading.Thread(target=work).start()
ctypes.CDLL(None).pthread_exit(None)
";

#[test]
fn a_process_lives_on_when_its_leader_has_left() {
    let Some(python) = Running::start("python3", &["-c", LEADER_LEAVES]) else { return };
    let proc = ProcFs::default();
    let stat = wait_for("the leader stays", || proc.stat(python.pid()).ok().filter(|stat| stat.state == 'Z'));
    assert_eq!(stat.threads, 2);
    let facts = proc.facts(python.pid()).unwrap();
    assert!(base_name(facts.executable.as_deref().unwrap()).starts_with("python3"), "{facts:?}");
    let maps = proc.executable_mappings(python.pid()).unwrap();
    assert!(
        maps.mappings.iter().any(|mapping| mapping.backing.name().is_some_and(|name| name.contains("libc")))
    );
    assert_eq!((maps.malformed, maps.surplus), (0, 0));
}

#[test]
fn what_has_ended_is_gone_and_what_nobody_waits_for_has_nothing() {
    let proc = ProcFs::default();
    let mut shell = Running::start("sh", &["-c", "echo ready; read x"]).expect("there is always a shell");
    let pid = shell.pid();
    shell.kill();
    wait_for("it does not die", || proc.stat(pid).ok().filter(|stat| stat.state == 'Z'));
    let facts = proc.facts(pid).unwrap();
    assert_eq!((facts.executable, facts.argv0), (None, None));
    assert!(proc.executable_mappings(pid).unwrap().mappings.is_empty());
    shell.end();
    assert!(matches!(proc.facts(pid), Err(Error::Gone { pid: p }) if p == pid));
    assert!(matches!(proc.executable_mappings(pid), Err(Error::Gone { .. })));
}

/// Maps a file executable, with a name that holds a line break, and stays.
const MAPS_A_FILE: &str = "
import mmap, sys
file = open(sys.argv[1], 'rb')
map = mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_EXEC)
file.close()
print('ready', flush=True)
sys.stdin.read()
";

struct Mapped {
    directory: tempfile::TempDir,
    python: Running,
    mapping: Mapping,
}

fn mapped(contents: &str) -> Option<Mapped> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a b\nc");
    fs::write(&path, contents).unwrap();
    let path = path.to_str().unwrap();
    let python = Running::start("python3", &["-c", MAPS_A_FILE, path])?;
    let maps = ProcFs::default().executable_mappings(python.pid()).unwrap();
    let mapping = maps.mappings.into_iter().find(|mapping| mapping.backing.name() == Some(path)).unwrap();
    Some(Mapped { directory, python, mapping })
}

fn contents(mut file: MappedFile) -> String {
    let mut text = String::new();
    file.file.read_to_string(&mut text).unwrap();
    assert_eq!(file.facts.size, text.len() as u64);
    text
}

#[test]
fn a_mapped_file_is_read_when_another_stands_at_its_path() {
    let Some(Mapped { directory, python, mapping }) = mapped("the one that is mapped") else { return };
    let proc = ProcFs::default();
    let path = directory.path().join("a b\nc");
    // Another file, whose inode is another one: the first is in use still.
    fs::remove_file(&path).unwrap();
    fs::write(&path, "a namesake").unwrap();
    match MappedFile::open(&proc, python.pid(), &mapping) {
        Ok(file) => assert_eq!(contents(file), "the one that is mapped"),
        // Without the privilege to follow map_files the file cannot be had any more; the namesake is not taken.
        Err(error) => assert!(matches!(error, Error::OtherFile { .. }), "{error:?}"),
    }
    let maps = proc.executable_mappings(python.pid()).unwrap();
    let same = maps.mappings.iter().find(|other| other.start == mapping.start).unwrap();
    assert!(matches!(same.backing, Backing::File { deleted: true, .. }), "{same:?}");
}

#[test]
fn a_mapped_file_is_found_by_its_path_if_need_be() {
    let Some(Mapped { directory, python, mut mapping }) = mapped("by its path") else { return };
    // A range that map_files does not have.
    (mapping.start, mapping.end) = (0x1000, 0x2000);
    let proc = ProcFs::default();
    assert_eq!(contents(MappedFile::open(&proc, python.pid(), &mapping).unwrap()), "by its path");
    fs::remove_file(directory.path().join("a b\nc")).unwrap();
    assert!(MappedFile::open(&proc, python.pid(), &mapping).is_err());
}

#[test]
fn what_has_been_mapped_instead_is_not_taken_for_the_file() {
    let Some(Mapped { directory: _kept, python, mut mapping }) = mapped("x") else { return };
    let Backing::File { inode, .. } = &mut mapping.backing else { panic!("a file") };
    // As though the range had been another file's when maps were read.
    *inode += 1;
    let refused = MappedFile::open(&ProcFs::default(), python.pid(), &mapping);
    assert!(matches!(refused, Err(Error::OtherFile { .. })), "{refused:?}");
}

/// 50,000 mappings, every second one of which cannot be accessed.
const CROWDED: &str = "
import ctypes, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
start = libc.mmap(None, 50_000 * 4096, 3, 0x22, -1, 0)
for nth in range(0, 50_000, 2):
    assert libc.mprotect(start + nth * 4096, 4096, 0) == 0
print('ready', flush=True)
sys.stdin.readline()
";

#[test]
fn of_very_many_mappings_only_those_of_code_are_looked_at() {
    let Some(python) = Running::start("python3", &["-c", CROWDED]) else { return };
    let lines = fs::read_to_string(format!("/proc/{}/maps", python.pid())).unwrap().lines().count();
    let maps = ProcFs::default().executable_mappings(python.pid()).unwrap();
    assert!(lines > 50_000 && maps.mappings.len() > 3, "{lines} lines, {maps:?}");
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
    if (numbers.next().unwrap(), numbers.next().unwrap()) >= (6, 11) {
        assert_eq!(maps.looked_at, maps.mappings.len());
    } else {
        assert_eq!(maps.looked_at, lines);
    }
    python.end();
}
