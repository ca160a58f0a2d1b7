//! Processes selected by the container that they run in.

use anyhow::Result;
use std::time::Duration;
use telegen_e2e::{Container, Program, Recording, Running, Scratch, record, run, skip, telegen, until};

/// A burner in a container, and one of nearly the same name outside.
fn inside_and_outside(scratch: &Scratch, name: &str) -> Result<(Container, Running)> {
    let inside = Container::start(scratch, Program::BurnStatic, &format!("{name}-in"), &[])?;
    let outside = scratch.start(Program::Burn, &format!("{name}-out"), &[])?;
    Ok((inside, outside))
}

#[test]
fn the_first_digits_of_an_id_select_a_container() -> Result<()> {
    if !Container::is_supported() {
        skip!("no runc");
    }
    let scratch = Scratch::new()?;
    let (inside, _outside) = inside_and_outside(&scratch, "tg-boxed")?;
    for digits in [12, 20, 64] {
        let id = &inside.id()[..digits];
        let Recording { profile, .. } = record(scratch.path(), &["--container", id, "-d", "1s"])?;
        assert!(profile.total() > 50, "{} samples", profile.total());
        let pids = profile.label_values("process.pid");
        assert_eq!(pids.into_iter().collect::<Vec<_>>(), [inside.pid().to_string()]);
        let ids = profile.label_values("container.id");
        assert_eq!(ids.into_iter().collect::<Vec<_>>(), [inside.id()]);
    }
    Ok(())
}

#[test]
fn an_excluded_container_is_left_out_and_what_is_in_none_has_no_label() -> Result<()> {
    if !Container::is_supported() {
        skip!("no runc");
    }
    let scratch = Scratch::new()?;
    let (inside, outside) = inside_and_outside(&scratch, "tg-unboxed")?;
    let arguments = ["--name", "tg-unboxed-*", "--exclude-container", &inside.id()[..12], "-d", "1s"];
    let Recording { profile, .. } = record(scratch.path(), &arguments)?;
    assert!(profile.total() > 50);
    let pids = profile.label_values("process.pid");
    assert_eq!(pids.into_iter().collect::<Vec<_>>(), [outside.pid().to_string()]);
    assert!(profile.samples.iter().all(|sample| !sample.labels.contains_key("container.id")));
    Ok(())
}

#[test]
fn targets_selected_otherwise_are_labelled_with_their_container() -> Result<()> {
    if !Container::is_supported() {
        skip!("no runc");
    }
    let scratch = Scratch::new()?;
    let (inside, outside) = inside_and_outside(&scratch, "tg-labelled")?;
    let Recording { profile, .. } = record(scratch.path(), &["--name", "tg-labelled-*", "-d", "1s"])?;
    for sample in &profile.samples {
        let expected = if sample.label("process.pid") == inside.pid().to_string() { inside.id() } else { "" };
        assert_eq!(sample.label("container.id"), expected, "{sample:?}");
    }
    assert!(profile.label_values("process.pid").contains(&*outside.pid().to_string()));
    Ok(())
}

#[test]
fn a_container_that_comes_later_is_a_target_from_its_first_instruction_on() -> Result<()> {
    if !Container::is_supported() {
        skip!("no runc");
    }
    let scratch = Scratch::new()?;
    // Ids follow from names, so that one can be asked for before it is there.
    let id = Container::start(&scratch, Program::BurnStatic, "tg-later", &[])?.id().to_owned();
    let other = Scratch::new()?;
    let output = scratch.join("later.pb.gz");
    let mut command = telegen(["record", "--force", "--wait", "--container", &id, "-d", "2s", "-o"])?;
    let mut recording = Running::spawn(command.arg(&output))?;
    std::thread::sleep(Duration::from_secs(1));
    assert!(recording.is_running()?, "{}", recording.stderr()?);
    let container = Container::start(&other, Program::BurnStatic, "tg-later", &[])?;
    let outcome = recording.wait(Duration::from_secs(60))?.expect_code(0)?;
    let profile = telegen_e2e::Profile::read(&output)?;
    // runc's own init runs in the container for some milliseconds before it becomes the program; it is one too.
    let burner = profile.count(|sample| sample.label("process.pid") == container.pid().to_string());
    assert!(burner > 150, "{burner} samples\n{outcome}");
    assert_eq!(profile.label_values("container.id").into_iter().collect::<Vec<_>>(), [&*id]);
    Ok(())
}

#[test]
fn targets_shows_containers() -> Result<()> {
    if !Container::is_supported() {
        skip!("no runc");
    }
    let scratch = Scratch::new()?;
    let (inside, outside) = inside_and_outside(&scratch, "tg-shown")?;
    let list = |arguments: &[&str]| -> Result<serde_json::Value> {
        let mut command = telegen(["targets", "-o", "json"].iter().chain(arguments))?;
        let outcome = run(&mut command, Duration::from_secs(60))?.expect_code(0)?;
        Ok(serde_json::from_str(&outcome.stdout)?)
    };
    let selected = list(&["--container", &inside.id()[..16]])?;
    assert_eq!(selected["matched"], 1, "{selected}");
    assert_eq!(selected["processes"][0]["container_id"], inside.id());
    let reason = selected["processes"][0]["reason"].as_str().unwrap_or_default();
    assert_eq!(reason, format!("target_container_ids[0] = {:?}", &inside.id()[..16]));
    let all = list(&["--container", &inside.id()[..16], "--all", "--explain"])?;
    let processes = all["processes"].as_array().expect("a list");
    let outside = processes.iter().find(|process| process["pid"] == outside.pid()).expect("it runs");
    assert_eq!(outside["container_id"], serde_json::Value::Null);
    let reason = outside["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("target_container_ids does not: container is none"), "{reason}");
    Ok(())
}

#[test]
fn what_is_no_container_id_is_refused() -> Result<()> {
    for wrong in ["0123456789a", "my-container", "0123456789abg"] {
        let mut command = telegen(["targets", "--container", wrong])?;
        let outcome = run(&mut command, Duration::from_secs(60))?.expect_code(2)?;
        assert!(outcome.stderr.contains("--container"), "{outcome}");
        assert!(
            outcome.stderr.contains("64 hexadecimal digits, of which the first 12 are enough"),
            "{outcome}"
        );
    }
    Ok(())
}

#[test]
fn a_reload_to_container_rules_finds_who_was_there_before() -> Result<()> {
    if !Container::is_supported() {
        skip!("no runc");
    }
    let scratch = Scratch::new()?;
    let (inside, _outside) = inside_and_outside(&scratch, "tg-reloaded")?;
    let write = |rule: &str| {
        let profiles = scratch.join("profiles");
        let text = format!(
            "profiler:\n  {rule}\n  collection_interval: 1s\n  server: {{health_listen: \"127.0.0.1:0\", listen: \"127.0.0.1:0\"}}\n  export: {{files: {{directory: {}}}}}\n",
            profiles.display()
        );
        scratch.write("config.yaml", &text)
    };
    let config = write("target_process_names: [tg-nobody]")?;
    let mut command = telegen(["agent", "--config"])?;
    let agent = Running::spawn(command.arg(&config))?;
    let matched = |number: usize| {
        until(Duration::from_secs(20), "the selection", || {
            Ok(agent.stderr()?.contains(&format!("matched={number}, ")).then_some(()))
        })
    };
    matched(0)?;
    write(&format!("target_container_ids: [\"{}\"]", &inside.id()[..12]))?;
    matched(1)
}
