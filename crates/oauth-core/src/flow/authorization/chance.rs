//! Where the unguessable values of one flow come from.

use crate::error::{Error, Misuse};
#[cfg(feature = "sha2")]
use crate::moment::Moment;
use crate::pkce::{ChallengeMethod, CodeVerifier};
use crate::secret::Secret;

/// State, nonce, verifier and its S256 challenge, drawn by the host for one flow and for no other.
///
/// For hosts whose random bytes and hashes are their own, such as a browser's WebCrypto;
/// [`crate::Client::authorize`] needs none of this.
#[derive(Debug)]
pub struct Drawn {
    state: Secret<String>,
    nonce: Secret<String>,
    code_verifier: CodeVerifier,
    code_challenge: String,
}

impl Drawn {
    /// Takes state and nonce (at least 22 unreserved characters, 128 bits), a verifier, and
    /// `BASE64URL(SHA256(verifier))`.
    ///
    /// # Errors
    /// `flow.drawn` unless they are four different texts of the right length and characters, and
    /// `pkce.verifier`.
    pub fn new(state: &str, nonce: &str, verifier: &str, challenge: &str) -> Result<Self, Error> {
        let code_verifier = CodeVerifier::parse(verifier)?;
        let is_sound = [(state, 22), (nonce, 22), (challenge, 43)]
            .iter()
            .all(|(text, least)| CodeVerifier::check(text, *least).is_ok());
        let mut texts = [state, nonce, verifier, challenge];
        texts.sort_unstable();
        if !is_sound || texts.windows(2).any(|pair| pair.first() == pair.last()) {
            return Err(Misuse::DrawnValues.into());
        }
        #[cfg(feature = "sha2")]
        if code_verifier.challenge(ChallengeMethod::S256) != challenge {
            return Err(Misuse::DrawnValues.into());
        }
        Ok(Self {
            state: state.into(),
            nonce: nonce.into(),
            code_verifier,
            code_challenge: challenge.to_owned(),
        })
    }
}

/// Drawn by the host, or stretched out of a moment's seed when needed.
pub(crate) enum Chance<'a> {
    Drawn(&'a Drawn),
    #[cfg(feature = "sha2")]
    Stretched(&'a Moment),
}

impl Chance<'_> {
    pub(super) fn state(&self) -> Secret<String> {
        match self {
            Self::Drawn(drawn) => drawn.state.clone(),
            #[cfg(feature = "sha2")]
            Self::Stretched(at) => Secret::new(at.token("state")),
        }
    }

    pub(super) fn nonce(&self) -> Secret<String> {
        match self {
            Self::Drawn(drawn) => drawn.nonce.clone(),
            #[cfg(feature = "sha2")]
            Self::Stretched(at) => Secret::new(at.token("nonce")),
        }
    }

    /// A verifier and its challenge.
    pub(super) fn proof(&self, method: ChallengeMethod) -> (CodeVerifier, String) {
        let verifier = match self {
            Self::Drawn(drawn) => drawn.code_verifier.clone(),
            #[cfg(feature = "sha2")]
            Self::Stretched(at) => CodeVerifier::at(at),
        };
        let challenge = match (self, method) {
            (_, ChallengeMethod::Plain) => verifier.expose().to_owned(),
            (Self::Drawn(drawn), ChallengeMethod::S256) => drawn.code_challenge.clone(),
            #[cfg(feature = "sha2")]
            (Self::Stretched(_), ChallengeMethod::S256) => verifier.challenge(method),
        };
        (verifier, challenge)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    const STATE: &str = "state-of-at-least-22-characters";
    const NONCE: &str = "nonce-of-at-least-22-characters";

    #[test]
    fn drawn_values_are_used_as_they_are() {
        let drawn = Drawn::new(STATE, NONCE, VERIFIER, CHALLENGE);
        let chance = drawn
            .as_ref()
            .map(Chance::Drawn)
            .map_err(|error| error.code());
        let proof = chance.map(|chance| chance.proof(ChallengeMethod::S256));
        let proof = proof.map(|(verifier, challenge)| (verifier.expose().to_owned(), challenge));
        assert_eq!(proof, Ok((VERIFIER.to_owned(), CHALLENGE.to_owned())));
    }

    #[test]
    fn twenty_two_characters_are_enough() {
        let (state, nonce) = ("state-of-22-characters", "nonce-of-22-characters");
        assert_eq!((state.len(), nonce.len()), (22, 22));
        assert!(Drawn::new(state, nonce, VERIFIER, CHALLENGE).is_ok());
    }

    #[test]
    fn guessable_or_repeated_values_are_refused() {
        for (state, nonce, verifier, challenge) in [
            ("short", NONCE, VERIFIER, CHALLENGE),
            ("state-of-21-character", NONCE, VERIFIER, CHALLENGE),
            (STATE, "nonce-of-21-character", VERIFIER, CHALLENGE),
            (STATE, STATE, VERIFIER, CHALLENGE),
            (STATE, NONCE, "short", CHALLENGE),
            (STATE, NONCE, VERIFIER, VERIFIER),
            (VERIFIER, NONCE, VERIFIER, CHALLENGE),
            (STATE, NONCE, CHALLENGE, VERIFIER),
        ] {
            assert!(
                Drawn::new(state, nonce, verifier, challenge).is_err(),
                "{state} {challenge}"
            );
        }
    }
}
