//! The selection over HTTP: as it is, and as it changes.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::fs;
use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};
use telegen_e2e::{
    Agent, AgentSettings, HttpLines, Program, Running, Scratch, http_ask, run, telegen, until,
};

const LIMIT: Duration = Duration::from_secs(60);
const LIST: &str = "/api/v1/targets";

fn start(scratch: &Scratch, rules: &str) -> Result<Agent> {
    Agent::start(scratch, &AgentSettings { rules, ..AgentSettings::default() })
}

fn list(agent: &Agent, path: &str) -> Result<Value> {
    let response = agent.ask(path)?;
    ensure!(response.status == 200, "{path}: {response:?}");
    serde_json::from_str(&response.body).with_context(|| response.body)
}

/// What a list says of a process.
fn entry(list: &Value, running: &Running) -> Value {
    let processes = list["processes"].as_array().map(Vec::as_slice).unwrap_or_default();
    processes.iter().find(|process| process["pid"] == running.pid()).cloned().unwrap_or_default()
}

fn reload(scratch: &Scratch, edit: impl Fn(&str) -> String) -> Result<()> {
    let file = scratch.join("agent.yaml");
    let new = scratch.write("agent.yaml.new", &edit(&fs::read_to_string(&file)?))?;
    fs::rename(new, file).context("cannot replace the configuration")
}

/// The next change of a process.
fn next_change(lines: &mut HttpLines, running: &Running) -> Result<Value> {
    loop {
        let line = lines.line()?;
        let change: Value = serde_json::from_str(&line).with_context(|| line)?;
        if change["pid"] == running.pid() {
            return Ok(change);
        }
    }
}

fn watch_clients(agent: &Agent, expected: f64) -> Result<()> {
    until(LIMIT, &format!("{expected} clients that watch"), || {
        let clients = agent.metrics()?.sum("telegen_profiler_watch_clients", &[])?;
        Ok((clients == expected).then_some(()))
    })
}

#[test]
fn the_list_is_that_of_the_command() -> Result<()> {
    let scratch = Scratch::new()?;
    let workloads = ["tg-api-in", "tg-api-out", "tg-apj-in"]
        .map(|name| scratch.start(Program::Sleeper, name, &[]))
        .into_iter()
        .collect::<Result<Vec<_>>>()?;
    let rules = "  target_process_names: [\"tg-api-*\"]\n  exclude_process_names: [tg-api-out]\n";
    let agent = start(&scratch, rules)?;
    let config = scratch.text("agent.yaml");
    let outcome = run(&mut telegen(["targets", "--config", &config, "--all", "-o", "json"])?, LIMIT)?;
    let by_command: Value = serde_json::from_str(&outcome.expect_code(0)?.stdout)?;
    let by_agent = list(&agent, &format!("{LIST}?all=true&explain=true"))?;
    for (workload, decision) in workloads.iter().zip(["profile", "skip", "skip"]) {
        let expected = entry(&by_command, workload);
        assert_eq!(expected["decision"], decision, "{expected}");
        assert_eq!(entry(&by_agent, workload), expected);
    }
    let keys = |list: &Value| list.as_object().map(|list| list.keys().cloned().collect::<Vec<_>>());
    assert_eq!(keys(&by_agent), keys(&by_command));
    let scanned = |list: &Value| list["scanned"].as_i64().context("a number");
    let (ours, theirs) = (scanned(&by_agent)?, scanned(&by_command)?);
    assert!((ours - theirs).abs() <= 20, "{ours} and {theirs} processes, kernel threads included");
    let few = list(&agent, LIST)?;
    assert_eq!(few["matched"], 1, "{few}");
    assert_eq!(few["processes"].as_array().map(Vec::len), Some(1), "{few}");
    assert_eq!(entry(&few, &workloads[0]), entry(&by_command, &workloads[0]));
    Ok(())
}

#[test]
fn the_list_follows_a_reload() -> Result<()> {
    let scratch = Scratch::new()?;
    let first = scratch.start(Program::Sleeper, "tg-api-a", &[])?;
    let second = scratch.start(Program::Sleeper, "tg-api-b", &[])?;
    let agent = start(&scratch, "  target_process_names: [tg-api-a]\n")?;
    assert_eq!(entry(&list(&agent, LIST)?, &first)["decision"], "profile");
    reload(&scratch, |text| text.replace("[tg-api-a]", "[tg-api-b, tg-api-c]"))?;
    until(LIMIT, "the other target", || {
        let list = list(&agent, LIST)?;
        Ok((entry(&list, &first).is_null() && !entry(&list, &second).is_null()).then_some(()))
    })?;
    let all = list(&agent, &format!("{LIST}?all=true"))?;
    assert_eq!(entry(&all, &second)["reason"], "target_process_names[0] = \"tg-api-b\"");
    assert_eq!(entry(&all, &first)["decision"], "skip", "{all}");
    Ok(())
}

#[test]
fn a_switched_off_profiler_says_so_and_comes_back() -> Result<()> {
    let scratch = Scratch::new()?;
    let agent = start(&scratch, "  target_process_names: [tg-api-off]\n")?;
    let mut watch = agent.follow(&format!("{LIST}?watch=true"))?;
    reload(&scratch, |text| text.replacen("profiler:\n", "profiler:\n  enabled: false\n", 1))?;
    let refused = until(LIMIT, "the end of profiling", || {
        Ok(Some(agent.ask(LIST)?).filter(|response| response.body.contains("disabled")))
    })?;
    assert_eq!(refused.status, 503, "{refused:?}");
    let error: Value = serde_json::from_str(&refused.body)?;
    assert!(error["error"].is_string(), "{error}");
    assert!(watch.line().is_err(), "there is nothing to watch any more");
    watch_clients(&agent, 0.0)?;
    reload(&scratch, |text| text.replacen("  enabled: false\n", "", 1))?;
    until(LIMIT, "profiling", || Ok((agent.ask(LIST)?.status == 200).then_some(())))
}

#[test]
fn a_process_is_seen_to_come_and_go_within_a_second() -> Result<()> {
    let scratch = Scratch::new()?;
    let before = scratch.start(Program::Sleeper, "tg-api-seen", &[])?;
    let agent = start(&scratch, "  target_process_names: [tg-api-seen]\n")?;
    let mut lines = agent.follow(&format!("{LIST}?watch=true"))?;
    assert_eq!(next_change(&mut lines, &before)?["change"], "start", "what there is comes first");
    let mut quickest = Duration::MAX;
    for _ in 0..5 {
        let begin = Instant::now();
        let mut moment = scratch.start(Program::Sleeper, "tg-api-seen", &[])?;
        let start = next_change(&mut lines, &moment)?;
        assert_eq!(start["change"], "start", "{start}");
        assert_eq!(start["reason"], "target_process_names[0] = \"tg-api-seen\"", "{start}");
        assert!(start["time"].as_str().is_some_and(|time| time.starts_with("20") && time.ends_with('Z')));
        moment.kill();
        assert_eq!(next_change(&mut lines, &moment)?["change"], "end");
        quickest = quickest.min(begin.elapsed());
    }
    // The quickest: a busy machine may take its time, an interval of polling would show every time.
    assert!(quickest < Duration::from_secs(1), "{quickest:?}");
    watch_clients(&agent, 1.0)?;
    drop(lines);
    watch_clients(&agent, 0.0)
}

#[test]
fn with_all_a_watch_tells_of_what_is_left_out_and_of_a_reload() -> Result<()> {
    let scratch = Scratch::new()?;
    let other = scratch.start(Program::Sleeper, "tg-api-other", &[])?;
    let agent = start(&scratch, "  target_process_names: [tg-api-none]\n")?;
    let mut lines = agent.follow(&format!("{LIST}?watch=true&all=true"))?;
    let skipped = next_change(&mut lines, &other)?;
    assert_eq!((&skipped["change"], &skipped["decision"]), (&"skip".into(), &"skip".into()), "{skipped}");
    reload(&scratch, |text| text.replace("tg-api-none", "tg-api-other"))?;
    let started = next_change(&mut lines, &other)?;
    assert_eq!(started["change"], "start", "{started}");
    assert_eq!(started["reason"], "target_process_names[0] = \"tg-api-other\"", "{started}");
    reload(&scratch, |text| text.replace("tg-api-other", "tg-api-none"))?;
    let changes = [next_change(&mut lines, &other)?, next_change(&mut lines, &other)?];
    let ended = changes.iter().find(|change| change["change"] == "end").context("no end")?;
    assert_eq!(
        ended["reason"], "target_process_names[0] = \"tg-api-other\"",
        "by the rule that had chosen it, not by those that hold now"
    );
    Ok(())
}

#[test]
fn a_client_that_does_not_read_is_let_go_and_holds_up_nobody() -> Result<()> {
    let scratch = Scratch::new()?;
    let agent = start(&scratch, "  target_process_names: [tg-api-on]\n")?;
    let stalled = agent.follow(&format!("{LIST}?watch=true&all=true"))?;
    let mut reading = agent.follow(&format!("{LIST}?watch=true"))?;
    watch_clients(&agent, 2.0)?;
    let mut crowd = Running::spawn(Command::new("sh").args(["-c", "while :; do /bin/true; done"]))?;
    until(LIMIT, "a client that has fallen behind", || {
        let dropped = agent.metrics()?.sum("telegen_profiler_watch_clients_dropped_total", &[])?;
        Ok((dropped == 1.0).then_some(()))
    })?;
    let moment = scratch.start(Program::Sleeper, "tg-api-on", &[])?;
    assert_eq!(next_change(&mut reading, &moment)?["change"], "start");
    assert_eq!(entry(&list(&agent, LIST)?, &moment)["decision"], "profile");
    crowd.kill();
    // Its connection ends though nobody reads: its place is free again.
    watch_clients(&agent, 1.0)?;
    drop(stalled);
    Ok(())
}

#[test]
fn sixteen_may_watch_and_their_places_are_given_again() -> Result<()> {
    let scratch = Scratch::new()?;
    let agent = start(&scratch, "  target_process_names: [tg-api-none]\n")?;
    let watch = format!("{LIST}?watch=true");
    let mut watches = (0..16).map(|_| agent.follow(&watch)).collect::<Result<Vec<_>>>()?;
    let refused = agent.ask(&watch)?;
    assert_eq!(refused.status, 503, "{refused:?}");
    assert_eq!(agent.ask(LIST)?.status, 200);
    watches.pop();
    watch_clients(&agent, 15.0)?;
    agent.follow(&watch)?;
    Ok(())
}

#[test]
fn what_is_asked_wrongly_is_answered_in_json() -> Result<()> {
    let scratch = Scratch::new()?;
    let agent = start(&scratch, "  target_process_names: [tg-api-none]\n")?;
    let address = agent.listen();
    let ask = |method: &str, path: &str, host: &str| {
        let request = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        http_ask(address, &request)
    };
    let by_address = address.to_string();
    for (method, path, host, status, words) in [
        ("GET", "/api/v1/target", &*by_address, 404, "/api/v1/target"),
        ("GET", "/metrics", &by_address, 404, "/metrics"),
        ("POST", LIST, &by_address, 405, "GET"),
        ("GET", "/api/v1/targets?wach=true", &by_address, 400, "did you mean \"watch\"?"),
        ("GET", "/api/v1/targets?all=maybe", &by_address, 400, "true or false"),
        ("GET", LIST, "example.org", 403, "IP address"),
        ("GET", "/", "127.0.0.1.example.org:9690", 403, "localhost"),
    ] {
        let response = ask(method, path, host)?;
        assert_eq!(response.status, status, "{path} {host}: {response:?}");
        let error: Value = serde_json::from_str(&response.body).with_context(|| format!("{response:?}"))?;
        assert!(error["error"].as_str().is_some_and(|error| error.contains(words)), "{error}");
    }
    for host in [&*by_address, "localhost", "localhost:9690", "[::1]:9690"] {
        let response = ask("GET", LIST, host)?;
        assert_eq!(response.status, 200, "{host}: {response:?}");
        let headers = response.headers.to_ascii_lowercase();
        for header in [
            "content-type: application/json",
            "cache-control: no-store",
            "x-content-type-options: nosniff",
            "transfer-encoding: chunked",
        ] {
            assert!(headers.contains(header), "{headers}");
        }
    }
    assert!(ask("GET", "/", &by_address)?.body.contains(LIST));
    Ok(())
}

/// Runs an agent that listens here, to its end.
fn outcome_of(scratch: &Scratch, server: &str) -> Result<telegen_e2e::Outcome> {
    let text = format!(
        "profiler:\n  target_process_names: [tg-api-none]\n  server:\n    health_listen: 127.0.0.1:0\n{server}"
    );
    run(telegen(["agent", "--config"])?.arg(scratch.write("c.yaml", &text)?), LIMIT)
}

#[test]
fn an_address_that_others_can_reach_is_refused() -> Result<()> {
    let scratch = Scratch::new()?;
    for insecure in ["", "    insecure: false\n"] {
        let outcome = outcome_of(&scratch, &format!("    listen: 0.0.0.0:0\n{insecure}"))?.expect_code(2)?;
        for piece in ["c.yaml:5:13", "server.listen", "^^^^^^^^^", "insecure: true"] {
            assert!(outcome.stderr.contains(piece), "{piece}\n{outcome}");
        }
    }
    let text = "profiler:\n  target_process_names: [tg-api-none]\n  server:\n    health_listen: 127.0.0.1:0\n    \
                listen: 0.0.0.0:0\n    insecure: true\n";
    let mut command = telegen(["agent", "--config"])?;
    let mut agent = Running::spawn(command.arg(scratch.write("c.yaml", text)?))?;
    until(LIMIT, "the agent to run", || {
        ensure!(agent.is_running()?, "{}", agent.stderr()?);
        Ok(agent.stderr()?.contains("filtered processes for profiling").then_some(()))
    })?;
    let outcome = agent.terminate()?.expect_code(0)?;
    let warnings = outcome.stderr.lines().filter(|line| line.contains("server.insecure")).count();
    assert_eq!(warnings, 1, "{outcome}");
    Ok(())
}

#[test]
fn an_address_that_is_taken_names_its_key() -> Result<()> {
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?;
    let outcome = outcome_of(&Scratch::new()?, &format!("    listen: {address}\n"))?.expect_code(1)?;
    assert!(outcome.stderr.contains("server.listen"), "{outcome}");
    assert!(outcome.stderr.contains(&address.to_string()), "{outcome}");
    Ok(())
}

#[test]
fn another_address_needs_a_restart() -> Result<()> {
    let scratch = Scratch::new()?;
    let agent = start(&scratch, "  target_process_names: [tg-api-none]\n")?;
    let listen = agent.listen().to_string();
    reload(&scratch, |text| text.replace(&listen, "127.0.0.1:0"))?;
    until(LIMIT, "a warning", || {
        Ok(agent.log()?.contains("server.listen has changed; that needs a restart").then_some(()))
    })?;
    assert_eq!(agent.ask(LIST)?.status, 200);
    Ok(())
}
