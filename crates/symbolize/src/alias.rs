//! Which of several names for one place is shown.

use std::cmp::Ordering;

/// How far the name of a symbol is valid, the better to show the greater.
///
/// The order is perf's (`choose_best_symbol` in tools/perf/util/symbol.c): one that another may take the place of is a
/// worse name than a private one, and that is worse than one that all may see.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Reach {
    Weak,
    Local,
    Global,
}

/// Whether `one` is the better name than `other`, where their reach is the same: fewer underscores in front, then more
/// letters. Of equals the first stays.
pub(crate) fn compare(one: &[u8], other: &[u8]) -> Ordering {
    let underscores = |name: &[u8]| name.iter().take_while(|&&byte| byte == b'_').count();
    underscores(other).cmp(&underscores(one)).then(one.len().cmp(&other.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_better_name_is_what_perf_would_show() {
        assert!(Reach::Global > Reach::Local && Reach::Local > Reach::Weak);
        assert_eq!(compare(b"write", b"__write"), Ordering::Greater);
        assert_eq!(compare(b"_text", b"_stext"), Ordering::Less);
        assert_eq!(compare(b"one", b"two"), Ordering::Equal);
    }
}
