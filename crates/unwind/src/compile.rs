//! Call frame information into a table.

use crate::entries::{Entries, Function, Functions};
use crate::table::TableWriter;
use crate::translate::Translation;
use crate::undescribed::{Found, FunctionRows, MAX_PADDING, Undescribed};
use crate::{Arch, Error, Rule, RuleBook, Table};
use gimli::{BaseAddresses, DebugFrame, EhFrame, Reader, UnwindContext, UnwindSection, X86_64};
use std::ops::Range;

/// The sections of a binary that describe its frames, at the addresses that they are linked to stand at.
#[derive(Clone, Debug)]
pub struct Sections<R> {
    /// Where the first executable segment stands: no position of the table is below.
    pub start: u64,
    /// `.eh_frame` and where it stands.
    pub eh_frame: Option<(R, u64)>,
    /// `.debug_frame`, which is taken for functions that `.eh_frame` does not describe.
    pub debug_frame: Option<R>,
    /// Where `.text` stands.
    pub text: u64,
    /// Where `.got` stands.
    pub got: u64,
    /// Whether rules are to say where callers' `rbx` is. It takes more of them, and few binaries need it: those of
    /// [`Compiled::by_rbx`].
    pub tells_rbx: bool,
}

/// A table, and what could not be put into it.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// The table; its rules are those of `book`.
    pub table: Table,
    /// The rules.
    pub book: RuleBook,
    /// Functions that it describes.
    pub functions: u64,
    /// Entries and functions that could not be read to their end.
    pub damaged: u64,
    /// Rows that are beyond what a rule can say.
    pub unsupported: u64,
    /// Rows by which a frame is found by `rbx`.
    pub by_rbx: u64,
    /// What else was found of code that it does not describe.
    pub found: Found,
}

/// Where code is that the sections may not describe, and what knows its frames.
#[derive(Default)]
pub struct Elsewhere<'a> {
    /// Executable code, ascending and apart, as linked.
    pub code: Vec<Range<u64>>,
    /// Asked in this order, each for what is left by the ones before.
    pub sources: Vec<Box<dyn Undescribed + 'a>>,
}

impl std::fmt::Debug for Elsewhere<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Elsewhere").field("code", &self.code).finish_non_exhaustive()
    }
}

/// Rows that all sources together may add to a table: what the largest table holds, so that those of the sections find room.
const MAX_FOUND_ROWS: u64 = 4 << 20;

/// Rows of one function that are looked at: a hundred times as many as the longest ones have.
const MAX_ROWS: usize = 1 << 20;

/// Makes the table of a binary from its sections alone.
///
/// # Errors
///
/// If a section makes no sense from its first entry on, or the binary is beyond the limits of a table. A binary without
/// either section has an empty table.
pub fn compile<R>(arch: Arch, sections: Sections<R>) -> Result<Compiled, Error>
where
    R: Reader,
    R::Offset: std::hash::Hash,
{
    compile_with(arch, sections, Elsewhere::default())
}

/// Makes the table of a binary, and asks for what the sections do not describe: the code before their first function, between two
/// that are farther apart than padding is long, and behind the last.
///
/// # Errors
///
/// As [`compile`].
pub fn compile_with<R>(
    arch: Arch,
    sections: Sections<R>,
    mut elsewhere: Elsewhere<'_>,
) -> Result<Compiled, Error>
where
    R: Reader,
    R::Offset: std::hash::Hash,
{
    let bases = BaseAddresses::default().set_text(sections.text).set_got(sections.got);
    let mut eh_frame = sections.eh_frame.map(|(bytes, address)| {
        let mut section = EhFrame::from(bytes);
        section.set_address_size(arch.address_bytes());
        section.set_vendor(arch.vendor());
        Entries::new(section, bases.clone().set_eh_frame(address))
    });
    let mut debug_frame = sections.debug_frame.map(|bytes| {
        let mut section = DebugFrame::from(bytes);
        section.set_address_size(arch.address_bytes());
        section.set_vendor(arch.vendor());
        Entries::new(section, bases)
    });
    let first = functions(eh_frame.as_mut())?;
    let second = functions(debug_frame.as_mut())?;
    let mut compiler = Compiler {
        arch,
        tells_rbx: sections.tells_rbx,
        writer: TableWriter::new(lowest(&first.list, &second.list).min(sections.start)),
        context: UnwindContext::new(),
        end: None,
        rows: Vec::new(),
        result: Compiled {
            table: Table::default(),
            book: RuleBook::new(RuleBook::MAX_RULES),
            functions: 0,
            damaged: first.damaged + second.damaged,
            unsupported: 0,
            by_rbx: 0,
            found: Found::default(),
        },
    };
    for source in merge(&first.list, &second.list) {
        let (Source::EhFrame(next) | Source::DebugFrame(next)) = &source;
        compiler.fill_up_to(next.start, &mut elsewhere)?;
        match (source, &mut eh_frame, &mut debug_frame) {
            (Source::EhFrame(function), Some(entries), _) => compiler.function(entries, function)?,
            (Source::DebugFrame(function), _, Some(entries)) => compiler.function(entries, function)?,
            _ => {}
        }
    }
    compiler.fill_up_to(u64::MAX, &mut elsewhere)?;
    compiler.finish()
}

fn functions<S: UnwindSection<R>, R: Reader>(
    entries: Option<&mut Entries<S, R>>,
) -> Result<Functions<R::Offset>, Error>
where
    R::Offset: std::hash::Hash,
{
    entries.map_or(Ok(Functions::none()), Entries::functions)
}

/// Whether a rule says nothing of where the caller is.
fn is_blank(rule: Rule) -> bool {
    matches!(rule, Rule::Unknown | Rule::Unsupported)
}

fn lowest<O>(first: &[Function<O>], second: &[Function<O>]) -> u64 {
    let starts = first.first().into_iter().chain(second.first()).map(|function| function.start);
    starts.min().unwrap_or(0)
}

enum Source<'a, O> {
    EhFrame(&'a Function<O>),
    DebugFrame(&'a Function<O>),
}

/// All functions by address; those of the second list only where the first has none.
fn merge<'a, O>(first: &'a [Function<O>], second: &'a [Function<O>]) -> impl Iterator<Item = Source<'a, O>> {
    let mut first = first.iter().peekable();
    let mut second = second.iter().peekable();
    let mut end = 0;
    std::iter::from_fn(move || {
        loop {
            let next = first.peek().map_or(u64::MAX, |function| function.start);
            match second.peek() {
                Some(function) if function.start < end => _ = second.next(),
                Some(function) if function.start < next && function.end <= next => {
                    return second.next().map(Source::DebugFrame);
                }
                Some(function) if function.start < next => _ = second.next(),
                _ => {
                    let function = first.next()?;
                    end = function.end;
                    return Some(Source::EhFrame(function));
                }
            }
        }
    })
}

struct Compiler<R: Reader> {
    arch: Arch,
    tells_rbx: bool,
    writer: TableWriter,
    context: UnwindContext<R::Offset>,
    /// Where the function before ends.
    end: Option<u64>,
    /// Room for the rows of a function.
    rows: Vec<(u64, Rule)>,
    result: Compiled,
}

impl<R: Reader> Compiler<R>
where
    R::Offset: std::hash::Hash,
{
    fn function<S: UnwindSection<R>>(
        &mut self,
        entries: &mut Entries<S, R>,
        function: &Function<R::Offset>,
    ) -> Result<(), Error> {
        let mut rows = std::mem::take(&mut self.rows);
        if !self.read_rows(entries, function, &mut rows) {
            self.result.damaged += 1;
        }
        self.place(&FunctionRows { start: function.start, end: function.end, rows: &rows })?;
        self.result.functions += 1;
        rows.clear();
        self.rows = rows;
        Ok(())
    }

    /// Asks for what lies between the function before and an address.
    fn fill_up_to(&mut self, next: u64, elsewhere: &mut Elsewhere<'_>) -> Result<(), Error> {
        let end = self.end.unwrap_or(0);
        let from = elsewhere.code.partition_point(|code| code.end <= end);
        for nth in from..elsewhere.code.len() {
            let code = &elsewhere.code[nth];
            let gap = code.start.max(end)..code.end.min(next);
            if code.start >= next {
                break;
            }
            if gap.end.saturating_sub(gap.start) > MAX_PADDING {
                self.result.found.undescribed_bytes += gap.end - gap.start;
                self.fill(gap, &mut elsewhere.sources)?;
            }
        }
        Ok(())
    }

    fn fill(&mut self, gap: Range<u64>, sources: &mut [Box<dyn Undescribed + '_>]) -> Result<(), Error> {
        let Some((source, others)) = sources.split_first_mut() else { return Ok(()) };
        let mut left = gap.clone();
        let mut outcome = Ok(());
        source.functions(gap, &mut |function| {
            let too_many = self.result.found.rows + function.rows.len() as u64 > MAX_FOUND_ROWS;
            if outcome.is_err() || too_many || !function.fits(&left) {
                self.result.found.refused += u64::from(outcome.is_ok());
                return;
            }
            outcome = self.fill_rest(left.start..function.start, others).and_then(|()| self.take(&function));
            left.start = function.end;
        });
        outcome.and_then(|()| self.fill_rest(left, others))
    }

    fn fill_rest(&mut self, left: Range<u64>, others: &mut [Box<dyn Undescribed + '_>]) -> Result<(), Error> {
        if left.end.saturating_sub(left.start) <= MAX_PADDING {
            return Ok(());
        }
        self.fill(left, others)
    }

    /// Takes a function of a source.
    fn take(&mut self, function: &FunctionRows<'_>) -> Result<(), Error> {
        let found = &mut self.result.found;
        found.functions += 1;
        found.rows += function.rows.len() as u64;
        let ends = function.rows.iter().skip(1).map(|row| row.0).chain([function.end]);
        let known = function.rows.iter().zip(ends).filter(|(row, _)| !is_blank(row.1));
        found.known_bytes += known.map(|(row, end)| end - row.0).sum::<u64>();
        self.place(function)
    }

    /// Puts a function behind the one before.
    fn place(&mut self, function: &FunctionRows<'_>) -> Result<(), Error> {
        let rows = function.rows;
        if let Some(end) = self.end {
            let padding = function.start.saturating_sub(end);
            // What is made to look as if it had been called is a function of one rule: the byte before it tells. Other gaps
            // may be code, such as what follows the system call in `clone`.
            let stands_alone = rows.windows(2).all(|pair| pair[0].1 == pair[1].1);
            if padding > MAX_PADDING {
                self.put(end, Rule::Unknown)?;
            } else if padding > 0 && stands_alone {
                self.put(function.start - 1, Rule::Unknown)?;
            }
        }
        self.end = Some(function.end);
        if rows.first().is_none_or(|(address, _)| *address > function.start) {
            self.put(function.start, Rule::Unknown)?;
        }
        rows.iter().try_for_each(|&(address, rule)| self.put(address, rule))
    }

    /// The rows of a function; false if they do not make sense to the end.
    fn read_rows<S: UnwindSection<R>>(
        &mut self,
        entries: &mut Entries<S, R>,
        function: &Function<R::Offset>,
        found: &mut Vec<(u64, Rule)>,
    ) -> bool {
        let mut done = function.start;
        let outcome = (|| {
            let entry = entries.entry(function).ok()?;
            let translation = Translation {
                arch: self.arch,
                section: &entries.section,
                encoding: entry.cie().encoding(),
                signal_trampoline: entry.is_signal_trampoline(),
                tells_rbx: self.tells_rbx,
            };
            let mut context = std::mem::take(&mut self.context);
            let mut rows = entry.rows(&entries.section, &entries.bases, &mut context).ok()?;
            while let Some(row) = rows.next_row().ok()? {
                // OCaml says of each function what holds behind its end, too.
                if row.start_address() >= function.end {
                    break;
                }
                // An entry that goes back would break the order of the table.
                if row.start_address() < done || found.len() == MAX_ROWS {
                    return None;
                }
                done = row.start_address();
                let rule = translation.rule::<R>(row);
                self.result.unsupported += u64::from(rule == Rule::Unsupported);
                self.result.by_rbx += u64::from(self.arch == Arch::X86_64 && rule.is_by(X86_64::RBX));
                found.push((done, rule));
            }
            self.context = context;
            Some(())
        })();
        if outcome.is_none() {
            found.push((done, Rule::Unsupported));
        }
        outcome.is_some()
    }

    fn put(&mut self, address: u64, rule: Rule) -> Result<(), Error> {
        let number = self.result.book.number(rule);
        self.writer.push(address, number)
    }

    fn finish(mut self) -> Result<Compiled, Error> {
        if let Some(end) = self.end {
            self.put(end, Rule::Unknown)?;
        }
        self.result.table = self.writer.finish()?;
        Ok(self.result)
    }
}
