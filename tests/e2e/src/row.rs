//! A row of the matrix of native programs: what is built how, and what is known of its stacks.

use crate::possible_calls::PossibleCalls;
use crate::whole_stacks::{Knowledge, WholeStacks};
use crate::{Observation, Profile, Scratch, Subject, build_with};
use anyhow::Result;
use std::path::{Path, PathBuf};

/// A program to build, run and record.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    /// What it is called, among the others that are recorded with it.
    pub name: &'a str,
    /// The compiler and its options.
    pub compiler: &'a [&'a str],
    /// The source, in `workloads/`.
    pub source: &'a str,
    /// What the program is started with.
    pub arguments: &'a [&'a str],
    /// What the program itself knows of its stacks.
    pub knowledge: Knowledge<'a>,
    /// Functions that stacks may begin in besides the kernel's entries.
    pub roots: &'a [&'a str],
    /// Functions each of which must be on more than one stack of a hundred: they were come by.
    pub places: &'a [&'a str],
}

impl Row<'_> {
    /// The program, built.
    ///
    /// # Errors
    ///
    /// If there is no such compiler or it fails.
    pub fn built(&self) -> Result<PathBuf> {
        build_with(&format!("row-{}", self.name), self.compiler, self.source)
    }

    /// What its stacks are held against, once its process runs a file.
    pub fn expectation(&self) -> WholeStacks<'_> {
        WholeStacks::new(PossibleCalls::new(Path::new("/")), self.knowledge).beginning_in(self.roots)
    }

    /// Fails unless it was everywhere that it goes to.
    ///
    /// # Panics
    ///
    /// If some of it is missing.
    pub fn assert_places(&self, profile: &Profile) {
        for place in self.places {
            let there =
                profile.count(|sample| sample.frames.iter().any(|frame| frame.function.contains(place)));
            assert!(
                there * 100 > profile.total(),
                "{}: {there} of {} stacks come by {place}: {:?}",
                self.name,
                profile.total(),
                profile.functions()
            );
        }
    }
}

/// Records rows at the same time: their samples must be as many as their CPU time is worth, and their stacks whole.
///
/// # Errors
///
/// If one cannot be built, run or recorded.
pub fn assert_rows(rows: &[Row<'_>], hz: u32, length: &str) -> Result<()> {
    let scratch = Scratch::new()?;
    let subjects = rows
        .iter()
        .map(|row| Subject::start(&scratch, &row.built()?, &format!("tg-{}", row.name), row.arguments))
        .collect::<Result<Vec<Subject>>>()?;
    let seen = Observation::of_all(&scratch, &subjects, hz, length)?;
    Observation::assert_counts(&seen);
    for (row, seen) in rows.iter().zip(&seen) {
        row.expectation().assert_all(row.name, &seen.profile);
        row.assert_places(&seen.profile);
    }
    Ok(())
}
