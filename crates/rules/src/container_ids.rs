//! Lists of container ids.

use crate::error::Errors;
use telegen_model::ContainerId;

/// A list of container ids, in full or their first digits.
#[derive(Clone, Debug)]
pub(crate) struct ContainerIds(Vec<Box<str>>);

impl ContainerIds {
    /// Ids that one list may have; places are told in 16 bits.
    const MAX: usize = 4096;

    pub(crate) fn compile(ids: &[String], errors: &mut Errors<'_>) -> Self {
        for (index, id) in ids.iter().enumerate() {
            if let Err(message) = check(index, id) {
                errors.push(index, id, message);
            }
            if index >= Self::MAX {
                break;
            }
        }
        Self(ids.iter().map(|id| id.to_ascii_lowercase().into()).collect())
    }

    /// The place of the first id in the list that is this one, or its beginning.
    pub(crate) fn first_match(&self, id: &ContainerId) -> Option<u16> {
        self.0.iter().position(|prefix| id.as_str().starts_with(&**prefix)).map(|index| index as u16)
    }
}

fn check(index: usize, id: &str) -> Result<(), String> {
    if index >= ContainerIds::MAX {
        return Err(format!("a list may have {} container ids", ContainerIds::MAX));
    }
    let range = ContainerId::MIN_DIGITS..=ContainerId::DIGITS;
    if range.contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(());
    }
    Err(format!(
        "a container id is {} hexadecimal digits, of which the first {} are enough",
        ContainerId::DIGITS,
        ContainerId::MIN_DIGITS
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Key, RuleError, TargetId};

    fn compile(ids: &[String]) -> (ContainerIds, Vec<RuleError>) {
        let mut list = Vec::new();
        let mut errors = Errors { target: TargetId::DEFAULT, key: Key::ContainerIds, list: &mut list };
        let compiled = ContainerIds::compile(ids, &mut errors);
        (compiled, list)
    }

    #[test]
    fn the_first_id_that_is_a_beginning_is_named() {
        let whole = "0123456789abcdef".repeat(4);
        let id = ContainerId::new(&whole).expect("an id");
        let first = |ids: &[&str]| {
            let ids: Vec<String> = ids.iter().map(|&id| id.into()).collect();
            let (compiled, errors) = compile(&ids);
            assert_eq!(errors, []);
            compiled.first_match(&id)
        };
        assert_eq!(first(&["fedcba987654", "0123456789ab", &whole]), Some(1));
        assert_eq!(first(&[&whole, "0123456789ab"]), Some(0));
        assert_eq!(first(&["0123456789AB"]), Some(0), "in either case");
        assert_eq!(first(&["123456789abc", "0123456789ac"]), None);
        assert_eq!(first(&[]), None);
    }

    #[test]
    fn what_is_no_id_is_named() {
        let digits = |count: usize| "a".repeat(count);
        let ids = [digits(12), digits(11), digits(64), digits(65), "g".repeat(12), String::new(), digits(13)];
        let (_, errors) = compile(&ids);
        let places: Vec<_> = errors.iter().map(|error| error.place().1).collect();
        assert_eq!(places, [Some(1), Some(3), Some(4), Some(5)]);
    }

    #[test]
    fn so_many_ids_and_no_more() {
        let ids = |count| vec!["a".repeat(12); count];
        assert_eq!(compile(&ids(4_096)).1, []);
        let errors = compile(&ids(5_000)).1;
        assert_eq!(
            errors.iter().map(|error| error.place().1).collect::<Vec<_>>(),
            [Some(4_096)],
            "it is said once"
        );
    }
}
