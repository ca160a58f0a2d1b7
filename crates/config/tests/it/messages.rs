//! What is said about wrong configurations.

use insta::assert_snapshot;
use telegen_config::{Diagnostics, Error, parse};

fn errors(text: &str) -> Diagnostics {
    match parse("c.yaml", text.as_bytes()) {
        Err(Error::Invalid(errors)) => errors,
        other => panic!("{other:?}"),
    }
}

fn message(text: &str) -> String {
    errors(text).to_string()
}

fn warnings(text: &str) -> String {
    let loaded = parse("c.yaml", text.as_bytes()).expect("nothing is wrong");
    loaded.warnings.iter().map(|warning| format!("{warning}\n")).collect()
}

#[test]
fn all_errors_at_once_in_the_order_of_the_file() {
    assert_snapshot!(message(
        "profiler:\n  colection_interval: 10s\n  cpu: {sample_rate: fast}\n  exclude_proces_names: [sh]\n"
    ));
}

#[test]
fn an_unknown_key() {
    assert_snapshot!(message("profiler:\n  enabled: true\n  target_proces_names: [java]\n"));
}

#[test]
fn an_unknown_key_without_a_near_one() {
    assert_snapshot!(message("profiler:\n  log:\n    colour: red\n"));
}

#[test]
fn a_key_of_another_section() {
    assert_snapshot!(message("profiler:\n  sample_rate: 99\n"));
}

#[test]
fn wrong_types() {
    assert_snapshot!(message(
        "profiler:
  enabled: \"true\"
  collection_interval: 10
  cpu: [1, 2]
  kernel_stacks: yes
  target_pid: \"12\"
  target_pids: 12
  target_process_names: java
  target_executables: [1, null, {sh,bash}, \"\"]
  external_labels: {version: 1.5, zone: }
  server: {health_listen: 9691}
  export: {files: {directory: , max_size: [1]}}
"
    ));
}

#[test]
fn values_out_of_range() {
    assert_snapshot!(message(
        "profiler:
  collection_interval: 999ms
  cpu: {sample_rate: 10001, event: instructions}
  target_pids: [0, 1, -5, 99999999999999999999]
  match: some
  server: {health_listen: localhost}
  export: {files: {max_size: 0, max_age: 0s}}
  limits: {max_stack_depth: 513}
"
    ));
}

#[test]
fn addresses_that_others_can_reach() {
    assert_snapshot!(message("profiler:\n  server:\n    listen: 0.0.0.0:9690\n"));
    let refused = ["192.0.2.1:1", "\"[::]:1\"", "\"[2001:db8::1]:1\"", "\"[::ffff:192.0.2.1]:1\""];
    for address in refused {
        let text = format!("profiler:\n  server: {{listen: {address}, insecure: false}}\n");
        assert_eq!(
            errors(&text).iter().next().and_then(|error| error.position()),
            Some((2, 20)),
            "{address}"
        );
        assert_eq!(warnings(&text.replace("false", "true")), "", "{address}");
        let tls = "tls: {cert_file: /c, key_file: /k, client_ca_file: /a}";
        for guard in [tls, &format!("{tls}, token_file: /t")] {
            assert_eq!(warnings(&text.replace("insecure: false", guard)), "", "{address}");
        }
        let half = "tls: {cert_file: /c, key_file: /k}";
        assert_eq!(errors(&text.replace("insecure: false", half)).iter().count(), 1, "{address}");
        for guard in ["token_file: /t", "token_file: /t, insecure: true"] {
            let warnings = warnings(&text.replace("insecure: false", guard));
            assert!(warnings.contains("in the clear") && warnings.contains("c.yaml:2:20"), "{warnings}");
        }
    }
    for address in ["127.8.0.1:1", "\"[::1]:1\"", "\"[::ffff:127.0.0.1]:1\""] {
        assert_eq!(warnings(&format!("profiler:\n  server: {{listen: {address}}}\n")), "", "{address}");
    }
}

#[test]
fn tls_without_all_that_it_takes() {
    assert_snapshot!(message(
        "profiler:
  server:
    listen: 192.0.2.1:9690
    tls:
      client_ca_file: /etc/telegen/ca.pem
      key_file: \"\"
"
    ));
    let parts = ["cert_file: /c", "key_file: /k", "client_ca_file: /a"];
    for (chosen, wrong) in [
        ([true, false, false].as_slice(), 1),
        (&[false, true, false], 1),
        (&[true, true, false], 0),
        (&[false, false, true], 1),
        (&[true, false, true], 2),
        (&[true, true, true], 0),
    ] {
        let tls: Vec<&str> =
            parts.iter().zip(chosen).filter(|(_, chosen)| **chosen).map(|(part, _)| *part).collect();
        let text = format!("profiler:\n  server: {{tls: {{{}}}}}\n", tls.join(", "));
        let found = match parse("c.yaml", text.as_bytes()) {
            Ok(_) => 0,
            Err(Error::Invalid(errors)) => errors.iter().count(),
            Err(other) => panic!("{other}"),
        };
        assert_eq!(found, wrong, "{text}");
    }
}

#[test]
fn bad_durations_and_sizes() {
    assert_snapshot!(message(
        "profiler:\n  collection_interval: 10 parsecs\n  export: {files: {max_size: 1.5GiB, max_age: 1d}}\n"
    ));
}

#[test]
fn keys_that_are_not_there_yet() {
    assert_snapshot!(message(
        "profiler:\n  java: {perf_map: true}\n  store: {path: /var/lib}\n  pod_label: [x]\n"
    ));
}

#[test]
fn types_of_profile_that_are_not_built() {
    assert_snapshot!(message(
        "profiler:\n  off_cpu: {enabled: true, min_block_time: 1}\n  memory: {enabled: yes}\n"
    ));
    let off = "profiler:\n  off_cpu: {enabled: false, min_block_time: 1ms}\n  wall: {sample_rate: 19}\n";
    assert_eq!(warnings(off), "");
}

#[test]
fn keys_of_the_go_agent() {
    assert_snapshot!(message(
        "profiler:\n  off_cpu: {min_block_time_ns: 1000}\n  exclude_kernel: true\n  upload_interval: 10s\n"
    ));
}

#[test]
fn roots_of_the_go_agent() {
    assert_snapshot!(message("profiling:\n  enabled: true\nagent:\n  profiling:\n    enabled: true\n"));
}

#[test]
fn other_roots() {
    assert_snapshot!(message("profilers:\n  enabled: true\nmatch: any\nagent: {}\n"));
    assert_snapshot!(message("just words\n"));
}

#[test]
fn a_key_twice() {
    assert_snapshot!(message(
        "profiler:\n  enabled: true\n  enabled: false\n  log: {level: info, level: warn}\n"
    ));
}

#[test]
fn syntax() {
    assert_snapshot!("unclosed", message("profiler: [\n"));
    assert_snapshot!("tab", message("profiler:\n\tenabled: true\n"));
    assert_snapshot!("colon", message("profiler:\n  enabled: true\n  match any\n  kernel_stacks: true\n"));
    assert_snapshot!("indentation", message("profiler:\n  enabled: true\n match: any\n"));
    assert_snapshot!("quote", message("profiler:\n  target_process_names: [\"java]\n"));
}

#[test]
fn globs_without_quotes() {
    assert_snapshot!(message("profiler:\n  target_process_names: [*java, java, *]\n"));
    assert_snapshot!(message("profiler:\n  target_process_names:\n    - [a-z]*\n"));
}

#[test]
fn yaml_that_is_not_used_here() {
    assert_snapshot!(message(
        "profiler: &a\n  enabled: !!bool true\n  cpu: &b {enabled: true}\n  log: *b\n  ? [x]\n  : 1\n---\nprofiler: {}\n"
    ));
}

#[test]
fn bytes_that_are_no_text() {
    let error = parse("c.yaml", b"profiler:\n  match: \"a\xffb\"\n").unwrap_err();
    assert_snapshot!(error.to_string());
}

#[test]
fn hostile_text_is_escaped() {
    assert_snapshot!(message("profiler:\n  \"\\e[31mred\\n\": 1\n  \"\u{202e}x\": 2\n"));
}

#[test]
fn what_is_empty_is_warned_about() {
    assert_snapshot!(warnings(
        "profiler:\n  target_process_names: []\n  target_pids:\n  external_labels: {}\n  cpu: {enabled: false}\n"
    ));
}

#[test]
fn wrong_targets() {
    assert_snapshot!(message(
        "profiler:
  targets:
    - name: payments
      target_process_names: [java]
      proces_names: [java]
      until: tomorrow
      cpu: {sample_rate: 0, event: cycles}
      labels: {app: 1, tier: [a, b]}
    - process_names: java
      pids: [0]
    - 7
    - {name: }
"
    ));
    assert_snapshot!("targets_as_a_mapping", message("profiler:\n  targets: {name: a}\n"));
}

#[test]
fn wrong_labels() {
    assert_snapshot!(message(
        "profiler:\n  target_labels: 7\n  exclude_labels: [app=web, {}, {a: yes, b: true}, 1]\n  pod_annotations: on\n"
    ));
}

#[test]
fn what_is_empty_in_a_target_is_warned_about() {
    assert_snapshot!(warnings(
        "profiler:\n  targets:\n    - name: a\n      process_names: []\n      labels: {}\n  target_labels: \"\"\n  exclude_labels:\n"
    ));
    assert!(warnings("profiler: {targets: []}\n").contains("`targets` is empty"));
}

#[test]
fn flat_keys_without_their_prefix_are_seen_through() {
    assert_snapshot!(message("profiler:\n  process_names: [java]\n  namespaces: [a]\n"));
}

#[test]
fn positions_can_be_asked_for() {
    let errors = errors("profiler:\n  enable: true\n  log: {levle: info}\n");
    let positions: Vec<_> = errors.iter().map(|error| error.position()).collect();
    assert_eq!(positions, [Some((2, 3)), Some((3, 9))]);
}

#[test]
fn more_errors_than_anybody_reads_are_counted() {
    let text = (0..500).map(|n| format!("  key_{n}: 1\n")).collect::<String>();
    let errors = errors(&format!("profiler:\n{text}"));
    assert_eq!(errors.iter().count(), Diagnostics::MAX);
    assert!(errors.to_string().ends_with("error: 450 more errors are not shown"));
}
