//! Node.js: a method that returns a promise, one that returns an exchange, and the classes of the
//! results; their types; and the names that the package exports.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;

use oauth_facade::{Entry, Exposure, Kind, Shape};

use super::{
    arguments, camel, claims, fingerprint, inner, is_secret, javascript_paragraphs, pascal,
    records, table, word_types, wrapped,
};
use crate::{HEADER, region, root};

/// The longest line.
const LINE_WIDTH: usize = 120;

/// The methods and classes.
pub(crate) fn module(_: &str) -> Result<String, Box<dyn Error>> {
    let table = table()?;
    let mut module = format!(
        "'use strict'\n\n// {HEADER}\n// The source is crates/oauth-facade/src/op.\n\n\
         const {{ begin, perform, recordConverter, toAuthorization, toTokens, toUndefined }} = require('./operation-support.cjs')\n\
         const {{ Record }} = require('./record.cjs')\n\nconst FINGERPRINT = '{}'\n",
        fingerprint()
    );
    for record in records() {
        let text = javascript_paragraphs(record.text)
            .into_iter()
            .next()
            .unwrap_or_default();
        let _ = write!(
            module,
            "\n/** {text} */\nclass {} extends Record {{\n  static members = {{\n",
            record.name
        );
        for member in record.members {
            let kind = match inner(member.shape) {
                _ if is_secret(member) => "'secret'",
                Shape::Personal => "'personal'",
                Shape::Time => "'time'",
                Shape::Record(record) => record.name,
                _ => "'plain'",
            };
            let _ = writeln!(module, "    {}: {kind},", camel(member.name));
        }
        module += "  }\n}\n";
    }
    module += "\nconst operations = {\n";
    for &(number, entry) in &table {
        let names: Vec<_> = arguments(entry)
            .map(|field| format!("'{}'", camel(field.name)))
            .collect();
        let json: Vec<_> = arguments(entry)
            .filter(|field| matches!(inner(field.shape), Shape::JsonText))
            .map(|field| format!("'{}'", camel(field.name)))
            .collect();
        let json = if json.is_empty() {
            String::new()
        } else {
            format!(", json: [{}]", json.join(", "))
        };
        let finish = match entry.outcome {
            Kind::Nothing => "toUndefined".to_owned(),
            Kind::Tokens => "toTokens".to_owned(),
            Kind::Authorization => "toAuthorization".to_owned(),
            Kind::Record(record) => format!("recordConverter({})", record.name),
        };
        let _ = writeln!(
            module,
            "  {}: {{ number: {number}, names: [{}], finish: {finish}{json} }},",
            camel(entry.name),
            names.join(", ")
        );
    }
    module += "}\n\n/** What a client asks of a server. */\nclass Operations {\n";
    for &(_, entry) in &table {
        if entry.exposure == Exposure::All {
            let name = camel(entry.name);
            let _ = writeln!(
                module,
                "  async {name}(args, options) {{ return await this[perform](operations.{name}, args, options) }}"
            );
        }
    }
    module += "}\n\n/** The operations as exchanges, for a driver of your own. */\nclass ExchangeOperations {\n";
    for &(_, entry) in &table {
        let name = camel(entry.name);
        let _ = writeln!(
            module,
            "  {name}(args, options) {{ return this[begin](operations.{name}, args, options) }}"
        );
    }
    let classes: Vec<_> = records().into_iter().map(|record| record.name).collect();
    let _ = write!(
        module,
        "}}\n\nmodule.exports = {{ ExchangeOperations, FINGERPRINT, Operations, operations, {} }}\n",
        classes.join(", ")
    );
    Ok(module)
}

/// Their types.
pub(crate) fn types(_: &str) -> Result<String, Box<dyn Error>> {
    let table = table()?;
    let mut module = format!(
        "// {HEADER}\n// The source is crates/oauth-facade/src/op.\n\n\
         import type {{ Authorization, CallOptions, Exchange, MomentOptions, Scope, Tokens }} from '../index.cjs'\n"
    );
    for (name, variants) in word_types() {
        let variants: Vec<_> = variants
            .iter()
            .map(|variant| format!("'{variant}'"))
            .collect();
        let _ = write!(module, "\nexport type {name} = {}\n", variants.join(" | "));
    }
    for &(_, entry) in &table {
        module += &interface(entry)?;
    }
    for record in records() {
        let text = comment(&javascript_paragraphs(record.text), "");
        let _ = write!(
            module,
            "\n{text}export class {} {{\n  private constructor()\n",
            record.name
        );
        for member in record.members {
            let text = comment(&javascript_paragraphs(member.text), "  ");
            let claims = claims::of_record(record.name).filter(|_| member.name == "claims");
            let kind =
                claims.map_or_else(|| of_member(member.shape), |kind| Ok(kind.to_owned()))?;
            let name = camel(member.name);
            let _ = writeln!(module, "{text}  readonly {name}: {kind}");
        }
        module += "  /** What may be shown. */\n  toJSON(): Record<string, unknown>\n}\n";
    }
    module += &claims::interfaces();
    module += "\n/** What a client asks of a server. */\nexport interface Operations {\n";
    for &(_, entry) in &table {
        if entry.exposure == Exposure::All {
            let result = format!("Promise<{}>", result(entry.outcome));
            module += &method(entry, "CallOptions", &result);
        }
    }
    module += "}\n\n/** The operations as exchanges, for a driver of your own. */\nexport interface ExchangeOperations {\n";
    for &(_, entry) in &table {
        let result = format!("Exchange<{}>", result(entry.outcome));
        module += &method(entry, "MomentOptions", &result);
    }
    Ok(module + "}\n")
}

fn interface(entry: &'static Entry) -> Result<String, Box<dyn Error>> {
    let name = pascal(entry.name);
    let mut text = format!("\nexport interface {name}Arguments {{\n");
    for field in arguments(entry) {
        let kind = argument(field.shape)?;
        text += &comment(&javascript_paragraphs(field.text), "  ");
        let _ = if field.is_optional {
            writeln!(text, "  {}?: {kind} | undefined", camel(field.name))
        } else {
            writeln!(text, "  {}: {kind}", camel(field.name))
        };
    }
    Ok(text + "}\n")
}

fn method(entry: &'static Entry, options: &str, result: &str) -> String {
    let mut lines = javascript_paragraphs(entry.text);
    for field in arguments(entry) {
        let doc = javascript_paragraphs(field.text).join(" ");
        lines.push(format!("@param args.{} {doc}", camel(field.name)));
    }
    let is_optional = arguments(entry).all(|field| field.is_optional);
    let optional = if is_optional { "?" } else { "" };
    format!(
        "{}  {}(args{optional}: {}Arguments, options?: {options}): {result}\n",
        comment(&lines, "  "),
        camel(entry.name),
        pascal(entry.name),
    )
}

/// A comment of these lines.
pub(crate) fn comment(lines: &[String], indent: &str) -> String {
    let continued = format!("{indent} * ");
    match lines {
        [line] if indent.len() + line.len() + 7 <= LINE_WIDTH => format!("{indent}/** {line} */\n"),
        lines => {
            let lines = lines.iter().map(|line| {
                let line = wrapped(line, LINE_WIDTH, &continued);
                format!("{continued}{line}\n")
            });
            let lines: String = lines.collect();
            format!("{indent}/**\n{lines}{indent} */\n")
        }
    }
}

pub(crate) fn argument(shape: Shape) -> Result<&'static str, Box<dyn Error>> {
    // `Headers.get` returns null for a field that is absent.
    if let Shape::Maybe(Shape::OneOrMore) = shape {
        return Ok("string | readonly string[] | null");
    }
    Ok(match inner(shape) {
        Shape::Text | Shape::Secret | Shape::Personal => "string",
        Shape::Flag => "boolean",
        Shape::Whole => "number",
        Shape::Word(name, _) => name,
        Shape::Names => "Scope",
        Shape::OneOrMore => "string | readonly string[]",
        Shape::Texts => "readonly string[]",
        Shape::Pairs => "Readonly<Record<string, string | readonly string[]>>",
        Shape::Time => "Date",
        Shape::Tokens => "Tokens",
        Shape::JsonText => "object",
        Shape::Json | Shape::Record(_) | Shape::Maybe(_) => {
            return Err("neither JSON nor a record is an argument".into());
        }
    })
}

fn of_member(shape: Shape) -> Result<String, Box<dyn Error>> {
    Ok(match shape {
        Shape::Maybe(shape) => return Ok(format!("{} | undefined", of_member(*shape)?)),
        // Servers send other values too.
        Shape::Text | Shape::Secret | Shape::Personal | Shape::Word(..) => "string",
        Shape::Flag => "boolean",
        Shape::Whole => "number",
        Shape::Names | Shape::Texts | Shape::OneOrMore => "readonly string[]",
        Shape::Time => "Date",
        Shape::Json => "Readonly<Record<string, unknown>>",
        Shape::Record(record) => record.name,
        Shape::Pairs | Shape::Tokens | Shape::JsonText => {
            return Err("no member is of this shape yet".into());
        }
    }
    .to_owned())
}

fn result(kind: Kind) -> &'static str {
    match kind {
        Kind::Nothing => "void",
        Kind::Tokens => "Tokens",
        Kind::Authorization => "Authorization",
        Kind::Record(record) => record.name,
    }
}

/// The entry for `require` exports the records, and everything it requires by name.
pub(crate) fn exports(now: &str) -> Result<String, Box<dyn Error>> {
    let records: Vec<_> = records().into_iter().map(|record| record.name).collect();
    let required = now.lines().filter_map(|line| {
        let (names, from) = line.strip_prefix("const { ")?.split_once(" } = require(")?;
        (from != "'./ops.cjs')").then(|| names.split(", "))
    });
    let mut names: Vec<_> = required.flatten().chain(records.iter().copied()).collect();
    names.sort_unstable();
    let names: String = names.iter().map(|name| format!("  {name},\n")).collect();
    let records = records.join(", ");
    let body =
        format!("const {{ {records} }} = require('./ops.cjs')\n\nmodule.exports = {{\n{names}}}\n");
    region(now, "//", &body)
}

/// The entry for `import`: everything that the one for `require` exports.
pub(crate) fn entry(_: &str) -> Result<String, Box<dyn Error>> {
    let target = "bindings/node/js/index.cjs";
    let text = fs::read_to_string(root().join(target))?;
    let (_, names) = text
        .split_once("module.exports = {\n")
        .ok_or("index.cjs exports nothing")?;
    let (names, _) = names.split_once("\n}").ok_or("index.cjs does not end")?;
    Ok(format!(
        "// {HEADER}\n// One implementation for both module systems: an error caught here is an instance there.\n\
         import core from './index.cjs'\n\nexport const {{\n{names}\n}} = core\n"
    ))
}
