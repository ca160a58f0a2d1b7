//! Tests of the server itself: it is held to recorded answers of a real one, and to what is published.

#![allow(clippy::unwrap_used, reason = "this is all test code")]

mod answers;
mod client;
mod faults;
mod files;
mod kubelet;
mod lists;
mod outages;
mod shapes;
mod users;
mod watches;
