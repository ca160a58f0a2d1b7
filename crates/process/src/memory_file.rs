//! Files that are nothing but memory.

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::Errno;
use std::fs::File;
use std::io;

/// An empty file in memory, which goes with its last descriptor. Its name is for whoever looks into /proc.
///
/// # Errors
///
/// What the kernel says, such as that there is no memory.
pub fn memory_file(name: &str) -> io::Result<File> {
    // Where vm.memfd_noexec is 2 there are no others; before Linux 6.3 there are none such.
    let made = match memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::NOEXEC_SEAL) {
        Err(Errno::INVAL) => memfd_create(name, MemfdFlags::CLOEXEC),
        made => made,
    };
    Ok(made?.into())
}
