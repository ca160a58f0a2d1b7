//! A profile as JSON: versioned, and as complete as pprof. docs/formats.md describes it for its readers.

use crate::file_name::exact_time;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use std::io::{self, Write};
use telegen_model::{
    Function, LabelSet, LabelValue, Line, Location, LocationId, LocationKind, Mapping, Profile, Sample,
};

/// Changes of the format that a reader must know of.
const VERSION: u32 = 1;

/// Writes a profile as JSON.
///
/// Nothing is held twice on the way: tables are written as they are gone through.
pub fn write_json(profile: &Profile, writer: impl Write) -> io::Result<()> {
    let mut to = io::BufWriter::new(writer);
    serde_json::to_writer(&mut to, &Document::of(profile))?;
    writeln!(to)?;
    to.flush()
}

#[derive(Serialize)]
struct Document<'a> {
    format: &'static str,
    version: u32,
    r#type: &'static str,
    start: String,
    duration_ns: u128,
    period_ns: u64,
    /// What the values of a sample are.
    values: [ValueType; 2],
    mappings: Rows<'a, Mapping>,
    functions: Rows<'a, Function>,
    locations: Rows<'a, Location>,
    stacks: Rows<'a, Vec<LocationId>>,
    label_sets: Rows<'a, LabelSet>,
    samples: Rows<'a, Sample>,
}

#[derive(Serialize)]
struct ValueType {
    r#type: &'static str,
    unit: &'static str,
}

impl<'a> Document<'a> {
    fn of(profile: &'a Profile) -> Self {
        Self {
            format: "telegen-profile",
            version: VERSION,
            r#type: profile.kind.name(),
            start: exact_time(profile.start),
            duration_ns: profile.duration.as_nanos(),
            period_ns: profile.period_ns,
            values: [
                ValueType { r#type: "samples", unit: "count" },
                ValueType { r#type: profile.kind.name(), unit: profile.kind.unit() },
            ],
            mappings: Rows { profile, rows: &profile.mappings },
            functions: Rows { profile, rows: &profile.functions },
            locations: Rows { profile, rows: &profile.locations },
            stacks: Rows { profile, rows: &profile.stacks },
            label_sets: Rows { profile, rows: &profile.label_sets },
            samples: Rows { profile, rows: &profile.samples },
        }
    }
}

/// Rows of a table, and the profile that they refer to.
struct Rows<'a, T> {
    profile: &'a Profile,
    rows: &'a [T],
}

impl<T: Row> Serialize for Rows<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.rows.iter().map(|row| row.shape(self.profile)))
    }
}

/// Something that a table has rows of.
trait Row {
    /// What is written of it.
    fn shape<'a>(&'a self, profile: &'a Profile) -> impl Serialize + 'a;
}

/// Numbers of 64 bits are no numbers to JSON's most common reader.
fn hex(number: u64) -> String {
    format!("{number:#x}")
}

impl Row for Mapping {
    fn shape<'a>(&'a self, profile: &'a Profile) -> impl Serialize + 'a {
        #[derive(Serialize)]
        struct Shape<'a> {
            path: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            build_id: Option<String>,
            start: String,
            limit: String,
            file_offset: String,
        }
        Shape {
            path: profile.strings.get(self.path),
            build_id: self.build_id.as_ref().map(ToString::to_string),
            start: hex(self.start),
            limit: hex(self.limit),
            file_offset: hex(self.file_offset),
        }
    }
}

impl Row for Function {
    fn shape<'a>(&'a self, profile: &'a Profile) -> impl Serialize + 'a {
        #[derive(Serialize)]
        struct Shape<'a> {
            name: &'a str,
            system_name: &'a str,
            file: &'a str,
            start_line: u32,
        }
        Shape {
            name: profile.strings.get(self.name),
            system_name: profile.strings.get(self.system_name),
            file: profile.strings.get(self.file),
            start_line: self.start_line,
        }
    }
}

impl Row for Location {
    fn shape<'a>(&'a self, _: &'a Profile) -> impl Serialize + 'a {
        #[derive(Serialize)]
        struct Shape {
            #[serde(skip_serializing_if = "Option::is_none")]
            mapping: Option<u32>,
            address: String,
            kind: &'static str,
            lines: Vec<LineShape>,
        }
        #[derive(Serialize)]
        struct LineShape {
            function: u32,
            line: u32,
        }
        let line = |&Line { function, line }: &Line| LineShape { function: function.0, line };
        Shape {
            mapping: self.mapping.map(|mapping| mapping.0),
            address: hex(self.address),
            kind: match self.kind {
                LocationKind::User => "user",
                LocationKind::Kernel => "kernel",
                LocationKind::Marker => "marker",
            },
            lines: self.lines.iter().map(line).collect(),
        }
    }
}

impl Row for Vec<LocationId> {
    fn shape<'a>(&'a self, _: &'a Profile) -> impl Serialize + 'a {
        self.iter().map(|location| location.0).collect::<Vec<u32>>()
    }
}

impl Row for LabelSet {
    fn shape<'a>(&'a self, profile: &'a Profile) -> impl Serialize + 'a {
        Labels { set: self, profile }
    }
}

struct Labels<'a> {
    set: &'a LabelSet,
    profile: &'a Profile,
}

impl Serialize for Labels<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.set.0.len()))?;
        for (key, value) in &self.set.0 {
            let key = self.profile.strings.get(*key);
            match value {
                LabelValue::Text(text) => map.serialize_entry(key, self.profile.strings.get(*text))?,
                LabelValue::Number(number) => map.serialize_entry(key, number)?,
            }
        }
        map.end()
    }
}

impl Row for Sample {
    fn shape<'a>(&'a self, _: &'a Profile) -> impl Serialize + 'a {
        #[derive(Serialize)]
        struct Shape {
            stack: u32,
            labels: u32,
            values: [u64; 2],
        }
        Shape { stack: self.stack.0, labels: self.labels.0, values: [self.count, self.value] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample_profile::{Stacks, any_profile};
    use proptest::prelude::*;
    use serde_json::Value;

    fn json(profile: &Profile) -> Value {
        let mut bytes = Vec::new();
        write_json(profile, &mut bytes).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    #[test]
    fn a_profile_is_written_whole() {
        let document = json(&Stacks::new().add("app", "main;k:read", 3).finish());
        let expected = serde_json::json!({
            "format": "telegen-profile",
            "version": 1,
            "type": "cpu",
            "start": "2026-11-23T14:38:09.123Z",
            "duration_ns": 10_000_000_000_u64,
            "period_ns": 10_000_000,
            "values": [
                {"type": "samples", "unit": "count"},
                {"type": "cpu", "unit": "nanoseconds"},
            ],
            "mappings": [
                {
                    "path": "/usr/bin/app",
                    "build_id": "ab".repeat(20),
                    "start": "0x1000",
                    "limit": "0x9000",
                    "file_offset": "0x1000",
                },
                {
                    "path": "[kernel.kallsyms]",
                    "start": "0xffffffff80000000",
                    "limit": "0xffffffffffffffff",
                    "file_offset": "0x0",
                },
            ],
            "functions": [
                {"name": "read", "system_name": "read", "file": "", "start_line": 0},
                {"name": "main", "system_name": "main", "file": "", "start_line": 0},
            ],
            "locations": [
                {"mapping": 1, "address": "0x1000", "kind": "kernel", "lines": [{"function": 0, "line": 0}]},
                {"mapping": 0, "address": "0x1001", "kind": "user", "lines": [{"function": 1, "line": 0}]},
            ],
            "stacks": [[0, 1]],
            "label_sets": [{"process.executable.name": "app", "thread.id": 1}],
            "samples": [{"stack": 0, "labels": 0, "values": [3, 30_000_000]}],
        });
        assert_eq!(document, expected);
    }

    /// `entry;…;leaf` of each sample, and its values.
    fn spelled(document: &Value) -> Vec<(Vec<String>, u64, u64)> {
        let at = |table: &str, index: &Value| document[table][index.as_u64().unwrap() as usize].clone();
        let sample = |sample: &Value| {
            let mut names = Vec::new();
            for location in at("stacks", &sample["stack"]).as_array().unwrap() {
                for line in at("locations", location)["lines"].as_array().unwrap() {
                    names.push(at("functions", &line["function"])["name"].as_str().unwrap().to_owned());
                }
            }
            (names, sample["values"][0].as_u64().unwrap(), sample["values"][1].as_u64().unwrap())
        };
        document["samples"].as_array().unwrap().iter().map(sample).collect()
    }

    proptest! {
        #[test]
        fn what_is_written_can_be_read_back(profile in any_profile()) {
            let document = json(&profile);
            let expected: Vec<_> = profile.samples.iter().map(|sample| {
                let locations = profile.stacks[sample.stack.0 as usize].iter();
                let lines = locations.flat_map(|id| &profile.locations[id.0 as usize].lines);
                let name = |line: &Line| profile.strings.get(profile.functions[line.function.0 as usize].name);
                (lines.map(|line| name(line).to_owned()).collect(), sample.count, sample.value)
            }).collect();
            prop_assert_eq!(spelled(&document), expected);
            for (set, labels) in document["label_sets"].as_array().expect("a table").iter().zip(&profile.label_sets) {
                prop_assert_eq!(set.as_object().expect("an object").len(), labels.0.len());
            }
        }
    }
}
