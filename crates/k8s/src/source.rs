//! A source of pods, on a thread of its own.

use crate::Error;
use crate::known::Change;
use crate::kubelet::Poller;
use crate::options::{Bell, Options, Source};
use crate::status::{Figures, Standing};
use crate::watch::Watcher;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// How often the same trouble is said at most.
const TROUBLE_INTERVAL: Duration = Duration::from_secs(60);
/// Threads that wait for names to be resolved and parse lists.
const BLOCKING_THREADS: usize = 2;

/// A source that is being asked. It ends when this is dropped.
#[derive(Debug)]
pub struct Pods {
    figures: Arc<Figures>,
    end: Arc<Notify>,
    thread: Option<JoinHandle<()>>,
}

impl Pods {
    /// Begins to ask. `tell` hears of all changes, in their order, on the source's thread. There, too, `rest` is called when a list has
    /// been read, which took much that has been freed since.
    pub fn start(
        options: Options,
        bell: Bell,
        tell: impl FnMut(Vec<Change>) + Send + 'static,
        rest: fn(),
    ) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(BLOCKING_THREADS)
            .build()?;
        let (figures, end) = (Arc::new(Figures::default()), Arc::new(Notify::new()));
        let (of_thread, ended) = (figures.clone(), end.clone());
        let thread = Builder::new().name("tg-kubernetes".into()).spawn(move || {
            let mut teller = Teller::new(Box::new(tell), rest, of_thread);
            runtime.block_on(async {
                tokio::select! {
                    () = ended.notified() => {}
                    () = ask(options, &mut teller, &bell.0) => {}
                }
            });
            // A name that is being resolved is not waited for.
            runtime.shutdown_background();
        })?;
        Ok(Self { figures, end, thread: Some(thread) })
    }

    /// How it stands, and what it has cost.
    pub fn figures(&self) -> Arc<Figures> {
        self.figures.clone()
    }
}

impl Drop for Pods {
    fn drop(&mut self) {
        self.end.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed by its thread.
            let _ = thread.join();
        }
    }
}

async fn ask(options: Options, teller: &mut Teller, asked: &Notify) {
    let Options { source, access, node, annotations } = options;
    match source {
        Source::Api => Watcher::new(access, node, &annotations).run(teller).await,
        Source::Kubelet => Poller::new(access, node, &annotations).run(teller, asked).await,
    }
}

/// Tells of what has been learnt, and of trouble.
pub(crate) struct Teller {
    tell: Box<dyn FnMut(Vec<Change>) + Send>,
    rest: fn(),
    figures: Arc<Figures>,
    standing: Standing,
    /// What was last said to be wrong, and when.
    said: Option<(String, Instant)>,
    /// It was said that pods of other nodes are sent.
    strangers_said: bool,
}

impl Teller {
    fn new(tell: Box<dyn FnMut(Vec<Change>) + Send>, rest: fn(), figures: Arc<Figures>) -> Self {
        Self { tell, rest, figures, standing: Standing::Starting, said: None, strangers_said: false }
    }

    pub(crate) fn figures(&self) -> &Arc<Figures> {
        &self.figures
    }

    pub(crate) fn tell(&mut self, changes: Vec<Change>) {
        if !changes.is_empty() {
            (self.tell)(changes);
        }
    }

    /// A list has been read, and what it took has been freed.
    pub(crate) fn rest(&self) {
        (self.rest)();
    }

    /// So many pods of other nodes were sent, and dropped; what is to be said of it, once.
    pub(crate) fn count_strangers(&mut self, strangers: u64, say: &str) {
        if strangers > 0 {
            self.figures.strangers.fetch_add(strangers, Ordering::Relaxed);
            if !std::mem::replace(&mut self.strangers_said, true) {
                tracing::warn!(strangers, "{say}");
            }
        }
    }

    /// The source stands so from now on.
    pub(crate) fn set(&mut self, standing: Standing) {
        self.figures.set(standing);
        if self.standing == standing {
            return;
        }
        let before = std::mem::replace(&mut self.standing, standing);
        if standing == Standing::InSync {
            self.said = None;
            let pods = self.figures.pods.load(Ordering::Relaxed);
            if before == Standing::Starting {
                tracing::info!(pods, "the pods of this node are known");
            } else {
                tracing::info!(pods, "the source of pods answers again");
            }
        }
        (self.tell)(vec![Change::Standing(standing)]);
    }

    /// It was asked in vain.
    pub(crate) fn failed(&mut self, error: &Error) {
        let text = error.to_string();
        self.figures.set_failure(text.clone());
        let again =
            self.said.as_ref().is_some_and(|(said, when)| *said == text && when.elapsed() < TROUBLE_INTERVAL);
        if again {
            tracing::debug!(%error, "the source of pods does not answer");
        } else {
            tracing::warn!(
                %error,
                "the source of pods does not answer: what is known stays, pods that are new are pending"
            );
            self.said = Some((text, Instant::now()));
        }
        // Who has never answered is still expected to.
        if self.standing == Standing::InSync {
            self.set(Standing::Lost);
        }
    }
}
