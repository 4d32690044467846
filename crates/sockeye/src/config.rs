//! What a node shall be: the command line and a file, brought together and checked.
//!
//! The file (TOML, read by the node's crate) says the same things as the options, for several interfaces if need be. An
//! option given beside it wins: a list (addresses, gateways, name servers) replaces the file's list. What cannot work on any wire (a host whose
//! address is a group's, a gateway that is on no link) is refused here, by name, before anything is opened.

use std::net::IpAddr;
use std::path::Path;

use sockeye_node::{Config, Driver, Interface, MacChoice};
use sockeye_wire::IpPrefix;

use crate::cli::{DriverName, Mac, NodeArgs};
use crate::client;
use crate::failure::Failure;

/// Brings the options and the file together.
pub(crate) fn config(args: &NodeArgs, control: Option<&Path>) -> Result<Config, Failure> {
    let NodeArgs { interface: _, address: _, gateway, mac: _, driver: _, dns, no_local_shortcut, file } = args;
    let mut config = Config::new("");
    if let Some(file) = file {
        config.load(file).map_err(|error| Failure::usage(format!("{error}; see `sockeye up --help`")))?;
    }
    let said = (!config.control.as_os_str().is_empty()).then_some(config.control.as_path());
    config.control = client::path(control.or(said))?;
    apply(args, &mut config.interfaces)?;
    if !gateway.is_empty() {
        config.gateways.clone_from(gateway);
    }
    if !dns.is_empty() {
        config.dns.clone_from(dns);
    }
    config.local_shortcut &= !no_local_shortcut;
    check(&config)?;
    Ok(config)
}

/// Lets the options win over what the file says of the same interface.
fn apply(args: &NodeArgs, interfaces: &mut Vec<Interface>) -> Result<(), Failure> {
    let about_an_interface = !args.address.is_empty() || args.mac.is_some() || args.driver.is_some();
    let index = match (&args.interface, interfaces.as_slice()) {
        (Some(name), _) => interfaces.iter().position(|interface| interface.name == *name).unwrap_or_else(|| {
            let (mac, driver) = (MacChoice::Auto, Driver::Packet);
            interfaces.push(Interface { name: name.clone(), addresses: Vec::new(), mac, driver });
            interfaces.len() - 1
        }),
        (None, []) => {
            return Err(Failure::usage("no interface to live on; name one with -i IFACE, or a file with -c FILE.toml"));
        }
        (None, [_]) => 0,
        (None, _) if about_an_interface => {
            return Err(Failure::usage(
                "-a, --mac and --driver could mean several interfaces of the file; add -i IFACE",
            ));
        }
        (None, _) => return Ok(()),
    };
    let interface = &mut interfaces[index];
    if !args.address.is_empty() {
        interface.addresses.clone_from(&args.address);
    }
    match args.mac {
        Some(Mac::Auto) => interface.mac = MacChoice::Auto,
        Some(Mac::Inherit) => interface.mac = MacChoice::Inherit,
        Some(Mac::Fixed(mac)) => interface.mac = MacChoice::Fixed(mac),
        None => {}
    }
    match args.driver {
        Some(DriverName::Packet) => interface.driver = Driver::Packet,
        Some(DriverName::Xdp) => interface.driver = Driver::Xdp,
        Some(DriverName::Tap) => interface.driver = Driver::Tap,
        None => {}
    }
    Ok(())
}

fn check(config: &Config) -> Result<(), Failure> {
    let Config { interfaces, gateways, dns, ipv6, link_local, .. } = config;
    for (index, interface) in interfaces.iter().enumerate() {
        let Interface { name, addresses, mac: _, driver: _ } = interface;
        // IFNAMSIZ is 16 with the final zero; the kernel refuses the rest too.
        let sound = (1..16).contains(&name.len()) && !name.contains(['/', ':']) && !name.contains(char::is_whitespace);
        if !sound || name == "." || name == ".." {
            return Err(Failure::usage(format!("{name:?} cannot be the name of an interface; see `ip link`")));
        }
        if interfaces[..index].iter().any(|other| other.name == *name) {
            return Err(Failure::usage(format!(
                "interface {name} is named twice; name it once, with all its addresses"
            )));
        }
        // IPv6 makes itself addresses, and IPv4 where it was told to.
        if addresses.is_empty() && ipv6.is_none() && !link_local.contains(name) {
            return Err(Failure::usage(format!("interface {name} has no address; add -a ADDR/LEN")));
        }
        for (index, prefix) in addresses.iter().enumerate() {
            if addresses[..index].iter().any(|other| other.addr() == prefix.addr()) {
                return Err(Failure::usage(format!("{prefix} on {name} is given twice; give it once")));
            }
            if let Some(what) = unfit(*prefix) {
                return Err(Failure::usage(format!("{prefix} on {name} is {what}; give a host's address")));
            }
        }
    }
    let on_link = |address: IpAddr| {
        let of_a_link = matches!(address, IpAddr::V6(address) if address.is_unicast_link_local());
        if of_a_link && ipv6.is_some() {
            return true;
        }
        let prefixes = interfaces.iter().flat_map(|interface| &interface.addresses);
        prefixes.into_iter().any(|prefix| prefix.contains(address))
    };
    for (index, gateway) in gateways.iter().enumerate() {
        if gateways[..index].iter().any(|other| other.is_ipv4() == gateway.is_ipv4()) {
            return Err(Failure::usage(format!("{gateway} is a second default gateway; give one a family")));
        }
        if !on_link(*gateway) {
            return Err(Failure::usage(format!("gateway {gateway} is on none of the node's links; see -a ADDR/LEN")));
        }
        if interfaces.iter().flat_map(|interface| &interface.addresses).any(|prefix| prefix.addr() == *gateway) {
            return Err(Failure::usage(format!("gateway {gateway} is the node itself; give the router's address")));
        }
    }
    if let Some(server) = dns.iter().find(|server| server.is_unspecified() || server.is_multicast()) {
        return Err(Failure::usage(format!("{server} cannot be a name server; give a host's address")));
    }
    Ok(())
}

/// What keeps an address from being a host's, if anything does.
fn unfit(prefix: IpPrefix) -> Option<&'static str> {
    let address = prefix.addr();
    if address.is_unspecified() {
        Some("no address at all")
    } else if address.is_loopback() {
        Some("a loopback address")
    } else if address.is_multicast() {
        Some("a group's address")
    } else if matches!(address, IpAddr::V6(address) if address.to_ipv4_mapped().is_some()) {
        Some("one of IPv4 in disguise")
    } else if prefix.broadcast().is_some_and(|broadcast| address == IpAddr::V4(broadcast)) {
        Some("its network's broadcast address")
    } else if prefix.broadcast().is_some() && address == prefix.network().addr() {
        Some("its network's own number")
    } else if let IpAddr::V4(v4) = address
        && v4.octets()[0] >= 240
    {
        Some("a reserved address")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Verb};

    fn planned(line: &str, file: Option<&str>) -> Result<Config, String> {
        let path = std::env::temp_dir().join(format!(
            "sockeye-config-{}-{:?}",
            std::process::id(),
            std::thread::current().id()
        ));
        let mut words: Vec<String> =
            format!("sockeye up --control /c {line}").split_whitespace().map(Into::into).collect();
        if let Some(text) = file {
            fs::write(&path, text).unwrap();
            words.extend(["-c".into(), path.display().to_string()]);
        }
        let Verb::Up(up) = Cli::try_parse_from(words).unwrap().verb else { panic!("another verb") };
        let result = config(&up.node, up.control.control.as_deref()).map_err(|failure| failure.to_string());
        if file.is_some() {
            fs::remove_file(path).unwrap();
        }
        result
    }

    const FILE: &str = r#"
        gateways = ["10.0.0.1"]
        dns = ["10.0.0.53"]
        [[interface]]
        name = "eth0"
        addresses = ["10.0.0.2/24"]
        [[interface]]
        name = "eth1"
        addresses = ["10.1.0.2/24"]
        mac = "02:00:00:00:00:09"
        driver = "tap"
    "#;

    #[test]
    fn the_options_make_a_plan() {
        let config = planned("-i eth0 -a 10.0.0.2/24 -g 10.0.0.1 --mac inherit", None).unwrap();
        assert_eq!(config.interfaces.len(), 1);
        assert!(matches!(config.interfaces[0].mac, MacChoice::Inherit));
        assert_eq!(config.gateways, ["10.0.0.1".parse::<IpAddr>().unwrap()]);
        assert_eq!(config.control, Path::new("/c"));
    }

    #[test]
    fn options_win_over_the_file() {
        let config = planned("", Some(FILE)).unwrap();
        assert_eq!(config.interfaces.len(), 2);
        assert_eq!(config.interfaces[1].driver, Driver::Tap);
        let config = planned("-i eth1 -a 10.0.0.9/24 --driver packet --dns 10.0.0.54", Some(FILE)).unwrap();
        assert_eq!(config.interfaces[1].addresses, ["10.0.0.9/24".parse().unwrap()]);
        assert!(matches!(config.interfaces[1].mac, MacChoice::Fixed(mac) if mac.0 == [2, 0, 0, 0, 0, 9]));
        assert_eq!(config.interfaces[1].driver, Driver::Packet);
        assert_eq!(config.dns, ["10.0.0.54".parse::<IpAddr>().unwrap()]);
    }

    #[test]
    fn what_cannot_work_is_refused_by_name() {
        for (line, file, culprit) in [
            ("", None, "-i IFACE"),
            ("-i eth0", Some("[ipv6]\nenabled = false"), "-a ADDR/LEN"),
            ("-i eth0 -a 10.0.0.0/24", None, "10.0.0.0/24"),
            ("-i eth0 -a 10.0.0.255/24", None, "broadcast"),
            ("-i eth0 -a 224.0.0.1/24", None, "group"),
            ("-i eth0 -a 127.0.0.1/8", None, "loopback"),
            ("-i eth0 -a 0.0.0.0/0", None, "no address"),
            ("-i eth0 -a 10.0.0.2/24 -g 10.0.1.1", None, "10.0.1.1"),
            ("-i eth0 -a 10.0.0.2/24 -g 10.0.0.2", None, "itself"),
            ("-i eth0 -a 10.0.0.2/24 -g 10.0.0.1 -g 10.0.0.3", None, "second default gateway"),
            ("-i interface-with-a-long-name -a 10.0.0.2/24", None, "interface-with-a-long-name"),
            ("-a 10.0.0.2/24", Some(FILE), "-i IFACE"),
            ("", Some("interfaces = 3"), ":1: "),
            ("", Some("\n[[interface]]\nname = \"eth0\"\nadress = []"), "adress"),
            ("", Some("[[interface]]\nname = \"eth0\"\naddresses = [\"10.0.0.2\"]"), "prefix length"),
            ("", Some("[[interface]]\nname = \"eth0\"\ndriver = \"dpdk\""), "dpdk"),
        ] {
            let text = planned(line, file).expect_err(line);
            assert!(text.contains(culprit), "{line}: {text}");
            assert!(!text.contains('\n'), "{text}");
        }
        // A point-to-point link has no broadcast address (RFC 3021).
        planned("-i eth0 -a 10.0.0.0/31", None).unwrap();
        // IPv6 needs none, and its routers are known by addresses of the link.
        planned("-i eth0 -g fe80::1", None).unwrap();
    }
}
