//! What a misspelt word was meant to be.

/// Words longer than this are no misspelling of anything.
const LONGEST: usize = 64;

/// The candidate that is fewest edits away from `word`, if it is near enough to be meant.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word: Vec<char> = word.chars().take(LONGEST + 1).flat_map(char::to_lowercase).collect();
    if word.len() > LONGEST {
        return None;
    }
    // One slip in a short word, one in three letters of a longer one.
    let tolerable = |candidate: &str| (word.len().max(candidate.len()) / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (distance(&word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= tolerable(candidate))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// How many insertions, deletions, replacements and swaps of neighbours turn one word into the other (the
/// "optimal string alignment" variant of Damerau and Levenshtein's distance).
fn distance(word: &[char], candidate: &str) -> usize {
    let candidate: Vec<char> = candidate.chars().collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=candidate.len()).collect();
    for (row, a) in word.iter().enumerate() {
        let mut current = Vec::with_capacity(candidate.len() + 1);
        current.push(row + 1);
        for (column, b) in candidate.iter().enumerate() {
            let replaced = last[column] + usize::from(a != b);
            let mut best = replaced.min(last[column + 1] + 1).min(current[column] + 1);
            if row > 0 && column > 0 && *a == candidate[column - 1] && word[row - 1] == *b {
                best = best.min(before_last[column - 1] + 1);
            }
            current.push(best);
        }
        before_last = std::mem::replace(&mut last, current);
    }
    last[candidate.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_seen_through() {
        let keys = ["enabled", "match", "target_process_names", "target_pid", "target_pids"];
        for (word, meant) in [
            ("target_proces_names", "target_process_names"),
            ("enable", "enabled"),
            ("mathc", "match"),
            ("target-pids", "target_pids"),
            ("Enabled", "enabled"),
        ] {
            assert_eq!(nearest(word, keys), Some(meant), "{word}");
        }
    }

    #[test]
    fn something_else_altogether_is_not_guessed_at() {
        assert_eq!(nearest("colour", ["enabled", "match", "cpu"]), None);
        assert_eq!(nearest(&"enabled".repeat(1_000), ["enabled"]), None);
        assert_eq!(nearest("", ["enabled"]), None);
    }

    #[test]
    fn distances_are_those_of_the_definition() {
        let distance = |a: &str, b: &str| distance(&a.chars().collect::<Vec<_>>(), b);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "abc"), 0);
        assert_eq!(distance("acb", "abc"), 1);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
