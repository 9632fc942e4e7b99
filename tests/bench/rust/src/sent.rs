//! The data that a side sent and read.

use std::cell::RefCell;

use http::Request;

use crate::Operation;

thread_local! {
    static SEEN: RefCell<Option<SentRequest>> = const { RefCell::new(None) };
}

#[derive(Debug, Clone, Default)]
pub(crate) struct SentRequest {
    target: String,
    headers: Vec<(String, String)>,
    parameters: Vec<(String, String)>,
    read: Option<(String, u64)>,
}

type Fields<'a> = (
    &'a str,
    Vec<(String, String)>,
    Vec<(String, String)>,
    &'a Option<(String, u64)>,
);

impl SentRequest {
    pub(crate) fn sorted(&self) -> Fields<'_> {
        let (mut headers, mut parameters) = (self.headers.clone(), self.parameters.clone());
        headers.sort();
        parameters.sort();
        (&self.target, headers, parameters, &self.read)
    }

    pub(crate) fn in_order(&self) -> Vec<&str> {
        self.parameters
            .iter()
            .map(|(name, _)| name.as_str())
            .collect()
    }
}

/// Whether the next request is recorded, as queried by the stub of every side.
pub(crate) fn is_watching() -> bool {
    SEEN.with_borrow(Option::is_some)
}

/// Takes a request, as a transport would.
pub(crate) fn take<B: AsRef<[u8]>>(request: &Request<B>) {
    SEEN.with_borrow_mut(|seen| {
        let Some(seen) = seen else { return };
        seen.target = format!("{} {}", request.method(), request.uri());
        let text =
            |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers = request.headers().iter();
        seen.headers = headers
            .map(|(name, value)| (name.to_string(), text(value)))
            .collect();
        seen.parameters = pairs(request.body().as_ref());
    });
}

fn pairs(form: &[u8]) -> Vec<(String, String)> {
    url::form_urlencoded::parse(form).into_owned().collect()
}

pub(crate) fn watch(run: &Operation, n: usize, is_grant: bool) -> SentRequest {
    SEEN.set(Some(SentRequest::default()));
    let mut read = None;
    run(n, &mut |text, number| {
        read = Some((text.to_owned(), number))
    });
    let mut seen = SEEN.take().unwrap_or_default();
    if is_grant {
        seen.read = read;
    } else if let Some((url, _)) = read {
        let (target, query) = url.split_once('?').unwrap_or((&url, ""));
        seen.target = target.to_owned();
        seen.parameters = pairs(query.as_bytes());
        // Random each time: only the lengths can be compared.
        for (name, value) in &mut seen.parameters {
            if ["state", "code_challenge", "nonce"].contains(&name.as_str()) {
                *value = format!("{} characters", value.len());
            }
        }
    }
    seen
}

/// The request of a peer, without the one named part in which it is known to differ.
pub(crate) fn comparable(
    side: &str,
    seen: &SentRequest,
    is_grant: bool,
) -> (SentRequest, Option<&'static str>) {
    let mut seen = seen.clone();
    let set_aside = match side {
        "huskarl" if is_grant => {
            seen.headers
                .push(("accept".to_owned(), "application/json".to_owned()));
            Some("sends no Accept header")
        }
        "openidconnect" if !is_grant => {
            seen.parameters.retain(|(name, _)| name != "nonce");
            Some("always sends a nonce")
        }
        _ => None,
    };
    (seen, set_aside)
}
