//! pprof files of any program, read for their stacks.

use super::message::{Function, Label, Location, Mapping, Profile, Sample};
use crate::Error;
use crate::stack_tree::{FrameKind, PROCESS_LABEL};
use flate2::read::MultiGzDecoder;
use prost::Message;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;
use telegen_model::{StringId, StringTable};

/// Longest profile that is read, unpacked: far more than any profiler writes, and little enough to be held.
const MAX_BYTES: u64 = 128 << 20;
/// Most locations of a profile.
const MAX_LOCATIONS: usize = 2_000_000;
/// Of the names of files without symbols, so much is shown.
const MAX_MODULE_CHARS: usize = 100;
/// Addresses from here on are the kernel's on all machines of 64 bits.
const KERNEL_HALF: u64 = 1 << 63;

/// What the values of a profile's samples are: `cpu` in `nanoseconds`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SampleType {
    /// What is measured.
    pub kind: Box<str>,
    /// In which unit.
    pub unit: Box<str>,
}

/// A pprof file, read for its stacks.
///
/// It may be any program's; samples are kept with the names of their frames and all their values.
#[derive(Clone, Debug)]
pub struct PprofFile {
    sample_types: Vec<SampleType>,
    default_type: usize,
    duration: Duration,
    names: StringTable,
    /// Names at each location, the caller first.
    locations: Vec<Vec<(StringId, FrameKind)>>,
    samples: Vec<ReadSample>,
}

/// A sample of a file.
#[derive(Clone, Debug)]
struct ReadSample {
    process: Option<StringId>,
    /// Indices, the entry point first.
    locations: Vec<u32>,
    /// One for each type.
    values: Vec<u64>,
}

impl PprofFile {
    /// Reads a file, gzipped or not.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let failed = |source: io::Error| Error::Unreadable { path: path.into(), source };
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(failed)?;
        // A pipe may be endless, too.
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
        Self::parse(path, &bytes)
    }

    /// Reads the bytes of a file, gzipped or not; `path` is what errors call it.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self, Error> {
        let malformed = |what: String| Error::NotPprof { path: path.into(), what };
        let too_large = || Error::PprofTooLarge { path: path.into(), limit_bytes: MAX_BYTES };
        let mut plain = Vec::new();
        let bytes = if bytes.starts_with(&[0x1f, 0x8b]) {
            MultiGzDecoder::new(bytes)
                .take(MAX_BYTES + 1)
                .read_to_end(&mut plain)
                .map_err(|error| malformed(format!("the gzip data is damaged: {error}")))?;
            &plain
        } else {
            bytes
        };
        if bytes.len() as u64 > MAX_BYTES {
            return Err(too_large());
        }
        let message = Profile::decode(bytes).map_err(|error| malformed(error.to_string()))?;
        if message.locations.len() > MAX_LOCATIONS {
            return Err(too_large());
        }
        drop(plain);
        Reader::new(&message).and_then(|reader| reader.read()).map_err(malformed)
    }

    /// What the values of its samples are.
    pub fn sample_types(&self) -> &[SampleType] {
        &self.sample_types
    }

    /// The value that it wants to be shown by: the one it names, else the last.
    pub fn default_type(&self) -> &SampleType {
        &self.sample_types[self.default_type]
    }

    /// How long it was recorded for; zero if it does not say.
    pub fn duration(&self) -> Duration {
        self.duration
    }

    #[cfg(test)]
    pub(crate) fn rename_units(&mut self, unit: &str) {
        self.sample_types.iter_mut().for_each(|of| of.unit = unit.into());
    }

    #[cfg(test)]
    pub(crate) fn rename_types(&mut self, kind: &str) {
        self.sample_types.iter_mut().for_each(|of| of.kind = kind.into());
    }

    pub(crate) fn names(&self) -> &StringTable {
        &self.names
    }

    /// Each sample's frames, the process and then the entry point first, and its value of one type.
    pub(crate) fn stacks(
        &self,
        sample_type: usize,
    ) -> impl Iterator<Item = (impl Iterator<Item = (StringId, FrameKind)>, u64)> {
        self.samples.iter().map(move |sample| {
            let process = sample.process.map(|name| (name, FrameKind::Process));
            let frames = sample.locations.iter().flat_map(|&at| self.locations[at as usize].iter().copied());
            (process.into_iter().chain(frames), sample.values[sample_type])
        })
    }
}

/// A message, and what it takes to follow its references.
struct Reader<'a> {
    message: &'a Profile,
    mappings: HashMap<u64, &'a Mapping>,
    functions: HashMap<u64, &'a Function>,
    locations: HashMap<u64, u32>,
}

type Parsed<T> = Result<T, String>;

impl<'a> Reader<'a> {
    fn new(message: &'a Profile) -> Parsed<Self> {
        if message.strings.first().is_none_or(|first| !first.is_empty()) {
            return Err("it has no string table that begins with the empty string".into());
        }
        if message.sample_types.is_empty() {
            return Err("it does not say what its samples are".into());
        }
        Ok(Self {
            message,
            mappings: message.mappings.iter().map(|mapping| (mapping.id, mapping)).collect(),
            functions: message.functions.iter().map(|function| (function.id, function)).collect(),
            locations: (0..).zip(&message.locations).map(|(at, location)| (location.id, at)).collect(),
        })
    }

    fn read(&self) -> Parsed<PprofFile> {
        let mut names = StringTable::new();
        let message = self.message;
        let sample_types = message
            .sample_types
            .iter()
            .map(|of| {
                Ok(SampleType { kind: self.string(of.kind)?.into(), unit: self.string(of.unit)?.into() })
            })
            .collect::<Parsed<Vec<_>>>()?;
        let default = self.string(message.default_sample_type)?;
        let named = sample_types.iter().position(|of| !default.is_empty() && &*of.kind == default);
        let locations = message.locations.iter().map(|location| self.frames(location, &mut names));
        let locations = locations.collect::<Parsed<Vec<_>>>()?;
        let samples = message.samples.iter().map(|sample| self.sample(sample, &mut names));
        Ok(PprofFile {
            default_type: named.unwrap_or(sample_types.len() - 1),
            duration: Duration::from_nanos(u64::try_from(message.duration_nanos).unwrap_or(0)),
            locations,
            samples: samples.collect::<Parsed<_>>()?,
            sample_types,
            names,
        })
    }

    fn string(&self, index: i64) -> Parsed<&'a str> {
        let found = usize::try_from(index).ok().and_then(|index| self.message.strings.get(index));
        found.map(String::as_str).ok_or_else(|| format!("there is no string {index}"))
    }

    fn sample(&self, sample: &Sample, names: &mut StringTable) -> Parsed<ReadSample> {
        if sample.values.len() != self.message.sample_types.len() {
            let (has, types) = (sample.values.len(), self.message.sample_types.len());
            return Err(format!("a sample has {has} values where there are {types} types"));
        }
        let location =
            |id: &u64| self.locations.get(id).copied().ok_or_else(|| format!("there is no location {id}"));
        let value = |&value: &i64| {
            u64::try_from(value).map_err(|_| format!("a sample has the value {value}: is it a difference?"))
        };
        Ok(ReadSample {
            process: self.process(&sample.labels)?.map(|name| names.intern(name)),
            locations: sample.locations.iter().rev().map(location).collect::<Parsed<_>>()?,
            values: sample.values.iter().map(value).collect::<Parsed<_>>()?,
        })
    }

    fn process(&self, labels: &[Label]) -> Parsed<Option<&'a str>> {
        for label in labels {
            if self.string(label.key)? == PROCESS_LABEL {
                return Ok(Some(self.string(label.text)?).filter(|name| !name.is_empty()));
            }
        }
        Ok(None)
    }

    /// The functions at a location, the caller first.
    fn frames(&self, location: &Location, names: &mut StringTable) -> Parsed<Vec<(StringId, FrameKind)>> {
        let mapping = self.mappings.get(&location.mapping).copied();
        let path = mapping.map(|mapping| self.string(mapping.path)).transpose()?.unwrap_or_default();
        let kernel = location.address >= KERNEL_HALF || path.starts_with("[kernel");
        let kind = if kernel { FrameKind::Kernel } else { FrameKind::User };
        if location.lines.is_empty() {
            return Ok(vec![(names.intern(&unnamed(location, mapping, path)), kind)]);
        }
        let frame = |line: &super::message::Line| {
            let id = line.function;
            let function = self.functions.get(&id).ok_or_else(|| format!("there is no function {id}"))?;
            let name = match self.string(function.name)? {
                "" => self.string(function.system_name)?,
                name => name,
            };
            let note = mapping.is_none() && location.address == 0 && name.starts_with('[');
            Ok((names.intern(name), if note { FrameKind::Marker } else { kind }))
        };
        location.lines.iter().rev().map(frame).collect()
    }
}

/// What a place is called that no function is known for: `[module+0xoffset]`.
fn unnamed(location: &Location, mapping: Option<&Mapping>, path: &str) -> String {
    let Some(mapping) = mapping else { return format!("[{:#x}]", location.address) };
    let offset = location.address.wrapping_sub(mapping.start).wrapping_add(mapping.file_offset);
    let module = path.rsplit('/').next().unwrap_or(path).trim_matches(['[', ']']);
    let module: String = module.chars().take(MAX_MODULE_CHARS).collect();
    format!("[{module}+{offset:#x}]")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample_profile::{Stacks, any_profile};
    use crate::write_pprof;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn parse(bytes: &[u8]) -> Result<PprofFile, Error> {
        PprofFile::parse(Path::new("a.pb.gz"), bytes)
    }

    fn written(profile: &telegen_model::Profile) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_pprof(profile, &mut bytes).unwrap();
        bytes
    }

    /// `process;entry;…;leaf` and the value, summed up.
    fn stacks(file: &PprofFile, sample_type: usize) -> BTreeMap<String, u64> {
        let mut stacks = BTreeMap::new();
        for (frames, value) in file.stacks(sample_type) {
            let names: Vec<_> =
                frames.map(|(name, kind)| format!("{kind:?}:{}", file.names.get(name))).collect();
            *stacks.entry(names.join(";")).or_default() += value;
        }
        stacks
    }

    #[test]
    fn stacks_come_with_their_process_and_both_values() {
        let profile = Stacks::new().add("app", "main;k:read", 3).add("app", "main;m:[truncated]", 2).finish();
        let file = parse(&written(&profile)).unwrap();
        let expected = [
            ("Process:app;User:main;Kernel:read".to_owned(), 3),
            ("Process:app;User:main;Marker:[truncated]".to_owned(), 2),
        ];
        assert_eq!(stacks(&file, 0), expected.clone().into());
        assert_eq!(stacks(&file, 1), expected.map(|(stack, count)| (stack, count * 10_000_000)).into());
        assert_eq!((&*file.default_type().kind, &*file.default_type().unit), ("cpu", "nanoseconds"));
        assert_eq!(file.duration(), Duration::from_secs(10));
    }

    fn message() -> Profile {
        Profile {
            sample_types: vec![super::super::message::ValueType { kind: 1, unit: 2 }],
            strings: ["", "alloc", "bytes", "/lib/libc.so.6"].map(Into::into).into(),
            mappings: vec![Mapping {
                id: 7,
                start: 0x1000,
                file_offset: 0x100,
                path: 3,
                ..Mapping::default()
            }],
            locations: vec![Location { id: 9, mapping: 7, address: 0x1234, lines: vec![] }],
            samples: vec![Sample { locations: vec![9], values: vec![5], labels: vec![] }],
            ..Profile::default()
        }
    }

    #[test]
    fn a_place_without_a_name_is_a_module_and_an_offset() {
        let plain = parse(&message().encode_to_vec()).unwrap();
        assert_eq!(stacks(&plain, 0), [("User:[libc.so.6+0x334]".to_owned(), 5)].into());
        assert_eq!(&*plain.default_type().unit, "bytes");
        let mut message = message();
        message.mappings.clear();
        let unmapped = parse(&message.encode_to_vec()).unwrap();
        assert_eq!(stacks(&unmapped, 0), [("User:[0x1234]".to_owned(), 5)].into());
    }

    #[test]
    fn what_is_no_pprof_is_told_from_what_is() {
        let said = |bytes: &[u8]| parse(bytes).unwrap_err().to_string();
        let damage = |change: fn(&mut Profile)| {
            let mut message = message();
            change(&mut message);
            said(&message.encode_to_vec())
        };
        let gzip = written(&Stacks::new().add("a", "b", 1).finish());
        for (text, expected) in [
            (said(b"hello, I am a text file\n"), "a.pb.gz is no pprof profile"),
            (said(b""), "no string table"),
            (said(&gzip[..gzip.len() / 2]), "the gzip data is damaged"),
            (damage(|message| message.sample_types.clear()), "does not say what its samples are"),
            (damage(|message| message.samples[0].values.push(1)), "2 values where there are 1 types"),
            (damage(|message| message.samples[0].values[0] = -1), "is it a difference?"),
            (damage(|message| message.samples[0].locations[0] = 3), "no location 3"),
            (damage(|message| message.mappings[0].path = 99), "no string 99"),
            (damage(|message| message.default_sample_type = -1), "no string -1"),
        ] {
            assert!(text.contains(expected), "{text:?} has no {expected:?}");
        }
    }

    #[test]
    fn what_unpacks_to_more_than_fits_is_refused() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        io::copy(&mut io::repeat(0).take(MAX_BYTES + 1), &mut gzip).unwrap();
        let error = parse(&gzip.finish().unwrap()).unwrap_err();
        assert!(matches!(error, Error::PprofTooLarge { .. }), "{error}");
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(profile in any_profile()) {
            let file = parse(&written(&profile)).expect("our own");
            let read: u64 = stacks(&file, 0).values().sum();
            prop_assert_eq!(read, profile.total_count());
            let nanoseconds: u64 = stacks(&file, 1).values().sum();
            prop_assert_eq!(nanoseconds, profile.total_count() * 7);
        }

        #[test]
        fn nothing_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
        }
    }
}
