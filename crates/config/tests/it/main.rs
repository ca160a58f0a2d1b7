//! The crate as its users see it.

mod hostile;
mod messages;
mod reference;
mod shown;
mod values;
