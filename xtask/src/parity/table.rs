//! `tests/parity.toml`, and the table generated from it. `tests/operations.json` lists the
//! operations: each has a row, which excludes the browser exactly if the operation is not for browsers.

use std::error::Error;

use serde::Deserialize;

use super::{COLUMNS, Column};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    row: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    /// The title of a table that begins with this row.
    #[serde(default)]
    section: Option<String>,
    feature: String,
    /// The operation of the row, if it has one.
    #[serde(default)]
    operation: Option<String>,
    rust: Cell,
    python: Cell,
    node: Cell,
    browser: Cell,
    cli: Cell,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Cell {
    Proved(Proved),
    NotAvailable(NotAvailable),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Proved {
    /// Every test that is needed to prove it, as its suite prints it.
    tests: Vec<String>,
    /// The text in the table, if other than `yes`.
    #[serde(default)]
    text: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NotAvailable {
    /// The reason for a `no`.
    no: String,
}

/// A line of the operations.
#[derive(Deserialize)]
struct Operation {
    name: String,
    browser: bool,
}

impl Row {
    /// In the order of the columns.
    fn cells(&self) -> [(&Column, &Cell); 5] {
        let cells = [
            &self.rust,
            &self.python,
            &self.node,
            &self.browser,
            &self.cli,
        ];
        std::array::from_fn(|at| (&COLUMNS[at], cells[at]))
    }
}

/// The tables, one for each section, or all unproven tests if there are any.
pub(super) fn of(
    text: &str,
    operations: &str,
    check_passed: &dyn Fn(&Column, &str) -> Result<(), String>,
) -> Result<String, Box<dyn Error>> {
    let file: File = toml::from_str(text)?;
    let titles: Vec<_> = COLUMNS.iter().map(|column| column.title).collect();
    let header = format!(
        "| | {} |\n|{}\n",
        titles.join(" | "),
        " --- |".repeat(COLUMNS.len() + 1)
    );
    let mut tables = String::new();
    let mut unproved = strays(&file.row, &serde_json::from_str::<Vec<_>>(operations)?);
    if file.row.first().is_some_and(|row| row.section.is_none()) {
        unproved.push("the first row begins no section".to_owned());
    }
    for row in &file.row {
        if let Some(section) = &row.section {
            let space = if tables.is_empty() { "" } else { "\n" };
            tables += &format!("{space}### {section}\n\n{header}");
        }
        let mut line = format!("| {} |", row.feature);
        for (column, cell) in row.cells() {
            for reason in doubts(column, cell, check_passed) {
                unproved.push(format!("{} ({}): {reason}", row.feature, column.key));
            }
            line += &format!(" {} |", cell_text(cell));
        }
        tables += &(line + "\n");
    }
    if unproved.is_empty() {
        Ok(tables)
    } else {
        Err(unproved.join("\n").into())
    }
}

/// Operations without a matching row, and rows without a matching operation.
fn strays(rows: &[Row], operations: &[Operation]) -> Vec<String> {
    let mut strays = Vec::new();
    for Operation { name, browser } in operations {
        let about = rows
            .iter()
            .filter(|row| row.operation.as_ref() == Some(name));
        match about.collect::<Vec<_>>()[..] {
            [row] if matches!(row.browser, Cell::Proved(_)) == *browser => {}
            [row] => strays.push(format!("{}: browsers have {name}, or not", row.feature)),
            [] => strays.push(format!("{name} has no row")),
            [..] => strays.push(format!("{name} has several rows")),
        }
    }
    let is_operation = |name: &str| operations.iter().any(|operation| operation.name == name);
    let named_operations = rows.iter().filter_map(|row| row.operation.as_deref());
    strays.extend(
        named_operations
            .filter(|name| !is_operation(name))
            .map(|name| format!("{name} is no operation")),
    );
    strays
}

/// The objections to a cell.
fn doubts(
    column: &Column,
    cell: &Cell,
    check_passed: &dyn Fn(&Column, &str) -> Result<(), String>,
) -> Vec<String> {
    match cell {
        Cell::NotAvailable(reason) if reason.no.is_empty() => {
            vec!["no reason is given".to_owned()]
        }
        Cell::NotAvailable(_) => Vec::new(),
        Cell::Proved(proved) if proved.tests.is_empty() => vec!["no test is named".to_owned()],
        Cell::Proved(proved) => {
            let tests = proved.tests.iter();
            tests
                .filter_map(|name| check_passed(column, name).err())
                .collect()
        }
    }
}

fn cell_text(cell: &Cell) -> String {
    match cell {
        Cell::NotAvailable(reason) => format!("no: {}", reason.no),
        Cell::Proved(proved) => proved.text.clone().unwrap_or_else(|| "yes".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPERATIONS: &str = r#"[{ "name": "o", "browser": false }]"#;
    const ROW: &str = "[[row]]\nsection = \"s\"\nfeature = \"f\"\noperation = \"o\"\nrust.tests = [\"a\", \"b\"]\npython.tests = [\"a\"]\n\
                       node.tests = [\"a\"]\nbrowser.no = \"a page\"\ncli.tests = [\"a\"]\ncli.text = \"`f`\"\n";

    fn table(text: &str) -> Result<String, String> {
        let proof = |_: &Column, name: &str| match name {
            "a" => Ok(()),
            name => Err(format!("{name} did not pass")),
        };
        of(text, OPERATIONS, &proof).map_err(|error| error.to_string())
    }

    #[test]
    fn a_row_is_printed_as_one_line() {
        let text = ROW.replace(", \"b\"", "");
        let expected = "| f | yes | yes | yes | no: a page | `f` |\n";
        assert!(table(&text).is_ok_and(|table| table.ends_with(expected)));
    }

    #[test]
    fn each_section_is_a_table_with_a_title() {
        let text = ROW.replace(", \"b\"", "");
        let unlinked = text.replace("operation = \"o\"\n", "");
        let tables = table(&format!("{text}{}", unlinked.replace("\"s\"", "\"t\"")));
        let tables = tables.expect("two tables");
        assert!(tables.starts_with("### s\n\n| | "), "{tables}");
        assert_eq!(tables.matches("\n\n### t\n\n| | ").count(), 1, "{tables}");
        let untitled = text.replace("section = \"s\"\n", "");
        assert_eq!(
            table(&untitled),
            Err("the first row begins no section".to_owned())
        );
    }

    #[test]
    fn each_operation_must_have_exactly_one_matching_row() {
        let text = ROW.replace(", \"b\"", "");
        for (from, to, reason) in [
            ("operation = \"o\"\n", "", "o has no row"),
            ("\"o\"", "\"p\"", "o has no row\np is no operation"),
            (
                "browser.no = \"a page\"",
                "browser.tests = [\"a\"]",
                "f: browsers have o, or not",
            ),
        ] {
            assert_eq!(table(&text.replace(from, to)), Err(reason.to_owned()));
        }
        assert_eq!(table(&text.repeat(2)), Err("o has several rows".to_owned()));
    }

    #[test]
    fn invalid_or_unproven_rows_are_refused() {
        assert_eq!(table(ROW), Err("f (rust): b did not pass".to_owned()));
        for (from, to) in [
            ("[\"a\", \"b\"]", "[]"),
            ("\"a page\"", "\"\""),
            ("browser.no = \"a page\"\n", ""),
            ("browser.no", "browser.now"),
            ("browser.no = \"a page\"", "browser.text = \"yes\""),
            (
                "browser.no = \"a page\"",
                "browser.no = \"a page\"\nbrowser.tests = [\"a\"]",
            ),
        ] {
            let text = ROW.replace(", \"b\"", "").replace(from, to);
            let text = if to == "[]" {
                ROW.replace(from, to)
            } else {
                text
            };
            assert!(table(&text).is_err(), "{text}");
        }
    }
}
