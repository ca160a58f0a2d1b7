//! Without permissions or kernel features: status 4, what is missing, and where to look.

use anyhow::Result;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;
use telegen_e2e::{Outcome, Program, Scratch, record_files, run, telegen, telegen_as_nobody};

const LIMIT: Duration = Duration::from_secs(60);

fn assert_names_capability(outcome: &Outcome) {
    let text = &outcome.stderr;
    assert!(
        text.contains("CAP_BPF") || text.contains("CAP_PERFMON") || text.contains("CAP_SYS_ADMIN"),
        "{outcome}"
    );
    assert!(text.contains("telegen doctor"), "{outcome}");
}

#[test]
fn nobody_may_not_record() -> Result<()> {
    let scratch = Scratch::new()?;
    let running = scratch.start(Program::Burn, "tg-forbidden", &[])?;
    fs::create_dir(scratch.join("open"))?;
    fs::set_permissions(scratch.join("open"), fs::Permissions::from_mode(0o777))?;
    let pid = running.pid().to_string();
    for selection in [&["--name", "tg-forbidden"][..], &["--pid", &pid], &["--all"], &["--", "true"]] {
        let mut command = telegen_as_nobody(["record", "-d", "1000s"].iter().chain(selection))?;
        let outcome = run(command.current_dir(scratch.join("open")), LIMIT)?.expect_code(4)?;
        assert_names_capability(&outcome);
        assert!(record_files(&scratch.join("open"))?.is_empty());
    }
    Ok(())
}

#[test]
fn nobody_may_not_run_the_agent() -> Result<()> {
    let scratch = Scratch::new()?;
    let config = "profiler:\n  target_process_names: [tg-x]\n  server: {health_listen: \"127.0.0.1:0\", listen: \"127.0.0.1:0\"}\n";
    let config = scratch.write("config.yaml", config)?;
    let outcome = run(telegen_as_nobody(["agent", "--config"])?.arg(config), LIMIT)?.expect_code(4)?;
    assert_names_capability(&outcome);
    Ok(())
}

#[test]
fn a_kernel_without_btf_is_named() -> Result<()> {
    let scratch = Scratch::new()?;
    let _running = scratch.start(Program::Burn, "tg-no-btf", &[])?;
    let mut command = telegen(["record", "--name", "tg-no-btf", "-d", "1000s"])?;
    command.env("TELEGEN_BTF_PATH", "/nonexistent").current_dir(scratch.path());
    let outcome = run(&mut command, LIMIT)?.expect_code(4)?;
    assert!(outcome.stderr.contains("BTF") && outcome.stderr.contains("telegen doctor"), "{outcome}");
    assert_eq!(record_files(scratch.path())?, ["tg-no-btf"]);
    Ok(())
}

#[test]
fn the_selection_can_be_looked_at_without_any_permission_or_btf() -> Result<()> {
    let scratch = Scratch::new()?;
    let _running = scratch.start(Program::Sleeper, "tg-looked-at", &[])?;
    let mut command = telegen_as_nobody(["targets", "--name", "tg-looked-at"])?;
    let outcome = run(command.env("TELEGEN_BTF_PATH", "/nonexistent"), LIMIT)?.expect_code(0)?;
    assert!(outcome.stdout.contains("tg-looked-at"), "{outcome}");
    Ok(())
}
