//! What a server was asked and what it sent: how tests see the load that a client is.

use crate::request::{Query, Subject};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Requests beyond that are only counted.
const LIMIT: usize = 100_000;

/// One request and its answer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Entry {
    /// When it came.
    pub at: Instant,
    /// `get`, `list`, `watch`; for paths of no resource the method in small letters.
    pub verb: String,
    /// Group and plural as in messages, `pods` or `replicasets.apps`; empty for paths of no resource.
    pub resource: String,
    /// The namespace, if the path has one.
    pub namespace: Option<String>,
    /// The name of the object, if the path or the selector has one.
    pub name: Option<String>,
    /// Without the query.
    pub path: String,
    /// Decoded, in the order in which they came.
    pub query: Vec<(String, String)>,
    /// `Accept`, `User-Agent` and all others, with names in small letters; without `authorization`.
    pub headers: Vec<(String, String)>,
    /// Who asked; empty if the request was refused or failed before that was known.
    pub user: String,
    /// The connection that it came by, counted from one.
    pub connection: u64,
    /// HTTP status; 0 while there is no answer.
    pub status: u16,
    sent_bytes: Arc<AtomicU64>,
}

impl Entry {
    /// A parameter of the query.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A header, by its name in small letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// How much of a body was sent so far, as it went into the connection (compressed if it was).
    pub fn sent_bytes(&self) -> u64 {
        self.sent_bytes.load(Ordering::Relaxed)
    }

    /// Whether it was for a resource, `pods` or `replicasets.apps`.
    pub fn is(&self, verb: &str, resource: &str) -> bool {
        self.verb == verb && self.resource == resource
    }
}

#[derive(Default)]
struct Book {
    entries: Vec<Entry>,
    dropped: u64,
}

/// All requests, in the order in which they came.
#[derive(Default)]
pub struct Ledger {
    book: Mutex<Book>,
    written: Condvar,
    open_watches: Arc<AtomicU64>,
}

/// A watch is open as long as this lives.
pub(crate) struct OpenWatch(Arc<AtomicU64>);

impl Drop for OpenWatch {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A place in the ledger.
pub(crate) struct Line {
    index: Option<usize>,
    pub(crate) sent_bytes: Arc<AtomicU64>,
}

impl Ledger {
    /// All requests so far.
    pub fn entries(&self) -> Vec<Entry> {
        self.book().entries.clone()
    }

    /// The requests after the first so many.
    pub fn since(&self, count: usize) -> Vec<Entry> {
        self.book().entries.get(count..).unwrap_or_default().to_vec()
    }

    /// How many requests came; where `since` begins if it is asked later.
    pub fn len(&self) -> usize {
        self.book().entries.len()
    }

    /// Whether nobody has asked anything yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many requests are like that.
    pub fn count(&self, like: impl Fn(&Entry) -> bool) -> usize {
        self.book().entries.iter().filter(|entry| like(entry)).count()
    }

    /// How many requests came that are not in the ledger, since it was full.
    pub fn dropped(&self) -> u64 {
        self.book().dropped
    }

    /// Bytes of all bodies so far.
    pub fn sent_bytes(&self) -> u64 {
        self.book().entries.iter().map(Entry::sent_bytes).sum()
    }

    /// Watches that are open now.
    pub fn open_watches(&self) -> u64 {
        self.open_watches.load(Ordering::Relaxed)
    }

    /// Waits until as many requests are like that; whether it came to that in time.
    pub fn wait(&self, times: usize, timeout: Duration, like: impl Fn(&Entry) -> bool) -> bool {
        let enough = |book: &mut Book| book.entries.iter().filter(|entry| like(entry)).count() < times;
        let waited = self.written.wait_timeout_while(self.book(), timeout, enough);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    pub(crate) fn begin(
        &self,
        subject: &Subject,
        path: &str,
        query: &Query,
        headers: &hyper::HeaderMap,
        connection: u64,
    ) -> Line {
        let sent_bytes = Arc::new(AtomicU64::new(0));
        let target = subject.resource.clone().unwrap_or_default();
        let text = |(name, value): (&hyper::header::HeaderName, &hyper::header::HeaderValue)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let entry = Entry {
            at: Instant::now(),
            verb: subject.verb.to_owned(),
            resource: crate::resource::qualified(&target.group, &target.plural),
            namespace: target.namespace,
            name: target.name,
            path: path.to_owned(),
            query: query.0.clone(),
            headers: headers.iter().filter(|(name, _)| *name != "authorization").map(text).collect(),
            user: String::new(),
            connection,
            status: 0,
            sent_bytes: Arc::clone(&sent_bytes),
        };
        let mut book = self.book();
        let index = (book.entries.len() < LIMIT).then_some(book.entries.len());
        match index {
            Some(_) => book.entries.push(entry),
            None => book.dropped += 1,
        }
        drop(book);
        self.written.notify_all();
        Line { index, sent_bytes }
    }

    pub(crate) fn user(&self, line: &Line, user: &str) {
        self.write(line, |entry| user.clone_into(&mut entry.user));
    }

    pub(crate) fn status(&self, line: &Line, status: u16) {
        self.write(line, |entry| entry.status = status);
    }

    pub(crate) fn open_watch(&self) -> OpenWatch {
        self.open_watches.fetch_add(1, Ordering::Relaxed);
        OpenWatch(Arc::clone(&self.open_watches))
    }

    fn write(&self, line: &Line, write: impl FnOnce(&mut Entry)) {
        if let Some(index) = line.index
            && let Some(entry) = self.book().entries.get_mut(index)
        {
            write(entry);
        }
        self.written.notify_all();
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
