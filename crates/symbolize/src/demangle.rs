//! Names as people know them.

use cpp_demangle::{DemangleOptions, ParseOptions, Symbol};
use rustc_demangle::try_demangle;

/// A longer name is shown as it is: reading it could take for ever.
const MAX_MANGLED: usize = 4096;
/// A longer result is cut.
const MAX_DEMANGLED: usize = 2048;
/// Levels of nesting in a C++ name.
const MAX_RECURSION: u32 = 96;

/// The name in a symbol table, demangled if it is a Rust or C++ name, as it is if not.
pub(crate) fn demangle(mangled: &str) -> String {
    if mangled.len() > MAX_MANGLED {
        return cut(mangled.to_owned());
    }
    let (stem, suffix) = split_clone_suffix(mangled);
    if let Ok(name) = try_demangle(stem) {
        // The alternative form leaves the hash out.
        return cut(format!("{name:#}") + &clone_note(suffix));
    }
    if (stem.starts_with("_Z") || stem.starts_with("__Z"))
        && let Some(name) = demangle_cpp(stem)
    {
        return cut(name + &clone_note(suffix));
    }
    mangled.to_owned()
}

fn demangle_cpp(stem: &str) -> Option<String> {
    let parse = ParseOptions::default().recursion_limit(MAX_RECURSION);
    let options = DemangleOptions::default().recursion_limit(MAX_RECURSION);
    let symbol = Symbol::new_with_options(stem.as_bytes(), &parse).ok()?;
    symbol.demangle_with_options(&options).ok()
}

/// Compilers mark a part or a variant of a function behind its name: `.cold`, `.part.0`, `.constprop.0`, `.llvm.123`.
fn split_clone_suffix(name: &str) -> (&str, &str) {
    const MARKS: [&str; 6] = [".cold", ".part.", ".constprop.", ".isra.", ".llvm.", ".lto_priv."];
    let first = MARKS.iter().filter_map(|mark| name.find(mark)).min();
    first.map_or((name, ""), |at| name.split_at(at))
}

/// Kept where it tells apart what runs; the rest is of no use to a reader.
fn clone_note(suffix: &str) -> String {
    if suffix.contains(".cold") { " [.cold]".into() } else { String::new() }
}

fn cut(mut name: String) -> String {
    if name.len() > MAX_DEMANGLED {
        let end = (0..=MAX_DEMANGLED).rev().find(|&at| name.is_char_boundary(at)).unwrap_or(0);
        name.truncate(end);
        name.push('…');
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_shown_as_their_authors_wrote_them() {
        for (mangled, name) in [
            ("main", "main"),
            ("_ZN4core3ptr13drop_in_place17h0123456789abcdefE", "core::ptr::drop_in_place"),
            ("_RNvCs1234_7mycrate3foo", "mycrate::foo"),
            (
                "_ZNSt6vectorIiSaIiEE9push_backERKi",
                "std::vector<int, std::allocator<int> >::push_back(int const&)",
            ),
            ("_ZN3foo3barEv.constprop.0", "foo::bar()"),
            ("_ZN3foo3barEv.part.0.cold", "foo::bar() [.cold]"),
            ("do_work.cold", "do_work.cold"),
            ("_Znonsense", "_Znonsense"),
        ] {
            assert_eq!(demangle(mangled), name);
        }
    }

    #[test]
    fn a_hostile_name_costs_neither_time_nor_memory() {
        let deep = format!("_Z{}", "N1a".repeat(1_000));
        assert!(demangle(&deep).len() <= MAX_MANGLED);
        let long = "x".repeat(1 << 20);
        assert!(demangle(&long).len() <= MAX_DEMANGLED + 4);
        // Each substitution doubles the text.
        let bomb = format!("_Z1fSt6vectorI{}E", "S_I".repeat(200));
        assert!(demangle(&bomb).len() <= MAX_MANGLED);
    }

    proptest! {
        #[test]
        fn no_name_makes_it_panic(name in "_(Z|R)?[ -~]{0,60}") {
            demangle(&name);
        }
    }
}
