//! Whose samples they are: the labels of pprof samples.

use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use telegen_e2e::{Program, Recording, Scratch, record};

#[test]
fn every_sample_says_whose_it_is() -> Result<()> {
    let scratch = Scratch::new()?;
    let burner = scratch.start(Program::Burn, "tg-labels", &[])?;
    let Recording { profile, .. } = record(scratch.path(), &["--name", "tg-labels", "-d", "3s"])?;
    let host = fs::read_to_string("/proc/sys/kernel/hostname")?;
    let expected = [
        ("process.pid", burner.pid().to_string()),
        ("process.executable.name", "tg-labels".to_owned()),
        ("process.executable.path", scratch.text("tg-labels")),
        ("thread.id", burner.pid().to_string()),
        ("thread.name", "tg-labels".to_owned()),
        ("host.name", host.trim().to_owned()),
        ("service.name", "tg-labels".to_owned()),
        ("target", "default".to_owned()),
    ];
    assert!(profile.total() > 0);
    for (key, value) in expected {
        for sample in &profile.samples {
            assert_eq!(sample.labels.get(key), Some(&value), "{key} of {sample:?}");
        }
    }
    Ok(())
}

#[test]
fn threads_are_told_apart_by_id_and_name() -> Result<()> {
    let scratch = Scratch::new()?;
    let burner = scratch.start(Program::Burn, "tg-threads", &["--threads", "3"])?;
    let Recording { profile, .. } = record(scratch.path(), &["--name", "tg-threads", "-d", "3s"])?;
    let mut names = BTreeMap::new();
    for task in fs::read_dir(format!("/proc/{}/task", burner.pid()))? {
        let task = task?;
        let name = fs::read_to_string(task.path().join("comm"))?.trim().to_owned();
        names.insert(task.file_name().to_string_lossy().into_owned(), name);
    }
    for sample in &profile.samples {
        let id = sample.label("thread.id");
        let name = names.get(id).with_context(|| format!("no thread {id} in {names:?}"))?;
        assert_eq!(sample.label("thread.name"), name);
        assert_eq!(sample.label("process.pid"), burner.pid().to_string());
    }
    let seen = profile.label_values("thread.name");
    for worker in ["tg-worker-0", "tg-worker-1", "tg-worker-2"] {
        assert!(seen.contains(worker), "{seen:?}");
    }
    Ok(())
}

#[test]
fn a_mapping_has_the_path_and_build_id_of_its_file() -> Result<()> {
    let scratch = Scratch::new()?;
    let program = scratch.install(Program::Burn, "tg-build-id")?;
    let _burner = scratch.start(Program::Burn, "tg-build-id", &[])?;
    let notes = Command::new("readelf").arg("-n").arg(&program).output().context("cannot run readelf")?;
    let notes = String::from_utf8(notes.stdout)?;
    let build_id =
        notes.lines().find_map(|line| line.trim().strip_prefix("Build ID: ")).context("no build id")?;
    let Recording { profile, .. } = record(scratch.path(), &["--name", "tg-build-id", "-d", "2s"])?;
    let path = scratch.text("tg-build-id");
    let mapping = profile.mappings.values().find(|mapping| mapping.file == path);
    let mapping = mapping.with_context(|| format!("no mapping of {path} in {:?}", profile.mappings))?;
    assert_eq!(mapping.build_id, build_id);
    Ok(())
}
