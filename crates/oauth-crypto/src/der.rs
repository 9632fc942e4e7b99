//! PEM (RFC 7468), and the DER structure that a JWK is converted to.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::KeyError;

/// The largest PEM file that is read, in bytes.
const MAX_PEM: usize = 64 << 10;

/// The PEM label of an encrypted PKCS#8 key.
const ENCRYPTED: &str = "ENCRYPTED PRIVATE KEY";

/// The first private key of a PEM text: its label and its DER.
pub(crate) fn private_pem(text: &str) -> Result<(&str, Zeroizing<Vec<u8>>), KeyError> {
    if text.len() > MAX_PEM {
        return Err(KeyError::Malformed);
    }
    let mut rest = text;
    loop {
        let (_, after) = rest.split_once("-----BEGIN ").ok_or(KeyError::Malformed)?;
        let (label, after) = after.split_once("-----").ok_or(KeyError::Malformed)?;
        let end = format!("-----END {label}-----");
        let (body, after) = after.split_once(&end).ok_or(KeyError::Malformed)?;
        rest = after;
        if label == ENCRYPTED || body.contains("ENCRYPTED") {
            return Err(KeyError::Encrypted);
        }
        // Parameters, certificates and public keys may be in the same text.
        if !label.ends_with("PRIVATE KEY") {
            continue;
        }
        let der = decode_body(body)?;
        // A truncated key must not look like one for another algorithm.
        return match element(&der) {
            Some((SEQUENCE, _, [])) => Ok((label, der)),
            _ => Err(KeyError::Malformed),
        };
    }
}

/// The DER of the first encrypted private key of a PEM text, if no other key precedes it.
pub(crate) fn encrypted_key_der(text: &str) -> Result<Option<Zeroizing<Vec<u8>>>, KeyError> {
    if text.len() > MAX_PEM {
        return Err(KeyError::Malformed);
    }
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("-----BEGIN ") {
        let (label, after) = after.split_once("-----").ok_or(KeyError::Malformed)?;
        let end = format!("-----END {label}-----");
        let (body, after) = after.split_once(&end).ok_or(KeyError::Malformed)?;
        rest = after;
        match label {
            ENCRYPTED => return decode_body(body).map(Some),
            // The encryption of PEM itself (RFC 1421), which OpenSSL still supports for old files.
            _ if body.contains("ENCRYPTED") => return Err(KeyError::Encryption),
            _ if label.ends_with("PRIVATE KEY") => return Ok(None),
            _ => {}
        }
    }
    Ok(None)
}

fn decode_body(body: &str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let compact: Zeroizing<String> =
        Zeroizing::new(body.chars().filter(|c| !c.is_ascii_whitespace()).collect());
    let der = STANDARD.decode(compact.as_bytes());
    der.map(Zeroizing::new).map_err(|_| KeyError::Malformed)
}

/// The tags of an INTEGER and a SEQUENCE.
const INTEGER: u8 = 2;
const SEQUENCE: u8 = 0x30;

/// Splits off the first element: its tag, its content, and the bytes after it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], rest) = der.split_first_chunk::<2>()?;
    let (length, rest) = match first {
        ..0x80 => (usize::from(first), rest),
        _ => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            // A key has at most 64 KiB. DER has no indefinite length.
            let fits = (1..=3).contains(&digits.len());
            let number = |sum, digit: &u8| sum << 8 | usize::from(*digit);
            (fits.then(|| digits.iter().fold(0, number))?, rest)
        }
    };
    let (content, after) = rest.split_at_checked(length)?;
    Some((tag, content, after))
}

/// The size of the modulus of an `RSAPrivateKey`, without leading zeros.
pub(crate) fn rsa_modulus_bytes(der: &[u8]) -> Option<usize> {
    let (_, numbers, _) = element(der)?;
    let (_, _, after_version) = element(numbers)?;
    match element(after_version)? {
        (INTEGER, modulus, _) => {
            let zeros = modulus.iter().take_while(|byte| **byte == 0).count();
            Some(modulus.len() - zeros)
        }
        _ => None,
    }
}

/// A DER structure as PEM.
pub(crate) fn to_pem(label: &str, der: &[u8]) -> Zeroizing<String> {
    let body = Zeroizing::new(STANDARD.encode(der));
    let mut text = Zeroizing::new(format!("-----BEGIN {label}-----\n"));
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

/// `RSAPrivateKey` (RFC 8017 appendix A.1.2) from its eight numbers.
pub(crate) fn rsa_private_key<'a>(numbers: impl Iterator<Item = &'a [u8]>) -> Zeroizing<Vec<u8>> {
    let mut body = Zeroizing::new(Vec::with_capacity(4096));
    push_integer(&[0], &mut body);
    for number in numbers {
        push_integer(number, &mut body);
    }
    sequence(&body)
}

/// `RSAPublicKey` (RFC 8017 appendix A.1.1).
pub(crate) fn rsa_public_key(n: &[u8], e: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut body = Vec::with_capacity(n.len() + e.len() + 16);
    push_integer(n, &mut body);
    push_integer(e, &mut body);
    sequence(&body)
}

/// The algorithm `rsaEncryption`, without parameters (RFC 8017 appendix A.1).
const RSA_ENCRYPTION: [u8; 15] = [
    0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
];

/// `SubjectPublicKeyInfo` of an RSA key (RFC 5280 section 4.1).
pub(crate) fn rsa_public_key_info(n: &[u8], e: &[u8]) -> Zeroizing<Vec<u8>> {
    let key = rsa_public_key(n, e);
    let mut body = RSA_ENCRYPTION.to_vec();
    // A BIT STRING of whole bytes.
    body.push(3);
    push_length(key.len() + 1, &mut body);
    body.push(0);
    body.extend_from_slice(&key);
    sequence(&body)
}

fn sequence(body: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut der = Zeroizing::new(Vec::with_capacity(body.len() + 8));
    der.push(SEQUENCE);
    push_length(body.len(), &mut der);
    der.extend_from_slice(body);
    der
}

/// An unsigned INTEGER.
fn push_integer(number: &[u8], out: &mut Vec<u8>) {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let (_, significant) = number.split_at(zeros.min(number.len().saturating_sub(1)));
    let needs_zero_byte = significant.first().is_some_and(|byte| byte & 0x80 != 0);
    out.push(INTEGER);
    push_length(significant.len() + usize::from(needs_zero_byte), out);
    if needs_zero_byte {
        out.push(0);
    }
    out.extend_from_slice(significant);
}

fn push_length(length: usize, out: &mut Vec<u8>) {
    let bytes = length.to_be_bytes();
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
            let (_, significant) = bytes.split_at(zeros);
            // At most eight bytes.
            out.push(0x80 | u8::try_from(significant.len()).unwrap_or(8));
            out.extend_from_slice(significant);
        }
    }
}
