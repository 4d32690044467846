//! A wire between two hosts: an [`Impairer`] for each way.

use crate::port::PortId;
use sockeye_device::{Full, Impairer, Impairments, Instant, Offload, TxFrame};
use sockeye_wire::ethernet;
use std::collections::VecDeque;

/// What a wire does to frames, each way by itself.
#[derive(Clone, Debug)]
pub struct Conditions {
    /// Loss, delay and the like, to frames of the wire's size. None at all: super-frames pass whole.
    pub impairments: Option<Impairments>,
    /// The largest IP packet.
    pub mtu: u16,
    /// Frames that the sender's device queues before it pushes back.
    pub queue: usize,
}

impl Default for Conditions {
    fn default() -> Self {
        Conditions { impairments: None, mtu: 1_500, queue: 1_000 }
    }
}

/// One way of a wire.
enum Lane {
    Whole(VecDeque<(Vec<u8>, Offload)>),
    Impaired(Box<Impairer>),
}

impl Lane {
    fn len(&self) -> usize {
        match self {
            Lane::Whole(frames) => frames.len(),
            Lane::Impaired(impairer) => impairer.len(),
        }
    }
}

/// A wire.
pub(super) struct Wire {
    ends: [(usize, PortId); 2],
    /// From each end.
    lanes: [Lane; 2],
    queue: usize,
    mtu: u16,
}

impl Wire {
    pub(super) fn new(ends: [(usize, PortId); 2], conditions: &Conditions, seed: u64) -> Self {
        let lane = |end: u64| match &conditions.impairments {
            None => Lane::Whole(VecDeque::new()),
            Some(impairments) => Lane::Impaired(Box::new(Impairer::new(*impairments, seed ^ end))),
        };
        Wire { ends, lanes: [lane(0), lane(1)], queue: conditions.queue, mtu: conditions.mtu }
    }

    /// A frame goes onto the wire at `end`.
    pub(super) fn push(&mut self, now: Instant, end: usize, frame: &TxFrame<'_>) -> Result<(), Full> {
        let lane = &mut self.lanes[end];
        if lane.len() >= self.queue {
            return Err(Full);
        }
        let longest = frame.offload.segmentation.map_or(frame.len(), |cut| usize::from(cut.header_len + cut.size));
        assert!(longest <= ethernet::HEADER_LEN + usize::from(self.mtu), "{longest} bytes do not fit the wire");
        match lane {
            Lane::Whole(frames) => {
                let mut bytes = Vec::with_capacity(frame.len());
                frame.gather(&mut bytes);
                frames.push_back((bytes, frame.offload));
            }
            Lane::Impaired(impairer) => impairer.push(now, frame),
        }
        Ok(())
    }

    /// A frame that arrives now, with where it does.
    pub(super) fn pop(&mut self, now: Instant) -> Option<(usize, PortId, Vec<u8>, Offload)> {
        for (end, lane) in self.lanes.iter_mut().enumerate() {
            let arrived = match lane {
                Lane::Whole(frames) => frames.pop_front(),
                Lane::Impaired(impairer) => impairer.pop(now).map(|bytes| (bytes, Offload::default())),
            };
            if let Some((bytes, offload)) = arrived {
                let (host, port) = self.ends[1 - end];
                return Some((host, port, bytes, offload));
            }
        }
        None
    }

    /// When the next frame arrives.
    pub(super) fn next(&self) -> Option<Instant> {
        self.lanes
            .iter()
            .filter_map(|lane| match lane {
                Lane::Whole(_) => None,
                Lane::Impaired(impairer) => impairer.poll_timeout(),
            })
            .min()
    }
}
