//! All chance of a history, from one seed.

/// SplitMix64: small, fast, and the same everywhere. The state, and what is added to it at each roll.
#[derive(Debug, Clone)]
pub(super) struct Dice(u64, u64);

const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

impl Dice {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed, GAMMA)
    }

    pub(super) const fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(self.1);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// No chance at all: the lowest of everything, and whatever has odds does not happen.
    pub(super) const fn still() -> Self {
        Self(0, 0)
    }

    /// From `low` to `high`, both included.
    pub(super) const fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.roll() % (high - low + 1)
    }

    pub(super) fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.roll() % len as u64).unwrap_or_default()
    }

    pub(super) fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.index(of.len())].clone()
    }

    /// So many times in ten thousand.
    pub(super) const fn hits(&mut self, odds: u32) -> bool {
        // No roll for what never happens: histories stay comparable.
        odds > 0 && self.1 != 0 && self.roll() % 10_000 < odds as u64
    }

    pub(super) fn seed(&mut self) -> [u8; 32] {
        let mut seed = [0; 32];
        for eight in seed.chunks_exact_mut(8) {
            eight.copy_from_slice(&self.roll().to_be_bytes());
        }
        seed
    }
}
