//! Python: a blocking method, an async one, and one for callers with their own
//! transport; and the classes of the results.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::Write as _;

use oauth_facade::{Description, Entry, Exposure, FieldDoc, Kind, Shape};

use super::{
    arguments, fingerprint, inner, is_personal, is_secret, paragraphs, records, table, within,
    word_types, wrapped,
};
use crate::HEADER;

/// The longest line.
const LINE_WIDTH: usize = 100;

/// The methods over the native transport.
pub(crate) fn operations(_: &str) -> Result<String, Box<dyn Error>> {
    let mut calls = String::new();
    for (number, entry) in table()? {
        if entry.exposure == Exposure::All {
            calls += &call(number, entry)?;
        }
        if let Kind::Authorization = entry.outcome {
            calls += &at_once(entry)?;
        }
    }
    let body = format!(
        "\nFINGERPRINT = \"{}\"\n\n\n@name_keywords\nclass Operations:\n    \
         \"\"\"What a client asks of a server, over the native transport.\"\"\"\n\n    \
         __slots__ = ()\n\n    if TYPE_CHECKING:\n\n        \
         def _call(self, number: int, arguments: tuple[object, ...], /) -> Any: ...\n        \
         def _acall(self, number: int, arguments: tuple[object, ...], /) -> Any: ...\n        \
         def _authorize(self, arguments: tuple[object, ...], moment: Moment | None, /) -> PendingAuthorization: ...\n{calls}",
        fingerprint()
    );
    Ok(module("What a client can ask of a server.", &body))
}

/// The methods without a transport.
pub(crate) fn exchanges(_: &str) -> Result<String, Box<dyn Error>> {
    let mut exchanges = String::new();
    for (number, entry) in table()? {
        exchanges += &exchange(number, entry)?;
    }
    let body = format!(
        "\n\n@name_keywords\nclass ExchangeOperations:\n    \
         \"\"\"What a client asks of a server, without a transport: each is an Exchange.\"\"\"\n\n    \
         __slots__ = ()\n\n    if TYPE_CHECKING:\n\n        \
         def _begin(\n            self, number: int, arguments: tuple[object, ...], moment: Moment | None, /\n        \
         ) -> Any: ...\n{exchanges}"
    );
    let about = "The operations without a transport.";
    Ok(module(about, &body))
}

fn module(about: &str, body: &str) -> String {
    let imports = imports(body);
    let json = if body.contains("json_text(") {
        "from ._keywords import name_keywords\nfrom ._record import json_text\n\n"
    } else {
        ""
    };
    format!(
        "# {HEADER}\n\"\"\"{about} The source is crates/oauth-facade/src/op.\"\"\"\n\n\
         from __future__ import annotations\n\n{json}TYPE_CHECKING = False\nif TYPE_CHECKING:\n{imports}{body}"
    )
}

/// The imports of the names used by the methods.
fn imports(body: &str) -> String {
    let named: BTreeSet<&str> = body
        .split(|c: char| !(c.is_alphanumeric() || c == '_'))
        .collect();
    let from = |module: &str, names: &[&str]| {
        let names: Vec<_> = names
            .iter()
            .copied()
            .filter(|name| named.contains(name))
            .collect();
        if names.is_empty() {
            String::new()
        } else {
            format!("    from {module} import {}\n", names.join(", "))
        }
    };
    let abstract_names = ["Coroutine", "Iterable", "Mapping", "Sequence"];
    let records: Vec<_> = records().into_iter().map(|record| record.name).collect();
    let mut lines = from("collections.abc", &abstract_names);
    lines += &from("datetime", &["datetime"]);
    lines += "    from typing import Any, Literal\n\n";
    lines += &from("._native", &["Exchange", "PendingAuthorization", "Tokens"]);
    lines += &from("._records", &records);
    lines += &from(".drive", &["Moment"]);
    lines.push('\n');
    for (name, variants) in word_types() {
        if !named.contains(name) {
            continue;
        }
        let variants: Vec<_> = variants
            .iter()
            .map(|variant| format!("\"{variant}\""))
            .collect();
        let _ = writeln!(lines, "    {name} = Literal[{}]", variants.join(", "));
    }
    lines
}

fn call(number: u32, entry: &'static Entry) -> Result<String, Box<dyn Error>> {
    let (name, result) = (entry.name, result(entry.outcome));
    let call_arguments = argument_tuple(entry);
    let text = docstring(entry.text, "Args", arguments(entry), "        ");
    let plain = signature(name, &parameters(entry)?, result);
    let later = format!("Coroutine[Any, Any, {result}]");
    let awaited = signature(&format!("a{name}"), &parameters(entry)?, &later);
    let calling = |method: &str, result: &str| {
        return_expression(
            &format!("self.{method}({number}, {call_arguments})"),
            result,
        )
    };
    Ok(format!(
        "\n{plain}        \"\"\"{text}\"\"\"\n{}\n{awaited}        \"\"\"{name}(), in a coroutine.\"\"\"\n{}",
        calling("_call", result),
        calling("_acall", &later),
    ))
}

/// Returns the result of a call of the native half, which has the type stated in the table.
fn return_expression(call: &str, result: &str) -> String {
    match result {
        "None" => format!("        {call}\n"),
        _ => format!("        answer: {result} = {call}\n        return answer\n"),
    }
}

/// An operation whose exchange sends nothing.
fn at_once(entry: &'static Entry) -> Result<String, Box<dyn Error>> {
    let (all_parameters, fields) = with_moment(entry)?;
    let about = [
        " begin_authorization(), where nothing has to be sent: authorization.push_required elsewhere.",
        "",
        " RFC 6749 section 4.1.1 and RFC 7636. State, nonce and verifier are made of the random bytes of a moment:",
        " never give two flows the same.",
    ];
    let text = docstring(&about, "Args", fields.iter(), "        ");
    Ok(format!(
        "\n{}        \"\"\"{text}\"\"\"\n        return self._authorize({}, moment)\n",
        signature("authorize", &all_parameters, "PendingAuthorization"),
        argument_tuple(entry),
    ))
}

/// The parameters of a method for tests and replays.
fn with_moment(entry: &'static Entry) -> Result<(Vec<String>, Vec<FieldDoc>), Box<dyn Error>> {
    let mut all_parameters = parameters(entry)?;
    all_parameters.push("moment: Moment | None = None".to_owned());
    let moment = FieldDoc {
        name: "moment",
        text: &[
            " For tests and replays: gives the Unix time in seconds and 32 random bytes, at each step.",
        ],
        shape: Shape::Text,
        is_optional: true,
    };
    let fields = arguments(entry).copied().chain([moment]).collect();
    Ok((all_parameters, fields))
}

fn exchange(number: u32, entry: &'static Entry) -> Result<String, Box<dyn Error>> {
    let (all_parameters, fields) = with_moment(entry)?;
    let result = format!("Exchange[{}]", result(entry.outcome));
    let text = docstring(entry.text, "Args", fields.iter(), "        ");
    let call = format!("self._begin({number}, {}, moment)", argument_tuple(entry));
    Ok(format!(
        "\n{}        \"\"\"{text}\"\"\"\n{}",
        signature(entry.name, &all_parameters, &result),
        return_expression(&call, &result),
    ))
}

/// `(token, hint)`
fn argument_tuple(entry: &'static Entry) -> String {
    let name = |field: &FieldDoc| match inner(field.shape) {
        Shape::JsonText => format!("json_text({})", field.name),
        _ => field.name.to_owned(),
    };
    let names: Vec<_> = arguments(entry).map(name).collect();
    match &names[..] {
        [argument] => format!("({argument},)"),
        _ => format!("({})", names.join(", ")),
    }
}

fn parameters(entry: &'static Entry) -> Result<Vec<String>, Box<dyn Error>> {
    arguments(entry)
        .map(|field| {
            let (name, annotation) = (field.name, argument(field.shape)?);
            Ok(if field.is_optional {
                format!("{name}: {annotation} | None = None")
            } else {
                format!("{name}: {annotation}")
            })
        })
        .collect()
}

fn signature(name: &str, parameters: &[String], result: &str) -> String {
    let line = format!(
        "    def {name}(self, *, {}) -> {result}:\n",
        parameters.join(", ")
    );
    if line.len() <= LINE_WIDTH {
        return line;
    }
    let mut lines = format!("    def {name}(\n        self,\n        *,\n");
    for parameter in parameters {
        let _ = writeln!(lines, "        {parameter},");
    }
    lines + &format!("    ) -> {result}:\n")
}

/// The type of an argument.
fn argument(shape: Shape) -> Result<String, Box<dyn Error>> {
    Ok(match inner(shape) {
        Shape::Text | Shape::Secret | Shape::Personal => "str",
        Shape::Flag => "bool",
        Shape::Whole => "int",
        Shape::Word(name, _) => name,
        Shape::Names => "str | Iterable[str]",
        Shape::Texts => "Sequence[str]",
        Shape::OneOrMore => "str | Sequence[str]",
        Shape::Pairs => "Mapping[str, str | Sequence[str]]",
        Shape::Time => "float | datetime",
        Shape::Tokens => "Tokens",
        Shape::JsonText => "Mapping[str, Any] | Sequence[Mapping[str, Any]]",
        Shape::Json | Shape::Record(_) | Shape::Maybe(_) => {
            return Err("neither JSON nor a record is an argument".into());
        }
    }
    .to_owned())
}

fn result(kind: Kind) -> &'static str {
    match kind {
        Kind::Nothing => "None",
        Kind::Tokens => "Tokens",
        Kind::Authorization => "PendingAuthorization",
        Kind::Record(record) => record.name,
    }
}

/// A string and its fields, in Google's style.
fn docstring<'a>(
    text: &[&str],
    title: &str,
    fields: impl Iterator<Item = &'a FieldDoc>,
    indent: &str,
) -> String {
    let blank = format!("\n\n{indent}");
    let lines = paragraphs(text);
    let lines = lines.iter().map(|text| wrapped(text, LINE_WIDTH, indent));
    let mut text = lines.collect::<Vec<_>>().join(&blank);
    let deeper = format!("{indent}        ");
    let fields: Vec<_> = fields
        .map(|field| {
            let doc = paragraphs(field.text).join(" ");
            let line = format!("{}: {doc}", field.name);
            format!("{indent}    {}", wrapped(&line, LINE_WIDTH, &deeper))
        })
        .collect();
    if !fields.is_empty() {
        let _ = write!(text, "{blank}{title}:\n{}\n{indent}", fields.join("\n"));
    } else if text.contains('\n') {
        let _ = write!(text, "\n{indent}");
    }
    text.replace('`', "")
}

/// The classes of the results.
pub(crate) fn classes(_: &str) -> Result<String, Box<dyn Error>> {
    let mut names = String::new();
    let mut classes = String::new();
    for record in records() {
        let _ = writeln!(names, "    \"{}\",", record.name);
        classes += &class(record)?;
    }
    let imports = if classes.contains("datetime") {
        "    from datetime import datetime\n    from typing import Any\n"
    } else {
        "    from typing import Any\n"
    };
    Ok(format!(
        "# {HEADER}\n\"\"\"What operations leave behind. The source is crates/oauth-facade/src/op.\"\"\"\n\n\
         from __future__ import annotations\n\nfrom ._record import Record\n\n\
         TYPE_CHECKING = False\nif TYPE_CHECKING:\n{imports}\n\
         __all__ = [\n{names}]\n{classes}"
    ))
}

fn class(record: &Description) -> Result<String, Box<dyn Error>> {
    let text = docstring(record.text, "Attributes", record.members.iter(), "    ");
    let (mut typed, mut slots, mut absent) = (String::new(), Vec::new(), Vec::new());
    for member in record.members {
        let (annotation, default) = of_member(member.shape)?;
        let default_text = default.map_or(String::new(), |value| format!(" = {value}"));
        let doc = paragraphs(member.text).join(" ").replace('`', "");
        let doc = wrapped(&doc, LINE_WIDTH - 3, "        ");
        let _ = write!(
            typed,
            "        {}: {annotation}{default_text}\n        \"\"\"{doc}\"\"\"\n",
            member.name
        );
        slots.push(member.name);
        absent.extend(default.map(|value| format!("\"{}\": {value}", member.name)));
    }
    let quoted = |names: &[&str]| -> String {
        let names = names
            .iter()
            .map(|name| format!("            \"{name}\",\n"));
        names.collect()
    };
    let marked = |mark: &str, is_marked: fn(&FieldDoc) -> bool| {
        let members = record.members.iter().filter(|member| is_marked(member));
        let members: Vec<_> = members.map(|member| member.name).collect();
        if members.is_empty() {
            String::new()
        } else {
            let members = quoted(&members);
            format!("        {mark} = frozenset((\n{members}        ))\n")
        }
    };
    let mut hidden = marked("_secrets", is_secret) + &marked("_personal", is_personal);
    let records = record.members.iter().filter_map(|member| {
        let record = within(member)?.name;
        Some(format!("            \"{}\": {record},\n", member.name))
    });
    let records: String = records.collect();
    if !records.is_empty() {
        let _ = write!(hidden, "        _records = {{\n{records}        }}\n");
    }
    let absent: String = absent
        .iter()
        .map(|line| format!("            {line},\n"))
        .collect();
    Ok(format!(
        "\n\nclass {}(Record):\n    \"\"\"{text}\"\"\"\n\n    if TYPE_CHECKING:\n{typed}    else:\n        \
         __slots__ = (\n{}        )\n        _absent = {{\n{absent}        }}\n{hidden}",
        record.name,
        quoted(&slots),
    ))
}

/// The type of a member, and its default in a caller's test.
fn of_member(shape: Shape) -> Result<(String, Option<&'static str>), Box<dyn Error>> {
    let (annotation, default) = match shape {
        Shape::Maybe(shape) => {
            let (annotation, _) = of_member(*shape)?;
            return Ok((format!("{annotation} | None"), Some("None")));
        }
        Shape::Text | Shape::Secret | Shape::Personal => ("str", None),
        Shape::Flag => ("bool", None),
        Shape::Whole => ("int", None),
        // Servers send other values too.
        Shape::Word(..) => ("str", None),
        Shape::Names => ("frozenset[str]", Some("frozenset()")),
        Shape::Texts | Shape::OneOrMore => ("tuple[str, ...]", Some("()")),
        Shape::Time => ("datetime", None),
        Shape::Json => ("dict[str, Any]", Some("{}")),
        Shape::Record(record) => (record.name, None),
        Shape::Pairs | Shape::Tokens | Shape::JsonText => {
            return Err("no member is of this shape yet".into());
        }
    };
    Ok((annotation.to_owned(), default))
}
