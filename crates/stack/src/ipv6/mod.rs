//! IPv6: what comes in, what goes out, and what is cut on the way.
//!
//! | room | concern |
//! |---|---|
//! | [`input`] | may this packet come in, and what does it carry |
//! | [`delivery`] | what was decided is done |
//! | [`output`] | a header, a neighbour, a queue |
//! | [`headers`] | extension headers to be sent |
//! | [`discovery`] | who is on the link, and that we are |
//! | [`anycast`] | addresses that others have as well |
//! | [`autoconf`] | addresses, routers and name servers that nobody configured |
//! | [`icmp`] | answering echoes, complaining, and hearing complaints |

pub mod anycast;
pub mod autoconf;
pub(crate) mod delivery;
pub(crate) mod discovery;
pub mod headers;
pub(crate) mod icmp;
pub(crate) mod input;
pub(crate) mod output;

pub use headers::Headers;
