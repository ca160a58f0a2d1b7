//! The architecture check: who uses whom, where unsafe code may be, how long files are and what they are called.

mod rooms;
mod sources;

use crate::project::Project;
use crate::tally::Tally;
use anyhow::Result;

/// Checks the workspace. Each breach of a rule is a failure; what is worth a second thought is only printed.
pub(crate) fn check(project: &Project) -> Result<Tally> {
    let graph = project.metadata.graph();
    let sources = sources::inspect(&project.root, &project.metadata.packages)?;
    let mut failed = rooms::forbidden_arrows(&graph);
    failed.extend(rooms::cycle(&graph));
    failed.extend(sources.breaches);
    for note in sources.notes {
        println!("note: {note}");
    }
    for breach in &failed {
        println!("error: {breach}");
    }
    let passed = usize::from(failed.is_empty());
    Ok(Tally { passed, failed, ..Tally::default() })
}
