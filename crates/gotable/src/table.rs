//! Where the table of a file is, and where its functions begin.

use crate::header::{Header, Version};
use crate::module_data::{self, ModuleData};
use crate::{Error, Image, find};

/// Where the table of a file is.
#[derive(Clone, Debug)]
pub struct Table {
    /// Where in the file it begins.
    pub offset: u64,
    /// Bytes up to the end of its section, or of the segment.
    pub length: u64,
    /// Its first bytes.
    pub header: Header,
    /// The address that functions are counted from.
    pub text: u64,
    /// What the run time knows of the program by, if it was found.
    pub module: Option<ModuleData>,
}

impl Table {
    /// Finds the table of a file; `None` if it is no Go program's.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or has a table that cannot be understood.
    pub fn find(image: &impl Image) -> Result<Option<Self>, Error> {
        let Some((offset, length, header)) = find::header(image)? else { return Ok(None) };
        let address = image.address_of(offset).ok_or(Error::Table("it is in no segment"))?;
        let module = module_data::find(image, address, &header)?;
        let text = module.as_ref().map_or(header.text, |module| module.text);
        if text == 0 && header.version != Version::Go116 {
            return Err(Error::Table("where its functions begin is not known"));
        }
        Ok(Some(Self { offset, length, header, text, module }))
    }
}
