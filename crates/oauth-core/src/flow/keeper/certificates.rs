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
const BESIDE: usize = 3;

/// Access tokens of the same grant for the certificates of other workers. Empty in builds for pages.
#[derive(Debug, Clone, Default)]
pub(super) struct Beside(
    #[cfg(not(all(feature = "js", target_family = "wasm")))] pub(super) Vec<Arc<Tokens>>,
);

#[cfg(all(feature = "js", target_family = "wasm"))]
impl JsonForm for Beside {
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

    pub(super) fn keep_beside(&mut self, _: &Self, _: UnixTime) {}

    pub(super) fn received_at(&self) -> Option<UnixTime> {
        self.tokens.as_ref().map(|tokens| tokens.received_at)
    }
}

#[cfg(not(all(feature = "js", target_family = "wasm")))]
impl JsonForm for Beside {
    fn read(value: Json<'_>) -> Option<Self> {
        let stored: Vec<Stored> = JsonForm::read(value)?;
        // One that cannot be read is requested again: the refresh token must not be lost over it.
        let tokens = stored.into_iter().take(BESIDE);
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
        answered: None,
        extra: Extra::default(),
        warnings: Vec::new(),
        ..tokens.clone()
    })
}

#[cfg(not(all(feature = "js", target_family = "wasm")))]
impl Record {
    /// Exchanges the access token for the one that is bound to this worker's certificate, if the record has both.
    pub(super) fn choose_certificate(&mut self, config: &ClientConfig) {
        let ours = &config.certificate;
        if !ours.is_known() || !config.auth.is_confidential() {
            return;
        }
        let Some(newest) = self.tokens.as_ref() else {
            return;
        };
        let is_good = newest.certificate.is_good_with(ours) || newest.is_own_renewer();
        let mut beside = self.beside.0.iter_mut();
        // A token of another server or client does not belong to this grant.
        let own = beside.find(|it| it.certificate == *ours && it.binding == newest.binding);
        let Some(own) = own.filter(|_| !is_good) else {
            return;
        };
        let own = std::mem::replace(own, access_only(newest));
        self.tokens = Some(Arc::new(Tokens {
            access_token: own.access_token.clone(),
            token_type: own.token_type.clone(),
            received_at: own.received_at,
            expires_in: own.expires_in,
            scope: own.scope.clone(),
            certificate: own.certificate.clone(),
            ..(**newest).clone()
        }));
    }

    /// Keeps the access tokens of the record that this one replaces, as far as they are for other certificates and
    /// valid: otherwise two workers would go on replacing each other's.
    pub(super) fn keep_beside(&mut self, former: &Self, now: UnixTime) {
        let Some(tokens) = self.tokens.as_ref() else {
            return;
        };
        if self.login != former.login || former.ended.is_some() {
            return;
        }
        let newest = former.tokens.as_deref().map(access_only);
        let others = newest.into_iter().chain(former.beside.0.iter().cloned());
        let mut kept: Vec<Arc<Tokens>> = Vec::new();
        for other in others.chain(std::mem::take(&mut self.beside.0)) {
            let is_valid = other.expires_at().is_none_or(|end| now < end);
            let is_another =
                other.certificate.is_known() && other.certificate != tokens.certificate;
            let is_kept = kept.iter().any(|it| it.certificate == other.certificate);
            if is_valid && is_another && !is_kept {
                kept.push(other);
            }
        }
        // Those received first belong to certificates that go out of use.
        kept.sort_by_key(|it| std::cmp::Reverse(it.received_at));
        kept.truncate(BESIDE);
        self.beside.0 = kept;
    }

    /// When the newest of its access tokens was received, for whatever certificate.
    pub(super) fn received_at(&self) -> Option<UnixTime> {
        let all = self.tokens.iter().chain(&self.beside.0);
        all.map(|tokens| tokens.received_at).max()
    }
}
