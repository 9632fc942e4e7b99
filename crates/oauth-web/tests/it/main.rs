//! Whole sign-ins: virtual browsers with real jars, a site, a store in memory and the twin, without a socket.

mod access_token;
mod another_person;
mod apis;
mod attacks;
mod by_id;
mod callbacks;
mod client_metadata;
mod complaints;
mod ends;
mod interleaved;
mod large_responses;
mod logout;
mod made_up;
mod rows;
mod settings;
mod shared;
mod sign_in;
mod signed_response;
mod step_up;
mod stored;
mod tenants;
mod unready;
mod vectors;
mod world;
