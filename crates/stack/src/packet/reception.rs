//! What devices are to let through besides what is for the host.
//!
//! Packet sockets wish for it as long as they live, and whoever administers an interface may switch it on and off; a device lets more through while
//! anybody wishes. The interface's flags tell the administrator's switch alone, as Linux has it: how many wish altogether is told beside.

use crate::port::PortId;
use crate::stack::Stack;

/// What a device is to let through besides what is for the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Reception {
    /// Frames to other stations.
    pub promiscuous: bool,
    /// Frames to any group.
    pub all_multicast: bool,
}

/// How many wish for each, and the administrator's switches, which are among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ReceptionCounts {
    /// Who wishes for frames to other stations.
    pub promiscuous: u32,
    /// Who wishes for frames to any group.
    pub all_multicast: u32,
    /// What is switched on.
    pub switched: Reception,
}

/// By port, and which ports' devices have not been told.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    counts: Vec<ReceptionCounts>,
    changed: Vec<PortId>,
}

impl Wishes {
    fn of(&mut self, port: PortId) -> &mut ReceptionCounts {
        if self.counts.len() <= port.index() {
            self.counts.resize(port.index() + 1, ReceptionCounts::default());
        }
        &mut self.counts[port.index()]
    }

    fn change(&mut self, port: PortId, what: Reception, on: bool) {
        let counts = self.of(port);
        let before = counts.wanted();
        for (count, wished) in
            [(&mut counts.promiscuous, what.promiscuous), (&mut counts.all_multicast, what.all_multicast)]
        {
            if wished {
                *count = if on { count.saturating_add(1) } else { count.saturating_sub(1) };
            }
        }
        if before != counts.wanted() && !self.changed.contains(&port) {
            self.changed.push(port);
        }
    }
}

impl ReceptionCounts {
    /// What the device has to do.
    pub fn wanted(&self) -> Reception {
        Reception { promiscuous: self.promiscuous > 0, all_multicast: self.all_multicast > 0 }
    }
}

impl Stack {
    /// Somebody wants a port's device to let more through, or does not any more.
    pub fn packet_receive_more(&mut self, port: PortId, what: Reception, on: bool) {
        self.packets.reception.change(port, what, on);
        self.ip.route_generation += 1;
    }

    /// The administrator's switches of a port.
    pub fn packet_switch_reception(&mut self, port: PortId, on: Reception) {
        self.ip.route_generation += 1;
        let wishes = &mut self.packets.reception;
        let before = std::mem::replace(&mut wishes.of(port).switched, on);
        let begun = Reception {
            promiscuous: on.promiscuous && !before.promiscuous,
            all_multicast: on.all_multicast && !before.all_multicast,
        };
        let ended = Reception {
            promiscuous: before.promiscuous && !on.promiscuous,
            all_multicast: before.all_multicast && !on.all_multicast,
        };
        wishes.change(port, begun, true);
        wishes.change(port, ended, false);
    }

    /// How many wish for more at a port.
    pub fn packet_reception(&self, port: PortId) -> ReceptionCounts {
        self.packets.reception.counts.get(port.index()).copied().unwrap_or_default()
    }

    /// A port whose device is to let through something else from now on.
    pub fn poll_reception(&mut self) -> Option<(PortId, Reception)> {
        let port = self.packets.reception.changed.pop()?;
        Some((port, self.packet_reception(port).wanted()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_told_when_the_first_wishes_and_when_nobody_does() {
        let mut stack = Stack::new(crate::Config::default(), [7; 32]);
        let port = PortId::from_index(1);
        let all = Reception { promiscuous: true, all_multicast: false };
        stack.packet_switch_reception(port, all);
        assert_eq!(stack.poll_reception(), Some((port, all)));
        stack.packet_receive_more(port, all, true);
        stack.packet_switch_reception(port, all);
        assert_eq!(stack.poll_reception(), None);
        assert_eq!(stack.packet_reception(port), ReceptionCounts { promiscuous: 2, all_multicast: 0, switched: all });
        stack.packet_switch_reception(port, Reception::default());
        assert_eq!(stack.poll_reception(), None);
        stack.packet_receive_more(port, all, false);
        assert_eq!(stack.poll_reception(), Some((port, Reception::default())));
    }
}
