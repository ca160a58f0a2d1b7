//! HTTP: what the agent answers, on one thread of its own.

mod access;
mod answer;
mod api;
mod connection;
mod health;
mod host;
mod peers;
mod pieces;
mod query;
mod server;
mod targets;
mod transport;

pub(crate) use access::{Access, Whom};
pub(crate) use api::{Profiler, Unavailable, api};
pub(crate) use health::{Health, health};
pub(crate) use server::{HttpServer, Site};
