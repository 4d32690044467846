//! The programs that are not found on the search path: the command under test, our traffic program, and the drivers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

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

fn build(subject: Subject, _place: &Path) -> Result<PathBuf, String> {
    Err(format!("the driver of {subject} is not written"))
}
