//! The browser: a function for each operation available in a page. They are for the package's own
//! modules; a page uses the session.

use std::error::Error;
use std::fmt::Write as _;

use oauth_facade::{Entry, Kind, Shape};

use super::node::{argument, comment};
use super::{arguments, camel, inner, javascript_paragraphs, table};
use crate::HEADER;

fn offered() -> Result<Vec<(u32, &'static Entry)>, Box<dyn Error>> {
    let table = table()?.into_iter();
    Ok(table.filter(|(_, entry)| entry.is_in_browser).collect())
}

/// The functions.
pub(crate) fn module(_: &str) -> Result<String, Box<dyn Error>> {
    let mut module = format!("// {HEADER}\n// The source is crates/oauth-facade/src/op.\n");
    for (_, entry) in table()? {
        if let Kind::Authorization = entry.outcome {
            module += &authorization(entry);
        }
    }
    for (number, entry) in offered()? {
        let names: Vec<_> = arguments(entry).map(|field| camel(field.name)).collect();
        let names = names.join(", ");
        let call_arguments = argument_list(entry);
        let text = javascript_paragraphs(entry.text)
            .into_iter()
            .next()
            .unwrap_or_default();
        let _ = write!(
            module,
            "\n/** {text} */\nexport function {}(client, {{ {names} }}) {{\n  return client.begin({number}, [{call_arguments}])\n}}\n",
            camel(entry.name),
        );
    }
    Ok(module)
}

/// The arguments in the form that the module reads.
fn argument_list(entry: &'static Entry) -> String {
    let names: Vec<_> = arguments(entry)
        .map(|field| match inner(field.shape) {
            Shape::JsonText => format!("json({})", camel(field.name)),
            _ => camel(field.name),
        })
        .collect();
    names.join(", ")
}

/// An authorization needs values that the page generates and hashes.
fn authorization(entry: &'static Entry) -> String {
    let names: Vec<_> = arguments(entry).map(|field| camel(field.name)).collect();
    let text = javascript_paragraphs(entry.text)
        .into_iter()
        .next()
        .unwrap_or_default();
    format!(
        "\nconst json = (value) => (value === undefined ? undefined : JSON.stringify(value))\n\n/** {text} */\n\
         export function {}(client, {{ state, nonce, verifier, challenge }}, asked) {{\n  \
         const {{ {} }} = asked\n  return client.beginAuthorization(state, nonce, verifier, challenge, [{}])\n}}\n",
        camel(entry.name),
        names.join(", "),
        argument_list(entry),
    )
}

/// Their types.
pub(crate) fn types(_: &str) -> Result<String, Box<dyn Error>> {
    let mut module = format!(
        "// {HEADER}\n// The source is crates/oauth-facade/src/op.\n\n\
         /** The client of this package's module. */\n\
         interface Client<NativeExchange> {{\n  begin(number: number, given: readonly unknown[]): NativeExchange\n}}\n\
         /** Tokens as the module holds them. */\ninterface Tokens {{\n  toJson(): string\n}}\n\
         type Scope = string | readonly string[]\n"
    );
    for (name, variants) in super::word_types() {
        let variants: Vec<_> = variants
            .iter()
            .map(|variant| format!("'{variant}'"))
            .collect();
        let _ = writeln!(module, "type {name} = {}", variants.join(" | "));
    }
    for (_, entry) in table()? {
        if let Kind::Authorization = entry.outcome {
            let generated_values = "Record<'state' | 'nonce' | 'verifier' | 'challenge', string>";
            let _ = write!(
                module,
                "\nexport interface AskedFor {{\n{}}}\n\nexport function {}<NativeExchange>(client: {{\n  \
                 beginAuthorization(state: string, nonce: string, verifier: string, challenge: string, given: readonly unknown[]): NativeExchange\n\
                 }}, drawn: {generated_values}, asked: AskedFor): NativeExchange\n",
                fields(entry)?,
                camel(entry.name),
            );
        }
    }
    for (_, entry) in offered()? {
        let fields = fields(entry)?;
        let _ = write!(
            module,
            "\n{}export function {}<NativeExchange>(client: Client<NativeExchange>, args: {{\n{fields}}}): NativeExchange\n",
            comment(&javascript_paragraphs(entry.text), ""),
            camel(entry.name),
        );
    }
    Ok(module)
}

/// The arguments of an operation, as members of an object.
fn fields(entry: &'static Entry) -> Result<String, Box<dyn Error>> {
    let mut fields = String::new();
    for field in arguments(entry) {
        let kind = argument(field.shape)?;
        fields += &comment(&javascript_paragraphs(field.text), "  ");
        let _ = if field.is_optional {
            writeln!(fields, "  {}?: {kind} | undefined", camel(field.name))
        } else {
            writeln!(fields, "  {}: {kind}", camel(field.name))
        };
    }
    Ok(fields)
}
