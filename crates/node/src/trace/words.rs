//! Requests and their outcomes in the words of a trace: as strace prints the calls that they come from.

use sockeye_control::Request;
use sockeye_socket::names::{self, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, SOCK_DGRAM, SOCK_RAW, SOCK_STREAM};

use crate::requests::{Answer, Outcome, SHUT_RD, SHUT_RDWR, SHUT_WR};

/// A request. `number` is what the trace calls its socket.
pub(crate) fn describe(request: &Request<'_>, number: Option<u64>) -> String {
    let socket = number.map_or_else(|| "#?".to_owned(), |number| format!("#{number}"));
    match *request {
        Request::Socket { family: socket_family, kind, protocol, nonblocking } => {
            let names =
                [(AF_INET, "AF_INET"), (AF_INET6, "AF_INET6"), (AF_PACKET, "AF_PACKET"), (AF_NETLINK, "AF_NETLINK")];
            let family = word(socket_family, &names.map(|(family, name)| (family.into(), name)));
            let kind = word(kind, &[(SOCK_STREAM, "SOCK_STREAM"), (SOCK_DGRAM, "SOCK_DGRAM"), (SOCK_RAW, "SOCK_RAW")]);
            let flag = if nonblocking { "|SOCK_NONBLOCK" } else { "" };
            format!("socket({family}, {kind}{flag}, {protocol})")
        }
        Request::Bind { address, .. } => format!("bind({socket}, {address})"),
        Request::Listen { backlog, .. } => format!("listen({socket}, {backlog})"),
        Request::Connect { address: Some(address), .. } => format!("connect({socket}, {address})"),
        Request::Connect { address: None, .. } => format!("connect({socket}, AF_UNSPEC)"),
        Request::LocalAddress { .. } => format!("getsockname({socket})"),
        Request::PeerAddress { .. } => format!("getpeername({socket})"),
        Request::SetOption { level, name, value, .. } | Request::TellOption { level, name, value, .. } => {
            let value = match value.first_chunk() {
                Some(&bytes) => i32::from_ne_bytes(bytes).to_string(),
                None => format!("{} bytes", value.len()),
            };
            format!("setsockopt({socket}, {}, {value})", option_name(level, name))
        }
        Request::AskOption { level, name, .. } | Request::Option { level, name, .. } => {
            format!("getsockopt({socket}, {})", option_name(level, name))
        }
        Request::Shutdown { how, .. } => {
            let how = word(how, &[(SHUT_RD, "SHUT_RD"), (SHUT_WR, "SHUT_WR"), (SHUT_RDWR, "SHUT_RDWR")]);
            format!("shutdown({socket}, {how})")
        }
        Request::Flush { .. } => format!("flush({socket})"),
        Request::WriteInVain { .. } => format!("write({socket}) after the peer's close"),
        Request::TakeError { .. } => format!("recvmsg({socket}, MSG_ERRQUEUE)"),
        Request::Memory { .. } => format!("mmap({socket})"),
        Request::Transmit { address: Some(address), .. } => format!("send({socket}, its ring, {address})"),
        Request::Transmit { address: None, .. } => format!("send({socket}, its ring)"),
        Request::Board => "board".to_owned(),
        Request::Ring => "ring".to_owned(),
        Request::Admit => "admit".to_owned(),
        Request::Ioctl { command, .. } => format!("ioctl({socket}, {command:#x})"),
        Request::Resolve { name, .. } => format!("getaddrinfo({name:?})"),
        Request::ResolveAddress { address } => format!("getnameinfo({address})"),
        Request::Interfaces => "getifaddrs()".to_owned(),
        Request::InterfaceIoctl { command, .. } => format!("ioctl({command:#x})"),
        Request::File { path, .. } => format!("open({path:?})"),
        Request::Show { what, .. } => format!("show {what}"),
        Request::Trace => "trace".to_owned(),
        Request::Down => "down".to_owned(),
    }
}

/// An outcome.
pub(crate) fn describe_outcome(outcome: &Outcome, made: Option<u64>) -> String {
    match outcome {
        Ok((Answer::Done, Some(_))) => made.map_or_else(|| "ok".to_owned(), |number| format!("#{number}")),
        Ok((Answer::Done, None)) => "0".to_owned(),
        Ok((Answer::InProgress, _)) => "in progress".to_owned(),
        Ok((Answer::Address(address), _)) => address.to_string(),
        Ok((Answer::Message(message), _)) => format!("{} bytes", message.len()),
        Ok((Answer::Value(value), _)) => match value.first_chunk() {
            Some(&bytes) if value.len() == 4 => i32::from_ne_bytes(bytes).to_string(),
            _ => format!("{} bytes", value.len()),
        },
        Err(refusal) => refusal.errno.to_string(),
    }
}

fn option_name(level: i32, name: i32) -> String {
    names::option_name(level, name).map_or_else(|| format!("{level}, {name}"), str::to_owned)
}

/// A number of the socket interface.
fn word(number: i32, names: &[(i32, &str)]) -> String {
    names.iter().find(|(known, _)| *known == number).map_or_else(|| number.to_string(), |(_, name)| (*name).to_owned())
}
