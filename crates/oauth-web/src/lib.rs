#![doc = include_str!("../README.md")]

mod config;
mod connect;
mod cookie;
mod flow;
mod forward;
mod guard;
mod handle;
mod html;
mod page;
mod person;
mod place;
mod record;
mod reply;
mod request;
mod session;
mod site;
mod target;
mod testing;
mod tries;
mod turn;
mod visit;
mod waiting;
mod who;

pub use config::{Access, CallbackMode, Config, Keep, Lookup, Provider, SameSite, Upstream};
pub use connect::Connect;
pub use forward::Forward;
pub use person::IdentityEndpoint;
pub use reply::{Problem, Reply};
pub use request::{MAX_FORM, PROTECTION_HEADER, Request};
pub use session::{Identity, Need, Session};
pub use site::Site;
pub use testing::testing_key;
pub use visit::{Admission, Ask, Event, Landed, Note, Step, Visit};
