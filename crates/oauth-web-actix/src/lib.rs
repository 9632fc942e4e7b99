#![doc = include_str!("../README.md")]

mod convert;
mod rejection;
mod sign_in;
mod user;

pub use rejection::Rejection;
pub use oauth_web_tower::Host;
pub use sign_in::{SignIn, SignInMiddleware};
pub use user::User;
