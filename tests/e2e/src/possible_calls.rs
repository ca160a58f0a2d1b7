//! Whether a caller in a stack can have called its callee, by the machine code of both.

use crate::module::{Call, Export, Function, Module};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// How many functions may have jumped to the next one, instead of calling it, between two frames.
const MOST_JUMPS: usize = 200;

/// A place in a stack, as far as it is one in a file.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Place {
    /// The file, as the process sees it.
    pub file: String,
    /// The address, in the file's terms; that of a caller is the last byte of its call.
    pub address: u64,
}

/// What the machine code says of a callee and its caller.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// The program can make this call.
    Possible,
    /// There is no file to read the code of one of them from.
    Unknown,
    /// It cannot, and why.
    Impossible(String),
}

/// The files that a program's code is in.
#[derive(Debug)]
pub struct PossibleCalls {
    root: PathBuf,
    unstripped: BTreeMap<String, PathBuf>,
    modules: RefCell<BTreeMap<String, Option<Rc<Module>>>>,
    reachable: RefCell<HashMap<(String, Function), Rc<Reachable>>>,
    verdicts: RefCell<HashMap<(Place, Place), Verdict>>,
}

/// Where jumps alone lead to from a function.
#[derive(Debug, Default)]
struct Reachable {
    functions: BTreeSet<(String, Function)>,
    /// Files of which some function was chosen when the program started.
    chosen_in: BTreeSet<String>,
    anything: bool,
}

impl PossibleCalls {
    /// For a process whose files are below a root directory.
    pub fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            unstripped: BTreeMap::new(),
            modules: RefCell::default(),
            reachable: RefCell::default(),
            verdicts: RefCell::default(),
        }
    }

    /// Reads another file instead of the one that a process has run: the same one, before it was stripped.
    pub fn reading_instead(mut self, file: &str, unstripped: &Path) -> Self {
        self.unstripped.insert(file.to_owned(), unstripped.to_owned());
        self
    }

    /// The file's machine code; `None` if it cannot be read.
    pub fn module(&self, file: &str) -> Option<Rc<Module>> {
        let mut modules = self.modules.borrow_mut();
        let read = || {
            let path = match self.unstripped.get(file) {
                Some(path) => path.clone(),
                None => self.root.join(file.strip_prefix('/')?),
            };
            Module::read(&path).ok().map(Rc::new)
        };
        modules.entry(file.to_owned()).or_insert_with(read).clone()
    }

    /// What can be said of two adjacent places in a stack.
    pub fn verdict(&self, callee: &Place, caller: &Place) -> Verdict {
        let key = (callee.clone(), caller.clone());
        if let Some(known) = self.verdicts.borrow().get(&key) {
            return known.clone();
        }
        let verdict = self.judge(callee, caller);
        self.verdicts.borrow_mut().insert(key, verdict.clone());
        verdict
    }

    fn judge(&self, callee: &Place, caller: &Place) -> Verdict {
        let Some(module) = self.module(&caller.file) else { return Verdict::Unknown };
        if self.is_signal_return(callee) {
            // The caller was interrupted anywhere.
            return if module.is_instruction(caller.address) {
                Verdict::Possible
            } else {
                Verdict::Impossible(format!("no instruction begins at {caller:x?}, which was interrupted"))
            };
        }
        if self.is_injected(callee) {
            return if module.is_instruction(caller.address) {
                Verdict::Possible
            } else {
                Verdict::Impossible(format!("no instruction begins at {caller:x?}, which was interrupted"))
            };
        }
        let of_callee = self.module(&callee.file);
        if of_callee.is_some_and(|module| module.is_context_end(callee.address + 1)) {
            return Verdict::Impossible("a context has not been called by anybody".to_owned());
        }
        // The kernel calls handlers, and `makecontext` makes the first frame: their callers have called nothing.
        if self.is_signal_return(caller) || module.is_context_end(caller.address + 1) {
            return Verdict::Possible;
        }
        match module.call_before(caller.address + 1) {
            None => Verdict::Impossible(format!("there is no call in front of {caller:x?}")),
            Some(call) => self.verdict_on(&call, callee, &caller.file),
        }
    }

    /// Whether a place is in the code that returns from signals.
    pub fn is_signal_return(&self, place: &Place) -> bool {
        self.module(&place.file).is_some_and(|module| module.signal_return(place.address).is_some())
    }

    /// Whether a place is in a function of Go's that a signal's handler lets seem to have been called where it has interrupted.
    fn is_injected(&self, place: &Place) -> bool {
        let injected = ["runtime.asyncPreempt", "runtime.sigpanic", "runtime.sigpanic0"];
        self.names(place).iter().any(|name| injected.contains(&name.trim_end_matches(".abi0")))
    }

    /// The names that symbols have for the function at a place, if there are symbols for it.
    pub fn names(&self, place: &Place) -> Vec<String> {
        let Some(module) = self.module(&place.file) else { return Vec::new() };
        let address = module.signal_return(place.address).unwrap_or(place.address);
        module.function(address).map_or(Vec::new(), |function| module.names(function.start).to_vec())
    }

    fn verdict_on(&self, call: &Call, callee: &Place, file: &str) -> Verdict {
        let Some(module) = self.module(&callee.file) else { return Verdict::Unknown };
        if let Some(stub) = module.stub_at(callee.address) {
            let fits = callee.file == file && (stub == *call || [call, &stub].contains(&&Call::Unknown));
            return if fits {
                Verdict::Possible
            } else {
                Verdict::Impossible(format!(
                    "the call is to {call:x?}, and {callee:x?} is the stub of {stub:x?}"
                ))
            };
        }
        let Some(function) = module.function(callee.address) else { return Verdict::Unknown };
        let is_callee = |start: u64| function.start == start;
        let fits = match call {
            Call::Unknown => true,
            Call::Named(name) => self.name_fits(name.as_deref(), callee, function, file),
            Call::Function(start) if file == callee.file && is_callee(*start) => true,
            Call::Function(start) => self.jumps_fit(file, *start, callee, function),
        };
        if fits {
            return Verdict::Possible;
        }
        Verdict::Impossible(format!(
            "the call is to {call:x?}, not to {:?} at {callee:x?}",
            module.names(function.start)
        ))
    }

    /// Whether a name means a function, or one that jumps to it.
    fn name_fits(&self, name: Option<&str>, callee: &Place, function: Function, file: &str) -> bool {
        // The first call of a name goes to the dynamic linker, which looks for it.
        if callee.file.contains("/ld-") {
            return true;
        }
        let Some(name) = name else { return callee.file == file };
        self.exporters(name).into_iter().any(|(exporter, export)| {
            let exact = exporter == callee.file && (export.chooses || export.address == function.start);
            exact || self.jumps_fit(&exporter, export.address, callee, function)
        })
    }

    /// The functions of a name, in all files that were read so far: that of the callee is among them.
    fn exporters(&self, name: &str) -> Vec<(String, Export)> {
        let modules = self.modules.borrow();
        let exports = modules.iter().filter_map(|(file, module)| Some((file, module.as_ref()?)));
        exports
            .flat_map(|(file, module)| module.exports(name).iter().map(|export| (file.clone(), *export)))
            .collect()
    }

    fn jumps_fit(&self, file: &str, start: u64, callee: &Place, function: Function) -> bool {
        let Some(from) = self.module(file).and_then(|module| module.function(start)) else { return false };
        let reachable = self.reachable(file, from);
        reachable.anything
            || reachable.functions.contains(&(callee.file.clone(), function))
            || reachable.chosen_in.contains(&callee.file)
    }

    fn reachable(&self, file: &str, from: Function) -> Rc<Reachable> {
        let key = (file.to_owned(), from);
        if let Some(known) = self.reachable.borrow().get(&key) {
            return Rc::clone(known);
        }
        let mut found = Reachable::default();
        let mut open = vec![key.clone()];
        while let Some((file, function)) = open.pop() {
            let Some(module) = self.module(&file) else { continue };
            for call in module.jumps_out_of(function) {
                let targets: Vec<(String, u64)> = match call {
                    Call::Unknown => {
                        found.anything = true;
                        continue;
                    }
                    Call::Function(at) => vec![(file.clone(), at)],
                    Call::Named(None) => {
                        found.chosen_in.insert(file.clone());
                        continue;
                    }
                    Call::Named(Some(name)) => {
                        let exporters = self.exporters(&name);
                        let chosen = exporters.iter().filter(|(_, export)| export.chooses);
                        found.chosen_in.extend(chosen.map(|(file, _)| file.clone()));
                        exporters.into_iter().map(|(file, export)| (file, export.address)).collect()
                    }
                };
                for (file, at) in targets {
                    let next = self.module(&file).and_then(|module| module.function(at));
                    let next = next.map(|next| (file, next)).filter(|_| found.functions.len() < MOST_JUMPS);
                    open.extend(next.filter(|next| found.functions.insert(next.clone())));
                }
            }
        }
        let found = Rc::new(found);
        self.reachable.borrow_mut().insert(key, Rc::clone(&found));
        found
    }
}
