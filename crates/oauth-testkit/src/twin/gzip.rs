//! The smallest gzip file that expands to a given number of zero bytes.
//!
//! Written by hand because a compressor would first have to read the whole gibibyte: a dynamic
//! Huffman block (RFC 1951 section 3.2.7) can give "repeat the last byte 258 times" two zero
//! bits, so one byte of the body stands for 1032 and a gibibyte fits below 1 MiB.

use bytes::Bytes;

/// A gzip file (RFC 1952) of `count` zero bytes.
pub(crate) fn zeros(count: u64) -> Bytes {
    // One literal to repeat, whole runs of 258, and the rest as literals again.
    let runs = count.saturating_sub(1) / 258;
    let literals = count - 258 * runs;

    let mut out = Bits {
        bytes: vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255],
        free: 0,
    };
    out.push(0b1, 1); // the last block
    out.push(0b10, 2); // with its own codes
    out.push(286 - 257, 5); // literal and length codes
    out.push(0, 5); // one distance code
    out.push(18 - 4, 4); // lengths of the code length codes: 16 17 18 0 8 7 9 6 10 5 11 4 12 3 13 2 14 1
    for symbol in [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1] {
        out.push(
            match symbol {
                18 => 1,
                1 | 2 => 2,
                _ => 0,
            },
            3,
        );
    }
    // Code lengths: literal 0 two bits, end of block two bits, run of 258 one bit, distance one.
    let (one, two) = (0b01, 0b11); // Huffman codes 10 and 11, first bit lowest
    let absent = |out: &mut Bits, count: u32| {
        out.push(0, 1);
        out.push(count - 11, 7);
    };
    out.push(two, 2);
    absent(&mut out, 138);
    absent(&mut out, 117);
    out.push(two, 2);
    absent(&mut out, 28);
    out.push(one, 2);
    out.push(one, 2);

    // Codes: a run is 0 and its distance 0, the literal is 10, the end is 11.
    for _ in 0..literals.min(1) {
        out.push(0b01, 2);
    }
    out.push_zeros(2 * runs);
    for _ in 1..literals {
        out.push(0b01, 2);
    }
    out.push(0b11, 2);

    out.bytes.extend(checksum(count).to_le_bytes());
    // "modulo 2^32" (RFC 1952 section 2.3.1)
    out.bytes.extend((count as u32).to_le_bytes());
    out.bytes.into()
}

/// Bits in the order of RFC 1951 section 3.1.1: the first is the lowest of its byte.
struct Bits {
    bytes: Vec<u8>,
    free: u32,
}

impl Bits {
    fn push(&mut self, value: u32, count: u32) {
        for bit in 0..count {
            if self.free == 0 {
                self.bytes.push(0);
                self.free = 8;
            }
            if let Some(last) = self.bytes.last_mut() {
                *last |= (((value >> bit) & 1) as u8) << (8 - self.free);
            }
            self.free -= 1;
        }
    }

    fn push_zeros(&mut self, mut count: u64) {
        let filling = count.min(u64::from(self.free));
        self.free -= filling as u32;
        count -= filling;
        self.bytes
            .resize(self.bytes.len() + (count / 8) as usize, 0);
        self.push(0, (count % 8) as u32);
    }
}

/// CRC-32 of `count` zero bytes, in a logarithm of the time: what one zero bit does to the
/// register is linear, so it can be squared.
fn checksum(count: u64) -> u32 {
    let apply = |map: &[u32; 32], value: u32| {
        (0..32)
            .filter(|bit| value >> bit & 1 == 1)
            .fold(0, |sum, bit| sum ^ map[bit])
    };
    let mut step: [u32; 32] = std::array::from_fn(|bit| {
        if bit == 0 {
            0xedb8_8320
        } else {
            1 << (bit - 1)
        }
    });
    let mut register = u32::MAX;
    let mut bits = count * 8;
    while bits > 0 {
        if bits & 1 == 1 {
            register = apply(&step, register);
        }
        step = std::array::from_fn(|bit| apply(&step, step[bit]));
        bits >>= 1;
    }
    !register
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn the_gzip_data_expands_to_the_requested_size() {
        for count in [0, 1, 2, 257, 258, 259, 516, 517, 1000, 5_000_000] {
            let mut expanded = Vec::new();
            let packed = zeros(count);
            flate2::read::GzDecoder::new(&packed[..])
                .read_to_end(&mut expanded)
                .unwrap();
            assert_eq!(expanded.len() as u64, count);
            assert!(expanded.iter().all(|&byte| byte == 0));
        }
    }

    #[test]
    fn a_compressed_gibibyte_is_smaller_than_the_body_limit() {
        assert!(zeros(1 << 30).len() < 1 << 20);
    }
}
