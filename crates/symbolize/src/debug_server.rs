//! Debug files that are not on this machine.

use std::fmt::Debug;
use std::fs::File;
use telegen_model::BuildId;

/// Somebody who may have debug files that are not on this machine, such as a debuginfod server.
pub trait DebugServer: Debug + Send + Sync {
    /// Asks for the debug file of a build, without waiting: `None` as long as it is not there. It is asked again with each
    /// profile that needs it, and knows by itself when to give up.
    fn ask(&self, id: &BuildId) -> Option<File>;
}
