//! CRC-32C of a batch whose header changes while its records do not.
//!
//! A CRC is linear: changing a prefix changes the CRC of the whole by the difference of the prefixes' CRCs,
//! multiplied by x to the power of the bits that follow, modulo the polynomial. That multiplication costs the
//! logarithm of the length, not the length.

use super::batch::{BatchHeader, HEADER_LEN, compute_crc};

/// First byte that the CRC covers: the attributes.
pub(super) const CRC_START: usize = 21;

/// Below this many bytes of records hashing them once more is cheaper than the multiplications.
const HASH_AGAIN_BELOW: usize = 8 * 1024;

/// CRC-32C's polynomial, least significant bit first.
const POLYNOMIAL: u32 = 0x82F6_3B78;

/// `POWERS[k]` is x^(8 * 2^k) modulo the polynomial: what 2^k zero bytes do to a CRC.
const POWERS: [u32; usize::BITS as usize] = {
    let mut powers = [0; usize::BITS as usize];
    // The highest bit is x^0, so this is x^1; three squarings make it x^8.
    let mut power = 1 << 30;
    let mut squarings = 0;
    while squarings < 3 {
        power = multiply(power, power);
        squarings += 1;
    }
    let mut k = 0;
    while k < powers.len() {
        powers[k] = power;
        power = multiply(power, power);
        k += 1;
    }
    powers
};

/// The CRC of the batch `after` + `body`, where `before.crc` is right for `before` + `body`.
///
/// Both headers may differ in any field. The bytes of a long `body` are not read, only its length counts.
pub fn crc_after_header_change(before: &BatchHeader, after: &BatchHeader, body: &[u8]) -> u32 {
    if body.len() < HASH_AGAIN_BELOW {
        return compute_crc(after, body);
    }
    let difference = header_crc(before) ^ header_crc(after);
    append_zeros(difference, body.len()) ^ before.crc
}

fn header_crc(header: &BatchHeader) -> u32 {
    let bytes: [u8; HEADER_LEN] = header.to_bytes();
    crc32c::crc32c(&bytes[CRC_START..])
}

/// `crc` times x^(8 * len).
fn append_zeros(mut crc: u32, mut len: usize) -> u32 {
    let mut k = 0;
    while len != 0 {
        if len & 1 == 1 {
            crc = multiply(POWERS[k], crc);
        }
        len >>= 1;
        k += 1;
    }
    crc
}

/// Product of two polynomials over GF(2), modulo CRC-32C's, the highest coefficient in the lowest bit.
const fn multiply(a: u32, mut b: u32) -> u32 {
    let mut product = 0;
    let mut bit = 1 << 31;
    while bit != 0 {
        if a & bit != 0 {
            product ^= b;
        }
        b = if b & 1 == 1 { (b >> 1) ^ POLYNOMIAL } else { b >> 1 };
        bit >>= 1;
    }
    product
}

#[cfg(test)]
mod tests {
    use super::append_zeros;

    #[test]
    fn appending_zeros_agrees_with_combining() {
        for len in [0usize, 1, 2, 3, 7, 8, 61, 100, 4095, 65_536, 1_048_588, 123_456_789] {
            for crc in [1u32, 0xE306_9283, u32::MAX] {
                let combined = if len == 0 { crc } else { crc32c::crc32c_combine(crc, 0, len) };
                assert_eq!(append_zeros(crc, len), combined, "{crc} {len}");
            }
        }
    }
}
