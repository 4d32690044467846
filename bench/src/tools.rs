//! The programs that are not found on the search path: the command under test, our traffic program, and the drivers.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;
use crate::subject::Subject;

/// Where the programs are.
#[derive(Debug)]
pub struct Tools {
    /// The command `sockeye`.
    pub sockeye: String,
    /// Our traffic program.
    pub traffic: String,
    drivers: BTreeMap<Subject, Result<PathBuf, String>>,
}

impl Tools {
    /// Finds the programs beside this one, and builds the drivers of some subjects.
    pub fn new(subjects: &[Subject]) -> Result<Tools> {
        let own = std::env::current_exe()?;
        let place = own.parent().ok_or("this program is in no directory")?;
        let beside = |name: &str| {
            let path = place.join(name);
            let path = if path.is_file() { path.to_str().map(str::to_owned) } else { None };
            path.ok_or_else(|| format!("{name} is not beside {}: use `cargo xtask bench`", own.display()))
        };
        let linked = subjects.iter().filter(|subject| subject.is_linked());
        let drivers = linked.map(|subject| (*subject, build(*subject, place))).collect();
        Ok(Tools { sockeye: beside("sockeye")?, traffic: beside("traffic")?, drivers })
    }

    /// The driver that has a stack linked in, or why there is none.
    pub fn driver(&self, subject: Subject) -> Result<&Path> {
        match self.drivers.get(&subject) {
            Some(Ok(path)) => Ok(path),
            Some(Err(reason)) => Err(reason.clone().into()),
            None => Err(format!("{subject} has no driver").into()),
        }
    }
}

/// Builds a driver below `drivers/`, unless it is up to date. Ours is a member of the workspace and built with this program.
/// A crate is built by cargo; whatever else has a script, which is told where to put the program.
fn build(subject: Subject, place: &Path) -> Result<PathBuf, String> {
    let Some(name) = subject.driver() else {
        let own = place.join("sockeye-driver");
        return if own.is_file() { Ok(own) } else { Err(format!("{} is not built", own.display())) };
    };
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("drivers").join(name);
    let output = place.with_file_name("drivers").join(name);
    let (mut command, program) = if source.join("Cargo.toml").is_file() {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["build", "--release", "--locked", "--quiet", "--target-dir"]).arg(&output);
        (cargo, output.join("release").join(format!("{name}-driver")))
    } else if source.join("build.sh").is_file() {
        fs::create_dir_all(&output).map_err(|error| format!("cannot make {}: {error}", output.display()))?;
        let mut script = Command::new("sh");
        let program = output.join(format!("{name}-driver"));
        script.arg("build.sh").arg(&program);
        (script, program)
    } else {
        return Err(format!("has no driver: {}", subject.note()));
    };
    let built = command.current_dir(&source).output().map_err(|error| format!("{command:?}: {error}"))?;
    if built.status.success() {
        return Ok(program);
    }
    let said = String::from_utf8_lossy(&built.stderr);
    let reason = said.lines().find(|line| line.contains("error")).or_else(|| said.lines().last()).unwrap_or_default();
    Err(format!("cannot be built: {}", reason.trim()))
}
