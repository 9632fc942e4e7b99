//! A FAPI 2.0 server (Security Profile and Message Signing): the generic server's rules, and those that FAPI adds.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use oauth_core::crypto::{Decrypter as _, DecryptionJob};
use oauth_core::jose::{Alg, Curve, Enc, EphemeralKey, JweAlg, PublicJwk};
use oauth_crypto::{DecryptionKey, PrivateKey};
use serde_json::{Value, json};

use super::generic::{self, SCOPES};
use super::rules::{Accepts, Basic, Paths, Rotation, Rules};
use super::sender_constrained::Sender;
use super::token::{AUTHORIZATION_CODE, CLIENT_CREDENTIALS, REFRESH_TOKEN};
use super::{Twin, ciba};

/// The algorithms that its clients may sign with (FAPI 2.0 Security Profile section 5.4.1).
pub(super) const ALGS: &[Alg] = &[Alg::Ps256, Alg::Es256, Alg::EdDsa, Alg::Ed25519];
const GRANTS: &[&str] = &[AUTHORIZATION_CODE, REFRESH_TOKEN, CLIENT_CREDENTIALS];
/// The grant types, including backchannel requests.
const MORE_GRANTS: &[&str] = &[
    AUTHORIZATION_CODE,
    REFRESH_TOKEN,
    CLIENT_CREDENTIALS,
    ciba::GRANT,
];
/// The supported types of authorization details.
const DETAILS: &[&str] = &["payment", "account"];

/// The client's private key: the published one of RFC 7515 appendix A.3.
const CLIENT_KEY: &str = r#"{"kty":"EC","crv":"P-256","kid":"twin-client-1","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}"#;
/// The server's decryption key: the published one of RFC 7517 appendix A.2.
const DECRYPTION_KEY: &str = r#"{"kty":"EC","crv":"P-256","kid":"twin-enc-1","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","d":"870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE"}"#;

/// The rules that FAPI 2.0 adds to those of a server.
pub(super) struct Fapi {
    pub(super) client_auth: CredentialKind,
    /// The X.509-SVIDs that were issued: the certificate's thumbprint and the SPIFFE ID in it. Each of them
    /// authenticates the client.
    pub(super) svids: Vec<(String, String)>,
    /// The origin at which clients present certificates; empty for none.
    pub(super) mutual_base: String,
    /// Whether authorization requests must be pushed.
    pub(super) pushed_only: bool,
    /// Whether authorization requests must be signed.
    pub(super) signed_only: bool,
    pub(super) details: &'static [&'static str],
}

/// The credential with which a client authenticates, or to which tokens are bound.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum CredentialKind {
    Key,
    Certificate,
}

pub(super) fn rules(base: &str) -> Rules {
    let generic = generic::rules(base);
    let mut document = generic.metadata.1;
    let algs: Vec<&str> = ALGS.iter().map(|alg| alg.as_str()).collect();
    let more = json!({
        "pushed_authorization_request_endpoint": format!("{base}/par"),
        "require_pushed_authorization_requests": true,
        "request_parameter_supported": true,
        "request_uri_parameter_supported": false,
        "request_object_signing_alg_values_supported": algs,
        "request_object_encryption_alg_values_supported": ["ECDH-ES"],
        "request_object_encryption_enc_values_supported": ["A256GCM"],
        "grant_types_supported": GRANTS,
        "response_types_supported": ["code"],
        "response_modes_supported": [
            "query", "fragment", "form_post", "jwt", "query.jwt", "fragment.jwt", "form_post.jwt",
        ],
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": algs,
        "revocation_endpoint_auth_methods_supported": ["private_key_jwt"],
        "revocation_endpoint_auth_signing_alg_values_supported": algs,
        "introspection_endpoint_auth_methods_supported": ["private_key_jwt"],
        "introspection_endpoint_auth_signing_alg_values_supported": algs,
        "introspection_signing_alg_values_supported": ["PS256"],
        "id_token_signing_alg_values_supported": ["PS256"],
        "authorization_signing_alg_values_supported": ["PS256"],
        "dpop_signing_alg_values_supported": algs,
        "authorization_details_types_supported": DETAILS,
    });
    for (name, value) in more.as_object().into_iter().flatten() {
        document[name] = value.clone();
    }
    generic::without_more_grants(&mut document);
    if let Some(members) = document.as_object_mut() {
        members.remove("registration_endpoint");
    }
    Rules {
        paths: Paths {
            pushed: "/par".to_owned(),
            device_authorization: String::new(),
            device_page: String::new(),
            backchannel: String::new(),
            backchannel_page: String::new(),
            registration: String::new(),
            ..generic.paths
        },
        metadata: (generic.metadata.0, document),
        client_secret: "",
        public_client_id: "",
        grants: (GRANTS, &[]),
        scopes: SCOPES,
        accepts,
        alg: Alg::Ps256,
        // "shall not use refresh token rotation" except in extraordinary circumstances (section 5.3.2.1).
        rotation: Rotation::Never,
        sender: Some(Sender::by_key()),
        fapi: Some(Fapi {
            client_auth: CredentialKind::Key,
            svids: Vec::new(),
            mutual_base: String::new(),
            pushed_only: true,
            signed_only: false,
            details: DETAILS,
        }),
        ..generic
    }
}

fn accepts(_: &str) -> Accepts {
    Accepts {
        basic: Basic::Refused,
        body: false,
        public: false,
    }
}

/// The public key of its client.
pub(super) fn client_public_key() -> Result<PublicJwk, &'static str> {
    let private = PrivateKey::from_jwk(CLIENT_KEY, Alg::Es256);
    let public = private.map(|key| key.public_jwk().clone());
    public.map_err(|_| "the key of the client cannot be read")
}

/// The public key to encrypt to, in the server's key set.
pub(super) fn encryption_jwk() -> Value {
    let mut jwk: Value = serde_json::from_str(DECRYPTION_KEY).unwrap_or_default();
    if let Some(members) = jwk.as_object_mut() {
        members.remove("d");
        members.insert("use".to_owned(), "enc".into());
        members.insert("alg".to_owned(), "ECDH-ES".into());
    }
    jwk
}

/// The text in a JWE for this server, or the text itself if it is not a JWE (RFC 7516 section 5.2).
pub(super) fn decrypted(text: &str) -> Result<String, &'static str> {
    let parts: Vec<&str> = text.split('.').collect();
    let [header, encrypted_key, iv, ciphertext, tag] = parts[..] else {
        return Ok(text.to_owned());
    };
    const BROKEN: &str = "the JWE cannot be read";
    let bytes = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| BROKEN);
    let fields: Value = serde_json::from_slice(&bytes(header)?).map_err(|_| BROKEN)?;
    if fields["alg"] != "ECDH-ES" || fields["enc"] != "A256GCM" {
        return Err("the JWE's algorithm is not accepted");
    }
    let coordinate = |name: &str| bytes(fields["epk"][name].as_str().unwrap_or_default());
    let party = |name: &str| bytes(fields[name].as_str().unwrap_or_default());
    let job = DecryptionJob {
        alg: JweAlg::EcdhEs,
        enc: Enc::A256Gcm,
        ephemeral_key: Some(EphemeralKey {
            curve: Curve::P256,
            x: coordinate("x")?,
            y: coordinate("y")?,
        }),
        apu: party("apu")?,
        apv: party("apv")?,
        key_iv: Vec::new(),
        key_tag: Vec::new(),
        encrypted_key: bytes(encrypted_key)?,
        additional_data: header.as_bytes().to_vec(),
        iv: bytes(iv)?,
        ciphertext: bytes(ciphertext)?,
        tag: bytes(tag)?,
    };
    let key = DecryptionKey::from_jwk(DECRYPTION_KEY, JweAlg::EcdhEs).map_err(|_| BROKEN)?;
    let plain = key.decrypt(&job).map_err(|_| BROKEN)?;
    String::from_utf8(plain.expose().clone()).map_err(|_| BROKEN)
}

impl Twin {
    /// A FAPI 2.0 server (Security Profile and Message Signing, Final), with everything that the
    /// [`generic`](Self::generic) one has except device codes, backchannel requests (see
    /// [`take_backchannel_requests`](Self::take_backchannel_requests)), exchanges, assertions, passwords and public
    /// clients.
    ///
    /// - authorization requests must be pushed to `/par`; they may be signed request objects, optionally
    ///   encrypted to the server's key (ECDH-ES with A256GCM);
    /// - its client authenticates with `private_key_jwt`, signed by [`client_key`](Self::client_key); the audience
    ///   must be the issuer alone;
    /// - PKCE with S256, always; `iss` in every response, which is signed (PS256) for the response modes of JARM, and
    ///   encrypted on request ([`encrypt_responses`](Self::encrypt_responses));
    /// - access tokens are bound to the key of a DPoP proof, and `dpop_jkt` or a proof at `/par` bind the code; see
    ///   [`set_dpop_nonces`](Self::set_dpop_nonces);
    /// - authorization details (RFC 9396) of the types `payment` and `account`, and resources (RFC 8707), which the
    ///   token request may narrow.
    ///
    /// Proofs and assertions are accepted once, and refresh tokens are not rotated.
    pub fn fapi(base: &str) -> Self {
        Self::of(base, rules)
    }

    /// The private key, as a JWK, of the FAPI twin's client; empty for other twins. It is public knowledge.
    pub fn client_key(&self) -> &'static str {
        match self.authority.rules.fapi {
            Some(_) => CLIENT_KEY,
            None => "",
        }
    }

    /// Sets the origin at which clients present certificates; the metadata lists its aliases (RFC 8705 section 5).
    #[cfg(feature = "tls")]
    pub(crate) fn set_mutual_tls(&mut self, base: &str) {
        let rules = &mut self.authority.rules;
        let Some(fapi) = &mut rules.fapi else { return };
        fapi.mutual_base = base.to_owned();
        let document = &mut rules.metadata.1;
        let alias = |path: &str| format!("{base}{path}");
        document["mtls_endpoint_aliases"] = json!({
            "token_endpoint": alias(&rules.paths.token),
            "pushed_authorization_request_endpoint": alias(&rules.paths.pushed),
            "revocation_endpoint": alias(&rules.paths.revoke),
            "introspection_endpoint": alias(&rules.paths.introspect),
            "userinfo_endpoint": alias(&rules.paths.userinfo),
        });
    }

    /// Sets or removes the mutual-TLS alias of an endpoint, such as `token_endpoint`, in the FAPI twin's metadata
    /// (RFC 8705 section 5).
    #[cfg(feature = "tls")]
    pub fn set_mutual_tls_alias(&mut self, endpoint: &str, url: Option<&str>) {
        let document = &mut self.authority.rules.metadata.1;
        if let Some(aliases) = document["mtls_endpoint_aliases"].as_object_mut() {
            match url {
                Some(url) => drop(aliases.insert(endpoint.to_owned(), url.into())),
                None => drop(aliases.remove(endpoint)),
            }
        }
    }

    /// Has the FAPI twin's client authenticate with its certificate (`tls_client_auth`).
    #[cfg(feature = "tls")]
    pub fn authenticate_by_certificate(&mut self) {
        let rules = &mut self.authority.rules;
        let Some(fapi) = &mut rules.fapi else { return };
        fapi.client_auth = CredentialKind::Certificate;
        for endpoint in ["token", "revocation", "introspection"] {
            let name = format!("{endpoint}_endpoint_auth_methods_supported");
            rules.metadata.1[name] = json!(["tls_client_auth"]);
        }
    }

    /// Has the FAPI twin's client authenticate with an X.509-SVID (`spiffe_x509`), identified by its SPIFFE ID.
    #[cfg(feature = "tls")]
    pub(crate) fn register_svid(&mut self, thumbprint: String, spiffe_id: &str) {
        self.authenticate_by_certificate();
        let rules = &mut self.authority.rules;
        let Some(fapi) = &mut rules.fapi else { return };
        fapi.svids.push((thumbprint, spiffe_id.to_owned()));
        self.list_svids();
    }

    /// Lists the SVID methods in the metadata (OAuth SPIFFE Client Authentication section 4).
    pub fn list_svids(&mut self) {
        let methods = json!(["spiffe_wit", "spiffe_jwt", "spiffe_x509"]);
        self.authority.rules.metadata.1["token_endpoint_auth_methods_supported"] = methods;
    }

    /// Has the FAPI twin bind tokens to the client's certificate instead of a key (RFC 8705 section 3).
    #[cfg(feature = "tls")]
    pub fn bind_to_certificates(&mut self) {
        if self.authority.rules.sender.is_some() {
            self.require_certificates();
        }
    }

    /// Has the FAPI twin refuse unsigned requests from now on (FAPI 2.0 Message Signing section 5.3).
    pub fn require_signed_requests(&mut self) {
        if let Some(fapi) = &mut self.authority.rules.fapi {
            fapi.signed_only = true;
        }
        self.authority.rules.metadata.1["require_signed_request_object"] = true.into();
    }

    /// Has the FAPI twin accept backchannel requests by FAPI-CIBA (section 5.2.2): signed by
    /// [`client_key`](Self::client_key), in poll or ping mode. The metadata announce them.
    pub fn take_backchannel_requests(&mut self) {
        let rules = &mut self.authority.rules;
        let Some(fapi) = &rules.fapi else { return };
        let (endpoint, page) = ("/backchannel_authentication", "/authentication_device");
        rules.paths.backchannel = endpoint.to_owned();
        rules.paths.backchannel_page = page.to_owned();
        rules.grants = (MORE_GRANTS, &[]);
        let algs: Vec<&str> = ALGS.iter().map(|alg| alg.as_str()).collect();
        let document = &mut rules.metadata.1;
        document["grant_types_supported"] = json!(MORE_GRANTS);
        document["backchannel_authentication_endpoint"] =
            format!("{}{endpoint}", rules.issuer).into();
        document["backchannel_token_delivery_modes_supported"] = json!(["poll", "ping"]);
        document["backchannel_authentication_request_signing_alg_values_supported"] = json!(algs);
        if !fapi.mutual_base.is_empty() {
            document["mtls_endpoint_aliases"]["backchannel_authentication_endpoint"] =
                format!("{}{endpoint}", fapi.mutual_base).into();
        }
    }

    /// Has the FAPI twin accept authorization requests that were not pushed.
    pub fn allow_unpushed_requests(&mut self) {
        if let Some(fapi) = &mut self.authority.rules.fapi {
            fapi.pushed_only = false;
        }
        self.authority.rules.metadata.1["require_pushed_authorization_requests"] = false.into();
    }
}
