//! Names as people know them.

use cpp_demangle::{DemangleOptions, ParseOptions, Symbol};
use std::fmt::{self, Write};

/// A longer name is shown as it is: reading it could take for ever.
const MAX_MANGLED_BYTES: usize = 4096;
/// What comes out is cut here.
const MAX_SHOWN_BYTES: usize = 2048;
/// Pieces that a demangled name is put together from; each is a few bytes, but may be none.
const MAX_PIECES: usize = 16 * MAX_SHOWN_BYTES;
/// Levels of nesting in a C++ name.
const MAX_DEPTH: u32 = 96;

/// The name in a symbol table, demangled if it is a Rust or C++ name, as it is if not.
///
/// What the compiler has made of parts and variants of a function is told apart as c++filt and perf do it
/// (`f(int) [clone .cold]`), but for what it adds only to make a name unique.
pub fn demangle(mangled: &str) -> String {
    if mangled.len() > MAX_MANGLED_BYTES {
        return cut(mangled);
    }
    let (stem, clones) = split_clones(mangled);
    match demangle_rust(stem).or_else(|| demangle_cpp(stem)) {
        Some(mut name) => {
            for clone in clones.iter().filter(|clone| !only_makes_unique(clone)) {
                // Writing to a string cannot fail.
                let _ = write!(name, " [clone {clone}]");
            }
            cut(&name)
        }
        None => cut(without_unique_suffix(mangled)),
    }
}

fn demangle_rust(name: &str) -> Option<String> {
    let demangled = rustc_demangle::try_demangle(name).ok()?;
    let mut shown = Shown::default();
    // The alternative form leaves out the hash. That it ends early is no reason to show less.
    let _ = write!(shown, "{demangled:#}");
    Some(shown.text).filter(|name| !name.is_empty())
}

fn demangle_cpp(name: &str) -> Option<String> {
    if !(name.starts_with("_Z") || name.starts_with("__Z")) {
        return None;
    }
    let parse = ParseOptions::default().recursion_limit(MAX_DEPTH);
    let options = DemangleOptions::default().recursion_limit(MAX_DEPTH);
    let symbol = Symbol::new_with_options(name.as_bytes(), &parse).ok()?;
    let mut shown = Shown::default();
    let ended = symbol.structured_demangle(&mut shown, &options);
    (ended.is_ok() || shown.is_full()).then_some(shown.text)
}

/// Text that does not grow beyond what is shown, however much is written.
#[derive(Default)]
struct Shown {
    text: String,
    pieces: usize,
}

impl Shown {
    fn is_full(&self) -> bool {
        self.text.len() > MAX_SHOWN_BYTES || self.pieces > MAX_PIECES
    }
}

impl Write for Shown {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        self.pieces += 1;
        self.text.push_str(piece);
        if self.is_full() { Err(fmt::Error) } else { Ok(()) }
    }
}

/// A name and what compilers put behind it: `.cold`, `.part.0`, `.constprop.0`, `.llvm.123` and the like.
fn split_clones(name: &str) -> (&str, Vec<&str>) {
    let Some(at) = name.char_indices().skip(1).map(|(at, _)| at).find(|&at| begins_clone(&name[at..])) else {
        return (name, Vec::new());
    };
    let (stem, mut rest) = name.split_at(at);
    let mut clones = Vec::new();
    while !rest.is_empty() {
        // Up to the next word; the numbers behind a word belong to it.
        let next = rest.char_indices().skip(1).map(|(at, _)| at).find(|&at| begins_clone(&rest[at..]));
        let (clone, later) = rest.split_at(next.unwrap_or(rest.len()));
        clones.push(clone);
        rest = later;
    }
    (stem, clones)
}

fn begins_clone(rest: &str) -> bool {
    rest.strip_prefix('.')
        .is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_lowercase() || first == '_'))
}

fn only_makes_unique(clone: &str) -> bool {
    [".llvm.", ".lto_priv.", ".__uniq."].iter().any(|mark| clone.starts_with(mark))
}

/// C names are shown as they are, but for what makes them unique among the private names of several files.
fn without_unique_suffix(name: &str) -> &str {
    let (stem, clones) = split_clones(name);
    if !stem.is_empty() && !clones.is_empty() && clones.iter().all(|clone| only_makes_unique(clone)) {
        stem
    } else {
        name
    }
}

fn cut(name: &str) -> String {
    if name.len() <= MAX_SHOWN_BYTES {
        return name.to_owned();
    }
    let end = (0..=MAX_SHOWN_BYTES).rev().find(|&at| name.is_char_boundary(at)).unwrap_or(0);
    format!("{}…", &name[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::{Duration, Instant};

    #[test]
    fn names_are_shown_as_their_authors_wrote_them() {
        for (mangled, name) in [
            ("main", "main"),
            ("_ZN4core3ptr13drop_in_place17h0123456789abcdefE", "core::ptr::drop_in_place"),
            ("_ZN4core3ptr13drop_in_place17h0123456789abcdefE.llvm.1234567", "core::ptr::drop_in_place"),
            ("_RNvCs1234_7mycrate3foo", "mycrate::foo"),
            (
                "_ZNSt6vectorIiSaIiEE9push_backERKi",
                "std::vector<int, std::allocator<int> >::push_back(int const&)",
            ),
            ("_ZN3foo3barEv.constprop.0", "foo::bar() [clone .constprop.0]"),
            ("_ZN3foo3barEv.part.0.cold", "foo::bar() [clone .part.0] [clone .cold]"),
            ("_ZN3fooC4Ev", "foo::foo()"),
            ("_ZL6helperi.lto_priv.3", "helper(int)"),
            ("do_work.cold", "do_work.cold"),
            ("do_work.constprop.0.isra.0", "do_work.constprop.0.isra.0"),
            ("do_work.llvm.778899", "do_work"),
            ("_Znonsense", "_Znonsense"),
            (".text.startup", ".text.startup"),
            ("", ""),
        ] {
            assert_eq!(demangle(mangled), name);
        }
    }

    #[test]
    fn a_hostile_name_costs_neither_time_nor_memory() {
        let start = Instant::now();
        // Each level doubles what is written.
        let bomb = format!("_Z1f{}", (0..60).fold("i".to_owned(), |inner, _| format!("St4pairI{inner}S_E")));
        let substitutions =
            format!("_Z1fSt4pairIiiE{}", (0..36).map(|_| "St4pairIS_S_E").collect::<String>());
        for name in [
            format!("_Z{}", "N1a".repeat(1_000)),
            "x".repeat(1 << 20),
            "é".repeat(1 << 12),
            bomb,
            substitutions,
            format!("_RIC0{}", "p".repeat(4_000)),
            format!("_RMC0{}", "R".repeat(4_000)),
            ".a".repeat(2_000),
        ] {
            assert!(demangle(&name).len() <= MAX_SHOWN_BYTES + 4, "{name}");
        }
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    }

    proptest! {
        #[test]
        fn no_name_makes_it_panic(name in "_?_?(Z|R)?[ -~é]{0,60}") {
            demangle(&name);
        }

        #[test]
        fn no_name_of_grammar_makes_it_panic(parts in prop::collection::vec(
            prop::sample::select(vec!["_Z", "_R", "N", "E", "I", "S_", "S0_", "T_", "St", "3foo", "Dp", "J", "v", "i", "C4", "L", "X", "Cs0_", "M", "B_", ".cold", ".llvm.1"]), 0..40)) {
            let name: String = parts.concat();
            prop_assert!(demangle(&name).len() <= MAX_SHOWN_BYTES + 4);
        }
    }
}
