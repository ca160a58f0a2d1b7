//! The selection, for whoever asks while the profiler runs.

use super::lifecycle::Command;
use super::waker::Sender;
use super::watchers::{Changes, client};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use telegen_select::{SelectedProcess, Selection};
use tokio::sync::oneshot;

/// The selection of a running profiler, read and never made: nothing is looked at for whoever asks.
#[derive(Clone)]
pub(crate) struct SelectionReader {
    selection: Selection,
    kernel_threads: Arc<AtomicUsize>,
    commands: Sender<Command>,
}

/// The thread that owns the selection has more to do than it can take, or has stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Unanswered;

impl SelectionReader {
    pub(super) fn new(
        selection: Selection,
        kernel_threads: Arc<AtomicUsize>,
        commands: Sender<Command>,
    ) -> Self {
        Self { selection, kernel_threads, commands }
    }

    /// All processes, kernel threads apart, in the order of their pids.
    pub(crate) fn processes(&self) -> Vec<SelectedProcess> {
        self.selection.all_processes()
    }

    /// How many kernel threads there are, which are never profiled, and of which nothing else is known.
    pub(crate) fn kernel_threads(&self) -> usize {
        self.kernel_threads.load(Ordering::Relaxed)
    }

    /// The processes that there are now, and every change from now on. Takes the reader along, so that nobody who watches
    /// keeps the engine from stopping.
    pub(crate) async fn watch(self) -> Result<(Vec<SelectedProcess>, Changes), Unanswered> {
        let (outlet, changes) = client();
        let (answer, answered) = oneshot::channel();
        if !self.commands.offer(Command::Watch(outlet, answer)) {
            return Err(Unanswered);
        }
        drop(self);
        Ok((answered.await.map_err(|_| Unanswered)?, changes))
    }
}

/// A reader of a selection that nobody owns any more.
#[cfg(test)]
pub(crate) fn test_reader(selection: Selection) -> SelectionReader {
    let (commands, _) = super::waker::channel(1).unwrap();
    SelectionReader::new(selection, Arc::default(), commands)
}
