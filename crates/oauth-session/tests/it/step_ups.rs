//! The tokens of a step-up are kept beside the ordinary ones (RFC 9470).

use std::sync::Arc;
use std::time::Duration;

use oauth_core::Tokens;
use oauth_core::flow::keeper::GrantId;
use oauth_core::token::step_up_requirement::StepUp;
use oauth_session::Grants;
use oauth_session::store::MemoryStore;

use crate::sessions::{Rotating, person, sessions, tokens};

fn required(acr: &str) -> StepUp {
    let mut required = StepUp::default();
    required.acr_values = vec![acr.to_owned()];
    required
}

/// As a login returns them that was asked for this.
fn stepped_up(name: &str, acr: &str) -> Tokens {
    let text = tokens(name, Duration::ZERO).to_json().expose().clone();
    let answered =
        format!(r#"{{"answered":{{"step_up":{{"acr_values":["{acr}"]}},"at":1,"in_a_row":1}},"#);
    Tokens::from_json(&text.replacen('{', &answered, 1)).expect("tokens")
}

async fn used(grants: &Grants, id: &GrantId) -> Result<String, &'static str> {
    let token = grants.get(id).token().await;
    let token = token.map_err(|error| error.advice().as_str())?;
    Ok(token.access_token.expose().clone())
}

#[tokio::test(start_paused = true)]
async fn tokens_of_a_step_up_are_kept_beside_the_ordinary_ones_and_found_by_what_is_required() {
    let (server, store) = (Rotating::default(), Arc::new(MemoryStore::new()));
    let (here, there) = (sessions(&server, &store), sessions(&server, &store));
    let ann = person(1);
    let login = |tokens| here.log_in(&ann, tokens);
    login(tokens("ordinary", Duration::ZERO))
        .await
        .expect("stored");
    login(stepped_up("phr", "phr")).await.expect("stored");
    login(stepped_up("mfa", "mfa")).await.expect("stored");
    for grants in [&here, &there] {
        assert_eq!(used(grants, &ann).await.as_deref(), Ok("of-ordinary"));
        for acr in ["phr", "mfa"] {
            let token = used(grants, &ann.clone().stepped_up(&required(acr))).await;
            assert_eq!(token, Ok(format!("of-{acr}")));
        }
        let nobody = used(grants, &ann.clone().stepped_up(&required("hardware"))).await;
        assert_eq!(nobody, Err("reauthorize"));
    }
    // Another login for the same replaces its tokens and no others, and what it was for stays with a renewal.
    login(stepped_up("again", "phr")).await.expect("stored");
    let phr = ann.clone().stepped_up(&required("phr"));
    let token = here.get(&phr).token().await.expect("a token");
    assert_eq!(token.access_token.expose(), "of-again");
    let renewed = here.get(&phr).renew(&token).await.expect("a token");
    assert_eq!(renewed.access_token.expose(), "new-0");
    assert_eq!(renewed.step_up(), Some(&required("phr")));
    assert_eq!(used(&here, &ann).await.as_deref(), Ok("of-ordinary"));
    let mut listed = here.list(None).await.expect("listed").grants;
    listed.sort_by_key(|grant| grant.id.step_up.as_ref().map(|it| it.acr_values.clone()));
    let ids: Vec<_> = listed.into_iter().map(|grant| grant.id).collect();
    let mfa = ann.clone().stepped_up(&required("mfa"));
    assert_eq!(ids, [ann, mfa, phr]);
}

#[tokio::test(start_paused = true)]
async fn a_logout_ends_the_tokens_of_step_ups_too() {
    let (server, store) = (Rotating::default(), Arc::new(MemoryStore::new()));
    let (here, there) = (sessions(&server, &store), sessions(&server, &store));
    let ann = person(1);
    let login = |tokens| here.log_in(&ann, tokens);
    login(tokens("ordinary", Duration::ZERO))
        .await
        .expect("stored");
    login(stepped_up("phr", "phr")).await.expect("stored");
    login(stepped_up("mfa", "mfa")).await.expect("stored");
    // That of a step-up ends alone.
    let phr = ann.clone().stepped_up(&required("phr"));
    there.log_out(&phr).await.expect("logged out");
    assert_eq!(used(&there, &ann).await.as_deref(), Ok("of-ordinary"));
    there.log_out(&ann).await.expect("logged out");
    assert!(there.list(None).await.expect("listed").grants.is_empty());
    let revoked = server.0.revoked.lock().expect("no panic").join(" ");
    for name in ["rt-ordinary", "rt-phr", "rt-mfa"] {
        assert_eq!(revoked.matches(name).count(), 1, "{revoked}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_ninth_step_up_of_a_person_ends_the_oldest() {
    let (server, store) = (Rotating::default(), Arc::new(MemoryStore::new()));
    let grants = sessions(&server, &store);
    let ann = person(1);
    for number in 0..9 {
        let acr = format!("acr-{number}");
        grants
            .log_in(&ann, stepped_up(&acr, &acr))
            .await
            .expect("stored");
    }
    assert_eq!(grants.list(None).await.expect("listed").grants.len(), 8);
    let oldest = ann.stepped_up(&required("acr-0"));
    assert_eq!(used(&grants, &oldest).await, Err("reauthorize"));
    let revoked = server.0.revoked.lock().expect("no panic").join(" ");
    assert!(revoked.contains("rt-acr-0"), "{revoked}");
}
