//! What code was run from: files, each held once for all processes that map it, and things without a file.

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use std::fs::File;
use std::sync::{Arc, Weak};
use telegen_model::{BuildId, FileId, Pid};
use telegen_process::{Backing, FileFacts, MappedFile, Mapping, ProcFs};
use telegen_symbolize::build_id;

/// Something that code is run from.
#[derive(Debug)]
pub struct Module {
    /// The path as the process sees it that was first seen to map it, or a name such as `[vdso]`.
    pub path: Box<str>,
    /// The file, if there is one.
    pub file: Option<ModuleFile>,
}

/// The file of a module.
#[derive(Debug)]
pub struct ModuleFile {
    /// What it is known by, whichever path or container it was found under.
    pub id: FileId,
    /// The open file, so that it can be read when its process, or its container, has gone. `None` if it could not be
    /// opened, or if too many are open.
    pub open: Option<File>,
}

impl Module {
    /// Its build id, if it has one.
    pub fn build_id(&self) -> Option<&BuildId> {
        match &self.file.as_ref()?.id {
            FileId::BuildId(id) => Some(id),
            FileId::Inode { .. } => None,
        }
    }

    /// Whether it is memory that code was put into while the process ran.
    pub(crate) fn is_generated(&self) -> bool {
        self.file.is_none() && !FIXED.contains(&&*self.path)
    }

    fn named(name: &str) -> Self {
        Self { path: name.into(), file: None }
    }
}

/// All modules that some program image or some profile under way still refers to.
#[derive(Debug, Default)]
pub(crate) struct Modules {
    by_file: HashMap<FileId, Weak<Module>, RandomState>,
    by_name: HashMap<Box<str>, Weak<Module>, RandomState>,
    /// Saves reading the build id of a file that another process has mapped already.
    ids: HashMap<FileFacts, (FileId, Weak<Module>), RandomState>,
    /// Mapped files that could not be opened.
    pub(crate) unopened: u64,
}

/// Files that are held open at the most; beyond that a module has no symbols.
const MAX_OPEN: usize = 4096;
/// What the kernel itself maps.
const FIXED: [&str; 3] = ["[vdso]", "[vsyscall]", "[uprobes]"];
/// Anonymous executable memory: what a just-in-time compiler makes.
const ANONYMOUS: &str = "[anon]";

impl Modules {
    /// The module behind a mapping of a process.
    pub(crate) fn of_mapping(&mut self, proc: &ProcFs, pid: Pid, mapping: &Mapping) -> Arc<Module> {
        match &mapping.backing {
            Backing::Anonymous => self.named(ANONYMOUS),
            Backing::Named(name) => self.named(name),
            Backing::File { path, device, inode, .. } => match MappedFile::open(proc, pid, mapping) {
                Ok(file) => self.opened(path, file),
                Err(_) => {
                    self.unopened += 1;
                    let device = u64::from(device.0) << 32 | u64::from(device.1);
                    let id = FileId::Inode { device, inode: *inode, ctime_ns: 0, size: 0 };
                    self.file(path, id, None)
                }
            },
        }
    }

    fn opened(&mut self, path: &str, file: MappedFile) -> Arc<Module> {
        if let Some((_, module)) = self.ids.get(&file.facts)
            && let Some(module) = module.upgrade()
        {
            return module;
        }
        let id = match build_id::read(&file.file) {
            Ok(Some(build_id)) => FileId::BuildId(build_id),
            // No build id, or not ELF at all: a mapped archive, a damaged file.
            _ => file.facts.file_id(),
        };
        let module = self.file(path, id.clone(), Some(file.file));
        self.ids.insert(file.facts, (id, Arc::downgrade(&module)));
        module
    }

    fn file(&mut self, path: &str, id: FileId, open: Option<File>) -> Arc<Module> {
        if let Some(module) = self.by_file.get(&id).and_then(Weak::upgrade) {
            return module;
        }
        let open = open.filter(|_| self.by_file.len() < MAX_OPEN);
        let module = Arc::new(Module { path: path.into(), file: Some(ModuleFile { id: id.clone(), open }) });
        self.by_file.insert(id, Arc::downgrade(&module));
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
    }

    /// How many files are known.
    pub(crate) fn files(&self) -> usize {
        self.by_file.len()
    }
}
