//! Responses that a proxy with its default buffers answers with 502: nginx reads 4 KiB of header fields.

use http::Method;
use oauth_web::{Access, Reply};

use crate::world::{Browser, From, World, location};

/// The limit of nginx, minus the fields that servers and frameworks add.
const MAX_HEADER_BYTES: usize = 3500;

fn header_bytes(reply: &Reply) -> usize {
    let fields = reply.headers.iter();
    fields
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum()
}

/// The responses to a sign-in that leads to a page whose URL has a query of this many bytes: to the page, and to the
/// callback.
fn sign_in(world: &mut World, query: usize) -> [Reply; 2] {
    let mut ann = Browser::new();
    let page = format!("/me?q={}", "q".repeat(query));
    let begun = ann.get(world, &page).reply();
    let callback = Browser::provider(world, &location(&begun));
    let request = ann.request(world, Method::GET, &callback, From::Elsewhere);
    let ended = ann.send(world, request, Access::SignedIn).reply();
    assert_eq!(location(&ended), page);
    ann.click(world, &page).session();
    [begun, ended]
}

#[test]
fn a_response_header_too_large_for_proxies_is_logged_once() {
    for mut world in [World::new(), World::in_store()] {
        for query in [0, 1200] {
            let replies = sign_in(&mut world, query);
            assert!(
                replies
                    .iter()
                    .all(|reply| header_bytes(reply) <= MAX_HEADER_BYTES)
            );
            assert_eq!(world.log(), "");
        }
        let [begun, _] = sign_in(&mut world, 1900);
        assert!(header_bytes(&begun) > MAX_HEADER_BYTES);
        sign_in(&mut world, 1900);
        let notes = world.notes_of("web.response_large");
        assert_eq!(notes.len(), 1, "{notes:?}");
        let bytes = format!("{} bytes, ", header_bytes(&begun));
        for part in [&*bytes, "in cookies", "proxy_buffer_size 16k", "store"] {
            assert!(notes[0].contains(part), "{part}: {notes:?}");
        }
        // The URL may hold a secret.
        assert!(!notes[0].contains("qqq") && !notes[0].contains("/me"));
    }
}

#[test]
fn a_large_session_is_logged_once_with_both_remedies() {
    let mut world = World::new();
    world.provider.twin().set_claim("picture", "p".repeat(4000));
    for _ in 0..2 {
        let [_, ended] = sign_in(&mut world, 0);
        assert!(header_bytes(&ended) > MAX_HEADER_BYTES);
    }
    assert_eq!(world.notes.len(), 1, "{}", world.log());
    let notes = world.notes_of("web.response_large");
    for part in ["claims.picture", "proxy_buffer_size 16k", "store"] {
        assert!(notes[0].contains(part), "{part}: {notes:?}");
    }
}

#[test]
fn the_id_token_is_omitted_from_the_session_if_the_url_is_long() {
    let mut world = World::new();
    world
        .provider
        .twin()
        .set_claim("department", "d".repeat(700));
    let sizes = [0, 400, 800, 1200, 1600, 1900].map(|query| {
        let [_, ended] = sign_in(&mut world, query);
        header_bytes(&ended)
    });
    assert!(
        sizes.iter().all(|bytes| *bytes <= MAX_HEADER_BYTES),
        "{sizes:?}"
    );
    // It is kept where there is room.
    assert!(sizes[0] > sizes[1], "{sizes:?}");
}
