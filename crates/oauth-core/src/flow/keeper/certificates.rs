//! The access tokens of workers with different certificates (RFC 8705 section 3), kept in one record while certificates
//! rotate. The refresh token is shared: servers bind it only for clients that do not authenticate (section 4).

#[cfg(not(all(feature = "js", target_family = "wasm")))]
use std::sync::Arc;

use super::record::Record;
use crate::client_config::ClientConfig;
#[cfg(not(all(feature = "js", target_family = "wasm")))]
use crate::extra::Extra;
use crate::json::{Json, JsonForm};
use crate::moment::UnixTime;
#[cfg(not(all(feature = "js", target_family = "wasm")))]
use crate::token::{Stored, Tokens};

/// The largest number of access tokens for other certificates in a record.
#[cfg(not(all(feature = "js", target_family = "wasm")))]
const MAX_OTHER_CERTIFICATES: usize = 3;

/// Access tokens of the same grant for the certificates of other workers. Empty in builds for pages.
#[derive(Debug, Clone, Default)]
pub(super) struct OtherCertificateTokens(
    #[cfg(not(all(feature = "js", target_family = "wasm")))] pub(super) Vec<Arc<Tokens>>,
);

#[cfg(all(feature = "js", target_family = "wasm"))]
impl JsonForm for OtherCertificateTokens {
    fn read(_: Json<'_>) -> Option<Self> {
        Some(Self())
    }

    fn write(&self, out: &mut String) {
        out.push_str("[]");
    }

    fn is_absent(&self) -> bool {
        true
    }
}

#[cfg(all(feature = "js", target_family = "wasm"))]
impl Record {
    pub(super) fn choose_certificate(&mut self, _: &ClientConfig) {}

    pub(super) fn keep_other_certificates(&mut self, _: &Self, _: UnixTime) {}

    pub(super) fn received_at(&self) -> Option<UnixTime> {
        self.tokens.as_ref().map(|tokens| tokens.received_at)
    }
}

#[cfg(not(all(feature = "js", target_family = "wasm")))]
impl JsonForm for OtherCertificateTokens {
    fn read(value: Json<'_>) -> Option<Self> {
        let stored: Vec<Stored> = JsonForm::read(value)?;
        // A token that cannot be read is requested again: it must not cost the refresh token.
        let tokens = stored.into_iter().take(MAX_OTHER_CERTIFICATES);
        let tokens = tokens.filter_map(|stored| Tokens::from_stored(stored).ok());
        Some(Self(tokens.map(Arc::new).collect()))
    }

    fn write(&self, out: &mut String) {
        let stored: Vec<_> = self.0.iter().map(|tokens| tokens.to_stored()).collect();
        stored.write(out);
    }

    fn is_absent(&self) -> bool {
        self.0.is_empty()
    }
}

/// The access token alone.
#[cfg(not(all(feature = "js", target_family = "wasm")))]
fn access_only(tokens: &Tokens) -> Arc<Tokens> {
    Arc::new(Tokens {
        refresh_token: None,
        id_token: None,
        step_up_login: None,
        extra: Extra::default(),
        warnings: Vec::new(),
        ..tokens.clone()
    })
}

#[cfg(not(all(feature = "js", target_family = "wasm")))]
impl Record {
    /// Exchanges the access token for the one that is bound to this worker's certificate, if the record has both.
    pub(super) fn choose_certificate(&mut self, config: &ClientConfig) {
        let own_certificate = &config.certificate;
        if !own_certificate.is_known() || !config.auth.is_confidential() {
            return;
        }
        let Some(newest) = self.tokens.as_ref() else {
            return;
        };
        let is_usable =
            newest.certificate.is_usable_with(own_certificate) || newest.renews_with_access_token();
        let mut other_tokens = self.other_certificate_tokens.0.iter_mut();
        // A token of another server or client does not belong to this grant.
        let matching = other_tokens.find(|tokens| {
            tokens.certificate == *own_certificate && tokens.binding == newest.binding
        });
        let Some(matching) = matching.filter(|_| !is_usable) else {
            return;
        };
        let matching = std::mem::replace(matching, access_only(newest));
        self.tokens = Some(Arc::new(Tokens {
            access_token: matching.access_token.clone(),
            token_type: matching.token_type.clone(),
            received_at: matching.received_at,
            expires_in: matching.expires_in,
            scope: matching.scope.clone(),
            certificate: matching.certificate.clone(),
            ..(**newest).clone()
        }));
    }

    /// Keeps those access tokens of the replaced record that are valid and for other certificates: otherwise two
    /// workers would keep replacing each other's tokens.
    pub(super) fn keep_other_certificates(&mut self, former: &Self, now: UnixTime) {
        let Some(tokens) = self.tokens.as_ref() else {
            return;
        };
        if self.login != former.login || former.ended.is_some() {
            return;
        }
        let newest = former.tokens.as_deref().map(access_only);
        let former_tokens = newest
            .into_iter()
            .chain(former.other_certificate_tokens.0.iter().cloned());
        let mut retained: Vec<Arc<Tokens>> = Vec::new();
        for other in former_tokens.chain(std::mem::take(&mut self.other_certificate_tokens.0)) {
            let is_valid = other.expires_at().is_none_or(|end| now < end);
            let is_for_another_certificate =
                other.certificate.is_known() && other.certificate != tokens.certificate;
            let is_already_kept = retained
                .iter()
                .any(|tokens| tokens.certificate == other.certificate);
            if is_valid && is_for_another_certificate && !is_already_kept {
                retained.push(other);
            }
        }
        // The oldest belong to certificates that are being retired.
        retained.sort_by_key(|tokens| std::cmp::Reverse(tokens.received_at));
        retained.truncate(MAX_OTHER_CERTIFICATES);
        self.other_certificate_tokens.0 = retained;
    }

    /// When the newest of its access tokens was received, regardless of its certificate.
    pub(super) fn received_at(&self) -> Option<UnixTime> {
        let tokens = self.tokens.iter().chain(&self.other_certificate_tokens.0);
        tokens.map(|tokens| tokens.received_at).max()
    }
}
