//! Debug files, asked for without waiting.

use crate::asked::{Asked, Turn};
use crate::fetch::{Fetcher, check_url};
use crate::store::Store;
use crate::{Error, Figures};
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::Builder;
use std::time::{Duration, Instant};
use telegen_model::BuildId;
use telegen_symbolize::DebugServer;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

/// Questions that may wait.
const QUEUE: usize = 256;
/// Files that are fetched at a time.
const AT_A_TIME: usize = 2;

/// Which servers are asked, and within which limits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// Servers, in the order in which they are asked.
    pub urls: Vec<String>,
    /// The most bytes that a file may have.
    pub max_file_bytes: u64,
    /// The longest time that a server may take for one file.
    pub timeout: Duration,
    /// The directory of the cache.
    pub directory: PathBuf,
    /// The most bytes that it may hold.
    pub max_cache_bytes: u64,
}

/// A cache of debug files, and a thread that fetches what is not there. It ends when this is dropped.
#[derive(Debug)]
pub struct DebugInfod {
    store: Arc<Store>,
    asked: Arc<Asked>,
    figures: Arc<Figures>,
    questions: mpsc::Sender<BuildId>,
    _stop: oneshot::Sender<()>,
}

impl DebugInfod {
    /// Opens the cache and starts the thread `tg-debuginfod`. No server is asked before a file is.
    ///
    /// # Errors
    ///
    /// If a URL is not one, the directory cannot be used, or there can be no thread.
    pub fn start(options: &Options) -> Result<Self, Error> {
        options.urls.iter().try_for_each(|url| check_url(url))?;
        let store = Arc::new(Store::open(&options.directory, options.max_cache_bytes)?);
        let (asked, figures) = (Arc::<Asked>::default(), Arc::<Figures>::default());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (questions, waiting) = mpsc::channel(QUEUE);
        let (stop, stopped) = oneshot::channel();
        let fetching = Fetching { asked: asked.clone(), waiting, stopped };
        let (options, held_store, counted) = (options.clone(), store.clone(), figures.clone());
        Builder::new().name("tg-debuginfod".into()).spawn(move || {
            runtime.block_on(async {
                // Reading the certificates of the machine takes a while, too.
                let fetcher = Arc::new(Fetcher::new(&options, held_store, counted));
                fetching.run(&fetcher).await;
            });
            // A name that is being looked up may take longer than anybody wants to wait.
            runtime.shutdown_background();
        })?;
        Ok(Self { store, asked, figures, questions, _stop: stop })
    }

    /// What has been asked, and what came of it.
    pub fn figures(&self) -> Arc<Figures> {
        self.figures.clone()
    }

    /// Bytes that the directory of the cache holds.
    pub fn held_bytes(&self) -> u64 {
        self.store.bytes()
    }
}

impl DebugServer for DebugInfod {
    fn ask(&self, id: &BuildId) -> Option<File> {
        match self.asked.turn(id, Instant::now()) {
            Turn::Ask => {}
            Turn::Wait => return None,
            Turn::Full => {
                self.figures.count_dropped();
                return None;
            }
        }
        if let Some(file) = self.store.get(id) {
            self.asked.forget(id);
            self.figures.count_hit();
            return Some(file);
        }
        if self.questions.try_send(id.clone()).is_err() {
            self.asked.forget(id);
            self.figures.count_dropped();
        }
        None
    }
}

struct Fetching {
    asked: Arc<Asked>,
    waiting: mpsc::Receiver<BuildId>,
    stopped: oneshot::Receiver<()>,
}

impl Fetching {
    async fn run(mut self, fetcher: &Arc<Fetcher>) {
        let mut under_way = JoinSet::new();
        loop {
            tokio::select! {
                _ = &mut self.stopped => return,
                Some(ended) = under_way.join_next(), if !under_way.is_empty() => {
                    // A panic there has been printed; that build is not asked for again.
                    if let Ok((id, outcome)) = ended {
                        self.asked.ended(&id, outcome, Instant::now());
                    }
                }
                Some(id) = self.waiting.recv(), if under_way.len() < AT_A_TIME => {
                    let fetcher = fetcher.clone();
                    under_way.spawn(async move {
                        let outcome = fetcher.fetch(&id).await;
                        (id, outcome)
                    });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Outcome;
    use crate::store::tests::elf;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    /// What a server does with a request for a build.
    type Answer = Box<dyn Fn(&mut TcpStream, &str) + Send + Sync>;

    struct Server {
        url: String,
        requests: Arc<AtomicUsize>,
    }

    impl Server {
        /// One that treats every connection so. It lives as long as the test.
        fn start(answer: Answer) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            let requests = Arc::<AtomicUsize>::default();
            let (counted, answer) = (requests.clone(), Arc::new(answer));
            thread::spawn(move || {
                for stream in listener.incoming() {
                    let (mut stream, counted, answer) = (stream.unwrap(), counted.clone(), answer.clone());
                    thread::spawn(move || {
                        let mut request = Vec::new();
                        let mut byte = [0];
                        while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) > 0 {
                            request.push(byte[0]);
                        }
                        counted.fetch_add(1, Ordering::SeqCst);
                        let request = String::from_utf8_lossy(&request).into_owned();
                        answer(&mut stream, request.split_whitespace().nth(1).unwrap_or_default());
                    });
                }
            });
            Self { url, requests }
        }
    }

    fn ok(stream: &mut TcpStream, body: &[u8]) {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
    }

    fn status(stream: &mut TcpStream, head: &str) {
        let _ = write!(stream, "HTTP/1.1 {head}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }

    fn id() -> BuildId {
        BuildId::new(&[0xfe, 0xdc, 0xba]).unwrap()
    }

    struct Client {
        directory: tempfile::TempDir,
        debuginfod: DebugInfod,
    }

    impl Client {
        fn of(servers: &[&Server]) -> Self {
            let directory = tempfile::tempdir().unwrap();
            let options = Options {
                urls: servers.iter().map(|server| server.url.clone()).collect(),
                max_file_bytes: 1 << 20,
                timeout: Duration::from_secs(2),
                directory: directory.path().join("cache"),
                max_cache_bytes: 4 << 20,
            };
            Self { debuginfod: DebugInfod::start(&options).unwrap(), directory }
        }

        /// Asks until there is an answer of some kind, and says of which.
        fn outcome(&self) -> (Option<File>, Vec<(Outcome, u64)>) {
            let before = Instant::now();
            assert!(self.debuginfod.ask(&id()).is_none(), "nothing is there at once");
            assert!(before.elapsed() < Duration::from_millis(500), "{:?}", before.elapsed());
            loop {
                let file = self.debuginfod.ask(&id());
                let under_way = self.debuginfod.asked.is_under_way(&id());
                if file.is_some() || !under_way {
                    let file = file.or_else(|| self.debuginfod.ask(&id()));
                    let figures = self.debuginfod.figures();
                    let outcomes = Outcome::ALL.map(|outcome| (outcome, figures.outcome(outcome)));
                    return (file, outcomes.into_iter().filter(|(_, count)| *count > 0).collect());
                }
                assert!(before.elapsed() < Duration::from_secs(30));
                thread::sleep(Duration::from_millis(10));
            }
        }

        fn files(&self) -> usize {
            std::fs::read_dir(self.directory.path().join("cache")).unwrap().count()
        }
    }

    #[test]
    fn a_file_is_fetched_once_and_then_there() {
        let server = Server::start(Box::new(|stream, path| {
            assert_eq!(path, "/buildid/fedcba/debuginfo");
            ok(stream, &elf(&id(), 300_000));
        }));
        let client = Client::of(&[&server]);
        let (file, outcomes) = client.outcome();
        assert_eq!(file.expect("it is there").metadata().unwrap().len(), 300_000);
        assert_eq!(outcomes, [(Outcome::Found, 1)]);
        assert!(client.debuginfod.ask(&id()).is_some());
        assert_eq!(server.requests.load(Ordering::SeqCst), 1);
        let figures = client.debuginfod.figures();
        assert_eq!((figures.received_bytes(), figures.dropped()), (300_000, 0));
        assert!(figures.hits() >= 2);
        assert_eq!(client.debuginfod.held_bytes(), 300_000);
    }

    #[test]
    fn what_a_server_does_wrong_is_told_apart_and_leaves_nothing_behind() {
        let wrong: [(Outcome, Answer); 9] = [
            (Outcome::Missing, Box::new(|stream, _| status(stream, "404 Not Found"))),
            (Outcome::Refused, Box::new(|stream, _| status(stream, "500 Oh"))),
            (Outcome::Refused, Box::new(|stream, _| status(stream, "302 Found\r\nLocation: /again"))),
            (Outcome::NotElf, Box::new(|stream, _| ok(stream, b"<html>"))),
            (Outcome::WrongBuildId, {
                Box::new(|stream, _| ok(stream, &elf(&BuildId::new(&[1, 2, 3]).unwrap(), 1000)))
            }),
            (Outcome::TooLarge, Box::new(|stream, _| ok(stream, &elf(&id(), 2 << 20)))),
            (Outcome::TooLarge, {
                // Without saying how much it will be.
                Box::new(|stream, _| {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
                    let _ = stream.write_all(&elf(&id(), 2 << 20));
                })
            }),
            (Outcome::CutShort, {
                Box::new(|stream, _| {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n");
                    let _ = stream.write_all(&elf(&id(), 1000));
                })
            }),
            (Outcome::Unreachable, Box::new(|stream, _| drop(stream.shutdown(std::net::Shutdown::Both)))),
        ];
        for (expected, answer) in wrong {
            let client = Client::of(&[&Server::start(answer)]);
            let (file, outcomes) = client.outcome();
            assert!(file.is_none());
            assert_eq!(outcomes, [(expected, 1)]);
            assert_eq!(client.files(), 0, "{expected:?}");
        }
    }

    #[test]
    fn a_slow_server_is_not_waited_for() {
        let server = Server::start(Box::new(|stream, _| {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n");
            for byte in elf(&id(), 5000) {
                thread::sleep(Duration::from_millis(100));
                if stream.write_all(&[byte]).is_err() {
                    return;
                }
            }
        }));
        let client = Client::of(&[&server]);
        let before = Instant::now();
        let (file, outcomes) = client.outcome();
        assert!(file.is_none() && before.elapsed() < Duration::from_secs(20));
        assert_eq!(outcomes, [(Outcome::TimedOut, 1)]);
        assert_eq!(client.files(), 0);
        for _ in 0..100 {
            assert!(client.debuginfod.ask(&id()).is_none());
        }
        assert_eq!(server.requests.load(Ordering::SeqCst), 1, "that it has failed is remembered");
    }

    #[test]
    fn the_next_server_is_asked_and_a_file_may_be_elsewhere() {
        let missing = Server::start(Box::new(|stream, _| status(stream, "404 Not Found")));
        let server = Server::start(Box::new(|stream, path| match path {
            "/elsewhere" => ok(stream, &elf(&id(), 0)),
            _ => status(stream, "302 Found\r\nLocation: /elsewhere"),
        }));
        let client = Client::of(&[&missing, &server]);
        let (file, outcomes) = client.outcome();
        assert!(file.is_some());
        assert_eq!(outcomes, [(Outcome::Found, 1), (Outcome::Missing, 1)]);
    }

    #[test]
    fn what_is_too_much_at_once_is_dropped_and_counted() {
        let server = Server::start(Box::new(|_, _| thread::sleep(Duration::from_secs(60))));
        let client = Client::of(&[&server]);
        let asked = QUEUE + 100;
        for number in 0..asked {
            client.debuginfod.ask(&BuildId::new(&(number as u64).to_be_bytes()).unwrap());
        }
        let dropped = client.debuginfod.figures().dropped();
        assert!((50..=100).contains(&dropped), "{dropped} were dropped");
    }

    #[test]
    fn what_has_been_fetched_before_needs_no_server() {
        let server = Server::start(Box::new(|stream, _| ok(stream, &elf(&id(), 0))));
        let Client { directory, debuginfod } = {
            let client = Client::of(&[&server]);
            assert!(client.outcome().0.is_some());
            client
        };
        drop(debuginfod);
        let options = Options {
            urls: vec!["http://127.0.0.1:1".into()],
            max_file_bytes: 1 << 20,
            timeout: Duration::from_secs(1),
            directory: directory.path().join("cache"),
            max_cache_bytes: 1 << 20,
        };
        assert!(DebugInfod::start(&options).unwrap().ask(&id()).is_some());
        let no_server = Options { urls: vec!["debuginfod".into()], ..options };
        assert!(matches!(DebugInfod::start(&no_server), Err(Error::Url { .. })));
    }
}
