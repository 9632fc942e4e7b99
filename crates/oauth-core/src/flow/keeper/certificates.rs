//! The access tokens of workers with different certificates (RFC 8705 section 3), kept in one record while certificates
//! rotate. The refresh token is shared: servers bind it only for clients that do not authenticate (section 4).

use std::sync::Arc;

use super::record::Record;
use crate::browser_build::IS_BROWSER_BUILD;
use crate::client_config::ClientConfig;
use crate::extra::Extra;
use crate::moment::UnixTime;
use crate::token::Tokens;

/// The number of access tokens for other certificates in a record.
const BESIDE: usize = 3;

/// The access token alone.
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

impl Record {
    /// Exchanges the access token for the one that is bound to this worker's certificate, if the record has both.
    pub(super) fn choose_certificate(&mut self, config: &ClientConfig) {
        let ours = &config.certificate;
        if IS_BROWSER_BUILD || !ours.is_known() || !config.auth.is_confidential() {
            return;
        }
        let Some(newest) = self.tokens.as_ref() else {
            return;
        };
        let is_good = newest.certificate.is_good_with(ours) || newest.is_own_renewer();
        let own = self.beside.iter().position(|it| it.certificate == *ours);
        let Some(own) = own.filter(|_| !is_good) else {
            return;
        };
        let other = access_only(newest);
        let own = std::mem::replace(&mut self.beside[own], other);
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
        let Some(tokens) = self.tokens.as_ref().filter(|_| !IS_BROWSER_BUILD) else {
            return;
        };
        if self.login != former.login || former.ended.is_some() {
            return;
        }
        let newest = former.tokens.as_deref().map(access_only);
        let others = newest.into_iter().chain(former.beside.iter().cloned());
        for other in others.chain(std::mem::take(&mut self.beside)) {
            let is_valid = other.expires_at().is_none_or(|end| now < end);
            let is_another =
                other.certificate.is_known() && other.certificate != tokens.certificate;
            let is_kept = self
                .beside
                .iter()
                .any(|it| it.certificate == other.certificate);
            if is_valid && is_another && !is_kept {
                self.beside.push(other);
            }
        }
        // Those received first belong to certificates that go out of use.
        self.beside
            .sort_by_key(|it| std::cmp::Reverse(it.received_at));
        self.beside.truncate(BESIDE);
    }

    /// When the newest of its access tokens was received, for whatever certificate.
    pub(super) fn received_at(&self) -> Option<UnixTime> {
        let all = self.tokens.iter().chain(&self.beside);
        all.map(|tokens| tokens.received_at).max()
    }
}
