//! `config show`.

use proptest::prelude::*;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};
use telegen_config::{
    Config, CoreShare, Cpu, CpuEvent, Debuginfod, DebuginfodCache, Export, Files, Kubelet, Kubernetes,
    KubernetesUse, LabelRule, Limits, Log, LogFormat, LogLevel, Match, PodAnnotations, PodSource, Rules,
    Server, Symbols, Target, Tls, parse,
};
use telegen_model::Pid;

#[test]
fn the_defaults() {
    insta::assert_snapshot!(Config::default().show());
}

#[test]
fn lists_and_mappings() {
    let mut config = Config::default();
    config.rules.pid = Some(Pid(7));
    config.rules.process_names = vec!["java".into(), "*[\"é".into()];
    config.external_labels.insert("k8s.cluster".into(), "true".into());
    config.export.files.directory = Some("/var/lib/telegen".into());
    insta::assert_snapshot!(config.show());
}

#[test]
fn named_targets() {
    let mut config = Config::default();
    let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let rules = Rules {
        process_names: vec!["java".into(), "*x".into()],
        labels: vec![LabelRule::Map(vec![label("app", "payments"), label("canary", "")])],
        exclude_labels: vec![LabelRule::Selector("tier in (a,b)".into()), LabelRule::Selector("!x".into())],
        match_types: Some(Match::All),
        ..Rules::default()
    };
    let until = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_796_126_400));
    config.targets = vec![
        Target { name: "payments".into(), rules, until, sample_hz: Some(199) },
        Target { name: "rest".into(), ..Target::default() },
    ];
    config.pod_annotations = PodAnnotations::OptOut;
    let shown = config.show();
    assert_eq!(parse("shown.yaml", shown.as_bytes()).expect("it is shown").config, config);
    let (from, to) = (shown.find("  targets:").expect("there"), shown.find("  # external").expect("there"));
    insta::assert_snapshot!(&shown[from..to]);
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z*?]{1,8}", "(true|null|~|1|1e5|- a|a: b|# x| )", "\\PC{1,12}", any::<String>()]
        .prop_filter("an empty text is no value", |text| !text.is_empty())
}

fn texts() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(text(), 0..4)
}

fn pid() -> impl Strategy<Value = Pid> {
    Rules::PIDS.prop_map(Pid)
}

fn label_rules() -> impl Strategy<Value = Vec<LabelRule>> {
    // A selector of blanks only counts as absent.
    let selector =
        text().prop_filter("not blank", |text| !text.trim().is_empty()).prop_map(LabelRule::Selector);
    let map = prop::collection::btree_map(text(), prop_oneof![text(), Just(String::new())], 1..3);
    let map = map.prop_map(|labels| LabelRule::Map(labels.into_iter().collect()));
    prop::collection::vec(prop_oneof![selector, map], 0..3)
}

fn rules() -> impl Strategy<Value = Rules> {
    let pids = (prop::option::of(pid()), prop::collection::vec(pid(), 0..4));
    let match_types = prop::option::of(prop_oneof![Just(Match::Any), Just(Match::All)]);
    let lists = prop::collection::vec(texts(), 8);
    (pids, lists, label_rules(), label_rules(), match_types).prop_map(
        |(pids, lists, labels, exclude_labels, match_types)| {
            let mut lists = lists.into_iter();
            let mut list = || lists.next().unwrap_or_default();
            Rules {
                pid: pids.0,
                pids: pids.1,
                process_names: list(),
                executables: list(),
                container_ids: list(),
                namespaces: list(),
                cronjobs: list(),
                pods: list(),
                labels,
                exclude_process_names: list(),
                exclude_deployments: list(),
                exclude_labels,
                match_types,
                ..Rules::default()
            }
        },
    )
}

fn target() -> impl Strategy<Value = Target> {
    let until = prop::option::of(
        (0_u64..1 << 33, 0_u32..1_000_000_000)
            .prop_map(|(seconds, nanoseconds)| SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds)),
    );
    (text(), rules(), until, prop::option::of(Cpu::SAMPLE_HZ))
        .prop_map(|(name, rules, until, sample_hz)| Target { name, rules, until, sample_hz })
}

/// The flat rules, named targets, and what pods may say.
fn targeting() -> impl Strategy<Value = (Rules, Vec<Target>, PodAnnotations)> {
    let annotations = prop::sample::select(PodAnnotations::NAMES.to_vec())
        .prop_map(|name| PodAnnotations::from_name(name).expect("its own name"));
    (rules(), prop::collection::vec(target(), 0..3), annotations)
}

fn duration() -> impl Strategy<Value = Duration> {
    (1_u64..3_599, 0_u32..1_000_000_000)
        .prop_map(|(seconds, nanoseconds)| Duration::new(seconds, nanoseconds))
}

fn path() -> impl Strategy<Value = PathBuf> {
    text().prop_filter("paths have no NUL", |text| !text.contains('\0')).prop_map(Into::into)
}

fn kubernetes() -> impl Strategy<Value = Kubernetes> {
    let enabled = prop::sample::select(KubernetesUse::NAMES.to_vec());
    let source = prop_oneof![Just(PodSource::Api), Just(PodSource::Kubelet)];
    let paths = [prop::option::of(path()), prop::option::of(path()), prop::option::of(path())];
    let texts = (prop::option::of(text()), prop::option::of(text()));
    (enabled, source, paths, texts, any::<bool>()).prop_map(
        |(enabled, source, [kubeconfig, ca_file, token_file], (node_name, url), insecure)| Kubernetes {
            enabled: KubernetesUse::from_name(enabled).expect("its own name"),
            node_name,
            source,
            kubeconfig,
            kubelet: Kubelet { url, ca_file, token_file, insecure },
        },
    )
}

fn symbols() -> impl Strategy<Value = Symbols> {
    let sizes = (1_u64 << 20..=1 << 40, 1_u64 << 20..=16 << 40);
    (texts(), sizes, duration(), path()).prop_map(|(urls, sizes, timeout, directory)| Symbols {
        debuginfod: Debuginfod {
            urls,
            max_size_bytes: sizes.0,
            timeout,
            cache: DebuginfodCache { directory, max_size_bytes: sizes.1 },
        },
    })
}

fn config() -> impl Strategy<Value = Config> {
    let flags = any::<[bool; 4]>();
    let cpu = (Cpu::SAMPLE_HZ, prop_oneof![Just(CpuEvent::CpuClock), Just(CpuEvent::Cycles)]);
    let files = (prop::option::of(path()), 1_u64 << 10..16 << 40, duration());
    let memory = prop::option::of(32_u64 << 20..=1 << 40);
    let limits = (memory, 1_u32..=10_000, 1_u32..=1_000_000, 1_u32..=512);
    let names = prop::sample::select(LogLevel::NAMES.to_vec());
    let log = (names, prop_oneof![Just(LogFormat::Text), Just(LogFormat::Json)]);
    let labels = (prop::collection::btree_map(text(), text(), 0..4), texts(), kubernetes(), symbols());
    let address = any::<SocketAddr>().prop_filter("no flow label, no scope", |address| match address {
        SocketAddr::V4(_) => true,
        SocketAddr::V6(address) => address.flowinfo() == 0,
    });
    let pair = prop::option::of((path(), path(), prop::option::of(path())));
    let server = (address.clone(), address, prop::option::of(path()), pair);
    (flags, duration(), cpu, targeting(), labels, server, files, limits, log).prop_map(
        |(flags, collection_interval, cpu, rules, labels, server, files, limits, log)| Config {
            enabled: flags[0],
            collection_interval,
            cpu: Cpu { enabled: flags[1], sample_hz: cpu.0, event: cpu.1 },
            kernel_stacks: flags[2],
            profile_self: flags[3],
            rules: rules.0,
            targets: rules.1,
            pod_annotations: rules.2,
            external_labels: labels.0,
            pod_labels: labels.1,
            kubernetes: labels.2,
            symbols: labels.3,
            server: Server {
                listen: server.0,
                health_listen: server.1,
                token_file: server.2,
                tls: server.3.map_or_else(Tls::default, |(cert, key, client_ca_file)| Tls {
                    cert_file: Some(cert),
                    key_file: Some(key),
                    client_ca_file,
                }),
                insecure: true,
            },
            export: Export { files: Files { directory: files.0, max_size_bytes: files.1, max_age: files.2 } },
            limits: Limits {
                memory_bytes: limits.0,
                cpu: CoreShare::from_percent(limits.1),
                max_targets: limits.2,
                max_stack_depth: limits.3,
            },
            log: Log { level: LogLevel::from_name(log.0).expect("its own name"), format: log.1 },
        },
    )
}

proptest! {
    #[test]
    fn what_is_shown_is_read_as_the_same(config in config()) {
        let shown = config.show();
        let loaded = parse("shown.yaml", shown.as_bytes());
        let loaded = loaded.map_err(|error| TestCaseError::fail(format!("{error}\n{shown}")))?;
        prop_assert_eq!(loaded.config, config, "{}", shown);
    }
}
