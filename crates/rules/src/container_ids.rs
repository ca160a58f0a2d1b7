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
