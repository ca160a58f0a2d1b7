//! Functions of the workloads themselves, told from all others by their names.

/// Where the tracebacks of Go end: the first function of a goroutine, and on a thread's own stack what it begins with, or what
/// it has come from when it had left a goroutine for good and not yet taken up another.
pub const GO_ROOTS: [&str; 7] = [
    "runtime.goexit",
    "runtime.mcall",
    "runtime.mstart",
    "runtime.morestack",
    "runtime.rt0_go",
    "runtime.clone",
    "gogo",
];

/// Of a C program: `main`, and what begins with `tg_`.
pub fn of_c(name: &str) -> Option<String> {
    (name == "main" || name.starts_with("tg_")).then(|| name.to_owned())
}

/// Of a C++ or Rust program: the last part of a path, without parameters, if it begins with `tg_`; `…{}` for a closure
/// inside such a function, `~T` for a destructor.
pub fn of_path(name: &str) -> Option<String> {
    let bare = without_brackets(name);
    let parts: Vec<&str> = bare.split("::").map(str::trim).collect();
    // Those of the library's types are not the program's.
    let is_own = name.starts_with("tg::");
    let at = parts.iter().rposition(|part| part.starts_with("tg_") || (part.starts_with('~') && is_own))?;
    let base = parts[at].split([' ', '.']).next().unwrap_or_default();
    let inside = &parts[at + 1..];
    match inside.first() {
        None => Some(base.to_owned()),
        Some(part)
            if part.starts_with("{lambda") || part.starts_with("{{closure") || part.starts_with("$_") =>
        {
            Some(format!("{base}{{}}"))
        }
        Some(_) => None,
    }
}

/// Of a Go program: what is in its package `main`, but for what the compiler puts in between Go and C.
pub fn of_go(name: &str) -> Option<String> {
    (name.starts_with("main.") && !name.contains("._C")).then(|| name.to_owned())
}

/// A name without what stands in angle brackets and parentheses, and without a return type.
fn without_brackets(name: &str) -> String {
    let name = name.strip_prefix("non-virtual thunk to ").unwrap_or(name);
    let (mut bare, mut depth) = (String::new(), 0_u32);
    for character in name.chars() {
        match character {
            '<' | '(' => depth += 1,
            '>' | ')' => depth = depth.saturating_sub(1),
            _ if depth == 0 => bare.push(character),
            _ => {}
        }
    }
    // A template's name has its return type in front of it.
    let path_begins =
        bare.split("::").next().and_then(|first| first.trim_end().rfind(' ')).map_or(0, |at| at + 1);
    bare.split_off(path_begins)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_part_of_a_path_counts() {
        let own = |name: &str| of_path(name).unwrap_or_default();
        assert_eq!(own("tg::tg_descending(int)"), "tg_descending");
        assert_eq!(own("tg::Tower<30, unsigned long>::tg_floor(unsigned long)"), "tg_floor");
        assert_eq!(own("tg::Guard::~Guard()"), "~Guard");
        assert_eq!(own("tg::tg_round()::{lambda(int)#1}::operator()(int) const"), "tg_round{}");
        assert_eq!(own("tg::tg_throwing() [clone .cold]"), "tg_throwing");
        assert_eq!(own("void std::__introsort_loop<int*, bool (*)(int, int)>(int*, int*, tg::tg_less)"), "");
        assert_eq!(own("<stacks::Square as stacks::Shape>::tg_area"), "tg_area");
        assert_eq!(own("stacks::tg_round::{{closure}}"), "tg_round{}");
        assert_eq!(own("core::ptr::drop_in_place<stacks::Guard>"), "");
        assert_eq!(own("tg_spin"), "tg_spin");
    }

    #[test]
    fn what_lies_between_go_and_c_is_not_the_programs() {
        assert_eq!(of_go("main.tgRound").as_deref(), Some("main.tgRound"));
        assert_eq!(of_go("main._Cfunc_tg_c_deep"), None);
        assert_eq!(of_go("runtime.main"), None);
    }
}
