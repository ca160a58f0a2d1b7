//! Whether a file that lies where others may write is a process's own.

use crate::mapped_file::Found;
use crate::{Error, Status};
use std::path::Path;

/// Refuses a file that has another name, under which it may be anybody's, and one that belongs neither to the process's
/// effective user nor to root.
pub(crate) fn check(path: &Path, found: &Found, status: &Status) -> Result<(), Error> {
    let refused = |reason| Err(Error::Untrusted { path: path.into(), reason });
    if found.links > 1 {
        return refused("it has several names");
    }
    if found.owner != 0 && found.owner != status.effective_uid {
        return refused("it belongs to another user than the process");
    }
    Ok(())
}
