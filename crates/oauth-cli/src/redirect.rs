//! The redirect URI of a login: a registered one, or one built from a port and a path.

use oauth_core::redirect_uri::RedirectUri;
use oauth_core::url::Url;
use oauth_reqwest::blocking::Listener;

use crate::output::Failure;
use crate::profile::Profile;
use crate::setup::portless;

const PATH: &str = "/callback";

/// The options for it.
#[derive(Debug, Default)]
pub(crate) struct RedirectOptions {
    pub(crate) port: Option<u16>,
    pub(crate) path: Option<String>,
}

/// Opens the listener. Port and path of the command line take precedence over the profile's, and select one of several
/// redirect URIs.
pub(crate) fn listener(profile: &Profile, options: RedirectOptions) -> Result<Listener, Failure> {
    let port = options.port.or(profile.redirect_port);
    let path = options.path.or_else(|| profile.redirect_path.clone());
    let registered = profile.registered();
    let fitting = registered
        .iter()
        .find_map(|uri| matching_loopback_uri(uri, port, path.as_deref()));
    if let Some(uri) = fitting {
        return Ok(Listener::for_redirect_uri(&RedirectUri::parse(&uri)?)?);
    }
    if port.is_none() && path.is_none() && !registered.is_empty() {
        return Err(Failure::usage(
            "usage.redirect_uri",
            "none of the redirect URIs is a loopback address",
            "register one such as http://127.0.0.1/callback, and pass it with --redirect-uri or `redirect_uri` in the profile",
        ));
    }
    let listener = Listener::bind_on(port.unwrap_or_default())?;
    Ok(listener.at_path(path.as_deref().unwrap_or(PATH))?)
}

/// The redirect URI, if it is a loopback address with this port and path. Without a port, it allows
/// any port (RFC 8252 section 7.3).
fn matching_loopback_uri(uri: &str, port: Option<u16>, path: Option<&str>) -> Option<String> {
    let url = Url::parse(uri).ok()?;
    let is_on_this_machine =
        url.scheme() == "http" && (url.is_loopback() || url.host() == "localhost");
    let has_path = path.is_none_or(|path| path == url.path());
    if !is_on_this_machine || !has_path {
        return None;
    }
    let has_port = uri != portless(&url);
    match port {
        None => Some(uri.to_owned()),
        Some(port) if has_port => (port == url.port()).then(|| uri.to_owned()),
        Some(port) => Some(format!(
            "http://{}:{port}{}",
            url.host(),
            url.path_and_query()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::matching_loopback_uri;

    #[test]
    fn the_redirect_uri_is_selected_by_port_and_path() {
        let with = "http://127.0.0.1:8080/cb";
        let without = "http://localhost/cb?a=b";
        assert_eq!(
            matching_loopback_uri(with, None, None).as_deref(),
            Some(with)
        );
        assert_eq!(
            matching_loopback_uri(with, Some(8080), Some("/cb")).as_deref(),
            Some(with)
        );
        assert_eq!(matching_loopback_uri(with, Some(1), None), None);
        assert_eq!(matching_loopback_uri(with, None, Some("/other")), None);
        let any = Some("http://localhost:7/cb?a=b");
        assert_eq!(
            matching_loopback_uri(without, Some(7), None).as_deref(),
            any
        );
        for elsewhere in ["https://127.0.0.1/cb", "http://app.example/cb", "app:/cb"] {
            assert_eq!(matching_loopback_uri(elsewhere, None, None), None);
        }
    }
}
