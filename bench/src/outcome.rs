//! What came out: for each case its figures, for each figure what each subject reached.

use serde::{Deserialize, Serialize};

use crate::scene::Turn;
use crate::statistics::Summary;
use crate::subject::Subject;
use crate::workload::{Base, Better, Case, Figure};

/// A whole run.
#[derive(Debug, Deserialize, Serialize)]
pub struct Outcome {
    /// Processor, cores, kernel.
    pub machine: String,
    /// Turns of each subject in each case.
    pub rounds: usize,
    /// What is the same for each of them.
    #[serde(flatten)]
    pub turn: Turn,
    /// Whoever took part, and what is to be known of it.
    pub subjects: Vec<Participant>,
    /// In the order of measurement.
    pub cases: Vec<CaseOutcome>,
}

/// A subject and its footnote.
#[derive(Debug, Deserialize, Serialize)]
pub struct Participant {
    /// Who.
    pub subject: Subject,
    /// What a reader should know.
    pub note: String,
}

/// What came out of one case.
#[derive(Debug, Deserialize, Serialize)]
pub struct CaseOutcome {
    /// The workload it belongs to.
    pub workload: String,
    /// What was done.
    pub title: String,
    /// On what.
    pub wire: String,
    /// What ratios are against.
    pub base: Base,
    /// The first is what the case is about.
    pub figures: Vec<FigureOutcome>,
    /// Who could not, and why.
    pub failures: Vec<Failure>,
}

/// One figure of all subjects.
#[derive(Debug, Deserialize, Serialize)]
pub struct FigureOutcome {
    /// What it is.
    pub name: String,
    /// In what.
    pub unit: String,
    /// Which way is better.
    pub better: Better,
    /// In the order of the subjects.
    pub values: Vec<Value>,
}

/// One figure of one subject.
#[derive(Debug, Deserialize, Serialize)]
pub struct Value {
    /// Who.
    pub subject: Subject,
    /// How much.
    #[serde(flatten)]
    pub summary: Summary,
    /// The median against the base's.
    pub ratio: Option<f64>,
}

/// Why there is no figure.
#[derive(Debug, Deserialize, Serialize)]
pub struct Failure {
    /// Who.
    pub subject: Subject,
    /// Why.
    pub reason: String,
}

/// All figures that a subject brought home in one case, or why it has none.
pub type Turns = (Subject, Result<Vec<Vec<Figure>>, String>);

impl Outcome {
    /// Takes in what came out of a case, in the place of what came out of it before.
    pub fn add(&mut self, new: CaseOutcome) {
        let same = |case: &&mut CaseOutcome| case.title == new.title && case.wire == new.wire;
        match self.cases.iter_mut().find(same) {
            Some(old) => *old = new,
            None => self.cases.push(new),
        }
    }
}

impl CaseOutcome {
    /// Sums up what the subjects of a case brought home.
    pub fn new(case: &Case, turns: &[Turns]) -> CaseOutcome {
        let mut outcome = CaseOutcome {
            workload: case.workload.to_owned(),
            title: case.title.clone(),
            wire: case.wire.map(|wire| wire.name()).unwrap_or_default(),
            base: case.base,
            figures: Vec::new(),
            failures: Vec::new(),
        };
        for (subject, result) in turns {
            match result {
                Ok(rounds) => rounds.iter().flatten().for_each(|figure| outcome.add(*subject, rounds, figure)),
                Err(reason) => outcome.failures.push(Failure { subject: *subject, reason: reason.clone() }),
            }
        }
        for figure in &mut outcome.figures {
            figure.compare(case.base);
        }
        outcome
    }

    fn add(&mut self, subject: Subject, rounds: &[Vec<Figure>], figure: &Figure) {
        let Figure { name, unit, value: _, better } = *figure;
        let place = self.figures.iter().position(|figure| figure.name == name).unwrap_or_else(|| {
            self.figures.push(FigureOutcome {
                name: name.to_owned(),
                unit: unit.to_owned(),
                better,
                values: Vec::new(),
            });
            self.figures.len() - 1
        });
        let values = &mut self.figures[place].values;
        if values.iter().any(|value| value.subject == subject) {
            return;
        }
        let samples = rounds.iter().flatten().filter(|figure| figure.name == name).map(|figure| figure.value);
        if let Some(summary) = Summary::of(&samples.collect::<Vec<_>>()) {
            values.push(Value { subject, summary, ratio: None });
        }
    }
}

impl FigureOutcome {
    fn compare(&mut self, base: Base) {
        let others = self.values.iter().filter(|value| match base {
            Base::Kernel => value.subject == Subject::Kernel,
            Base::BestOther => !matches!(value.subject, Subject::Sockeye | Subject::SockeyeLibrary),
        });
        let medians = others.map(|value| value.summary.median);
        let best = match self.better {
            Better::Higher => medians.max_by(f64::total_cmp),
            Better::Lower => medians.min_by(f64::total_cmp),
        };
        for value in &mut self.values {
            value.ratio = best.filter(|best| *best != 0.0).map(|best| value.summary.median / best);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::scene::Wire;

    pub(crate) fn sample() -> Outcome {
        let case = Case {
            workload: "bulk",
            title: "sends <1 flow>".into(),
            wire: Some(Wire::OFFLOADS),
            admits: |_| true,
            base: Base::Kernel,
            once: false,
            quick: true,
            measure: Box::new(|_| Ok(Vec::new())),
        };
        let round = |rate, cpu| vec![Figure::more("rate", "Gbit/s", rate), Figure::less("CPU", "s/GB", cpu)];
        let turns = [
            (Subject::Kernel, Ok(vec![round(10.0, 0.5), round(20.0, 0.25), round(12.0, 0.5)])),
            (Subject::Sockeye, Ok(vec![round(18.0, 1.0), round(6.0, 1.0), round(19.0, 1.0)])),
            (Subject::Lwip, Err("not built".to_owned())),
        ];
        let subjects = vec![Participant { subject: Subject::Kernel, note: "the kernel".into() }];
        let machine = "a machine".to_owned();
        Outcome {
            machine,
            rounds: 3,
            turn: Turn { seconds: 1.0, pinned: true },
            subjects,
            cases: vec![CaseOutcome::new(&case, &turns)],
        }
    }

    #[test]
    fn medians_are_compared_with_the_kernels() {
        let case = &sample().cases[0];
        let ratios = |index: usize| case.figures[index].values.iter().map(|value| value.ratio).collect::<Vec<_>>();
        assert_eq!(ratios(0), [Some(1.0), Some(1.5)]);
        assert_eq!(ratios(1), [Some(1.0), Some(2.0)]);
        assert_eq!(case.failures[0].reason, "not built");
    }

    #[test]
    fn what_was_written_is_read_and_renewed() {
        let Ok(text) = serde_json::to_string(&sample()) else { panic!("an outcome is JSON") };
        let Ok(mut read) = serde_json::from_str::<Outcome>(&text) else { panic!("{text}") };
        let mut again = sample().cases.remove(0);
        again.failures.clear();
        read.add(again);
        assert_eq!(read.cases.len(), 1);
        assert!(read.cases[0].failures.is_empty());
    }

    #[test]
    fn without_a_kernel_the_best_of_the_others_counts() {
        let value = |subject, median| Value {
            subject,
            summary: Summary { median, spread: 0.0, samples: vec![median] },
            ratio: None,
        };
        let values =
            vec![value(Subject::SockeyeLibrary, 30.0), value(Subject::Smoltcp, 5.0), value(Subject::Lwip, 10.0)];
        let mut figure = FigureOutcome { name: "rate".into(), unit: "Gbit/s".into(), better: Better::Higher, values };
        figure.compare(Base::BestOther);
        assert_eq!(
            figure.values.iter().map(|value| value.ratio).collect::<Vec<_>>(),
            [Some(3.0), Some(0.5), Some(1.0)]
        );
    }
}
