//! Group `ssrf-address`: which addresses the driver connects to when only public ones are allowed.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::Response;
use oauth_core::address::{RequestAddressPolicy, is_public, literal};
use oauth_core::flow::discovery::DiscoveryRequest;
use oauth_core::issuer::Issuer;
use oauth_core::url::Url;
use oauth_core::{Exchange as _, Input, Step, discover_with};
use oauth_reqwest::addresses::PublicOnly;
use oauth_reqwest::reqwest::dns::{Addrs, Resolve, Resolving};
use oauth_reqwest::{AddressPolicy, Options, Transport};

use crate::expect::outcome;
use crate::format::{Vector, Verdict, check, check_equal, texts};
use crate::token::moment;

pub(crate) fn address(vector: &Vector) -> Verdict {
    if let Some(address) = vector.text("resolved_address") {
        let address: IpAddr = address.parse().map_err(|_| "no address")?;
        let allowed = is_public(address);
        // The filtering resolver agrees.
        check_equal("resolved", connected(&[vec![address]])?.is_some(), allowed)?;
        check_equal(
            "allowed",
            Some(allowed),
            vector.expected["allowed"].as_bool(),
        )
    } else if let Some(url) = vector.text("url") {
        check_equal(
            "allowed",
            Some(is_sent(url)?),
            vector.expected["allowed"].as_bool(),
        )
    } else if vector.text("metadata_response").is_some() {
        redirect(vector)
    } else {
        let first = if vector.input["lookup"].is_array() {
            texts(&vector.input["lookup"])
        } else {
            vec![vector.required_text("first_lookup")?.to_owned()]
        };
        let second = vector
            .text("second_lookup")
            .map(|text| vec![text.to_owned()]);
        let parse = |addresses: Vec<String>| addresses.iter().map(|text| text.parse()).collect();
        let response_specs: Result<Vec<Vec<IpAddr>>, _> =
            std::iter::once(first).chain(second).map(parse).collect();
        let connected = connected(&response_specs.map_err(|_| "no address")?)?;
        let want = vector.expected["connects_to"].as_str();
        check_equal(
            "connects_to",
            connected.map(|to| to.to_string()).as_deref(),
            want,
        )
    }
}

/// A resolver that returns its answers in turn and counts the lookups.
struct Lookups(Mutex<(usize, Vec<Vec<IpAddr>>)>);

impl Resolve for Lookups {
    fn resolve(&self, _: oauth_reqwest::reqwest::dns::Name) -> Resolving {
        let addresses = self.0.lock().map(|mut state| {
            let at = state.0;
            state.0 += 1;
            state.1.get(at).cloned().unwrap_or_default()
        });
        let found = addresses.unwrap_or_default().into_iter();
        let found = found.map(|ip| SocketAddr::new(ip, 0)).collect::<Vec<_>>();
        Box::pin(std::future::ready(Ok(Box::new(found.into_iter()) as Addrs)))
    }
}

/// The first address that one connection tries, after a single lookup.
fn connected(address_lists: &[Vec<IpAddr>]) -> Result<Option<IpAddr>, String> {
    let lookups = Arc::new(Lookups(Mutex::new((0, address_lists.to_vec()))));
    let resolver = PublicOnly::new(Arc::clone(&lookups) as Arc<dyn Resolve>);
    let name = "as.example".parse().map_err(|_| "no name")?;
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let found = runtime.block_on(resolver.resolve(name));
    let lookup_count = lookups.0.lock().map_or(0, |state| state.0);
    if lookup_count != 1 {
        return Err(format!("{lookup_count} lookups for one connection"));
    }
    let Ok(found) = found else { return Ok(None) };
    let found: Vec<_> = found.map(|to| to.ip()).collect();
    if found.iter().all(|ip| is_public(*ip)) {
        Ok(found.first().copied())
    } else {
        Err(format!("{found:?} are not all public"))
    }
}

/// Whether a request to this URL would be sent: the core refuses ambiguous URLs, the driver addresses that are
/// not public. A name that has to be resolved may be sent.
fn is_sent(text: &str) -> Result<bool, String> {
    let Ok(url) = Url::parse(text) else {
        return Ok(false);
    };
    if let Some(address) = literal(&url) {
        return Ok(is_public(address));
    }
    let issuer = Issuer::parse(&url.origin()).map_err(|error| error.to_string())?;
    let options = Options::default().addresses(AddressPolicy::PublicWhereMarked);
    let transport = Transport::default().without_proxy().options(options);
    let driver = transport
        .blocking_driver()
        .map_err(|error| error.to_string())?;
    let discovery = DiscoveryRequest::new(issuer).address_policy(RequestAddressPolicy::PublicOnly);
    match driver.run(discover_with(discovery)) {
        Err(error) => Ok(error.code() != "lost.not_public"),
        Ok(_) => Ok(true),
    }
}

/// A redirect of a document fetch is not followed.
fn redirect(vector: &Vector) -> Verdict {
    let metadata = vector.required_text("metadata_response")?;
    let (status, location) = metadata.split_once(" -> ").ok_or("no redirect")?;
    let issuer = Issuer::parse("https://as.example").map_err(|error| error.to_string())?;
    let mut exchange = discover_with(
        DiscoveryRequest::new(issuer).address_policy(RequestAddressPolicy::PublicOnly),
    );
    let mut input = Input::Begin;
    loop {
        let request = match exchange.resume(&moment(0), input) {
            Ok(Step::Send(request)) => request,
            Ok(step) => return Err(format!("an odd step: {step:?}").into()),
            Err(error) => return outcome::<()>(&vector.expected, Err(error)).map(drop),
        };
        let host = request.uri().host();
        check_equal("host", host, Some("as.example"))?;
        check(
            "marked",
            request.extensions().get() == Some(&RequestAddressPolicy::PublicOnly),
        )?;
        let reply = Response::builder()
            .status(status)
            .header("location", location);
        let reply = reply
            .body(Bytes::new())
            .map_err(|error| error.to_string())?;
        input = Input::Reply(reply);
    }
}
