//! The files that lead clients to the server.

use crate::client::Client;
use crate::lists::server;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fs;
use telegen_test_kubernetes::{Credentials, Options, ServiceAccount, kubeconfig, write_kubeconfig};

#[test]
fn a_service_account_is_exchanged_at_once() {
    let server = server(1, Options::default());
    server.access().grant_all("agent");
    let directory = tempfile::tempdir().unwrap();
    let token = server.access().issue_token("agent");
    let account = ServiceAccount::write(directory.path(), &server, "telegen", &token).unwrap();
    let read = |name: &str| fs::read_to_string(directory.path().join(name)).unwrap();
    assert_eq!((read("token"), read("namespace")), (token, "telegen".to_owned()));
    let ask =
        || Client::new(server.address(), &read("ca.crt")).token(&read("token")).get("/api/v1/pods").status;
    assert_eq!(ask(), 200);
    let next = server.access().rotate_token("agent");
    assert_eq!(ask(), 401);
    account.rotate(&next).unwrap();
    assert_eq!((ask(), account.directory()), (200, directory.path()));
    assert!(fs::symlink_metadata(directory.path().join("token")).unwrap().is_symlink());
    let versions = fs::read_dir(directory.path()).unwrap().filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().starts_with("..2026")
    });
    assert_eq!(versions.count(), 1, "the earlier one is gone");
}

#[test]
fn a_kubeconfig_says_where_and_who() {
    let server = server(1, Options::default());
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config");
    write_kubeconfig(&path, &server, "shop", &Credentials::Token("secret".to_owned())).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let field = |text: &str, name: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(&format!("{name}: ")));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).to_owned()
    };
    assert_eq!(field(&text, "server"), server.url());
    assert_eq!((field(&text, "token"), field(&text, "namespace")), ("secret".to_owned(), "shop".to_owned()));
    let authority = STANDARD.decode(field(&text, "certificate-authority-data")).unwrap();
    assert_eq!(authority, server.access().authority().pem().as_bytes());

    let identity = server.access().issue_certificate("agent").unwrap();
    let text = kubeconfig(&server, "shop", &Credentials::Certificate(identity.clone()));
    let certificate = STANDARD.decode(field(&text, "client-certificate-data")).unwrap();
    assert_eq!(certificate, identity.certificate_pem.as_bytes());
    assert_eq!(STANDARD.decode(field(&text, "client-key-data")).unwrap(), identity.key_pem.as_bytes());
    let text = kubeconfig(&server, "shop", &Credentials::TokenFile("/run/token".into()));
    assert_eq!(field(&text, "tokenFile"), "/run/token");
    assert!(!kubeconfig(&server, "shop", &Credentials::Nothing).contains("token"));
}
