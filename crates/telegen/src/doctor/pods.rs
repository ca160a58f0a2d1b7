//! What pods are known from.

use super::{Finding, Health, finding};
use crate::pods::{Look, Need, described};
use crate::settings::{Settings, config_file};
use std::path::Path;
use telegen_config::Rules;

const COST: &str = "rules on pods match nothing, and samples do not say which pod they are of";

/// Asks the source that the configuration names.
pub(super) fn findings(config: Option<&Path>) -> Vec<Finding> {
    let settings = Settings::load(config_file(config), &Rules::default());
    let options = settings.and_then(|settings| settings.kubernetes());
    let found = match options {
        Err(failure) => finding("pods", Health::Degraded, failure.to_string(), COST),
        Ok(None) => finding("pods", Health::Ok, described(None), ""),
        Ok(Some(options)) => {
            let described = described(Some(&options));
            match Look::new(Some(options)).wait(Need::Decides) {
                Ok(()) => finding("pods", Health::Ok, described, ""),
                Err(missing) => finding("pods", Health::Degraded, missing, COST),
            }
        }
    };
    vec![found]
}
