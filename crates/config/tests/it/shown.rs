//! `config show`.

use proptest::prelude::*;
use std::net::SocketAddr;
use std::time::Duration;
use telegen_config::{
    Config, CoreShare, Cpu, CpuEvent, Export, Files, Limits, Log, LogFormat, LogLevel, Match, Rules, Server,
    parse,
};
use telegen_model::Pid;

#[test]
fn the_defaults() {
    insta::assert_snapshot!(Config::default().show());
}

#[test]
fn lists_and_mappings() {
    let mut config = Config::default();
    config.rules.target_pid = Some(Pid(7));
    config.rules.target_process_names = vec!["java".into(), "*[\"é".into()];
    config.external_labels.insert("k8s.cluster".into(), "true".into());
    config.export.files.directory = Some("/var/lib/telegen".into());
    insta::assert_snapshot!(config.show());
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

fn rules() -> impl Strategy<Value = Rules> {
    let pids = (prop::option::of(pid()), prop::collection::vec(pid(), 0..4));
    let match_types = prop::option::of(prop_oneof![Just(Match::Any), Just(Match::All)]);
    (pids, texts(), texts(), texts(), texts(), (texts(), texts()), match_types).prop_map(
        |(
            pids,
            target_process_names,
            target_executables,
            exclude_process_names,
            exclude_executables,
            (target_container_ids, exclude_container_ids),
            match_types,
        )| {
            Rules {
                target_pid: pids.0,
                target_pids: pids.1,
                target_process_names,
                target_executables,
                target_container_ids,
                exclude_process_names,
                exclude_executables,
                exclude_container_ids,
                match_types,
            }
        },
    )
}

fn duration() -> impl Strategy<Value = Duration> {
    (1_u64..3_599, 0_u32..1_000_000_000)
        .prop_map(|(seconds, nanoseconds)| Duration::new(seconds, nanoseconds))
}

fn config() -> impl Strategy<Value = Config> {
    let flags = any::<[bool; 4]>();
    let cpu = (Cpu::SAMPLE_HZ, prop_oneof![Just(CpuEvent::CpuClock), Just(CpuEvent::Cycles)]);
    let directory = prop::option::of(text().prop_filter("paths have no NUL", |text| !text.contains('\0')));
    let files = (directory, 1_u64 << 10..16 << 40, duration());
    let memory = prop::option::of(32_u64 << 20..=1 << 40);
    let limits = (memory, 1_u32..=10_000, 1_u32..=1_000_000, 1_u32..=512);
    let names = prop::sample::select(LogLevel::NAMES.to_vec());
    let log = (names, prop_oneof![Just(LogFormat::Text), Just(LogFormat::Json)]);
    let labels = prop::collection::btree_map(text(), text(), 0..4);
    let listen = any::<SocketAddr>().prop_filter("no flow label, no scope", |address| match address {
        SocketAddr::V4(_) => true,
        SocketAddr::V6(address) => address.flowinfo() == 0,
    });
    (flags, duration(), cpu, rules(), labels, listen, files, limits, log).prop_map(
        |(flags, collection_interval, cpu, rules, external_labels, health_listen, files, limits, log)| {
            Config {
                enabled: flags[0],
                collection_interval,
                cpu: Cpu { enabled: flags[1], sample_hz: cpu.0, event: cpu.1 },
                kernel_stacks: flags[2],
                profile_self: flags[3],
                rules,
                external_labels,
                server: Server { health_listen },
                export: Export {
                    files: Files {
                        directory: files.0.map(Into::into),
                        max_size_bytes: files.1,
                        max_age: files.2,
                    },
                },
                limits: Limits {
                    memory_bytes: limits.0,
                    cpu: CoreShare::from_percent(limits.1),
                    max_targets: limits.2,
                    max_stack_depth: limits.3,
                },
                log: Log { level: LogLevel::from_name(log.0).expect("its own name"), format: log.1 },
            }
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
