//! What every stack must be: whole, of calls that the program can make, and as the program itself knows it.

use crate::possible_calls::{Place, PossibleCalls, Verdict};
use crate::{Frame, Profile, Sample};
use std::collections::BTreeMap;

/// How many flawed stacks are shown.
const SHOWN: usize = 6;
/// Stacks from before telegen has read how to unwind a program end in this.
const NOT_READY: &str = "[no unwind table yet]";
/// How long a program may have been run before that. What is tested is built without optimisation, and beside other tests: how
/// soon tables are there in a release stands in docs/performance.md.
const MOST_NOT_READY_NS: u64 = 400_000_000;

/// What the program knows of its stacks: what is wrong with one, given the names of its user frames, leaf first and with
/// inlined functions, if anything is.
pub type Knowledge<'a> = &'a dyn Fn(&[&str]) -> Option<String>;

/// What the stacks of a program are held against.
pub struct WholeStacks<'a> {
    calls: PossibleCalls,
    knowledge: Knowledge<'a>,
    roots: &'a [&'a str],
    named: bool,
}

impl std::fmt::Debug for WholeStacks<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("WholeStacks")
            .field("calls", &self.calls)
            .field("roots", &self.roots)
            .finish_non_exhaustive()
    }
}

impl<'a> WholeStacks<'a> {
    /// Stacks that begin where the kernel starts a process or a thread.
    pub fn new(calls: PossibleCalls, knowledge: Knowledge<'a>) -> Self {
        Self { calls, knowledge, roots: &[], named: true }
    }

    /// They may also begin in these functions, which nothing has called.
    pub fn beginning_in(mut self, roots: &'a [&'a str]) -> Self {
        self.roots = roots;
        self
    }

    /// Names are not held against symbols: what runs has none.
    pub fn without_names(mut self) -> Self {
        self.named = false;
        self
    }

    /// Fails unless 99.5 % of all stacks are as they must be, and those from before telegen had read how to
    /// unwind the program are few.
    ///
    /// # Panics
    ///
    /// If they are not; some of the flawed ones are shown.
    pub fn assert_all(&self, name: &str, profile: &Profile) {
        assert_most(name, profile, |sample| self.flaw(sample));
    }

    /// The same where a stack may be cut off, with a marker in the place of the frames that are missing.
    ///
    /// # Panics
    ///
    /// If they are not; some of the flawed ones are shown.
    pub fn assert_all_up_to(&self, name: &str, marker: &str, profile: &Profile) {
        assert_most(name, profile, |sample| match sample.frames.split_last() {
            Some((last, rest)) if last.function == marker => {
                let physical: Vec<&Frame> =
                    rest.iter().filter(|frame| !frame.inlined && !is_kernel(frame)).collect();
                physical.windows(2).find_map(|pair| self.flaw_of_call(pair[0], pair[1]))
            }
            _ => self.flaw(sample),
        });
    }

    /// The same for the calls up to the last function of the program's own: nothing describes the frames of the library that it
    /// is called from, and a stack that is all of the library's has only its leaf.
    ///
    /// # Panics
    ///
    /// If they are not; some of the flawed ones are shown.
    pub fn assert_all_up_to_library(&self, name: &str, is_own: impl Fn(&str) -> bool, profile: &Profile) {
        assert_most(name, profile, |sample| {
            let user = sample.frames.iter().filter(|frame| !is_kernel(frame));
            let mut own: Vec<&Frame> = user.skip_while(|frame| !is_own(&frame.function)).collect();
            own.truncate(own.iter().rposition(|frame| is_own(&frame.function)).map_or(0, |last| last + 1));
            if let Some(marker) = own.iter().find(|frame| is_marker(&frame.function)) {
                return Some(format!("it ends in {}", marker.function));
            }
            let physical: Vec<&Frame> = own.iter().filter(|frame| !frame.inlined).copied().collect();
            let names: Vec<&str> = own.iter().map(|frame| frame.function.as_str()).collect();
            physical
                .windows(2)
                .find_map(|pair| self.flaw_of_call(pair[0], pair[1]))
                .or_else(|| (self.knowledge)(&names))
        });
    }

    /// What is wrong with a stack, if anything is.
    pub fn flaw(&self, sample: &Sample) -> Option<String> {
        let user: Vec<&Frame> = sample.frames.iter().skip_while(|frame| is_kernel(frame)).collect();
        if let Some(marker) = user.iter().find(|frame| is_marker(&frame.function)) {
            // The kernel has taken the memory from a thread that is on its way out: it has no stack any more.
            if marker.function == "[stack not readable]"
                && sample.frames.iter().any(|frame| frame.function == "do_exit")
            {
                return None;
            }
            return Some(format!("it ends in {}", marker.function));
        }
        // The last function of each place is the one whose code it is.
        let physical: Vec<&Frame> = user.iter().filter(|frame| !frame.inlined).copied().collect();
        let Some(root) = physical.last() else { return Some("it has no user frames".to_owned()) };
        if let Some(flaw) = self.flaw_of_root(root) {
            return Some(flaw);
        }
        let inside =
            |name: &str| sample.frames.iter().any(|frame| is_kernel(frame) && frame.function.contains(name));
        // A signal's handler and what it has interrupted are gone on with elsewhere than behind the system call.
        let entered = inside("do_syscall_64") && !inside("sig") && !inside("exit_to_user_mode");
        if let Some(flaw) = self.flaw_of_leaf(physical[0], entered) {
            return Some(flaw);
        }
        let names: Vec<&str> = user.iter().map(|frame| frame.function.as_str()).collect();
        physical
            .windows(2)
            .find_map(|pair| self.flaw_of_call(pair[0], pair[1]))
            .or_else(|| physical.iter().find_map(|frame| self.flaw_of_name(frame)))
            .or_else(|| (self.knowledge)(&names))
    }

    /// Go's symbols of assembly say which convention it is called by.
    fn is_root(&self, function: &str) -> bool {
        self.roots.contains(&function.strip_suffix(".abi0").unwrap_or(function))
    }

    fn flaw_of_root(&self, root: &Frame) -> Option<String> {
        if self.is_root(&root.function) {
            return None;
        }
        let module = self.calls.module(&root.mapping);
        // What a context of its own was made for returns to, where there are no symbols to name it by.
        let begins = module.is_some_and(|module| {
            module.is_process_start(root.address)
                || module.is_thread_start(root.address)
                || module.is_context_end(root.address)
        });
        (!begins)
            .then(|| format!("it begins in {} of {} at {:#x}", root.function, root.mapping, root.address))
    }

    /// The kernel was asked for something by the instruction in front of where it returns to.
    fn flaw_of_leaf(&self, leaf: &Frame, entered: bool) -> Option<String> {
        let module = self.calls.module(&leaf.mapping).filter(|_| entered)?;
        let fits = [0, 1].iter().any(|behind| module.is_behind_system_call(leaf.address + behind));
        (!fits).then(|| format!("{} at {:#x} makes no system call", leaf.function, leaf.address))
    }

    /// Names that compilers have mangled are not compared.
    fn flaw_of_name(&self, frame: &Frame) -> Option<String> {
        let place = Place { file: frame.mapping.clone(), address: frame.address };
        let names = if self.named { self.calls.names(&place) } else { Vec::new() };
        let is_mangled = |name: &String| name.starts_with("_Z") || name.starts_with("_R");
        // Debug information knows nothing of the suffixes of clones.
        let base = |name: &str| name.split('.').next().map(str::to_owned);
        let fits = |name: &String| *name == frame.function || base(name) == base(&frame.function);
        let wrong = !names.is_empty() && !names.iter().any(is_mangled) && !names.iter().any(fits);
        wrong.then(|| format!("{} at {:#x} is {names:?}", frame.function, frame.address))
    }

    fn flaw_of_call(&self, callee: &Frame, caller: &Frame) -> Option<String> {
        // What a context's function returns to has not called it.
        let ends_context =
            self.calls.module(&caller.mapping).is_some_and(|module| module.is_context_end(caller.address));
        if self.is_root(&caller.function) || ends_context {
            return None;
        }
        let place = |frame: &Frame| Place { file: frame.mapping.clone(), address: frame.address };
        // Go's handler of signals makes a goroutine go on as if it had called this, wherever it was.
        if callee.function.trim_end_matches(".abi0") == "runtime.asyncPreempt" {
            return None;
        }
        match self.calls.verdict(&place(callee), &place(caller)) {
            Verdict::Possible => None,
            // What has no description, or no file: the kernel's page of functions, code made at run time.
            Verdict::Unknown => [callee, caller]
                .iter()
                .find(|frame| frame.mapping.starts_with('/') && self.calls.module(&frame.mapping).is_none())
                .map(|frame| format!("there is no {} to compare with", frame.mapping)),
            Verdict::Impossible(why) => {
                Some(format!("{} does not call {}: {why}", caller.function, callee.function))
            }
        }
    }
}

/// Fails unless 99.5 % of all stacks have no flaw.
fn assert_most(name: &str, profile: &Profile, flaw_of: impl Fn(&Sample) -> Option<String>) {
    let mut flaws: BTreeMap<String, (u64, String)> = BTreeMap::new();
    let is_ready = |sample: &Sample| !sample.has(NOT_READY);
    let ready = profile.count(is_ready);
    for sample in profile.samples.iter().filter(|sample| is_ready(sample)) {
        if let Some(flaw) = flaw_of(sample) {
            let entry = flaws.entry(flaw).or_insert_with(|| (0, shown(sample)));
            entry.0 += sample.count;
        }
    }
    let early = profile.total() - ready;
    let flawed: u64 = flaws.values().map(|(count, _)| count).sum();
    let mut worst: Vec<_> = flaws.iter().collect();
    worst.sort_by_key(|(_, (count, _))| std::cmp::Reverse(*count));
    let text: String = worst
        .iter()
        .take(SHOWN)
        .map(|(flaw, (count, stack))| format!("\n  {count} times: {flaw}\n    {stack}"))
        .collect();
    let is_late = early * profile.period > MOST_NOT_READY_NS;
    assert!(
        ready > 0 && !is_late && flawed * 200 <= ready,
        "{name}: {flawed} of {ready} stacks are not as they must be, in {} ways, and {early} more are from before the \
         tables were there:{text}",
        worst.len()
    );
}

fn is_kernel(frame: &Frame) -> bool {
    frame.mapping.starts_with("[kernel")
}

/// `[truncated]` is one, `[libc.so.6+0x27249]` is not.
pub fn is_marker(function: &str) -> bool {
    function.starts_with('[') && !function.contains('+')
}

/// The parts of a stack that tell most: its ends.
fn shown(sample: &Sample) -> String {
    let text = |frame: &Frame| format!("{}@{:x}", frame.function, frame.address);
    let frames: Vec<String> = sample.frames.iter().map(text).collect();
    match frames.len() {
        0..=24 => frames.join(" "),
        all => format!("{} … ({all} frames) … {}", frames[..12].join(" "), frames[all - 8..].join(" ")),
    }
}

/// Which of the program's own functions call which: the knowledge of programs whose call graph is written down.
pub fn flaw_of_table(
    names: &[&str],
    table: &[(&str, &[&str])],
    own: impl Fn(&str) -> Option<String>,
) -> Option<String> {
    let kinds: Vec<String> =
        names.iter().map(|name| own(name).unwrap_or_else(|| "library".to_owned())).collect();
    kinds.windows(2).find_map(|pair| {
        let (callee, caller) = (pair[0].as_str(), pair[1].as_str());
        let possible = table.iter().any(|(name, calls)| *name == caller && calls.contains(&callee));
        (!possible && (callee, caller) != ("library", "library"))
            .then(|| format!("{caller} does not call {callee}, as its source says"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_calls_refuses_what_it_does_not_have() {
        let table: [(&str, &[&str]); 2] = [("library", &["main"]), ("main", &["tg_a"])];
        let own = |name: &str| (name == "main" || name.starts_with("tg_")).then(|| name.to_owned());
        assert_eq!(flaw_of_table(&["tg_a", "main", "x", "y"], &table, own), None);
        assert!(flaw_of_table(&["tg_a", "x", "y"], &table, own).is_some());
        assert!(flaw_of_table(&["main", "tg_a", "x"], &table, own).is_some());
    }

    #[test]
    fn markers_are_told_from_functions_without_names() {
        assert!(is_marker("[truncated]") && !is_marker("[libc.so.6+0x27249]") && !is_marker("main"));
    }
}
