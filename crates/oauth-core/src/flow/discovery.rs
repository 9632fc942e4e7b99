//! Finding a server's metadata from its issuer alone.
//!
//! RFC 8414 section 3.1 inserts the well-known part before the issuer's path, OpenID Connect
//! Discovery appends it behind: each place is tried in turn until one has the document.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::call::Call;
use crate::endpoint::metadata::Metadata;
use crate::error::{Error, Kind};
use crate::exchange::{Exchange, Input, Step};
use crate::identity::Identity;
use crate::issuer::{Issuer, WellKnown};
use crate::moment::Moment;
use crate::quirk::Rules;
use crate::server::Server;
use crate::url::{Transport, Url};

/// Asks for a server's metadata, place after place.
#[derive(Debug)]
pub struct Discovery {
    us: Arc<Identity>,
    places: VecDeque<Url>,
    call: Call<Metadata>,
    /// What the first place said: where the document should have been.
    first_error: Option<Error>,
}

impl Discovery {
    pub(crate) fn new(issuer: Issuer, rules: Rules, transport: Transport) -> Self {
        let mut places = VecDeque::from(issuer.well_known_places());
        let last = issuer.well_known(WellKnown::AuthorizationServerAppended);
        if !places.contains(&last) {
            places.push_back(last);
        }
        let place = places.pop_front().unwrap_or_else(|| issuer.url().clone());
        let server = Server::new(issuer)
            .with_rules(rules)
            .with_transport(transport);
        let us = Arc::new(Identity::anonymous(server));
        let call = Self::ask(&us, place);
        Self {
            us,
            places,
            call,
            first_error: None,
        }
    }

    fn ask(us: &Arc<Identity>, place: Url) -> Call<Metadata> {
        Call::new(
            Arc::clone(us),
            Metadata {
                issuer: us.server.issuer().clone(),
                place,
            },
        )
    }
}

impl Exchange for Discovery {
    type Output = Server;

    fn resume(&mut self, at: Moment, input: Input) -> Result<Step<Server>, Error> {
        let error = match self.call.resume(at, input) {
            Err(error) if is_worth_another_place(&error) => error,
            other => return other,
        };
        let error = self.first_error.take().unwrap_or(error);
        match self.places.pop_front() {
            None => Err(error),
            Some(place) => {
                self.first_error = Some(error);
                self.call = Self::ask(&self.us, place);
                self.call.resume(at, Input::Begin)
            }
        }
    }
}

/// A page that is not there, or is something else, may be elsewhere. A document of another
/// issuer, a busy server or a lost reply ends the search.
fn is_worth_another_place(error: &Error) -> bool {
    match error.kind() {
        Kind::Denied(server) => server
            .status()
            .is_some_and(|status| status < 500 && !matches!(status, 408 | 429)),
        Kind::Malformed(_) => true,
        _ => false,
    }
}
