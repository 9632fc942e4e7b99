//! Maps the library's error codes to the error classes of the vectors. The codes are finer:
//! several may fall into one class, and a class that is a superset lists all of its codes.

use crate::format::Verdict;
use crate::transcript::Refusal;

/// Checks that an error falls into one of the wanted classes.
pub(crate) fn check(error: &Refusal, expected: &[&str]) -> Verdict {
    let classes = classes(error);
    let fits = expected
        .iter()
        .any(|want| *want == "any" || classes.contains(want));
    if fits {
        Ok(())
    } else if expected.is_empty() {
        Err(format!("refused with {}, want success", error.code).into())
    } else {
        Err(format!(
            "refused with {} ({classes:?}), want {expected:?}",
            error.code
        )
        .into())
    }
}

fn classes(error: &Refusal) -> &'static [&'static str] {
    let status = error.status;
    let endpoint = error.endpoint.as_deref();
    match error.code.as_str() {
        "reply.too_large" => &["body_too_large"],
        "reply.redirect" => &["unexpected_redirect"],
        "reply.content_type" => &["unexpected_content_type"],
        "reply.json" | "reply.encoding" => &["malformed_json"],
        "reply.nesting" => &["nesting_too_deep", "malformed_json"],
        "reply.duplicate_member" => &["duplicate_member", "duplicate_member_or_http_status"],
        "token_response.malformed" => &[
            "malformed_token_response",
            "malformed_authorization_details",
        ],
        "token.missing_access_token" => &["missing_access_token"],
        "token.missing_token_type" => &["missing_token_type"],
        "token.unsupported_token_type" => &["unsupported_token_type"],
        "metadata.malformed" | "metadata.endpoint_syntax" => &["malformed_metadata"],
        "metadata.missing_issuer" => &["missing_issuer"],
        "metadata.issuer" | "callback.issuer" | "connect.issuer" => &["issuer_mismatch"],
        "metadata.endpoint_not_absolute" => &["endpoint_not_absolute"],
        "metadata.endpoint_not_https" => &["endpoint_not_https"],
        "metadata.endpoint_has_fragment" => &["endpoint_has_fragment"],
        "metadata.endpoint_has_userinfo" => &["endpoint_has_userinfo"],
        "callback.too_large" => &["callback_too_large"],
        "callback.encoding" => &["invalid_encoding"],
        "callback.duplicate_parameter" => &["duplicate_parameter"],
        "token.not_sender_constrained" => &["token_not_sender_constrained"],
        "dpop.duplicate_nonce" => &["malformed_dpop_nonce"],
        "url.syntax" => &["userinfo_not_allowed"],
        "reply.shape" => &[
            "malformed_par_response",
            "malformed_device_response",
            "malformed_ciba_response",
        ],
        "device.verification_uri" => &["verification_uri_not_http", "verification_uri_not_https"],
        "ciba.hint" => &["exactly_one_hint"],
        "ciba.openid_scope" => &["openid_scope_required"],
        "ciba.binding_message" => &["invalid_binding_message"],
        "ciba.client_notification_token" => &["bad_notification_token"],
        "ciba.unknown_request" => &["unknown_auth_req_id"],
        "id_token.auth_req_id" => &["auth_req_id_mismatch"],
        "token.missing_issued_token_type" => &["missing_issued_token_type"],
        "token.unexpected_issued_token_type" => &["unexpected_issued_token_type"],
        "token_exchange.malformed" => &[
            "actor_token_type_required",
            "actor_token_type_without_actor_token",
        ],
        "identity_assertion.subject_token_type" => &["subject_token_type_not_allowed"],
        "identity_assertion.audience" => &["audience_required"],
        "client_auth.required" => &["client_authentication_required"],
        "key.mismatch" => &["dpop_key_mismatch_before_send"],
        "callback.missing_jarm_response" => &["jarm_response_missing"],
        "authorization.request_object_required" => &["signed_request_object_required"],
        "authorization.push_required" => &["par_required"],
        "authorization_details.malformed" => &[
            "authorization_details_type_required",
            "malformed_authorization_details",
        ],
        "resource.syntax" => &[
            "resource_has_fragment",
            "resource_not_absolute",
            "resource_not_valid",
        ],
        "resource_metadata.malformed" => &["malformed_metadata"],
        "resource_metadata.missing_resource" => &["missing_resource"],
        "resource_metadata.no_authorization_server" => &["no_authorization_server"],
        "resource_metadata.bearer_methods" => &["no_supported_bearer_method"],
        "resource_metadata.resource" => &["resource_mismatch"],
        "resource_metadata.url" => &["metadata_url_not_allowed"],
        "form.malformed_parameter" => &["request_uri_scheme"],
        "form.reserved_parameter" => &[
            "request_and_request_uri_exclusive",
            "request_uri_not_allowed_in_par",
        ],
        "callback.missing_code" => &["missing_code"],
        "callback.state" => &["state_mismatch"],
        "callback.context" => &["context_mismatch"],
        "callback.user" => &["user_mismatch"],
        "registration.shared" => &["registration_shared"],
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
        "registration.malformed" => &["malformed_registration_response"],
        "registration.redirect_uri" => &["redirect_uri_not_registered"],
        "client_id_metadata.client_id" | "registration.client_id" => &["client_id_mismatch"],
        "client_id_metadata.shared_secret" => &["shared_secret_method"],
        "client_id_metadata.client_secret" => &["client_secret_present"],
        "client_metadata.keys_missing" => &["jwks_required"],
        "client_metadata.name_missing" => &["client_name_required"],
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
        "jws.no_matching_key" => &["no_matching_key", "no_matching_key_or_bad_signature"],
        "jws.bad_signature" => &["bad_signature", "no_matching_key_or_bad_signature"],
        "jws.key_too_small" => &["key_too_small"],
        "jwt.malformed" => &["malformed_jwt"],
        "jwt.malformed_claim" => &["malformed_claim"],
        "jwt.missing_claim" => missing_claim(&error.message),
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
        "id_token.s_hash" => &["s_hash_mismatch"],
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
        "key.algorithm" => &[
            "alg_not_supported_by_server",
            "dpop_alg_not_asymmetric",
            "dpop_alg_not_accepted",
        ],
        "key.used_at_two_servers" => &["assertion_key_shared"],
        "lost.unsent" => &["assertion_unavailable"],
        "token.not_ascii" => &["token_not_ascii", "token_not_token68"],
        "token.not_token68" => &["token_not_token68"],
        "token.in_query" => &["method_not_supported"],
        "token.more_than_one_method" => &["more_than_one_method"],
        "url.insecure" => &["insecure_transport"],
        // The registration access token is the only credential there (RFC 7592 section 2).
        _ if status == Some(401) && endpoint == Some("client_configuration") => {
            &["registration_token_invalid", "http_challenge_or_status"]
        }
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
        // A refusal in a callback has no HTTP status; one in a response has.
        _ if error.kind == "denied" && status.is_none() => &["authorization_error"],
        _ if error.kind == "denied" => &["oauth_error"],
        _ => &[],
    }
}

/// The code is one for all claims, and the message names the claim.
fn missing_claim(message: &str) -> &'static [&'static str] {
    const CLAIMS: [(&str, &[&str]); 3] = [
        ("nonce", &["missing_claim", "nonce_missing"]),
        ("at_hash", &["missing_claim", "at_hash_missing"]),
        ("c_hash", &["missing_claim", "c_hash_missing"]),
    ];
    let named = CLAIMS.iter().find(|(claim, _)| message.contains(claim));
    named.map_or(&["missing_claim"], |(_, classes)| classes)
}
