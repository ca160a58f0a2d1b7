//! Which of the rules the kernel side can evaluate, and how far down the list of targets.

use super::{KernelRule, PatternForm, Subject};
use crate::compiled_target::CompiledTarget;
use crate::glob::Glob;
use crate::{Key, MatchMode, PodAnnotations, RuleSet, RuleSpec, TargetId};

/// The rules, exclusions first, and whether nothing else can select a process; `None` if there is an exclusion by name or
/// path that the kernel cannot evaluate, so that nothing is sure.
pub(super) fn translate(rules: &RuleSet) -> Option<(Vec<KernelRule>, bool)> {
    if rules.spec().pod_annotations != PodAnnotations::Off {
        return None;
    }
    let flat = exclusions(&rules.spec().rules)?;
    let mut translated = flat.rules;
    let (mut includes, mut knows_inclusions) = (Vec::new(), true);
    for target in rules.live() {
        knows_inclusions = false;
        // An exclusion by what the kernel does not see could take any yes back.
        if flat.has_hidden {
            break;
        }
        let spec = rules.spec_of(target.target.id)?;
        if target.target.id != TargetId::DEFAULT {
            // Some of what this target matches is not its own, and only the whole rules can tell.
            let Some(own) = exclusions(spec).filter(|own| !own.has_hidden) else { break };
            // They hold for this target alone; that they silence the others, too, is on the safe side.
            translated.extend(own.rules);
        }
        let (patterns, knows_all) = of_target(target, spec);
        includes.extend(patterns);
        if !knows_all {
            // What comes later could be this one's.
            break;
        }
        knows_inclusions = true;
    }
    translated.extend(includes);
    Some((translated, knows_inclusions))
}

/// The exclusions under the keys of a target.
pub(super) struct Exclusions {
    /// Those by name and path.
    rules: Vec<KernelRule>,
    /// Whether there are others.
    has_hidden: bool,
}

impl Exclusions {
    /// Whether there is any.
    pub(super) fn has_any(&self) -> bool {
        self.has_hidden || !self.rules.is_empty()
    }
}

/// `None` if one is by name or path and too much for the kernel.
pub(super) fn exclusions(spec: &RuleSpec) -> Option<Exclusions> {
    let mut found = Exclusions { rules: Vec::new(), has_hidden: false };
    for &key in Key::ALL.iter().filter(|&&key| key.is_exclusion() && spec.has(key)) {
        let Some(subject) = subject(key) else {
            found.has_hidden = true;
            continue;
        };
        for pattern in spec.patterns(key) {
            let (form, text) = simple(pattern)?;
            let (text, target) = (text.into(), TargetId::DEFAULT);
            found.rules.push(KernelRule { subject, form, text, exclude: true, target, needs: 0 });
        }
    }
    Some(found)
}

/// The include rules of a target that the kernel can evaluate, as far as they can lead to a yes; and whether they are
/// all there is to know of whom it selects.
fn of_target(target: &CompiledTarget, spec: &RuleSpec) -> (Vec<KernelRule>, bool) {
    let id = target.target.id;
    let rule = |subject: Subject, (form, text): (PatternForm, &str), needs: u8| KernelRule {
        subject,
        form,
        text: text.into(),
        exclude: false,
        target: id,
        needs,
    };
    if target.includes_everything() {
        return (vec![rule(Subject::Name, (PatternForm::Prefix, ""), Subject::Name.bit())], true);
    }
    let mut knows_all = target.pids.is_empty();
    let keys: Vec<Key> = target.includes.iter().map(|rule| rule.key).collect();
    let types = keys.iter().filter_map(|&key| subject(key)).fold(0, |bits, subject| bits | subject.bit());
    let all = target.mode == Some(MatchMode::All);
    let mut rules = Vec::new();
    for key in keys {
        let Some(subject) = subject(key) else {
            knows_all = false;
            continue;
        };
        for pattern in spec.patterns(key) {
            match simple(pattern) {
                Some(simple) => rules.push(rule(subject, simple, if all { types } else { subject.bit() })),
                None => knows_all = false,
            }
        }
    }
    // Of types that must all match, one is hidden.
    let hidden = all && target.includes.iter().any(|rule| subject(rule.key).is_none());
    (if hidden { Vec::new() } else { rules }, knows_all)
}

/// What the kernel would compare the patterns of a key with.
pub(super) fn subject(key: Key) -> Option<Subject> {
    match key {
        Key::ProcessNames | Key::ExcludeProcessNames => Some(Subject::Name),
        Key::Executables | Key::ExcludeExecutables => Some(Subject::Path),
        _ => None,
    }
}

/// A pattern that is exact, or has one star at its beginning or its end.
///
/// One with the character that stands for what is not UTF-8 is none: the kernel compares bytes.
fn simple(pattern: &str) -> Option<(PatternForm, &str)> {
    let (form, text) = match (pattern.strip_suffix('*'), pattern.strip_prefix('*')) {
        (Some(text), _) => (PatternForm::Prefix, text),
        (None, Some(text)) => (PatternForm::Suffix, text),
        (None, None) => (PatternForm::Exact, pattern),
    };
    let is_simple = !Glob::is_glob(text)
        && text.len() <= KernelRule::MAX_BYTES
        && !text.contains(char::REPLACEMENT_CHARACTER);
    is_simple.then_some((form, text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use PatternForm::{Exact, Prefix, Suffix};

    #[test]
    fn one_star_at_an_end_is_simple() {
        assert_eq!(simple("java"), Some((Exact, "java")));
        assert_eq!(simple("py*"), Some((Prefix, "py")));
        assert_eq!(simple("*py"), Some((Suffix, "py")));
        assert_eq!(simple("*"), Some((Prefix, "")));
        for pattern in ["**", "a*b", "*a*", "a?", "[a]*", "{a,b}", r"\*", r"a\*", "a\u{fffd}"] {
            assert_eq!(simple(pattern), None, "{pattern}");
        }
        assert!(simple(&"a".repeat(63)).is_some() && simple(&"a".repeat(64)).is_none());
    }
}
