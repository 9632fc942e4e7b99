//! The random number generator of a history.

/// SplitMix64: small, fast, and portable. The state, and the increment of each draw.
#[derive(Debug, Clone)]
pub(super) struct Rng(u64, u64);

const SPLITMIX_GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

impl Rng {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed, SPLITMIX_GAMMA)
    }

    pub(super) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(self.1);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A constant generator: the lowest of every range, and nothing that depends on odds happens.
    pub(super) const fn constant() -> Self {
        Self(0, 0)
    }

    /// A number from `low` to `high`, inclusive.
    pub(super) const fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    pub(super) fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.next() % len as u64).unwrap_or_default()
    }

    pub(super) fn pick<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.index(choices.len())].clone()
    }

    /// True with this probability, in ten-thousandths.
    pub(super) const fn chance(&mut self, odds: u32) -> bool {
        // Impossible events draw nothing, so that histories stay comparable.
        odds > 0 && self.1 != 0 && self.next() % 10_000 < odds as u64
    }

    pub(super) fn seed(&mut self) -> [u8; 32] {
        let mut seed = [0; 32];
        for eight in seed.chunks_exact_mut(8) {
            eight.copy_from_slice(&self.next().to_be_bytes());
        }
        seed
    }
}
