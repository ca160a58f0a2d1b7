//! One pattern with wildcards.

use std::str::Chars;

/// A compiled glob, over characters and not bytes. Globs of file names (the crate `globset`) differ in what matters
/// here: to them `?` is a byte, `**` is special, and an empty alternative is none.
///
/// A match takes at most as many steps as the pattern and the text have characters, multiplied; nothing is exponential
/// and nothing recurses.
#[derive(Clone, Debug)]
pub(crate) struct Glob {
    steps: Box<[Step]>,
    has_alternatives: bool,
}

#[derive(Clone, Debug)]
enum Step {
    Char(char),
    /// `?`
    Any,
    /// `*`
    Star,
    /// `[a-z]`: ranges, both ends included.
    Class {
        negated: bool,
        ranges: Box<[(char, char)]>,
    },
    /// Goes on with the next step, and with this one.
    Fork(usize),
    /// Goes on elsewhere.
    Jump(usize),
}

/// Braces that have been opened: the fork in front of the present alternative, and the jumps at the ends of the earlier
/// ones.
struct Braces {
    fork: usize,
    jumps: Vec<usize>,
}

impl Glob {
    /// Characters that a pattern may have: a path has at most 4,096 bytes.
    const MOST_CHARS: usize = 4096;

    /// Whether a pattern has anything but characters that stand for themselves.
    pub(crate) fn is_glob(pattern: &str) -> bool {
        pattern.contains(['*', '?', '[', '{', '}', '\\'])
    }

    /// Compiles a pattern, or says what is wrong with it.
    pub(crate) fn compile(pattern: &str) -> Result<Self, String> {
        if pattern.chars().nth(Self::MOST_CHARS).is_some() {
            return Err(format!("a pattern may have {} characters", Self::MOST_CHARS));
        }
        let (mut steps, mut open) = (Vec::new(), Vec::<Braces>::new());
        let mut has_alternatives = false;
        let mut chars = pattern.chars();
        while let Some(c) = chars.next() {
            let step = match (c, open.last_mut()) {
                ('?', _) => Step::Any,
                ('*', _) => Step::Star,
                ('[', _) => class(&mut chars)?,
                ('\\', _) => Step::Char(chars.next().ok_or("a backslash with nothing behind it")?),
                ('{', _) => {
                    open.push(Braces { fork: steps.len(), jumps: Vec::new() });
                    has_alternatives = true;
                    Step::Fork(0)
                }
                (',', Some(braces)) => {
                    braces.jumps.push(steps.len());
                    steps.push(Step::Jump(0));
                    steps[braces.fork] = Step::Fork(steps.len());
                    braces.fork = steps.len();
                    Step::Fork(0)
                }
                ('}', _) => {
                    close(open.pop().ok_or("'}' without a '{'")?, &mut steps);
                    continue;
                }
                _ => Step::Char(c),
            };
            steps.push(step);
        }
        if !open.is_empty() {
            return Err("'{' without a '}'".into());
        }
        Ok(Self { steps: steps.into(), has_alternatives })
    }

    pub(crate) fn matches(&self, text: &str) -> bool {
        if self.has_alternatives { self.matches_in_step(text) } else { self.matches_in_line(text) }
    }

    /// Without alternatives it is enough to remember the last star, and to let it take one character more whenever
    /// what is behind it does not fit.
    fn matches_in_line(&self, text: &str) -> bool {
        let (mut at, mut rest) = (0, text.chars());
        let mut star: Option<(usize, Chars<'_>)> = None;
        loop {
            let mut next = rest.clone();
            match (self.steps.get(at), next.next()) {
                (Some(Step::Star), _) => {
                    at += 1;
                    star = Some((at, rest.clone()));
                    continue;
                }
                (Some(step), Some(c)) if step.takes(c) => {
                    at += 1;
                    rest = next;
                    continue;
                }
                (None, None) => return true,
                // A star cannot find more where the text is at its end.
                (Some(_), None) => return false,
                _ => {}
            }
            let Some((behind, taken)) = &mut star else { return false };
            taken.next();
            (at, rest) = (*behind, taken.clone());
        }
    }

    /// All ways through the pattern at once, one character of the text after the other.
    fn matches_in_step(&self, text: &str) -> bool {
        let mut now = Places::new(self.steps.len());
        let mut next = Places::new(self.steps.len());
        now.reach(0, &self.steps);
        for c in text.chars() {
            for &place in &now.reached {
                match &self.steps.get(place) {
                    Some(Step::Star) => next.reach(place, &self.steps),
                    Some(step) if step.takes(c) => next.reach(place + 1, &self.steps),
                    _ => {}
                }
            }
            if next.reached.is_empty() {
                return false;
            }
            std::mem::swap(&mut now, &mut next);
            next.clear();
        }
        now.there[self.steps.len()]
    }
}

impl Step {
    /// Whether it takes this one character, and is done.
    fn takes(&self, c: char) -> bool {
        match self {
            Self::Char(own) => *own == c,
            Self::Any => true,
            Self::Class { negated, ranges } => {
                ranges.iter().any(|&(first, last)| (first..=last).contains(&c)) != *negated
            }
            Self::Star | Self::Fork(_) | Self::Jump(_) => false,
        }
    }
}

/// A set of places in a pattern; the place behind the last step is the match.
struct Places {
    reached: Vec<usize>,
    there: Vec<bool>,
    ahead: Vec<usize>,
}

impl Places {
    fn new(steps: usize) -> Self {
        Self { reached: Vec::new(), there: vec![false; steps + 1], ahead: Vec::new() }
    }

    /// Adds a place, and those that are reached from it without a character.
    fn reach(&mut self, place: usize, steps: &[Step]) {
        self.ahead.push(place);
        while let Some(place) = self.ahead.pop() {
            if std::mem::replace(&mut self.there[place], true) {
                continue;
            }
            self.reached.push(place);
            match steps.get(place) {
                Some(Step::Star) => self.ahead.push(place + 1),
                Some(Step::Jump(to)) => self.ahead.push(*to),
                Some(Step::Fork(to)) => self.ahead.extend([place + 1, *to]),
                _ => {}
            }
        }
    }

    fn clear(&mut self) {
        for place in self.reached.drain(..) {
            self.there[place] = false;
        }
    }
}

/// The last alternative has no other; all end here.
fn close(braces: Braces, steps: &mut [Step]) {
    let end = steps.len();
    steps[braces.fork] = Step::Jump(braces.fork + 1);
    for jump in braces.jumps {
        steps[jump] = Step::Jump(end);
    }
}

/// The rest of a class, behind its bracket. As in a shell, a `]` or a `-` that comes first and a `-` that comes last
/// stand for themselves.
fn class(chars: &mut Chars<'_>) -> Result<Step, String> {
    const UNCLOSED: &str = "'[' without a ']'";
    let mut ranges = Vec::new();
    let negated = chars.as_str().starts_with(['!', '^']);
    if negated {
        chars.next();
    }
    loop {
        let first = match chars.next().ok_or(UNCLOSED)? {
            ']' if !ranges.is_empty() => return Ok(Step::Class { negated, ranges: ranges.into() }),
            '\\' => chars.next().ok_or(UNCLOSED)?,
            c => c,
        };
        let is_range = chars.as_str().starts_with('-') && !chars.as_str().starts_with("-]");
        if !is_range {
            ranges.push((first, first));
            continue;
        }
        chars.next();
        let last = match chars.next().ok_or(UNCLOSED)? {
            '\\' => chars.next().ok_or(UNCLOSED)?,
            c => c,
        };
        if first > last {
            return Err(format!("the range '{first}-{last}' is the wrong way round"));
        }
        ranges.push((first, last));
    }
}
