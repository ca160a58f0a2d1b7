//! Lists of globs.

use crate::error::Errors;
use crate::glob::Glob;
use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// A list of patterns, compiled. `*`, `?`, `[a-z]`, `[!a-z]` and `{a,b}` mean what they mean to a shell, but `*` and `?`
/// match slashes as well; a backslash takes its meaning from the character behind it. A pattern without any of these
/// matches exactly.
#[derive(Clone, Debug)]
pub(crate) struct Patterns {
    exact: HashMap<Box<str>, u16, FixedState>,
    /// In the order of the list, each with its place there.
    globs: Vec<(u16, Glob)>,
}

impl Patterns {
    /// Patterns that one list may have.
    const MAX: usize = 4096;

    pub(crate) fn compile(patterns: &[String], errors: &mut Errors<'_>) -> Self {
        let mut compiled = Self { exact: HashMap::default(), globs: Vec::new() };
        for (index, pattern) in patterns.iter().enumerate() {
            if let Err(message) = compiled.add(index, pattern) {
                errors.push(index, pattern, message);
            }
            if index >= Self::MAX {
                break;
            }
        }
        compiled
    }

    fn add(&mut self, index: usize, pattern: &str) -> Result<(), String> {
        if index >= Self::MAX {
            return Err(format!("a list may have {} patterns", Self::MAX));
        }
        if pattern.is_empty() {
            return Err("an empty pattern matches nothing".into());
        }
        if Glob::is_glob(pattern) {
            self.globs.push((index as u16, Glob::compile(pattern)?));
        } else {
            self.exact.entry(pattern.into()).or_insert(index as u16);
        }
        Ok(())
    }

    /// The place of the first pattern in the list that matches.
    pub(crate) fn first_match(&self, text: &str) -> Option<u16> {
        let exact = self.exact.get(text).copied();
        let earlier = self.globs.iter().take_while(|&&(place, _)| exact.is_none_or(|exact| place < exact));
        let mut earlier = earlier.filter(|(_, glob)| glob.matches(text)).map(|&(place, _)| place);
        earlier.next().or(exact)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Key, RuleError, TargetId};

    fn try_compile(key: Key, patterns: &[String]) -> (Patterns, Vec<RuleError>) {
        let mut list = Vec::new();
        let mut errors = Errors { target: TargetId::DEFAULT, key, list: &mut list };
        let compiled = Patterns::compile(patterns, &mut errors);
        (compiled, list)
    }

    fn compile(patterns: &[&str]) -> Patterns {
        let patterns: Vec<String> = patterns.iter().map(|&pattern| pattern.into()).collect();
        let (compiled, errors) = try_compile(Key::ProcessNames, &patterns);
        assert_eq!(errors, []);
        compiled
    }

    #[test]
    fn the_first_match_in_the_list_is_named_whatever_its_kind() {
        let patterns = compile(&["py*", "java", "j*", "java"]);
        assert_eq!(patterns.first_match("java"), Some(1));
        assert_eq!(patterns.first_match("jstack"), Some(2));
        assert_eq!(patterns.first_match("python3"), Some(0));
        assert_eq!(patterns.first_match("ruby"), None);
        assert_eq!(compile(&["x*", "j*", "java"]).first_match("java"), Some(1), "the glob stands first");
    }

    #[test]
    fn so_many_patterns_and_no_more() {
        let errors = |count| try_compile(Key::ProcessNames, &vec!["a".into(); count]).1;
        assert_eq!(errors(4_096), []);
        let errors = errors(5_000);
        assert_eq!(
            errors.iter().map(|error| error.place().1).collect::<Vec<_>>(),
            [Some(4_096)],
            "it is said once"
        );
    }

    #[test]
    fn globs_mean_what_the_documentation_says() {
        let matches = |pattern: &str, text: &str| compile(&[pattern]).first_match(text).is_some();
        assert!(matches("/usr/*/java", "/usr/lib/jvm/bin/java"), "a star crosses slashes");
        assert!(matches("python3.{9,11}", "python3.11") && !matches("python3.{9,11}", "python3.10"));
        assert!(matches("worker-[0-9]", "worker-7") && !matches("worker-[0-9]", "worker-77"));
        assert!(matches("j?va", "java") && !matches("j?va", "jva"));
        assert!(matches(r"a\*b", "a*b") && !matches(r"a\*b", "axb"));
        assert!(!matches("/**/b", "/b") && matches("/**/b", "/a/a/b"), "two stars are one");
        assert!(matches(r"a\**", "a*b") && !matches(r"a\**", "ab"), "but not if the first is escaped");
        assert!(!matches("java", "javac") && !matches("java", "JAVA"), "exact without metacharacters");
    }

    #[test]
    fn each_bad_pattern_is_named() {
        let patterns = ["ok".into(), "a[".into(), "{a".into(), String::new()];
        let (_, errors) = try_compile(Key::Executables, &patterns);
        assert_eq!(
            errors.iter().map(|error| error.place().1).collect::<Vec<_>>(),
            [Some(1), Some(2), Some(3)]
        );
        assert!(errors[0].to_string().starts_with("target_executables[1] = \"a[\": "), "{}", errors[0]);
    }
}
