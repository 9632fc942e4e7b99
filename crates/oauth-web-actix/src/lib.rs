#![doc = include_str!("../README.md")]

mod convert;
mod sign_in;
mod user;

pub use oauth_web::Access;
pub use oauth_web_tower::Host;
pub use sign_in::sign_in;
pub use user::{Rejection, User};
