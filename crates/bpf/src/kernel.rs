//! Loading the programs, and starting what they do.

use crate::abi::{MAX_CPUS, MAX_USER_FRAMES, RawConstants};
use crate::perf::Clocks;
use crate::privileges::missing_capabilities;
use crate::sys::{self, SharedMemory};
use crate::{
    Clock, ControlGroups, CpuSet, Decider, Error, EventRing, Leftovers, RemapCounts, SampleRings, Scanner,
    Shared, UnwindMaps, features,
};
use libbpf_rs::{
    Link, MapCore, MapFlags, MapHandle, MapImpl, Object, ObjectBuilder, OpenObject, PrintLevel, ProgramMut,
    set_print,
};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Mutex;

static OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/telegen.bpf.o"));
const BTF: &str = "/sys/kernel/btf/vmlinux";
/// Names another place to look for the kernel's BTF.
const BTF_VARIABLE: &str = "TELEGEN_BTF_PATH";
const IDENTIFY: &str = "tg_identify";
/// The programs that list processes: all, and their `argv[0]`.
pub(crate) const SCAN: [&str; 2] = ["tg_scan", "tg_scan_argv0"];
const LIFECYCLE: [&str; 6] = ["tg_fork", "tg_exec", "tg_exit", "tg_free", "tg_rename", "tg_moved"];

/// The program that notices when addresses are handed out anew, and the tracepoint that it is for (5.7 and newer).
const AREAS: &str = "tg_area_found";
const TRACEPOINT_OF_AREAS: &str = "vm_unmapped_area";

/// What the programs shall do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// What makes CPUs tick.
    pub clock: Clock,
    /// Ticks per second and CPU.
    pub sample_hz: u32,
    /// Most frames of a user stack.
    pub max_user_frames: u32,
    /// Whether kernel stacks are taken.
    pub kernel_stacks: bool,
}

/// The loaded programs. Dropping it stops and removes them.
pub struct Kernel {
    object: Object,
    shared: Shared,
    rings: SampleRings,
    lifecycle: Vec<Link>,
    clocks: Clocks,
}

impl Kernel {
    /// Loads the programs; none of them runs yet.
    pub fn load(options: &Options) -> Result<Self, Error> {
        let cpus = CpuSet::possible()?;
        if let Some(cpu) = cpus.iter().find(|&cpu| cpu as usize >= MAX_CPUS) {
            return Err(Error::TooManyCpus { cpu, limit: MAX_CPUS });
        }
        let object = load(|| open(options, cpus.len()))?;
        let rings = SampleRings::create(cpus.len(), options.sample_hz)?;
        let kernel = Self {
            shared: map_shared(&object)?,
            object,
            rings,
            lifecycle: Vec::new(),
            clocks: Clocks::new(options.clock, options.sample_hz),
        };
        kernel.install_rings()?;
        identify(&kernel.object)?;
        Ok(kernel)
    }

    /// From here on code that gives way to other code at the same addresses is noticed at once. Without it, it is noticed by
    /// what differs otherwise: how many pages of code there are.
    pub fn watch_areas(&mut self) -> Result<(), Error> {
        let link = self
            .program(AREAS)?
            .attach_raw_tracepoint(TRACEPOINT_OF_AREAS)
            .map_err(|source| Error::Attach { program: AREAS.into(), source })?;
        self.lifecycle.push(link);
        Ok(())
    }

    /// From here on the kernel keeps track of processes. Attach before the first scan, or it races with forks.
    pub fn watch_processes(&mut self) -> Result<(), Error> {
        for name in LIFECYCLE {
            let link = self
                .program(name)?
                .attach_trace()
                .map_err(|source| Error::Attach { program: name.into(), source })?;
            self.lifecycle.push(link);
        }
        Ok(())
    }

    /// Starts the clocks of all CPUs that are online and have none yet, and drops those of CPUs that have gone.
    /// How many have come and gone.
    pub fn follow_cpus(&mut self) -> Result<(usize, usize), Error> {
        let online = CpuSet::online()?;
        let program = find_program(&self.object, "tg_cpu_tick")?;
        self.clocks.follow(&online, &program)
    }

    /// Stops the clocks; samples already taken stay in their rings.
    pub fn stop_clocks(&mut self, options: &Options) {
        self.clocks = Clocks::new(options.clock, options.sample_hz);
    }

    /// What hands decisions to the kernel.
    pub fn decider(&self) -> Result<Decider, Error> {
        let program = sys::duplicate(self.program("tg_apply_decisions")?.as_fd())
            .map_err(|source| Error::Kernel { action: "duplicating a program's descriptor", source })?;
        Ok(Decider::new(program, self.shared.clone()))
    }

    /// What reads the list of processes.
    pub fn scanner(&self) -> Result<Scanner, Error> {
        Scanner::of(&self.object)
    }

    /// What finds entries that have been left over in the kernel's table.
    pub fn leftovers(&self) -> Result<Leftovers, Error> {
        MapHandle::try_from(&self.map("tg_processes")?)
            .map(Leftovers::new)
            .map_err(|source| Error::Attach { program: "the map of processes".into(), source })
    }

    /// The control groups that the programs are told of, for the one thread that decides.
    pub fn control_groups(&self) -> Result<ControlGroups, Error> {
        MapHandle::try_from(&self.map("tg_cgroups")?)
            .map(ControlGroups::new)
            .map_err(|source| Error::Attach { program: "the map of control groups".into(), source })
    }

    /// What stacks are unwound by, for the one thread that fills it.
    pub fn unwind_maps(&self) -> Result<UnwindMaps, Error> {
        UnwindMaps::new(
            &self.map("tg_tables")?,
            &self.map("tg_rules")?,
            &self.map("tg_mapped")?,
            &self.map("tg_areas")?,
        )
    }

    /// What tells how often an image has had other code at the same addresses.
    pub fn remap_counts(&self) -> Result<RemapCounts, Error> {
        let duplicate = |name| {
            MapHandle::try_from(&self.map(name)?)
                .map_err(|source| Error::Attach { program: format!("the map {name}"), source })
        };
        Ok(RemapCounts::new(duplicate("tg_processes")?, duplicate("tg_areas")?, self.shared.clone()))
    }

    /// The ring of lifecycle events.
    pub fn event_ring(&self) -> Result<EventRing, Error> {
        EventRing::new(&self.map("tg_events")?, self.shared.clone())
    }

    /// The rings of samples, for the one thread that reads them.
    pub fn sample_rings(&self) -> Result<SampleRings, Error> {
        self.rings.duplicate()
    }

    /// The counters, and what else the programs share.
    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Bytes that the kernel holds for all maps, as it reports them itself (`memlock` in `fdinfo`; an estimate before
    /// Linux 6.4).
    pub fn map_bytes(&self) -> u64 {
        let rings = self.rings.maps().iter().map(|map| map.as_fd().as_raw_fd());
        self.object.maps().map(|map| map.as_fd().as_raw_fd()).chain(rings).map(memlock_bytes).sum()
    }

    fn install_rings(&self) -> Result<(), Error> {
        let outer = self.map("tg_rings")?;
        for (slot, ring) in self.rings.maps().iter().enumerate() {
            let key = (slot as u32).to_ne_bytes();
            let value = ring.as_fd().as_raw_fd().to_ne_bytes();
            outer
                .update(&key, &value, MapFlags::ANY)
                .map_err(|source| Error::Load { source, log: vec!["entering the sample rings".into()] })?;
        }
        Ok(())
    }

    fn program(&self, name: &'static str) -> Result<ProgramMut<'_>, Error> {
        find_program(&self.object, name)
    }

    fn map(&self, name: &'static str) -> Result<MapImpl<'_>, Error> {
        find_map(&self.object, name)
    }
}

/// Where the kernel's BTF is looked for.
pub fn btf_path() -> PathBuf {
    std::env::var_os(BTF_VARIABLE).map_or_else(|| BTF.into(), PathBuf::from)
}

/// Loads what `open` has opened, after asking what would otherwise only show as an error number.
fn load(open: impl FnOnce() -> Result<OpenObject, libbpf_rs::Error>) -> Result<Object, Error> {
    let missing = missing_capabilities();
    if !missing.is_empty() {
        return Err(Error::NotPermitted { missing });
    }
    let path = btf_path();
    if !path.exists() {
        return Err(Error::NoBtf { path });
    }
    let (object, log) = with_log(|| open().and_then(OpenObject::load));
    // What asking makes libbpf say is of no use to anybody.
    object.map_err(|source| with_log(|| features::explain(source, log)).0)
}

/// Loads the programs that read the list of processes, and nothing else.
pub(crate) fn load_scan() -> Result<Object, Error> {
    let object = load(|| {
        let mut object = ObjectBuilder::default().name("telegen")?.open_memory(OBJECT)?;
        for mut program in object.progs_mut() {
            let wanted = program.name().to_str().is_some_and(|name| SCAN.contains(&name) || name == IDENTIFY);
            program.set_autoload(wanted);
        }
        Ok(object)
    })?;
    identify(&object)?;
    Ok(object)
}

/// Tells the programs who the agent is.
fn identify(object: &Object) -> Result<(), Error> {
    sys::run_program(find_program(object, IDENTIFY)?.as_fd())
        .map_err(|source| Error::Kernel { action: "asking the kernel who the agent is", source })
}

/// An iterator of processes, as a link that can be opened again and again.
pub(crate) fn iterator(object: &Object, name: &'static str) -> Result<OwnedFd, Error> {
    let link = find_program(object, name)?
        .attach_iter_with_opts(libbpf_rs::IterOpts::None)
        .map_err(|source| Error::Attach { program: name.into(), source })?;
    sys::duplicate(link.as_fd())
        .map_err(|source| Error::Kernel { action: "duplicating an iterator's descriptor", source })
}

fn find_program<'a>(object: &'a Object, name: &'static str) -> Result<ProgramMut<'a>, Error> {
    object.progs_mut().find(|program| program.name() == name).ok_or(Error::Missing { kind: "program", name })
}

fn find_map<'a>(object: &'a Object, name: &'static str) -> Result<MapImpl<'a>, Error> {
    object.maps().find(|map| map.name() == name).ok_or(Error::Missing { kind: "map", name })
}

fn open(options: &Options, cpus: usize) -> Result<OpenObject, libbpf_rs::Error> {
    let mut object = ObjectBuilder::default().name("telegen")?.open_memory(OBJECT)?;
    let rings = SampleRings::count(cpus) as u32;
    for mut map in object.maps_mut() {
        match map.name().to_str() {
            Some("tg_rings") => map.set_max_entries(rings)?,
            Some(name) if name.ends_with(".rodata") => {
                if let Some(bytes) = map.initial_value_mut() {
                    write_constants(bytes, options, rings);
                }
            }
            _ => {}
        }
    }
    Ok(object)
}

fn write_constants(bytes: &mut [u8], options: &Options, rings: u32) {
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(std::mem::offset_of!(RawConstants, ring_count), &rings.to_ne_bytes());
    put(
        std::mem::offset_of!(RawConstants, user_frames),
        &options.max_user_frames.clamp(1, MAX_USER_FRAMES).to_ne_bytes(),
    );
    put(std::mem::offset_of!(RawConstants, kernel_stacks), &[u8::from(options.kernel_stacks)]);
}

fn map_shared(object: &Object) -> Result<Shared, Error> {
    let map = object
        .maps()
        .find(|map| map.name().to_string_lossy().ends_with(".bss"))
        .ok_or(Error::Missing { kind: "map", name: ".bss" })?;
    let memory = SharedMemory::map(map.as_fd())
        .map_err(|source| Error::Kernel { action: "mapping the memory shared with the programs", source })?;
    Ok(Shared::new(memory))
}

fn memlock_bytes(fd: std::os::fd::RawFd) -> u64 {
    std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}"))
        .ok()
        .and_then(|text| text.lines().find_map(|line| line.strip_prefix("memlock:")?.trim().parse().ok()))
        .unwrap_or(0)
}

/// Runs something and returns with it what libbpf had to say: the last lines, where the verifier gives its reason.
fn with_log<T>(run: impl FnOnce() -> T) -> (T, Vec<String>) {
    static LOG: Mutex<Vec<String>> = Mutex::new(Vec::new());
    const LINES: usize = 12;
    fn collect(_: PrintLevel, message: String) {
        if let Ok(mut log) = LOG.lock() {
            log.extend(message.lines().map(str::to_owned));
            let surplus = log.len().saturating_sub(LINES);
            log.drain(..surplus);
        }
    }
    let before = set_print(Some((PrintLevel::Warn, collect)));
    let result = run();
    set_print(before);
    let log = LOG.lock().map(|mut log| std::mem::take(&mut *log)).unwrap_or_default();
    (result, log)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The object for machines that this build is not for.
    static OTHER: &[u8] =
        include_bytes!(concat!(env!("OUT_DIR"), "/telegen-", env!("TELEGEN_OTHER_MACHINE"), ".bpf.o"));

    fn programs_and_maps(object: &[u8]) -> (Vec<String>, Vec<String>) {
        let mut builder = ObjectBuilder::default();
        let object = builder.name("telegen").and_then(|builder| builder.open_memory(object));
        let object = object.expect("an object of programs");
        let text = |name: &std::ffi::OsStr| name.to_string_lossy().into_owned();
        let programs = object.progs().map(|program| text(program.name())).collect();
        (programs, object.maps().map(|map| text(map.name())).collect())
    }

    #[test]
    fn the_programs_are_the_same_on_all_machines() {
        let (programs, maps) = programs_and_maps(OBJECT);
        assert_eq!(programs_and_maps(OTHER), (programs.clone(), maps));
        for name in LIFECYCLE.iter().chain(&SCAN).chain(&[IDENTIFY, AREAS, "tg_cpu_tick"]) {
            assert!(programs.iter().any(|program| program == name), "{name} is not among {programs:?}");
        }
    }
}
