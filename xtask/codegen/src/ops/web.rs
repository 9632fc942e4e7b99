//! The browser: a function for each operation that a page may ask for. They are for the package's own
//! modules; a page sees the session.

use std::error::Error;
use std::fmt::Write as _;

use oauth_facade::Entry;

use super::node::{argument, comment};
use super::{arguments, camel, paragraphs, table};
use crate::HEADER;

fn offered() -> Result<Vec<(u32, &'static Entry)>, Box<dyn Error>> {
    let table = table()?.into_iter();
    Ok(table.filter(|(_, entry)| entry.is_everywhere).collect())
}

/// The functions.
pub(crate) fn module(_: &str) -> Result<String, Box<dyn Error>> {
    let mut module = format!("// {HEADER}\n// The source is crates/oauth-facade/src/op.\n");
    for (number, entry) in offered()? {
        let names: Vec<_> = arguments(entry).map(|field| camel(field.name)).collect();
        let names = names.join(", ");
        let text = paragraphs(entry.text)
            .into_iter()
            .next()
            .unwrap_or_default();
        let _ = write!(
            module,
            "\n/** {text} */\nexport function {}(client, {{ {names} }}) {{\n  return client.begin({number}, [{names}])\n}}\n",
            camel(entry.name),
        );
    }
    Ok(module)
}

/// Their types.
pub(crate) fn types(_: &str) -> Result<String, Box<dyn Error>> {
    let mut module = format!(
        "// {HEADER}\n// The source is crates/oauth-facade/src/op.\n\n\
         /** The client of this package's module. */\n\
         interface Client<Machine> {{\n  begin(number: number, given: readonly unknown[]): Machine\n}}\n\
         /** Tokens as the module holds them. */\ninterface Tokens {{\n  toJson(): string\n}}\n\
         type Scope = string | readonly string[]\n"
    );
    for (name, words) in super::words() {
        let words: Vec<_> = words.iter().map(|word| format!("'{word}'")).collect();
        let _ = writeln!(module, "type {name} = {}", words.join(" | "));
    }
    for (_, entry) in offered()? {
        let mut fields = String::new();
        for field in arguments(entry) {
            let kind = argument(field.shape)?;
            fields += &comment(&paragraphs(field.text), "  ");
            let _ = match field.is_optional {
                true => writeln!(fields, "  {}?: {kind} | undefined", camel(field.name)),
                false => writeln!(fields, "  {}: {kind}", camel(field.name)),
            };
        }
        let _ = write!(
            module,
            "\n{}export function {}<Machine>(client: Client<Machine>, args: {{\n{fields}}}): Machine\n",
            comment(&paragraphs(entry.text), ""),
            camel(entry.name),
        );
    }
    Ok(module)
}
