//! `/proc/PID/stat`, as proc_pid_stat(5) describes it.

/// What is taken from `/proc/PID/stat`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stat {
    /// Field 2, which may hold spaces and parentheses.
    pub comm: Box<str>,
    /// Field 3: `R`, `S`, `Z` …
    pub state: char,
    /// Field 4.
    pub parent: u32,
    /// Field 9: the kernel's `PF_*` flags.
    pub flags: u32,
    /// Field 20.
    pub threads: u32,
    /// Field 22: clock ticks after boot.
    pub start_ticks: u64,
}

const PF_KTHREAD: u32 = 0x0020_0000;

impl Stat {
    /// Reads the line; `None` if it is not one.
    pub fn parse(line: &[u8]) -> Option<Self> {
        let open = line.iter().position(|&byte| byte == b'(')?;
        let close = line.iter().rposition(|&byte| byte == b')')?;
        let comm = String::from_utf8_lossy(line.get(open + 1..close)?).into();
        let rest = std::str::from_utf8(&line[close + 1..]).ok()?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().take(20).collect();
        // Field 3 of the manual page comes first.
        let field = |number: usize| fields.get(number - 3).copied();
        Some(Self {
            comm,
            state: field(3)?.chars().next()?,
            parent: field(4)?.parse().ok()?,
            flags: field(9)?.parse().ok()?,
            threads: field(20)?.parse().ok()?,
            start_ticks: field(22)?.parse().ok()?,
        })
    }

    /// Whether it is a kernel thread.
    pub fn is_kernel_thread(&self) -> bool {
        self.flags & PF_KTHREAD != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(comm: &str) -> String {
        format!(
            "42 ({comm}) S 7 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 9 0 123456 1000 200 18446744073709551615"
        )
    }

    #[test]
    fn a_name_may_look_like_the_rest_of_the_line() {
        let stat = Stat::parse(line("a) R 1 (b").as_bytes()).expect("a line");
        assert_eq!((&*stat.comm, stat.state, stat.parent), ("a) R 1 (b", 'S', 7));
        assert_eq!((stat.threads, stat.start_ticks), (9, 123_456));
        assert!(!stat.is_kernel_thread());
    }

    #[test]
    fn a_cut_line_is_refused() {
        let line = line("x");
        assert!(Stat::parse(&line.as_bytes()[..40]).is_none());
        assert!(Stat::parse(b") 1 (").is_none());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            Stat::parse(&bytes);
        }

        #[test]
        fn every_name_is_read_back(name in "[ -~]{0,15}") {
            prop_assert_eq!(&*Stat::parse(line(&name).as_bytes()).expect("a line").comm, name);
        }
    }
}
