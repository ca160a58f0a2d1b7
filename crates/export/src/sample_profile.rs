//! Profiles to test with.

use proptest::collection::vec;
use proptest::prelude::*;
use std::time::{Duration, UNIX_EPOCH};
use telegen_model::{
    BuildId, Function, LabelValue, Line, Location, LocationId, LocationKind, Mapping, MappingId, Profile,
    ProfileBuilder, ProfileKind, StringId,
};

/// Nanoseconds between two ticks of the profiles made here.
pub(crate) const PERIOD_NS: u64 = 10_000_000;

/// Makes a profile from stacks that are written down as folded ones are.
pub(crate) struct Stacks {
    builder: ProfileBuilder,
    program: MappingId,
    kernel: MappingId,
}

impl Stacks {
    pub(crate) fn new() -> Self {
        // 2026-11-23 14:38:09.123 UTC
        let start = UNIX_EPOCH + Duration::from_millis(1_795_444_689_123);
        let mut builder = ProfileBuilder::new(ProfileKind::Cpu, start, PERIOD_NS);
        let (path, kernel) = (builder.string("/usr/bin/app"), builder.string("[kernel.kallsyms]"));
        let build_id = BuildId::new(&[0xab; 20]);
        let program =
            builder.mapping(Mapping { path, build_id, start: 0x1000, limit: 0x9000, file_offset: 0x1000 });
        let kernel = builder.mapping(Mapping {
            path: kernel,
            build_id: None,
            start: 0xffff_ffff_8000_0000,
            limit: u64::MAX,
            file_offset: 0,
        });
        Self { builder, program, kernel }
    }

    /// Adds `count` samples. Functions stand entry point first, with `;` between them; `k:` marks one of the kernel,
    /// `m:` a marker.
    pub(crate) fn add(self, process: &str, stack: &str, count: u64) -> Self {
        self.add_in_thread(process, 1, stack, count)
    }

    pub(crate) fn add_in_thread(mut self, process: &str, thread: i64, stack: &str, count: u64) -> Self {
        let frames: Vec<_> = stack.split(';').rev().map(|frame| self.frame(frame)).collect();
        let stack = self.builder.stack(frames);
        let process = LabelValue::Text(self.builder.string(process));
        let keys = [self.builder.string("process.executable.name"), self.builder.string("thread.id")];
        let labels = self.builder.label_set([(keys[0], process), (keys[1], LabelValue::Number(thread))]);
        self.builder.add(stack, labels, count, count * PERIOD_NS);
        self
    }

    fn frame(&mut self, frame: &str) -> LocationId {
        if let Some(name) = frame.strip_prefix("m:") {
            return self.builder.marker(name);
        }
        let (name, kind, mapping) = match frame.strip_prefix("k:") {
            Some(name) => (name, LocationKind::Kernel, self.kernel),
            None => (frame, LocationKind::User, self.program),
        };
        let name = self.builder.string(name);
        let file = StringId::default();
        let function = self.builder.function(Function { name, system_name: name, file, start_line: 0 });
        let address = 0x1000 + u64::from(function.0);
        let lines = vec![Line { function, line: 0 }];
        self.builder.location(Location { mapping: Some(mapping), address, kind, lines })
    }

    pub(crate) fn finish(self) -> Profile {
        self.builder.finish(Duration::from_secs(10))
    }
}

/// A function: indices of its names and file among the strings, and a line.
type AnyFunction = (usize, usize, usize, u32);

/// Profiles with names of all kinds.
pub(crate) fn any_profile() -> impl Strategy<Value = Profile> {
    let strings = vec(prop_oneof![any::<String>(), "[a-c<>&;\\\\\n\u{1b} ]{0,3}"], 1..6);
    let mappings = vec((0usize..8, prop::option::of(vec(any::<u8>(), 1..20)), any::<[u64; 3]>()), 1..4);
    let functions = vec((0usize..8, 0usize..8, 0usize..8, any::<u32>()), 1..8);
    let locations = vec((any::<u64>(), 0usize..5, 0usize..3, vec((0usize..8, any::<u32>()), 1..4)), 1..8);
    let stacks = vec(vec(0usize..8, 0..8), 1..8);
    let labels = vec(vec((0usize..8, prop::option::of(0usize..8), any::<i64>()), 0..4), 1..4);
    let samples = vec((0usize..8, 0usize..4, 0u64..1 << 40), 0..12);
    (strings, mappings, functions, locations, stacks, labels, samples).prop_map(
        |(strings, mappings, functions, locations, stacks, labels, samples)| {
            let mut builder = ProfileBuilder::new(ProfileKind::Cpu, UNIX_EPOCH, PERIOD_NS);
            let mut strings: Vec<_> = strings.iter().map(|string| builder.string(string)).collect();
            strings.push(builder.string("process.executable.name"));
            let string = |at: usize| strings[at % strings.len()];
            let mappings: Vec<_> = mappings
                .into_iter()
                .map(|(path, id, [start, limit, file_offset])| {
                    let build_id = id.and_then(|id| BuildId::new(&id));
                    builder.mapping(Mapping { path: string(path), build_id, start, limit, file_offset })
                })
                .collect();
            let mut function = |(name, system_name, file, start_line): AnyFunction| {
                let (name, system_name, file) = (string(name), string(system_name), string(file));
                builder.function(Function { name, system_name, file, start_line })
            };
            let functions: Vec<_> = functions.into_iter().map(&mut function).collect();
            let locations: Vec<_> = locations
                .into_iter()
                .map(|(address, mapping, kind, lines)| {
                    let kind = [LocationKind::User, LocationKind::Kernel, LocationKind::Marker][kind];
                    let line =
                        |(function, line)| Line { function: functions[function % functions.len()], line };
                    let (mapping, lines) =
                        (mappings.get(mapping).copied(), lines.into_iter().map(line).collect());
                    builder.location(Location { mapping, address, kind, lines })
                })
                .collect();
            let label = |(key, text, number): (usize, Option<usize>, i64)| {
                (string(key), text.map_or(LabelValue::Number(number), |at| LabelValue::Text(string(at))))
            };
            let labels: Vec<_> =
                labels.into_iter().map(|set| builder.label_set(set.into_iter().map(label))).collect();
            let location = |at: usize| locations[at % locations.len()];
            let stacks: Vec<_> = stacks
                .into_iter()
                .map(|stack| builder.stack(stack.into_iter().map(location).collect()))
                .collect();
            for (stack, set, count) in samples {
                builder.add(stacks[stack % stacks.len()], labels[set % labels.len()], count, count * 7);
            }
            builder.finish(Duration::from_secs(10))
        },
    )
}
