//! The message by which a listener hands over a connection.
//!
//! The node sends it on its end of the listener's pair with the connection's descriptor (SCM_RIGHTS). On a stream pair the
//! kernel never joins two pieces that each carry descriptors into one read, and a read of exactly [`Accepted::LEN`] bytes takes exactly one.
//!
//! ```text
//!   0        1        2        4                 32                60       64
//!   | VERSION| TAG    | zero   | local address   | remote address  | zero   |
//! ```

use crate::VERSION;
use crate::codec::{Malformed, Reader, Writer};
use std::net::SocketAddr;

/// A connection that a listener accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The connection's own address.
    pub local: SocketAddr,
    /// The peer's address: what `accept` returns.
    pub remote: SocketAddr,
}

const TAG: u8 = b'A';

impl Accepted {
    /// Bytes of the message.
    pub const LEN: usize = 64;

    /// The message.
    pub fn encode(&self) -> [u8; Self::LEN] {
        let Accepted { local, remote } = *self;
        let mut message = [0; Self::LEN];
        let mut writer = Writer::new(&mut message);
        // The buffer holds all four, whatever the addresses are; the test of all of them would fail if it did not.
        let written = writer
            .bytes(&[VERSION, TAG, 0, 0])
            .and_then(|()| writer.socket_address(Some(local)))
            .and_then(|()| writer.socket_address(Some(remote)));
        debug_assert!(written.is_ok());
        message
    }

    /// Reads a message.
    pub fn decode(message: &[u8]) -> Result<Accepted, Malformed> {
        let mut reader = Reader::new(message);
        match reader.head()? {
            TAG => {}
            tag => return Err(Malformed::Tag(tag)),
        }
        let accepted = Accepted { local: reader.socket_address()?, remote: reader.socket_address()? };
        reader.zeros(4)?;
        reader.end()?;
        Ok(accepted)
    }
}
