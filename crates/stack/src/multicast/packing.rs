//! Statements become reports that fit a link.
//!
//! A record that does not fit what is left of a report begins the next one. A list of sources that fits no report is cut
//! over several, or, where it says who is *not* heard, cut off: then the router sends some that nobody wanted, which is
//! better than not sending some that somebody did.
//!
//! # Standards
//!
//! RFC 3376 §4.2.16, RFC 3810 §5.2.15 (the same).

use super::group::Statement;
use sockeye_wire::group::RecordKind;
use std::net::IpAddr;

/// Bytes of a record without addresses.
const RECORD: usize = 4;

/// Reports of at most `room` bytes of records.
pub(crate) fn pack(statements: Vec<Statement>, room: usize) -> Vec<Vec<Statement>> {
    let mut reports = Vec::new();
    let mut report = Vec::new();
    let mut left = room;
    for mut statement in statements {
        let address = if statement.group.is_ipv4() { 4 } else { 16 };
        let len = |sources: usize| RECORD + address * (1 + sources);
        if len(statement.sources.len()) > left && !report.is_empty() {
            reports.push(std::mem::take(&mut report));
            left = room;
        }
        let fit = (room.saturating_sub(len(0)) / address).max(1);
        if statement.sources.len() > fit {
            let rest: Vec<IpAddr> = statement.sources.split_off(fit);
            let excludes = matches!(statement.kind, RecordKind::MODE_IS_EXCLUDE | RecordKind::CHANGE_TO_EXCLUDE);
            if !excludes {
                for sources in rest.chunks(fit) {
                    reports.push(vec![Statement { sources: sources.to_vec(), ..statement.clone() }]);
                }
            }
        }
        left = left.saturating_sub(len(statement.sources.len()));
        report.push(statement);
    }
    if !report.is_empty() {
        reports.push(report);
    }
    reports
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn address(v6: bool, number: u16) -> IpAddr {
        match v6 {
            false => IpAddr::from([232, 0, (number >> 8) as u8, number as u8]),
            true => IpAddr::from([0xff35, 0, 0, 0, 0, 0, 0, number]),
        }
    }

    proptest! {
        /// All is said once, in reports that fit; of lists of those who are not heard, as much as fits.
        #[test]
        fn everything_is_said_and_fits(v6 in any::<bool>(), room in 100..400usize,
            lists in prop::collection::vec((1..7u8, 0..60u16), 0..30)) {
            let statements: Vec<_> = lists.iter().zip(0..).map(|(&(kind, count), number)| Statement {
                kind: RecordKind(kind),
                group: address(v6, number),
                sources: (0..count).map(|number| address(v6, number)).collect(),
            }).collect();
            let reports = pack(statements.clone(), room);
            let len = |said: &Statement| RECORD + (if v6 { 16 } else { 4 }) * (1 + said.sources.len());
            for report in &reports {
                prop_assert!(!report.is_empty() && report.iter().map(len).sum::<usize>() <= room);
            }
            for said in &statements {
                let about = reports.iter().flatten().filter(|other| other.group == said.group);
                let mut sources: Vec<IpAddr> = about.clone().flat_map(|other| other.sources.clone()).collect();
                sources.sort_unstable();
                prop_assert!(about.clone().all(|other| other.kind == said.kind));
                match said.kind.0 {
                    2 | 4 => {
                        prop_assert_eq!(about.count(), 1);
                        prop_assert!(sources[..] == said.sources[..sources.len()]);
                        prop_assert!(sources.len() == said.sources.len() || len(said) > room);
                    }
                    _ => prop_assert_eq!(sources, said.sources.clone()),
                }
            }
        }
    }
}
