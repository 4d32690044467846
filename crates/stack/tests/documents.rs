//! What the documents say of tests: each that they name exists.
//!
//! A name is the end of a test's path: the function, and before it files or folders above it.

#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

const MARK: &str = "test `";

#[test]
fn each_test_that_is_named_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
    let mut tests = HashMap::new();
    for folder in ["crates", "peers"] {
        collect(&root.join(folder), &mut tests);
    }
    for document in ["docs/rfc9293.md", "docs/requirements.md"] {
        let text = fs::read_to_string(root.join(document)).unwrap();
        let names: Vec<_> = text.split(MARK).skip(1).filter_map(|rest| rest.split('`').next()).collect();
        assert!(!names.is_empty(), "{document}");
        let missing: Vec<_> = names.into_iter().filter(|name| !exists(name, &tests)).collect();
        assert!(missing.is_empty(), "{document} names what does not exist: {missing:?}");
    }
}

fn exists(name: &str, tests: &HashMap<String, Vec<PathBuf>>) -> bool {
    let mut parts = name.rsplit("::");
    let files = parts.next().and_then(|function| tests.get(function)).map_or(&[][..], Vec::as_slice);
    let folders: Vec<_> = parts.collect();
    files.iter().any(|file| {
        let file = file.with_extension("");
        folders.iter().all(|folder| file.iter().any(|component| component == *folder))
    })
}

/// All tests below a folder, by name, with their files.
fn collect(folder: &Path, tests: &mut HashMap<String, Vec<PathBuf>>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, tests);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let checks = text.lines().skip_while(|line| *line != "checks! {").take_while(|line| *line != "}");
            for name in checks.map(str::trim).filter(|line| line.chars().all(|c| c.is_alphanumeric() || c == '_')) {
                tests.entry(name.to_owned()).or_default().push(path.clone());
            }
            for (before, line) in text.lines().zip(text.lines().skip(1)) {
                if let Some(name) = test(before, line) {
                    tests.entry(name.to_owned()).or_default().push(path.clone());
                }
            }
        }
    }
}

/// The name of the test that the second of two lines begins: one that is marked, or one that is run for each family.
fn test<'a>(before: &str, line: &'a str) -> Option<&'a str> {
    let (name, arguments) = line.trim_start().strip_prefix("fn ")?.split_once('(')?;
    let is_test = before.trim() == "#[test]" || arguments.starts_with("family: ");
    is_test.then_some(name)
}
