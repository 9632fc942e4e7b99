//! The algorithms of a JWE: `alg`, the key management (RFC 7518 section 4), and `enc`, the content encryption (section
//! 5). Their inputs are in `decrypter.rs`; which of them a token may use is checked in `jwe.rs`.

macro_rules! names {
    ($(#[$meta:meta])* $name:ident { $($variant:ident $wire:literal $text:literal)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name { $(#[doc = $text] $variant),* }

        impl $name {
            /// Every algorithm that this crate knows.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The algorithm's name in a JWE header.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $wire),* }
            }

            /// The algorithm of this name.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|alg| alg.as_str() == name)
            }
        }
    };
}

names! {
    /// How the content encryption key is conveyed: `alg` (RFC 7518 section 4.1). `RSA1_5` and the
    /// password-based algorithms cannot be represented.
    JweAlg {
        RsaOaep "RSA-OAEP" "RSAES OAEP with SHA-1 and MGF1 with SHA-1."
        RsaOaep256 "RSA-OAEP-256" "RSAES OAEP with SHA-256 and MGF1 with SHA-256."
        EcdhEs "ECDH-ES" "The key is agreed on: ephemeral-static Diffie-Hellman with Concat KDF."
        EcdhEsA128Kw "ECDH-ES+A128KW" "ECDH-ES whose key wraps the content's with AES-128."
        EcdhEsA192Kw "ECDH-ES+A192KW" "ECDH-ES whose key wraps the content's with AES-192."
        EcdhEsA256Kw "ECDH-ES+A256KW" "ECDH-ES whose key wraps the content's with AES-256."
        A128Kw "A128KW" "A shared key wraps the content encryption key with AES-128."
        A192Kw "A192KW" "A shared key wraps the content's with AES-192."
        A256Kw "A256KW" "A shared key wraps the content's with AES-256."
        A128GcmKw "A128GCMKW" "A shared key encrypts the content's with AES-128 GCM."
        A192GcmKw "A192GCMKW" "A shared key encrypts the content's with AES-192 GCM."
        A256GcmKw "A256GCMKW" "A shared key encrypts the content's with AES-256 GCM."
        Dir "dir" "A shared key is the content's."
    }
}

names! {
    /// How the content of a JWE is encrypted: `enc` (RFC 7518 section 5.1).
    Enc {
        A128CbcHs256 "A128CBC-HS256" "AES-128 CBC with HMAC SHA-256."
        A192CbcHs384 "A192CBC-HS384" "AES-192 CBC with HMAC SHA-384."
        A256CbcHs512 "A256CBC-HS512" "AES-256 CBC with HMAC SHA-512."
        A128Gcm "A128GCM" "AES-128 GCM."
        A192Gcm "A192GCM" "AES-192 GCM."
        A256Gcm "A256GCM" "AES-256 GCM."
    }
}

impl JweAlg {
    /// Whether the key is agreed on with an ephemeral key of the sender, the `epk` of the header.
    pub const fn has_ephemeral_key(self) -> bool {
        matches!(
            self,
            Self::EcdhEs | Self::EcdhEsA128Kw | Self::EcdhEsA192Kw | Self::EcdhEsA256Kw
        )
    }

    /// Whether no encrypted key comes with the content (RFC 7518 sections 4.5 and 4.6).
    pub const fn is_direct(self) -> bool {
        matches!(self, Self::EcdhEs | Self::Dir)
    }

    /// The length of the key that wraps the content's key, in bytes, if the algorithm alone determines it.
    pub const fn wrapping_bytes(self) -> Option<usize> {
        match self {
            Self::EcdhEsA128Kw | Self::A128Kw | Self::A128GcmKw => Some(16),
            Self::EcdhEsA192Kw | Self::A192Kw | Self::A192GcmKw => Some(24),
            Self::EcdhEsA256Kw | Self::A256Kw | Self::A256GcmKw => Some(32),
            Self::RsaOaep | Self::RsaOaep256 | Self::EcdhEs | Self::Dir => None,
        }
    }

    /// Whether the key of the content is encrypted to an RSA key (RFC 7518 section 4.3).
    pub const fn is_rsa(self) -> bool {
        matches!(self, Self::RsaOaep | Self::RsaOaep256)
    }

    pub(super) const fn is_gcm_wrapped(self) -> bool {
        matches!(self, Self::A128GcmKw | Self::A192GcmKw | Self::A256GcmKw)
    }
}

impl Enc {
    /// The length of the content key, in bytes; for CBC that of the HMAC and that of AES together.
    pub const fn key_bytes(self) -> usize {
        match self {
            Self::A128Gcm => 16,
            Self::A192Gcm => 24,
            Self::A256Gcm | Self::A128CbcHs256 => 32,
            Self::A192CbcHs384 => 48,
            Self::A256CbcHs512 => 64,
        }
    }

    /// The length of the initialization vector, in bytes.
    pub const fn iv_bytes(self) -> usize {
        match self {
            Self::A128Gcm | Self::A192Gcm | Self::A256Gcm => 12,
            Self::A128CbcHs256 | Self::A192CbcHs384 | Self::A256CbcHs512 => 16,
        }
    }

    /// The length of the authentication tag, in bytes: a shorter one is not accepted.
    pub const fn tag_bytes(self) -> usize {
        match self {
            Self::A128Gcm | Self::A192Gcm | Self::A256Gcm | Self::A128CbcHs256 => 16,
            Self::A192CbcHs384 => 24,
            Self::A256CbcHs512 => 32,
        }
    }
}
