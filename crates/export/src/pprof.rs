//! pprof: the gzipped protocol buffer of `go tool pprof`.

mod message;
mod read;

use flate2::{Compression, GzBuilder};
use message::{Function, Label, Line, Location, Mapping, Profile, Sample, ValueType};
use prost::Message;
pub use read::{PprofFile, SampleType};
use std::io::{self, Write};
use std::time::{Duration, SystemTime};
use telegen_model::{LabelValue, LocationId, MappingId, StringId, StringTable};

/// Writes a profile as gzipped pprof.
///
/// Samples have two values, `samples/count` and `cpu/nanoseconds`, of which the second is shown by default. Names are
/// written as they are. Mappings are marked as having functions, so that readers do not look for symbols themselves:
/// the files they would find at those paths need not be the ones that ran.
pub fn write_pprof(profile: &telegen_model::Profile, writer: impl Write) -> io::Result<()> {
    // No time and no name in the header: equal profiles make equal files.
    let mut gzip = GzBuilder::new().write(writer, Compression::default());
    gzip.write_all(&message(profile).encode_to_vec())?;
    gzip.finish()?.flush()
}

fn message(profile: &telegen_model::Profile) -> Profile {
    let mut strings = profile.strings.clone();
    let mut value_type =
        |kind, unit| ValueType { kind: index(&mut strings, kind), unit: index(&mut strings, unit) };
    let samples_type = value_type("samples", "count");
    let cpu_type = value_type(profile.kind.name(), profile.kind.unit());
    Profile {
        sample_types: vec![samples_type, cpu_type.clone()],
        samples: profile.samples.iter().map(|sample| sample_message(profile, sample)).collect(),
        mappings: mappings(profile, &mut strings),
        locations: locations(profile),
        functions: functions(profile),
        time_nanos: nanoseconds_since_epoch(profile.start),
        duration_nanos: saturating(nanoseconds(profile.duration)),
        default_sample_type: cpu_type.kind,
        period_type: Some(cpu_type),
        period: saturating(profile.period_ns),
        // Last, when all strings are there.
        strings: strings.iter().map(Into::into).collect(),
    }
}

fn index(strings: &mut StringTable, string: &str) -> i64 {
    i64::from(strings.intern(string).0)
}

fn sample_message(profile: &telegen_model::Profile, sample: &telegen_model::Sample) -> Sample {
    let label = |&(key, value): &(StringId, LabelValue)| {
        let key = i64::from(key.0);
        match value {
            // pprof takes an empty text for a number.
            LabelValue::Text(StringId(0)) => None,
            LabelValue::Text(text) => Some(Label { key, text: i64::from(text.0), number: 0 }),
            LabelValue::Number(number) => Some(Label { key, text: 0, number }),
        }
    };
    Sample {
        locations: profile.stacks[sample.stack.0 as usize].iter().copied().map(location_id).collect(),
        values: vec![saturating(sample.count), saturating(sample.value)],
        labels: profile.label_sets[sample.labels.0 as usize].0.iter().filter_map(label).collect(),
    }
}

fn mappings(profile: &telegen_model::Profile, strings: &mut StringTable) -> Vec<Mapping> {
    let mut messages: Vec<Mapping> = (1..)
        .zip(&profile.mappings)
        .map(|(id, mapping)| Mapping {
            id,
            start: mapping.start,
            limit: mapping.limit,
            file_offset: mapping.file_offset,
            path: i64::from(mapping.path.0),
            build_id: mapping.build_id.as_ref().map_or(0, |build_id| index(strings, &build_id.to_string())),
            // Every location has a name, if only one that says that there is none.
            has_functions: true,
            ..Mapping::default()
        })
        .collect();
    for location in &profile.locations {
        let Some(MappingId(at)) = location.mapping else { continue };
        let mapping = &mut messages[at as usize];
        let mut functions = location.lines.iter().map(|line| &profile.functions[line.function.0 as usize]);
        mapping.has_filenames |= functions.any(|function| !profile.strings.get(function.file).is_empty());
        mapping.has_line_numbers |= location.lines.iter().any(|line| line.line != 0);
        mapping.has_inline_frames |= location.lines.len() > 1;
    }
    messages
}

fn locations(profile: &telegen_model::Profile) -> Vec<Location> {
    let line = |line: &telegen_model::Line| Line {
        function: u64::from(line.function.0) + 1,
        line: i64::from(line.line),
    };
    (1..)
        .zip(&profile.locations)
        .map(|(id, location)| Location {
            id,
            mapping: location.mapping.map_or(0, |mapping| u64::from(mapping.0) + 1),
            address: location.address,
            lines: location.lines.iter().map(line).collect(),
        })
        .collect()
}

fn functions(profile: &telegen_model::Profile) -> Vec<Function> {
    (1..)
        .zip(&profile.functions)
        .map(|(id, function)| Function {
            id,
            name: i64::from(function.name.0),
            system_name: i64::from(function.system_name.0),
            file: i64::from(function.file.0),
            start_line: i64::from(function.start_line),
        })
        .collect()
}

/// Ids in pprof begin at 1; 0 is none.
fn location_id(location: LocationId) -> u64 {
    u64::from(location.0) + 1
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn nanoseconds_since_epoch(time: SystemTime) -> i64 {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => saturating(nanoseconds(since)),
        Err(before) => -saturating(nanoseconds(before.duration())),
    }
}

/// pprof has signed numbers only.
fn saturating(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
