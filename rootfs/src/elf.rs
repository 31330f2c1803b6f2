//! What an ELF program or library needs to run, read from its headers.

use object::elf::{self, FileHeader64};
use object::read::elf::{Dyn, FileHeader, ProgramHeader, SectionTable};
use object::{Endianness, StringTable};

type Header = FileHeader64<Endianness>;

/// A version of another library's symbols.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version {
    /// The soname of the library.
    pub(crate) library: String,
    /// The version, such as `GLIBC_2.34`.
    pub(crate) name: String,
}

/// What a dynamic program or library needs, and what it gives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Elf {
    /// The program interpreter.
    pub(crate) interpreter: Option<String>,
    /// The sonames of the libraries it is linked against.
    pub(crate) needed: Vec<String>,
    /// Directories in which its libraries are looked for first; may begin with `$ORIGIN`.
    pub(crate) search: Vec<String>,
    /// The symbol versions it needs of them.
    pub(crate) versions_needed: Vec<Version>,
    /// The symbol versions it defines: none when it has none at all.
    pub(crate) versions_defined: Vec<String>,
}

/// Reads a file's headers: `None` when it is not an ELF program or library (kernel modules are neither).
pub(crate) fn read(bytes: &[u8]) -> Result<Option<Elf>, String> {
    if !bytes.starts_with(&elf::ELFMAG) {
        return Ok(None);
    }
    let header = Header::parse(bytes).map_err(|_| "it is not a program for x86-64".to_owned())?;
    let endian = header.endian().map_err(|error| error.to_string())?;
    match header.e_type(endian) {
        elf::ET_EXEC | elf::ET_DYN => {}
        _ => return Ok(None),
    }
    if header.e_machine(endian) != elf::EM_X86_64 {
        return Err("it is not a program for x86-64".to_owned());
    }
    dynamic(header, endian, bytes).map(Some).map_err(|error| format!("its ELF headers are damaged: {error}"))
}

fn dynamic(header: &Header, endian: Endianness, bytes: &[u8]) -> object::read::Result<Elf> {
    let mut found = Elf::default();
    for segment in header.program_headers(endian, bytes)? {
        if let Some(path) = segment.interpreter(endian, bytes)? {
            found.interpreter = Some(text(path));
        }
    }
    let sections = header.sections(endian, bytes)?;
    let Some((entries, strings)) = sections.dynamic(endian, bytes)? else {
        return Ok(found);
    };
    let strings = sections.strings(endian, bytes, strings)?;
    for entry in entries {
        let Ok(tag) = u32::try_from(entry.d_tag.get(endian)) else { continue };
        match tag {
            elf::DT_NEEDED => found.needed.push(text(entry.string(endian, strings)?)),
            elf::DT_RPATH | elf::DT_RUNPATH => {
                let list = text(entry.string(endian, strings)?);
                found.search.extend(list.split(':').filter(|path| !path.is_empty()).map(str::to_owned));
            }
            _ => {}
        }
    }
    versions(&sections, endian, bytes, &mut found)?;
    Ok(found)
}

fn versions(
    sections: &SectionTable<'_, Header>,
    endian: Endianness,
    bytes: &[u8],
    found: &mut Elf,
) -> object::read::Result<()> {
    if let Some((mut libraries, strings)) = sections.gnu_verneed(endian, bytes)? {
        let strings = sections.strings(endian, bytes, strings)?;
        while let Some((library, mut entries)) = libraries.next()? {
            let soname = text(library.file(endian, strings)?);
            while let Some(entry) = entries.next()? {
                // A weak need is a wish.
                if entry.vna_flags.get(endian) & elf::VER_FLG_WEAK == 0 {
                    let name = text(entry.name(endian, strings)?);
                    found.versions_needed.push(Version { library: soname.clone(), name });
                }
            }
        }
    }
    if let Some((mut definitions, strings)) = sections.gnu_verdef(endian, bytes)? {
        let strings: StringTable<'_> = sections.strings(endian, bytes, strings)?;
        while let Some((_, mut names)) = definitions.next()? {
            // The first name is the version; what follows are those it inherits from.
            if let Some(first) = names.next()? {
                found.versions_defined.push(text(first.name(endian, strings)?));
            }
        }
    }
    Ok(())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The value of every `key=value` of a kernel module that has this key, from its `.modinfo` section.
pub(crate) fn module_info(bytes: &[u8]) -> Result<Vec<(String, String)>, String> {
    let damaged = |error: object::read::Error| format!("its ELF headers are damaged: {error}");
    let header = Header::parse(bytes).map_err(damaged)?;
    let endian = header.endian().map_err(damaged)?;
    let sections = header.sections(endian, bytes).map_err(damaged)?;
    let Some((_, section)) = sections.section_by_name(endian, b".modinfo") else {
        return Err("it has no .modinfo section".to_owned());
    };
    let info = object::read::elf::SectionHeader::data(section, endian, bytes).map_err(damaged)?;
    let pairs = info.split(|byte| *byte == 0).filter_map(|pair| {
        let (key, value) = std::str::from_utf8(pair).ok()?.split_once('=')?;
        Some((key.to_owned(), value.to_owned()))
    });
    Ok(pairs.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dynamic_program_tells_its_interpreter_and_libraries() {
        let bytes = std::fs::read("/proc/self/exe").unwrap();
        let elf = read(&bytes).unwrap().unwrap();
        assert_eq!(elf.interpreter.as_deref(), Some("/lib64/ld-linux-x86-64.so.2"));
        assert!(elf.needed.iter().any(|name| name == "libc.so.6"));
        assert!(elf.versions_needed.iter().any(|need| need.name.starts_with("GLIBC_")));
    }

    #[test]
    fn a_script_is_not_elf() {
        assert_eq!(read(b"#!/bin/sh\n").unwrap(), None);
    }

    #[test]
    fn a_truncated_program_is_an_error_and_no_panic() {
        let bytes = std::fs::read("/proc/self/exe").unwrap();
        for length in [4, 20, 64, 200, 4096] {
            let _ = read(&bytes[..length]);
        }
        assert!(read(&bytes[..64]).is_err());
    }
}
