//! Machines that lack what others have: a profile is made all the same, only what needs the missing part is lost, and
//! `telegen doctor` says so.

use anyhow::{Context, Result};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;
use telegen_e2e::{
    Container, NEEDED_CAPABILITIES, Outcome, Profile, Program, Scratch, Sysctl, run, skip, telegen,
    telegen_as_nobody_with, with_mounts,
};

const LIMIT: Duration = Duration::from_secs(60);
/// So many come in three seconds, however busy the machine is with other things; fewer tell nothing.
const FEWEST_SAMPLES: u64 = 20;
const KPTR_RESTRICT: &str = "/proc/sys/kernel/kptr_restrict";

/// Who runs telegen.
#[derive(Clone, Copy)]
enum User {
    Root,
    /// With the capabilities that are needed, and no others.
    Nobody,
    /// With those but the one by which others' processes are seen.
    BlindNobody,
}

fn command(user: User, arguments: &[&str]) -> Result<Command> {
    match user {
        User::Root => telegen(arguments),
        User::Nobody => telegen_as_nobody_with(&NEEDED_CAPABILITIES, arguments),
        User::BlindNobody => {
            let few: Vec<_> = NEEDED_CAPABILITIES.into_iter().filter(|name| *name != "sys_ptrace").collect();
            telegen_as_nobody_with(&few, arguments)
        }
    }
}

/// What telegen makes of a machine.
struct Tried {
    profile: Profile,
    doctor: Outcome,
}

impl Tried {
    /// The doctor's finding of a name: how it is, and why.
    fn finding(&self, name: &str) -> Result<String> {
        let line = self.doctor.stdout.lines().find_map(|line| line.strip_prefix(name));
        Ok(line.with_context(|| format!("nothing on {name}\n{}", self.doctor))?.trim().to_owned())
    }

    fn assert_user_frames_are_named(&self) {
        let (named, total) = (self.profile.count_with("main"), self.profile.total());
        assert!(total >= FEWEST_SAMPLES, "{total} samples");
        assert!(named * 10 > total * 9, "{named} of {total}: {:?}", self.profile.functions());
    }

    fn assert_kernel_frames_are_named(&self) {
        let named = self.in_kernel();
        assert!(named * 2 > self.profile.total(), "{named}: {:?}", self.profile.functions());
    }

    /// Samples in a system call, by the kernel's name for it.
    fn in_kernel(&self) -> u64 {
        self.profile.count(|sample| sample.frames.iter().any(|frame| frame.function.contains("sys_read")))
    }
}

/// Records a program that calls the kernel, where other things are mounted, and asks the doctor there.
fn try_out(changes: &str, user: User, name: &str) -> Result<Tried> {
    let scratch = Scratch::new()?;
    let _target = scratch.start(Program::Syscalls, name, &[])?;
    record(&scratch, changes, user, &["--name", name])
}

fn record(scratch: &Scratch, changes: &str, user: User, selection: &[&str]) -> Result<Tried> {
    let out = scratch.join("out");
    fs::create_dir(&out)?;
    fs::set_permissions(&out, fs::Permissions::from_mode(0o777))?;
    let output = scratch.text("out/a.pb.gz");
    let arguments = [&["record", "-d", "3s", "-o", &output], selection].concat();
    run(&mut with_mounts(changes, &command(user, &arguments)?), LIMIT)?.expect_code(0)?;
    let doctor = run(&mut with_mounts(changes, &command(user, &["doctor"])?), LIMIT)?.expect_code(0)?;
    Ok(Tried { profile: Profile::read(&out.join("a.pb.gz"))?, doctor })
}

#[test]
fn hidden_kernel_addresses_cost_the_names_of_kernel_frames() -> Result<()> {
    let _hidden = Sysctl::set(KPTR_RESTRICT, "2")?;
    for (user, name) in [(User::Root, "tg-kptr-root"), (User::Nobody, "tg-kptr-nobody")] {
        let tried = try_out(":", user, name)?;
        tried.assert_user_frames_are_named();
        assert_eq!(tried.in_kernel(), 0, "{:?}", tried.profile.functions());
        let kernel =
            tried.profile.count(|sample| sample.frames.iter().any(|frame| frame.mapping.contains("kernel")));
        assert!(kernel * 2 > tried.profile.total(), "{kernel} of {}", tried.profile.total());
        let symbols = tried.finding("kernel symbols")?;
        assert!(symbols.starts_with("degraded") && symbols.contains("kptr_restrict=1"), "{symbols}");
    }
    Ok(())
}

#[test]
fn without_tracefs_nothing_is_lost() -> Result<()> {
    let changes = "for at in /sys/kernel/tracing /sys/kernel/debug; do ! mountpoint -q $at || umount -R $at; done; \
                   ! grep -qE ' - (tracefs|debugfs) ' /proc/self/mountinfo";
    let tried = try_out(changes, User::Root, "tg-no-tracefs")?;
    tried.assert_user_frames_are_named();
    tried.assert_kernel_frames_are_named();
    assert!(tried.finding("BPF programs")?.starts_with("ok"));
    Ok(())
}

#[test]
fn without_a_list_of_modules_nothing_is_lost() -> Result<()> {
    // Kernels without modules have none anyway.
    let changes = "! [ -e /proc/modules ] || mount --bind /dev/null /proc/modules";
    let tried = try_out(changes, User::Root, "tg-no-modules")?;
    tried.assert_user_frames_are_named();
    tried.assert_kernel_frames_are_named();
    Ok(())
}

#[test]
fn without_kallsyms_kernel_frames_are_addresses() -> Result<()> {
    let tried = try_out("mount --bind /dev/null /proc/kallsyms", User::Root, "tg-no-kallsyms")?;
    tried.assert_user_frames_are_named();
    assert_eq!(tried.in_kernel(), 0, "{:?}", tried.profile.functions());
    let symbols = tried.finding("kernel symbols")?;
    assert!(symbols.starts_with("degraded") && symbols.contains("there are none"), "{symbols}");
    Ok(())
}

#[test]
fn a_proc_of_nothing_but_processes_costs_no_more() -> Result<()> {
    let tried = try_out("mount -t proc -o subset=pid proc /proc", User::Root, "tg-pids-only")?;
    tried.assert_user_frames_are_named();
    assert!(tried.finding("kernel symbols")?.starts_with("degraded"));
    Ok(())
}

#[test]
fn processes_that_are_hidden_are_profiled_by_who_may_trace_them() -> Result<()> {
    let hide = "mount -t proc -o hidepid=2 proc /proc";
    for (user, name) in [(User::Root, "tg-hid-root"), (User::Nobody, "tg-hid-nobody")] {
        let tried = try_out(hide, user, name)?;
        tried.assert_user_frames_are_named();
        tried.assert_kernel_frames_are_named();
        let proc = tried.finding("/proc")?;
        assert!(proc.starts_with("ok") && proc.contains("hidepid="), "{proc}");
    }
    Ok(())
}

#[test]
fn processes_that_are_hidden_from_the_user_are_profiled_without_names() -> Result<()> {
    let hide = "mount -t proc -o hidepid=2 proc /proc";
    let tried = try_out(hide, User::BlindNobody, "tg-hid-blind")?;
    let profile = &tried.profile;
    assert!(
        profile.total() >= FEWEST_SAMPLES && profile.count_with("main") == 0,
        "{:?}",
        profile.functions()
    );
    tried.assert_kernel_frames_are_named();
    let proc = tried.finding("/proc")?;
    assert!(proc.starts_with("degraded") && proc.contains("CAP_SYS_PTRACE"), "{proc}");
    Ok(())
}

#[test]
fn containers_are_known_whatever_control_groups_are_mounted() -> Result<()> {
    if !Container::is_supported() {
        skip!("no runc");
    }
    let unmount = "! mountpoint -q /sys/fs/cgroup || umount -R /sys/fs/cgroup";
    let second_only = format!("{unmount}; mount -t cgroup2 cgroup2 /sys/fs/cgroup");
    let cases = [("none", unmount, "degraded  none mounted"), ("v2", &second_only, "ok        version 2")];
    for (name, changes, found) in cases {
        let scratch = Scratch::new()?;
        let inside = Container::start(&scratch, Program::BurnStatic, &format!("tg-groups-{name}"), &[])?;
        let tried = record(&scratch, changes, User::Root, &["--container", &inside.id()[..12]])?;
        assert!(
            tried.profile.count_with("tg_half") >= FEWEST_SAMPLES,
            "{name}: {:?}",
            tried.profile.functions()
        );
        let ids = tried.profile.label_values("container.id");
        assert_eq!(ids.into_iter().collect::<Vec<_>>(), [inside.id()], "{name}");
        let groups = tried.finding("control groups")?;
        assert!(groups.starts_with(found), "{groups}");
    }
    Ok(())
}

#[test]
fn without_sysfs_nothing_starts_and_it_is_named() -> Result<()> {
    let scratch = Scratch::new()?;
    let _target = scratch.start(Program::Burn, "tg-no-sysfs", &[])?;
    let output = scratch.text("a.svg");
    for arguments in [&["record", "--name", "tg-no-sysfs", "-d", "1000s", "-o", &output][..], &["doctor"]] {
        let mut command = with_mounts("umount -R /sys", &telegen(arguments)?);
        let outcome = run(&mut command, LIMIT)?.expect_code(4)?;
        assert!(outcome.output().contains("sysfs"), "{outcome}");
    }
    assert!(!fs::exists(&output)?);
    Ok(())
}
