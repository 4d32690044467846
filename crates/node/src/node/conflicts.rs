//! Addresses that somebody else has, too: people should know, as both hosts are hard to reach meanwhile.

use sockeye_stack::Conflict;

use super::Node;
use super::hearsay::Hearsay;

impl Node {
    /// Tells the log of conflicts that are new.
    pub(super) fn tell_conflicts(&mut self) {
        while let Some(Conflict { port, address, station, .. }) = self.host.stack_mut().poll_conflict() {
            let interface = self.host.stack().ports().find(|(id, _)| *id == port).map(|(_, port)| port.name.clone());
            let interface = interface.unwrap_or_default();
            let text = format!("{address} is claimed by {station}, too: give one of the two another address");
            self.hearsay.tell(self.now, Hearsay { interface, address: address.into(), warns: true, text });
        }
    }
}
