//! An interval's frames get their names.

use crate::interval::{Frame, Interval, Marker, Row};
use crate::module::Module;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use std::collections::BTreeMap;
use telegen_model::{
    Function, LabelSetId, LabelValue, Line, Location, LocationId, LocationKind, Mapping, MappingId, Profile,
    ProfileBuilder, ProfileKind, StringId, base_name,
};
use telegen_symbolize::{KernelSymbols, Symbolizer};

/// Labels that every sample gets beside those of its process: `host.name`, `external_labels`.
pub type ExtraLabels = BTreeMap<String, String>;

/// Turns intervals into profiles. One thread owns it, and with it the symbols.
pub struct ProfileAssembler {
    symbolizer: Symbolizer,
    kernel: Option<KernelSymbols>,
    labels: ExtraLabels,
}
