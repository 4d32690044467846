//! Packets that are proved (AH) or sealed (ESP), made by hand.
//!
//! ```text
//! ipsec --to 192.0.2.1 --protocol ah                              transport: AH stands before the payload
//! ipsec --to 192.0.2.1 --protocol esp --cipher aes-gcm            the payload is encrypted
//! ipsec --to 198.51.100.1 --from 198.51.100.2 --via 192.0.2.1 --protocol esp      tunnel: a whole packet is the payload
//! ipsec --to 2001:db8::1 --protocol ah --header hop-by-hop --size 3000 --fragment 1280     what else stands in the packet
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
//! What is proved or sealed is the whole; fragments are made of it afterwards, and put together before anybody looks at the check value.
//!
//! The whole packet is ours (`--socket hdrincl`): what the system would fill in by itself, the check value could not cover. So the
//! identification may not be zero in IPv4.
//!
//! The key stands in this file. That is good for a look with Wireshark, and for nothing else: real ones come from IKE.
//!
//! # Standards
//!
//! RFC 4302 (AH), RFC 4303 (ESP), RFC 4868 (HMAC-SHA-256-128), RFC 4106 (AES-GCM), RFC 2410 (null), RFC 4301 §5.1.2 (which headers a tunnel has).

use std::net::{IpAddr, Ipv6Addr};
use std::process::ExitCode;

use aes_gcm::Aes128Gcm;
use aes_gcm::aead::{Aead, KeyInit, Payload as Sealed};
use clap::{Parser, ValueEnum};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use sockeye_examples::extensions::{self, Contents};
use sockeye_examples::packet::{Header, carrying};
use sockeye_examples::payload::Payload;
use sockeye_examples::way::{Kind, Way};
use sockeye_examples::{Explain, Result, host, start};
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
    #[arg(long, value_name = "HOST", value_parser = host::any)]
    to: IpAddr,
    /// Where from; the system's choice, where nothing is said
    #[arg(long, value_name = "ADDRESS")]
    from: Option<IpAddr>,
    /// The other end of a tunnel: makes it one
    #[arg(long, value_name = "HOST", value_parser = host::any)]
    via: Option<IpAddr>,
    /// What does it
    #[arg(long, value_enum)]
    protocol: Security,
    /// How ESP encrypts; null, where nothing is said
    #[arg(long, value_enum)]
    cipher: Option<Cipher>,
    /// Which association of the receiver's
    #[arg(long, default_value_t = 0x1234)]
    spi: u32,
    /// An extension header before it: hop-by-hop or destination; in this order
    #[arg(long = "header", value_name = "HEADER")]
    headers: Vec<extensions::Header>,
    /// Cut what comes out into packets of at most this many bytes
    #[arg(long, value_name = "MTU")]
    fragment: Option<u16>,
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
    start(run)
}

fn run(cli: &Cli) -> Result<()> {
    let from = cli.from.map_or_else(|| cli.way.source_toward(cli.to), Ok)?;
    let (id, protocol) = (cli.payload.id, cli.payload.protocol(cli.to));
    let payload = cli.payload.bytes(from, cli.to)?;
    let (src, dst, carried, payload) = match cli.via {
        None => (from, cli.to, protocol, payload),
        Some(via) => {
            let inner = Header::plain(from, cli.to, id)?.packet(protocol, &payload)?;
            (cli.way.source_toward(via)?, via, carrying(cli.to), inner)
        }
    };
    let headers = outer_headers(&cli.headers)?;
    let headers: Vec<_> = headers.iter().map(Contents::repr).collect();
    let header = Header::plain(src, dst, id)?.with_extensions(&headers)?;
    let packets = match cli.protocol {
        Security::Ah if cli.cipher.is_some() => {
            return Err("AH encrypts nothing: --cipher is for --protocol esp".into());
        }
        Security::Ah => header.packets(Protocol::AH, &prove(cli.spi, &header, carried, &payload)?, cli.fragment)?,
        Security::Esp => {
            let cipher = cli.cipher.unwrap_or(Cipher::Null);
            header.packets(Protocol::ESP, &seal(cli.spi, cipher, carried, &payload)?, cli.fragment)?
        }
    };
    cli.way.send(cli.socket, dst, &packets)
}

/// The extension headers of the outer packet. A routing header would be proved as it stands at the end of the way.
fn outer_headers(headers: &[extensions::Header]) -> Result<Vec<Contents>> {
    let contents = headers.iter().map(|header| match header {
        extensions::Header::Routing(..) => {
            Err("AH and ESP here take --header hop-by-hop and destination, no routing".to_owned())
        }
        options => Ok(options.contents(Ipv6Addr::UNSPECIFIED)),
    });
    contents.collect()
}

/// An authentication header, and the payload behind it.
fn prove(spi: u32, header: &Header<'_>, carried: Protocol, payload: &[u8]) -> Result<Vec<u8>> {
    let with = |icv: &[u8]| {
        let header = ah::Header { spi, seq: SEQ, icv };
        let mut bytes = vec![0; header.header_len()];
        header.emit(carried, &mut bytes);
        bytes.extend(payload);
        bytes
    };
    // In IPv6 all headers are multiples of 8 bytes: four more of padding.
    let padding = if matches!(header, Header::V6 { .. }) { 4 } else { 0 };
    let mut icv = vec![0; ICV_LEN + padding];
    let value = check_value(&immutable(header.packet(Protocol::AH, &with(&icv))?))?;
    icv[..ICV_LEN].copy_from_slice(&value);
    Ok(with(&icv))
}

/// What of a packet is the same at both ends. Of the options here all is: one that changes on its way says so in its type (0x20).
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
