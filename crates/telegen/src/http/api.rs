//! What is at `server.listen`: for people and their tools.

use super::access::{Gate, admit};
use super::answer::{Refusal, with_headers};
use super::targets;
use crate::engine::SelectionReader;
use crate::watch_metrics::WatchMetrics;
use axum::Router;
use axum::http::{StatusCode, Uri};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::get;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// How many clients may watch at a time.
const MAX_WATCHES: usize = 16;

const PATHS: &str = "\
/api/v1/targets               which processes are profiled, and why, as JSON
/api/v1/targets?all=true      and which are not
/api/v1/targets?watch=true    as they come and go, one JSON object a line
";

/// What is asked of the agent.
pub(crate) trait Profiler: Send + Sync + 'static {
    /// The selection of the profiler that runs.
    fn selection(&self) -> Result<SelectionReader, Unavailable>;
}

/// Why there is no selection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unavailable {
    /// The first scan is not done, or a new configuration has the profiler start again.
    Starting,
    /// `enabled: false`
    Disabled,
}

/// What answers need.
#[derive(Clone)]
pub(super) struct Api {
    pub(super) profiler: Arc<dyn Profiler>,
    pub(super) metrics: WatchMetrics,
    /// Places for those who watch.
    pub(super) places: Arc<Semaphore>,
}

/// What is at `server.listen`.
pub(crate) fn api(profiler: Arc<dyn Profiler>, metrics: WatchMetrics, gate: Gate) -> Router {
    let places = Arc::new(Semaphore::new(MAX_WATCHES));
    Router::new()
        .route("/", get(|| async { PATHS }))
        .route("/api/v1/targets", get(targets::list_or_watch))
        .method_not_allowed_fallback(wrong_method)
        .fallback(nothing_there)
        .layer(from_fn_with_state(gate, admit))
        .layer(from_fn(with_headers))
        .with_state(Api { profiler, metrics, places })
}

impl From<Unavailable> for Refusal {
    fn from(reason: Unavailable) -> Self {
        let message = match reason {
            Unavailable::Starting => "the profiler is starting: ask again in a moment",
            Unavailable::Disabled => {
                "profiling is disabled by the configuration (enabled: false, or cpu.enabled: false)"
            }
        };
        Self::new(StatusCode::SERVICE_UNAVAILABLE, message)
    }
}

async fn nothing_there(uri: Uri) -> Refusal {
    let path: String = uri.path().chars().take(64).collect();
    Refusal::new(StatusCode::NOT_FOUND, format!("there is nothing at {path}; / says what is where"))
}

async fn wrong_method() -> Refusal {
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are answered")
}

#[cfg(test)]
mod tests {
    use super::super::answer::tests::ask;
    use super::super::{Access, HttpServer, Site};
    use super::*;
    use crate::access_metrics::AccessMetrics;
    use crate::engine::test_reader;
    use std::net::SocketAddr;
    use telegen_config::Config;
    use telegen_model::{
        Generation, KernelKey, Pid, PodFacts, ProcessFacts, ProcessId, ProcessKey, StartTime, Token,
    };
    use telegen_rules::RuleSet;
    use telegen_select::{Event, Limits, Observed, Rates, Selector, Standing};

    struct Agent(Result<SelectionReader, Unavailable>);

    impl Profiler for Agent {
        fn selection(&self) -> Result<SelectionReader, Unavailable> {
            self.0.clone()
        }
    }

    fn serve(selection: Result<SelectionReader, Unavailable>) -> (HttpServer, SocketAddr) {
        let server = Config::default().server;
        let access = Access::open(&server, &AccessMetrics::default()).unwrap();
        let router = api(Arc::new(Agent(selection)), WatchMetrics::default(), access.gate);
        let site = Site::bind("127.0.0.1:0".parse().unwrap(), router).unwrap();
        let address = site.address().unwrap();
        (HttpServer::start(vec![site]).unwrap(), address)
    }

    /// A selection that profiles none of so many processes.
    fn selection_of(processes: u32) -> SelectionReader {
        let mut selector = Selector::new(RuleSet::nothing(), Pid(1), Limits::default(), Rates::default());
        for pid in 0..processes {
            let id = ProcessId { pid: Pid(pid + 10), start: StartTime(1) };
            let facts = ProcessFacts {
                key: ProcessKey { id, generation: Generation(0) },
                parent: Pid(1),
                kernel_thread: false,
                comm: "x".into(),
                executable: Some("/x".into()),
                argv0: None,
                container: None,
                pod: PodFacts::InNone,
            };
            let (token, key) = (Token(u64::from(pid)), KernelKey(pid));
            let observed = Observed { facts, token, key, standing: Standing::Undecided };
            selector.handle(Event::Seen(observed), &mut Vec::new());
        }
        test_reader(selector.selection())
    }

    #[test]
    fn ten_thousand_processes_are_listed() {
        let (_server, address) = serve(Ok(selection_of(10_000)));
        let answer = ask(address, "GET", "/api/v1/targets?all=true");
        assert!(answer.starts_with("HTTP/1.1 200"), "{}", &answer[..100]);
        assert_eq!(answer.matches("\"decision\":\"skip\"").count(), 10_000);
        let few = ask(address, "GET", "/api/v1/targets");
        assert!(
            few.contains("{\"scanned\":10000,\"matched\":0,") && few.contains("\"processes\":[]}"),
            "{few}"
        );
    }

    #[test]
    fn who_cannot_be_told_is_told_why() {
        let (_server, address) = serve(Ok(selection_of(1)));
        let answer = ask(address, "GET", "/api/v1/targets?watch=true");
        assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("busy or stopping"), "{answer}");
        for (reason, word) in [(Unavailable::Disabled, "disabled"), (Unavailable::Starting, "starting")] {
            let (_server, address) = serve(Err(reason));
            for path in ["/api/v1/targets", "/api/v1/targets?watch=true"] {
                let answer = ask(address, "GET", path);
                assert!(answer.starts_with("HTTP/1.1 503") && answer.contains(word), "{answer}");
            }
        }
    }

    #[test]
    fn what_is_not_there_is_refused_in_words() {
        let (_server, address) = serve(Ok(selection_of(1)));
        for (method, path, status, words) in [
            ("GET", "/", "200", "/api/v1/targets"),
            ("HEAD", "/api/v1/targets", "200", ""),
            ("GET", "/metrics", "404", "{\"error\":\"there is nothing at /metrics"),
            ("GET", "/api/v1/targets/", "404", "{\"error\":"),
            ("POST", "/api/v1/targets", "405", "{\"error\":\"only GET"),
            ("DELETE", "/", "405", "{\"error\":\"only GET"),
            ("GET", "/api/v1/targets?al=true", "400", "did you mean \\\"all\\\"?"),
        ] {
            let answer = ask(address, method, path).to_ascii_lowercase();
            assert!(
                answer.starts_with(&format!("http/1.1 {status} "))
                    && answer.contains(&words.to_ascii_lowercase()),
                "{path}: {answer}"
            );
            for header in ["cache-control: no-store", "x-content-type-options: nosniff", "content-type: "] {
                assert!(answer.contains(header), "{path}: {answer}");
            }
            assert_eq!(status == "405", answer.contains("allow: get,head"), "{path}: {answer}");
        }
    }
}
