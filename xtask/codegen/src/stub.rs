//! The stub of Python's native module: signatures are written by hand in `native.pyi.in`, and their
//! documentation is that of the method in Rust.
//!
//! `native.pyi.in` has some directives of its own: `# names` is the list of them all, `# let A = B` puts
//! B where `{A}` stands in a signature, `# and NAME` behind one is its twin for coroutines, and `# verbs: KEYWORDS` in a class are the verbs of HTTP with these keywords of its own.
//! A test of the package compares the stub with the module.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;

use crate::ops::records;
use crate::{HEADER, region, root};

/// The longest line of a signature.
const LINE_WIDTH: usize = 100;

/// Documentation by name: `Class`, `Class.method` or `function`.
type Docs = BTreeMap<String, String>;

/// The stub.
pub(crate) fn file(_: &str) -> Result<String, Box<dyn Error>> {
    let package = root().join("bindings/python");
    let mut docs = Docs::new();
    for file in fs::read_dir(package.join("src"))? {
        read(&fs::read_to_string(file?.path())?, &mut docs);
    }
    let skeleton = fs::read_to_string(package.join("native.pyi.in"))?;
    Ok(format!("# {HEADER}\n{}", written(&skeleton, &docs)?))
}

/// The package exports whatever it imports by name from its own modules, and all records.
pub(crate) fn exports(now: &str) -> Result<String, Box<dyn Error>> {
    let mut names: Vec<_> = records().into_iter().map(|record| record.name).collect();
    let mut is_exported = false;
    for line in now.lines().map(str::trim) {
        if let Some((from, imported)) = line.split_once(" import ") {
            is_exported = from.starts_with("from .");
            if is_exported && !from.ends_with('.') && !imported.starts_with(['(', '*']) {
                names.extend(imported.split(", "));
            }
        } else if is_exported && line.ends_with(',') {
            names.push(line.trim_end_matches(','));
        } else {
            is_exported = false;
        }
    }
    names.sort_unstable();
    names.dedup();
    let names: String = names
        .iter()
        .map(|name| format!("    \"{name}\",\n"))
        .collect();
    region(now, "#", &format!("__all__ = [\n{names}]\n"))
}

/// Reads the documentation from a source file.
fn read(source: &str, docs: &mut Docs) {
    let mut class = String::new();
    let mut text: Vec<&str> = Vec::new();
    for line in source.lines() {
        let trimmed = line.trim_start();
        let is_inside = trimmed.len() < line.len();
        if let Some(doc) = trimmed.strip_prefix("///") {
            text.push(doc.strip_prefix(' ').unwrap_or(doc));
        } else if let Some(of) = trimmed.strip_prefix("impl ") {
            class = name(of).to_owned();
            text.clear();
        } else if let Some(item) = named(trimmed) {
            let key = if is_inside {
                format!("{class}.{item}")
            } else {
                item.to_owned()
            };
            if !text.is_empty() {
                docs.insert(key, text.join("\n"));
            }
            text.clear();
        } else if line == "}" || trimmed.ends_with(['{', ';']) {
            text.clear();
        }
    }
}

/// The name of the function or struct that begins in this line.
fn named(line: &str) -> Option<&str> {
    let item = line.strip_prefix("pub(crate) ").unwrap_or(line);
    let item = item.strip_prefix("const ").unwrap_or(item);
    let item = item.strip_prefix("fn ").or(item.strip_prefix("struct "))?;
    Some(name(item))
}

fn name(text: &str) -> &str {
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_'));
    text.get(..end.unwrap_or(text.len())).unwrap_or_default()
}

/// The skeleton with documentation.
fn written(skeleton: &str, docs: &Docs) -> Result<String, Box<dyn Error>> {
    let mut stub = String::new();
    let mut class = String::new();
    // The signature that is being read, line by line.
    let mut signature: Vec<&str> = Vec::new();
    let mut short: Vec<(String, &str)> = Vec::new();
    for line in skeleton.lines() {
        let trimmed = line.trim_start();
        if let Some((name, long)) = line
            .strip_prefix("# let ")
            .and_then(|line| line.split_once(" = "))
        {
            short.push((format!("{{{name}}}"), long));
            continue;
        }
        if let Some(of) = line.strip_prefix("class ") {
            class = format!("{}.", name(of));
            let _ = writeln!(stub, "{line}");
            match docs.get(name(of)) {
                Some(text) => stub += &quoted(text, "    "),
                None if of.starts_with('_') => {}
                None => return Err(format!("{} has no documentation", name(of)).into()),
            }
            continue;
        }
        if line == "# names" {
            stub += &names(skeleton);
            continue;
        }
        if let Some(own_verbs) = trimmed.strip_prefix("# verbs:") {
            stub += &verbs(own_verbs.trim());
            continue;
        }
        if trimmed.starts_with("def ") || !signature.is_empty() {
            if !line.starts_with(' ') && trimmed.starts_with("def ") {
                class.clear();
            }
            signature.push(line);
            if let Some((last, twin)) = ended(line) {
                signature.pop();
                signature.push(last);
                let full_signature = short
                    .iter()
                    .fold(signature.join("\n"), |text, (name, long)| {
                        text.replace(name, long)
                    });
                stub += &method(&folded(&full_signature), twin, &class, docs)?;
                signature.clear();
            } else if line.ends_with(':') {
                // It has its own documentation, because a macro generates it in Rust.
                let _ = writeln!(stub, "{}", signature.join("\n"));
                signature.clear();
            }
            continue;
        }
        let _ = writeln!(stub, "{line}");
    }
    Ok(stub)
}

/// The module's exports: all top-level names, including twins.
fn names(skeleton: &str) -> String {
    let mut names = Vec::new();
    // The function whose signature is being read.
    let mut is_outside = false;
    for line in skeleton.lines() {
        let kind = ["class ", "def "]
            .iter()
            .find_map(|kind| line.strip_prefix(kind));
        match (kind, line.split_once(": ")) {
            (Some(of), _) => names.push(name(of)),
            // A constant, not a type alias.
            (None, Some((of, _))) if name(of) == of && !line.contains('=') => names.push(of),
            _ => {}
        }
        is_outside = line.starts_with("def ") || (is_outside && !line.is_empty());
        if let (true, Some((_, Some(twin)))) = (is_outside, ended(line)) {
            names.push(twin);
        }
        is_outside = is_outside && ended(line).is_none();
    }
    names.retain(|name| !name.starts_with('_') || *name == "__version__");
    names.sort_unstable();
    let names: String = names
        .iter()
        .map(|name| format!("    \"{name}\",\n"))
        .collect();
    format!("__all__ = [\n{names}]\n")
}

/// The last line of a signature without its dots, and the twin's name if it has one.
fn ended(line: &str) -> Option<(&str, Option<&str>)> {
    match line.split_once(": ...") {
        Some((last, "")) => Some((last, None)),
        Some((last, remainder)) => {
            Some((last, Some(remainder.trim_start().strip_prefix("# and ")?)))
        }
        None => None,
    }
}

/// A signature in lines that are not too long.
fn folded(signature: &str) -> String {
    if signature.lines().all(|line| line.len() <= LINE_WIDTH) {
        return signature.to_owned();
    }
    let (Some((head, remainder)), indent) = (
        signature.split_once('('),
        signature.len() - signature.trim_start().len(),
    ) else {
        return signature.to_owned();
    };
    let (parameters, result) = remainder.rsplit_once(") -> ").unwrap_or((remainder, ""));
    let parameters: Vec<_> = parameters.split_whitespace().collect();
    let parameters = parameters.join(" ");
    let (outer, inner) = (" ".repeat(indent), " ".repeat(indent + 4));
    let mut lines = vec![String::new()];
    for part in parameters.trim_end_matches(',').split(", ") {
        match lines.last_mut() {
            Some(last) if last.is_empty() => last.push_str(part),
            Some(last) if inner.len() + last.len() + part.len() + 3 <= LINE_WIDTH => {
                *last += ", ";
                *last += part;
            }
            _ => lines.push(part.to_owned()),
        }
    }
    let last = if parameters.ends_with('/') { "" } else { "," };
    let parameters = lines.join(&format!(",\n{inner}"));
    format!("{head}(\n{inner}{parameters}{last}\n{outer}) -> {result}")
}

/// A method, and its twin.
fn method(
    signature: &str,
    twin: Option<&str>,
    class: &str,
    docs: &Docs,
) -> Result<String, Box<dyn Error>> {
    let (_, method_name) = signature.split_once("def ").ok_or("no signature")?;
    let method_name = name(method_name);
    let indent = if class.is_empty() { "    " } else { "        " };
    let text = |name: &str| docs.get(&format!("{class}{name}"));
    let mut stub = match text(method_name) {
        // Python documents its special methods.
        _ if method_name.starts_with('_') => format!("{signature}: ...\n"),
        Some(text) => format!("{signature}:\n{}", quoted(text, indent)),
        None => return Err(format!("{class}{method_name} has no documentation").into()),
    };
    if let Some(twin) = twin {
        let (parameters, result) = signature.rsplit_once(" -> ").ok_or("nothing comes back")?;
        let parameters =
            parameters.replacen(&format!("def {method_name}("), &format!("def {twin}("), 1);
        let later = format!("{method_name}(), in a coroutine.");
        let docstring = quoted(text(twin).unwrap_or(&later), indent);
        let _ = write!(stub, "{parameters} -> _Later[{result}]:\n{docstring}");
    }
    Ok(stub)
}

/// The verbs, in the form of the module's macro.
fn verbs(verb_doc: &str) -> String {
    let mut stub = String::new();
    for method in ["GET", "DELETE", "POST", "PUT", "PATCH"] {
        let verb = method.to_lowercase();
        let body = match method {
            "GET" | "DELETE" => "",
            _ => {
                "        content: bytes | None = None, data: _Params | None = None, json: Any = None,\n"
            }
        };
        let verb_doc = match verb_doc {
            "" => String::new(),
            verb_doc => format!("        {verb_doc},\n"),
        };
        let parameters = format!(
            "        self, url: str, *, headers: Mapping[str, str] | None = None, params: _Params | None = None,\n{body}{verb_doc}        \
             timeout: float | None = None, on_rate_limit: _OnRateLimit | None = None,\n        \
             longest_wait: float | None = None,\n    "
        );
        let _ = write!(
            stub,
            "    def {verb}(\n{parameters}) -> Response:\n        \
             \"\"\"request(\"{method}\", url): the response, with the same keywords and errors.\n\n        \
             A status of 400 or above is not an error in itself: see Response.raise_for_status().\n        \
             \"\"\"\n    def a{verb}(\n{parameters}) -> _Later[Response]:\n        \
             \"\"\"{verb}(), in a coroutine.\"\"\"\n"
        );
    }
    stub
}

fn quoted(text: &str, indent: &str) -> String {
    let lines: Vec<_> = text.lines().collect();
    match lines[..] {
        [line] => format!("{indent}\"\"\"{line}\"\"\"\n"),
        _ => {
            let lines = lines.join(&format!("\n{indent}"));
            let lines = lines.replace(&format!("\n{indent}\n"), "\n\n");
            format!("{indent}\"\"\"{lines}\n{indent}\"\"\"\n")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUST: &str = "/// A thing.\n#[pyclass]\npub(crate) struct Thing;\n\n#[pymethods]\nimpl Thing {\n    \
        /// Does it.\n    ///\n    /// At once.\n    #[pyo3(signature = (a = None))]\n    fn run(&self) {}\n\n    \
        /// run(), in a coroutine.\n    fn arun(&self) {}\n}\n\n/// Makes one.\n#[pyfunction]\npub(crate) fn make() {}\n";

    #[test]
    fn stub_signatures_get_the_rust_documentation() {
        let mut docs = Docs::new();
        read(RUST, &mut docs);
        let skeleton = "# names\nclass Thing:\n    def run(\n        self, a: int\n    ) -> str: ...  # and arun\n    \
            def __len__(self) -> int: ...\n\ndef make() -> Thing: ...\n";
        let stub = "__all__ = [\n    \"Thing\",\n    \"make\",\n]\nclass Thing:\n    \"\"\"A thing.\"\"\"\n    def run(\n        self, a: int\n    ) -> str:\n        \
            \"\"\"Does it.\n\n        At once.\n        \"\"\"\n    def arun(\n        self, a: int\n    ) -> _Later[str]:\n        \
            \"\"\"run(), in a coroutine.\"\"\"\n    def __len__(self) -> int: ...\n\ndef make() -> Thing:\n    \"\"\"Makes one.\"\"\"\n";
        assert_eq!(written(skeleton, &docs).expect("a stub"), stub);
        assert!(written("def other() -> None: ...\n", &docs).is_err());
        assert!(written("class Other:\n", &docs).is_err());
    }
}
