//! The requests that tokens are attached to: the decisions.

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use napi::Result;
use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;
use oauth_facade::Resource;
use oauth_reqwest::authorized::trip::{Leg, Parcel, Trip};

use crate::error::{fail, invalid};
use crate::exchange::latin1;
use crate::server::transport;
use crate::tokens::NativeTokens;

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
