//! IPv4: what comes in, what goes out, and what is cut on the way.
//!
//! | room | concern |
//! |---|---|
//! | [`input`] | may this packet come in, and to whom does it go |
//! | [`delivery`] | what was decided about it is done |
//! | [`output`] | a header, a neighbour, a queue |
//! | [`fragment`] | datagrams become fragments |
//! | [`identification`] | what the fragments of one datagram have in common |

mod delivery;
pub(crate) mod fragment;
pub(crate) mod identification;
pub(crate) mod input;
pub(crate) mod output;
