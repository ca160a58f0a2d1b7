//! The watch on the pods of a node, and what keeps it going.

use crate::Error;
use crate::access::Access;
use crate::api::{list, manager, of_node};
use crate::backoff::{Backoff, random};
use crate::object::WatchEvent;
use crate::read::{JSON, Lines, ask};
use crate::source::Teller;
use crate::status::{Figures, Standing};
use crate::store::{Owners, PodStore};
use futures_util::{StreamExt, stream};
use kube_client::Client;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

const WATCHING: &str = "watching the pods of the node";
/// The server ends a watch after this, up to half as long again: a connection that is dead is not held for long.
const WATCH_SECONDS: u64 = 240;
/// Servers send a bookmark each minute or so where nothing happens.
const QUIET: Duration = Duration::from_secs(150);
/// Owners that are asked for at a time, each over a connection whose buffers take their place.
const OWNERS_AT_A_TIME: usize = 2;
/// After so many refusals in a row the version that the watch goes on from is doubted.
const DOUBT: u32 = 3;
/// A watch that has lasted so long was a good one.
const GOOD: Duration = Duration::from_secs(5);

/// Keeps what is known of the pods of a node as it is, for good.
pub(crate) struct Watcher {
    access: Access,
    node: String,
    client: Option<Client>,
    store: PodStore,
    /// What the watch goes on from; `None`: all is to be listed.
    version: Option<Box<str>>,
    refusals: u32,
}

impl Watcher {
    pub(crate) fn new(access: Access, node: String, annotations: &[&str]) -> Self {
        let store = PodStore::new(&node, annotations, Owners::Asked);
        Self { access, node, client: None, store, version: None, refusals: 0 }
    }

    pub(crate) async fn run(mut self, teller: &mut Teller) {
        let mut backoff = Backoff::new();
        loop {
            let begun = Instant::now();
            let outcome = self.follow(teller).await;
            if begun.elapsed() >= GOOD {
                backoff.reset();
            }
            match outcome {
                // It is usual for a watch to end. One that ends at once is not to be begun anew at once.
                Ok(()) if begun.elapsed() >= GOOD => {}
                Ok(()) => sleep(backoff.next(None)).await,
                Err(Error::Expired) => {
                    tracing::debug!("the server has no history left to go on from: listing the pods again");
                    self.version = None;
                    sleep(Duration::from_secs(1).mul_f64(random())).await;
                }
                Err(error) => {
                    // Tokens and certificates may have been replaced.
                    self.client = None;
                    self.doubt(&error);
                    teller.failed(&error);
                    sleep(backoff.next(error.retry_after())).await;
                }
            }
        }
    }

    /// A server that was restored from a copy may never come to the version that is asked for.
    fn doubt(&mut self, error: &Error) {
        self.refusals = if matches!(error, Error::Refused { .. }) { self.refusals + 1 } else { 0 };
        if self.refusals >= DOUBT {
            self.version = None;
        }
    }

    /// Lists if need be, and watches until that ends.
    async fn follow(&mut self, teller: &mut Teller) -> Result<(), Error> {
        let client = match &self.client {
            Some(client) => client.clone(),
            None => self.client.insert(self.access.client().await?).clone(),
        };
        if self.version.is_none() {
            let (pods, version) = list(&client, &self.node, teller.figures()).await?;
            let mut changes = Vec::new();
            self.store.replace(pods, &mut changes);
            teller.tell(changes);
            self.version = Some(version);
        }
        self.resolve(&client, teller).await?;
        self.watch(&client, teller).await
    }

    async fn watch(&mut self, client: &Client, teller: &mut Teller) -> Result<(), Error> {
        let version = self.version.clone().unwrap_or_default();
        let seconds = WATCH_SECONDS + (random() * WATCH_SECONDS as f64 / 2.0) as u64;
        let path = format!(
            "/api/v1/pods?watch=1&{}&resourceVersion={version}&allowWatchBookmarks=true&timeoutSeconds={seconds}",
            of_node(&self.node)
        );
        Figures::count(&teller.figures().watches);
        let answer = ask(client, WATCHING, &path, JSON).await?;
        self.refusals = 0;
        self.note_size(teller);
        teller.set(Standing::InSync);
        let mut lines = Lines::new(WATCHING, answer);
        loop {
            let line = timeout(QUIET, lines.next(teller.figures())).await;
            let line = line.map_err(|_| Error::TimedOut { what: WATCHING, after: QUIET })??;
            let Some(line) = line else { return Ok(()) };
            Figures::count(&teller.figures().events);
            let event = serde_json::from_slice(&line)
                .map_err(|error| Error::BadAnswer { what: WATCHING, reason: error.to_string() })?;
            self.take(event, teller)?;
            self.resolve(client, teller).await?;
        }
    }

    fn take(&mut self, event: WatchEvent, teller: &mut Teller) -> Result<(), Error> {
        let mut changes = Vec::new();
        let version = match event {
            WatchEvent::Added(pod) | WatchEvent::Modified(pod) => {
                let version = pod.metadata.resource_version.clone();
                self.store.put(*pod, &mut changes);
                version
            }
            WatchEvent::Deleted(pod) => {
                self.store.delete(&pod, &mut changes);
                pod.metadata.resource_version
            }
            WatchEvent::Bookmark(mark) => mark.metadata.resource_version,
            WatchEvent::Error(status) if status.code == 410 => return Err(Error::Expired),
            WatchEvent::Error(status) => {
                return Err(Error::Refused {
                    what: WATCHING,
                    status: status.code,
                    message: format!("{} ({})", status.message, status.reason),
                    retry_after: None,
                });
            }
        };
        if !version.is_empty() {
            self.version = Some(version);
        }
        self.note_size(teller);
        teller.tell(changes);
        Ok(())
    }

    /// Asks for the owners that pods wait for.
    async fn resolve(&mut self, client: &Client, teller: &mut Teller) -> Result<(), Error> {
        let wanted = self.store.take_wanted();
        if wanted.is_empty() {
            return Ok(());
        }
        let figures = teller.figures().clone();
        let mut answers = stream::iter(wanted)
            .map(|wanted| {
                let figures = &figures;
                async move {
                    let manager = manager(client, &wanted, figures).await;
                    (wanted, manager)
                }
            })
            .buffer_unordered(OWNERS_AT_A_TIME);
        let mut failed = None;
        while let Some((wanted, answer)) = answers.next().await {
            match answer {
                Ok(manager) => {
                    let mut changes = Vec::new();
                    self.store.resolve(wanted, manager, &mut changes);
                    teller.tell(changes);
                }
                Err(error) => {
                    self.store.postpone(wanted);
                    failed = Some(error);
                }
            }
        }
        failed.map_or(Ok(()), Err)
    }

    fn note_size(&self, teller: &Teller) {
        let figures = teller.figures();
        figures.pods.store(self.store.len() as u64, Ordering::Relaxed);
        figures.refused.store(self.store.refused(), Ordering::Relaxed);
    }
}
