//! The vectors, and the tests where no vector can express it, that cover each row of the design's tables:
//! `tests/vectors/web/rows.json`.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::vectors::{read, sign_ins};

/// How many rows each table of the design has.
const TABLES: [(&str, usize); 4] = [
    ("pages", 8),
    ("cookies", 3),
    ("decisions", 15),
    ("complaints", 19),
];

/// The strings of a list, if there is one.
fn texts<'a>(row: &'a Value, name: &str) -> impl Iterator<Item = &'a str> {
    let list = row[name].as_array().into_iter().flatten();
    list.map(|text| text.as_str().unwrap())
}

#[test]
fn every_design_row_has_a_vector_or_test() {
    let (root, rows) = (concat!(env!("CARGO_MANIFEST_DIR"), "/../.."), read("rows"));
    let sign_ins = sign_ins();
    let names = sign_ins
        .iter()
        .map(|sign_in| sign_in["name"].as_str().unwrap());
    let names: BTreeSet<_> = names.collect();
    assert_eq!(names.len(), sign_ins.len(), "two have one name");
    let complaints = std::fs::read_to_string(format!("{root}/tests/WEB_COMPLAINTS.md")).unwrap();
    let mut shown = BTreeSet::new();
    for (table, count) in TABLES {
        let rows = rows[table].as_array().unwrap();
        let named: BTreeSet<_> = rows
            .iter()
            .map(|row| row["row"].as_str().unwrap())
            .collect();
        assert_eq!((rows.len(), named.len()), (count, count), "{table}");
        for row in rows {
            let vectors: Vec<_> = texts(row, "vectors").collect();
            for vector in &vectors {
                assert!(names.contains(vector), "{row}: no vector {vector}");
            }
            let mut tests = 0;
            for test in texts(row, "covered_by") {
                let (file, name) = test.split_once("::").unwrap();
                let source = std::fs::read_to_string(format!("{root}/{file}"));
                let source = source.unwrap_or_else(|error| panic!("{file}: {error}"));
                assert!(source.contains(&format!("fn {name}(")), "{row}: no {test}");
                tests += 1;
            }
            // `complaints.rs` checks that its tests exist.
            let text = row["row"].as_str().unwrap();
            let is_listed = table == "complaints";
            assert!(
                !is_listed || complaints.contains(&format!("\n| {text} | ")),
                "{row}"
            );
            assert!(
                is_listed || vectors.len() + tests > 0,
                "{row}: nothing shows it"
            );
            shown.extend(vectors);
        }
    }
    let unused: Vec<_> = names.difference(&shown).collect();
    assert!(unused.is_empty(), "of no row: {unused:?}");
}
