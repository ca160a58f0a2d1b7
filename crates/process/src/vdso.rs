//! The vDSO: code that the kernel maps into every process.

use crate::{Error, ProcFs, memory_file};
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use telegen_model::Pid;

/// Its name among the mappings.
pub const VDSO: &str = "[vdso]";
/// Bytes of it that are copied at the most; it has two or three pages.
const MAX_BYTES: usize = 1 << 20;
const MEMORY: &str = "/proc/self/mem";

/// A copy of this process's own vDSO, an ELF file. That of any other process of the same class, 64-bit or 32-bit, is the
/// same.
///
/// # Errors
///
/// If this process has none, or may not read its own memory.
pub fn own_vdso() -> Result<File, Error> {
    let failed = |path: &str| {
        let path = path.to_owned();
        move |source| Error::Io { path: path.into(), source }
    };
    let parsed = ProcFs::default().executable_mappings(Pid(std::process::id()))?;
    let mapping = parsed.mappings.iter().find(|mapping| mapping.backing.name() == Some(VDSO));
    let mapping = mapping.ok_or_else(|| Error::Malformed { path: Path::new("/proc/self/maps").into() })?;
    let length = usize::try_from(mapping.end - mapping.start).unwrap_or(MAX_BYTES).min(MAX_BYTES);
    let mut bytes = vec![0; length];
    let memory = File::open(MEMORY).map_err(failed(MEMORY))?;
    memory.read_exact_at(&mut bytes, mapping.start).map_err(failed(MEMORY))?;
    let mut file = memory_file("telegen-vdso").map_err(failed(VDSO))?;
    file.write_all(&bytes).map_err(failed(VDSO))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_an_elf_file_with_the_function_that_reads_clocks() {
        let file = own_vdso().unwrap();
        let mut bytes = vec![0; file.metadata().unwrap().len() as usize];
        file.read_exact_at(&mut bytes, 0).unwrap();
        assert!(bytes.starts_with(b"\x7fELF"));
        let has = |name: &[u8]| bytes.windows(name.len()).any(|window| window == name);
        assert!(has(b"clock_gettime\0"));
    }
}
