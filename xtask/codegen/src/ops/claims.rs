//! The types of claims in TypeScript, as servers send them: with the names and types of the standards. Those about a user
//! come from the records of the operations.

use std::fmt::Write as _;

use oauth_facade::{Description, Shape};

use super::node::comment;
use super::{inner, paragraphs, records};
use crate::HEADER;

/// The interface of the postal address.
const ADDRESS: &str = "AddressClaim";

/// A claim that is not about the user: its name, whether every token has it, its type, and what it is.
type Claim = (&'static str, Presence, &'static str, &'static str);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Presence {
    Required,
    Optional,
}
use Presence::{Optional, Required};

/// Of an ID token (OpenID Connect Core section 2). Its verification checks the types of these claims, but not that of `sid`, and
/// accepts an `amr` that is a string at a refresh.
const ID_TOKEN: &[Claim] = &[
    ("iss", Required, "string", "The issuer."),
    (
        "sub",
        Required,
        "string",
        "The user at this issuer. No other claim identifies a user.",
    ),
    (
        "aud",
        Required,
        "string | readonly string[]",
        "The audience, or several: this client is among them.",
    ),
    (
        "exp",
        Required,
        "number",
        "When the ID token expires, in seconds since 1970.",
    ),
    (
        "iat",
        Required,
        "number",
        "When the ID token was issued, in seconds since 1970.",
    ),
    (
        "auth_time",
        Optional,
        "number",
        "When the user last authenticated, in seconds since 1970.",
    ),
    (
        "nonce",
        Optional,
        "string",
        "The nonce of the authorization request.",
    ),
    ACR,
    (
        "amr",
        Optional,
        "string | readonly string[]",
        "The methods by which the user authenticated, usually values of RFC 8176: a list, but some servers send one as a string \
         when they refresh.",
    ),
    (
        "azp",
        Optional,
        "string",
        "The client to which the ID token was issued.",
    ),
    (
        "sid",
        Optional,
        "unknown",
        "The session at the server, for logouts.",
    ),
];

const ACR: Claim = (
    "acr",
    Optional,
    "string",
    "The authentication context class of the user's authentication.",
);
const AMR: Claim = (
    "amr",
    Optional,
    "readonly string[]",
    "The methods by which the user authenticated, usually values of RFC 8176.",
);

/// Of UserInfo (OpenID Connect Core section 5.3.2).
const USERINFO: &[Claim] = &[(
    "sub",
    Required,
    "string",
    "The user at this issuer. No other claim identifies a user.",
)];

/// Of an access token (RFC 9068 section 2.2).
const ACCESS_TOKEN: &[Claim] = &[
    ("iss", Required, "string", "The issuer."),
    (
        "sub",
        Optional,
        "string",
        "The user, or the client if it acts for itself.",
    ),
    (
        "aud",
        Optional,
        "string | readonly string[]",
        "The audience, or several.",
    ),
    (
        "exp",
        Optional,
        "number",
        "When the token expires, in seconds since 1970.",
    ),
    (
        "iat",
        Optional,
        "number",
        "When the token was issued, in seconds since 1970.",
    ),
    (
        "nbf",
        Optional,
        "number",
        "When the token becomes valid, in seconds since 1970.",
    ),
    ("jti", Optional, "string", "The id of the token."),
    (
        "client_id",
        Optional,
        "string",
        "The client to which the token was issued.",
    ),
    (
        "scope",
        Optional,
        "string | readonly string[]",
        "The granted scope, usually as names separated by spaces.",
    ),
    (
        "auth_time",
        Optional,
        "number",
        "When the user last authenticated, in seconds since 1970.",
    ),
    ACR,
    AMR,
];

/// What the claims about a user are, in all interfaces that have them.
const ABOUT_TYPES: &str = "They are as the server sent them, with the types of the standard, to which it may not keep: compare booleans with \
     `true`, because the text \"false\" of some servers must not count as true.";

/// All interfaces.
pub(crate) fn interfaces() -> String {
    let mut module = String::new();
    if let Some(address) = record("Address") {
        module += &opening(
            ADDRESS,
            "",
            &["A postal address (OpenID Connect Core section 5.1.1)."],
        );
        module += &user_claims(address);
        module += "}\n";
    }
    let standard =
        "The standard claims about a user (OpenID Connect Core section 5.1), and any others.";
    module += &opening("StandardClaims", "", &[standard, ABOUT_TYPES]);
    module += &record("UserClaims").map(user_claims).unwrap_or_default();
    module += OTHERS;
    let texts = [
        (
            "UserInfoClaims",
            "The claims of the UserInfo endpoint (OpenID Connect Core section 5.3.2).",
            USERINFO,
        ),
        (
            "IdTokenClaims",
            "The claims of a verified ID token (OpenID Connect Core sections 2 and 5.1).",
            ID_TOKEN,
        ),
    ];
    for (name, text, claims) in texts {
        module += &opening(name, " extends StandardClaims", &[text]);
        module += &own_claims(claims);
        module += "}\n";
    }
    let text = "The claims of a verified access token (RFC 9068 section 2.2), or of an introspection response.";
    module += &opening("AccessTokenClaims", "", &[text]);
    module += &own_claims(ACCESS_TOKEN);
    module + OTHERS
}

/// The type of the member `claims` of a record; nothing for a record whose claims are any.
pub(crate) fn of_record(name: &str) -> Option<&'static str> {
    match name {
        "UserClaims" => Some("UserInfoClaims"),
        "IdToken" => Some("IdTokenClaims"),
        "VerifiedAccessToken" => Some("AccessTokenClaims"),
        _ => None,
    }
}

/// The file of the browser.
pub(crate) fn browser(_: &str) -> Result<String, Box<dyn std::error::Error>> {
    let (interfaces, _) = interfaces()
        .split_once("\n/** The claims of a verified access token")
        .map(|(before, after)| (before.to_owned(), after.to_owned()))
        .ok_or("the claims of access tokens come last")?;
    Ok(format!(
        "// {HEADER}\n// The claims about a user. The source is crates/oauth-facade/src/op.\n{interfaces}"
    ))
}

const OTHERS: &str = "  /** Other claims, and those in certain languages (`name#ja`). */\n  readonly [claim: string]: unknown\n}\n";

fn record(name: &str) -> Option<&'static Description> {
    records().into_iter().find(|record| record.name == name)
}

fn opening(name: &str, extends: &str, text: &[&str]) -> String {
    let text: Vec<_> = text.iter().map(|&line| line.to_owned()).collect();
    format!(
        "\n{}export interface {name}{extends} {{\n",
        comment(&text, "")
    )
}

/// The claims of a record about a user, whose members are named like them.
fn user_claims(record: &Description) -> String {
    let mut members = String::new();
    for member in record.members {
        let mut text = paragraphs(member.text);
        let kind = match inner(member.shape) {
            Shape::Json => continue,
            // The subject, which only some have.
            Shape::Text => continue,
            Shape::Flag => {
                text.push("Compare with `true`: some servers send the text \"false\".".to_owned());
                "unknown"
            }
            Shape::Time => {
                if let Some(last) = text.last_mut() {
                    *last = format!("{}, in seconds since 1970.", last.trim_end_matches('.'));
                }
                "number"
            }
            Shape::Record(_) => ADDRESS,
            _ => "string",
        };
        let text = comment(&[text.join(" ")], "  ");
        let undefined = if kind == "unknown" {
            ""
        } else {
            " | undefined"
        };
        let _ = writeln!(
            members,
            "{text}  readonly {}?: {kind}{undefined}",
            member.name
        );
    }
    members
}

fn own_claims(claims: &[Claim]) -> String {
    let line = |&(name, presence, kind, text): &Claim| {
        let text = comment(&[text.to_owned()], "  ");
        match presence {
            Required => format!("{text}  readonly {name}: {kind}\n"),
            Optional if kind == "unknown" => format!("{text}  readonly {name}?: {kind}\n"),
            Optional => format!("{text}  readonly {name}?: {kind} | undefined\n"),
        }
    };
    claims.iter().map(line).collect()
}
