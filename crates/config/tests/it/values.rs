//! What a configuration that is right means.

use std::path::PathBuf;
use std::time::Duration;
use telegen_config::{
    Config, CpuEvent, Kubelet, Kubernetes, KubernetesUse, LabelRule, Loaded, LogFormat, LogLevel, Match,
    PodAnnotations, PodSource, Rules, Target, Tls, parse, parse_moment, reference,
};
use telegen_model::Pid;

fn loaded(text: &str) -> Loaded {
    parse("c.yaml", text.as_bytes()).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn nothing_means_the_defaults() {
    for text in ["", "# nothing\n", "---\n", "{}", "profiler:\n", "profiler: {}\n", "profiler:\n  cpu:\n"] {
        let loaded = loaded(text);
        assert_eq!(loaded.config, Config::default(), "{text:?}");
        assert!(loaded.warnings.is_empty(), "{text:?}");
    }
}

#[test]
fn the_defaults_are_those_that_are_documented() {
    let config = Config::default();
    assert!(config.enabled && config.cpu.enabled && config.kernel_stacks && !config.profile_self);
    assert_eq!(config.collection_interval, Duration::from_secs(10));
    assert_eq!((config.cpu.sample_hz, config.cpu.event), (99, CpuEvent::CpuClock));
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:9690");
    assert_eq!(config.server.health_listen.to_string(), "0.0.0.0:9691");
    assert!(!config.server.insecure && !config.server.is_guarded() && config.server.tls == Tls::default());
    assert_eq!((config.limits.max_targets, config.limits.max_stack_depth), (10_000, 512));
    assert_eq!((config.log.level, config.log.format), (LogLevel::Info, LogFormat::Text));
    assert!(!config.rules.has_includes());
}

#[test]
fn every_key_reaches_its_field() {
    let config = loaded(
        "profiler:
  enabled: false
  collection_interval: 1m30s
  cpu: {enabled: false, sample_rate: 0x13, event: cycles}
  kernel_stacks: false
  profile_self: true
  target_pid: 1
  target_pids: [2, 3]
  target_process_names: [java, \"python3*\"]
  target_executables: [\"/opt/*/bin/server\"]
  exclude_process_names: ['{sh,bash}']
  exclude_executables:
    - /bin/sh
  match: all
  external_labels: {cluster: a, \"k8s.zone\": \"1\"}
  pod_labels: [app.kubernetes.io/version, tier]
  kubernetes:
    enabled: true
    node_name: node-7
    source: kubelet
    kubeconfig: /etc/kubeconfig
    kubelet: {url: \"https://10.0.0.7:10250\", ca_file: /ca, token_file: /token, insecure: true}
  server: {listen: \"10.0.0.1:2\", health_listen: \"[::1]:1\", insecure: true, token_file: /t,
    tls: {cert_file: /c, key_file: k, client_ca_file: /a}}
  export: {files: {directory: /var/lib/telegen, max_size: 1GB, max_age: 48h}}
  limits: {max_targets: 7, max_stack_depth: 8}
  log: {level: debug, format: json}
",
    )
    .config;
    assert!(!config.enabled && !config.cpu.enabled && !config.kernel_stacks && config.profile_self);
    assert_eq!(config.collection_interval, Duration::from_secs(90));
    assert_eq!((config.cpu.sample_hz, config.cpu.event), (19, CpuEvent::Cycles));
    assert_eq!(config.rules.pid, Some(Pid(1)));
    assert_eq!(config.rules.pids, [Pid(2), Pid(3)]);
    assert_eq!(config.rules.process_names, ["java", "python3*"]);
    assert_eq!(config.rules.executables, ["/opt/*/bin/server"]);
    assert_eq!(config.rules.exclude_process_names, ["{sh,bash}"]);
    assert_eq!(config.rules.exclude_executables, ["/bin/sh"]);
    assert_eq!(config.rules.match_types, Some(Match::All));
    let labels = [("cluster", "a"), ("k8s.zone", "1")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    assert_eq!(config.external_labels, labels.into());
    assert_eq!(config.pod_labels, ["app.kubernetes.io/version", "tier"]);
    let kubernetes = Kubernetes {
        enabled: KubernetesUse::On,
        node_name: Some("node-7".into()),
        source: PodSource::Kubelet,
        kubeconfig: Some("/etc/kubeconfig".into()),
        kubelet: Kubelet {
            url: Some("https://10.0.0.7:10250".into()),
            ca_file: Some("/ca".into()),
            token_file: Some("/token".into()),
            insecure: true,
        },
    };
    assert_eq!(config.kubernetes, kubernetes);
    assert_eq!(config.server.listen.to_string(), "10.0.0.1:2");
    assert_eq!(config.server.health_listen.to_string(), "[::1]:1");
    assert!(config.server.insecure);
    assert_eq!(config.server.token_file, Some(PathBuf::from("/t")));
    let [cert_file, key_file, client_ca_file] = ["/c", "k", "/a"].map(|path| Some(PathBuf::from(path)));
    assert_eq!(config.server.tls, Tls { cert_file, key_file, client_ca_file });
    assert_eq!(config.export.files.directory, Some(PathBuf::from("/var/lib/telegen")));
    assert_eq!(config.export.files.max_size_bytes, 1_000_000_000);
    assert_eq!(config.export.files.max_age, Duration::from_secs(48 * 3600));
    assert_eq!((config.limits.max_targets, config.limits.max_stack_depth), (7, 8));
    assert_eq!((config.log.level, config.log.format), (LogLevel::Debug, LogFormat::Json));
}

#[test]
fn rules_on_pods_and_named_targets_reach_their_fields() {
    let config = loaded(
        "profiler:
  target_namespaces: [\"prod-*\"]
  target_deployments: [web]
  target_daemonsets: [ds]
  target_statefulsets: [db]
  target_jobs: [j]
  target_cronjobs: [cj]
  target_pods: [\"web-?\"]
  target_labels: {app: web, canary: \"\"}
  exclude_namespaces: [kube-system]
  exclude_deployments: [d]
  exclude_daemonsets: [e]
  exclude_statefulsets: [f]
  exclude_jobs: [g]
  exclude_cronjobs: [h]
  exclude_pods: [i]
  exclude_labels: [\"tier in (a,b),!x\", {y: z}]
  pod_annotations: both
  targets:
    - name: payments
      match: all
      process_names: [java]
      namespaces: [prod]
      labels: app=payments
      exclude_pods: [x]
      pids: [7]
      until: 2026-12-01T13:00:00+01:00
      cpu: {sample_rate: 199}
    - {name: rest}
",
    )
    .config;
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    let map = |pairs: &[(&str, &str)]| {
        LabelRule::Map(pairs.iter().map(|&(key, value)| (key.into(), value.into())).collect())
    };
    let selector = |text: &str| LabelRule::Selector(text.into());
    let rules = Rules {
        namespaces: names(&["prod-*"]),
        deployments: names(&["web"]),
        daemonsets: names(&["ds"]),
        statefulsets: names(&["db"]),
        jobs: names(&["j"]),
        cronjobs: names(&["cj"]),
        pods: names(&["web-?"]),
        labels: vec![map(&[("app", "web"), ("canary", "")])],
        exclude_namespaces: names(&["kube-system"]),
        exclude_deployments: names(&["d"]),
        exclude_daemonsets: names(&["e"]),
        exclude_statefulsets: names(&["f"]),
        exclude_jobs: names(&["g"]),
        exclude_cronjobs: names(&["h"]),
        exclude_pods: names(&["i"]),
        exclude_labels: vec![selector("tier in (a,b),!x"), map(&[("y", "z")])],
        ..Rules::default()
    };
    assert_eq!((config.rules, config.pod_annotations), (rules, PodAnnotations::Both));
    let payments = Target {
        name: "payments".into(),
        rules: Rules {
            pids: vec![Pid(7)],
            process_names: names(&["java"]),
            namespaces: names(&["prod"]),
            labels: vec![selector("app=payments")],
            exclude_pods: names(&["x"]),
            match_types: Some(Match::All),
            ..Rules::default()
        },
        until: parse_moment("2026-12-01T12:00:00Z").ok(),
        sample_hz: Some(199),
    };
    assert_eq!(config.targets, [payments, Target { name: "rest".into(), ..Target::default() }]);
}

#[test]
fn what_is_found_later_still_knows_its_line() {
    let loaded = loaded("profiler:\n  target_process_names:\n    - java\n    - \"tg-[a\"\n  match: any\n");
    let at = |key, index| loaded.sources.error_at(key, index, "wrong").position();
    assert_eq!(at("target_process_names", Some(1)), Some((4, 7)));
    assert_eq!(at("target_process_names", None), Some((3, 5)));
    assert_eq!(at("match", None), Some((5, 10)));
    assert_eq!(at("cpu.event", None), None);
    assert!(loaded.sources.is_set("match") && !loaded.sources.is_set("cpu.event"));
    insta::assert_snapshot!(loaded.sources.error_at(
        "target_process_names",
        Some(1),
        "`tg-[a` is not a glob"
    ));
}

#[test]
fn what_comes_from_flags_is_said_to() {
    let mut loaded = loaded(
        "profiler:\n  target_process_names: [java]\n  target_executables: [/a]\n  exclude_process_names: [sh]\n",
    );
    loaded.override_rules(&Rules {
        process_names: vec!["node".into(), "x[".into()],
        exclude_process_names: vec!["y[".into()],
        ..Rules::default()
    });
    assert_eq!(loaded.config.rules.exclude_process_names, ["sh", "y["]);
    let at = |key, index| loaded.sources.error_at(key, Some(index), "wrong").to_string();
    assert_eq!(at("target_process_names", 1), "error: wrong\n --> --name, value 2");
    assert_eq!(at("exclude_process_names", 1), "error: wrong\n --> --exclude-name, value 1");
    assert!(at("exclude_process_names", 0).contains("c.yaml:4:27"));
    assert_eq!(at("target_executables", 0), "error: wrong", "the flags have replaced it");
}

#[test]
fn flags_that_include_replace_named_targets_and_what_pods_put_in() {
    let file = || {
        loaded(
            "profiler:\n  targets: [{name: a, pods: [x]}]\n  pod_annotations: both\n  exclude_pods: [y]\n  target_labels: a\n",
        )
    };
    let label = |text: &str| vec![LabelRule::Selector(text.into())];
    let mut loaded = file();
    loaded.override_rules(&Rules { labels: label("b in"), ..Rules::default() });
    assert!(loaded.config.targets.is_empty() && loaded.config.rules.exclude_pods == ["y"]);
    assert_eq!(
        (loaded.config.rules.labels, loaded.config.pod_annotations),
        (label("b in"), PodAnnotations::OptOut)
    );
    let at = |key: &str| loaded.sources.error_at(key, Some(0), "wrong").to_string();
    assert_eq!(at("target_labels"), "error: wrong\n --> --label, value 1");
    assert_eq!(at("targets[0].pods"), "error: wrong", "the flags have replaced it");
    let mut loaded = file();
    loaded.override_rules(&Rules { exclude_labels: label("b"), ..Rules::default() });
    assert_eq!((loaded.config.targets.len(), loaded.config.pod_annotations), (1, PodAnnotations::Both));
    assert!(loaded.sources.error_at("targets[0].pods", Some(0), "wrong").position().is_some());
}

#[test]
fn the_reference_has_every_key() {
    insta::assert_snapshot!(reference());
}
