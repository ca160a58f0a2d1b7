//! What `cargo metadata` says of the workspace.

use anyhow::{Context, Result};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The crates of the workspace.
#[derive(Deserialize, Debug)]
pub(crate) struct Metadata {
    pub(crate) packages: Vec<Package>,
    pub(crate) target_directory: PathBuf,
}

/// One crate.
#[derive(Deserialize, Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) manifest_path: PathBuf,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize, Debug)]
struct Dependency {
    /// The package's name, also where the dependency is renamed.
    name: String,
}

/// Which crate uses which others of the workspace.
pub(crate) type Graph = BTreeMap<String, BTreeSet<String>>;

impl Metadata {
    /// Reads the answer of `cargo metadata --no-deps --format-version 1`.
    pub(crate) fn parse(json: &[u8]) -> Result<Self> {
        serde_json::from_slice(json).context("cargo metadata does not say what it used to")
    }

    /// The arrows between the workspace's crates, of every kind: what only the tests of a crate use binds it as well.
    pub(crate) fn graph(&self) -> Graph {
        let members: BTreeSet<&str> = self.packages.iter().map(|package| package.name.as_str()).collect();
        let used = |package: &Package| {
            let names = package.dependencies.iter().map(|dependency| dependency.name.clone());
            names.filter(|name| members.contains(name.as_str())).collect()
        };
        self.packages.iter().map(|package| (package.name.clone(), used(package))).collect()
    }
}

impl Package {
    /// Where the crate is.
    pub(crate) fn directory(&self) -> &Path {
        self.manifest_path.parent().unwrap_or(Path::new("/"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrows_of_every_kind_are_seen_and_foreign_crates_are_not() -> Result<()> {
        let json = r#"{"target_directory": "/t", "packages": [
            {"name": "a", "manifest_path": "/p/a/Cargo.toml", "dependencies": [
                {"name": "b", "kind": null}, {"name": "c", "kind": "dev"}, {"name": "serde", "kind": null}]},
            {"name": "b", "manifest_path": "/p/b/Cargo.toml", "dependencies": [{"name": "c", "kind": "build"}]},
            {"name": "c", "manifest_path": "/p/c/Cargo.toml", "dependencies": []}]}"#;
        let metadata = Metadata::parse(json.as_bytes())?;
        let graph = metadata.graph();
        assert_eq!(graph["a"], BTreeSet::from(["b".to_owned(), "c".to_owned()]));
        assert_eq!(graph["b"], BTreeSet::from(["c".to_owned()]));
        assert!(graph["c"].is_empty());
        assert_eq!(metadata.packages[0].directory(), Path::new("/p/a"));
        Ok(())
    }
}
