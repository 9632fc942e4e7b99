//! The ID tokens of refreshes (OpenID Connect Core section 12.2).

use super::*;
use crate::base64::url_safe;
use crate::jose::{Decrypter, DecryptionFailed, DecryptionJob, Enc, JweAlg, ResponseEncryption};
use crate::secret::Secret;
use crate::testing::NOW;

/// An ID token with the common claims and these. Its signature is not checked.
fn id_token(issuer: &str, members: &str) -> String {
    let claims = format!(
        r#"{{"iss":"{issuer}","aud":"id","iat":{NOW},"exp":{}{members}}}"#,
        NOW + 60
    );
    let header = url_safe(r#"{"alg":"RS256"}"#);
    format!("{header}.{}.c2ln", url_safe(claims))
}

fn id_token_of_server(members: &str) -> String {
    id_token("https://as.example", members)
}

/// The tokens after a refresh: the first ID token was stored, and the reply contains the second.
fn refreshed(login: &str, renewed: Option<&str>) -> Result<Tokens, Error> {
    refreshed_by(&client(), login, renewed)
}

fn refreshed_by(client: &Client, login: &str, renewed: Option<&str>) -> Result<Tokens, Error> {
    let members = format!(r#","refresh_token":"r","id_token":"{login}""#);
    let tokens = tokens_from_reply(client, "", &members).unwrap();
    // After a round trip through a store.
    let tokens = Tokens::from_json(tokens.to_json().expose()).unwrap();
    let member = renewed.map_or_else(String::new, |token| format!(r#","id_token":"{token}""#));
    let body = format!(r#"{{"access_token":"b","token_type":"Bearer"{member}}}"#);
    let refresh = client.refresh(tokens.refresh_token.as_ref().unwrap());
    run_with_reply(refresh, json(200, &body))
}

#[test]
fn refreshed_id_token_must_continue_the_login() {
    let login = id_token_of_server(r#","sub":"ann","nonce":"n","auth_time":5"#);
    for valid in [
        r#","sub":"ann""#,
        r#","sub":"ann","nonce":"n","auth_time":5,"sid":"s""#,
    ] {
        let valid = id_token_of_server(valid);
        let tokens = refreshed(&login, Some(&valid)).unwrap();
        assert_eq!(tokens.id_token.unwrap().expose(), &valid);
    }
    for (members, expected) in [
        (r#","sub":"bob""#, "id_token.subject_changed"),
        ("", "id_token.subject_changed"),
        (r#","sub":"ann","nonce":"m""#, "id_token.nonce"),
        (
            r#","sub":"ann","auth_time":6"#,
            "id_token.auth_time_changed",
        ),
        (r#","sub":"ann","azp":"other""#, "id_token.azp"),
        (r#","sub":"ann","events":{}"#, "jwt.unexpected_claim"),
    ] {
        let refused = refreshed(&login, Some(&id_token_of_server(members))).map(drop);
        assert_eq!(error_code(refused), Err(expected), "{members}");
    }
    let foreign = id_token("https://evil.example", r#","sub":"ann""#);
    assert_eq!(
        error_code(refreshed(&login, Some(&foreign)).map(drop)),
        Err("jwt.issuer")
    );
    assert_eq!(
        error_code(refreshed(&login, Some("no token")).map(drop)),
        Err("jws.malformed")
    );
}

/// A wrong clock must not lose the grant: the refresh token sent is spent, and the new one is in the same response.
#[test]
fn id_token_with_wrong_times_does_not_lose_the_rotated_refresh_token() {
    let login = id_token_of_server(r#","sub":"ann""#);
    let renewed = |iat: u64, exp: u64, sub: &str| {
        let header = url_safe(r#"{"alg":"RS256"}"#);
        let claims = format!(
            r#"{{"iss":"https://as.example","aud":"id","sub":"{sub}","iat":{iat},"exp":{exp}}}"#
        );
        let id_token = format!("{header}.{}.c2ln", url_safe(claims));
        let members = format!(r#","refresh_token":"r","id_token":"{login}""#);
        let tokens = tokens_from_reply(&client(), "", &members).unwrap();
        let body = format!(
            r#"{{"access_token":"b","token_type":"Bearer","refresh_token":"r2","id_token":"{id_token}"}}"#
        );
        let client = client();
        let refresh = client.refresh(tokens.refresh_token.as_ref().unwrap());
        (run_with_reply(refresh, json(200, &body)), id_token)
    };
    let day = 86_400;
    for (iat, exp, noted) in [
        (NOW, NOW + 60, None),
        (NOW - day, NOW - day + 60, Some(Warning::IdTokenTimes)),
        (NOW + day, NOW + day + 60, Some(Warning::IdTokenTimes)),
    ] {
        let (tokens, id_token) = renewed(iat, exp, "ann");
        let tokens = tokens.unwrap();
        assert_eq!(tokens.refresh_token.unwrap().secret().expose(), "r2");
        assert_eq!(tokens.id_token.unwrap().expose(), &id_token);
        assert_eq!(tokens.warnings, Vec::from_iter(noted));
        // All other claims are still compared.
        let other = error_code(renewed(iat, exp, "bob").0.map(drop));
        assert_eq!(other, Err("id_token.subject_changed"));
    }
    // By the server's own clock it expired before it was issued.
    let over = error_code(renewed(NOW, NOW - day, "ann").0.map(drop));
    assert_eq!(over, Err("jwt.expired"));
    assert_eq!(Warning::IdTokenTimes.code(), "id_token_times");
}

#[test]
fn auth_time_of_last_login_quirk_accepts_a_later_auth_time() {
    let client = client_with_quirks([Quirk::AuthTimeOfLastLogin]);
    let login = id_token_of_server(r#","sub":"ann","auth_time":5"#);
    let refreshed = |members| {
        error_code(refreshed_by(&client, &login, Some(&id_token_of_server(members))).map(drop))
    };
    assert_eq!(refreshed(r#","sub":"ann","auth_time":5"#), Ok(()));
    assert_eq!(refreshed(r#","sub":"ann","auth_time":6"#), Ok(()));
    assert_eq!(
        refreshed(r#","sub":"ann","auth_time":4"#),
        Err("id_token.auth_time_changed")
    );
    assert_eq!(
        refreshed(r#","sub":"bob","auth_time":6"#),
        Err("id_token.subject_changed")
    );
}

#[test]
fn refresh_without_id_token_keeps_the_previous_one() {
    let login = id_token_of_server(r#","sub":"ann""#);
    let tokens = refreshed(&login, None).unwrap();
    assert_eq!(tokens.id_token.unwrap().expose(), &login);
    // ID tokens that cannot be parsed are not compared.
    let tokens = refreshed("an old text", Some(&login)).unwrap();
    assert_eq!(tokens.id_token.unwrap().expose(), &login);
    let encrypted = "a.b.c.d.e";
    let tokens = refreshed(&login, Some(encrypted)).unwrap();
    assert_eq!(tokens.id_token.unwrap().expose(), encrypted);
}

/// Decrypts every ciphertext to this text.
struct Known(String);

impl Decrypter for Known {
    fn decrypt(&self, _: &DecryptionJob) -> Result<Secret<Vec<u8>>, DecryptionFailed> {
        Ok(Secret::new(self.0.clone().into_bytes()))
    }
}

/// A login keeps the signed token, even if it was encrypted.
#[test]
fn encrypted_id_token_of_a_refresh_is_decrypted_and_compared() {
    let header = url_safe(r#"{"alg":"dir","enc":"A128GCM"}"#);
    let [iv, text, tag] = [12, 4, 16].map(|bytes| url_safe(vec![1; bytes]));
    let jwe = format!("{header}..{iv}.{text}.{tag}");
    let login = id_token_of_server(r#","sub":"ann""#);
    let refreshed = |inside: &str, renewed: &str| {
        let encryption = ResponseEncryption::new(JweAlg::Dir, Known(inside.to_owned()));
        let encryption = encryption.encs([Enc::A128Gcm]);
        let client = client().with_id_token_encryption(encryption);
        let members = format!(r#","refresh_token":"r","id_token":"{login}""#);
        let tokens = tokens_from_reply(&client, "", &members).unwrap();
        let body =
            format!(r#"{{"access_token":"b","token_type":"Bearer","id_token":"{renewed}"}}"#);
        let refresh = client.refresh(tokens.refresh_token.as_ref().unwrap());
        error_code(run_with_reply(refresh, json(200, &body)))
    };
    let ann = id_token_of_server(r#","sub":"ann","sid":"s""#);
    let tokens = refreshed(&ann, &jwe).unwrap();
    assert_eq!(tokens.id_token.unwrap().expose(), &ann);
    let bob = id_token_of_server(r#","sub":"bob""#);
    let refused = refreshed(&bob, &jwe).map(drop);
    assert_eq!(refused, Err("id_token.subject_changed"));
    assert_eq!(refreshed(&ann, &ann).map(drop), Err("jwe.not_encrypted"));
}
