//! Bytes to take decisions from, in order; zeros when there are no more. So a longer input does more, a shorter one
//! less, and changing one byte changes one decision.

/// What is left of the script.
pub struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    /// From its beginning.
    pub fn new(bytes: &'a [u8]) -> Self {
        Script(bytes)
    }

    /// True when every further decision is zero.
    #[allow(dead_code, reason = "who uses this file for one frame needs no end")]
    pub fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    /// Up to `count` bytes, as many as there are.
    pub fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// A byte.
    pub fn u8(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or(0)
    }

    /// Two, the high one first.
    pub fn u16(&mut self) -> u16 {
        u16::from_be_bytes([self.u8(), self.u8()])
    }

    /// Below `limit`, from one byte.
    pub fn below(&mut self, limit: u8) -> u8 {
        self.u8() % limit
    }

    /// One of these, by one byte.
    pub fn choose<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::from(self.u8()) % choices.len()]
    }

    /// A length that favours nothing, small ones and large ones: one byte, and two more for a large one.
    pub fn length(&mut self) -> usize {
        match self.u8() {
            255 => usize::from(self.u16()),
            small => usize::from(small),
        }
    }
}
