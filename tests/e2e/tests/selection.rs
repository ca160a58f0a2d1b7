//! Which processes are recorded: two are busy, and of the one that is not selected there must be no sample at all.

use anyhow::{Context, Result, ensure};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;
use telegen_e2e::{Profile, Program, Recording, Running, Scratch, python, record, run, skip, telegen};

/// Fails unless the samples are those of exactly these processes, each with some.
fn assert_only(profile: &Profile, selected: &[&Running]) {
    let pids: Vec<String> = selected.iter().map(|running| running.pid().to_string()).collect();
    let expected = pids.iter().map(String::as_str).collect();
    assert_eq!(
        profile.label_values("process.pid"),
        expected,
        "{:?}",
        profile.label_values("process.executable.name")
    );
    assert_eq!(
        profile.count(|sample| sample.label("process.pid").is_empty()),
        0,
        "samples that belong to nobody"
    );
}

fn record_three_seconds(scratch: &Scratch, arguments: &[&str]) -> Result<Profile> {
    let Recording { profile, .. } = record(scratch.path(), &[&["-d", "3s"], arguments].concat())?;
    Ok(profile)
}

struct Pair {
    scratch: Scratch,
    a: Running,
    b: Running,
}

/// Two busy programs: `<name>-a` and `<name>-b`.
fn pair(name: &str) -> Result<Pair> {
    let scratch = Scratch::new()?;
    let a = scratch.start(Program::Burn, &format!("{name}-a"), &[])?;
    let b = scratch.start(Program::Burn, &format!("{name}-b"), &[])?;
    Ok(Pair { scratch, a, b })
}

#[test]
fn by_name() -> Result<()> {
    let Pair { scratch, a, b: _b } = pair("tg-by-name")?;
    assert_only(&record_three_seconds(&scratch, &["--name", "tg-by-name-a"])?, &[&a]);
    Ok(())
}

#[test]
fn by_pid() -> Result<()> {
    let Pair { scratch, a: _a, b } = pair("tg-by-pid")?;
    assert_only(&record_three_seconds(&scratch, &["--pid", &b.pid().to_string()])?, &[&b]);
    Ok(())
}

#[test]
fn by_executable() -> Result<()> {
    let Pair { scratch, a, b: _b } = pair("tg-by-exe")?;
    assert_only(&record_three_seconds(&scratch, &["--exe", &scratch.text("tg-by-exe-a")])?, &[&a]);
    Ok(())
}

#[test]
fn an_asterisk_in_an_executable_crosses_slashes() -> Result<()> {
    let scratch = Scratch::new()?;
    let a = scratch.start(Program::Burn, "one/two/tg-deep", &[])?;
    let _b = scratch.start(Program::Burn, "two/tg-shallow", &[])?;
    let pattern = format!("{}/one/*", scratch.path().display());
    assert_only(&record_three_seconds(&scratch, &["--exe", &pattern])?, &[&a]);
    Ok(())
}

#[test]
fn by_globs() -> Result<()> {
    let Pair { scratch, a, b } = pair("tg-globs")?;
    let _other = scratch.start(Program::Burn, "tg-glob-other", &[])?;
    assert_only(&record_three_seconds(&scratch, &["--name", "tg-globs-*"])?, &[&a, &b]);
    assert_only(&record_three_seconds(&scratch, &["--name", "tg-globs-?"])?, &[&a, &b]);
    assert_only(&record_three_seconds(&scratch, &["--name", "tg-globs-[b-z]"])?, &[&b]);
    assert_only(&record_three_seconds(&scratch, &["--name", "tg-globs-{a,c}"])?, &[&a]);
    Ok(())
}

#[test]
fn a_pattern_without_wildcards_matches_the_whole_name_only() -> Result<()> {
    let scratch = Scratch::new()?;
    let a = scratch.start(Program::Burn, "tg-whole", &[])?;
    let _longer = scratch.start(Program::Burn, "tg-whole-not", &[])?;
    let _longer_in_front = scratch.start(Program::Burn, "not-tg-whole", &[])?;
    assert_only(&record_three_seconds(&scratch, &["--name", "tg-whole"])?, &[&a]);
    Ok(())
}

#[test]
fn flags_are_repeatable_and_take_lists() -> Result<()> {
    let Pair { scratch, a, b } = pair("tg-lists")?;
    let _c = scratch.start(Program::Burn, "tg-lists-c", &[])?;
    assert_only(
        &record_three_seconds(&scratch, &["--name", "tg-lists-a", "--name", "tg-lists-b"])?,
        &[&a, &b],
    );
    assert_only(&record_three_seconds(&scratch, &["--name", "tg-lists-a,tg-lists-b"])?, &[&a, &b]);
    // A comma within braces belongs to the pattern.
    assert_only(&record_three_seconds(&scratch, &["--name", "tg-none,tg-lists-{a,b}"])?, &[&a, &b]);
    let pids = format!("{},{}", a.pid(), b.pid());
    assert_only(&record_three_seconds(&scratch, &["--pid", &pids])?, &[&a, &b]);
    Ok(())
}

#[test]
fn a_name_longer_than_the_kernels_is_matched_whole() -> Result<()> {
    let scratch = Scratch::new()?;
    let a = scratch.start(Program::Burn, "tg-a-very-long-name-one", &[])?;
    let _b = scratch.start(Program::Burn, "tg-a-very-long-name-two", &[])?;
    let profile = record_three_seconds(&scratch, &["--name", "tg-a-very-long-name-one"])?;
    assert_only(&profile, &[&a]);
    assert_eq!(profile.label_values("process.executable.name"), ["tg-a-very-long-name-one"].into());
    Ok(())
}

#[test]
fn by_argv0_whose_base_name_counts() -> Result<()> {
    let Pair { scratch, a: _a, b: _b } = pair("tg-argv")?;
    let mut command = Command::new(scratch.install(Program::Burn, "tg-argv-c")?);
    let c = Running::spawn(command.arg0("/opt/somewhere/tg-argv-zero"))?;
    assert_only(&record_three_seconds(&scratch, &["--name", "tg-argv-zero"])?, &[&c]);
    // It still has its other names.
    assert_only(&record_three_seconds(&scratch, &["--name", "tg-argv-c"])?, &[&c]);
    Ok(())
}

#[test]
fn a_script_is_known_by_its_own_name_and_its_interpreters() -> Result<()> {
    let scratch = Scratch::new()?;
    let (interpreter, source) = python()?;
    let script = format!("#!{}\n{}", interpreter.display(), fs::read_to_string(source)?);
    let script = scratch.write("tg-script.py", &script)?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    let running = Running::spawn(&mut Command::new(&script))?;
    assert_only(&record_three_seconds(&scratch, &["--name", "tg-script.py"])?, &[&running]);
    let path = interpreter.to_str().context("UTF-8")?;
    let name = interpreter.file_name().and_then(|name| name.to_str()).context("UTF-8")?;
    let arguments = ["--match", "all", "--exe", path, "--name", name];
    let profile = record_three_seconds(&scratch, &arguments)?;
    assert!(profile.label_values("process.pid").contains(&*running.pid().to_string()));
    assert_eq!(profile.label_values("process.executable.path"), [path].into());
    Ok(())
}

#[test]
fn any_of_several_rules_or_all_of_them() -> Result<()> {
    let scratch = Scratch::new()?;
    let both = scratch.start(Program::Burn, "here/tg-match", &[])?;
    let only_name = scratch.start(Program::Burn, "there/tg-match", &[])?;
    let only_path = scratch.start(Program::Burn, "here/tg-match-not", &[])?;
    let here = format!("{}/here/*", scratch.path().display());
    let rules = ["--name", "tg-match", "--exe", &here];
    let any = record_three_seconds(&scratch, &[&rules[..], &["--match", "any"]].concat())?;
    assert_only(&any, &[&both, &only_name, &only_path]);
    let unsaid = record_three_seconds(&scratch, &rules)?;
    assert_only(&unsaid, &[&both, &only_name, &only_path]);
    let all = record_three_seconds(&scratch, &[&rules[..], &["--match", "all"]].concat())?;
    assert_only(&all, &[&both]);
    Ok(())
}

#[test]
fn an_exclusion_wins_over_a_name_but_not_over_a_pid() -> Result<()> {
    let Pair { scratch, a, b } = pair("tg-exclude")?;
    let names = ["--name", "tg-exclude-*", "--exclude-name", "tg-exclude-b"];
    assert_only(&record_three_seconds(&scratch, &names)?, &[&a]);
    let pid = b.pid().to_string();
    assert_only(&record_three_seconds(&scratch, &[&names[..], &["--pid", &pid]].concat())?, &[&a, &b]);
    Ok(())
}

#[test]
fn all_means_all_but_the_profiler_and_kernel_threads() -> Result<()> {
    let Pair { scratch, a, b } = pair("tg-all")?;
    let profile = record_three_seconds(&scratch, &["--all"])?;
    for running in [&a, &b] {
        assert!(profile.count(|sample| sample.label("process.pid") == running.pid().to_string()) > 0);
    }
    let names = profile.label_values("process.executable.name");
    assert!(!names.contains("telegen"), "{names:?}");
    for pid in profile.label_values("process.pid") {
        // A kernel thread is one whose parent is kthreadd, pid 2, or which is that itself.
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let parent = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1)).unwrap_or_default();
        ensure!(pid != "2" && pid != "0" && parent != "2", "a kernel thread: {stat}");
    }
    Ok(())
}

#[test]
fn all_honours_exclusions() -> Result<()> {
    let Pair { scratch, a, b } = pair("tg-all-but")?;
    let profile = record_three_seconds(&scratch, &["--all", "--exclude-name", "tg-all-but-b"])?;
    let count =
        |running: &Running| profile.count(|sample| sample.label("process.pid") == running.pid().to_string());
    assert!(count(&a) > 0);
    assert_eq!(count(&b), 0);
    Ok(())
}

#[test]
fn the_default_file_gives_record_its_exclusions_but_not_its_includes() -> Result<()> {
    let Pair { scratch, a, b } = pair("tg-file")?;
    let c = scratch.start(Program::Burn, "tg-filed-c", &[])?;
    let config = "profiler:\n  target_process_names: [tg-filed-c]\n  exclude_process_names: [tg-file-b]\n";
    let config = scratch.write("config.yaml", config)?;
    let output = scratch.join("a.pb.gz");
    let command = telegen(["record", "--name", "tg-file-*", "-d", "3s", "-o"])?;
    // An /etc of its own, in a mount namespace of its own: the machine's is left alone.
    let script = "set -e; mount -t tmpfs tmpfs /etc; mkdir -p /etc/telegen/profiler; \
                  cp \"$1\" /etc/telegen/profiler/config.yaml; shift; exec \"$@\"";
    let mut isolated = Command::new("unshare");
    isolated.args(["--mount", "sh", "-c", script, "sh"]).arg(config);
    isolated.arg(command.get_program()).args(command.get_args()).arg(&output);
    let outcome = run(&mut isolated, Duration::from_secs(60))?;
    if outcome.stderr.contains("mount:") || outcome.stderr.contains("unshare:") {
        skip!("no private mount namespace: {}", outcome.stderr.trim());
    }
    let outcome = outcome.expect_code(0)?;
    let profile = Profile::read(&output).with_context(|| outcome.to_string())?;
    assert_only(&profile, &[&a]);
    drop((b, c));
    Ok(())
}
