//! What is known of pods, by what a source has told.

mod asked;
mod corpus;
mod store;
mod world;
