//! The claims that all assertions of a client have in common are computed once.

use super::*;

#[test]
fn assertion_of_a_shared_key_has_the_claims_of_the_client_that_sends_it() {
    let auth = ClientAuth::assertion(ClientAssertion::new(key()));
    let claims = |client: &Client| {
        let jwt = value(&first(client, 1), "client_assertion").unwrap();
        let claims = read_unverified(&jwt).unwrap();
        let text = |name| claims.text(name).unwrap().unwrap().to_owned();
        [text("aud"), text("iss"), text("sub")]
    };
    // The claims are encoded in groups of three bytes, where a character may begin in one and end in the next.
    for length in 1..8 {
        let id: String = "\u{65e5}é1".chars().cycle().take(length).collect();
        let auth = ClientAuth::assertion(ClientAssertion::new(key()));
        let client = Client::new(server(), ClientId::new(&id), auth).unwrap();
        assert_eq!(claims(&client), ["https://as.example", &id, &id]);
    }
    let one = client_with(auth.clone());
    assert_eq!(claims(&one), ["https://as.example", "me", "me"]);
    let other = Client::new(server(), ClientId::new("you"), auth.clone()).unwrap();
    assert_eq!(claims(&other), ["https://as.example", "you", "you"]);
    let server = server_of("https://other.example", "");
    let moved = Client::new(server, ClientId::new("me"), auth).unwrap();
    assert_eq!(claims(&moved), ["https://other.example", "me", "me"]);
}
