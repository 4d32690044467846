//! Builds the shim, so that the command can carry it.
//!
//! The shim is a library of its own (`cdylib`), and a program that is to be reached loads it from a file. One file is
//! easier to install than two, so the shim's bytes are embedded in the command. Cargo has no stable way to say "this
//! crate needs that crate's library file", so it is called a second time here, with a target directory of its own (the
//! first one is locked) and the lock file that is there, without the network.
//!
//! `SOCKEYE_SHIM=/path/to/libsockeye_shim.so` at build time takes a library that was built before, for packagers.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-env-changed=SOCKEYE_SHIM");
    println!("cargo::rerun-if-changed=build.rs");
    let library = match env::var_os("SOCKEYE_SHIM") {
        Some(path) => {
            println!("cargo::rerun-if-changed={}", Path::new(&path).display());
            PathBuf::from(path)
        }
        None => build(),
    };
    assert!(library.is_file(), "the shim's library is not at {}", library.display());
    println!("cargo::rustc-env=SOCKEYE_SHIM_LIBRARY={}", library.display());
}

fn variable(name: &str) -> PathBuf {
    env::var_os(name).unwrap_or_else(|| panic!("cargo sets {name} for build scripts")).into()
}

fn build() -> PathBuf {
    let root = variable("CARGO_MANIFEST_DIR").join("../..");
    for watched in ["crates/shim", "crates/control", "Cargo.lock", "Cargo.toml"] {
        println!("cargo::rerun-if-changed={}", root.join(watched).display());
    }
    let target = env::var("TARGET").expect("cargo sets TARGET for build scripts");
    let target_dir = variable("OUT_DIR").join("shim");
    let mut cargo = Command::new(variable("CARGO"));
    cargo
        .args(["build", "--release", "--frozen", "--quiet", "--package", "sockeye-shim", "--target", &target])
        .arg("--manifest-path")
        .arg(root.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&target_dir)
        // It travels inside the command: no line tables.
        .env("CARGO_PROFILE_RELEASE_DEBUG", "false")
        .env("CARGO_PROFILE_RELEASE_STRIP", "symbols");
    // What cargo tells a build script about this package is not meant for another build. Flags of the user's (RUSTFLAGS
    // arrive as CARGO_ENCODED_RUSTFLAGS), the jobserver and where cargo keeps its things are.
    for (name, _) in env::vars_os() {
        let Some(text) = name.to_str() else { continue };
        let about_this_package =
            ["CARGO_PKG_", "CARGO_CFG_", "CARGO_FEATURE_", "CARGO_MANIFEST_", "DEP_", "CARGO_BUILD_"]
                .iter()
                .any(|prefix| text.starts_with(prefix));
        let of_the_profile = ["OPT_LEVEL", "DEBUG", "PROFILE", "TARGET", "HOST", "OUT_DIR", "NUM_JOBS"].contains(&text);
        // Clippy wraps the compiler; the shim is linted on its own account.
        let wrapper = ["RUSTC_WORKSPACE_WRAPPER", "CLIPPY_ARGS", "CLIPPY_CONF_DIR", "CARGO_TARGET_DIR"].contains(&text);
        if about_this_package || of_the_profile || wrapper {
            cargo.env_remove(text);
        }
    }
    let status = cargo.status().unwrap_or_else(|error| panic!("cannot run cargo for the shim: {error}"));
    assert!(status.success(), "the shim does not build; see above, or try `cargo build -p sockeye-shim`");
    target_dir.join(&target).join("release/libsockeye_shim.so")
}
