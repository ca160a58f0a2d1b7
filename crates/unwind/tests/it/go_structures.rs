//! Where Go's run time keeps what, by the debug information of a program.

use gimli::{DwarfSections, EndianSlice, LittleEndian};
use object::{Object, ObjectSection};
use std::borrow::Cow;
use std::collections::HashMap;

/// Fields of the structures of these names, by the names of both, with their offsets.
pub(crate) fn fields(file: &object::File<'_>, structures: &[&str]) -> HashMap<(String, String), u64> {
    let section = |id: gimli::SectionId| -> gimli::Result<Cow<'_, [u8]>> {
        let section = file.section_by_name(id.name());
        Ok(section.map_or(Cow::Borrowed(&[][..]), |section| section.uncompressed_data().expect("its bytes")))
    };
    let sections = DwarfSections::load(section).expect("debug information");
    let dwarf = sections.borrow(|section| EndianSlice::new(section, LittleEndian));
    let mut fields = HashMap::new();
    let mut units = dwarf.units();
    while let Some(header) = units.next().expect("a unit") {
        let unit = dwarf.unit(header).expect("a unit");
        let mut tree = unit.entries_tree(None).expect("its entries");
        let mut children = tree.root().expect("the unit's own").children();
        while let Some(child) = children.next().expect("an entry") {
            let name = |entry: &gimli::DebuggingInformationEntry<_>| -> Option<String> {
                let name = dwarf.attr_string(&unit, entry.attr_value(gimli::DW_AT_name)?).ok()?;
                Some(name.to_string_lossy().into_owned())
            };
            let of = name(child.entry()).filter(|name| structures.contains(&name.as_str()));
            let Some(structure) = of else { continue };
            let mut members = child.children();
            while let Some(member) = members.next().expect("a field") {
                let place = member.entry().attr_value(gimli::DW_AT_data_member_location);
                if let Some((field, place)) =
                    name(member.entry()).zip(place.and_then(|place| place.udata_value()))
                {
                    fields.insert((structure.clone(), field), place);
                }
            }
        }
    }
    fields
}
