#![doc = include_str!("../README.md")]

mod carry;
mod sign_in;
mod user;

pub use oauth_web_tower::Host;
pub use sign_in::{SignIn, SignInMiddleware};
pub use user::User;
