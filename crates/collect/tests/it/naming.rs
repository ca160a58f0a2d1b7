use crate::{DEFAULT, PERIOD_NS, TOKEN, collector, facts_of, landmark, tick};
use std::collections::BTreeMap;
use std::time::{Instant, SystemTime};
use telegen_collect::{ProfileAssembler, SampleLabels};
use telegen_model::{LabelValue, Profile};
use telegen_symbolize::Budget;

fn profile(labels: SampleLabels) -> Profile {
    let mut collector = collector();
    collector.start(TOKEN, facts_of(std::process::id()), None);
    collector.record(TOKEN, DEFAULT, &tick(&[landmark(), landmark() + 1, 0x10], &[]));
    collector.record(TOKEN, DEFAULT, &tick(&[landmark(), landmark() + 1, 0x10], &[]));
    let interval = collector.take_interval((SystemTime::now(), Instant::now()));
    ProfileAssembler::new(labels, Budget::default(), None, None).assemble(&interval)
}

fn labels(profile: &Profile) -> BTreeMap<String, String> {
    let set = &profile.label_sets[profile.samples[0].labels.0 as usize];
    let value = |value: &LabelValue| match value {
        LabelValue::Text(text) => profile.strings.get(*text).to_owned(),
        LabelValue::Number(number) => number.to_string(),
    };
    set.0.iter().map(|(key, of)| (profile.strings.get(*key).to_owned(), value(of))).collect()
}

#[test]
fn a_function_of_this_program_is_found_with_file_and_line() {
    let profile = profile(SampleLabels::default());
    let stack = &profile.stacks[profile.samples[0].stack.0 as usize];
    let names: Vec<&str> = stack.iter().map(|&location| profile.leaf_name(location)).collect();
    assert_eq!(names, ["it::landmark", "it::landmark", "[unwinding failed]"]);
    let location = &profile.locations[stack[0].0 as usize];
    let function = &profile.functions[location.lines[0].function.0 as usize];
    assert!(profile.strings.get(function.file).ends_with("tests/it/main.rs"));
    assert!(location.lines[0].line > 0);
    let mapping = &profile.mappings[location.mapping.expect("a file").0 as usize];
    assert!((mapping.start..mapping.limit).contains(&location.address));
}

#[test]
fn values_are_counts_and_nanoseconds() {
    let profile = profile(SampleLabels::default());
    assert_eq!(profile.samples.len(), 1);
    assert_eq!((profile.samples[0].count, profile.samples[0].value), (2, 2 * PERIOD_NS));
}

#[test]
fn samples_say_whose_they_are() {
    let common = BTreeMap::from([("cluster".to_owned(), "east".to_owned())]);
    let extra = SampleLabels { common, ..SampleLabels::default() };
    let labels = labels(&profile(extra));
    let own = std::env::current_exe().expect("this program");
    let name = own.file_name().expect("a name").to_string_lossy().into_owned();
    for (key, value) in [
        ("process.pid", std::process::id().to_string()),
        ("process.executable.name", name.clone()),
        ("process.executable.path", own.to_string_lossy().into_owned()),
        ("service.name", name),
        ("thread.id", "1".into()),
        ("thread.name", "worker".into()),
        ("target", "default".into()),
        ("cluster", "east".into()),
    ] {
        assert_eq!(labels.get(key), Some(&value), "{key}");
    }
}
