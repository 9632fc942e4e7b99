//! The table of all settings, in the order in which they are applied.

use http::Method;
use oauth_core::url::{Transport, Url};
use serde_json::Value;

use super::{Setting, Shape, ValueError, one_of_words, span, string_list, text, urls};
use crate::config::{Lookup, SameSite, SessionStorage, Upstream};

const TRANSPORTS: &[&str] = &["https", "loopback_http"];
const KEEPS: &[&str] = &["identity", "access_token", "store"];
const SAME_SITES: &[&str] = &["lax", "strict"];
const LOOKUPS: &[&str] = &["fixed", "asked"];

/// The settings of a site as plain data; keys, providers and the store are objects of the host.
pub const SITE_SETTINGS: &[Setting] = &[
    Setting {
        name: "transport",
        shape: Shape::Word(TRANSPORTS),
        text: "`loopback_http` allows plain http to loopback addresses, for tests.",
        set: |config, value| {
            config.transport = match one_of_words(value, TRANSPORTS)? {
                "loopback_http" => Transport::LoopbackHttp,
                _ => Transport::Https,
            };
            Ok(())
        },
    },
    Setting {
        name: "base_url",
        shape: Shape::Urls,
        text: "Where people reach the site, path included; several if they are one site. A request's `Host` at most selects \
               one of them.",
        set: |config, value| {
            config.base_urls = urls(value)?;
            for url in &config.base_urls {
                url.require(config.transport)?;
            }
            Ok(())
        },
    },
    Setting {
        name: "keep",
        shape: Shape::Word(KEEPS),
        text: "How sessions are kept: `store` with a store, else `identity` unless set. `access_token` keeps the access token \
               in the sealed cookie, and no refresh token: once it has expired, pages redirect to the provider and back \
               without a prompt, and scripts get 401.",
        set: |config, value| {
            config.keep = match one_of_words(value, KEEPS)? {
                "store" => SessionStorage::Store,
                "access_token" => SessionStorage::AccessToken,
                _ => SessionStorage::Identity,
            };
            Ok(())
        },
    },
    Setting {
        name: "lookup",
        shape: Shape::Word(LOOKUPS),
        text: "With `asked`, the application looks up the providers that are not in the settings, such as those of tenants \
               that come and go.",
        set: |config, value| {
            config.lookup = match one_of_words(value, LOOKUPS)? {
                "asked" => Lookup::Asked,
                _ => Lookup::Fixed,
            };
            Ok(())
        },
    },
    Setting {
        name: "name",
        shape: Shape::Text,
        text: "The name of the cookies: `oauth-session` unless set, with the path of the base URL before it.",
        set: |config, value| {
            config.name = text(value)?;
            Ok(())
        },
    },
    Setting {
        name: "prefix",
        shape: Shape::Text,
        text: "The path of the site's own pages: `/auth` unless set.",
        set: |config, value| {
            config.prefix = text(value)?;
            Ok(())
        },
    },
    Setting {
        name: "lifetime",
        shape: Shape::Span,
        text: "The lifetime of a session: 8 hours, or 24 in a store.",
        set: |config, value| {
            config.lifetime = span(&value)?;
            Ok(())
        },
    },
    Setting {
        name: "idle",
        shape: Shape::Span,
        text: "The idle timeout of a session in a store: 2 hours unless set.",
        set: |config, value| {
            config.idle = Some(span(&value)?).filter(|idle| *idle != std::time::Duration::MAX);
            Ok(())
        },
    },
    Setting {
        name: "flow_lifetime",
        shape: Shape::Span,
        text: "How long a user may take to sign in: 15 minutes unless set.",
        set: |config, value| {
            config.flow_lifetime = span(&value)?;
            Ok(())
        },
    },
    Setting {
        name: "flows",
        shape: Shape::Whole,
        text: "How many sign-ins a browser may have in progress: 4 unless set.",
        set: |config, value| {
            let flows = value.as_u64().ok_or(ValueError::Type)?;
            config.flows = usize::try_from(flows).unwrap_or(usize::MAX);
            Ok(())
        },
    },
    Setting {
        name: "same_site",
        shape: Shape::Word(SAME_SITES),
        text: "`SameSite` of the session's cookie: unless set, `strict` with `api`, else `lax`.",
        set: |config, value| {
            config.same_site = Some(match one_of_words(value, SAME_SITES)? {
                "strict" => SameSite::Strict,
                _ => SameSite::Lax,
            });
            Ok(())
        },
    },
    Setting {
        name: "home",
        shape: Shape::Text,
        text: "Where users go after signing in if they requested no page: `/` unless set.",
        set: |config, value| {
            config.home = text(value)?;
            Ok(())
        },
    },
    Setting {
        name: "return_origins",
        shape: Shape::Texts,
        text: "Other origins that users may return to, compared exactly.",
        set: |config, value| {
            config.return_origins = urls(Value::Array(list(value)?))?;
            Ok(())
        },
    },
    Setting {
        name: "claims",
        shape: Shape::Texts,
        text: "The claims that a session keeps: name, user name, e-mail address and picture unless set.",
        set: |config, value| {
            config.claims = string_list(value)?;
            Ok(())
        },
    },
    Setting {
        name: "api",
        shape: Shape::Apis,
        text: "APIs that pages of the site may call with the user's token, which they never see: `{prefix}/api/{name}/…`, for \
               `GET` unless methods are named. This needs tokens. Bodies are limited to 10 MiB.",
        set: |config, value| {
            let Value::Object(named) = value else {
                return Err(ValueError::Type);
            };
            let apis = named.into_iter().map(|(name, value)| api(name, value));
            config.api = apis.collect::<Result<_, _>>()?;
            Ok(())
        },
    },
    Setting {
        name: "client_metadata",
        shape: Shape::Document,
        text: "The client's own metadata document, for providers that accept its URL as a client id \
               (draft-ietf-oauth-client-id-metadata-document): the site serves it at that URL, its `client_id`, below a base \
               URL, to any request.",
        set: |config, value| {
            let document = match value {
                Value::String(text) => text,
                object @ Value::Object(_) => object.to_string(),
                _ => return Err(ValueError::Type),
            };
            Ok(config.set_client_metadata(&document)?)
        },
    },
];

fn list(value: Value) -> Result<Vec<Value>, ValueError> {
    match value {
        Value::Array(list) => Ok(list),
        _ => Err(ValueError::Type),
    }
}

/// A URL, or an object of a URL and methods.
fn api(name: String, value: Value) -> Result<Upstream, ValueError> {
    let (url, methods) = match value {
        url @ Value::String(_) => (url, None),
        Value::Object(mut members) => {
            let url = members.remove("url").unwrap_or_default();
            (
                url,
                members
                    .remove("methods")
                    .filter(|methods| !methods.is_null()),
            )
        }
        _ => return Err(ValueError::Type),
    };
    let upstream = Upstream::new(name, Url::parse(&text(url)?)?);
    let Some(methods) = methods else {
        return Ok(upstream);
    };
    let methods = string_list(methods)?.into_iter();
    let methods =
        methods.map(|name| Method::from_bytes(name.as_bytes()).map_err(|_| ValueError::Type));
    Ok(upstream.methods(methods.collect::<Result<Vec<_>, _>>()?))
}
