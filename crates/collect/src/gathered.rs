//! What has come together since an interval began.

use crate::collector::Known;
use crate::generated_range::{GeneratedRange, GeneratedRanges};
use crate::image::Image;
use crate::interval::{Frame, Interval, Marker, Row};
use crate::module::Module;
use crate::stack_table::{Entry, ImageSlot, StackTable};
use crate::target::Targets;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use std::sync::Arc;
use std::time::{Instant, SystemTime};
use telegen_model::Token;

/// What has come together since the interval began.
#[derive(Debug)]
pub(crate) struct Gathered {
    pub(crate) begun: (SystemTime, Instant),
    pub(crate) stacks: StackTable,
    pub(crate) slots: Vec<Token>,
    pub(crate) frames: Vec<Frame>,
    rows: Vec<Row>,
    /// Entries of `stacks` that are not among the rows yet start here …
    pub(crate) settled: usize,
    /// … except these, whose image was not known when it was their turn.
    pub(crate) waiting: Vec<u32>,
    /// For each row, the entry that it was made from.
    row_entries: Vec<u32>,
    modules: Vec<Arc<Module>>,
    /// Numbers in `modules`, which keeps them alive, by their addresses.
    module_numbers: HashMap<usize, u32, RandomState>,
    generated: GeneratedRanges,
}

impl Gathered {
    pub(crate) fn begun_at(begun: (SystemTime, Instant)) -> Self {
        Self {
            begun,
            stacks: StackTable::default(),
            slots: Vec::new(),
            frames: Vec::new(),
            rows: Vec::new(),
            settled: 0,
            waiting: Vec::new(),
            row_entries: Vec::new(),
            modules: Vec::new(),
            module_numbers: HashMap::default(),
            generated: GeneratedRanges::default(),
        }
    }

    /// Turns an entry's addresses into frames; without an image only the kernel's are known.
    pub(crate) fn add_row(&mut self, index: u32, entry: &Entry, image: Option<&Image>) {
        let start = self.frames.len() as u32;
        let kernel = self.stacks.kernel(entry);
        self.frames.extend(
            kernel.iter().enumerate().map(|(depth, &address)| Frame::Kernel(at_call(depth, address))),
        );
        if entry.flaws.kernel_truncated {
            self.frames.push(Frame::Marker(Marker::Truncated));
        }
        match image {
            Some(image) => self.add_user_frames(entry, image),
            None => self.frames.push(Frame::Marker(Marker::ProcessGone)),
        }
        let frames = start..self.frames.len() as u32;
        let ImageSlot { index: image, target, .. } = entry.image;
        let (tid, thread_name) = (entry.tid, entry.thread_name);
        self.rows.push(Row { image, target, tid, thread_name, frames, count: 0 });
        self.row_entries.push(index);
    }

    fn add_user_frames(&mut self, entry: &Entry, image: &Image) {
        let (user, remaps) = (self.stacks.user(entry), entry.image.remaps);
        let not_ready = entry.flaws.not_ready.then_some(Marker::NotReady);
        let mut ended_early = not_ready.or(Marker::of_ending(entry.flaws.ending));
        for (depth, &address) in user.iter().enumerate() {
            let at = at_call(depth, address);
            let Some((module, offset)) = image.lookup(at, remaps) else {
                // Frame-pointer chains end in a null return address.
                if address != 0 || depth == 0 {
                    let why = if image.has_had(at) { Marker::Replaced } else { Marker::Unmapped };
                    ended_early = not_ready.or(Some(why));
                }
                break;
            };
            let number = number(&mut self.module_numbers, &mut self.modules, module);
            let frame = if module.is_generated() {
                let bias = if module.file.is_some() { offset.0.wrapping_sub(at) } else { 0 };
                let range = self.generated.number(GeneratedRange { module: number, bias });
                Frame::Generated { range, address: at }
            } else {
                Frame::User { module: number, offset }
            };
            self.frames.push(frame);
        }
        self.frames.extend(ended_early.map(Frame::Marker));
    }

    pub(crate) fn finish(
        mut self,
        period_ns: u64,
        now: (SystemTime, Instant),
        images: &HashMap<Token, Known, RandomState>,
        targets: Targets,
    ) -> Interval {
        for (row, &entry) in self.rows.iter_mut().zip(&self.row_entries) {
            row.count = self.stacks.entries()[entry as usize].count;
        }
        let mut numbers = vec![u32::MAX; self.slots.len()];
        let (mut facts, mut jit_dumps) = (Vec::new(), Vec::new());
        for (slot, id) in self.slots.iter().enumerate() {
            if let Some(image) = images.get(id).and_then(|known| known.image.as_ref()) {
                numbers[slot] = facts.len() as u32;
                facts.push(image.facts.clone());
                jit_dumps.push(image.jit_dump().cloned());
            }
        }
        for row in &mut self.rows {
            row.image = numbers[row.image as usize];
        }
        Interval {
            start: self.begun.0,
            duration: now.1.duration_since(self.begun.1),
            period_ns,
            rows: self.rows,
            frames: self.frames,
            modules: self.modules,
            generated: self.generated.finish(),
            images: facts,
            targets,
            jit_dumps,
        }
    }
}

/// A return address belongs to the instruction behind the call; what was running is the call. Only the leaf is where
/// the processor stood.
fn at_call(depth: usize, address: u64) -> u64 {
    if depth == 0 { address } else { address.saturating_sub(1) }
}

fn number(
    numbers: &mut HashMap<usize, u32, RandomState>,
    modules: &mut Vec<Arc<Module>>,
    module: &Arc<Module>,
) -> u32 {
    *numbers.entry(Arc::as_ptr(module) as usize).or_insert_with(|| {
        modules.push(module.clone());
        modules.len() as u32 - 1
    })
}
