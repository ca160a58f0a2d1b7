//! What is known of pods, by what a source has told.

mod corpus;
mod store;
