//! What has to be different each time: uids, tokens, ports.

use rustix::rand::{GetRandomFlags, getrandom};
use std::fmt::Write;

/// As many random bytes.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // Fewer than 256 bytes are never given in parts, and a seeded generator never fails (getrandom(2)).
    let _ = getrandom(&mut bytes, GetRandomFlags::empty());
    bytes
}

pub(crate) fn number() -> u32 {
    u32::from_le_bytes(bytes())
}

/// As many random bytes in hexadecimal.
pub(crate) fn hex<const N: usize>() -> String {
    bytes::<N>().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A version 4 UUID, as uids of objects are.
pub(crate) fn uid() -> String {
    let mut bytes = bytes::<16>();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut text = String::new();
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// What a controller puts behind a name: letters and digits that cannot be read as words.
pub(crate) fn suffix(length: usize) -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    (0..length).map(|_| char::from(LETTERS[number() as usize % LETTERS.len()])).collect()
}
