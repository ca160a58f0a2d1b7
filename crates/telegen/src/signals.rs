//! Signals that ask the program to end, or to read its configuration again.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Which signals have come.
#[derive(Clone, Debug)]
pub(crate) struct Signals {
    end: Arc<AtomicBool>,
    reload: Arc<AtomicBool>,
}

impl Signals {
    /// From here on SIGINT and SIGTERM ask for an orderly end. A second one ends the program at once, with the status
    /// that shells give to a program that a signal has ended.
    pub(crate) fn catch() -> io::Result<Self> {
        let signals = Self { end: Arc::default(), reload: Arc::default() };
        for signal in [SIGINT, SIGTERM] {
            // In this order: the first signal finds the flag clear and sets it, the second finds it set.
            signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, signals.end.clone())?;
            signal_hook::flag::register(signal, signals.end.clone())?;
        }
        Ok(signals)
    }

    /// From here on SIGHUP asks for the configuration to be read again.
    pub(crate) fn catch_reload(&self) -> io::Result<()> {
        signal_hook::flag::register(SIGHUP, self.reload.clone()).map(drop)
    }

    /// Whether the program has been asked to end.
    pub(crate) fn end(&self) -> bool {
        self.end.load(Ordering::Relaxed)
    }

    /// Whether the configuration is to be read again; true once for each time.
    pub(crate) fn take_reload(&self) -> bool {
        self.reload.swap(false, Ordering::Relaxed)
    }
}
