//! Who is answered at `server.listen`: tokens, and how much those who are not can do.

use anyhow::{Context, Result, ensure};
use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};
use telegen_e2e::{
    Agent, AgentSettings, Outcome, Program, Response, Running, Scratch, curl, curl_command, http_get, run,
    telegen, until,
};

const LIMIT: Duration = Duration::from_secs(60);
const LIST: &str = "/api/v1/targets";
const REJECTED: &str = "telegen_profiler_http_requests_rejected_total";
const RULES: &str = "  target_process_names: [tg-access]\n";

fn start(scratch: &Scratch, server: &str) -> Result<Agent> {
    Agent::start(scratch, &AgentSettings { rules: RULES, server, ..AgentSettings::default() })
}

/// A file that only its owner may read.
fn secret(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text)?;
    Ok(fs::set_permissions(path, Permissions::from_mode(0o600))?)
}

fn ask(agent: &Agent, path: &str, headers: &[&str]) -> Result<Response> {
    let url = format!("http://{}{path}", agent.listen());
    curl(headers.iter().flat_map(|header| ["-H", header]).chain([&*url]))
}

fn status_with(agent: &Agent, token: &str) -> Result<u16> {
    Ok(ask(agent, LIST, &[&format!("Authorization: Bearer {token}")])?.status)
}

fn rejected(agent: &Agent, reason: &str) -> Result<f64> {
    agent.metrics()?.sum(REJECTED, &[("reason", reason)])
}

#[test]
fn a_token_is_asked_for() -> Result<()> {
    let scratch = Scratch::new()?;
    let file = scratch.join("token");
    secret(&file, "right-horse-battery\n")?;
    let mut agent = start(&scratch, &format!("    token_file: {}\n", file.display()))?;
    let right = "Authorization: Bearer right-horse-battery";
    for (path, headers, status, challenge) in [
        (LIST, [].as_slice(), 401, "www-authenticate: bearer realm=\"telegen\"\r\n"),
        ("/nothing", &[], 401, "www-authenticate: bearer realm=\"telegen\"\r\n"),
        (
            LIST,
            &["Authorization: Basic cmlnaHQ6aG9yc2U="],
            401,
            "www-authenticate: bearer realm=\"telegen\"\r\n",
        ),
        (LIST, &["Authorization: Bearer wrong-horse-battery"], 401, "error=\"invalid_token\"\r\n"),
        (LIST, &["Authorization: Bearer right-horse-batter"], 401, "error=\"invalid_token\"\r\n"),
        (LIST, &[right, right], 401, "error=\"invalid_token\"\r\n"),
        (LIST, &[right], 200, ""),
        (LIST, &["authorization: bearer right-horse-battery"], 200, ""),
        (LIST, &[right, "Host: node-7.example.org:9690"], 200, ""),
        ("/nothing", &[right], 404, ""),
    ] {
        let response = ask(&agent, path, headers)?;
        let answered = response.headers.to_ascii_lowercase() + "\r\n";
        assert_eq!(response.status, status, "{path} {headers:?}: {response:?}");
        assert!(answered.contains(challenge), "{path} {headers:?}: {response:?}");
        assert_eq!(answered.contains("www-authenticate"), status == 401, "{response:?}");
        assert!(!response.body.contains("horse"), "{response:?}");
    }
    assert_eq!(rejected(&agent, "token_missing")?, 3.0);
    assert_eq!(rejected(&agent, "token_wrong")?, 3.0);
    for path in ["/healthz", "/readyz", "/metrics"] {
        let response = agent.get(path)?;
        assert_eq!(response.status, 200, "{path}");
        assert!(!response.body.contains("horse"));
    }
    let log = agent.terminate()?.stderr;
    assert!(log.contains("HTTP, clients with a token"), "{log}");
    assert!(!log.contains("horse") && !log.contains("WARN"), "{log}");
    Ok(())
}

/// As the kubelet does: the new link beside the old one, and then in its place.
fn swap_secret(directory: &Path, version: &str, tokens: &str) -> Result<()> {
    fs::create_dir(directory.join(version))?;
    secret(&directory.join(version).join("token"), tokens)?;
    symlink(version, directory.join("..data_tmp"))?;
    Ok(fs::rename(directory.join("..data_tmp"), directory.join("..data"))?)
}

#[test]
fn tokens_are_replaced_without_a_gap_and_without_an_end() -> Result<()> {
    let scratch = Scratch::new()?;
    let directory = scratch.join("secret");
    fs::create_dir(&directory)?;
    swap_secret(&directory, "..1", "first-token")?;
    symlink("..data/token", directory.join("token"))?;
    let file = directory.join("token");
    let mut agent = start(&scratch, &format!("    token_file: {}\n", file.display()))?;
    let first = scratch.start(Program::Sleeper, "tg-access", &[])?;
    let url = format!("http://{}{LIST}?watch=true", agent.listen());
    let watch = Running::spawn(&mut curl_command(["-H", "Authorization: Bearer first-token", &url]))?;
    let first = format!("\"pid\":{},", first.pid());
    until(LIMIT, "a client that watches", || Ok(watch.stdout()?.contains(&first).then_some(())))?;
    assert_eq!(status_with(&agent, "second-token")?, 401);
    swap_secret(&directory, "..2", "first-token\nsecond-token\n")?;
    until(LIMIT, "the second token", || Ok((status_with(&agent, "second-token")? == 200).then_some(())))?;
    assert_eq!(status_with(&agent, "first-token")?, 200);
    swap_secret(&directory, "..3", "second-token\n")?;
    until(LIMIT, "the end of the first", || Ok((status_with(&agent, "first-token")? == 401).then_some(())))?;
    assert_eq!(status_with(&agent, "second-token")?, 200);
    let sleeper = scratch.start(Program::Sleeper, "tg-access", &[])?;
    let pid = format!("\"pid\":{},", sleeper.pid());
    until(LIMIT, "what changes, at the old connection", || Ok(watch.stdout()?.contains(&pid).then_some(())))?;
    swap_secret(&directory, "..4", "\n")?;
    until(LIMIT, "nobody to be known", || Ok((status_with(&agent, "second-token")? == 503).then_some(())))?;
    sleep(Duration::from_secs(3));
    assert_eq!(status_with(&agent, "second-token")?, 503);
    assert_eq!(agent.get("/readyz")?.status, 200);
    assert!(rejected(&agent, "token_file")? >= 2.0);
    swap_secret(&directory, "..5", "third-token\n")?;
    until(LIMIT, "the third token", || Ok((status_with(&agent, "third-token")? == 200).then_some(())))?;
    drop(watch);
    let log = agent.terminate()?.stderr;
    assert_eq!(log.matches("token holds no token; until it can be used again").count(), 1, "{log}");
    assert_eq!(log.matches("server.token_file has been read again").count(), 3, "{log}");
    for token in ["first-token", "second-token", "third-token"] {
        assert!(!log.contains(token), "{log}");
    }
    Ok(())
}

/// Runs an agent with these lines below `server:`, to its end.
fn outcome_of(scratch: &Scratch, server: &str) -> Result<Outcome> {
    let text = format!("profiler:\n{RULES}  server:\n    health_listen: 127.0.0.1:0\n{server}");
    run(telegen(["agent", "--config"])?.arg(scratch.write("c.yaml", &text)?), LIMIT)
}

#[test]
fn without_a_usable_token_nothing_starts() -> Result<()> {
    let scratch = Scratch::new()?;
    let file = scratch.text("token");
    let server = format!("    listen: 127.0.0.1:0\n    token_file: {file}\n");
    for (content, words) in
        [(None, "No such file"), (Some(""), "holds no token"), (Some("fine\nnot fine\n"), "line 2")]
    {
        if let Some(content) = content {
            fs::write(&file, content)?;
        }
        let outcome = outcome_of(&scratch, &server)?.expect_code(1)?;
        for piece in ["server.token_file", &file, words] {
            assert!(outcome.stderr.contains(piece), "{piece}\n{outcome}");
        }
        assert!(!outcome.stderr.contains("fine"), "{outcome}");
    }
    Ok(())
}

#[test]
fn an_open_address_needs_a_guard_and_every_way_is_named() -> Result<()> {
    let scratch = Scratch::new()?;
    let text = "profiler:\n  server:\n    listen: 0.0.0.0:0\n";
    let config = scratch.write("open.yaml", text)?;
    let outcome = run(telegen(["config", "check"])?.arg(&config), LIMIT)?.expect_code(2)?;
    for piece in ["server.token_file", "server.tls.client_ca_file", "server.insecure: true", "127.0.0.1"] {
        assert!(outcome.output().contains(piece), "{piece}\n{outcome}");
    }
    let token = scratch.join("token");
    secret(&token, "any-token")?;
    let config = scratch.write("open.yaml", &format!("{text}    token_file: {}\n", token.display()))?;
    let outcome = run(telegen(["config", "check"])?.arg(&config), LIMIT)?.expect_code(0)?;
    assert!(outcome.output().contains("in the clear"), "{outcome}");
    let shown = run(telegen(["config", "show", "--config"])?.arg(&config), LIMIT)?.expect_code(0)?;
    assert!(shown.stdout.contains(&format!("token_file: {}", token.display())), "{shown}");
    assert!(!shown.output().contains("any-token"), "{shown}");
    Ok(())
}

#[test]
fn what_is_wrong_with_a_secret_and_what_needs_a_restart_is_said() -> Result<()> {
    let scratch = Scratch::new()?;
    let file = scratch.join("token");
    secret(&file, "some-token")?;
    fs::set_permissions(&file, Permissions::from_mode(0o644))?;
    let agent = start(&scratch, &format!("    token_file: {}\n", file.display()))?;
    assert!(agent.log()?.contains("may read server.token_file"), "{}", agent.log()?);
    let config = scratch.join("agent.yaml");
    let text =
        fs::read_to_string(&config)?.replace("    token_file:", "    insecure: true\n    # token_file:");
    fs::rename(scratch.write("agent.yaml.new", &text)?, config)?;
    for key in ["server.token_file", "server.insecure"] {
        let words = format!("{key} has changed; that needs a restart");
        until(LIMIT, &words, || Ok(agent.log()?.contains(&words).then_some(())))?;
    }
    assert_eq!(ask(&agent, LIST, &[])?.status, 401);
    assert_eq!(status_with(&agent, "some-token")?, 200);
    Ok(())
}

#[test]
fn insecure_takes_names_and_loopback_alone_does_not() -> Result<()> {
    let name = "Host: node-7:9690";
    for (server, status) in [("    insecure: true\n", 200), ("", 403)] {
        let scratch = Scratch::new()?;
        let agent = start(&scratch, server)?;
        assert_eq!(ask(&agent, LIST, &[name])?.status, status, "{server:?}");
        assert_eq!(rejected(&agent, "host")?, f64::from(u8::from(status == 403)));
    }
    Ok(())
}

/// Begins a connection, and does not wait for it: a listener that has enough lets it wait.
fn begin_connection(address: SocketAddr) -> Result<OwnedFd> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::NONBLOCK, None)?;
    match connect(&socket, &address) {
        Ok(()) | Err(rustix::io::Errno::INPROGRESS) => Ok(socket),
        Err(error) => Err(error).context("cannot connect"),
    }
}

fn descriptors(agent: &Agent) -> Result<usize> {
    Ok(fs::read_dir(format!("/proc/{}/fd", agent.running.pid()))?.count())
}

#[test]
fn a_thousand_silent_connections_take_little_and_keep_nobody_away() -> Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?;
    let scratch = Scratch::new()?;
    let agent = start(&scratch, "")?;
    let (before, memory) =
        (descriptors(&agent)?, agent.metrics()?.sum("process_resident_memory_bytes", &[])?);
    let connections = (0..1_000).map(|_| begin_connection(agent.listen())).collect::<Result<Vec<_>>>()?;
    until(LIMIT, "connections to be refused", || {
        Ok((rejected(&agent, "connections")? > 500.0).then_some(()))
    })?;
    let during = descriptors(&agent)?;
    assert!(during <= before + 70, "{before} descriptors before, {during} during 1,000 connections");
    let url = format!("http://{}{LIST}", agent.listen());
    let begin = Instant::now();
    assert_eq!(curl(["--interface", "127.0.0.2", &*url])?.status, 200);
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
    assert_eq!(agent.get("/healthz")?.status, 200);
    let grown = agent.metrics()?.sum("process_resident_memory_bytes", &[])? - memory;
    assert!(grown < f64::from(16 << 20), "{grown} bytes for 1,000 connections");
    drop(connections);
    until(LIMIT, "an answer", || {
        Ok(http_get(agent.listen(), LIST).is_ok_and(|response| response.status == 200).then_some(()))
    })
}

#[test]
fn a_request_that_comes_byte_by_byte_or_without_end_is_not_waited_for() -> Result<()> {
    let scratch = Scratch::new()?;
    let agent = start(&scratch, "")?;
    let mut large = TcpStream::connect(agent.listen())?;
    large.set_read_timeout(Some(LIMIT))?;
    large.write_all(format!("GET {LIST} HTTP/1.1\r\nHost: 127.0.0.1\r\n").as_bytes())?;
    let line = format!("X: {}\r\n", "x".repeat(8_000));
    // What is not taken any more is refused by the kernel.
    let sent = (0..1_000).take_while(|_| large.write_all(line.as_bytes()).is_ok()).count();
    ensure!(sent < 1_000, "{sent} lines have been taken");
    let mut slow = TcpStream::connect(agent.listen())?;
    slow.set_read_timeout(Some(Duration::from_millis(500)))?;
    slow.write_all(b"GET / HTTP/1.1\r\nX: ")?;
    let begin = Instant::now();
    until(LIMIT, "the end of the connection", || {
        let (sent, mut answer) = (slow.write_all(b"x"), [0; 512]);
        let ended = match slow.read(&mut answer) {
            Ok(read) => read == 0,
            Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
        };
        Ok((ended || sent.is_err()).then_some(()))
    })?;
    ensure!(begin.elapsed() > Duration::from_secs(20), "{:?}", begin.elapsed());
    assert_eq!(agent.ask(LIST)?.status, 200);
    Ok(())
}
