//! MiniDebugInfo: symbols that a binary carries along, compressed (`.gnu_debugdata`).
//!
//! Fedora's binaries have them. The section is an ELF file, compressed by xz, with a `.symtab` of the functions that
//! `.dynsym` does not have. The format stands in the manual of GDB, "MiniDebugInfo".

use crate::Error;
use crate::elf::{Elf, read_up_to};
use lzma_rust2::XzReader;
use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::time::{Duration, Instant};
use telegen_process::memory_file;

/// Memory for decompressing: the dictionary of `xz` as it is by default has 8 MiB.
const MAX_DECODER_KIB: u32 = 17 << 10;
/// How long it may take: a file may consist of blocks without anything in them, each of which takes that memory anew.
const MAX_TIME: Duration = Duration::from_secs(2);
/// Compressed bytes read at a time; the time is looked at each time.
const CHUNK_BYTES: usize = 4 << 10;

/// The decompressed file, in memory.
#[derive(Debug)]
pub(crate) struct MiniDebugInfo {
    pub(crate) file: File,
    pub(crate) bytes: usize,
}

impl MiniDebugInfo {
    /// Decompresses what a binary has, if it has something and that is no longer than `most` bytes.
    pub(crate) fn read(elf: &Elf<'_>, most: usize) -> Result<Option<Self>, Error> {
        let Some(section) = elf.section(".gnu_debugdata") else { return Ok(None) };
        if section.bytes > most as u64 {
            return Err(Error::TooLarge("compressed symbols"));
        }
        let end = section.offset.saturating_add(section.bytes);
        let source = Section { file: elf.file, at: section.offset, end };
        let source = InTime { source, deadline: Instant::now() + MAX_TIME };
        let mut file = memory_file("telegen-symbols")?;
        let bytes = decompress(BufReader::with_capacity(CHUNK_BYTES, source), &mut file, most)?;
        Ok(Some(Self { file, bytes: bytes.next_multiple_of(4096) }))
    }
}

/// Writes out what is compressed; the number of bytes that it was.
fn decompress(compressed: impl BufRead, out: &mut impl Write, most: usize) -> Result<usize, Error> {
    let mut reader = XzReader::new_mem_limit(compressed, false, MAX_DECODER_KIB);
    let (mut chunk, mut bytes) = (vec![0; 64 << 10], 0);
    loop {
        let read = match reader.read(&mut chunk) {
            Ok(0) => return Ok(bytes),
            Ok(read) => read,
            Err(error) => return Err(refusal(error)),
        };
        bytes += read;
        if bytes > most {
            return Err(Error::TooLarge("compressed symbols"));
        }
        out.write_all(&chunk[..read])?;
    }
}

fn refusal(error: io::Error) -> Error {
    match error.kind() {
        ErrorKind::TimedOut => Error::TooCostly,
        ErrorKind::OutOfMemory => Error::TooLarge("the dictionary of compressed symbols"),
        _ if error.raw_os_error().is_some() => Error::Io(error),
        _ => Error::Damaged("compressed symbols"),
    }
}

/// The bytes of a section.
struct Section<'a> {
    file: &'a File,
    at: u64,
    end: u64,
}

impl Read for Section<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(out.len());
        let bytes = read_up_to(self.file, self.at, wanted).map_err(|error| match error {
            Error::Io(error) => error,
            other => io::Error::other(other),
        })?;
        out[..bytes.len()].copy_from_slice(&bytes);
        self.at += bytes.len() as u64;
        Ok(bytes.len())
    }
}

/// Ends when the time is up.
struct InTime<R> {
    source: R,
    deadline: Instant,
}

impl<R: Read> Read for InTime<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if Instant::now() > self.deadline {
            return Err(ErrorKind::TimedOut.into());
        }
        self.source.read(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// What `xz` makes of it.
    fn compressed(plain: &[u8], options: &[&str]) -> Vec<u8> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(plain).unwrap();
        let input = File::open(file.path()).unwrap();
        let output = Command::new("xz").args(options).arg("--stdout").stdin(input).output();
        let output = output.expect("xz is installed");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    fn plain(compressed: &[u8], most: usize) -> Result<Vec<u8>, Error> {
        let mut out = Vec::new();
        let bytes = decompress(compressed, &mut out, most)?;
        assert_eq!(bytes, out.len());
        Ok(out)
    }

    #[test]
    fn what_xz_compresses_is_decompressed() {
        let text: Vec<u8> = (0..300_000_u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
        for options in [&["-6"][..], &["-0"], &["--check=sha256"], &["--check=none"], &["--x86", "--lzma2"]] {
            assert_eq!(plain(&compressed(&text, options), 4 << 20).unwrap(), text, "{options:?}");
        }
        assert_eq!(plain(&compressed(b"", &[]), 10).unwrap(), b"");
    }

    #[test]
    fn a_bomb_ends_where_it_becomes_too_large() {
        let bomb = compressed(&vec![0; 64 << 20], &["-6"]);
        assert!(bomb.len() < 64 << 10, "{} bytes", bomb.len());
        let mut out = Vec::new();
        let refused = decompress(&*bomb, &mut out, 1 << 20);
        assert!(matches!(refused, Err(Error::TooLarge(_))), "{refused:?}");
        assert!(out.len() <= 1 << 20, "{} bytes", out.len());
    }

    #[test]
    fn a_dictionary_that_takes_too_much_memory_is_refused() {
        let large = compressed(&[7; 1000], &["--lzma2=dict=64MiB"]);
        assert!(matches!(plain(&large, 4 << 20), Err(Error::TooLarge(_))));
    }

    #[test]
    fn damage_is_an_error() {
        let whole = compressed(&[7; 100_000], &[]);
        for cut in [0, 5, 12, whole.len() / 2, whole.len() - 1] {
            assert!(matches!(plain(&whole[..cut], 1 << 20), Err(Error::Damaged(_))), "cut at {cut}");
        }
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x55;
            let refused = plain(&damaged, 1 << 20);
            assert!(refused.is_err() || refused.unwrap() == [7; 100_000], "changed at {at}");
        }
    }

    #[test]
    fn it_ends_when_the_time_is_up() {
        let whole = compressed(&[7; 1000], &[]);
        let deadline = Instant::now().checked_sub(Duration::from_secs(1)).unwrap();
        let late = InTime { source: &*whole, deadline };
        let ended = decompress(BufReader::new(late), &mut Vec::new(), 1 << 20);
        assert!(matches!(ended, Err(Error::TooCostly)), "{ended:?}");
    }
}
