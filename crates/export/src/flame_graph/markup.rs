//! Text in XML and HTML.

use std::fmt::{self, Display, Write as _};

/// Text between tags, or in the quotes of an attribute.
///
/// It is to have gone through [`Printable`](crate::Printable), which takes out the characters that XML 1.0 has no way
/// to write.
pub(super) struct Markup<'a>(pub(super) &'a str);

impl Display for Markup<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            c => f.write_char(c),
        })
    }
}
