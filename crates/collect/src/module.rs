//! What code was run from: files, each held once for all processes that map it, and things without a file.

use crate::split_files::SplitFilesBelowRoot;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use std::fs::File;
use std::sync::{Arc, Weak};
use telegen_model::{BuildId, FileId, Pid};
use telegen_process::{
    Backing, Error, FileFacts, JitDumpFile, MappedFile, Mapping, ProcFs, Root, RootIdentity, VDSO, own_vdso,
};
use telegen_symbolize::{DebugFiles, build_id};

/// Something that code is run from.
#[derive(Debug)]
pub struct Module {
    /// The path as the process sees it that was first seen to map it, or a name such as `[vdso]`.
    pub path: Box<str>,
    /// The file, if there is one. That of the vDSO is a copy.
    pub file: Option<ModuleFile>,
    /// Its separate debug files. They are closed with the file.
    pub debug_files: DebugFiles,
    /// The way to the files that the compiler has split off from it.
    pub(crate) split_files: Option<SplitFilesBelowRoot>,
    generated: bool,
}

/// The file of a module.
#[derive(Debug)]
pub struct ModuleFile {
    /// What it is known by, whichever path or container it was found under.
    pub id: FileId,
    /// The open file, so that it can be read when its process, or its container, has gone. `None` if it could not be
    /// opened, if it is not ELF, or if too many are open.
    pub open: Option<File>,
    /// How large it is.
    pub bytes: u64,
}

impl Module {
    /// Its build id, if it has one.
    pub fn build_id(&self) -> Option<&BuildId> {
        match &self.file.as_ref()?.id {
            FileId::BuildId(id) => Some(id),
            FileId::Inode { .. } => None,
        }
    }

    /// Whether code was put there while the process ran: into anonymous memory, or into a file that is none of code, such
    /// as a memfd.
    pub(crate) fn is_generated(&self) -> bool {
        self.generated
    }

    fn named(name: &str) -> Self {
        let generated = !FIXED.contains(&name);
        Self {
            path: name.into(),
            file: None,
            debug_files: DebugFiles::default(),
            split_files: None,
            generated,
        }
    }
}

/// All modules that some program image or some profile under way still refers to.
#[derive(Debug, Default)]
pub(crate) struct Modules {
    by_file: HashMap<FileId, Weak<Module>, RandomState>,
    by_name: HashMap<Box<str>, Weak<Module>, RandomState>,
    /// Saves reading the build id of a file that another process has mapped already.
    ids: HashMap<FileFacts, (FileId, Weak<Module>), RandomState>,
    /// One for all processes of a container.
    roots: HashMap<RootIdentity, Weak<Root>, RandomState>,
    /// The 64-bit vDSO, once it was met.
    vdso: Weak<Module>,
    jit_dumps: Vec<Weak<JitDumpFile>>,
    /// Mapped files that could not be opened, or were not for not surely being the process's own.
    pub(crate) unopened: u64,
}

/// Files that are held open at the most; beyond that a module has no symbols.
const MAX_OPEN: usize = 4096;
/// jitdump files that are held open at the most.
const MAX_JIT_DUMPS: usize = 1024;
/// What the kernel itself maps.
const FIXED: [&str; 3] = [VDSO, "[vsyscall]", "[uprobes]"];
/// Where the address space of 32-bit processes ends, whose vDSO is another one.
const END_OF_32_BIT: u64 = 1 << 32;
/// How the paths of files begin that are nothing but memory: of memfd_create(2), of shared anonymous memory, of shmat(2),
/// of huge pages.
const MEMORY: [&str; 4] = ["/memfd:", "/dev/zero", "/SYSV", "/anon_hugepage"];
/// Anonymous executable memory: what a just-in-time compiler makes.
const ANONYMOUS: &str = "[anon]";

impl Modules {
    /// The module behind a mapping of a process.
    pub(crate) fn of_mapping(&mut self, proc: &ProcFs, pid: Pid, mapping: &Mapping) -> Arc<Module> {
        match &mapping.backing {
            Backing::Anonymous => self.named(ANONYMOUS),
            Backing::Named(name) if &**name == VDSO && mapping.start >= END_OF_32_BIT => self.vdso(),
            Backing::Named(name) => self.named(name),
            Backing::File { path, device, inode, .. } => match MappedFile::open(proc, pid, mapping) {
                Ok(file) => self.opened(proc, pid, path, file),
                Err(error) => {
                    let generated = is_memory(path) || matches!(error, Error::NotRegular { .. });
                    self.unopened += u64::from(!generated);
                    let device = u64::from(device.0) << 32 | u64::from(device.1);
                    let id = FileId::Inode { device, inode: *inode, ctime_ns: 0, size: 0 };
                    let file = ModuleFile { id, open: None, bytes: 0 };
                    self.file(path, file, generated, None)
                }
            },
        }
    }

    /// The jitdump file that a mapping of a process is the mark of.
    pub(crate) fn jit_dump(
        &mut self,
        proc: &ProcFs,
        pid: Pid,
        mapping: &Mapping,
    ) -> Option<Arc<JitDumpFile>> {
        if !JitDumpFile::is_marked_by(mapping) {
            return None;
        }
        match JitDumpFile::open(proc, pid, mapping) {
            Ok(dump) if self.jit_dumps.len() < MAX_JIT_DUMPS => {
                let dump = Arc::new(dump);
                self.jit_dumps.push(Arc::downgrade(&dump));
                Some(dump)
            }
            _ => {
                self.unopened += 1;
                None
            }
        }
    }

    fn opened(&mut self, proc: &ProcFs, pid: Pid, path: &str, file: MappedFile) -> Arc<Module> {
        if let Some((_, module)) = self.ids.get(&file.facts)
            && let Some(module) = module.upgrade()
        {
            return module;
        }
        let (id, generated) = match build_id::read(&file.file) {
            Ok(Some(build_id)) => (FileId::BuildId(build_id), false),
            Err(telegen_symbolize::Error::NotElf) => (file.facts.file_id(), true),
            // No build id, or a damaged file.
            _ => (file.facts.file_id(), false),
        };
        let open = (!generated).then_some(file.file);
        let found = ModuleFile { id: id.clone(), open, bytes: file.facts.size };
        let module = self.file(path, found, generated, (!generated).then_some((proc, pid)));
        self.ids.insert(file.facts, (id, Arc::downgrade(&module)));
        module
    }

    fn file(
        &mut self,
        path: &str,
        file: ModuleFile,
        generated: bool,
        seen_by: Option<(&ProcFs, Pid)>,
    ) -> Arc<Module> {
        if let Some(module) = self.by_file.get(&file.id).and_then(Weak::upgrade) {
            return module;
        }
        let (id, bytes) = (file.id, file.bytes);
        let open = file.open.filter(|_| self.by_file.len() < MAX_OPEN);
        let file = Some(ModuleFile { id: id.clone(), open, bytes });
        let (debug_files, split_files) =
            seen_by.and_then(|(proc, pid)| self.companions(proc, pid, path)).unzip();
        let debug_files = debug_files.unwrap_or_default();
        let module = Arc::new(Module { path: path.into(), file, debug_files, split_files, generated });
        self.by_file.insert(id, Arc::downgrade(&module));
        module
    }

    /// Where to seek what belongs to a binary that a process has mapped; nothing if that cannot be told.
    fn companions(
        &mut self,
        proc: &ProcFs,
        pid: Pid,
        path: &str,
    ) -> Option<(DebugFiles, SplitFilesBelowRoot)> {
        let root = Root::of_process(proc, pid).ok()?;
        let identity = root.identity();
        let held = self.roots.get(&identity).and_then(Weak::upgrade);
        let root = held.unwrap_or_else(|| {
            let root = Arc::new(root);
            self.roots.insert(identity, Arc::downgrade(&root));
            root
        });
        Some((DebugFiles::to_seek(root, path), SplitFilesBelowRoot::new(proc, pid, identity, path)))
    }

    fn vdso(&mut self) -> Arc<Module> {
        if let Some(module) = self.vdso.upgrade() {
            return module;
        }
        // Without it there are neither names nor unwind tables of it.
        let Ok(file) = own_vdso() else { return self.named(VDSO) };
        let id = match build_id::read(&file) {
            Ok(Some(build_id)) => FileId::BuildId(build_id),
            // No file has this identity.
            _ => FileId::Inode { device: 0, inode: 0, ctime_ns: 0, size: 0 },
        };
        let file = Some(ModuleFile { id, open: Some(file), bytes: 0 });
        let debug_files = DebugFiles::default();
        let module =
            Arc::new(Module { path: VDSO.into(), file, debug_files, split_files: None, generated: false });
        self.vdso = Arc::downgrade(&module);
        module
    }

    fn named(&mut self, name: &str) -> Arc<Module> {
        if let Some(module) = self.by_name.get(name).and_then(Weak::upgrade) {
            return module;
        }
        let module = Arc::new(Module::named(name));
        self.by_name.insert(name.into(), Arc::downgrade(&module));
        module
    }

    /// Forgets modules that nobody refers to any more; their files were closed with the last reference.
    pub(crate) fn sweep(&mut self) {
        self.by_file.retain(|_, module| module.strong_count() > 0);
        self.by_name.retain(|_, module| module.strong_count() > 0);
        self.ids.retain(|_, (_, module)| module.strong_count() > 0);
        self.roots.retain(|_, root| root.strong_count() > 0);
        self.jit_dumps.retain(|dump| dump.strong_count() > 0);
    }

    /// How many files are known.
    pub(crate) fn files(&self) -> usize {
        self.by_file.len()
    }
}

fn is_memory(path: &str) -> bool {
    MEMORY.iter().any(|beginning| path.starts_with(beginning))
}
