//! `server.token_file`, which is read again while the agent runs.

use super::small_file::{FileError, SmallFile};
use super::token::{Tokens, TokensError};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How old what is known of the file may be. It is then read, and not only looked at: a token that is replaced by one of the
/// same length within the clock's grain leaves no trace in the file's times.
const FRESH: Duration = Duration::from_secs(1);
/// How often it is said that the file cannot be used.
const BETWEEN_COMPLAINTS: Duration = Duration::from_secs(60);

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenFileError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("{} {source}", path.display())]
    Tokens { path: PathBuf, source: TokensError },
}

/// Nobody can be told from anybody.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Unusable;

/// The tokens of a file.
pub(super) struct TokenFile {
    path: PathBuf,
    state: Mutex<State>,
}

struct State {
    read_at: Instant,
    /// There are none while the file cannot be used.
    tokens: Option<Tokens>,
    complained_at: Option<Instant>,
}

impl TokenFile {
    /// Reads the file.
    pub(super) fn open(path: &Path, now: Instant) -> Result<Self, TokenFileError> {
        let (tokens, file) = read(path)?;
        file.warn_if_world_readable("server.token_file", path);
        let state = State { read_at: now, tokens: Some(tokens), complained_at: None };
        Ok(Self { path: path.to_owned(), state: Mutex::new(state) })
    }

    /// Whether a token is in the file, as it was a second ago or later.
    pub(super) fn knows(&self, token: &[u8], now: Instant) -> Result<bool, Unusable> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(state.read_at) >= FRESH {
            state.read_at = now;
            self.refresh(&mut state, now);
        }
        state.tokens.as_ref().map(|tokens| tokens.know(token)).ok_or(Unusable)
    }

    fn refresh(&self, state: &mut State, now: Instant) {
        match read(&self.path) {
            Ok((tokens, file)) => {
                if state.tokens.as_ref() != Some(&tokens) {
                    tracing::info!(tokens = tokens.len(), "server.token_file has been read again");
                    file.warn_if_world_readable("server.token_file", &self.path);
                }
                (state.tokens, state.complained_at) = (Some(tokens), None);
            }
            Err(error) => {
                state.tokens = None;
                let silent = state
                    .complained_at
                    .is_some_and(|at| now.saturating_duration_since(at) < BETWEEN_COMPLAINTS);
                if !silent {
                    state.complained_at = Some(now);
                    tracing::error!(
                        "server.token_file: {error}; until it can be used again, nobody is answered"
                    );
                }
            }
        }
    }
}

fn read(path: &Path) -> Result<(Tokens, SmallFile), TokenFileError> {
    let file = SmallFile::read(path)?;
    match Tokens::parse(&file.bytes) {
        Ok(tokens) => Ok((tokens, file)),
        Err(source) => Err(TokenFileError::Tokens { path: path.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn another_file_counts_within_a_second() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        fs::write(&path, "old-token\n").unwrap();
        let begin = Instant::now();
        let file = TokenFile::open(&path, begin).unwrap();
        assert_eq!(file.knows(b"old-token", begin), Ok(true));
        // In place, of the same length, and perhaps at the same time for the file system.
        fs::write(&path, "new-token\n").unwrap();
        assert_eq!(file.knows(b"new-token", begin + FRESH / 2), Ok(false));
        assert_eq!(file.knows(b"new-token", begin + FRESH), Ok(true));
        assert_eq!(file.knows(b"old-token", begin + FRESH), Ok(false));
        fs::write(directory.path().join("other"), "new-token\nnext-token").unwrap();
        fs::rename(directory.path().join("other"), &path).unwrap();
        assert_eq!(file.knows(b"next-token", begin + 2 * FRESH), Ok(true));
        assert_eq!(file.knows(b"new-token", begin + 2 * FRESH), Ok(true));
    }

    #[test]
    fn a_swapped_secret_is_followed() {
        let directory = tempfile::tempdir().unwrap();
        for version in ["..1", "..2"] {
            fs::create_dir(directory.path().join(version)).unwrap();
            fs::write(directory.path().join(version).join("token"), format!("token{version}")).unwrap();
        }
        let data = directory.path().join("..data");
        symlink("..1", &data).unwrap();
        symlink("..data/token", directory.path().join("token")).unwrap();
        let begin = Instant::now();
        let file = TokenFile::open(&directory.path().join("token"), begin).unwrap();
        assert_eq!(file.knows(b"token..1", begin), Ok(true));
        symlink("..2", directory.path().join("..data_tmp")).unwrap();
        fs::rename(directory.path().join("..data_tmp"), &data).unwrap();
        assert_eq!(file.knows(b"token..2", begin + FRESH), Ok(true));
        assert_eq!(file.knows(b"token..1", begin + FRESH), Ok(false));
    }

    #[test]
    fn while_the_file_is_wrong_nobody_is_known() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        assert!(TokenFile::open(&path, Instant::now()).is_err());
        fs::write(&path, "\n").unwrap();
        let error = TokenFile::open(&path, Instant::now()).err().unwrap().to_string();
        assert!(error.contains("token holds no token"), "{error}");
        fs::write(&path, "token").unwrap();
        let begin = Instant::now();
        let file = TokenFile::open(&path, begin).unwrap();
        for (number, content) in [Some(""), Some("to ken"), None].into_iter().enumerate() {
            let then = begin + FRESH * (number as u32 + 1);
            match content {
                Some(content) => fs::write(&path, content).unwrap(),
                None => fs::remove_file(&path).unwrap(),
            }
            assert_eq!(file.knows(b"token", then), Err(Unusable), "{content:?}");
            assert_eq!(file.knows(b"", then), Err(Unusable), "{content:?}");
        }
        fs::write(&path, "token").unwrap();
        assert_eq!(file.knows(b"token", begin + 5 * FRESH), Ok(true));
    }
}
