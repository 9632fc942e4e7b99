//! Consistency checks of client metadata: members that contradict one another (RFC 7591 sections 2 and 2.1), and
//! members that must not be sent.

use super::{
    AUTHORIZATION_CODE, ApplicationType, CLIENT_INFORMATION, ClientMetadata, ID_JAG, IMPLICIT,
    JWT_BEARER, TOKEN_EXCHANGE,
};
use crate::error::{Error, Misuse};
use crate::jose;
use crate::json::{Map, Value};
use crate::redirect_uri::RedirectUri;
use crate::url::{Transport, Url};

/// The methods of client authentication that require the server to know a key of the client.
const BY_KEY: [&str; 2] = ["private_key_jwt", "self_signed_tls_client_auth"];

impl ClientMetadata {
    /// Checks whether the metadata can be registered: contradictions are found without asking a server.
    ///
    /// # Errors
    /// `client_metadata.malformed` for a member that a client must not set, or that is not a URL;
    /// `client_metadata.inconsistent` for two members that contradict each other, or one without another that it
    /// requires; `client_metadata.private_key` for a private key; `client_metadata.keys_missing`.
    pub fn check(&self) -> Result<(), Error> {
        self.check_names()?;
        self.check_redirects()?;
        self.check_response_types()?;
        self.check_profiles()?;
        self.check_pages()?;
        self.check_logout()?;
        self.check_keys()?;
        // An unsigned token proves nothing.
        match self.id_token_signed_response_alg.as_deref() {
            Some("none") => Err(malformed("id_token_signed_response_alg")),
            _ => Ok(()),
        }
    }

    /// Members that only a server sets must not be set by the client.
    fn check_names(&self) -> Result<(), Error> {
        let mut reserved_members = CLIENT_INFORMATION.iter();
        match reserved_members.find(|name| self.has_extra(name)) {
            Some(name) => Err(malformed(name)),
            None => Ok(()),
        }
    }

    /// "Clients using flows with redirection MUST register their redirection URI values" (section 2).
    fn check_redirects(&self) -> Result<(), Error> {
        // The software statement may contain the redirect URIs.
        if self.uses_redirects()
            && self.redirect_uris.is_empty()
            && self.software_statement.is_none()
        {
            return Err(inconsistent("redirect_uris: the grant types need them"));
        }
        let is_private = |uri: &RedirectUri| !uri.as_str().starts_with("http");
        let is_web = self.application_type == Some(ApplicationType::Web);
        match self.redirect_uris.iter().find(|uri| is_private(uri)) {
            Some(_) if is_web => Err(inconsistent(
                "application_type: a web application has no private scheme in redirect_uris",
            )),
            _ => Ok(()),
        }
    }

    /// The table of section 2.1: each response type requires its grants, and each grant with a response type.
    fn check_response_types(&self) -> Result<(), Error> {
        let grants = self.effective_grant_types();
        let has_grant = |grant: &str| grants.contains(&grant);
        let mut needed = Vec::new();
        for response_type in &self.response_types {
            for part in response_type.split(' ') {
                let grant = match part {
                    "code" => AUTHORIZATION_CODE,
                    "token" | "id_token" => IMPLICIT,
                    _ => continue,
                };
                if !has_grant(grant) {
                    let reason =
                        format!("response_types: {response_type} needs the grant type {grant}");
                    return Err(inconsistent(&reason));
                }
                needed.push(grant);
            }
        }
        // "If omitted, the default is that the client will use only the code response type."
        if self.response_types.is_empty() {
            needed.push(AUTHORIZATION_CODE);
        }
        let mut with_response = super::REDIRECT_GRANTS.into_iter();
        match with_response.find(|grant| has_grant(grant) && !needed.contains(grant)) {
            Some(grant) => Err(inconsistent(&format!(
                "grant_types: {grant} needs a response type"
            ))),
            None => Ok(()),
        }
    }

    /// A client that declares the identity assertion profile must list both of its grants.
    fn check_profiles(&self) -> Result<(), Error> {
        let profiles = &self.authorization_grant_profiles_supported;
        if !profiles.iter().any(|profile| profile == ID_JAG) {
            return Ok(());
        }
        let grants = self.effective_grant_types();
        let mut needed = [TOKEN_EXCHANGE, JWT_BEARER].into_iter();
        match needed.find(|grant| !grants.contains(grant)) {
            Some(grant) => Err(inconsistent(&format!(
                "authorization_grant_profiles_supported: id-jag needs the grant type {grant}"
            ))),
            None => Ok(()),
        }
    }

    fn check_pages(&self) -> Result<(), Error> {
        let pages = [
            ("client_uri", &self.client_uri),
            ("logo_uri", &self.logo_uri),
            ("tos_uri", &self.tos_uri),
            ("policy_uri", &self.policy_uri),
        ];
        for (name, page) in pages {
            let Some(page) = page else { continue };
            // The URL of a page may have a fragment.
            let without_fragment = page.split('#').next().unwrap_or_default();
            Url::parse(without_fragment).map_err(|_| malformed(name))?;
        }
        let Some(uri) = &self.jwks_uri else {
            return Ok(());
        };
        // Over plain http, an attacker on the path could replace the keys.
        let url = Url::parse(uri).and_then(|url| url.require(Transport::Https));
        url.map_err(|_| malformed("jwks_uri"))
    }

    /// OpenID Connect Back-Channel Logout section 2.2, Front-Channel Logout section 2.
    fn check_logout(&self) -> Result<(), Error> {
        for uri in &self.post_logout_redirect_uris {
            RedirectUri::parse(uri).map_err(|_| malformed("post_logout_redirect_uris"))?;
        }
        if let Some(uri) = &self.backchannel_logout_uri {
            // Whoever reads a logout token could repeat it. `parse` refuses a fragment.
            let url = Url::parse(uri).and_then(|url| url.require(Transport::LoopbackHttp));
            url.map_err(|_| malformed("backchannel_logout_uri"))?;
        }
        if let Some(uri) = &self.frontchannel_logout_uri {
            let page = Url::parse(uri).map_err(|_| malformed("frontchannel_logout_uri"))?;
            // "The domain, port, and scheme of this URL MUST be the same as that of a registered Redirection URI value."
            let has_its_origin = |redirect: &RedirectUri| {
                let redirect = Url::parse(redirect.as_str());
                redirect.is_ok_and(|redirect| redirect.origin() == page.origin())
            };
            // A software statement may contain the redirect URIs.
            let is_known = self.software_statement.is_none() || !self.redirect_uris.is_empty();
            if is_known && !self.redirect_uris.iter().any(has_its_origin) {
                return Err(inconsistent(
                    "frontchannel_logout_uri: no redirect URI has its origin",
                ));
            }
        }
        let sessions = [
            (
                "backchannel_logout_session_required",
                self.backchannel_logout_session_required,
                &self.backchannel_logout_uri,
            ),
            (
                "frontchannel_logout_session_required",
                self.frontchannel_logout_session_required,
                &self.frontchannel_logout_uri,
            ),
        ];
        for (name, is_required, uri) in sessions {
            if is_required == Some(true) && uri.is_none() {
                return Err(inconsistent(&format!("{name}: there is no URI for it")));
            }
        }
        Ok(())
    }

    /// "The jwks_uri and jwks parameters MUST NOT both be present in the same request or response" (section 2).
    fn check_keys(&self) -> Result<(), Error> {
        if self.jwks.is_some() && self.jwks_uri.is_some() {
            return Err(inconsistent("jwks and jwks_uri: there is one of them"));
        }
        if let Some(jwks) = &self.jwks {
            check_public(jwks)?;
        }
        let method = self.auth_method();
        let keys = self.jwks.as_ref().and_then(|jwks| jwks.get("keys"));
        // An empty set is one with which a server can verify nothing.
        let has_key = keys
            .and_then(Value::as_array)
            .is_some_and(|keys| !keys.is_empty());
        let has_keys = has_key || self.jwks_uri.is_some() || self.software_statement.is_some();
        if BY_KEY.contains(&method) && !has_keys {
            Err(Error::from(Misuse::ClientMetadataKeys).about(method))
        } else {
            Ok(())
        }
    }
}

/// Checks that these are only public keys.
fn check_public(jwks: &Map<String, Value>) -> Result<(), Error> {
    let keys = jwks.get("keys").and_then(Value::as_array);
    let keys = keys.ok_or_else(|| malformed("jwks"))?;
    for (index, key) in keys.iter().enumerate() {
        let Value::Object(key) = key else {
            return Err(malformed("jwks"));
        };
        if jose::PRIVATE_MEMBERS
            .iter()
            .any(|name| key.get(*name).is_some())
        {
            let key_name = format!("key {index} of jwks");
            return Err(Error::from(Misuse::ClientMetadataPrivateKey).about(&key_name));
        }
    }
    Ok(())
}

fn malformed(member: &str) -> Error {
    Error::from(Misuse::ClientMetadataShape).about(member)
}

fn inconsistent(reason: &str) -> Error {
    Error::from(Misuse::ClientMetadataConflict).about(reason)
}
