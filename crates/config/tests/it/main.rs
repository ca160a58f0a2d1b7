//! The crate as its users see it.

mod reference;
mod hostile;
mod messages;
mod shown;
mod values;
