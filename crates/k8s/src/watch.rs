//! The watch on the pods of a node, and what keeps it going.

use crate::Error;
use crate::access::Access;
use crate::api::{list, manager, of_node};
use crate::backoff::{Backoff, random};
use crate::object::WatchEvent;
use crate::owners::{Answer, Wanted};
use crate::read::{JSON, Lines, ask};
use crate::source::Teller;
use crate::status::{Figures, Standing};
use crate::store::{Owners, PodStore};
use futures_util::{StreamExt, stream};
use kube_client::Client;
use std::collections::BTreeSet;
use std::mem;
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
/// Owners that may not be asked for are tried again when a watch begins, but no sooner than this, …
const TRY_AGAIN: Duration = Duration::from_secs(20);
/// … and so many at most.
const TRIED: usize = 16;
/// What is said of pods that are of other nodes.
const STRANGERS: &str = "the API server, or what stands before it, does not select by spec.nodeName: it sends the pods of all nodes, of \
                         which those of this one are kept";

/// Keeps what is known of the pods of a node as it is, for good.
pub(crate) struct Watcher {
    access: Access,
    client: Option<Client>,
    store: PodStore,
    /// What the watch goes on from; `None`: all is to be listed.
    version: Option<Box<str>>,
    refusals: u32,
    /// A list was read since the last watch.
    listed: bool,
    /// Kinds of owners that may not be asked for, which was said.
    withheld: BTreeSet<&'static str>,
    /// Since when they were not tried.
    tried: Instant,
}

impl Watcher {
    pub(crate) fn new(access: Access, node: String, annotations: &[&str]) -> Self {
        let store = PodStore::new(&node, annotations, Owners::Asked);
        let (withheld, tried) = (BTreeSet::new(), Instant::now());
        Self { access, client: None, store, version: None, refusals: 0, listed: false, withheld, tried }
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
        let mut client = self.client().await?;
        if self.version.is_none() {
            let list = list(&client, &self.store.kept(), teller.figures()).await?;
            teller.count_strangers(list.strangers, STRANGERS);
            let mut changes = Vec::new();
            self.store.replace(list.pods, &mut changes);
            teller.tell(changes);
            self.version = Some(list.metadata.resource_version);
            self.listed = true;
        }
        self.try_withheld(&client, teller).await?;
        self.resolve(&client, teller).await?;
        if self.listed {
            // A connection keeps the room that an answer needed. One of its own costs the watch a handshake.
            self.client = None;
            client = self.client().await?;
        }
        self.watch(&client, teller).await
    }

    async fn client(&mut self) -> Result<Client, Error> {
        Ok(match &self.client {
            Some(client) => client.clone(),
            None => self.client.insert(self.access.client().await?).clone(),
        })
    }

    async fn watch(&mut self, client: &Client, teller: &mut Teller) -> Result<(), Error> {
        let version = self.version.clone().unwrap_or_default();
        let seconds = WATCH_SECONDS + (random() * WATCH_SECONDS as f64 / 2.0) as u64;
        let path = format!(
            "/api/v1/pods?watch=1&{}&resourceVersion={version}&allowWatchBookmarks=true&timeoutSeconds={seconds}",
            of_node(self.store.kept().node())
        );
        Figures::count(&teller.figures().watches);
        let answer = ask(client, WATCHING, &path, JSON).await?;
        self.refusals = 0;
        self.note_size(teller);
        teller.set(Standing::InSync);
        if mem::take(&mut self.listed) {
            teller.rest();
        }
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
                teller.count_strangers(u64::from(!self.store.kept().is_ours(&pod)), STRANGERS);
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
        self.ask_for(wanted, client, teller).await
    }

    /// Tries whether owners that might not be asked for may be by now.
    async fn try_withheld(&mut self, client: &Client, teller: &mut Teller) -> Result<(), Error> {
        if self.tried.elapsed() < TRY_AGAIN {
            return Ok(());
        }
        self.tried = Instant::now();
        let tried = self.store.withheld(TRIED);
        self.ask_for(tried, client, teller).await
    }

    async fn ask_for(
        &mut self,
        owners: Vec<Wanted>,
        client: &Client,
        teller: &mut Teller,
    ) -> Result<(), Error> {
        if owners.is_empty() {
            return Ok(());
        }
        let figures = teller.figures().clone();
        let mut answers = stream::iter(owners)
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
            let resource = wanted.resource();
            let answer = match answer {
                Ok(answer) => answer,
                Err(error @ Error::Refused { status: 403, .. }) => {
                    self.say_withheld(resource, &error);
                    Answer::Withheld
                }
                Err(error) => {
                    self.store.postpone(wanted);
                    failed = Some(error);
                    continue;
                }
            };
            let mut changes = Vec::new();
            if self.store.resolve(wanted, answer, &mut changes) && self.withheld.remove(resource) {
                tracing::info!(
                    "{resource} may be asked for now: workloads of pods are shown as what these are of"
                );
            }
            teller.tell(changes);
        }
        failed.map_or(Ok(()), Err)
    }

    fn say_withheld(&mut self, resource: &'static str, error: &Error) {
        if self.withheld.insert(resource) {
            tracing::warn!(
                %error,
                "workloads of pods are shown as {resource}, and rules on what is above these do not match, until they may be asked for"
            );
        } else {
            tracing::debug!(%error, "an owner may not be asked for");
        }
        self.tried = Instant::now();
    }

    fn note_size(&self, teller: &Teller) {
        let figures = teller.figures();
        figures.pods.store(self.store.len() as u64, Ordering::Relaxed);
        figures.refused.store(self.store.refused(), Ordering::Relaxed);
    }
}
