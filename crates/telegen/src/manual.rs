//! `telegen man`: the manual, one page a command, made from the command line's own definition.

use crate::cli::Cli;
use crate::failure::{Failure, Status};
use crate::output::{print, shown};
use clap::CommandFactory;
use clap_mangen::Man;
use std::io;
use std::path::Path;
use telegen_export::{Existing, OutputFile};

/// Writes all pages into a directory: `telegen.1`, `telegen-record.1` and so on. Pages that are there are replaced.
pub(crate) fn run(directory: &Path) -> Result<(), Failure> {
    for (name, page) in pages().map_err(|error| Failure::new(Status::Failed, error))? {
        let path = directory.join(name);
        OutputFile::prepare(&path, Existing::Replace)
            .map(OutputFile::for_all)
            .and_then(|output| output.write(|writer| writer.write_all(&page)))
            .and_then(|_| {
                print(&format!("{}\n", shown(&path.to_string_lossy())))
                    .map_err(|source| telegen_export::Error::Io { path: path.clone(), source })
            })
            .map_err(|error| Failure::new(Status::Failed, error))?;
    }
    Ok(())
}

/// File names and pages.
fn pages() -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut root = Cli::command().disable_help_subcommand(true);
    root.build();
    let mut pages = Vec::new();
    let mut pending = vec![root];
    while let Some(command) = pending.pop() {
        pending.extend(command.get_subcommands().cloned());
        let page =
            Man::new(command).source(concat!("telegen ", env!("CARGO_PKG_VERSION"))).manual("telegen manual");
        let mut text = Vec::new();
        page.render(&mut text)?;
        pages.push((page.get_filename(), text));
    }
    pages.sort();
    Ok(pages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_that_says_how_it_is_called() {
        let pages = pages().unwrap();
        let names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
        for name in ["telegen.1", "telegen-record.1", "telegen-diff.1", "telegen-config-check.1"] {
            assert!(names.contains(&name), "{names:?}");
        }
        assert!(!names.iter().any(|name| name.contains("help")));
        let (_, record) = pages.iter().find(|(name, _)| name == "telegen-record.1").unwrap();
        let record = String::from_utf8(record.clone()).unwrap();
        assert!(record.contains(".TH telegen-record 1"), "{record}");
        assert!(record.contains("\\-\\-duration"));
    }
}
