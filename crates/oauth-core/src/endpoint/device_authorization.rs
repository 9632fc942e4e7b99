//! `POST {device_authorization_endpoint}`: requests a code for the user to enter on another device. The polling
//! (section 3.5) is in `flow/poll.rs`.
//!
//! RFC 8628 <https://www.rfc-editor.org/rfc/rfc8628#section-3.1>, reply section 3.2

use std::time::Duration;

use super::{Context, Endpoint, EndpointRequest, Reply};
use crate::error::{Error, ProtocolViolation, printable};
use crate::form::Form;
use crate::grant::{TokenRequest, push_scope};
use crate::json::Json;
use crate::moment::UnixTime;
use crate::secret::Secret;
use crate::server::EndpointKind;
use crate::url::Url;

/// The default polling interval, in seconds (section 3.2).
const DEFAULT_INTERVAL_SECONDS: u64 = 5;

/// The longest code that a user can be asked to enter, in characters.
const MAX_USER_CODE: usize = 64;

/// Requests a code that the user enters on another device.
#[derive(Debug, Clone, Default)]
pub struct DeviceAuthorization {
    token_request: TokenRequest,
}

/// The server's response: what to show to the user, and the code with which the token endpoint is polled.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DeviceAuthorizationResponse {
    /// The code with which the client polls the token endpoint. Never show it.
    pub device_code: Secret<String>,
    /// The code that the user enters: visible ASCII and spaces, safe to print on a terminal.
    pub user_code: String,
    /// The URL at which the user enters the code. Unless rules are strict, `verification_url` is accepted too, the name
    /// in drafts of RFC 8628 and at Google.
    pub verification_uri: Url,
    /// `verification_uri_complete`: the verification URL with the code in it, for a QR code. Show the code too (section
    /// 3.3.1). A URL on another origin than `verification_uri` is left out, because the user could not see where it
    /// leads (RFC 10027).
    pub verification_uri_complete: Option<Url>,
    /// The lifetime of both codes in seconds, from the response.
    pub expires_in: u64,
    /// When both codes expire: remove the prompt then, and request a new code only if the user wants one.
    pub expires_at: UnixTime,
    /// The polling interval in seconds: at least 1, and at most the lifetime of the codes.
    pub interval: u64,
}

impl DeviceAuthorization {
    /// A request for the tokens described by a [`TokenRequest`], or just a scope.
    pub fn new(token_request: impl Into<TokenRequest>) -> Self {
        Self {
            token_request: token_request.into(),
        }
    }
}

impl DeviceAuthorizationResponse {
    /// The prompt for the user, in three English sentences: what the code is for, where to enter it, and not to enter a
    /// code that someone else has sent (RFC 10027: the context stays visible). `purpose` is what happens if the user
    /// agrees, such as `sign in to example-cli on build-7`; its control characters are dropped.
    ///
    /// No browser is opened: the caller may do that once the user has seen the prompt.
    pub fn prompt(&self, purpose: &str) -> String {
        let purpose = printable(purpose);
        let purpose = match purpose.trim() {
            "" => "sign in".to_owned(),
            purpose => purpose.to_owned(),
        };
        format!(
            "To {purpose}, open {} on any device and enter the code {}. Enter it only if you started this \
             yourself: whoever sends you a code wants to sign in as you.",
            self.verification_uri.as_str(),
            self.user_code
        )
    }
}

impl Endpoint for DeviceAuthorization {
    const NAME: &'static str = "device_authorization";
    type Output = DeviceAuthorizationResponse;

    fn request(&self, cx: &Context<'_>) -> Result<EndpointRequest, Error> {
        let (mut form, rules) = (Form::new(), cx.server.rules());
        push_scope(&mut form, &self.token_request.scope, rules);
        self.token_request.fill(&mut form, rules)?;
        let kind = EndpointKind::DeviceAuthorization;
        Ok(EndpointRequest::post(kind, Self::NAME, form))
    }

    fn read(
        &self,
        cx: &Context<'_>,
        reply: Reply<'_>,
    ) -> Result<DeviceAuthorizationResponse, Error> {
        let object = reply.object()?;
        let text = |member: &str| {
            let text = object.get(member).and_then(Json::as_str);
            let text = text.filter(|text| !text.is_empty());
            text.ok_or_else(|| reply.malformed(member))
        };
        let user_code = text("user_code")?;
        let is_shown = |b: u8| (0x20..=0x7e).contains(&b);
        if user_code.len() > MAX_USER_CODE || !user_code.bytes().all(is_shown) {
            return Err(reply.malformed("user_code"));
        }
        // The user opens this URL, so it must be `https`: not a script, and not `http`, which others can read or
        // change.
        let page_url = |member: &str| {
            let invalid_reply = |reason: &str| {
                let detail = format!("{member} is {reason}");
                Error::from(ProtocolViolation::VerificationUri).about(&detail)
            };
            let url =
                Url::parse_page(text(member)?).map_err(|_| invalid_reply("not a web address"))?;
            match url.require(cx.server.transport()) {
                Ok(()) => Ok(url),
                Err(_) => Err(invalid_reply("not https")),
            }
        };
        let expires_in = reply.seconds(&object, "expires_in")?;
        let expires_in = expires_in.ok_or_else(|| reply.malformed("expires_in"))?;
        let interval = reply
            .interval_seconds(&object, "interval")?
            .unwrap_or(DEFAULT_INTERVAL_SECONDS);
        let is_strict = cx.server.rules().is_strict();
        let is_given = |member: &str| {
            let value = object.get(member);
            value.is_some_and(|value| is_strict || value.as_str() != Some(""))
        };
        // Google and others still use the member names of the drafts of RFC 8628.
        let has_draft_members =
            !is_given("verification_uri") && is_given("verification_url") && !is_strict;
        let verification_uri = if has_draft_members {
            page_url("verification_url")?
        } else {
            page_url("verification_uri")?
        };
        let complete = match is_given("verification_uri_complete") {
            true => Some(page_url("verification_uri_complete")?),
            false => None,
        };
        Ok(DeviceAuthorizationResponse {
            device_code: text("device_code")?.into(),
            user_code: user_code.to_owned(),
            verification_uri_complete: complete
                .filter(|complete| complete.origin() == verification_uri.origin()),
            verification_uri,
            expires_in,
            expires_at: cx.at.now().after(Duration::from_secs(expires_in)),
            interval: interval.clamp(1, expires_in.max(1)),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)] // tests may panic

    use super::*;
    use crate::client::Client;
    use crate::exchange::{Exchange as _, Input, Step};
    use crate::quirk::{Rules, Strictness};
    use crate::scope::Scope;
    use crate::testing::{at, client_of, error_code, json, run_with_reply, server};

    fn client() -> Client {
        let kind = EndpointKind::DeviceAuthorization;
        client_of(
            server()
                .with_endpoint(kind, "https://as.example/device")
                .unwrap(),
        )
    }

    /// The response of section 3.2 with these members replaced.
    fn response_with(members: &[(&str, &str)]) -> Result<DeviceAuthorizationResponse, Error> {
        let defaults = [
            ("device_code", r#""GmRhmhcxhwAzkoEqiMEg""#),
            ("user_code", r#""WDJB-MJHT""#),
            ("verification_uri", r#""https://example.com/device""#),
            ("expires_in", "1800"),
        ];
        let is_other = |name: &str| members.iter().any(|(other, _)| *other == name);
        let defaults = defaults.iter().filter(|(name, _)| !is_other(name));
        let overrides = members.iter().filter(|(_, value)| !value.is_empty());
        let all: Vec<_> = defaults.chain(overrides).collect();
        let body: Vec<_> = all
            .iter()
            .map(|(name, value)| format!("\"{name}\":{value}"))
            .collect();
        let call = client().call(DeviceAuthorization::default());
        run_with_reply(call, json(200, &format!("{{{}}}", body.join(","))))
    }

    #[test]
    fn scope_and_resource_are_sent_with_client_authentication() {
        let token_request = TokenRequest::from(Scope::parse("a b").unwrap());
        let token_request = token_request.resource("https://api.example/").unwrap();
        let mut exchange = client().call(DeviceAuthorization::new(token_request));
        let Step::Send(request) = exchange.resume(&at(), Input::Begin).unwrap() else {
            panic!("a request")
        };
        assert_eq!(request.uri(), "https://as.example/device");
        assert_eq!(
            request.body(),
            "scope=a+b&resource=https%3A%2F%2Fapi.example%2F"
        );
        assert!(request.headers().contains_key("authorization"));
    }

    #[test]
    fn polling_interval_defaults_to_five_seconds_and_is_clamped() {
        let interval = |value| response_with(&[("interval", value)]).map(|code| code.interval);
        for (value, expected) in [
            ("", 5),
            (r#""""#, 5),
            ("0", 1),
            ("7", 7),
            (r#""5""#, 5),
            ("2.5", 3),
            ("1e12", 1800),
        ] {
            assert_eq!(error_code(interval(value)), Ok(expected), "{value}");
        }
        assert_eq!(error_code(interval("-1")), Err("reply.shape"));
        let texts = response_with(&[("expires_in", r#""1800""#)]);
        assert_eq!(error_code(texts.map(|code| code.expires_in)), Ok(1800));
        // Fractions are rounded up for the interval and down for the lifetime.
        let parts = response_with(&[("expires_in", "1800.9")]);
        assert_eq!(error_code(parts.map(|code| code.expires_in)), Ok(1800));
    }

    #[test]
    fn prompt_shows_purpose_url_and_warning_without_control_characters() {
        let prompt = response_with(&[])
            .unwrap()
            .prompt("sign in to cli\u{1b}[2J on build-7");
        for part in [
            "sign in to cli[2J on build-7",
            "https://example.com/device",
            "WDJB-MJHT",
        ] {
            assert!(prompt.contains(part), "{prompt}");
        }
        assert!(
            prompt.contains("only if you started this yourself"),
            "{prompt}"
        );
        assert!(!prompt.chars().any(char::is_control));
        assert!(
            response_with(&[])
                .unwrap()
                .prompt(" \n")
                .starts_with("To sign in, open")
        );
    }

    #[test]
    fn verification_url_member_is_accepted_unless_rules_are_strict() {
        let of_a_draft = r#"{"device_code":"d","user_code":"AB","verification_url":"https://example.com/device",
            "expires_in":"1800","interval":"5"}"#;
        let by_rules = |strictness: Strictness| {
            let kind = EndpointKind::DeviceAuthorization;
            let server = server().with_endpoint(kind, "https://as.example/device");
            let client = client_of(server.unwrap().with_rules(Rules {
                strictness,
                ..Rules::default()
            }));
            let call = client.call(DeviceAuthorization::default());
            // Strict rules refuse numbers in strings too, which is not the question here.
            let numbers = match strictness {
                Strictness::Strict => of_a_draft
                    .replace(r#""1800""#, "1800")
                    .replace(r#""5""#, "5"),
                Strictness::Lenient => of_a_draft.to_owned(),
            };
            run_with_reply(call, json(200, &numbers))
        };
        let read = by_rules(Strictness::default()).unwrap();
        assert_eq!(read.verification_uri.as_str(), "https://example.com/device");
        assert_eq!((read.expires_in, read.interval), (1800, 5));
        let refused = by_rules(Strictness::Strict).unwrap_err();
        assert_eq!(
            (refused.code(), refused.detail()),
            ("reply.shape", Some("verification_uri"))
        );
        // The standard member takes precedence.
        let both = response_with(&[("verification_url", r#""https://evil.example/""#)]).unwrap();
        assert_eq!(both.verification_uri.as_str(), "https://example.com/device");
    }

    #[test]
    fn missing_member_or_unsafe_verification_uri_is_refused() {
        for (member, value) in [
            ("device_code", ""),
            ("user_code", ""),
            ("user_code", r#""A\u001b[2JB""#),
            ("verification_uri", ""),
            ("expires_in", ""),
        ] {
            let error = response_with(&[(member, value)]).unwrap_err();
            assert_eq!(
                (error.code(), error.detail()),
                ("reply.shape", Some(member)),
                "{value}"
            );
        }
        for (member, value, reason) in [
            (
                "verification_uri",
                r#""javascript:alert(1)""#,
                "not a web address",
            ),
            (
                "verification_uri",
                r#""http://example.com/device""#,
                "not https",
            ),
            (
                "verification_uri_complete",
                r#""http://example.com/d""#,
                "not https",
            ),
            (
                "verification_uri",
                r#""https://example.com/#a#b""#,
                "not a web address",
            ),
        ] {
            let error = response_with(&[(member, value)]).unwrap_err();
            let detail = format!("{member} is {reason}");
            assert_eq!(
                (error.code(), error.detail()),
                ("device.verification_uri", Some(&*detail))
            );
        }
        for left_out in [r#""https://evil.example/d""#, r#""""#, "null"] {
            let read = response_with(&[("verification_uri_complete", left_out)]).unwrap();
            assert!(read.verification_uri_complete.is_none(), "{left_out}");
        }
        let complete_response = response_with(&[(
            "verification_uri_complete",
            r#""https://example.com/d?c=W""#,
        )]);
        assert!(
            complete_response
                .unwrap()
                .verification_uri_complete
                .is_some()
        );
        let single_page = response_with(&[
            ("verification_uri", r#""https://example.com/#/device""#),
            (
                "verification_uri_complete",
                r#""https://example.com/#/device?c=W""#,
            ),
        ])
        .unwrap();
        let complete = single_page.verification_uri_complete.unwrap();
        assert_eq!(
            single_page.verification_uri.as_str(),
            "https://example.com/#/device"
        );
        assert_eq!(complete.as_str(), "https://example.com/#/device?c=W");
        assert!(!format!("{:?}", response_with(&[])).contains("GmRhmhcxhwAzkoEqiMEg"));
    }
}
