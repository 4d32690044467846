//! The harness of the tests against real programs.
//!
//! Every test runs on two hosts of a throw-away [`lab`](sockeye_lab): the *peer*, which is the kernel's stack in a
//! namespace, and the *subject*, which is under test. What the subject is, the environment says: `SUBJECT=sockeye` (and
//! nothing else said) is a node, `SUBJECT=kernel` is the kernel again. The test's body is the same, so that a test is
//! known to be right before it judges the node: it must hold for the kernel first.
//!
//! - [`Scene`]: the two hosts, the node where there is one, a directory for files; starts programs on either side.
//! - [`Process`]: a program that was started; its output, its end, and its certain death when the test is over.
//! - [`Pattern`]: a stream of bytes that both ends can compute, so that gigabytes are compared and not stored.
//! - [`wire`]: a bad wire between the two hosts, in user space.
//!
//! A test waits for events (a line, a port, an end), each with a [deadline](DEADLINE) that is generous, because it only decides
//! how long a failure takes. The programs are found on the machine; one that is missing fails the test by its package.

pub mod pattern;
pub mod process;
pub mod scene;
pub mod wire;

pub use pattern::Pattern;
pub use process::{Finished, Process, require, wait_for};
pub use scene::{Family, Medium, PEER, SUBJECT, Scene, Setup, Side, Subject, subject};

use std::time::Duration;

/// Makes a test in each of the modules `ipv4` and `ipv6` of every function that is named, which takes the [`Family`] that
/// it is about. `[ipv4: NAME...]`, first, has those for IPv4 alone: what IPv6 has nothing like, or a slow one in whose way the
/// families do not differ; `[ipv6: NAME...]` those for IPv6 alone.
#[macro_export]
macro_rules! in_both_families {
    ($([ipv4: $($four:ident)*])? $([ipv6: $($six:ident)*])? $($name:ident)*) => {
        $crate::in_both_families! { @module ipv4 V4 $($($four)*)? $($name)* }
        $crate::in_both_families! { @module ipv6 V6 $($($six)*)? $($name)* }
    };
    (@module $module:ident $family:ident $($name:ident)*) => {
        mod $module {
            $(
                #[test]
                fn $name() {
                    super::$name($crate::Family::$family);
                }
            )*
        }
    };
}

/// Makes a test of each name, which calls the module's function `check` with that name, mostly of a function in a script. With `in both
/// families:` it makes them as [`in_both_families`] does, and `check` takes the family first.
#[macro_export]
macro_rules! checks {
    (in both families: $([ipv4: $($four:ident)*])? $([ipv6: $($six:ident)*])? $($name:ident)*) => {
        $crate::checks! { @module ipv4 V4 $($($four)*)? $($name)* }
        $crate::checks! { @module ipv6 V6 $($($six)*)? $($name)* }
    };
    (@module $module:ident $family:ident $($name:ident)*) => {
        mod $module {
            $(
                #[test]
                fn $name() {
                    super::check($crate::Family::$family, stringify!($name));
                }
            )*
        }
    };
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                check(stringify!($name));
            }
        )*
    };
}

/// How long any single event may take. It is no measure of anything but the patience of whoever waits for a failure.
pub const DEADLINE: Duration = Duration::from_secs(120);
