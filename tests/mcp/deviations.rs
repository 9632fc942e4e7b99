//! Where the SDKs' server sides differ from the specifications, as README.md tells: a test that fails here is a new
//! version that does better, and a line less there.

#[allow(unused_imports)]
use crate::plain_client::{Client, Session, text};
#[allow(unused_imports)]
use crate::servers::{Sdk, Server};
use serde_json::json;
