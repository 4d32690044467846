//! `cargo xtask bench`: all workloads by all subjects in turn; a table, its JSON, and a picture.

use std::path::PathBuf;
use std::{fs, io};

use clap::{Parser, ValueEnum};
use sockeye_bench::outcome::{CaseOutcome, Outcome, Participant, Turns};
use sockeye_bench::scene::{Scene, Turn, Wire};
use sockeye_bench::subject::Subject;
use sockeye_bench::workload::{self, Case};
use sockeye_bench::{Result, Tools, machine, picture, table};

/// Measures Sockeye beside the kernel and other stacks in user space, in one run on this machine
#[derive(Parser)]
#[command(name = "cargo xtask bench", max_term_width = 100)]
struct Cli {
    /// Runs these workloads only; what is not the name of one is a part of a case's title
    #[arg(long, value_delimiter = ',', value_name = "WORKLOAD")]
    only: Vec<String>,
    /// Measures these subjects only
    #[arg(long, value_delimiter = ',', value_name = "SUBJECT")]
    subjects: Vec<Subject>,
    /// Turns of each subject in each case
    #[arg(long)]
    rounds: Option<usize>,
    /// Seconds of each turn
    #[arg(long)]
    seconds: Option<f64>,
    /// Pins nobody to a core: who runs where is the scheduler's choice, as for people who start these programs
    #[arg(long)]
    unpinned: bool,
    /// A look instead of a table: few cases, the kernel and a node, one round of a second
    #[arg(long)]
    quick: bool,
    /// Says what there is, and measures nothing
    #[arg(long)]
    list: bool,
    /// Where to write bench.txt, bench.json and bench.svg
    #[arg(long, value_name = "DIRECTORY")]
    out: Option<PathBuf>,
    /// Keeps the other cases that are there already
    #[arg(long, requires = "out")]
    add: bool,
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    let mut cases = workload::all();
    let is_workload = |word: &str| cases.iter().any(|case| case.workload == word);
    let (workloads, parts): (Vec<_>, Vec<_>) = cli.only.iter().map(String::as_str).partition(|word| is_workload(word));
    let named = |case: &Case| workloads.contains(&case.workload) || parts.iter().any(|part| case.title.contains(part));
    cases.retain(|case| if cli.only.is_empty() { case.quick || !cli.quick } else { named(case) });
    if cli.list || cases.is_empty() {
        for case in cases {
            println!("{:<10} {}; {}", case.workload, case.title, case.wire.map(Wire::name).unwrap_or_default());
        }
        return Ok(());
    }
    let subjects = match &cli.subjects[..] {
        [] if cli.quick => vec![Subject::Kernel, Subject::Sockeye],
        [] => Subject::value_variants().to_vec(),
        some => Subject::value_variants().iter().copied().filter(|subject| some.contains(subject)).collect(),
    };
    let rounds = cli.rounds.unwrap_or(if cli.quick { 1 } else { 3 }).max(1);
    let seconds = cli.seconds.unwrap_or(if cli.quick { 1.0 } else { 2.0 });
    let turn = Turn { seconds, pinned: !cli.unpinned };
    let tools = Tools::new(&subjects)?;
    sockeye_lab::become_root()?;
    machine::raise_limits();

    let mut outcome =
        Outcome { machine: machine::description(), rounds, turn, subjects: Vec::new(), cases: Vec::new() };
    if let (Some(directory), true) = (&cli.out, cli.add) {
        let path = directory.join("bench.json");
        outcome.cases = match fs::read(&path) {
            Ok(text) => serde_json::from_slice::<Outcome>(&text)?.cases,
            // The first one.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(format!("cannot add to {}: {error}", path.display()).into()),
        };
    }
    let participants = Subject::value_variants().iter().filter(|subject| subjects.contains(subject) || cli.add);
    outcome.subjects =
        participants.map(|subject| Participant { subject: *subject, note: subject.note().to_owned() }).collect();
    for case in &cases {
        let done = CaseOutcome::new(case, &take_turns(&tools, case, &subjects, rounds, turn));
        println!("{}", table::block(&done));
        outcome.add(done);
        // As it comes, so that a run that is cut short has not been for nothing.
        if let Some(directory) = &cli.out {
            fs::create_dir_all(directory)?;
            fs::write(directory.join("bench.txt"), table::text(&outcome))?;
            fs::write(directory.join("bench.json"), serde_json::to_string_pretty(&outcome)? + "\n")?;
            fs::write(directory.join("bench.svg"), picture::svg(&outcome))?;
        }
    }
    Ok(())
}

/// A B A B. A subject that fails once is out of the case.
fn take_turns(tools: &Tools, case: &Case, subjects: &[Subject], rounds: usize, turn: Turn) -> Vec<Turns> {
    let text = |error: Box<dyn std::error::Error>| error.to_string();
    let wire = case.wire.unwrap_or(Wire::OFFLOADS);
    let admitted = subjects.iter().copied().filter(|subject| (case.admits)(*subject));
    let (mut scenes, mut turns): (Vec<_>, Vec<Turns>) = admitted
        .map(|subject| match Scene::new(tools, subject, wire, turn) {
            Ok(scene) => (Some(scene), (subject, Ok(Vec::new()))),
            Err(error) => (None, (subject, Err(text(error)))),
        })
        .unzip();
    for _ in 0..if case.once { 1 } else { rounds } {
        for (place, (_, turns)) in scenes.iter_mut().zip(&mut turns) {
            let (Some(scene), Ok(done)) = (&place, &mut *turns) else { continue };
            match (case.measure)(scene) {
                Ok(figures) => done.push(figures),
                Err(error) => {
                    *turns = Err(text(error));
                    *place = None;
                }
            }
        }
    }
    turns
}
