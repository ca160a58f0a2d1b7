//! `server.tls`: certificates that are read again while the agent runs.

use super::small_file::SmallFile;
use super::tls_files::{TlsError, TlsFiles};
use crate::access_metrics::AccessMetrics;
use rustls::ServerConfig;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often the files are read, if there is somebody to connect.
const FRESH: Duration = Duration::from_secs(1);

/// What the next connection is spoken to with.
pub(crate) struct Certificates {
    files: TlsFiles,
    metrics: AccessMetrics,
    state: Mutex<State>,
}

struct State {
    read_at: Instant,
    /// What was there at that time, usable or not.
    seen: Seen,
    /// What was usable last.
    config: Arc<ServerConfig>,
}

#[derive(PartialEq, Eq)]
enum Seen {
    Files([u8; 32]),
    /// Why they could not be read.
    Nothing(String),
}

impl Certificates {
    /// Reads the files.
    pub(super) fn open(files: TlsFiles, metrics: AccessMetrics, now: Instant) -> Result<Self, TlsError> {
        let contents = files.read()?;
        let config = contents.server_config(&files)?;
        warn_of(&contents.key, &files);
        let state = State { read_at: now, seen: Seen::Files(contents.digest()), config };
        Ok(Self { files, metrics, state: Mutex::new(state) })
    }

    /// What holds for a connection that begins now.
    pub(in super::super) fn current(&self, now: Instant) -> Arc<ServerConfig> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(state.read_at) >= FRESH {
            state.read_at = now;
            self.refresh(&mut state);
        }
        state.config.clone()
    }

    fn refresh(&self, state: &mut State) {
        let contents = self.files.read();
        let seen = match &contents {
            Ok(contents) => Seen::Files(contents.digest()),
            Err(error) => Seen::Nothing(error.to_string()),
        };
        if seen == state.seen {
            return;
        }
        state.seen = seen;
        let config = contents.and_then(|contents| {
            let config = contents.server_config(&self.files)?;
            warn_of(&contents.key, &self.files);
            Ok(config)
        });
        match config {
            Ok(config) => {
                state.config = config;
                self.metrics.count_certificate_reload(Ok(()));
                tracing::info!("the files of server.tls have been read again");
            }
            Err(error) => {
                self.metrics.count_certificate_reload(Err(()));
                tracing::error!(
                    "the files of server.tls are wrong, the last good ones stay in force: {error}"
                );
            }
        }
    }
}

fn warn_of(key: &SmallFile, files: &TlsFiles) {
    key.warn_if_world_readable("server.tls.key_file", &files.key);
}
