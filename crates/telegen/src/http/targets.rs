//! `/api/v1/targets`: the selection as it is, and as it changes.

use super::answer::Refusal;
use super::api::Api;
use super::pieces;
use super::query::Query;
use crate::engine::{ChangeKind, Changes, SelectionReader, Unanswered};
use crate::targets::json::{self, Figures};
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_core::Stream;
use prometheus_client::metrics::gauge::Gauge;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Instant, SystemTime};
use telegen_select::SelectedProcess;
use tokio::sync::OwnedSemaphorePermit;

/// How many lines go out together at the most.
const LINES_AT_ONCE: usize = 64;

/// JSON always says why, as it does from `telegen targets -o json`: `explain` is known because the command has it, and
/// changes nothing.
const PARAMETERS: [&str; 3] = ["all", "explain", "watch"];

/// Which processes are told of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Scope {
    Profiled,
    All,
}

/// Lists the processes, or tells of them as long as the client stays.
pub(super) async fn list_or_watch(
    State(api): State<Api>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let query = Query::parse(query.as_deref(), &PARAMETERS)?;
    query.flag("explain")?;
    let scope = if query.flag("all")? { Scope::All } else { Scope::Profiled };
    let watch = query.flag("watch")?;
    let reader = api.profiler.selection()?;
    if watch { self::watch(api, reader, scope).await } else { Ok(list(&reader, scope)) }
}

fn list(reader: &SelectionReader, scope: Scope) -> Response {
    let begun = Instant::now();
    let mut processes = reader.processes();
    let scanned = processes.len() + reader.kernel_threads();
    let matched = processes.iter().filter(|process| process.decision.is_profile()).count();
    processes.retain(|process| scope.has(process));
    let figures = Figures::new(scanned, matched, begun.elapsed());
    // From here on nothing is shared with the profiler but facts that do not change.
    let pieces = json::list_of_selected(figures, processes.into_iter());
    ([(header::CONTENT_TYPE, "application/json")], pieces::body(pieces)).into_response()
}

async fn watch(api: Api, reader: SelectionReader, scope: Scope) -> Result<Response, Refusal> {
    let Ok(place) = api.places.try_acquire_owned() else {
        let message = "as many clients watch as may: ask again when one of them has gone";
        return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, message));
    };
    let place = Place::new(place, api.metrics.clients);
    let (now, changes) = reader.watch().await.map_err(|Unanswered| {
        Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "the profiler is busy or stopping: ask again in a moment",
        )
    })?;
    let lines = Lines { now: now.into_iter(), since: SystemTime::now(), changes, scope, _place: place };
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response())
}

impl Scope {
    fn has(self, process: &SelectedProcess) -> bool {
        self == Self::All || process.decision.is_profile()
    }
}

/// The place of one client among those that may watch.
struct Place {
    clients: Gauge,
    _permit: OwnedSemaphorePermit,
}

impl Place {
    fn new(permit: OwnedSemaphorePermit, clients: Gauge) -> Self {
        clients.inc();
        Self { clients, _permit: permit }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.clients.dec();
    }
}

/// The lines for one client: first what there is, then what changes.
struct Lines {
    now: std::vec::IntoIter<SelectedProcess>,
    since: SystemTime,
    changes: Changes,
    scope: Scope,
    _place: Place,
}

/// Breaks the connection off instead of ending the answer, so that what is missing is seen to be missing.
#[derive(Debug, thiserror::Error)]
#[error("the client takes changes more slowly than they come")]
struct FellBehind;

impl Lines {
    /// The next lines on what there was at first.
    fn standing(&mut self) -> Option<String> {
        let scope = self.scope;
        let of_scope = self.now.by_ref().filter(|process| scope.has(process));
        let lines = of_scope.filter_map(|process| json::standing(&process, self.since)).take(LINES_AT_ONCE);
        Some(lines.collect::<String>()).filter(|lines| !lines.is_empty())
    }
}

impl Stream for Lines {
    type Item = Result<String, FellBehind>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(lines) = self.standing() {
            return Poll::Ready(Some(Ok(lines)));
        }
        let mut changes = Vec::new();
        loop {
            if ready!(self.changes.from.poll_recv_many(context, &mut changes, LINES_AT_ONCE)) == 0 {
                let end = self.changes.fell_behind().then_some(Err(FellBehind));
                return Poll::Ready(end);
            }
            let told = |kind| kind != ChangeKind::LeftOut || self.scope == Scope::All;
            let lines = changes.drain(..).filter(|change| told(change.kind));
            let lines: String = lines.map(|change| json::change(&change)).collect();
            if !lines.is_empty() {
                return Poll::Ready(Some(Ok(lines)));
            }
        }
    }
}
