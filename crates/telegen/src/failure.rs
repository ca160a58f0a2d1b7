//! How a command ends when it does not end well.

use std::fmt;

/// The promised exit statuses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Status {
    /// Something failed, a write among it.
    Failed = 1,
    /// The command line or the configuration is wrong.
    Usage = 2,
    /// No process matches.
    NothingMatched = 3,
    /// A permission or a kernel feature is missing.
    NotPermitted = 4,
}

/// Why a command ends, and with which status.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: Status,
    error: anyhow::Error,
}

impl Failure {
    pub(crate) fn new(status: Status, error: impl Into<anyhow::Error>) -> Self {
        Self { status, error: error.into() }
    }

    /// With a message of its own.
    pub(crate) fn message(
        status: Status,
        message: impl fmt::Display + fmt::Debug + Send + Sync + 'static,
    ) -> Self {
        Self { status, error: anyhow::Error::msg(message) }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The errors of the libraries name their causes themselves.
        write!(f, "{}", self.error)?;
        if self.status == Status::NotPermitted {
            write!(f, "\n`telegen doctor` shows what is missing and what it costs")?;
        }
        Ok(())
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        let environment =
            error.downcast_ref::<telegen_bpf::Error>().is_some_and(telegen_bpf::Error::is_environment);
        let status = if environment { Status::NotPermitted } else { Status::Failed };
        Self { status, error }
    }
}

impl From<telegen_bpf::Error> for Failure {
    fn from(error: telegen_bpf::Error) -> Self {
        anyhow::Error::new(error).into()
    }
}

impl From<crate::engine::Stopped> for Failure {
    fn from(stopped: crate::engine::Stopped) -> Self {
        Self::new(Status::Failed, stopped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use telegen_bpf::{Capability, Error};

    #[test]
    fn what_the_machine_lacks_is_not_a_failure_of_the_program() {
        let failure = Failure::from(Error::NotPermitted { missing: vec![Capability::Bpf] });
        assert_eq!(failure.status, Status::NotPermitted);
        let text = failure.to_string();
        assert!(text.contains("CAP_BPF") && text.contains("telegen doctor"), "{text}");
    }

    #[test]
    fn all_else_is() {
        assert_eq!(Failure::from(anyhow::anyhow!("disk")).status, Status::Failed);
    }
}
