//! `/sys/class/net`: a directory for each interface, a file for each thing that is known of it.
//!
//! What a program reads is made when it asks. What it lists must be a directory of the kernel's, because that is what
//! `opendir` needs and what paths relative to it lead through; so the node keeps a real tree, laid out as sysfs is:
//!
//! ```text
//!   class/net/eth0 -> ../../devices/virtual/net/eth0
//!   devices/virtual/net/eth0/{address,mtu,...,queues/{rx-0,tx-0},statistics/{rx_bytes,...},subsystem -> ../../../../class/net}
//! ```
//!
//! It is made when it is first asked for, brought up to date when it is used, though not each time, and goes with the node.
//!
//! # Standards
//!
//! `Documentation/ABI/testing/sysfs-class-net` and `-statistics`, `net-sysfs.c` of Linux.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use sockeye_socket::Errno;

use super::{Interface, QUEUE_LEN};

/// The directory of an interface's directory.
const DEVICES: &str = "devices/virtual/net";
const CLASS: &str = "class/net";

/// An attribute that cannot be read now (the speed of what has none), as Linux answers.
type Text = Result<String, Errno>;

/// All of an interface's attributes, by their paths in its directory.
pub(super) fn attributes(one: &Interface) -> Vec<(&'static str, Text)> {
    let card =
        |text: &str| if one.is_loopback() || !one.is_running() { Err(Errno::EINVAL) } else { Ok(text.to_owned()) };
    let s = &one.statistics;
    let changes = 2 * s.carrier_lost;
    let texts = [
        ("addr_assign_type", Ok(if one.is_loopback() { "0" } else { "3" }.to_owned())),
        ("addr_len", Ok("6".to_owned())),
        ("address", Ok(one.mac.to_string())),
        ("broadcast", Ok(one.hardware_broadcast().to_string())),
        ("carrier", if one.enabled { Ok(u8::from(one.carrier).to_string()) } else { Err(Errno::EINVAL) }),
        ("carrier_changes", Ok(changes.to_string())),
        ("carrier_down_count", Ok(s.carrier_lost.to_string())),
        ("carrier_up_count", Ok(s.carrier_lost.to_string())),
        ("dev_id", Ok("0x0".to_owned())),
        ("dev_port", Ok("0".to_owned())),
        ("dormant", if one.enabled { Ok("0".to_owned()) } else { Err(Errno::EINVAL) }),
        ("duplex", card("unknown")),
        ("flags", Ok(format!("{:#x}", one.device_flags()))),
        ("ifalias", Ok(String::new())),
        ("ifindex", Ok(one.index.to_string())),
        ("iflink", Ok(one.index.to_string())),
        ("link_mode", Ok("0".to_owned())),
        ("mtu", Ok(one.mtu.to_string())),
        ("name_assign_type", Ok(if one.is_loopback() { "2" } else { "3" }.to_owned())),
        ("netdev_group", Ok("0".to_owned())),
        ("operstate", Ok(one.operational_state().1.to_owned())),
        ("proto_down", Ok("0".to_owned())),
        // One each way, which no processor is chosen for.
        ("queues/rx-0/rps_cpus", Ok("0".to_owned())),
        ("queues/rx-0/rps_flow_cnt", Ok("0".to_owned())),
        ("queues/tx-0/traffic_class", Err(Errno::ENOENT)),
        ("queues/tx-0/tx_maxrate", Ok("0".to_owned())),
        ("queues/tx-0/tx_timeout", Ok("0".to_owned())),
        ("queues/tx-0/xps_cpus", Err(Errno::ENOENT)),
        ("queues/tx-0/xps_rxqs", Ok("0".to_owned())),
        ("speed", card("-1")),
        ("testing", if one.enabled { Ok("0".to_owned()) } else { Err(Errno::EINVAL) }),
        ("tx_queue_len", Ok(QUEUE_LEN.to_string())),
        ("type", Ok(one.hardware_type().to_string())),
        ("uevent", Ok(format!("INTERFACE={}\nIFINDEX={}", one.name, one.index))),
    ];
    let counts = [
        ("statistics/collisions", 0),
        ("statistics/multicast", 0),
        ("statistics/rx_bytes", s.rx_bytes),
        ("statistics/rx_compressed", 0),
        ("statistics/rx_crc_errors", 0),
        ("statistics/rx_dropped", s.rx_dropped),
        ("statistics/rx_errors", s.rx_errors),
        ("statistics/rx_fifo_errors", 0),
        ("statistics/rx_frame_errors", 0),
        ("statistics/rx_length_errors", 0),
        ("statistics/rx_missed_errors", 0),
        ("statistics/rx_nohandler", 0),
        ("statistics/rx_over_errors", 0),
        ("statistics/rx_packets", s.rx_packets),
        ("statistics/tx_aborted_errors", 0),
        ("statistics/tx_bytes", s.tx_bytes),
        ("statistics/tx_carrier_errors", 0),
        ("statistics/tx_compressed", 0),
        ("statistics/tx_dropped", s.tx_dropped),
        ("statistics/tx_errors", s.tx_errors),
        ("statistics/tx_fifo_errors", 0),
        ("statistics/tx_heartbeat_errors", 0),
        ("statistics/tx_packets", s.tx_packets),
        ("statistics/tx_window_errors", 0),
    ];
    // What says nothing has not even the end of a line.
    let end = |text: String| if text.is_empty() { text } else { text + "\n" };
    let line = |(name, text): (_, Text)| (name, text.map(end));
    texts.into_iter().map(line).chain(counts.map(|(name, count)| (name, Ok(format!("{count}\n"))))).collect()
}

/// The attribute at a path of the tree, if there is one: `class/net/NAME/...` or the same by the device.
pub(super) fn attribute(all: &[Interface], path: &str) -> Option<Text> {
    let within = path.strip_prefix(CLASS).or_else(|| path.strip_prefix(DEVICES))?;
    let (name, rest) = within.strip_prefix('/')?.split_once('/')?;
    let one = all.iter().find(|one| one.name == name)?;
    attributes(one).into_iter().find(|(attribute, _)| *attribute == rest).map(|(_, text)| text)
}

/// The tree.
#[derive(Debug)]
pub(super) struct Tree {
    root: PathBuf,
    /// What stands in its files.
    written: HashMap<PathBuf, String>,
}

impl Tree {
    /// A tree at `root`, in place of one that a dead node has left.
    pub(super) fn new(root: &Path) -> io::Result<Tree> {
        match fs::remove_dir_all(root) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        make_directory(root)?;
        // From here on it is removed again.
        let tree = Tree { root: root.to_owned(), written: HashMap::new() };
        for directories in [&["class", CLASS][..], &["devices", "devices/virtual", DEVICES]] {
            for directory in directories {
                make_directory(&root.join(directory))?;
            }
        }
        Ok(tree)
    }

    /// Where a path of it is.
    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// Writes what has changed.
    pub(super) fn refresh(&mut self, all: &[Interface]) -> io::Result<()> {
        for one in all {
            // A device's name is one component of a path, or the kernel would not have it.
            if one.name.contains('/') || matches!(one.name.as_str(), "" | "." | "..") {
                continue;
            }
            let directory = self.root.join(DEVICES).join(&one.name);
            let link = self.root.join(CLASS).join(&one.name);
            if fs::symlink_metadata(&link).is_err() {
                make_directory(&directory)?;
                for within in ["statistics", "queues", "queues/rx-0", "queues/tx-0"] {
                    make_directory(&directory.join(within))?;
                }
                symlink("../../../../class/net", directory.join("subsystem"))?;
                symlink(Path::new("../..").join(DEVICES).join(&one.name), link)?;
            }
            for (name, text) in attributes(one) {
                self.write(directory.join(name), text.unwrap_or_default())?;
            }
        }
        Ok(())
    }

    /// Whoever reads a file has the old one or the new one, whole.
    fn write(&mut self, path: PathBuf, text: String) -> io::Result<()> {
        if self.written.get(&path) == Some(&text) {
            return Ok(());
        }
        let fresh = self.root.join("fresh");
        fs::write(&fresh, &text)?;
        fs::set_permissions(&fresh, fs::Permissions::from_mode(0o444))?;
        fs::rename(&fresh, &path)?;
        self.written.insert(path, text);
        Ok(())
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.root) {
            tracing::warn!(path = %self.root.display(), %error, "cannot remove the tree of interfaces");
        }
    }
}

/// One that all may read, whatever the node's umask is.
fn make_directory(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().mode(0o755).create(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interfaces::{interfaces, tests::host};
    use crate::ports::Ports;
    use sockeye_device::Instant;

    #[test]
    fn the_tree_is_laid_out_as_sysfs_follows_its_links_and_goes() {
        let root = std::env::temp_dir().join(format!("sockeye-sysfs-{}", std::process::id()));
        let mut all = interfaces(Instant::ZERO, &host(), &Ports::default());
        let mut tree = Tree::new(&root).expect("made");
        tree.refresh(&all).expect("written");
        let mut names: Vec<_> = fs::read_dir(tree.path("class/net")).expect("a directory").flatten().collect();
        names.sort_by_key(fs::DirEntry::file_name);
        assert_eq!(names.iter().map(fs::DirEntry::file_name).collect::<Vec<_>>(), ["eth0", "lo"]);
        let read = |tree: &Tree, path| fs::read_to_string(tree.path(path)).expect("a file");
        assert_eq!(read(&tree, "class/net/eth0/subsystem/lo/ifindex"), "1\n");
        all[1].statistics.rx_bytes = 77;
        tree.refresh(&all).expect("written");
        assert_eq!(read(&tree, "devices/virtual/net/eth0/statistics/rx_bytes"), "77\n");
        // What a node that was killed leaves is no obstacle.
        std::mem::forget(tree);
        drop(Tree::new(&root).expect("made again"));
        assert!(!root.exists());
    }

    #[test]
    fn attributes_are_found_by_both_ways() {
        let all = interfaces(Instant::ZERO, &host(), &Ports::default());
        let text = |path| attribute(&all, path);
        assert_eq!(text("class/net/eth0/address"), Some(Ok("02:00:00:00:00:09\n".to_owned())));
        assert_eq!(text("devices/virtual/net/lo/mtu"), Some(Ok("65535\n".to_owned())));
        assert_eq!(text("class/net/lo/speed"), Some(Err(Errno::EINVAL)));
        assert_eq!((text("class/net/eth1/mtu"), text("class/net/eth0"), text("class/netx")), (None, None, None));
    }
}
