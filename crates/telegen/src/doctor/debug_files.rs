//! Who is asked for debug files that this machine does not have.

use super::{Finding, Health, finding};
use crate::settings::{Settings, config_file};
use std::path::Path;
use telegen_config::Rules;
use telegen_debuginfod::DebugInfod;

const COST: &str = "binaries without symbols are named from debug files of this machine only";

pub(super) fn findings(config: Option<&Path>) -> Vec<Finding> {
    let settings = Settings::load(config_file(config), &Rules::default());
    let found = match settings.and_then(|settings| settings.debuginfod()) {
        Err(failure) => finding("debuginfod", Health::Degraded, failure.to_string(), COST),
        Ok(None) => finding("debuginfod", Health::Ok, "no server is asked", ""),
        // It is not asked anything: what it would say of one build says nothing of the next.
        Ok(Some(options)) => match DebugInfod::start(&options) {
            Ok(_) => finding("debuginfod", Health::Ok, options.urls.join(", "), ""),
            Err(error) => finding("debuginfod", Health::Degraded, error.to_string(), COST),
        },
    };
    vec![found]
}
