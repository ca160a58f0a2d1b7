//! `telegen targets --watch`: processes that come and go, as they do.

use anyhow::{Context, Result};
use rustix::process::Signal;
use std::time::Duration;
use telegen_e2e::{Program, Running, Scratch, telegen, telegen_as_nobody, until};

const LIMIT: Duration = Duration::from_secs(60);

/// Waits for a line that has all these pieces.
fn wait_for(watch: &mut Running, pieces: &[&str]) -> Result<String> {
    until(LIMIT, &format!("a line with {pieces:?}"), || {
        anyhow::ensure!(watch.is_running()?, "the watch has ended: {}", watch.stderr()?);
        let text = watch.stdout()?;
        let line = text.lines().find(|line| pieces.iter().all(|piece| line.contains(piece)));
        Ok(line.map(str::to_owned))
    })
}

fn end(mut watch: Running) -> Result<()> {
    watch.signal(Signal::INT)?;
    watch.wait(LIMIT)?.expect_code(0)?;
    Ok(())
}

#[test]
fn starts_ends_and_reasons_are_seen_as_they_happen() -> Result<()> {
    let scratch = Scratch::new()?;
    let before = scratch.start(Program::Burn, "tg-watch-old", &[])?;
    let mut watch = Running::spawn(&mut telegen(["targets", "--name", "tg-watch-*", "--watch"])?)?;
    let line = wait_for(&mut watch, &["start", "tg-watch-old"])?;
    assert!(line.contains(&before.pid().to_string()) && line.contains("target_process_names[0]"), "{line}");
    let mut burner = scratch.start(Program::Burn, "tg-watch-new", &[])?;
    let pid = burner.pid().to_string();
    wait_for(&mut watch, &["start", "tg-watch-new", &pid])?;
    burner.kill();
    wait_for(&mut watch, &["end", "tg-watch-new", &pid])?;
    let text = watch.stdout()?;
    assert!(text.starts_with("TIME"), "{text}");
    assert!(!text.contains(" skip "), "what is left out is for --all only\n{text}");
    end(watch)
}

#[test]
fn a_life_of_a_moment_is_seen_too_and_json_is_one_object_a_line() -> Result<()> {
    let scratch = Scratch::new()?;
    let arguments = ["targets", "--name", "tg-moment", "--watch", "--all", "-o", "json"];
    let mut watch = Running::spawn(&mut telegen(arguments)?)?;
    wait_for(&mut watch, &["\"change\":\"skip\""])?;
    let mut moment = scratch.start(Program::Short, "tg-moment", &["10"])?;
    let outcome = moment.wait(LIMIT)?;
    let pid = format!("\"pid\":{},", moment.pid());
    let start = wait_for(&mut watch, &["\"change\":\"start\"", &pid]).with_context(|| outcome.to_string())?;
    wait_for(&mut watch, &["\"change\":\"end\"", &pid])?;
    assert!(
        start.contains("\"decision\":\"profile\"") && start.contains("\"name\":\"tg-moment\""),
        "{start}"
    );
    let text = watch.stdout()?;
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    for line in whole.lines() {
        assert!(line.starts_with("{\"time\":\"20") && line.ends_with('}'), "{line}");
    }
    end(watch)
}

#[test]
fn nobody_can_watch_too() -> Result<()> {
    let scratch = Scratch::new()?;
    let mut watch = Running::spawn(&mut telegen_as_nobody(["targets", "--name", "tg-watched", "--watch"])?)?;
    wait_for(&mut watch, &["TIME"])?;
    let mut burner = scratch.start(Program::Burn, "tg-watched", &[])?;
    let pid = burner.pid().to_string();
    wait_for(&mut watch, &["start", "tg-watched", &pid])?;
    burner.kill();
    wait_for(&mut watch, &["end", "tg-watched", &pid])?;
    assert!(watch.stderr()?.contains("once a second"), "{}", watch.stderr()?);
    end(watch)
}
