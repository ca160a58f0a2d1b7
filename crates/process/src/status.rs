//! `/proc/PID/status`, as proc_pid_status(5) describes it.

/// What of a process's status is looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Status {
    /// The user it acts as, in the user namespace of the reader.
    pub effective_uid: u32,
    /// Its pid in its own pid namespace.
    pub innermost_pid: u32,
}

impl Status {
    /// Takes them out of the text; `None` if that is not what it should be.
    ///
    /// The name of a process, which stands first, cannot bring in lines of its own: the kernel escapes it.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let field = |key: &str| {
            let mut lines = text.split(|&byte| byte == b'\n');
            let line = lines.find_map(|line| line.strip_prefix(key.as_bytes()))?;
            std::str::from_utf8(line).ok()
        };
        let effective_uid = field("Uid:")?.split_whitespace().nth(1)?.parse().ok()?;
        let innermost_pid = field("NSpid:")?.split_whitespace().last()?.parse().ok()?;
        Some(Self { effective_uid, innermost_pid })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_last_pid_and_the_second_uid_count() {
        let text = b"Name:\tNSpid:\t9\nUid:\t1\t2\t3\t4\nNSpid:\t100\t20\t3\nVmPeak:\t1 kB\n";
        assert_eq!(Status::parse(text), Some(Status { effective_uid: 2, innermost_pid: 3 }));
    }

    #[test]
    fn what_lacks_something_is_refused() {
        for text in
            [&b""[..], b"Uid:\t1\t2\n", b"NSpid:\t1\n", b"Uid:\t1\nNSpid:\t1\n", b"Uid:\t1\t-2\nNSpid:\t1"]
        {
            assert_eq!(Status::parse(text), None);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            Status::parse(&bytes);
        }
    }
}
