//! Lists in one argument: `java,python3.{9,11}`.

/// Splits at commas, but not at those between braces or brackets, nor behind a backslash. Empty pieces are dropped.
pub(crate) fn split(text: &str) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let (mut depth, mut escaped) = (0usize, false);
    for c in text.chars() {
        match c {
            '{' | '[' if !escaped => depth += 1,
            '}' | ']' if !escaped => depth = depth.saturating_sub(1),
            ',' if !escaped && depth == 0 => {
                pieces.push(String::new());
                continue;
            }
            _ => {}
        }
        escaped = c == '\\' && !escaped;
        if let Some(piece) = pieces.last_mut() {
            piece.push(c);
        }
    }
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

/// A piece as it would be written on a command line of a POSIX shell.
pub(crate) fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.into()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_between_braces_belong_to_the_pattern() {
        assert_eq!(split("a,b{c,d},e"), ["a", "b{c,d}", "e"]);
        assert_eq!(split("[,],x"), ["[,]", "x"]);
        assert_eq!(split(r"a\,b,c"), [r"a\,b", "c"]);
        assert_eq!(split(",a,,"), ["a"]);
    }

    #[test]
    fn a_shell_reads_back_what_was_quoted() {
        assert_eq!(quoted("java"), "java");
        assert_eq!(quoted("/opt/*"), "'/opt/*'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
