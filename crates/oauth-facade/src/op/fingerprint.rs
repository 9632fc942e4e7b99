//! Whether two halves of a package were generated from the same table.

use super::{Kind, TABLE};
use crate::arg::{FieldDoc, Shape};

/// What both halves of a package must agree on: the names and shapes in the table, in order.
pub const FINGERPRINT: u64 = fingerprint();

const fn fingerprint() -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325;
    let mut at = 0;
    while at < TABLE.len() {
        let entry = &TABLE[at];
        hash = text(hash, entry.name);
        let mut group = 0;
        while group < entry.arguments.len() {
            hash = fields(hash, entry.arguments[group]);
            group += 1;
        }
        hash = match entry.outcome {
            Kind::Nothing => text(hash, "()"),
            Kind::Tokens => text(hash, "Tokens"),
            Kind::Authorization => text(hash, "Authorization"),
            Kind::Record(record) => fields(text(hash, record.name), record.members),
        };
        at += 1;
    }
    hash
}

pub(super) const fn fields(mut hash: u64, fields: &[FieldDoc]) -> u64 {
    let mut at = 0;
    while at < fields.len() {
        hash = hash_shape(text(hash, fields[at].name), fields[at].shape);
        at += 1;
    }
    hash
}

const fn hash_shape(hash: u64, value: Shape) -> u64 {
    match value {
        Shape::Text => text(hash, "text"),
        Shape::Secret => text(hash, "secret"),
        Shape::Personal => text(hash, "personal"),
        Shape::Flag => text(hash, "flag"),
        Shape::Whole => text(hash, "whole"),
        Shape::Word(name, _) => text(hash, name),
        Shape::Names => text(hash, "names"),
        Shape::Texts => text(hash, "texts"),
        Shape::OneOrMore => text(hash, "one or more"),
        Shape::Pairs => text(hash, "pairs"),
        Shape::Time => text(hash, "time"),
        Shape::Json => text(hash, "json"),
        Shape::JsonText => text(hash, "json text"),
        Shape::Tokens => text(hash, "tokens"),
        Shape::Maybe(inner) => hash_shape(text(hash, "maybe"), *inner),
        Shape::Record(record) => fields(text(hash, record.name), record.members),
    }
}

/// FNV-1a, with a terminator after each text.
const fn text(mut hash: u64, text: &str) -> u64 {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at <= bytes.len() {
        let byte = if at < bytes.len() { bytes[at] } else { 0xff };
        hash = (hash ^ byte as u64).wrapping_mul(0x0100_0000_01b3);
        at += 1;
    }
    hash
}
