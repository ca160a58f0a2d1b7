//! The rules on files: their length, their names, and where unsafe code may be.

use crate::metadata::Package;
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// A file this long is looked at again.
const LONG_LINES: usize = 500;
/// A file longer than this is more than one thing.
const MAX_LINES: usize = 800;

/// Names that say nothing of what is inside.
const EMPTY_NAMES: [&str; 6] = ["common", "helper", "helpers", "misc", "util", "utils"];

/// The crates that may have unsafe code.
const MAY_BE_UNSAFE: [&str; 2] = ["telegen-bpf", "telegen-process"];

/// Tests that call the kernel side's C, compiled for user space.
const CALLS_C: &str = "crates/unwind/tests/it/kernel_side.rs";

/// The lint that keeps unsafe code out of all others.
const UNSAFE_LINT: &str = "unsafe_code";

const SOURCE_EXTENSIONS: [&str; 9] = ["rs", "c", "h", "cpp", "go", "py", "js", "ts", "css"];

/// Directories of what is made, not written.
const MADE_DIRECTORIES: [&str; 3] = ["target", "node_modules", "dist"];

/// What a look at the sources found.
#[derive(Default, Debug)]
pub(super) struct Findings {
    /// What must not be.
    pub(super) breaches: Vec<String>,
    /// What is worth a second thought.
    pub(super) notes: Vec<String>,
}

/// Looks at all source files below the workspace's root, and at the manifests of its crates.
pub(super) fn inspect(root: &Path, packages: &[Package]) -> Result<Findings> {
    let mut findings = Findings::default();
    for package in packages {
        let manifest = read(&package.manifest_path)?;
        findings.breaches.extend(manifest_breach(&package.name, &manifest));
    }
    let mut files = Vec::new();
    list_sources(root, &mut files)?;
    files.sort();
    for file in files {
        let text = read(&file)?;
        let owner = packages.iter().filter(|package| file.starts_with(package.directory()));
        let owner = owner.max_by_key(|package| package.directory().as_os_str().len());
        let relative = file.strip_prefix(root).unwrap_or(&file);
        findings.inspect_file(relative, &text, owner.map(|package| package.name.as_str()));
    }
    Ok(findings)
}

impl Findings {
    fn inspect_file(&mut self, file: &Path, text: &str, owner: Option<&str>) {
        let shown = file.display();
        let lines = text.lines().count();
        if lines > MAX_LINES {
            self.breaches.push(format!("{shown} has {lines} lines; {MAX_LINES} are the most"));
        } else if lines > LONG_LINES {
            self.notes.push(format!("{shown} has {lines} lines: is it still one thing?"));
        }
        if let Some(name) = empty_name(file) {
            self.breaches.push(format!("{shown}: {name:?} does not say what is inside"));
        }
        if file.extension().is_some_and(|extension| extension == "rs") {
            self.inspect_rust(file, text, owner);
        }
    }

    fn inspect_rust(&mut self, file: &Path, text: &str, owner: Option<&str>) {
        let may_be_unsafe =
            owner.is_some_and(|owner| MAY_BE_UNSAFE.contains(&owner)) || file == Path::new(CALLS_C);
        for (index, line) in text.lines().enumerate() {
            let place = format!("{}:{}", file.display(), index + 1);
            if let Some(name) = inline_module(line).filter(|name| EMPTY_NAMES.contains(name)) {
                self.breaches.push(format!("{place}: {name:?} does not say what is inside"));
            }
            if !may_be_unsafe && loosens_unsafe_lint(line) {
                self.breaches
                    .push(format!("{place}: unsafe code belongs into {}", MAY_BE_UNSAFE.join(" or ")));
            }
        }
    }
}

/// What is wrong with a crate's manifest: the workspace's lints, which forbid unsafe code, bind only those that say so.
fn manifest_breach(name: &str, manifest: &str) -> Option<String> {
    let lines: Vec<&str> = manifest.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let bound = lines.windows(2).any(|pair| pair == ["[lints]", "workspace = true"]);
    (!bound).then(|| format!("{name} does not take over the workspace's lints"))
}

/// The name in a path that says nothing.
fn empty_name(file: &Path) -> Option<&str> {
    let mut names = file.iter().filter_map(|name| Path::new(name).file_stem()?.to_str());
    names.find(|name| EMPTY_NAMES.contains(name))
}

/// The name of the module whose body begins in this line.
fn inline_module(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace().skip_while(|word| word.starts_with("pub"));
    let (keyword, name, brace) = (words.next()?, words.next()?, words.next()?);
    (keyword == "mod" && brace.starts_with('{')).then_some(name)
}

/// Whether a line is part of an attribute that lets unsafe code in. The lint's name alone on a line is, too: long lists
/// of lints are broken into lines.
fn loosens_unsafe_lint(line: &str) -> bool {
    let line = line.trim();
    let in_attribute = line.starts_with('#') || line.trim_end_matches(',') == UNSAFE_LINT;
    let tightens = ["deny(", "forbid("].iter().any(|level| line.contains(level));
    in_attribute && line.contains(UNSAFE_LINT) && !tightens
}

fn list_sources(directory: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(directory).with_context(|| format!("cannot list {}", directory.display()))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot list {}", directory.display()))?;
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        let kind = entry.file_type().with_context(|| format!("cannot look at {}", path.display()))?;
        let extension = path.extension().and_then(|extension| extension.to_str());
        if kind.is_dir() {
            if !name.starts_with('.') && !MADE_DIRECTORIES.contains(&name.as_ref()) {
                list_sources(&path, files)?;
            }
        } else if kind.is_file() && extension.is_some_and(|extension| SOURCE_EXTENSIONS.contains(&extension))
        {
            files.push(path);
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<String> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::Metadata;

    const MANIFEST: &str = "[package]\nname = \"a\"\n\n[lints]\nworkspace = true\n";

    /// A workspace of two crates, `telegen-bpf` in `bpf/` and `telegen-rules` in `rules/`, with further files.
    fn inspect_tree(files: &[(&str, &str)]) -> Result<Findings> {
        let tree = tempfile::tempdir()?;
        let manifests = [("bpf/Cargo.toml", MANIFEST), ("rules/Cargo.toml", MANIFEST)];
        for (name, text) in manifests.iter().chain(files) {
            let path = tree.path().join(name);
            fs::create_dir_all(path.parent().context("no parent")?)?;
            fs::write(path, text)?;
        }
        let package = |name: &str, directory: &str| {
            let manifest = tree.path().join(directory).join("Cargo.toml");
            serde_json::json!({"name": name, "manifest_path": manifest, "dependencies": []})
        };
        let packages = [package("telegen-bpf", "bpf"), package("telegen-rules", "rules")];
        let metadata = serde_json::json!({"packages": packages, "target_directory": "/t"});
        inspect(tree.path(), &Metadata::parse(metadata.to_string().as_bytes())?.packages)
    }

    fn breaches(files: &[(&str, &str)]) -> Result<Vec<String>> {
        Ok(inspect_tree(files)?.breaches)
    }

    #[test]
    fn a_tree_that_keeps_the_rules_has_no_breach() -> Result<()> {
        let lint = "#![forbid(unsafe_code)]\n// allow(unsafe_code) is not for us\npub mod glob {}\n";
        let findings = inspect_tree(&[("rules/src/lib.rs", lint), ("rules/src/glob.rs", "")])?;
        assert!(findings.breaches.is_empty() && findings.notes.is_empty(), "{findings:?}");
        Ok(())
    }

    #[test]
    fn a_long_file_is_noted_and_one_that_is_too_long_is_a_breach() -> Result<()> {
        let (allowed, long, longer) = ("//\n".repeat(500), "//\n".repeat(501), "//\n".repeat(801));
        let findings =
            inspect_tree(&[("a.rs", &allowed), ("b.c", &long), ("c.js", &longer), ("d.json", &longer)])?;
        assert_eq!(findings.notes, ["b.c has 501 lines: is it still one thing?"]);
        assert_eq!(findings.breaches, ["c.js has 801 lines; 800 are the most"]);
        Ok(())
    }

    #[test]
    fn names_that_say_nothing_are_breaches() -> Result<()> {
        let found = breaches(&[
            ("rules/src/utils.rs", ""),
            ("rules/tests/common/mod.rs", ""),
            ("bpf/c/helpers.h", ""),
            ("rules/src/lib.rs", "\npub(crate) mod misc {\n}\nmod utilities {}\nmod util;\n"),
        ])?;
        let expected = [
            "bpf/c/helpers.h: \"helpers\" does not say what is inside",
            "rules/src/lib.rs:2: \"misc\" does not say what is inside",
            "rules/src/utils.rs: \"utils\" does not say what is inside",
            "rules/tests/common/mod.rs: \"common\" does not say what is inside",
        ];
        assert_eq!(found, expected);
        Ok(())
    }

    #[test]
    fn unsafe_code_is_let_in_by_two_crates_only() -> Result<()> {
        for attribute in
            ["#[allow(unsafe_code)]", "    #![expect(unsafe_code)]", "#[cfg_attr(test, allow(unsafe_code))]"]
        {
            assert!(breaches(&[("bpf/src/sys.rs", attribute)])?.is_empty());
            let found = breaches(&[("rules/src/sys.rs", attribute)])?;
            assert_eq!(
                found,
                ["rules/src/sys.rs:1: unsafe code belongs into telegen-bpf or telegen-process"]
            );
        }
        assert_eq!(breaches(&[("rules/src/sys.rs", "#![allow(\n    unsafe_code,\n)]\n")])?.len(), 1);
        // Nor in what belongs to no crate.
        assert_eq!(breaches(&[("build.rs", "#![allow(unsafe_code)]")])?.len(), 1);
        Ok(())
    }

    #[test]
    fn a_crate_that_escapes_the_lints_is_a_breach() {
        assert_eq!(manifest_breach("a", MANIFEST), None);
        let escaped = "[package]\nname = \"a\"\n\n[dependencies]\nb = { workspace = true }\n";
        assert!(manifest_breach("a", escaped).is_some());
        assert!(manifest_breach("a", "[lints.rust]\nunsafe_code = \"allow\"\n").is_some());
    }

    #[test]
    fn what_is_made_is_not_looked_at() -> Result<()> {
        let long = "//\n".repeat(900);
        let found = breaches(&[("target/a.rs", &long), (".git/b.rs", &long), ("ui/dist/c.js", &long)])?;
        assert!(found.is_empty(), "{found:?}");
        Ok(())
    }
}
