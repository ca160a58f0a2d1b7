//! Answers, kept up to a budget.

use crate::{Place, Segment, SourceFrame};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use telegen_model::{FileId, FileOffset, StringId, StringTable};

/// What a string costs beside its bytes: its end, and its place in the index.
const STRING_BYTES: usize = 24;
/// What a file costs beside its places: its build id.
const FILE_BYTES: usize = 64;

/// Places by file and offset, in two halves.
///
/// An answer is put into the young half, and again when it is asked for while it is in the old one. When the young half
/// is full the old one is dropped as a whole, and the young becomes the old. So what is in use stays, memory is given
/// back in large pieces, and strings, which many places share, need not be counted by who uses them.
#[derive(Debug)]
pub(crate) struct Cache {
    budget_bytes: usize,
    young: Half,
    old: Half,
    evicted: u64,
}

#[derive(Debug, Default)]
struct Half {
    files: HashMap<FileId, FilePlaces, RandomState>,
    frames: Vec<Frame>,
    strings: StringTable,
    string_bytes: usize,
    /// Bytes of the tables of the files.
    file_bytes: usize,
    places: usize,
    /// Places that have been put into the other half too.
    promoted: usize,
}

#[derive(Debug, Default)]
struct FilePlaces {
    places: HashMap<FileOffset, Held, RandomState>,
    /// Whether the answers are from the file's separate debug file, too.
    with_debug_file: bool,
    /// Files have one or two that can be run.
    segments: Vec<Segment>,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    address: u64,
    first_frame: u32,
    frames: u16,
    segment: Option<u16>,
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    name: StringId,
    system_name: StringId,
    file: StringId,
    line: u32,
    start_line: u32,
}

impl Cache {
    pub(crate) fn new(budget_bytes: usize) -> Self {
        Self { budget_bytes, young: Half::default(), old: Half::default(), evicted: 0 }
    }

    /// A place that is known. One without frames is known to have no names.
    pub(crate) fn get(&mut self, file: &FileId, offset: FileOffset) -> Option<Place> {
        if let Some(place) = self.young.get(file, offset) {
            return Some(place);
        }
        let place = self.old.get(file, offset)?;
        self.old.promoted += 1;
        if self.old.files.get(file).is_some_and(|file| file.with_debug_file) {
            self.young.file(file).with_debug_file = true;
        }
        self.insert(file, offset, &place);
        Some(place)
    }

    pub(crate) fn insert(&mut self, file: &FileId, offset: FileOffset, place: &Place) {
        self.young.insert(file, offset, place);
        if self.young.bytes() > self.budget_bytes / 2 || self.bytes() > self.budget_bytes {
            self.turn();
        }
        // Tables grow by doubling.
        if self.bytes() > self.budget_bytes {
            self.turn();
        }
    }

    /// A separate debug file of a file has been found: answers that were given without it are dropped.
    pub(crate) fn debug_file_found(&mut self, file: &FileId) {
        for half in [&mut self.young, &mut self.old] {
            if half.files.get(file).is_some_and(|held| !held.with_debug_file) {
                half.drop_answers(file);
            }
        }
        self.young.file(file).with_debug_file = true;
    }

    /// Drops all answers of a file.
    pub(crate) fn forget(&mut self, file: &FileId) {
        for half in [&mut self.young, &mut self.old] {
            half.drop_answers(file);
        }
    }

    /// Drops the old half; the young one becomes the old.
    pub(crate) fn turn(&mut self) {
        self.evicted += (self.old.places - self.old.promoted.min(self.old.places)) as u64;
        self.old = std::mem::take(&mut self.young);
    }

    pub(crate) fn bytes(&self) -> usize {
        self.young.bytes() + self.old.bytes()
    }

    /// Answers held. One that is in both halves counts once.
    pub(crate) fn len(&self) -> usize {
        self.young.places + self.old.places - self.old.promoted.min(self.old.places)
    }

    /// Answers dropped so far.
    pub(crate) fn evicted(&self) -> u64 {
        self.evicted
    }
}

impl Half {
    fn get(&self, file: &FileId, offset: FileOffset) -> Option<Place> {
        let file = self.files.get(file)?;
        let held = file.places.get(&offset)?;
        let first = held.first_frame as usize;
        let frame = |frame: &Frame| SourceFrame {
            name: self.strings.get(frame.name).into(),
            system_name: self.strings.get(frame.system_name).into(),
            file: self.strings.get(frame.file).into(),
            line: frame.line,
            start_line: frame.start_line,
        };
        Some(Place {
            address: held.address,
            segment: held.segment.map(|at| file.segments[usize::from(at)]),
            frames: self.frames[first..first + usize::from(held.frames)].iter().map(frame).collect(),
        })
    }

    fn insert(&mut self, file: &FileId, offset: FileOffset, place: &Place) {
        let first_frame = self.frames.len() as u32;
        for frame in place.frames.iter().take(usize::from(u16::MAX)) {
            let frame = Frame {
                name: self.string(&frame.name),
                system_name: self.string(&frame.system_name),
                file: self.string(&frame.file),
                line: frame.line,
                start_line: frame.start_line,
            };
            self.frames.push(frame);
        }
        let frames = (self.frames.len() as u32 - first_frame) as u16;
        let entry = Self::entry(&mut self.files, &mut self.file_bytes, file);
        let before = entry.bytes();
        let segment = place.segment.and_then(|segment| entry.segment(segment));
        let held = Held { address: place.address, first_frame, frames, segment };
        if entry.places.insert(offset, held).is_none() {
            self.places += 1;
        }
        self.file_bytes += entry.bytes() - before;
    }

    fn file(&mut self, file: &FileId) -> &mut FilePlaces {
        Self::entry(&mut self.files, &mut self.file_bytes, file)
    }

    fn entry<'a>(
        files: &'a mut HashMap<FileId, FilePlaces, RandomState>,
        file_bytes: &mut usize,
        file: &FileId,
    ) -> &'a mut FilePlaces {
        files.entry_ref(file).or_insert_with(|| {
            *file_bytes += FILE_BYTES;
            FilePlaces::default()
        })
    }

    /// Frames and strings, which others may share, stay until the half is dropped.
    fn drop_answers(&mut self, file: &FileId) {
        if let Some(held) = self.files.remove(file) {
            self.places -= held.places.len();
            self.file_bytes -= FILE_BYTES + held.bytes();
        }
    }

    fn string(&mut self, string: &str) -> StringId {
        let before = self.strings.len();
        let id = self.strings.intern(string);
        if self.strings.len() > before {
            // The table grows by doubling.
            self.string_bytes += 2 * string.len() + STRING_BYTES;
        }
        id
    }

    fn bytes(&self) -> usize {
        self.files.allocation_size()
            + self.file_bytes
            + self.frames.capacity() * size_of::<Frame>()
            + self.string_bytes
    }
}

impl FilePlaces {
    fn segment(&mut self, segment: Segment) -> Option<u16> {
        let at = self.segments.iter().position(|held| *held == segment).unwrap_or_else(|| {
            self.segments.push(segment);
            self.segments.len() - 1
        });
        u16::try_from(at).ok()
    }

    fn bytes(&self) -> usize {
        self.places.allocation_size() + self.segments.capacity() * size_of::<Segment>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(inode: u64) -> FileId {
        FileId::Inode { device: 1, inode, ctime_ns: 0, size: 0 }
    }

    fn place(address: u64) -> Place {
        let segment = Segment { address: 1, offset: 2, file_bytes: 3, memory_bytes: 4, executable: true };
        let frame = |name: String, line| SourceFrame {
            system_name: format!("_Z{name}").into(),
            name: name.into(),
            file: "/src/shared.rs".into(),
            line,
            start_line: line - 1,
        };
        let frames = vec![frame(format!("inner{}", address % 7), 10), frame(format!("outer{address}"), 20)];
        Place { address, segment: Some(segment), frames }
    }

    #[test]
    fn it_gives_back_what_was_put_in() {
        let mut cache = Cache::new(1 << 20);
        let nameless = Place { address: 5, ..Place::default() };
        cache.insert(&file(1), FileOffset(7), &place(100));
        cache.insert(&file(2), FileOffset(7), &place(200));
        cache.insert(&file(1), FileOffset(8), &nameless);
        assert_eq!(cache.get(&file(1), FileOffset(7)), Some(place(100)));
        assert_eq!(cache.get(&file(2), FileOffset(7)), Some(place(200)));
        assert_eq!(cache.get(&file(1), FileOffset(8)), Some(nameless), "having no name is an answer");
        assert_eq!(cache.get(&file(2), FileOffset(8)), None);
        assert_eq!(cache.len(), 3);
    }

    #[test]
    fn what_was_said_without_a_debug_file_is_forgotten_once_when_there_is_one() {
        let mut cache = Cache::new(1 << 20);
        for offset in 0..10 {
            cache.insert(&file(1), FileOffset(offset), &place(1));
            cache.insert(&file(2), FileOffset(offset), &place(2));
        }
        cache.turn();
        cache.insert(&file(1), FileOffset(11), &place(1));
        cache.debug_file_found(&file(1));
        assert_eq!((cache.get(&file(1), FileOffset(3)), cache.get(&file(1), FileOffset(11))), (None, None));
        assert_eq!((cache.get(&file(2), FileOffset(3)), cache.len()), (Some(place(2)), 10));
        cache.insert(&file(1), FileOffset(3), &place(3));
        for _ in 0..3 {
            cache.debug_file_found(&file(1));
            assert_eq!(cache.get(&file(1), FileOffset(3)), Some(place(3)), "said with it");
            cache.turn();
        }
        cache.turn();
        cache.turn();
        assert_eq!((cache.len(), cache.bytes()), (0, 0));
    }

    #[test]
    fn it_stays_within_its_budget_and_keeps_what_is_used() {
        let budget = 100 << 10;
        let mut cache = Cache::new(budget);
        cache.insert(&file(1), FileOffset(0), &place(0));
        for offset in 1..5_000 {
            cache.insert(&file(offset % 5), FileOffset(offset), &place(offset));
            assert_eq!(cache.get(&file(1), FileOffset(0)), Some(place(0)), "asked for all the time");
            assert!(cache.bytes() <= budget, "{} bytes after {offset}", cache.bytes());
        }
        assert_eq!(cache.evicted() as usize + cache.len(), 5_000);
        assert!((150..2_000).contains(&cache.len()), "{} places are held", cache.len());
    }

    #[test]
    fn what_does_not_fit_is_not_kept() {
        let mut cache = Cache::new(100);
        cache.insert(&file(1), FileOffset(0), &place(0));
        assert_eq!((cache.len(), cache.get(&file(1), FileOffset(0))), (0, None));
        assert!(cache.bytes() <= 100);
    }
}
