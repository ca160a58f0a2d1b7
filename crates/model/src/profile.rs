//! What has been measured over one interval.

use crate::{BuildId, StringId, StringTable};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use std::hash::Hash;
use std::time::{Duration, SystemTime};

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        pub struct $name(pub u32);
    )*};
}

ids! {
    /// Index into [`Profile::mappings`].
    MappingId;
    /// Index into [`Profile::functions`].
    FunctionId;
    /// Index into [`Profile::locations`].
    LocationId;
    /// Index into [`Profile::stacks`].
    StackId;
    /// Index into [`Profile::label_sets`].
    LabelSetId;
}

/// What one sample stands for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum ProfileKind {
    /// A tick of a clock that runs while a CPU is busy; values are `samples/count` and `cpu/nanoseconds`.
    Cpu,
}

impl ProfileKind {
    /// What formats for programs call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
        }
    }

    /// The unit of [`Sample::value`].
    pub fn unit(self) -> &'static str {
        match self {
            Self::Cpu => "nanoseconds",
        }
    }
}

/// A file that code was run from, as though it were loaded at its own link addresses.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Mapping {
    /// The file's path as the profiled process sees it, or a name in brackets (`[kernel]`, `[vdso]`).
    pub path: StringId,
    /// The file's build id, if it has one.
    pub build_id: Option<BuildId>,
    /// First address of the executable segment: its `p_vaddr`.
    pub start: u64,
    /// First address past the segment.
    pub limit: u64,
    /// The segment's `p_offset`: offset in the file of `start`.
    pub file_offset: u64,
}

/// A function, or a marker that stands where a function would.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Function {
    /// The name people know it by: demangled.
    pub name: StringId,
    /// The name in the symbol table.
    pub system_name: StringId,
    /// The source file, or the empty string.
    pub file: StringId,
    /// Line at which the function begins; 0 if not known.
    pub start_line: u32,
}

/// A function at a place in its source.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Line {
    /// The function.
    pub function: FunctionId,
    /// The line that was being run; 0 if not known.
    pub line: u32,
}

/// What kind of code a location lies in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum LocationKind {
    /// A program's own code.
    User,
    /// The kernel's.
    Kernel,
    /// No code: a mark that says why a stack ends where it does, such as `[truncated]`.
    Marker,
}

/// One place in one file, with the functions that the compiler has inlined there.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Location {
    /// The file.
    pub mapping: Option<MappingId>,
    /// The address in the terms of the mapping (`start..limit`); 0 for a marker.
    pub address: u64,
    /// What kind of code it is.
    pub kind: LocationKind,
    /// The functions here, innermost (inlined) first; never empty.
    pub lines: Vec<Line>,
}

/// The value of a label.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum LabelValue {
    /// A string.
    Text(StringId),
    /// A number, such as a pid.
    Number(i64),
}

/// The labels of a sample, sorted by key, no key twice.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct LabelSet(pub Vec<(StringId, LabelValue)>);

/// So many samples with this stack and these labels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sample {
    /// Where.
    pub stack: StackId,
    /// Whose.
    pub labels: LabelSetId,
    /// How many ticks.
    pub count: u64,
    /// What they stand for together, in the unit of the profile's kind (nanoseconds of CPU time).
    pub value: u64,
}

/// What has been measured over one interval.
#[derive(Clone, Debug)]
pub struct Profile {
    /// What one sample stands for.
    pub kind: ProfileKind,
    /// When the interval began.
    pub start: SystemTime,
    /// How long it was.
    pub duration: Duration,
    /// Nanoseconds between two ticks on one CPU.
    pub period_ns: u64,
    /// All strings that the other tables refer to.
    pub strings: StringTable,
    /// Files.
    pub mappings: Vec<Mapping>,
    /// Functions.
    pub functions: Vec<Function>,
    /// Places in code.
    pub locations: Vec<Location>,
    /// Stacks, each leaf first: kernel frames, then user frames, the entry point last.
    pub stacks: Vec<Vec<LocationId>>,
    /// Sets of labels.
    pub label_sets: Vec<LabelSet>,
    /// The samples; no two have the same stack and labels.
    pub samples: Vec<Sample>,
}

impl Profile {
    /// The sum of the counts of all samples.
    pub fn total_count(&self) -> u64 {
        self.samples.iter().map(|sample| sample.count).sum()
    }

    /// The name of the innermost function at a location.
    pub fn leaf_name(&self, location: LocationId) -> &str {
        let line = &self.locations[location.0 as usize].lines[0];
        self.strings.get(self.functions[line.function.0 as usize].name)
    }
}

/// Makes a [`Profile`], holding each thing once.
#[derive(Debug)]
pub struct ProfileBuilder {
    profile: Profile,
    mappings: Index<Mapping>,
    functions: Index<Function>,
    locations: Index<Location>,
    stacks: Index<Vec<LocationId>>,
    label_sets: Index<LabelSet>,
    samples: HashMap<(StackId, LabelSetId), usize, RandomState>,
}

type Index<T> = HashMap<T, u32, RandomState>;

impl ProfileBuilder {
    /// A builder of a profile that began at `start` and has a tick every `period_ns` on each CPU.
    pub fn new(kind: ProfileKind, start: SystemTime, period_ns: u64) -> Self {
        Self {
            profile: Profile {
                kind,
                start,
                duration: Duration::ZERO,
                period_ns,
                strings: StringTable::new(),
                mappings: Vec::new(),
                functions: Vec::new(),
                locations: Vec::new(),
                stacks: Vec::new(),
                label_sets: Vec::new(),
                samples: Vec::new(),
            },
            mappings: Index::default(),
            functions: Index::default(),
            locations: Index::default(),
            stacks: Index::default(),
            label_sets: Index::default(),
            samples: HashMap::default(),
        }
    }

    /// The id of a string.
    pub fn string(&mut self, string: &str) -> StringId {
        self.profile.strings.intern(string)
    }

    /// The id of a mapping.
    pub fn mapping(&mut self, mapping: Mapping) -> MappingId {
        MappingId(intern(&mut self.mappings, &mut self.profile.mappings, mapping))
    }

    /// The id of a function.
    pub fn function(&mut self, function: Function) -> FunctionId {
        FunctionId(intern(&mut self.functions, &mut self.profile.functions, function))
    }

    /// The id of a location.
    ///
    /// # Panics
    ///
    /// If the location names no function: what has no name gets a marker, never nothing.
    pub fn location(&mut self, location: Location) -> LocationId {
        assert!(!location.lines.is_empty(), "a location names at least one function");
        LocationId(intern(&mut self.locations, &mut self.profile.locations, location))
    }

    /// The id of a location that is no code but says something, such as `[truncated]`.
    pub fn marker(&mut self, name: &str) -> LocationId {
        let name = self.string(name);
        let function =
            self.function(Function { name, system_name: name, file: StringId::default(), start_line: 0 });
        let lines = vec![Line { function, line: 0 }];
        self.location(Location { mapping: None, address: 0, kind: LocationKind::Marker, lines })
    }

    /// The id of a stack, leaf first.
    pub fn stack(&mut self, frames: Vec<LocationId>) -> StackId {
        StackId(intern(&mut self.stacks, &mut self.profile.stacks, frames))
    }

    /// The id of a set of labels, given in any order; of two with one key the later counts.
    pub fn label_set(&mut self, labels: impl IntoIterator<Item = (StringId, LabelValue)>) -> LabelSetId {
        let mut sorted: Vec<(StringId, LabelValue)> = Vec::new();
        for (key, value) in labels {
            match sorted.binary_search_by_key(&key, |(key, _)| *key) {
                Ok(at) => sorted[at].1 = value,
                Err(at) => sorted.insert(at, (key, value)),
            }
        }
        LabelSetId(intern(&mut self.label_sets, &mut self.profile.label_sets, LabelSet(sorted)))
    }

    /// Counts `count` ticks, worth `value` together, at a stack.
    pub fn add(&mut self, stack: StackId, labels: LabelSetId, count: u64, value: u64) {
        let samples = &mut self.profile.samples;
        let at = *self.samples.entry((stack, labels)).or_insert_with(|| {
            samples.push(Sample { stack, labels, count: 0, value: 0 });
            samples.len() - 1
        });
        samples[at].count += count;
        samples[at].value += value;
    }

    /// The profile, which lasted for `duration`.
    pub fn finish(self, duration: Duration) -> Profile {
        Profile { duration, ..self.profile }
    }
}

fn intern<T: Clone + Eq + Hash>(index: &mut Index<T>, table: &mut Vec<T>, item: T) -> u32 {
    if let Some(&id) = index.get(&item) {
        return id;
    }
    let id = u32::try_from(table.len()).expect("a profile's tables are far below 2^32 rows");
    table.push(item.clone());
    index.insert(item, id);
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    fn builder() -> ProfileBuilder {
        ProfileBuilder::new(ProfileKind::Cpu, SystemTime::UNIX_EPOCH, 10_000_000)
    }

    #[test]
    fn samples_with_one_stack_and_one_set_of_labels_are_added_up() {
        let mut builder = builder();
        let frame = builder.marker("[x]");
        let stack = builder.stack(vec![frame]);
        let key = builder.string("k");
        let labels = builder.label_set([(key, LabelValue::Number(1))]);
        let others = builder.label_set([(key, LabelValue::Number(2))]);
        builder.add(stack, labels, 1, 10);
        builder.add(stack, labels, 2, 20);
        builder.add(stack, others, 4, 40);
        let profile = builder.finish(Duration::from_secs(1));
        assert_eq!(profile.samples.len(), 2);
        assert_eq!((profile.samples[0].count, profile.samples[0].value), (3, 30));
        assert_eq!(profile.total_count(), 7);
    }

    #[test]
    fn the_order_of_labels_does_not_make_another_set() {
        let mut builder = builder();
        let (a, b) = (builder.string("a"), builder.string("b"));
        let one = builder.label_set([(a, LabelValue::Number(1)), (b, LabelValue::Number(2))]);
        let two = builder.label_set([(b, LabelValue::Number(2)), (a, LabelValue::Number(1))]);
        assert_eq!(one, two);
    }

    #[test]
    fn equal_locations_are_one() {
        let mut builder = builder();
        assert_eq!(builder.marker("[truncated]"), builder.marker("[truncated]"));
        assert_ne!(builder.marker("[truncated]"), builder.marker("[other]"));
        assert_eq!(builder.finish(Duration::ZERO).functions.len(), 2);
    }
}
