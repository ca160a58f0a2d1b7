//! A second, naive implementation of globs: braces are written out, and the rest tries one way after the other.

/// All patterns without braces that a pattern stands for.
fn expand(pattern: &[char]) -> Vec<Vec<char>> {
    let Some(open) = unescaped(pattern, 0, |c| c == '{') else { return vec![pattern.to_vec()] };
    let (mut depth, mut cuts, mut at) = (0, vec![open], open + 1);
    while let Some(next) = unescaped(pattern, at, |c| matches!(c, '{' | ',' | '}')) {
        at = next + 1;
        match pattern[next] {
            '{' => depth += 1,
            ',' if depth == 0 => cuts.push(next),
            '}' if depth == 0 => {
                cuts.push(next);
                break;
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    let alternatives = cuts.windows(2).map(|cut| &pattern[cut[0] + 1..cut[1]]);
    let whole = |alternative: &[char]| [&pattern[..open], alternative, &pattern[at..]].concat();
    alternatives.flat_map(|alternative| expand(&whole(alternative))).collect()
}

/// The first such character from `at` that no backslash stands before, and that is in no class.
fn unescaped(pattern: &[char], mut at: usize, wanted: impl Fn(char) -> bool) -> Option<usize> {
    while at < pattern.len() {
        match pattern[at] {
            c if wanted(c) => return Some(at),
            '\\' => at += 2,
            '[' => at += pattern[at..].iter().position(|&c| c == ']').expect("classes are closed") + 1,
            _ => at += 1,
        }
    }
    None
}

fn glob(pattern: &[char], text: &[char]) -> bool {
    match pattern {
        [] => text.is_empty(),
        ['*', rest @ ..] => (0..=text.len()).any(|skip| glob(rest, &text[skip..])),
        ['?', rest @ ..] => !text.is_empty() && glob(rest, &text[1..]),
        ['[', '!', a, ']', rest @ ..] => text.first().is_some_and(|c| c != a) && glob(rest, &text[1..]),
        ['[', a, '-', b, ']', rest @ ..] => {
            text.first().is_some_and(|c| a <= c && c <= b) && glob(rest, &text[1..])
        }
        ['[', a, b, ']', rest @ ..] => {
            text.first().is_some_and(|c| c == a || c == b) && glob(rest, &text[1..])
        }
        ['\\', c, rest @ ..] | [c, rest @ ..] => text.first() == Some(c) && glob(rest, &text[1..]),
    }
}

/// The place of the first pattern that one of the texts matches.
pub(crate) fn first_match(patterns: &[String], texts: &[&str]) -> Option<u16> {
    let matches = |pattern: &String| {
        let globs = expand(&pattern.chars().collect::<Vec<_>>());
        let texts = texts.iter().map(|text| text.chars().collect::<Vec<_>>());
        texts.into_iter().any(|text| globs.iter().any(|pattern| glob(pattern, &text)))
    };
    patterns.iter().position(matches).map(|index| index as u16)
}
