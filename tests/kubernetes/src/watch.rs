//! Watches: changes as lines, with the selector's view of them.

use crate::body::{Cut, Pieces};
use crate::fault::Interruption;
use crate::object::{Form, Initial, Object, write_bookmark};
use crate::request::{ListOptions, Target, WatchList};
use crate::resource::Resource;
use crate::selector::Selector;
use crate::status::Status;
use crate::store::{Change, Store, Subscription};
use hyper::body::Bytes;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::time::Instant;

/// What a watch sends and from where.
pub(crate) struct Watch {
    resource: Arc<Resource>,
    namespace: Option<String>,
    selector: Selector,
    form: Form,
    /// Sent before all else.
    first: VecDeque<String>,
    /// None if there is an error to tell and nothing more.
    changes: Option<broadcast::Receiver<Arc<Change>>>,
    /// Changes up to this version are known to the client.
    from: u64,
    bookmarks: bool,
}

/// How long watches last and how often they say where they are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    pub(crate) timeout: Duration,
    pub(crate) bookmark_interval: Duration,
}

impl Watch {
    pub(crate) fn open(
        store: &Store,
        resource: &Arc<Resource>,
        target: &Target,
        options: &ListOptions,
        watch_list: WatchList,
        form: Form,
    ) -> Result<Self, Status> {
        let selector = Selector::parse(resource, &options.field_selector, &options.label_selector)?;
        let version = options.version()?;
        let mut watch = Self {
            resource: Arc::clone(resource),
            namespace: target.namespace.clone(),
            selector,
            form,
            first: VecDeque::new(),
            changes: None,
            from: 0,
            bookmarks: options.allow_bookmarks,
        };
        if options.send_initial_events.is_some() && watch_list == WatchList::Unsupported {
            let why = "a watch stream was requested by the client but the required storage feature \
                       RequestWatchProgress is disabled";
            watch.first.push_back(error_line(&Status::internal_error(why)));
            return Ok(watch);
        }
        let initial = options.send_initial_events.unwrap_or(version.unwrap_or_default() == 0);
        match version {
            Some(version) if version > 0 && !initial => watch.resume(store, version),
            _ => watch.begin(store, options, initial),
        }
        Ok(watch)
    }

    /// Goes on after a version, or says that it is too old.
    fn resume(&mut self, store: &Store, version: u64) {
        match store.watch(version) {
            Ok(Subscription { since, next }) => {
                self.from = version;
                self.first = since.iter().filter_map(|change| self.line(change)).collect();
                self.changes = Some(next);
            }
            Err(oldest) => {
                let why = format!("too old resource version: {version} ({oldest})");
                self.first.push_back(error_line(&Status::expired(why)));
            }
        }
    }

    /// Begins with what there is, or only from now on.
    fn begin(&mut self, store: &Store, options: &ListOptions, initial: bool) {
        let snapshot = store.now(&self.resource);
        self.from = snapshot.revision;
        if initial {
            let there = snapshot.objects.values().filter(|object| self.sees(object));
            self.first = there.map(|object| event_line("ADDED", object, self.form)).collect();
            if options.send_initial_events == Some(true) && self.bookmarks {
                self.first.push_back(self.bookmark(snapshot.revision, Initial::Ended));
            }
        }
        self.changes = store.watch(self.from).ok().map(|subscription| subscription.next);
    }

    /// Sends lines until the time is up, the client is gone, or the test ends it.
    pub(crate) async fn run(
        mut self,
        timing: Timing,
        pieces: Pieces,
        mut interruptions: broadcast::Receiver<Interruption>,
        revision: impl Fn() -> u64,
    ) {
        let deadline = Instant::now() + timing.timeout;
        while let Some(line) = self.first.pop_front() {
            if pieces.send(Ok(Bytes::from(line))).await.is_err() {
                return;
            }
        }
        let Some(mut changes) = self.changes.take() else { return };
        let mut bookmark = next_bookmark(timing.bookmark_interval, deadline);
        loop {
            let line = tokio::select! {
                biased;
                () = pieces.closed() => return,
                how = interruptions.recv() => {
                    let Ok(how) = how else { continue };
                    return self.interrupt(how, &pieces, revision()).await;
                }
                change = changes.recv() => match change {
                    Ok(change) => self.line(&change),
                    // As one that does not read what it is sent.
                    Err(RecvError::Lagged(_) | RecvError::Closed) => return,
                },
                () = tokio::time::sleep_until(bookmark), if self.bookmarks => {
                    bookmark = next_bookmark(timing.bookmark_interval, deadline);
                    self.caught_up(&mut changes, revision())
                }
                () = tokio::time::sleep_until(deadline) => return,
            };
            if let Some(line) = line
                && pieces.send(Ok(Bytes::from(line))).await.is_err()
            {
                return;
            }
        }
    }

    async fn interrupt(&self, how: Interruption, pieces: &Pieces, revision: u64) {
        let line = match how {
            Interruption::MidLine => {
                let mut line = self.bookmark(revision, Initial::NoneOrBefore);
                line.truncate(line.len() / 2);
                line
            }
            Interruption::BetweenLines | Interruption::Clean => String::new(),
            Interruption::Expired => {
                error_line(&Status::expired("The resourceVersion for the provided watch is too old."))
            }
            Interruption::InternalError => error_line(&Status::unknown("etcdserver: no leader")),
        };
        // Who is gone needs no end.
        if !line.is_empty() {
            let _ = pieces.send(Ok(Bytes::from(line))).await;
        }
        if matches!(how, Interruption::MidLine | Interruption::BetweenLines) {
            cut(pieces).await;
        }
    }

    fn sees(&self, object: &Object) -> bool {
        self.namespace.as_ref().is_none_or(|namespace| object.namespace == *namespace)
            && self.selector.matches(&object.value)
    }

    /// The line for a change, if the client is to know of it. An object that no longer matches is gone for
    /// the client, in the state in which it last saw it.
    fn line(&self, change: &Change) -> Option<String> {
        if change.revision <= self.from || *change.object().resource != *self.resource {
            return None;
        }
        let seen = |object: &&Arc<Object>| self.sees(object);
        let before = change.before.as_ref().filter(seen);
        let after = change.after.as_ref().filter(seen);
        match (before, after) {
            (None, Some(after)) => Some(event_line("ADDED", after, self.form)),
            (Some(_), Some(after)) => Some(event_line("MODIFIED", after, self.form)),
            (Some(before), None) => Some(event_line("DELETED", &before.at(change.revision), self.form)),
            (None, None) => None,
        }
    }

    /// A bookmark says that all up to its version was sent: what came in since is sent before it.
    fn caught_up(&self, changes: &mut broadcast::Receiver<Arc<Change>>, mut revision: u64) -> Option<String> {
        let mut lines = String::new();
        loop {
            match changes.try_recv() {
                Ok(change) => {
                    lines.extend(self.line(&change));
                    revision = revision.max(change.revision);
                }
                Err(TryRecvError::Empty) => break,
                // Told again, and acted on, by the next receive.
                Err(_) => return None,
            }
        }
        lines.push_str(&self.bookmark(revision, Initial::NoneOrBefore));
        Some(lines)
    }

    fn bookmark(&self, revision: u64, initial: Initial) -> String {
        let mut line = String::from(r#"{"type":"BOOKMARK","object":"#);
        // A watch of what is yet to come has not come further back.
        write_bookmark(&self.resource, self.form, revision.max(self.from), initial, &mut line);
        line.push_str("}\n");
        line
    }
}

/// Ends a connection, after what was sent before is on its way.
pub(crate) async fn cut(pieces: &Pieces) {
    tokio::time::sleep(Duration::from_millis(20)).await;
    let _ = pieces.send(Err(Cut)).await;
}

/// In turn, and once more two seconds before the end.
fn next_bookmark(interval: Duration, deadline: Instant) -> Instant {
    let now = Instant::now();
    let last = deadline.checked_sub(Duration::from_secs(2)).filter(|last| *last > now);
    (now + interval).min(last.unwrap_or(now + interval))
}

fn event_line(kind: &str, object: &Object, form: Form) -> String {
    let mut line = format!(r#"{{"type":"{kind}","object":"#);
    object.write(form, &mut line);
    line.push_str("}\n");
    line
}

pub(crate) fn error_line(status: &Status) -> String {
    format!("{{\"type\":\"ERROR\",\"object\":{}}}\n", status.json())
}
