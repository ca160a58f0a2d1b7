//! The checksums of debug files, by which those of binaries without a build id are known.

use crate::DebugOutcome;
use flate2::Crc;
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::time::Instant;

/// Bytes that may be gone through in one go, about a quarter of a second's work …
const MAX_BYTES: u64 = 512 << 20;
/// … and how many come to that with each second.
const BYTES_PER_SECOND: u64 = 4 << 20;
const CHUNK_BYTES: usize = 64 << 10;

/// Computes checksums, as long as that does not take too much time: a process can have as many binaries as it likes, each
/// with a debug file that is large and empty.
#[derive(Debug)]
pub(crate) struct Checksums {
    left: u64,
    since: Instant,
}

impl Default for Checksums {
    fn default() -> Self {
        Self { left: MAX_BYTES, since: Instant::now() }
    }
}

impl Checksums {
    /// Whether a file of this size has this CRC-32.
    pub(crate) fn check(&mut self, file: &File, bytes: u64, expected: u32) -> Result<(), DebugOutcome> {
        self.refill(Instant::now());
        self.left = self.left.checked_sub(bytes).ok_or(DebugOutcome::ChecksumTooCostly)?;
        match checksum(file, bytes)? {
            found if found == expected => Ok(()),
            _ => Err(DebugOutcome::WrongChecksum),
        }
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.duration_since(self.since).as_secs();
        if passed > 0 {
            self.left = self.left.saturating_add(passed.saturating_mul(BYTES_PER_SECOND)).min(MAX_BYTES);
            self.since = now;
        }
    }
}

/// The checksum of the first bytes of a file, which may have grown or shrunk meanwhile.
fn checksum(file: &File, bytes: u64) -> Result<u32, DebugOutcome> {
    let (mut crc, mut at, mut chunk) = (Crc::new(), 0, vec![0; CHUNK_BYTES]);
    while at < bytes {
        let wanted = (bytes - at).min(CHUNK_BYTES as u64) as usize;
        match file.read_at(&mut chunk[..wanted], at) {
            Ok(0) => break,
            Ok(read) => {
                crc.update(&chunk[..read]);
                at += read as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return Err(DebugOutcome::Unreadable),
        }
    }
    Ok(crc.sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::time::Duration;

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    #[test]
    fn it_is_the_checksum_of_gzip() {
        // The check value of CRC-32/ISO-HDLC.
        assert_eq!(Checksums::default().check(&file(b"123456789"), 9, 0xcbf4_3926), Ok(()));
        let wrong = Checksums::default().check(&file(b"12345678x"), 9, 0xcbf4_3926);
        assert_eq!(wrong, Err(DebugOutcome::WrongChecksum));
        let long = vec![7; 3 * CHUNK_BYTES + 5];
        let mut whole = Crc::new();
        whole.update(&long);
        assert_eq!(Checksums::default().check(&file(&long), long.len() as u64, whole.sum()), Ok(()));
    }

    #[test]
    fn what_takes_too_long_is_put_off() {
        let mut checksums = Checksums::default();
        let huge = tempfile::tempfile().unwrap();
        huge.set_len(1 << 40).unwrap();
        let before = Instant::now();
        assert_eq!(checksums.check(&huge, 1 << 40, 0), Err(DebugOutcome::ChecksumTooCostly));
        assert!(before.elapsed() < Duration::from_secs(1));
        checksums.left = 8;
        assert_eq!(
            checksums.check(&file(b"123456789"), 9, 0xcbf4_3926),
            Err(DebugOutcome::ChecksumTooCostly)
        );
        checksums.refill(Instant::now() + Duration::from_secs(2));
        assert_eq!(checksums.check(&file(b"123456789"), 9, 0xcbf4_3926), Ok(()));
    }

    #[test]
    fn a_file_that_shrinks_ends_sooner() {
        assert!(Checksums::default().check(&file(b"123"), 1_000, 0).is_err());
    }
}
