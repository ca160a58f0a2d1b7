//! Programs that were stripped, and the files that have their names.

use anyhow::{Context, Result, ensure};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use telegen_e2e::{
    Agent, AgentSettings, Container, Profile, Program, Recording, Running, Scratch, record, skip, source_line,
};

/// A program that was stripped, and what was taken from it, which is not in place yet.
struct Stripped {
    path: PathBuf,
    debug: PathBuf,
    build_id: String,
}

fn tool(tool: &str, arguments: &[&Path]) -> Result<String> {
    let output = Command::new(tool).args(arguments).output().with_context(|| format!("no {tool}"))?;
    ensure!(output.status.success(), "{tool}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

impl Stripped {
    /// A copy of a program at a path of the scratch directory.
    fn new(scratch: &Scratch, program: Program, path: &str) -> Result<Self> {
        let path = scratch.install(program, path)?;
        let debug = scratch.join("split-off.debug");
        tool("objcopy", &["--only-keep-debug".as_ref(), &path, &debug])?;
        tool("strip", &["--strip-all".as_ref(), &path])?;
        let notes = tool("readelf", &["-nW".as_ref(), &path])?;
        let build_id = notes.split("Build ID: ").nth(1).and_then(|rest| rest.split_whitespace().next());
        let build_id = build_id.context("no build id")?.to_owned();
        Ok(Self { path, debug, build_id })
    }

    fn link(&self) -> Result<()> {
        let link = format!("--add-gnu-debuglink={}", self.debug.display());
        tool("objcopy", &[link.as_ref(), &self.path]).map(drop)
    }

    /// Where the debug file is sought by its build id, below a root.
    fn by_build_id(&self, root: &Path) -> Result<PathBuf> {
        let (first, rest) = self.build_id.split_at(2);
        let directory = root.join("usr/lib/debug/.build-id").join(first);
        fs::create_dir_all(&directory)?;
        Ok(directory.join(format!("{rest}.debug")))
    }
}

/// Fails unless nearly all samples are in functions of the burner, with their lines.
fn assert_named(profile: &Profile) -> Result<()> {
    let line = source_line("burn.c", "TG_BURNER(tg_half")?;
    let named = profile.count(|sample| {
        sample.frames.iter().any(|frame| {
            let is_burner = ["tg_half", "tg_third", "tg_fifth"].contains(&&*frame.function);
            is_burner && frame.file.ends_with("burn.c") && frame.line >= line
        })
    });
    ensure!(
        profile.total() > 50 && named * 10 >= profile.total() * 9,
        "{named} of {}: {:?}",
        profile.total(),
        profile.functions()
    );
    Ok(())
}

fn assert_nameless(profile: &Profile, program: &str) {
    let place = format!("[{program}+0x");
    let nameless =
        profile.count(|sample| sample.frames.iter().any(|frame| frame.function.starts_with(&place)));
    assert!(
        nameless * 10 >= profile.total() * 9 && profile.total() > 50,
        "{nameless} of {}: {:?}",
        profile.total(),
        profile.functions()
    );
}

#[test]
fn a_stripped_program_is_named_from_the_file_that_it_links_to() -> Result<()> {
    let scratch = Scratch::new()?;
    let stripped = Stripped::new(&scratch, Program::Burn, "tg-linked")?;
    stripped.link()?;
    let _running = Running::spawn(&mut Command::new(&stripped.path))?;
    let record = || record(scratch.path(), &["--name", "tg-linked", "-d", "1s"]);
    assert_nameless(&record()?.profile, "tg-linked");
    fs::create_dir(scratch.join(".debug"))?;
    fs::rename(&stripped.debug, scratch.join(".debug/split-off.debug"))?;
    assert_named(&record()?.profile)
}

#[test]
fn a_stripped_program_is_named_from_the_hosts_file_of_its_build() -> Result<()> {
    let scratch = Scratch::new()?;
    let stripped = Stripped::new(&scratch, Program::Burn, "tg-by-build")?;
    // It is in a mount namespace of its own, where there is no such file.
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c"]);
    command.arg(format!("mount -t tmpfs none /usr/lib/debug && exec {}", stripped.path.display()));
    fs::create_dir_all("/usr/lib/debug")?;
    let placed = stripped.by_build_id(Path::new("/"))?;
    fs::copy(&stripped.debug, &placed)?;
    let recorded = Running::spawn(&mut command)
        .and_then(|_running| record(scratch.path(), &["--name", "tg-by-build", "-d", "1s", "--wait"]));
    fs::remove_file(&placed)?;
    // Others' files may be in it.
    let _ = placed.parent().map(fs::remove_dir);
    assert_named(&recorded?.profile)
}

/// A stripped program that runs in a container, with what `place` puts below its root.
fn record_container(name: &str, place: impl FnOnce(&Stripped, &Path) -> Result<()>) -> Result<Profile> {
    let scratch = Scratch::new()?;
    // The container takes what is there already.
    let rootfs = format!("telegen-e2e-{name}-{}.bundle/rootfs", std::process::id());
    let stripped = Stripped::new(&scratch, Program::BurnStatic, &format!("{rootfs}/{name}"))?;
    place(&stripped, &scratch.join(&rootfs))?;
    let container = Container::start(&scratch, Program::BurnStatic, name, &[])?;
    let Recording { profile, .. } =
        record(scratch.path(), &["--container", &container.id()[..12], "-d", "1s"])?;
    Ok(profile)
}

#[test]
fn a_container_has_its_own_debug_files() -> Result<()> {
    if !Container::is_supported() {
        skip!("no runc");
    }
    let profile = record_container("tg-debug-inside", |stripped, rootfs| {
        fs::copy(&stripped.debug, stripped.by_build_id(rootfs)?)?;
        Ok(())
    })?;
    assert_named(&profile)
}

#[test]
fn no_link_leads_out_of_a_container_and_no_pipe_holds_a_profile_up() -> Result<()> {
    if !Container::is_supported() {
        skip!("no runc");
    }
    let profile = record_container("tg-debug-outside", |stripped, rootfs| {
        stripped.link()?;
        symlink(&stripped.debug, stripped.by_build_id(rootfs)?)?;
        tool("mkfifo", &[&rootfs.join("split-off.debug")])?;
        fs::create_dir(rootfs.join(".debug"))?;
        let huge = fs::File::create(rootfs.join(".debug/split-off.debug"))?;
        Ok(huge.set_len(1 << 40)?)
    })?;
    assert_nameless(&profile, "tg-debug-outside");
    Ok(())
}

#[test]
fn a_stripped_program_is_named_from_the_compressed_symbols_that_it_carries() -> Result<()> {
    let scratch = Scratch::new()?;
    let stripped = Stripped::new(&scratch, Program::Burn, "tg-mini")?;
    let symbols = scratch.join("symbols");
    let names = scratch.write("names", "tg_half\ntg_third\ntg_fifth\nburn\n")?;
    let keep = format!("--keep-symbols={}", names.display());
    tool("objcopy", &["-S".as_ref(), keep.as_ref(), &stripped.debug, &symbols])?;
    tool("xz", &[&symbols])?;
    let section = format!("--add-section=.gnu_debugdata={}.xz", symbols.display());
    tool("objcopy", &[section.as_ref(), &stripped.path])?;
    let _running = Running::spawn(&mut Command::new(&stripped.path))?;
    let Recording { profile, .. } = record(scratch.path(), &["--name", "tg-mini", "-d", "1s"])?;
    let burning = |name: &str| ["tg_half", "tg_third", "tg_fifth"].contains(&name);
    let named = profile.count(|sample| sample.frames.iter().any(|frame| burning(&frame.function)));
    assert!(named * 10 >= profile.total() * 9, "{named} of {}: {:?}", profile.total(), profile.functions());
    Ok(())
}

#[test]
fn names_that_dwz_has_moved_to_a_supplementary_file_are_found() -> Result<()> {
    let scratch = Scratch::new()?;
    let stripped = Stripped::new(&scratch, Program::Inlined, "tg-dwz")?;
    let (other, common) = (scratch.join("other.debug"), scratch.join("common.debug"));
    fs::copy(&stripped.debug, &other)?;
    tool("dwz", &["-m".as_ref(), &common, "-M".as_ref(), &common, &stripped.debug, &other])?;
    stripped.link()?;
    let _running = Running::spawn(&mut Command::new(&stripped.path))?;
    let Recording { profile, .. } = record(scratch.path(), &["--name", "tg-dwz", "-d", "1s"])?;
    let inlined = profile.count(|sample| {
        let mut pairs = sample.frames.windows(2);
        pairs.any(|pair| pair[0].function == "tg_inlined" && pair[1].function == "tg_outer")
    });
    assert!(
        inlined * 10 >= profile.total() * 9,
        "{inlined} of {}: {:?}",
        profile.total(),
        profile.functions()
    );
    Ok(())
}

/// An agent that profiles a stripped program, and asks this server; its profiles until one has names.
fn profiles_with_names_of(scratch: &Scratch, program: &Path, url: &str) -> Result<()> {
    let _running = Running::spawn(&mut Command::new(program))?;
    let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let cache = scratch.join("cache");
    let rules = format!(
        "  target_process_names: [{name}]\n  symbols:\n    debuginfod:\n      urls: [{url}]\n      cache: {{directory: {}}}\n",
        cache.display()
    );
    let mut agent = Agent::start(scratch, &AgentSettings { rules: &rules, ..AgentSettings::default() })?;
    let named = |profile: &Profile| profile.total() > 50 && assert_named(profile).is_ok();
    agent.wait_for_profiles("names from the server", |profiles| profiles.iter().any(named))?;
    let metrics = agent.metrics()?;
    let found = [("outcome", "found")];
    assert_eq!(metrics.sum("telegen_profiler_debuginfod_requests_total", &found)?, 1.0);
    assert!(metrics.sum("telegen_profiler_debuginfod_received_bytes_total", &[])? > 1000.0);
    assert!(metrics.sum("telegen_profiler_debuginfod_cache_bytes", &[])? > 1000.0);
    let on_server = [("outcome", "found_on_server")];
    assert_eq!(metrics.sum("telegen_profiler_debug_files_total", &on_server)?, 1.0);
    assert_eq!(fs::read_dir(&cache)?.count(), 1);
    agent.terminate().map(drop)
}

/// A port that nobody listens at.
fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

#[test]
fn a_stripped_program_gets_its_names_from_a_server() -> Result<()> {
    let scratch = Scratch::new()?;
    let stripped = Stripped::new(&scratch, Program::Burn, "tg-asked")?;
    let served = scratch.join(&format!("served/buildid/{}", stripped.build_id));
    fs::create_dir_all(&served)?;
    fs::rename(&stripped.debug, served.join("debuginfo"))?;
    let port = free_port()?;
    let mut server = Command::new("python3");
    server.args(["-m", "http.server", "--bind", "127.0.0.1", &port.to_string(), "--directory"]);
    let _server = Running::spawn(server.arg(scratch.join("served")))?;
    profiles_with_names_of(&scratch, &stripped.path, &format!("http://127.0.0.1:{port}"))
}

#[test]
fn the_server_of_elfutils_is_understood() -> Result<()> {
    let scratch = Scratch::new()?;
    let stripped = Stripped::new(&scratch, Program::Burn, "tg-elfutils")?;
    let served = scratch.join("served");
    fs::create_dir_all(&served)?;
    fs::rename(&stripped.debug, served.join("burn.debug"))?;
    let port = free_port()?;
    let mut server = Command::new("debuginfod");
    server.args(["-F", "-d", ":memory:", "-p", &port.to_string()]).arg(&served);
    let _server = Running::spawn(server.env_remove("DEBUGINFOD_URLS"))?;
    // It looks at its files first; what it does not know yet would not be asked for again for an hour.
    let url = format!("http://127.0.0.1:{port}");
    let path = format!("{url}/buildid/{}/debuginfo", stripped.build_id);
    telegen_e2e::until(std::time::Duration::from_secs(60), "debuginfod to know the file", || {
        let asked =
            Command::new("curl").args(["--silent", "--fail", "--output", "/dev/null", &path]).status()?;
        Ok(asked.success().then_some(()))
    })?;
    profiles_with_names_of(&scratch, &stripped.path, &url)
}
