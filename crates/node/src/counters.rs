//! What the node counts of its own: each counter with its name, and what it means where the name does not say it.

/// Declares a struct of counters that can list themselves, for `sockeye show counters`.
macro_rules! counters {
    ($(#[$about:meta])* $name:ident { $($counter:ident: $meaning:literal,)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, Default)]
        pub(crate) struct $name {
            $(pub(crate) $counter: u64,)*
        }

        impl $name {
            /// Name, value and meaning of each.
            pub(crate) fn named(&self) -> impl Iterator<Item = (&'static str, u64, &'static str)> {
                [$((stringify!($counter), self.$counter, $meaning),)*].into_iter()
            }
        }
    };
}

pub(crate) use counters;
