//! Sections that are compressed with zstd (`ELFCOMPRESS_ZSTD`).

use crate::Error;
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;

/// Compressed bytes read at a time, and decompressed ones.
const CHUNK_BYTES: usize = 64 << 10;

/// Decompresses `length` bytes at an offset of a file, which should make `size` bytes. The memory for them grows with
/// what comes out; beside it no more than `most` bytes are taken for what is referred back to.
pub(super) fn inflate(
    file: &File,
    offset: u64,
    length: u64,
    size: usize,
    most: usize,
) -> Result<Vec<u8>, Error> {
    // Linkers that compress in several threads write one frame after the other.
    let mut source = BufReader::with_capacity(CHUNK_BYTES, Part { file, offset, left: length });
    let mut inflated = Vec::new();
    while !source.fill_buf()?.is_empty() {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(most as u64);
        let mut frame = StreamingDecoder::new_with_decoder(&mut source, decoder).map_err(|_| damaged())?;
        loop {
            let before = inflated.len();
            let room = (size + 1 - before).min(CHUNK_BYTES);
            (&mut frame).take(room as u64).read_to_end(&mut inflated).map_err(|_| damaged())?;
            if inflated.len() > size {
                return Err(Error::Damaged("a compressed section is larger than it says"));
            }
            if inflated.len() < before + room {
                break;
            }
        }
    }
    Ok(inflated)
}

fn damaged() -> Error {
    Error::Damaged("a compressed section")
}

/// A part of a file.
struct Part<'a> {
    file: &'a File,
    offset: u64,
    left: u64,
}

impl Read for Part<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
        let read = self.file.read_at(&mut bytes[..most], self.offset)?;
        self.offset = self.offset.saturating_add(read as u64);
        self.left -= read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    /// A frame of one block: that many bytes `x`. See RFC 8878, section 3.1.1.
    fn frame(bytes: u32) -> Vec<u8> {
        let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd];
        // A window of 1 KiB, and no size.
        frame.extend([0, 0]);
        let last_run = 1 | 1 << 1 | bytes << 3;
        frame.extend(&last_run.to_le_bytes()[..3]);
        frame.push(b'x');
        frame
    }

    fn of(bytes: &[u8], size: usize, most: usize) -> Result<Vec<u8>, Error> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"before").unwrap();
        file.write_all(bytes).unwrap();
        file.write_all(b"behind").unwrap();
        inflate(&file, 6, bytes.len() as u64, size, most)
    }

    #[test]
    fn frames_follow_each_other() {
        let two = [frame(700), frame(300)].concat();
        assert_eq!(of(&two, 1000, 1 << 20).unwrap(), [b'x'; 1000]);
        assert!(of(&[], 0, 1 << 20).unwrap().is_empty());
    }

    #[test]
    fn what_is_damaged_or_too_large_is_an_error() {
        let two = [frame(700), frame(300)].concat();
        assert!(of(&two, 999, 1 << 20).is_err(), "more than it says");
        assert!(of(&two, 1000, 512).is_err(), "more memory than there may be");
        for end in 1..two.len() {
            let short = of(&two[..end], 1000, 1 << 20);
            assert!(short.is_err() || end == frame(700).len(), "{end}: {short:?}");
        }
    }
}
