//! Globs, by trying everything.

/// Whether `pattern` matches the whole of `text`.
pub(super) fn matches(pattern: &[char], text: &[char]) -> bool {
    let Some((&first, rest)) = pattern.split_first() else { return text.is_empty() };
    match first {
        '*' => (0..=text.len()).any(|taken| matches(rest, &text[taken..])),
        '?' => !text.is_empty() && matches(rest, &text[1..]),
        '[' => {
            let end = rest.iter().position(|&c| c == ']').expect("a class that ends");
            let Some((&c, behind)) = text.split_first() else { return false };
            in_class(&rest[..end], c) && matches(&rest[end + 1..], behind)
        }
        '{' => {
            let end = rest.iter().position(|&c| c == '}').expect("a choice that ends");
            rest[..end].split(|&c| c == ',').any(|choice| matches(&[choice, &rest[end + 1..]].concat(), text))
        }
        _ => text.first() == Some(&first) && matches(rest, &text[1..]),
    }
}

fn in_class(class: &[char], c: char) -> bool {
    match *class {
        [] => false,
        [low, '-', high, ref rest @ ..] => (low <= c && c <= high) || in_class(rest, c),
        [one, ref rest @ ..] => one == c || in_class(rest, c),
    }
}

/// The same for texts.
pub(super) fn glob(pattern: &str, text: &str) -> bool {
    matches(&pattern.chars().collect::<Vec<_>>(), &text.chars().collect::<Vec<_>>())
}

#[test]
fn every_form_means_what_it_should() {
    for (pattern, text, expected) in [
        ("java", "java", true),
        ("java", "javac", false),
        ("j*a", "java", true),
        ("/usr/*", "/usr/bin/java", true),
        ("j?va", "java", true),
        ("j?va", "jva", false),
        ("[i-k]ava", "java", true),
        ("{py,ja}*", "java", true),
        ("{py,go}*", "java", false),
    ] {
        assert_eq!(glob(pattern, text), expected, "{pattern} on {text}");
    }
}
