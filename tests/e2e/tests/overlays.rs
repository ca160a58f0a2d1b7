//! A program in an overlay that nobody but itself can see, as container runtimes make them.

use anyhow::Result;
use std::fs;
use std::process::Command;
use std::time::Duration;
use telegen_e2e::{Profile, Program, Running, Scratch, record, skip, until};

const SCRIPT: &str = "mount -t tmpfs tmpfs layers && mkdir layers/lower layers/upper layers/work layers/merged && \
    cp tg-overlaid layers/lower/ && \
    mount -t overlay overlay -o lowerdir=layers/lower,upperdir=layers/upper,workdir=layers/work layers/merged || exit 77; \
    exec chroot layers/merged /tg-overlaid";

/// The program, running from an overlay in a mount namespace of its own; `None` if the kernel has no overlays.
fn start(scratch: &Scratch) -> Result<Option<Running>> {
    scratch.install(Program::BurnStatic, "tg-overlaid")?;
    fs::create_dir(scratch.join("layers"))?;
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", SCRIPT]).current_dir(scratch.path());
    let mut running = Running::spawn(&mut command)?;
    let pid = running.pid();
    until(Duration::from_secs(30), "the program in the overlay", || {
        if !running.is_running()? {
            return Ok(Some(None));
        }
        let executable = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
        Ok(executable.ends_with("tg-overlaid").then_some(Some(())))
    })
    .map(|started| started.map(|()| running))
}

fn assert_named(profile: &Profile) {
    let named =
        profile.count_with("tg_half") + profile.count_with("tg_third") + profile.count_with("tg_fifth");
    assert!(
        named > 0 && named * 10 >= profile.total() * 9,
        "{named} of {}: {:?}",
        profile.total(),
        profile.functions()
    );
    assert_eq!(profile.label_values("process.executable.path"), ["/tg-overlaid"].into());
}

#[test]
fn it_has_its_names_and_keeps_them_when_it_is_deleted_there() -> Result<()> {
    let scratch = Scratch::new()?;
    let Some(running) = start(&scratch)? else { skip!("this kernel mounts no overlay") };
    let pid = running.pid().to_string();
    assert_named(&record(scratch.path(), &["--pid", &pid, "-d", "2s"])?.profile);
    fs::remove_file(format!("/proc/{pid}/root/tg-overlaid"))?;
    let other = Scratch::new()?;
    assert_named(&record(other.path(), &["--pid", &pid, "-d", "2s"])?.profile);
    Ok(())
}
