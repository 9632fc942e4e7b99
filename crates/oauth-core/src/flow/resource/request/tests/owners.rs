//! An API whose routes belong to two owners.

use super::*;

fn api_with_user_routes(owners: &[TokenOwner]) -> Api {
    let api = api().with_routes(Routes::user_segments(["user"]));
    api.with_owners(owners.iter().copied()).unwrap()
}

fn owner_of(api: &Api, path: &str) -> Result<TokenOwner, Error> {
    match get(api, path).resume(&at(0.0), Event::Begin)? {
        Step::Token(owner) => Ok(owner),
        step => panic!("{step:?}"),
    }
}

#[test]
fn token_owner_is_chosen_by_the_route() {
    let both = api_with_user_routes(&[TokenOwner::Application, TokenOwner::User]);
    assert_eq!(owner_of(&both, "/user/polls").unwrap(), TokenOwner::User);
    assert_eq!(
        owner_of(&both, "/polls?by=user").unwrap(),
        TokenOwner::Application
    );
    let odd = owner_of(&both, "/polls%2Fuser").unwrap_err();
    assert_eq!(odd.code(), "resource.route_ambiguous");
}

#[test]
fn missing_token_source_is_named_before_sending() {
    let app = api_with_user_routes(&[TokenOwner::Application]);
    let missing = owner_of(&app, "/user/polls").unwrap_err();
    assert_eq!(missing.code(), "resource.no_token_source");
    assert!(
        missing
            .to_string()
            .contains("/user/polls needs the user's token")
    );
    assert_eq!(owner_of(&app, "/polls").unwrap(), TokenOwner::Application);

    let user = api_with_user_routes(&[TokenOwner::User]);
    let missing = owner_of(&user, "/polls").unwrap_err();
    assert!(missing.to_string().contains("client credentials"));
    assert_eq!(owner_of(&user, "/user").unwrap(), TokenOwner::User);
}

#[test]
fn renewal_and_redirect_use_the_owner_of_the_route() {
    let both = api_with_user_routes(&[TokenOwner::Application, TokenOwner::User]);
    let mut request = get(&both, "/user/polls");
    sent(&mut request, &at(0.0));
    let step = reply(&mut request, &at(0.0), 401, &HeaderMap::new());
    assert!(
        matches!(step, Ok(Step::Renew(TokenOwner::User))),
        "{step:?}"
    );

    let mut request = get(&both, "/user/polls");
    sent(&mut request, &at(0.0));
    let step = reply(
        &mut request,
        &at(0.0),
        302,
        &fields(&[("location", "/polls")]),
    );
    assert!(
        matches!(step, Ok(Step::Token(TokenOwner::Application))),
        "{step:?}"
    );
}

#[test]
fn redirect_followed_by_the_host_to_another_owner_is_refused() {
    let both = api_with_user_routes(&[TokenOwner::Application, TokenOwner::User]);
    let follow = |from: &str, to: &str| {
        let mut request = get(&both, from).without_redirects();
        sent(&mut request, &at(0.0));
        let step = reply(&mut request, &at(0.0), 307, &fields(&[("location", to)]));
        step.map_err(|error| error.code())
    };
    assert_eq!(
        follow("/polls", "/user/polls").unwrap_err(),
        "resource.redirect"
    );
    assert_eq!(follow("/user", "/polls").unwrap_err(), "resource.redirect");
    assert!(matches!(follow("/polls", "/polls/2"), Ok(Step::Done)));
    // The host removes the token in this case.
    assert!(matches!(
        follow("/polls", "https://other.example/user"),
        Ok(Step::Done)
    ));
}

#[test]
fn api_without_routes_has_exactly_one_owner() {
    let two = api().with_owners([TokenOwner::Application, TokenOwner::User]);
    assert_eq!(two.unwrap_err().code(), "resource.no_token_source");
    assert_eq!(
        api().with_owners([]).unwrap_err().code(),
        "resource.no_token_source"
    );
    let one = api().with_owners([TokenOwner::User]).unwrap();
    assert_eq!(owner_of(&one, "/anything").unwrap(), TokenOwner::User);
}
