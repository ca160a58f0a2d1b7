//! Who is let in, and to what.

use crate::client::Client;
use crate::lists::server;
use serde_json::Value;
use telegen_test_kubernetes::{ApiServer, Grant, Options};

const USER: &str = "system:serviceaccount:telegen:telegen";

fn client(server: &ApiServer) -> Client {
    Client::new(server.address(), &server.access().authority().pem())
}

#[test]
fn a_rotated_token_is_refused() {
    let server = server(1, Options::default());
    server.access().grant(USER, Grant::cluster("list", "", "pods"));
    let old = client(&server).token(&server.access().issue_token(USER));
    let beside = client(&server).token(&server.access().issue_token(USER));
    assert_eq!((old.get("/api/v1/pods").status, beside.get("/api/v1/pods").status), (200, 200));
    let mut events = {
        server.access().grant(USER, Grant::cluster("watch", "", "pods"));
        old.watch("resourceVersion=0")
    };
    let new = client(&server).token(&server.access().rotate_token(USER));
    let (status, refusal) = old.json("/api/v1/pods");
    assert_eq!((status, refusal["message"].as_str()), (401, Some("Unauthorized")));
    assert_eq!(beside.get("/version").status, 401, "even where anybody may");
    assert_eq!(new.get("/api/v1/pods").status, 200);
    assert_eq!(events.told().1, "p0", "what was let in goes on");
}

#[test]
fn grants_are_for_verbs_groups_resources_and_namespaces() {
    let server = server(2, Options::default());
    let client = client(&server).token(&server.access().issue_token(USER));
    let refusal = |path: &str| {
        let (status, body) = client.json(path);
        assert_eq!(status, 403, "{path}");
        body["message"].as_str().unwrap().to_owned()
    };
    server.access().grant(USER, Grant::namespaced("list", "", "pods", "a"));
    server.access().grant(USER, Grant::cluster("get", "apps", "replicasets"));
    assert_eq!(client.get("/api/v1/namespaces/a/pods").status, 200);
    assert_eq!(client.get("/apis/apps/v1/namespaces/b/replicasets/x").status, 404);
    let user = format!("User {USER:?} cannot");
    for (path, expected) in [
        (
            "/api/v1/namespaces/b/pods",
            format!(
                "pods is forbidden: {user} list resource \"pods\" in API group \"\" in the namespace \"b\""
            ),
        ),
        (
            "/api/v1/pods?watch=1",
            format!(
                "pods is forbidden: {user} watch resource \"pods\" in API group \"\" at the cluster scope"
            ),
        ),
        (
            "/apis/batch/v1/namespaces/b/jobs/x",
            format!(
                "jobs.batch \"x\" is forbidden: {user} get resource \"jobs\" in API group \"batch\" in the namespace \"b\""
            ),
        ),
        // Whether there is such a resource is not told to who may not read it.
        (
            "/apis/argoproj.io/v1alpha1/namespaces/b/rollouts/x",
            format!(
                "rollouts.argoproj.io \"x\" is forbidden: {user} get resource \"rollouts\" in API group \"argoproj.io\" in the namespace \"b\""
            ),
        ),
        ("/metrics", format!("forbidden: {user} get path \"/metrics\"")),
    ] {
        assert_eq!(refusal(path), expected);
    }
    let (_, body) = client.json("/apis/batch/v1/namespaces/b/jobs/x");
    assert_eq!(body["details"], serde_json::json!({"name": "x", "group": "batch", "kind": "jobs"}));
    server.access().revoke_grants(USER);
    assert_eq!(client.get("/api/v1/namespaces/a/pods").status, 403);
    assert_eq!(client.get("/version").status, 200);
}

#[test]
fn certificates_are_worth_what_their_authority_is() {
    let (here, elsewhere) = (server(1, Options::default()), server(1, Options::default()));
    let with = |identity| Client::with(here.address(), &here.access().authority().pem(), Some(identity));
    here.access().grant_all("node-agent");
    let good = here.access().issue_certificate("node-agent").unwrap();
    assert_eq!(with(&good).get("/api/v1/pods").status, 200);
    assert_eq!(here.ledger().entries()[0].user, "node-agent");
    let foreign = elsewhere.access().issue_certificate("node-agent").unwrap();
    assert_eq!(with(&foreign).get("/api/v1/pods").status, 401);
    let token = here.access().issue_token("node-agent");
    assert_eq!(with(&foreign).token(&token).get("/api/v1/pods").status, 200, "one that is good is enough");
}

#[test]
fn who_shows_nothing_is_anonymous() {
    let server = server(1, Options::default());
    let client = client(&server);
    let (status, refusal) = client.json("/api/v1/pods");
    assert_eq!(status, 403);
    assert!(refusal["message"].as_str().unwrap().contains("User \"system:anonymous\" cannot list"));
    for path in ["/version", "/healthz", "/livez", "/readyz"] {
        assert_eq!(client.get(path).status, 200, "{path}");
    }
    assert_eq!(client.get("/apis").status, 403);
    let basic = client.ask("/api/v1/pods", &[("Authorization", "Basic YTpi")]).unwrap();
    assert_eq!(basic.status, 403, "what is no bearer token is not looked at");
    let admin = Client::admin(&server);
    let (status, resources) = admin.json("/apis/apps/v1");
    assert_eq!((status, &resources["kind"]), (200, &Value::from("APIResourceList")));
}
