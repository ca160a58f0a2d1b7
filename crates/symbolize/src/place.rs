//! Places in files, and the functions there.

use crate::Segment;
use telegen_model::FileOffset;

/// A function at a place in its source.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SourceFrame {
    /// Its name, demangled.
    pub name: Box<str>,
    /// Its name in the symbol table, or without one the name in the debug information.
    pub system_name: Box<str>,
    /// Its source file, empty if not known.
    pub file: Box<str>,
    /// The line that was being run, 0 if not known.
    pub line: u32,
    /// The line at which the function begins, 0 if not known.
    pub start_line: u32,
}

impl SourceFrame {
    /// A function of which no more than a name is known.
    pub fn named(name: &str) -> Self {
        Self { name: name.into(), system_name: name.into(), ..Self::default() }
    }
}

/// A place in a file.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Place {
    /// The address at which it is linked to stand; its offset in the file if that is not known.
    pub address: u64,
    /// The segment it is in, if known.
    pub segment: Option<Segment>,
    /// The functions there, innermost first; never empty for what [`Symbolizer::symbolize`] returns.
    ///
    /// [`Symbolizer::symbolize`]: crate::Symbolizer::symbolize
    pub frames: Vec<SourceFrame>,
}

impl Place {
    /// Where there is no symbol the place itself is the name: `[module+0xoffset]`, never a bare number.
    pub(crate) fn name_nameless(&mut self, module: &str, offset: FileOffset) {
        if self.frames.is_empty() {
            self.frames.push(SourceFrame::default());
        }
        for frame in self.frames.iter_mut().filter(|frame| frame.name.is_empty()) {
            frame.name = format!("[{module}+{:#x}]", offset.0).into();
            frame.system_name = frame.name.clone();
        }
    }
}
