//! What others on a link make the log say: conflicts of addresses, routers that come and go.
//!
//! Whoever can send frames could fill the log with them. So there is a line about an address, and then none about it for ten
//! seconds; what happens meanwhile is counted, and the last of it told when they are over, with the count. Of more addresses than
//! [`ADDRESSES`] in ten seconds only the number is told, in one line, however many they are.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use sockeye_device::Instant;

/// How long nothing more is said about an address.
const QUIET: Duration = Duration::from_secs(10);
/// Addresses that have lines of their own at a time.
const ADDRESSES: usize = 32;

/// Something that the log is to say because somebody on a link has sent something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hearsay {
    pub(super) interface: String,
    pub(super) address: IpAddr,
    /// Somebody should do something about it.
    pub(super) warns: bool,
    pub(super) text: String,
}

/// An address about which something was said.
struct Told {
    interface: String,
    address: IpAddr,
    until: Instant,
    /// How much was left out since, and the last of it.
    left_out: u64,
    last: Option<Hearsay>,
}

/// The log's memory of it.
#[derive(Default)]
pub(super) struct Hearsays {
    /// In the order in which their time is over.
    told: VecDeque<Told>,
    /// Until when nothing is said of the addresses for which there is no place, and how much that would have been.
    crowd: Option<(Instant, u64)>,
}

impl Hearsays {
    /// Logs it, now or later.
    pub(super) fn tell(&mut self, now: Instant, heard: Hearsay) {
        if let Some(line) = self.admit(now, heard) {
            line.log();
        }
    }

    /// When there is something to be said that was left out.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let left_out = self.told.iter().find(|told| told.left_out > 0).map(|told| told.until);
        let crowd = self.crowd.map(|(until, _)| until);
        [left_out, crowd].into_iter().flatten().min()
    }

    /// Logs what was left out and is due.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        for line in self.due(now) {
            line.log();
        }
    }

    fn admit(&mut self, now: Instant, heard: Hearsay) -> Option<Hearsay> {
        self.told.retain(|told| told.until > now || told.left_out > 0);
        let known = |told: &&mut Told| told.address == heard.address && told.interface == heard.interface;
        if let Some(told) = self.told.iter_mut().find(known) {
            told.left_out += 1;
            // A warning is not hidden behind what was heard after it.
            if heard.warns || told.last.as_ref().is_none_or(|last| !last.warns) {
                told.last = Some(heard);
            }
            return None;
        }
        let until = now + QUIET;
        if self.told.len() >= ADDRESSES {
            self.crowd.get_or_insert((until, 0)).1 += 1;
            return None;
        }
        let (interface, address) = (heard.interface.clone(), heard.address);
        self.told.push_back(Told { interface, address, until, left_out: 0, last: None });
        Some(heard)
    }

    fn due(&mut self, now: Instant) -> Vec<Hearsay> {
        let mut lines = Vec::new();
        while let Some(mut told) = self.told.pop_front_if(|told| told.until <= now) {
            let Some(last) = told.last.take() else { continue };
            lines.push(Hearsay { text: format!("{} ({} heard in 10 s)", last.text, told.left_out), ..last.clone() });
            self.told.push_back(Told { until: now + QUIET, left_out: 0, ..told });
        }
        if let Some((_, count)) = self.crowd.take_if(|(until, _)| *until <= now) {
            let text = format!(
                "{count} more events about addresses that others on the link claim or announce in 10 s: see `sockeye show`"
            );
            let address = IpAddr::from([0; 4]);
            lines.push(Hearsay { interface: "all".to_owned(), address, warns: true, text });
        }
        lines
    }
}

impl Hearsay {
    fn log(&self) {
        let Hearsay { interface, address: _, warns, text } = self;
        if *warns {
            tracing::warn!(interface, "{text}");
        } else {
            tracing::info!(interface, "{text}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(address: [u8; 4], text: &str) -> Hearsay {
        Hearsay { interface: "eth0".to_owned(), address: address.into(), warns: true, text: text.to_owned() }
    }

    fn texts(lines: impl IntoIterator<Item = Hearsay>) -> Vec<String> {
        lines.into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn an_address_has_a_line_and_then_one_in_ten_seconds() {
        let mut hearsays = Hearsays::default();
        let begin = Instant::from_millis(1_000);
        let at = |seconds| begin + Duration::from_secs(seconds);
        assert_eq!(texts(hearsays.admit(begin, heard([10, 0, 0, 1], "first"))), ["first"]);
        assert_eq!(hearsays.poll_timeout(), None, "an idle node sleeps");
        for number in 0..1_000 {
            assert_eq!(hearsays.admit(at(1), heard([10, 0, 0, 1], &format!("line {number}"))), None);
        }
        assert_eq!(texts(hearsays.admit(at(2), heard([10, 0, 0, 2], "another"))), ["another"]);
        assert_eq!((hearsays.poll_timeout(), hearsays.due(at(9)).len()), (Some(at(10)), 0));
        assert_eq!(texts(hearsays.due(at(10))), ["line 999 (1000 heard in 10 s)"]);
        assert_eq!(hearsays.admit(at(11), heard([10, 0, 0, 1], "again")), None);
        assert_eq!(texts(hearsays.due(at(20))), ["again (1 heard in 10 s)"]);
        assert_eq!((hearsays.due(at(40)).len(), hearsays.poll_timeout()), (0, None));
        assert_eq!(texts(hearsays.admit(at(41), heard([10, 0, 0, 1], "news"))), ["news"]);
    }

    #[test]
    fn a_crowd_of_addresses_has_one_line() {
        let mut hearsays = Hearsays::default();
        let begin = Instant::from_millis(1_000);
        let all = (0..=255).flat_map(|high| (0..=255).map(move |low| heard([10, 0, high, low], "mine")));
        assert_eq!(all.filter_map(|heard| hearsays.admit(begin, heard)).count(), ADDRESSES);
        assert_eq!(hearsays.poll_timeout(), Some(begin + QUIET));
        let lines = texts(hearsays.due(begin + QUIET));
        assert_eq!(lines.len(), 1);
        assert!(lines[0].starts_with("65504 more events"), "{}", lines[0]);
        assert_eq!((hearsays.told.len(), hearsays.poll_timeout()), (0, None));
    }
}
