//! Which class of the vectors each of our codes falls into. Our codes are finer: several may fall
//! into one class, and a class that is a superset lists all of its own.

use crate::format::Verdict;
use crate::said::Refusal;

/// Checks that an error falls into one of the wanted classes.
pub(crate) fn check(error: &Refusal, wanted: &[&str]) -> Verdict {
    let classes = classes(error);
    let fits = wanted
        .iter()
        .any(|want| *want == "any" || classes.contains(want));
    if fits {
        Ok(())
    } else if wanted.is_empty() {
        Err(format!("refused with {}, want success", error.code).into())
    } else {
        Err(format!("refused with {} ({classes:?}), want {wanted:?}", error.code).into())
    }
}

fn classes(error: &Refusal) -> &'static [&'static str] {
    let status = error.status;
    match error.code.as_str() {
        "reply.too_large" => &["body_too_large"],
        "reply.redirect" => &["unexpected_redirect"],
        "reply.content_type" => &["unexpected_content_type"],
        "reply.json" | "reply.encoding" => &["malformed_json"],
        "reply.nesting" => &["nesting_too_deep", "malformed_json"],
        "reply.duplicate_member" => &["duplicate_member", "duplicate_member_or_http_status"],
        "token.malformed" => &["malformed_token_response"],
        "token.missing_access_token" => &["missing_access_token"],
        "token.missing_token_type" => &["missing_token_type"],
        "token.unsupported_token_type" => &["unsupported_token_type"],
        "metadata.malformed" => &["malformed_metadata"],
        "metadata.missing_issuer" => &["missing_issuer"],
        "metadata.issuer" | "callback.issuer" => &["issuer_mismatch"],
        "metadata.endpoint_not_absolute" => &["endpoint_not_absolute"],
        "metadata.endpoint_not_https" => &["endpoint_not_https"],
        "metadata.endpoint_has_fragment" => &["endpoint_has_fragment"],
        "metadata.endpoint_has_userinfo" => &["endpoint_has_userinfo"],
        "callback.too_large" => &["callback_too_large"],
        "callback.encoding" => &["invalid_encoding"],
        "callback.duplicate_parameter" => &["duplicate_parameter"],
        "callback.missing_code" => &["missing_code"],
        "callback.state" => &["state_mismatch"],
        "callback.missing_issuer" => &["issuer_missing"],
        "callback.redirect_uri" => &["redirect_uri_mismatch"],
        "issuer.not_absolute" => &["issuer_not_absolute"],
        "issuer.not_https" => &["issuer_not_https"],
        "issuer.no_host" => &["issuer_no_host"],
        "issuer.has_query" => &["issuer_has_query"],
        "issuer.has_fragment" => &["issuer_has_fragment"],
        "issuer.has_userinfo" => &["issuer_has_userinfo"],
        "issuer.not_canonical" => &["issuer_not_canonical"],
        "redirect_uri.not_registered" => &["redirect_uri_not_registered"],
        "endpoint.missing" => &["endpoint_missing"],
        "form.duplicate_parameter" => &["duplicate_parameter"],
        "jws.malformed" => &["malformed_jws", "malformed_jwt"],
        "jws.duplicate_member" | "jwt.duplicate_member" => &["duplicate_member"],
        "jws.unsupported_crit" => &["unsupported_crit"],
        "jws.alg_not_allowed" => &["alg_not_allowed"],
        "jwe.malformed" => &["malformed_jwe"],
        "jwe.compression" => &["compression_not_allowed"],
        "jwe.nesting" => &["nesting_too_deep"],
        "jwe.alg_not_allowed" => &["alg_not_allowed"],
        "jwe.decryption" => &["decryption_failed"],
        "jwe.unexpected" => &["unexpected_encryption"],
        "jwe.not_encrypted" => &["not_encrypted"],
        "jws.no_matching_key" => &["no_matching_key"],
        "jws.bad_signature" => &["bad_signature"],
        "jws.key_too_small" => &["key_too_small"],
        "jwt.malformed" => &["malformed_jwt"],
        "jwt.malformed_claim" => &["malformed_claim"],
        "jwt.missing_claim" => &["missing_claim"],
        "jwt.unexpected_claim" => &["unexpected_claim"],
        "jwt.typ" => &["unexpected_typ"],
        "jwt.issuer" => &["issuer_mismatch"],
        "jwt.audience" => &["audience_mismatch"],
        "jwt.untrusted_audience" => &["untrusted_audience"],
        "jwt.expired" => &["expired"],
        "jwt.not_yet_valid" => &["not_yet_valid"],
        "jwt.issued_in_future" => &["issued_in_future"],
        "jwt.too_old" => &["token_too_old"],
        "id_token.missing" => &["id_token_missing"],
        "id_token.azp" => &["azp_mismatch"],
        "id_token.azp_missing" => &["azp_missing"],
        "id_token.nonce" => &["nonce_mismatch"],
        "id_token.at_hash" => &["at_hash_mismatch"],
        "id_token.c_hash" => &["c_hash_mismatch"],
        "id_token.auth_time_missing" => &["auth_time_missing"],
        "id_token.auth_too_old" => &["auth_too_old"],
        "id_token.acr" => &["acr_mismatch"],
        "id_token.subject_changed" => &["subject_changed"],
        "id_token.audience_changed" => &["audience_changed"],
        "id_token.auth_time_changed" => &["auth_time_changed"],
        "access_token.insufficient_scope" => &["insufficient_scope"],
        "access_token.insufficient_user_authentication" => &["insufficient_user_authentication"],
        "access_token.proof_required" => &["proof_required", "certificate_mismatch"],
        "logout_token.event" => &["wrong_event"],
        "logout_token.replayed" => &["replayed_jti"],
        "logout.malformed" => &["invalid_request"],
        "userinfo.malformed" => &["missing_claim", "malformed_claim"],
        "userinfo.not_signed" => &["userinfo_not_signed"],
        "introspection.malformed" => &["malformed_introspection_response"],
        "introspection.not_signed" => &["introspection_not_signed"],
        "userinfo.subject" => &["subject_mismatch"],
        "jwks.malformed" => &["invalid_jwks"],
        "key.malformed" => &["invalid_jwk"],
        "scope.syntax" => &["invalid_scope_syntax"],
        "scope.exceeds_grant" => &["scope_exceeds_grant"],
        "pkce.verifier" => &["invalid_code_verifier"],
        "pkce.unsupported" => &["pkce_not_supported"],
        "pkce.s256_unsupported" => &["pkce_s256_not_supported"],
        "client_auth.colon_in_raw_id" => &["client_id_with_colon_cannot_be_sent_raw"],
        "client_auth.assertion_malformed" => &["malformed_jwt", "malformed_claim"],
        "client_auth.assertion_expired" => &["expired"],
        "client_auth.assertion_audience" => &["audience_mismatch"],
        "client_auth.no_usable_method" => &["no_usable_auth_method"],
        "key.algorithm" => &["alg_not_supported_by_server"],
        "key.shared" => &["assertion_key_shared"],
        "lost.unsent" => &["assertion_unavailable"],
        "token.not_ascii" => &["token_not_ascii", "token_not_token68"],
        "token.not_token68" => &["token_not_token68"],
        "token.in_query" => &["method_not_supported"],
        "token.more_than_one_method" => &["more_than_one_method"],
        "url.insecure" => &["insecure_transport"],
        "denied.http_challenge" => &["http_challenge", "http_status", "http_challenge_or_status"],
        "denied.busy" => &[
            "http_status",
            "temporarily_unavailable",
            "duplicate_member_or_http_status",
        ],
        "denied.http_status" if status == Some(404) => &["http_status", "not_found"],
        "denied.http_status" => &[
            "http_status",
            "http_challenge_or_status",
            "duplicate_member_or_http_status",
        ],
        // In a callback the refusal has no status; in a reply it has one.
        _ if error.kind == "denied" && status.is_none() => &["authorization_error"],
        _ if error.kind == "denied" => &["oauth_error"],
        _ => &[],
    }
}
