//! An interval's frames get their names.

use crate::generated::GeneratedCode;
use crate::generated_range::GeneratedRange;
use crate::interval::{Frame, Interval, Row};
use crate::module::Module;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;
use telegen_model::{
    FileOffset, Function, LabelSetId, LabelValue, Line, Location, LocationId, LocationKind, Mapping, Pod,
    ProcessFacts, Profile, ProfileBuilder, ProfileKind, StackId, StringId, WorkloadKind, base_name,
};
use telegen_process::Root;
use telegen_symbolize::{
    Budget, DebugServer, KernelSymbol, KernelSymbols, LiveKernelSymbols, Place, Source, SourceFrame,
    SplitFiles, Symbolizer,
};

/// What samples are labelled with, beside what is always known of a process.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SampleLabels {
    /// On every sample: `host.name`, `external_labels`.
    pub common: BTreeMap<String, String>,
    /// Labels of the process's pod, by their names, which are carried along as `k8s.pod.label.<name>`.
    pub of_pod: Vec<String>,
}

/// Where kernel frames belong, as perf calls it.
const KERNEL: &str = "[kernel.kallsyms]";
/// Where the upper half of the address space begins, on every 64-bit architecture.
const KERNEL_START: u64 = 1 << 63;

/// Turns intervals into profiles. One thread owns it, and with it the symbols.
pub struct ProfileAssembler {
    symbolizer: Symbolizer,
    kernel: LiveKernelSymbols,
    has_warned: bool,
    generated: GeneratedCode,
    labels: SampleLabels,
}

/// What the assembler holds, and what went wrong.
#[derive(Clone, Debug)]
pub struct AssemblerFigures {
    /// Bytes of user symbols and debug information, and of what is known of generated code.
    pub symbol_bytes: usize,
    /// Bytes of kernel symbols.
    pub kernel_symbol_bytes: usize,
    /// Files that gave fewer names than they might have, by reason.
    pub failures: Vec<(&'static str, u64)>,
    /// Separate debug files that are open.
    pub debug_files: usize,
    /// What has come of files that might have been debug files.
    pub debug_outcomes: Vec<(&'static str, u64)>,
}

impl ProfileAssembler {
    /// An assembler that labels samples so, keeps symbols within a budget, and looks for debug files below the roots of
    /// processes, then below the host's, and then asks a server.
    pub fn new(
        labels: SampleLabels,
        budget: Budget,
        host: Option<Arc<Root>>,
        server: Option<Arc<dyn DebugServer>>,
    ) -> Self {
        let symbolizer = Symbolizer::with_debug_files(budget, host, server);
        let kernel = LiveKernelSymbols::new("/proc/kallsyms");
        Self { symbolizer, kernel, has_warned: false, generated: GeneratedCode::default(), labels }
    }

    /// Drops what can be had again by reading files: kernel symbols, debug information, what is known of generated code,
    /// and half of all answers or more.
    pub fn trim(&mut self) {
        self.symbolizer.trim();
        self.generated.trim();
        self.kernel.clear();
    }

    /// The profile of an interval. Kernel symbols are read when the first kernel frame is met, and again when there is one
    /// of something that may have been loaded since.
    pub fn assemble(&mut self, interval: &Interval) -> Profile {
        let builder = ProfileBuilder::new(ProfileKind::Cpu, interval.start, interval.period_ns);
        let mut assembly = Assembly { builder, locations: HashMap::default(), generated: HashMap::default() };
        assembly.locate_user_frames(interval, &mut self.symbolizer);
        assembly.locate_generated_frames(interval, &mut self.generated);
        if interval.frames.iter().any(|frame| matches!(frame, Frame::Kernel(_))) {
            assembly.locate_kernel_frames(interval, self.kernel_symbols(interval));
        }
        let common = assembly.common_labels(&self.labels.common);
        for row in &interval.rows {
            let stack = assembly.stack(row.image, interval.frames_of(row));
            let labels = assembly.labels(interval, row, &common, &self.labels.of_pod);
            let period_ns = interval.targets.get(row.target).period_ns(interval.period_ns);
            assembly.builder.add(stack, labels, row.count, row.count.saturating_mul(period_ns));
        }
        assembly.builder.finish(interval.duration)
    }

    /// What is held, and what went wrong so far.
    pub fn figures(&self) -> AssemblerFigures {
        let figures = self.symbolizer.figures();
        AssemblerFigures {
            symbol_bytes: figures.cache_bytes + figures.debug_info_bytes as usize + self.generated.bytes(),
            kernel_symbol_bytes: self.kernel.bytes(),
            failures: self.failures(),
            debug_files: figures.debug_files,
            debug_outcomes: self
                .symbolizer
                .debug_outcomes()
                .map(|(outcome, count)| (outcome.name(), count))
                .collect(),
        }
    }

    /// Without them kernel frames are addresses; that is all that is lost.
    fn kernel_symbols(&mut self, interval: &Interval) -> &KernelSymbols {
        static NONE: KernelSymbols = KernelSymbols::NONE;
        let addresses = interval.frames.iter().filter_map(|frame| match frame {
            Frame::Kernel(address) => Some(*address),
            _ => None,
        });
        let symbols = self.kernel.explaining(addresses, Instant::now()).unwrap_or(&NONE);
        if symbols.is_empty() && !self.has_warned {
            self.has_warned = true;
            tracing::warn!(
                hidden = symbols.is_hidden(),
                "no kernel symbols: kernel frames are shown as addresses (telegen doctor says what they need)"
            );
        }
        symbols
    }

    fn failures(&self) -> Vec<(&'static str, u64)> {
        let of_files = self.symbolizer.failures().map(|(failure, count)| (failure.name(), count));
        of_files.chain(self.generated.failures()).collect()
    }
}

/// A profile being put together.
struct Assembly {
    builder: ProfileBuilder,
    locations: HashMap<Frame, LocationId, RandomState>,
    /// Of generated code, by image and address: what stands there is another function in each process.
    generated: HashMap<(u32, u64), LocationId, RandomState>,
}

impl Assembly {
    /// All places of each module at once, so that its file is gone through once.
    fn locate_user_frames(&mut self, interval: &Interval, symbolizer: &mut Symbolizer) {
        let mut offsets: Vec<Vec<FileOffset>> = vec![Vec::new(); interval.modules.len()];
        for frame in &interval.frames {
            if let Frame::User { module, offset } = *frame {
                offsets[module as usize].push(offset);
            }
        }
        for (number, (module, mut offsets)) in (0..).zip(interval.modules.iter().zip(offsets)) {
            offsets.sort_unstable();
            offsets.dedup();
            let places = places(module, &offsets, symbolizer);
            for (offset, place) in offsets.into_iter().zip(places) {
                let location = self.user_location(module, &place);
                self.locations.insert(Frame::User { module: number, offset }, location);
            }
        }
    }

    /// The functions of generated code, each process's from what its own compiler says.
    fn locate_generated_frames(&mut self, interval: &Interval, code: &mut GeneratedCode) {
        let mut by_image: BTreeMap<u32, BTreeMap<u64, GeneratedRange>> = BTreeMap::new();
        for row in &interval.rows {
            for frame in interval.frames_of(row) {
                if let Frame::Generated { range, address } = *frame {
                    let range = interval.generated[range as usize];
                    by_image.entry(row.image).or_default().insert(address, range);
                }
            }
        }
        for (image, ranges) in by_image {
            let process = &interval.images[image as usize].key;
            let dump = interval.jit_dumps[image as usize].as_deref();
            let addresses: Vec<u64> = ranges.keys().copied().collect();
            let functions = code.functions(process, dump, &addresses);
            for (function, (address, range)) in functions.into_iter().zip(ranges) {
                let module = &interval.modules[range.module as usize];
                let place = match function {
                    Some(function) => Place { address, segment: None, frames: vec![function] },
                    None => Place { address, ..without_symbol(module, range.offset(address)) },
                };
                let location = self.user_location(module, &place);
                self.generated.insert((image, address), location);
            }
        }
        code.sweep();
    }

    fn user_location(&mut self, module: &Module, place: &Place) -> LocationId {
        let path = self.builder.string(&module.path);
        let segment = place.segment.map_or((0, 0, 0), |segment| {
            (segment.address, segment.address.saturating_add(segment.memory_bytes), segment.offset)
        });
        let (start, limit, file_offset) = segment;
        let mapping = Mapping { path, build_id: module.build_id().cloned(), start, limit, file_offset };
        let mapping = Some(self.builder.mapping(mapping));
        let lines = place.frames.iter().map(|frame| self.line(frame)).collect();
        self.builder.location(Location { mapping, address: place.address, kind: LocationKind::User, lines })
    }

    fn line(&mut self, frame: &SourceFrame) -> Line {
        let (name, system_name) = (self.builder.string(&frame.name), self.builder.string(&frame.system_name));
        let file = self.builder.string(&frame.file);
        let function =
            self.builder.function(Function { name, system_name, file, start_line: frame.start_line });
        Line { function, line: frame.line }
    }

    fn locate_kernel_frames(&mut self, interval: &Interval, symbols: &KernelSymbols) {
        let path = self.builder.string(KERNEL);
        let kernel = Mapping { path, build_id: None, start: KERNEL_START, limit: u64::MAX, file_offset: 0 };
        let mapping = Some(self.builder.mapping(kernel));
        for &frame in &interval.frames {
            let Frame::Kernel(address) = frame else { continue };
            if self.locations.contains_key(&frame) {
                continue;
            }
            let (name, shown, module) = match symbols.lookup(address) {
                Some(KernelSymbol { name, module: None, .. }) => (name.to_owned(), name.to_owned(), None),
                Some(KernelSymbol { name, module: Some(module), .. }) => {
                    (name.to_owned(), format!("{name} [{module}]"), Some(format!("[{module}]")))
                }
                None => (format!("[kernel+{address:#x}]"), format!("[kernel+{address:#x}]"), None),
            };
            let (name, system_name) = (self.builder.string(&shown), self.builder.string(&name));
            let file = module.map_or(StringId::default(), |module| self.builder.string(&module));
            let function = self.builder.function(Function { name, system_name, file, start_line: 0 });
            let lines = vec![Line { function, line: 0 }];
            let location = Location { mapping, address, kind: LocationKind::Kernel, lines };
            let location = self.builder.location(location);
            self.locations.insert(frame, location);
        }
    }

    fn stack(&mut self, image: u32, frames: &[Frame]) -> StackId {
        let mut stack = Vec::with_capacity(frames.len());
        for frame in frames {
            let location = match frame {
                Frame::Marker(marker) => Some(self.builder.marker(marker.name())),
                Frame::Generated { address, .. } => self.generated.get(&(image, *address)).copied(),
                located => self.locations.get(located).copied(),
            };
            stack.extend(location);
        }
        self.builder.stack(stack)
    }

    fn common_labels(&mut self, labels: &BTreeMap<String, String>) -> Vec<(StringId, LabelValue)> {
        let label = |(key, value): (&String, &String)| {
            (self.builder.string(key), LabelValue::Text(self.builder.string(value)))
        };
        labels.iter().map(label).collect()
    }

    fn labels(
        &mut self,
        interval: &Interval,
        row: &Row,
        common: &[(StringId, LabelValue)],
        of_pod: &[String],
    ) -> LabelSetId {
        let facts = &interval.images[row.image as usize];
        let name_end = row.thread_name.iter().position(|&byte| byte == 0).unwrap_or(row.thread_name.len());
        let thread_name = String::from_utf8_lossy(&row.thread_name[..name_end]);
        let name = facts.display_name();
        let mut labels = common.to_vec();
        let mut text = |key: &str, value: &str| {
            if !value.is_empty() {
                labels.push((self.builder.string(key), LabelValue::Text(self.builder.string(value))));
            }
        };
        text("process.executable.name", name);
        text("process.executable.path", facts.executable.as_deref().unwrap_or_default());
        text("thread.name", &thread_name);
        text("container.id", facts.container.as_ref().map_or("", |container| container.id.as_str()));
        if let Some(pod) = facts.pod.pod() {
            pod_labels(pod, facts.pod.container(), of_pod, &mut text);
        }
        text("service.name", service_name(facts));
        text("target", &interval.targets.get(row.target).name);
        labels.push((self.builder.string("process.pid"), LabelValue::Number(facts.key.id.pid.0.into())));
        labels.push((self.builder.string("thread.id"), LabelValue::Number(row.tid.0.into())));
        self.builder.label_set(labels)
    }
}

/// Labels of the pod that a process runs in: OpenTelemetry's names, `k8s` of its semantic conventions.
fn pod_labels(pod: &Pod, container: Option<&Arc<str>>, wanted: &[String], text: &mut impl FnMut(&str, &str)) {
    text("k8s.namespace.name", pod.namespace.as_deref().unwrap_or_default());
    text("k8s.pod.name", pod.name.as_deref().unwrap_or_default());
    text("k8s.pod.uid", &pod.uid);
    text("k8s.container.name", container.map_or("", |name| name));
    let Some(details) = &pod.details else { return };
    text("k8s.node.name", &details.node);
    let workload = &details.workload;
    if workload.kind != WorkloadKind::Pod {
        text(&format!("k8s.{}.name", workload.kind.name().to_ascii_lowercase()), &workload.name);
    }
    for name in wanted {
        if let Some(value) = details.labels.get(name.as_str()) {
            text(&format!("k8s.pod.label.{name}"), value);
        }
    }
}

/// What a service is called: by its pod's label, by what the pod is there for, or by its executable.
fn service_name(facts: &ProcessFacts) -> &str {
    let details = facts.pod.pod().and_then(|pod| pod.details.as_ref());
    let label = details.and_then(|details| details.labels.get("app.kubernetes.io/name"));
    match (label, details) {
        (Some(label), _) if !label.is_empty() => label,
        (_, Some(details)) => &details.workload.name,
        (_, None) => facts.display_name(),
    }
}

fn places(module: &Arc<Module>, offsets: &[FileOffset], symbolizer: &mut Symbolizer) -> Vec<Arc<Place>> {
    match &module.file {
        Some(file) => {
            let split_files = module.split_files.as_ref().map(|files| files as &dyn SplitFiles);
            let module_name = short_name(module);
            let source = Source { id: &file.id, file: file.open.as_ref(), module: module_name, split_files };
            symbolizer.symbolize_with(source, &module.debug_files, offsets)
        }
        None => offsets.iter().map(|&offset| Arc::new(without_symbol(module, offset))).collect(),
    }
}

/// A place of which no more is known than where it is.
fn without_symbol(module: &Module, offset: FileOffset) -> Place {
    let name = format!("[{}+{:#x}]", short_name(module), offset.0);
    Place { address: offset.0, segment: None, frames: vec![SourceFrame::named(&name)] }
}

/// What stands in the names of places without a symbol.
fn short_name(module: &Module) -> &str {
    let bracketed = module.path.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    bracketed.unwrap_or_else(|| base_name(&module.path))
}
