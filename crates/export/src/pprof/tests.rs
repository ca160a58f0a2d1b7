use super::*;
use crate::sample_profile::{PERIOD_NS, Stacks, any_profile};
use flate2::read::GzDecoder;
use proptest::prelude::*;
use std::io::Read;
use telegen_model::LocationKind;

fn decoded(profile: &telegen_model::Profile) -> Profile {
    let mut bytes = Vec::new();
    write_pprof(profile, &mut bytes).unwrap();
    let mut plain = Vec::new();
    GzDecoder::new(&*bytes).read_to_end(&mut plain).unwrap();
    Profile::decode(&*plain).unwrap()
}

impl Profile {
    fn string(&self, index: i64) -> &str {
        &self.strings[usize::try_from(index).unwrap()]
    }

    fn value_type(&self, value_type: &ValueType) -> (&str, &str) {
        (self.string(value_type.kind), self.string(value_type.unit))
    }
}

/// A location with everything it refers to written out.
#[derive(PartialEq, Debug)]
struct Frame {
    address: u64,
    /// Path, build id, start, limit, offset.
    mapping: Option<(String, String, [u64; 3])>,
    /// Name, system name, file, first line, line.
    lines: Vec<(String, String, String, i64, i64)>,
}

/// A sample with everything it refers to written out.
#[derive(PartialEq, Debug)]
struct Spelled {
    values: Vec<i64>,
    frames: Vec<Frame>,
    labels: Vec<(String, Option<String>, i64)>,
}

fn spell_message(profile: &Profile) -> Vec<Spelled> {
    let text = |index: i64| profile.string(index).to_owned();
    let frame = |&id: &u64| {
        let location = profile.locations.iter().find(|location| location.id == id).unwrap();
        let mapping = profile.mappings.iter().find(|mapping| mapping.id == location.mapping);
        let function = |id: u64| profile.functions.iter().find(|function| function.id == id).unwrap();
        let line = |line: &Line| {
            let f = function(line.function);
            (text(f.name), text(f.system_name), text(f.file), f.start_line, line.line)
        };
        Frame {
            address: location.address,
            mapping: mapping.map(|m| (text(m.path), text(m.build_id), [m.start, m.limit, m.file_offset])),
            lines: location.lines.iter().map(line).collect(),
        }
    };
    let label = |l: &Label| (text(l.key), (l.text != 0).then(|| text(l.text)), l.number);
    let sample = |sample: &Sample| Spelled {
        values: sample.values.clone(),
        frames: sample.locations.iter().map(frame).collect(),
        labels: sample.labels.iter().map(label).collect(),
    };
    profile.samples.iter().map(sample).collect()
}

fn spell_model(profile: &telegen_model::Profile) -> Vec<Spelled> {
    let text = |id: StringId| profile.strings.get(id).to_owned();
    let frame = |id: &LocationId| {
        let location = &profile.locations[id.0 as usize];
        let mapping = location.mapping.map(|id| {
            let m = &profile.mappings[id.0 as usize];
            let build_id = m.build_id.as_ref().map(ToString::to_string).unwrap_or_default();
            (text(m.path), build_id, [m.start, m.limit, m.file_offset])
        });
        let line = |line: &telegen_model::Line| {
            let f = &profile.functions[line.function.0 as usize];
            (text(f.name), text(f.system_name), text(f.file), i64::from(f.start_line), i64::from(line.line))
        };
        Frame { address: location.address, mapping, lines: location.lines.iter().map(line).collect() }
    };
    let label = |(key, value): &(StringId, LabelValue)| match value {
        LabelValue::Text(StringId(0)) => None,
        LabelValue::Text(value) => Some((text(*key), Some(text(*value)), 0)),
        LabelValue::Number(number) => Some((text(*key), None, *number)),
    };
    let sample = |sample: &telegen_model::Sample| Spelled {
        values: vec![sample.count as i64, sample.value as i64],
        frames: profile.stacks[sample.stack.0 as usize].iter().map(frame).collect(),
        labels: profile.label_sets[sample.labels.0 as usize].0.iter().filter_map(label).collect(),
    };
    profile.samples.iter().map(sample).collect()
}

#[test]
fn the_profile_says_what_its_values_are_and_when_it_was_taken() {
    let profile = decoded(&Stacks::new().add("app", "main;f", 3).finish());
    let types: Vec<_> = profile.sample_types.iter().map(|kind| profile.value_type(kind)).collect();
    assert_eq!(types, [("samples", "count"), ("cpu", "nanoseconds")]);
    assert_eq!(profile.value_type(profile.period_type.as_ref().unwrap()), ("cpu", "nanoseconds"));
    assert_eq!(profile.string(profile.default_sample_type), "cpu");
    assert_eq!(profile.period, PERIOD_NS as i64);
    assert_eq!((profile.time_nanos, profile.duration_nanos), (1_795_444_689_123_000_000, 10_000_000_000));
    assert_eq!(profile.strings[0], "");
    assert_eq!(profile.samples[0].values, [3, 30_000_000]);
}

#[test]
fn flags_say_what_of_a_mapping_is_known() {
    let mut builder = telegen_model::ProfileBuilder::new(
        telegen_model::ProfileKind::Cpu,
        SystemTime::UNIX_EPOCH - Duration::from_nanos(5),
        1,
    );
    let [name, file, path] = ["f", "f.c", "/bin/x"].map(|string| builder.string(string));
    let none = StringId::default();
    let mut location = |start: u64, file: StringId, lines: &[u32]| {
        let mapping = telegen_model::Mapping { path, build_id: None, start, limit: 9, file_offset: 0 };
        let mapping = Some(builder.mapping(mapping));
        let function = telegen_model::Function { name, system_name: name, file, start_line: 0 };
        let function = builder.function(function);
        let lines = lines.iter().map(|&line| telegen_model::Line { function, line }).collect();
        builder.location(telegen_model::Location { mapping, address: 3, kind: LocationKind::User, lines })
    };
    location(0, none, &[0]);
    location(1, file, &[0]);
    location(2, none, &[7]);
    location(3, none, &[0, 0]);
    let profile = decoded(&builder.finish(Duration::ZERO));
    let flags = profile.mappings.iter().map(|m| [m.has_filenames, m.has_line_numbers, m.has_inline_frames]);
    let expected = [[false; 3], [true, false, false], [false, true, false], [false, false, true]];
    assert_eq!(flags.collect::<Vec<_>>(), expected);
    assert!(profile.mappings.iter().all(|mapping| mapping.has_functions));
    assert_eq!(profile.time_nanos, -5);
}

#[test]
fn equal_profiles_make_equal_bytes() {
    let bytes = || {
        let mut bytes = Vec::new();
        write_pprof(&Stacks::new().add("app", "main;f", 3).finish(), &mut bytes).unwrap();
        bytes
    };
    assert_eq!(bytes(), bytes());
}

proptest! {
    #[test]
    fn what_is_written_can_be_read_back(profile in any_profile()) {
        prop_assert_eq!(spell_message(&decoded(&profile)), spell_model(&profile));
    }
}
