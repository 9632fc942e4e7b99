//! Private keys that OpenSSL has encrypted: `openssl pkcs8 -topk8` of the key in plain.pem, with the passphrase
//! "correct", except traditional.pem, which is from `openssl ec -aes256`.

use oauth_core::Secret;
use oauth_core::jose::{Alg, PublicJwk};
use oauth_core::{Error, error::Misuse};
use oauth_crypto::{KeyError, PrivateKey, decrypt_pem};

macro_rules! file {
    ($name:literal) => {
        include_str!(concat!("encrypted/", $name, ".pem"))
    };
}

fn read(text: &str, passphrase: &str) -> Result<PublicJwk, KeyError> {
    let pem = decrypt_pem(text, &Secret::from(passphrase))?;
    Ok(PrivateKey::from_pem(pem.expose(), Alg::Es256)?
        .public_jwk()
        .clone())
}

#[test]
fn aes_encrypted_openssl_key_is_read_with_its_passphrase() -> Result<(), KeyError> {
    let plain = PrivateKey::from_pem(file!("plain"), Alg::Es256)?
        .public_jwk()
        .clone();
    for encrypted in [file!("aes256"), file!("aes192"), file!("aes128")] {
        assert_eq!(read(encrypted, "correct"), Ok(plain.clone()));
        let without = PrivateKey::from_pem(encrypted, Alg::Es256).err();
        assert_eq!(without, Some(KeyError::Encrypted));
    }
    // A certificate may precede the key, and an unencrypted key needs no passphrase.
    let certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let behind = format!("{certificate}{}", file!("aes256"));
    assert_eq!(read(&behind, "correct"), Ok(plain.clone()));
    assert_eq!(read(file!("plain"), "anything"), Ok(plain));
    Ok(())
}

/// One wrong passphrase in 256 yields valid padding by chance: it is still detected.
#[test]
fn wrong_passphrase_is_reported() {
    for number in 0..600 {
        let wrong = read(file!("aes128"), &number.to_string());
        assert_eq!(wrong, Err(KeyError::Passphrase), "{number}");
    }
    assert_eq!(read(file!("aes128"), ""), Err(KeyError::Passphrase));
}

#[test]
fn unsupported_encryption_is_refused() {
    for other in [
        file!("des3"),
        file!("sha1"),
        file!("scrypt"),
        file!("iterations"),
        file!("traditional"),
    ] {
        assert_eq!(read(other, "correct"), Err(KeyError::Encryption), "{other}");
    }
    for broken in ["AAAA", "S3CRET!", "MAA="] {
        let label = "ENCRYPTED PRIVATE KEY";
        let text = format!("-----BEGIN {label}-----\n{broken}\n-----END {label}-----");
        let reason = read(&text, "correct").err();
        assert!(
            matches!(reason, Some(KeyError::Malformed | KeyError::Encryption)),
            "{reason:?}"
        );
    }
    let cut = &file!("aes256")[..200];
    assert_eq!(read(cut, "correct"), Err(KeyError::Malformed));
    assert_eq!(
        read(&"-".repeat(100_000), "correct"),
        Err(KeyError::Malformed)
    );
}

#[test]
fn key_errors_map_to_their_error_codes() {
    for (reason, misuse) in [
        (KeyError::Encrypted, Misuse::KeyEncrypted),
        (KeyError::Passphrase, Misuse::KeyPassphrase),
        (KeyError::Encryption, Misuse::KeyMalformed),
    ] {
        assert_eq!(Error::from(reason).code(), misuse.code());
    }
    // The message contains no input.
    for (reason, message) in [
        (
            KeyError::Encrypted,
            "the private key is encrypted, and no passphrase was given [key.encrypted]",
        ),
        (
            KeyError::Passphrase,
            "the passphrase does not decrypt the private key [key.passphrase]",
        ),
    ] {
        assert_eq!(Error::from(reason).to_string(), message);
    }
}
