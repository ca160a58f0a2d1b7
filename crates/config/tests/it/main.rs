//! The crate as its users see it.

mod hostile;
mod messages;
mod shown;
mod values;
