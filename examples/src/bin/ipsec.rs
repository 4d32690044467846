//! Packets that are proved (AH) or sealed (ESP), made by hand.
//!
//! ```text
//! ipsec --to 192.0.2.1 --protocol ah                              transport: AH stands before the payload
//! ipsec --to 192.0.2.1 --protocol esp --cipher aes-gcm            the payload is encrypted
//! ipsec --to 198.51.100.1 --from 198.51.100.2 --via 192.0.2.1 --protocol esp      tunnel: a whole packet is the payload
//! ```
//!
//! Watch it with `tcpdump -v -n -i eth0 'proto 50 or proto 51'`; Wireshark decrypts with the key (Preferences, ESP). A receiver takes it with
//! `ip xfrm state add src FROM dst TO proto ah spi 0x1234 mode transport auth-trunc 'hmac(sha256)' 0xKEY 128`.
//!
//! - **AH** covers the whole packet: the IP header, too, but for what routers change, which counts as zero (see [`immutable`]). It
//!   is put in with a check value of zeros, all is summed up, and then the value gets its place.
//! - **ESP** covers only itself. Behind the payload come padding and what the payload is; cipher `null` (RFC 2410) leaves it readable, and
//!   HMAC-SHA-256 proves it; AES-GCM (RFC 4106) does both.
//!
//! The whole packet is ours (`--socket hdrincl`): what the system would fill in by itself, the check value could not cover. So the
//! identification may not be zero in IPv4.
//!
//! The key stands in this file. That is good for a look with Wireshark, and for nothing else: real ones come from IKE.
//!
//! # Standards
//!
//! RFC 4302 (AH), RFC 4303 (ESP), RFC 4868 (HMAC-SHA-256-128), RFC 4106 (AES-GCM), RFC 2410 (null).

use std::net::IpAddr;
use std::process::ExitCode;

use aes_gcm::Aes128Gcm;
use aes_gcm::aead::{Aead, KeyInit, Payload as Sealed};
use clap::{Parser, ValueEnum};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use sockeye_examples::interface::source_toward;
use sockeye_examples::payload::Payload;
use sockeye_examples::way::{Kind, Way};
use sockeye_examples::{Explain, Result, end, packet};
use sockeye_wire::esp::Trailer;
use sockeye_wire::{Protocol, ah, esp};

/// HMAC-SHA-256's.
const KEY: &[u8; 32] = b"an example is no place for a key";
/// AES-GCM's, and the four bytes ("salt") that each nonce begins with.
const CIPHER_KEY: &[u8; 16] = b"sixteen bytes...";
const SALT: &[u8; 4] = b"salt";
/// What RFC 4868 leaves of HMAC-SHA-256.
const ICV_LEN: usize = 16;
/// The first packet of an association.
const SEQ: u32 = 1;

/// Sends a packet that is proved or sealed
#[derive(Parser)]
struct Cli {
    /// Where to
    #[arg(long, value_name = "ADDRESS")]
    to: IpAddr,
    /// Where from; the system's choice, where nothing is said
    #[arg(long, value_name = "ADDRESS")]
    from: Option<IpAddr>,
    /// The other end of a tunnel: makes it one
    #[arg(long, value_name = "ADDRESS")]
    via: Option<IpAddr>,
    /// What does it
    #[arg(long, value_enum)]
    protocol: Security,
    /// How ESP encrypts
    #[arg(long, value_enum, default_value = "null")]
    cipher: Cipher,
    /// Which association of the receiver's
    #[arg(long, default_value_t = 0x1234)]
    spi: u32,
    /// The socket to send on
    #[arg(long, value_enum, default_value = "hdrincl")]
    socket: Kind,
    #[command(flatten)]
    way: Way,
    #[command(flatten)]
    payload: Payload,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Security {
    /// Authentication header
    Ah,
    /// Encapsulating security payload
    Esp,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Cipher {
    /// None; HMAC-SHA-256-128 proves it
    Null,
    /// AES-128-GCM with a check value of 16 bytes
    AesGcm,
}

fn main() -> ExitCode {
    end(run(&Cli::parse()))
}

fn run(cli: &Cli) -> Result<()> {
    let inner_src = cli.from.map_or_else(|| source_toward(cli.to), Ok)?;
    let payload = cli.payload.bytes(inner_src, cli.to);
    let protocol = cli.payload.protocol(cli.to);
    let (src, dst, carried, payload) = match cli.via {
        None => (inner_src, cli.to, protocol, payload),
        Some(via) => {
            let inner = packet::ip(inner_src, cli.to, cli.payload.id, protocol, &payload)?;
            let carried = if cli.to.is_ipv4() { Protocol::IPV4 } else { Protocol::IPV6 };
            (source_toward(via)?, via, carried, inner)
        }
    };
    let around = |protocol, bytes: &[u8]| packet::ip(src, dst, cli.payload.id, protocol, bytes);
    let packet = match cli.protocol {
        Security::Ah => prove(cli.spi, dst.is_ipv6(), carried, &payload, around)?,
        Security::Esp => around(Protocol::ESP, &seal(cli.spi, cli.cipher, carried, &payload)?)?,
    };
    cli.way.send(cli.socket, dst, &[packet])
}

/// A packet with an authentication header before its payload.
fn prove(
    spi: u32,
    is_ipv6: bool,
    carried: Protocol,
    payload: &[u8],
    around: impl Fn(Protocol, &[u8]) -> Result<Vec<u8>>,
) -> Result<Vec<u8>> {
    let with = |icv: &[u8]| {
        let header = ah::Header { spi, seq: SEQ, icv };
        let mut bytes = vec![0; header.header_len()];
        header.emit(carried, &mut bytes);
        bytes.extend(payload);
        around(Protocol::AH, &bytes)
    };
    // In IPv6 all headers are multiples of 8 bytes: four more of padding.
    let mut icv = vec![0; if is_ipv6 { ICV_LEN + 4 } else { ICV_LEN }];
    let value = check_value(&immutable(with(&icv)?))?;
    icv[..ICV_LEN].copy_from_slice(&value);
    with(&icv)
}

/// What of a packet is the same at both ends. The headers here have no options.
fn immutable(mut packet: Vec<u8>) -> Vec<u8> {
    let changing: &[usize] = match packet.first().map(|byte| byte >> 4) {
        // Type of service; flags and fragment offset; time to live; checksum.
        Some(4) => &[1, 6, 7, 8, 10, 11],
        // Traffic class and flow label, but not the version; hop limit.
        _ => {
            packet[0] &= 0xf0;
            &[1, 2, 3, 7]
        }
    };
    for &at in changing {
        packet[at] = 0;
    }
    packet
}

/// What stands in the place of a payload: header, payload and trailer, sealed.
fn seal(spi: u32, cipher: Cipher, carried: Protocol, payload: &[u8]) -> Result<Vec<u8>> {
    let mut bytes = vec![0; esp::HEADER_LEN];
    esp::Header { spi, seq: SEQ }.emit(&mut bytes);

    let trailer = Trailer::new(payload.len(), carried, 4);
    let mut clear = payload.to_vec();
    clear.resize(payload.len() + trailer.len(), 0);
    trailer.emit(&mut clear[payload.len()..]);

    match cipher {
        Cipher::Null => {
            bytes.extend(clear);
            let value = check_value(&bytes)?;
            bytes.extend(value);
        }
        Cipher::AesGcm => {
            // Never twice with one key: it counts with the packets.
            let vector = u64::from(SEQ).to_be_bytes();
            let mut nonce = [0; 12];
            nonce[..4].copy_from_slice(SALT);
            nonce[4..].copy_from_slice(&vector);
            let cipher = Aes128Gcm::new(CIPHER_KEY.into());
            // The header is not encrypted, but covered; the check value is the last 16 bytes of what comes out.
            let sealed = cipher.encrypt(&nonce.into(), Sealed { msg: &clear, aad: &bytes }).explain("encrypt")?;
            bytes.extend(vector);
            bytes.extend(sealed);
        }
    }
    Ok(bytes)
}

/// HMAC-SHA-256-128.
fn check_value(bytes: &[u8]) -> Result<[u8; ICV_LEN]> {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(KEY).explain("take the key")?;
    mac.update(bytes);
    let whole = mac.finalize().into_bytes();
    let mut value = [0; ICV_LEN];
    value.copy_from_slice(&whole[..ICV_LEN]);
    Ok(value)
}
