//! `server.listen` in TLS: certificates of the agent and of its clients.

use anyhow::{Context, Result, ensure};
use std::fs::{self, Permissions};
use std::io::Read;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;
use telegen_e2e::{
    Agent, AgentSettings, Authority, NEEDED_CAPABILITIES, Pair, Program, Purpose, Response, Running, Scratch,
    curl, curl_command, curl_in_vain, free_addresses, run, telegen, telegen_as_nobody_with, until,
};

const LIMIT: Duration = Duration::from_secs(60);
const LIST: &str = "/api/v1/targets";
const REJECTED: &str = "telegen_profiler_http_requests_rejected_total";
const RULES: &str = "  target_process_names: [tg-tls]\n";

fn start(scratch: &Scratch, server: &str) -> Result<Agent> {
    Agent::start(scratch, &AgentSettings { rules: RULES, server, ..AgentSettings::default() })
}

fn tls(pair: &Pair, client_ca: Option<&Authority<'_>>) -> String {
    let authority = client_ca.map(|authority| format!("      client_ca_file: {}\n", authority.own().cert));
    let Pair { cert, key } = pair;
    let authority = authority.unwrap_or_default();
    format!("    tls:\n      cert_file: {cert}\n      key_file: {key}\n{authority}")
}

/// What curl is told to trust an authority and ask an agent.
fn question(agent: &Agent, authority: &Authority<'_>) -> [String; 3] {
    ["--cacert".into(), authority.own().cert, format!("https://{}{LIST}", agent.listen())]
}

fn ask(agent: &Agent, authority: &Authority<'_>, with: &[&str]) -> Result<Response> {
    let question = question(agent, authority);
    curl(with.iter().copied().chain(question.iter().map(String::as_str)))
}

/// Asks, and gets nothing.
fn ask_in_vain(agent: &Agent, authority: &Authority<'_>, with: &[&str]) -> Result<()> {
    let question = question(agent, authority);
    curl_in_vain(with.iter().copied().chain(question.iter().map(String::as_str)))?;
    Ok(())
}

fn rejected(agent: &Agent, reason: &str) -> Result<f64> {
    agent.metrics()?.sum(REJECTED, &[("reason", reason)])
}

/// The serial number of the certificate that an agent shows.
fn serial(agent: &Agent) -> Result<String> {
    let script = format!(
        "openssl s_client -connect {} </dev/null 2>/dev/null | openssl x509 -noout -serial",
        agent.listen()
    );
    Ok(run(Command::new("sh").args(["-c", &script]), LIMIT)?.expect_code(0)?.stdout)
}

#[test]
fn who_trusts_the_authority_is_answered_in_tls_and_nobody_otherwise() -> Result<()> {
    let scratch = Scratch::new()?;
    let (authority, other) = (Authority::new(&scratch, "ca")?, Authority::new(&scratch, "other-ca")?);
    let pair = authority.issue("server", Purpose::Server)?;
    let mut agent = start(&scratch, &(tls(&pair, None) + "    insecure: true\n"))?;
    for versions in [["--tlsv1.3"].as_slice(), &["--tls-max", "1.2"]] {
        let response = ask(&agent, &authority, versions)?;
        assert_eq!(response.status, 200, "{versions:?}: {response:?}");
    }
    let port = agent.listen().port();
    let by_name = ["--cacert", &authority.own().cert, "--resolve", &format!("node-7:{port}:127.0.0.1")];
    let url = format!("https://node-7:{port}{LIST}");
    assert_eq!(curl(by_name.into_iter().chain([&*url]))?.status, 200);
    ask_in_vain(&agent, &other, &[])?;
    ask_in_vain(&agent, &authority, &["--tls-max", "1.1", "--ciphers", "DEFAULT@SECLEVEL=0"])?;
    assert!(rejected(&agent, "tls_handshake")? >= 2.0, "the client's alert, and the old version");
    let plain = curl([format!("http://{}{LIST}", agent.listen())])?;
    assert!(plain.status == 400 && plain.body.contains("https://"), "{plain:?}");
    let error: serde_json::Value = serde_json::from_str(&plain.body)?;
    assert!(error["error"].is_string(), "{error}");
    assert_eq!(rejected(&agent, "plain_http")?, 1.0);
    assert_eq!(agent.get("/healthz")?.status, 200, "probes are not asked for anything");
    let log = agent.terminate()?.stderr;
    assert!(log.contains("HTTPS, anybody on this machine") && !log.contains("WARN"), "{log}");
    Ok(())
}

#[test]
fn clients_need_a_certificate_that_counts() -> Result<()> {
    let scratch = Scratch::new()?;
    let (authority, other) = (Authority::new(&scratch, "ca")?, Authority::new(&scratch, "other-ca")?);
    let momentary = authority.issue("momentary", Purpose::MomentaryClient)?;
    let server = authority.issue("server", Purpose::Server)?;
    let right = authority.issue("client", Purpose::Client)?;
    let stranger = other.issue("stranger", Purpose::Client)?;
    let token = scratch.write("token", "a-token-as-well\n")?;
    // Certificates are valid by the second, and that of the first is not over before the next but one.
    std::thread::sleep(Duration::from_secs(2));
    let both = format!("{}    token_file: {}\n", tls(&server, Some(&authority)), token.display());
    let with = |pair: &Pair| ["--cert".to_owned(), pair.cert.clone(), "--key".to_owned(), pair.key.clone()];
    for (settings, without_token) in [(tls(&server, Some(&authority)), 200), (both, 401)] {
        let agent = start(&scratch, &settings)?;
        let mut refused = 0.0;
        for version in ["1.3", "1.2"] {
            let max = ["--tls-max", version];
            let certificate = with(&right);
            let mut arguments: Vec<&str> = certificate.iter().map(String::as_str).chain(max).collect();
            let response = ask(&agent, &authority, &arguments)?;
            assert_eq!(response.status, without_token, "{response:?}");
            arguments.extend(["-H", "Authorization: Bearer a-token-as-well", "-H", "Host: node-7"]);
            assert_eq!(ask(&agent, &authority, &arguments)?.status, 200);
            // Missing, of another authority, expired, and not one for clients.
            for pair in [None, Some(&stranger), Some(&momentary), Some(&server)] {
                let certificate = pair.map(with).unwrap_or_default();
                let given = if pair.is_some() { certificate.as_slice() } else { &[] };
                let arguments: Vec<&str> = given
                    .iter()
                    .map(String::as_str)
                    .chain(max)
                    .chain(["-H", "Authorization: Bearer a-token-as-well"])
                    .collect();
                ask_in_vain(&agent, &authority, &arguments)?;
                refused += 1.0;
                assert_eq!(rejected(&agent, "client_certificate")?, refused, "{pair:?}");
            }
        }
    }
    Ok(())
}

#[test]
fn certificates_are_replaced_without_an_end_and_wrong_ones_are_not_taken() -> Result<()> {
    let scratch = Scratch::new()?;
    let authority = Authority::new(&scratch, "ca")?;
    let in_use = authority.issue("server", Purpose::Server)?;
    let agent = start(&scratch, &(tls(&in_use, None) + "    insecure: true\n"))?;
    let first = serial(&agent)?;
    let before = scratch.start(Program::Sleeper, "tg-tls", &[])?;
    let [option, file, url] = question(&agent, &authority);
    let mut watch = Running::spawn(&mut curl_command([option, file, url + "?watch=true"]))?;
    until(LIMIT, "a client that watches", || {
        ensure!(watch.is_running()?, "{}", watch.stderr()?);
        Ok(watch.stdout()?.contains(&format!("\"pid\":{},", before.pid())).then_some(()))
    })?;
    let next = authority.issue("next", Purpose::Server)?;
    fs::rename(&next.key, &in_use.key)?;
    let failures = || {
        let labels = [("outcome", "failure")];
        agent.metrics()?.sum("telegen_profiler_certificate_reloads_total", &labels)
    };
    let successful = || agent.metrics()?.sum("telegen_profiler_certificate_last_reload_successful", &[]);
    until(LIMIT, "a key that does not belong to its certificate", || {
        assert_eq!(serial(&agent)?, first);
        Ok((failures()? == 1.0).then_some(()))
    })?;
    assert_eq!(successful()?, 0.0);
    assert!(agent.log()?.contains("the last good ones stay in force"), "{}", agent.log()?);
    assert_eq!(ask(&agent, &authority, &[])?.status, 200);
    fs::rename(&next.cert, &in_use.cert)?;
    until(LIMIT, "the next certificate", || Ok((serial(&agent)? != first).then_some(())))?;
    assert_eq!((successful()?, failures()?), (1.0, 1.0));
    assert_eq!(ask(&agent, &authority, &[])?.status, 200);
    let second = serial(&agent)?;
    fs::remove_file(&in_use.cert)?;
    until(LIMIT, "a certificate that is gone", || {
        assert_eq!(serial(&agent)?, second);
        Ok((failures()? == 2.0).then_some(()))
    })?;
    let sleeper = scratch.start(Program::Sleeper, "tg-tls", &[])?;
    let pid = format!("\"pid\":{},", sleeper.pid());
    until(LIMIT, "what changes, at the old connection", || Ok(watch.stdout()?.contains(&pid).then_some(())))
}

#[test]
fn clients_of_an_authority_that_is_no_more_are_refused() -> Result<()> {
    let scratch = Scratch::new()?;
    let (authority, next) = (Authority::new(&scratch, "ca")?, Authority::new(&scratch, "next-ca")?);
    let server = authority.issue("server", Purpose::Server)?;
    let clients = [authority.issue("old", Purpose::Client)?, next.issue("new", Purpose::Client)?];
    let trusted = scratch.join("trusted.pem");
    fs::copy(authority.own().cert, &trusted)?;
    let settings = format!("{}      client_ca_file: {}\n", tls(&server, None), trusted.display());
    let agent = start(&scratch, &settings)?;
    let answered = |client: &Pair| {
        let question = question(&agent, &authority);
        let with = ["--cert", &client.cert, "--key", &client.key];
        let outcome =
            run(&mut curl_command(with.into_iter().chain(question.iter().map(String::as_str))), LIMIT)?;
        anyhow::Ok(outcome.code() == Some(0))
    };
    assert_eq!(clients.each_ref().map(|client| answered(client).ok()), [Some(true), Some(false)]);
    fs::write(&trusted, [fs::read(authority.own().cert)?, fs::read(next.own().cert)?].concat())?;
    until(LIMIT, "the new authority", || Ok(answered(&clients[1])?.then_some(())))?;
    assert!(answered(&clients[0])?);
    fs::copy(next.own().cert, &trusted)?;
    until(LIMIT, "the end of the old authority", || Ok((!answered(&clients[0])?).then_some(())))?;
    assert!(answered(&clients[1])?);
    Ok(())
}

#[test]
fn with_certificates_that_cannot_be_used_nothing_starts() -> Result<()> {
    let scratch = Scratch::new()?;
    let authority = Authority::new(&scratch, "ca")?;
    let (one, other) = (authority.issue("one", Purpose::Server)?, authority.issue("other", Purpose::Server)?);
    let none = scratch.text("none");
    let words = scratch.write("words", "just words\n")?.to_string_lossy().into_owned();
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let broken = scratch.write("broken", broken)?.to_string_lossy().into_owned();
    for (cert, key, authority, pieces) in [
        (&none, &one.key, None, [&*none, "No such file"]),
        (&one.cert, &other.key, None, [&*other.key, "together"]),
        (&words, &one.key, None, [&*words, "no certificate"]),
        (&broken, &one.key, None, [&*broken, "cannot be used"]),
        (&one.cert, &one.cert, None, [&*one.cert, "no private key"]),
        (&one.cert, &one.key, Some(&broken), [&*broken, "certificate 1"]),
        (&one.cert, &one.key, Some(&one.key), [&*one.key, "no certificate"]),
    ] {
        let authority = authority.map(|file| format!(", client_ca_file: {file}")).unwrap_or_default();
        let text = format!(
            "profiler:\n{RULES}  server:\n    health_listen: 127.0.0.1:0\n    listen: 127.0.0.1:0\n    \
             tls: {{cert_file: {cert}, key_file: {key}{authority}}}\n"
        );
        let config = scratch.write("c.yaml", &text)?;
        let outcome = run(telegen(["agent", "--config"])?.arg(config), LIMIT)?.expect_code(1)?;
        for piece in pieces.into_iter().chain(["server.tls"]) {
            assert!(outcome.stderr.contains(piece), "{piece}\n{outcome}");
        }
    }
    Ok(())
}

#[test]
fn who_does_not_begin_a_handshake_is_let_go() -> Result<()> {
    let scratch = Scratch::new()?;
    let authority = Authority::new(&scratch, "ca")?;
    let pair = authority.issue("server", Purpose::Server)?;
    let agent = start(&scratch, &(tls(&pair, None) + "    insecure: true\n"))?;
    let silent = (0..60).map(|_| TcpStream::connect(agent.listen())).collect::<Result<Vec<_>, _>>()?;
    assert_eq!(ask(&agent, &authority, &[])?.status, 200);
    let mut first = silent.first().context("a connection")?;
    first.set_read_timeout(Some(LIMIT))?;
    assert_eq!(first.read(&mut [0])?, 0);
    until(LIMIT, "all of them to be counted", || Ok((rejected(&agent, "tls_timeout")? == 60.0).then_some(())))
}

#[test]
fn an_unprivileged_agent_under_its_filter_reads_the_files_again() -> Result<()> {
    let scratch = Scratch::new()?;
    let authority = Authority::new(&scratch, "ca")?;
    let (pair, next) =
        (authority.issue("server", Purpose::Server)?, authority.issue("next", Purpose::Server)?);
    let token = scratch.write("token", "first-token\n")?;
    for file in [&pair.key, &next.key, &scratch.text("token")] {
        fs::set_permissions(file, Permissions::from_mode(0o600))?;
    }
    let [address] = free_addresses()?;
    let text = format!(
        "profiler:\n{RULES}  server:\n    health_listen: 127.0.0.1:0\n    listen: {address}\n    \
         token_file: {}\n{}",
        token.display(),
        tls(&pair, None)
    );
    let config = scratch.write("agent.yaml", &text)?.to_string_lossy().into_owned();
    let arguments = ["agent", "--config", &config];
    let mut agent = Running::spawn(&mut telegen_as_nobody_with(&NEEDED_CAPABILITIES, arguments)?)?;
    until(LIMIT, "a filter of system calls", || {
        ensure!(agent.is_running()?, "{}", agent.stderr()?);
        let status = fs::read_to_string(format!("/proc/{}/status", agent.pid()))?;
        Ok((status.contains("\nUid:\t65534") && status.contains("\nSeccomp:\t2")).then_some(()))
    })?;
    let url = format!("https://{address}{LIST}");
    let status = |token: &str| {
        let header = format!("Authorization: Bearer {token}");
        anyhow::Ok(curl(["--cacert", &authority.own().cert, "-H", &header, &url])?.status)
    };
    until(LIMIT, "the first token", || Ok((status("first-token")? == 200).then_some(())))?;
    fs::write(&token, "second-token\n")?;
    fs::rename(&next.key, &pair.key)?;
    fs::rename(&next.cert, &pair.cert)?;
    until(LIMIT, "the second token", || Ok((status("second-token")? == 200).then_some(())))?;
    until(LIMIT, "the next certificate", || {
        // The files are read for those who connect, and no more than once in a second.
        status("second-token")?;
        Ok(agent.stderr()?.contains("the files of server.tls have been read again").then_some(()))
    })?;
    // Who has not finished a handshake does not keep it from ending.
    let silent = (0..5).map(|_| TcpStream::connect(address)).collect::<Result<Vec<_>, _>>()?;
    let outcome = agent.terminate()?.expect_code(0)?;
    assert_eq!(silent.len(), 5);
    assert!(!outcome.stderr.contains("ERROR") || outcome.stderr.contains("together"), "{outcome}");
    Ok(())
}
