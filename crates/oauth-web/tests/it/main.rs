//! Whole sign-ins: virtual browsers with real jars, a site, a store in memory and the twin, without a socket.

mod apis;
mod attacks;
mod callbacks;
mod interleaved;
mod logout;
mod made_up;
mod settings;
mod sign_in;
mod step_up;
mod stored;
mod unready;
mod world;
