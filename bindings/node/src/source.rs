//! Tokens that stay fresh, and the requests they are attached to: the decisions. The waiting is
//! the event loop's, so there is one flight for all promises that ask.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use napi::Result;
use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;
use oauth_core::exchange::{Boxed, Exchange, Input, Step};
use oauth_core::moment::{Moment, UnixTime};
use oauth_core::{Error, Scope, Tokens};
use oauth_facade::{Client, Machine, Resource};

use crate::error::{fail, invalid};
use crate::exchange::{NativeExchange, latin1};
use crate::server::transport;
use crate::tokens::NativeTokens;
use oauth_reqwest::authorized::trip::{Leg, Parcel, Trip};
use oauth_reqwest::source::keeper::{Flight, Keeper, Landing, Outcome, Shared, Turn};

/// What one caller is to do: take the tokens, run the exchange for all, or wait for who runs it.
#[napi(object, object_from_js = false)]
#[derive(Default)]
pub struct NativeTurn {
    /// What the caller holds is still good.
    pub held: bool,
    /// Fresh ones.
    pub tokens: Option<NativeTokens>,
    /// The flight; it lands by itself when the exchange ends, or is dropped.
    pub exchange: Option<NativeExchange>,
}

/// One grant, kept fresh.
#[napi]
pub struct NativeKeeper(Arc<Shared<Nobody>>);

impl NativeKeeper {
    pub(crate) fn client_credentials(client: &Client, scope: Scope) -> Self {
        let keeper = Keeper::client_credentials(client.core().clone(), scope);
        Self(Arc::new(Shared::new(keeper)))
    }

    pub(crate) fn refreshing(client: &Client, tokens: &Tokens) -> std::result::Result<Self, Error> {
        let keeper = Keeper::refreshing(client.core().clone(), tokens.clone())?;
        Ok(Self(Arc::new(Shared::new(keeper))))
    }
}

#[napi]
impl NativeKeeper {
    /// One caller asks for a token, knowing perhaps of one that is dead, and holding perhaps the
    /// one that is good.
    #[napi]
    pub fn turn(
        &self,
        dead: Option<&NativeTokens>,
        held: Option<&NativeTokens>,
    ) -> Result<NativeTurn> {
        let now = UnixTime::system().map_err(fail)?;
        let mut turn = NativeTurn::default();
        match self.0.turn(now, dead.map(|dead| &*dead.0)) {
            Turn::Over(outcome) => {
                let tokens = outcome.map_err(fail)?;
                turn.held = held.is_some_and(|held| is_same(&held.0, &tokens));
                turn.tokens = (!turn.held).then_some(NativeTokens(tokens));
            }
            Turn::Follow(Nobody) => {}
            Turn::Lead(flight, exchange) => {
                let flown = Flown {
                    exchange,
                    landing: Some(Landing::new(Arc::clone(&self.0), flight)),
                };
                turn.exchange = Some(NativeExchange::new(Machine::new(flown)));
            }
        }
        Ok(turn)
    }

    /// Forgets exactly this token.
    #[napi]
    pub fn bury(&self, dead: &NativeTokens) {
        self.0.bury(&dead.0);
    }
}

fn is_same(one: &Tokens, other: &Tokens) -> bool {
    let is_same_refresh = match (&one.refresh_token, &other.refresh_token) {
        (Some(one), Some(other)) => one.secret().matches(other.secret().expose()),
        (None, None) => true,
        _ => false,
    };
    is_same_refresh && one.access_token.matches(other.access_token.expose())
}

/// Who waits for a flight is known to the event loop alone.
#[derive(Clone)]
struct Nobody;

impl Flight for Nobody {
    fn new() -> Self {
        Self
    }

    fn land(&self, _: Outcome) {}
}

/// A token request that lands its flight as it ends, whoever drives it.
struct Flown {
    exchange: Boxed<Tokens>,
    landing: Option<Landing<Nobody>>,
}

impl Exchange for Flown {
    type Output = Tokens;

    fn resume(&mut self, at: Moment, input: Input) -> std::result::Result<Step<Tokens>, Error> {
        let step = self.exchange.resume(at, input);
        let outcome = match &step {
            Ok(Step::Done(tokens)) => Ok(tokens.clone()),
            Ok(_) => return step,
            Err(error) => Err(error.clone()),
        };
        if let Some(landing) = self.landing.take() {
            landing.with(outcome);
        }
        step
    }
}

/// A request with its token, ready for `fetch`.
#[napi(object, object_from_js = false)]
pub struct NativeParcel {
    /// Where to.
    pub url: String,
    /// All of them, `Authorization` included.
    pub headers: Vec<(String, String)>,
}

/// One resource request with all its repetitions.
#[napi]
pub struct NativeTrip(Trip<()>);

#[napi]
impl NativeTrip {
    /// A request to one of `origins`; `body` is absent where it streams.
    #[napi(constructor)]
    pub fn new(
        origins: Vec<String>,
        loopback: bool,
        method: String,
        url: String,
        headers: Vec<(String, String)>,
        body: Option<Uint8Array>,
    ) -> Result<Self> {
        let resource = Resource::new(&origins, transport(loopback)).map_err(fail)?;
        let method =
            Method::from_bytes(method.as_bytes()).map_err(|_| invalid("no such method"))?;
        let mut trip = Trip::new(resource.core(), method, &url);
        for (name, value) in headers {
            trip.header(&name, &value);
        }
        match body {
            Some(body) => trip.body(body.to_vec().into()),
            None => trip.stream(()),
        }
        Ok(Self(trip))
    }

    /// Fails if no token may go there.
    #[napi]
    pub fn check(&self) -> Result<()> {
        self.0.check().map_err(fail)
    }

    /// The request with this token.
    #[napi]
    pub fn pack(&mut self, tokens: &NativeTokens) -> Result<NativeParcel> {
        let parts = match self.0.pack(&tokens.0).map_err(fail)? {
            Parcel::Bytes(request) => request.into_parts().0,
            Parcel::Stream(request) => request.into_parts().0,
        };
        let headers = parts.headers.iter().map(|(name, value)| {
            let value = value.as_bytes().iter().map(|&byte| char::from(byte));
            (name.as_str().to_owned(), value.collect())
        });
        Ok(NativeParcel {
            url: parts.uri.to_string(),
            headers: headers.collect(),
        })
    }

    /// What follows from a reply.
    #[napi(ts_return_type = "'over' | 'over_and_dead' | 'renew' | 'follow'")]
    pub fn after(&mut self, status: u16, headers: Vec<(String, String)>) -> Result<&'static str> {
        let status = StatusCode::from_u16(status).map_err(|_| invalid("no such status"))?;
        let mut fields = HeaderMap::new();
        for (name, value) in headers {
            let field = (
                name.parse::<HeaderName>(),
                HeaderValue::from_bytes(&latin1(&value)),
            );
            if let (Ok(name), Ok(value)) = field {
                fields.append(name, value);
            }
        }
        Ok(match self.0.after(status, &fields) {
            Leg::Over => "over",
            Leg::OverAndDead => "over_and_dead",
            Leg::Renew => "renew",
            Leg::Follow => "follow",
        })
    }
}
