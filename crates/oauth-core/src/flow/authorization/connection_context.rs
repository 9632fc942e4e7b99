//! The connection contexts of a client that serves several servers, tools or tenants: a flow begun in one of them, or
//! by one user, must not end in another.
//!
//! <https://datatracker.ietf.org/doc/html/draft-ietf-oauth-security-topics-update-03#section-2.2.2>, section 2.3

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::client_config::ClientId;
use crate::error::{Error, Misuse, ValidationFailure};
use crate::redirect_uri::RedirectUri;
use crate::secret::Secret;
use crate::server::Server;

/// The longest identifier of a context, in bytes: it becomes a part of a redirect URI.
const MAX_ID_BYTES: usize = 256;

/// The context and the user's session in which a callback arrived, as the application determined them. Neither is taken
/// from the callback itself or from its state.
#[derive(Debug, Clone, Default)]
pub struct CallbackContext {
    context: Option<String>,
    user: Option<Secret<String>>,
}

impl CallbackContext {
    /// Sets the context in which the callback arrived.
    #[must_use]
    pub fn in_context(mut self, context: impl Into<String>) -> Self {
        self.context = Some(context.into());
        self
    }

    /// Sets the user in whose session the callback arrived. If there is no session, do not call this: first forward the
    /// callback to a fixed URL where there is one (section 2.3).
    #[must_use]
    pub fn for_user(mut self, user: impl Into<Secret<String>>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// Checks that a flow that was begun in `context` may end here.
    ///
    /// "the client MUST ... compare": what is set for one must be set for the other, because a flow that names no
    /// context does not belong to this context.
    pub(super) fn check(
        &self,
        context: Option<&str>,
        user: Option<&Secret<String>>,
    ) -> Result<(), Error> {
        if self.context.as_deref() != context {
            return Err(ValidationFailure::CallbackContext.into());
        }
        let is_same_user = match (&self.user, user) {
            (Some(arrived), Some(started)) => started.matches(arrived.expose()),
            (arrived, started) => arrived.is_none() && started.is_none(),
        };
        if is_same_user {
            Ok(())
        } else {
            Err(ValidationFailure::CallbackUser.into())
        }
    }
}

/// One context: a tool, a provider and a tenant that the client is connected to.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ConnectionContext {
    /// The unique identifier of the context, to which flows are bound.
    pub id: String,
    /// The party that has set up the context, such as a tenant.
    pub owner: String,
    /// The issuer and the client id of its registration.
    pub registration: (String, String),
    /// The redirect URI of the context's flows.
    pub redirect_uri: RedirectUri,
    /// Whether only the redirect URI identifies the context to which a callback belongs, see
    /// [`Server::needs_distinct_redirect_uri`].
    pub needs_distinct_redirect_uri: bool,
}

impl ConnectionContext {
    /// The context in which the client with this id is used at this server, on behalf of this owner.
    ///
    /// # Errors
    /// `context.identifier`.
    pub fn new(
        id: impl Into<String>,
        owner: impl Into<String>,
        server: &Server,
        client_id: &ClientId,
        redirect_uri: RedirectUri,
    ) -> Result<Self, Error> {
        let id = id.into();
        check_id(&id)?;
        Ok(Self {
            id,
            owner: owner.into(),
            registration: (
                server.issuer().as_str().to_owned(),
                client_id.as_str().to_owned(),
            ),
            redirect_uri,
            needs_distinct_redirect_uri: server.needs_distinct_redirect_uri(),
        })
    }
}

/// Checks all configured contexts of an application.
///
/// # Errors
/// `context.identifier` for two with the same identifier; `registration.shared` for contexts of different owners that
/// share a client registration: one could use what the other is granted; `redirect_uri.shared` for contexts that share
/// a redirect URI if nothing else shows to which of them a callback belongs.
pub fn check_contexts(contexts: &[ConnectionContext]) -> Result<(), Error> {
    let mut ids = BTreeMap::new();
    let mut registrations = BTreeMap::new();
    let mut redirect_uris = BTreeMap::new();
    for context in contexts {
        let shared = |misuse: Misuse, other: &ConnectionContext| {
            let pair = format!("{} and {}", other.id, context.id);
            Err(Error::from(misuse).about(&pair))
        };
        if let Some(other) = ids.insert(&context.id, context) {
            return shared(Misuse::ContextIdentifier, other);
        }
        let other = *registrations
            .entry(&context.registration)
            .or_insert(context);
        if other.owner != context.owner {
            return shared(Misuse::RegistrationShared, other);
        }
        // If either has no defence, callbacks of the other could be redeemed there.
        let (other, is_undefended) = redirect_uris
            .entry(context.redirect_uri.as_str())
            .or_insert((context, context.needs_distinct_redirect_uri));
        *is_undefended |= context.needs_distinct_redirect_uri;
        if *is_undefended && other.id != context.id {
            return shared(Misuse::RedirectUriShared, other);
        }
    }
    Ok(())
}

impl RedirectUri {
    /// The redirect URI of one context: this URI with the identifier of the context as a further path segment. Register
    /// each with its server.
    ///
    /// # Errors
    /// `context.identifier` for an identifier that is empty, longer than 256 bytes, or a dot segment;
    /// `redirect_uri.refused`.
    pub fn of_context(&self, id: &str) -> Result<Self, Error> {
        check_id(id)?;
        let (path, query) = match self.as_str().split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (self.as_str(), None),
        };
        let mut text = path.strip_suffix('/').unwrap_or(path).to_owned();
        text.push('/');
        for byte in id.bytes() {
            // "Unreserved Characters" (RFC 3986 section 2.3)
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    text.push(char::from(byte));
                }
                _ => text.push_str(&format!("%{byte:02X}")),
            }
        }
        if let Some(query) = query {
            text.push('?');
            text.push_str(query);
        }
        Self::parse(&text)
    }
}

impl Server {
    /// Whether each context that uses this server needs its own redirect URI.
    ///
    /// The issuer that a callback names (RFC 9207) can replace that, if the server says that it always names it,
    /// and the endpoints are those of the issuer's own metadata (draft-ietf-oauth-security-topics-update-03 section
    /// 2.2.2). This client always meets the other condition, that there is no implicit grant.
    pub fn needs_distinct_redirect_uri(&self) -> bool {
        !(self.is_discovered() && self.authorization_response_iss_supported())
    }
}

fn check_id(id: &str) -> Result<(), Error> {
    let is_valid_id = !id.is_empty() && id.len() <= MAX_ID_BYTES && id != "." && id != "..";
    if is_valid_id {
        Ok(())
    } else {
        Err(Misuse::ContextIdentifier.into())
    }
}
