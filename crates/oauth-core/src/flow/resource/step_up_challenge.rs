//! What a challenge asks of the user: `acr_values`, `max_age`, `scope` and `claims`. The verdict that contains it is in
//! `challenge_verdict.rs`, and the rule against repetitions in `token/step_up_requirement.rs`.
//!
//! RFC 9470 <https://www.rfc-editor.org/rfc/rfc9470#section-3>

use crate::base64::{self, Alphabet};
use crate::challenge::Challenge;
use crate::json::{self, Json};
use crate::scope::Scope;
use crate::token::step_up_requirement::StepUp;

/// Reads which login the API requires (RFC 9470 section 3). `acr_values` and `max_age` have a meaning only with that
/// RFC's own error code.
pub(super) fn read_step_up(challenge: &Challenge, code: &str) -> StepUp {
    let mut step_up = StepUp {
        claims: claims(challenge),
        ..StepUp::default()
    };
    if code == "insufficient_user_authentication" {
        let acr_values = challenge.param("acr_values").unwrap_or_default();
        let digits = |text: &&str| text.bytes().all(|byte| byte.is_ascii_digit());
        let max_age = challenge.param("max_age").filter(digits);
        step_up.acr_values = acr_values.split_whitespace().map(str::to_owned).collect();
        step_up.max_age = max_age.and_then(|seconds| seconds.parse().ok());
        if !step_up.is_empty() {
            step_up.scope = scope(challenge);
        }
    }
    step_up
}

/// `claims` in base64 of either alphabet, if it is an object.
fn claims(challenge: &Challenge) -> Option<String> {
    let text = challenge.param("claims")?.trim_end_matches('=');
    let bytes = base64::decode(text, Alphabet::Standard)
        .or_else(|| base64::decode(text, Alphabet::UrlSafe))?;
    let claims = String::from_utf8(bytes).ok()?;
    let is_object = matches!(json::parse(&claims), Ok(Json::Object(_)));
    is_object.then_some(claims)
}

/// The scope that the challenge requires.
pub(super) fn scope(challenge: &Challenge) -> Option<Scope> {
    challenge
        .param("scope")
        .and_then(|names| Scope::parse(names).ok())
}
