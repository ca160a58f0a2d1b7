//! What the HTTP side sees of the agent.

use crate::engine::{Engine, Observer, SelectionReader};
use crate::http::{Health, Profiler, Unavailable};
use crate::metrics::Metrics;
use std::sync::{Arc, Mutex, PoisonError};

/// What the HTTP side sees of the agent.
pub(super) struct State {
    metrics: Arc<Metrics>,
    running: Mutex<Option<Running>>,
}

/// Whether there is something to be ready.
#[derive(Clone)]
enum Running {
    Profiling(Observer, SelectionReader),
    /// `enabled: false`
    Disabled,
}

impl State {
    /// Nothing runs yet.
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics, running: Mutex::new(None) }
    }

    /// This engine runs.
    pub(super) fn set_profiling(&self, engine: &Engine) {
        self.set(Some(Running::Profiling(engine.observe(), engine.reader())));
    }

    /// Nothing runs, and nothing shall.
    pub(super) fn set_disabled(&self) {
        self.set(Some(Running::Disabled));
    }

    /// The engine is about to stop: it waits for those who read from it.
    pub(super) fn set_stopping(&self) {
        self.set(None);
    }

    fn set(&self, running: Option<Running>) {
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = running;
    }

    fn get(&self) -> Option<Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Health for State {
    fn ready(&self) -> Result<(), String> {
        match self.get() {
            Some(Running::Profiling(observer, _)) => observer.awaited().map_or(Ok(()), Err),
            Some(Running::Disabled) => Ok(()),
            None => Err("programs are not attached, or the first scan is not done".into()),
        }
    }

    fn metrics(&self) -> String {
        if let Some(Running::Profiling(observer, _)) = self.get() {
            observer.refresh();
        }
        self.metrics.render()
    }
}

impl Profiler for State {
    fn selection(&self) -> Result<SelectionReader, Unavailable> {
        match self.get() {
            Some(Running::Profiling(_, reader)) => Ok(reader),
            Some(Running::Disabled) => Err(Unavailable::Disabled),
            None => Err(Unavailable::Starting),
        }
    }
}
