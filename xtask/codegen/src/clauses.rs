//! The index of clauses: which file implements which section of which document, from the citations in comments.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use crate::{HEADER, root};

/// The crates whose comments are read.
const CRATES: &str =
    "oauth-core oauth-crypto oauth-session oauth-reqwest oauth-providers oauth-web";

/// The words that precede the name of an item.
const KEYWORDS: &str = "pub pub(crate) pub(super) async const static unsafe fn struct enum trait type mod macro_rules! ";

/// The documents without a number, as they are cited, one in each line.
const NAMED: &str = "\
CIBA Core
FAPI 2.0 Message Signing
FAPI 2.0 Security Profile
Fetch standard
JARM
Model Context Protocol
Multiple Response Type Encoding Practices
OAuth 2.1
OAuth SPIFFE Client Authentication
OpenID Connect Back-Channel Logout
OpenID Connect Core
OpenID Connect Discovery
OpenID Connect Dynamic Client Registration
OpenID Connect Front-Channel Logout
OpenID Connect RP-Initiated Logout
OpenID Connect Session Management
SEC 1
SPIFFE-ID";

/// What precedes the number of a section.
const SIGNS: [&str; 5] = [
    "section ",
    "sections ",
    "Section ",
    "appendix ",
    "#section-",
];

const INTRODUCTION: &str = "\
# Clauses

Where the sections of the standards are implemented: document by document, each section with the files that cite it,
and the items to which the citations belong. A file without an item cites the section in its first lines. Paths are
relative to `src`; those of other crates begin with the name of the crate. The rules of the Model Context Protocol,
whose sections have no numbers, are in `flow/resource_connection*` and `protected_resource_metadata.rs`.
";

/// A clause: a document and a section of it.
type Clause = (String, String);

/// The places of each clause: a file, and an item in it, which is empty for the whole file.
type Index = BTreeMap<Clause, BTreeSet<(PathBuf, String)>>;

/// The page.
pub(crate) fn page(_: &str) -> Result<String, Box<dyn Error>> {
    let mut index = Index::new();
    for name in CRATES.split(' ') {
        let src = root().join("crates").join(name).join("src");
        for file in rust_files(&src)? {
            collect(&file, &src, &fs::read_to_string(&file)?, &mut index);
        }
    }
    let mut documents: BTreeMap<&str, Vec<(&str, String)>> = BTreeMap::new();
    for ((document, section), places) in &index {
        let rows = documents.entry(document).or_default();
        rows.push((section, links(places)));
    }
    let mut page = format!("<!-- {HEADER} -->\n\n{INTRODUCTION}");
    for (document, mut rows) in documents {
        rows.sort_by_key(|(section, _)| section_order(section));
        page += &format!("\n## {document}\n\n| section | where |\n| --- | --- |\n");
        for (section, links) in rows {
            page += &format!("| {section} | {links} |\n");
        }
    }
    Ok(page)
}

/// The source files below a folder, without tests.
fn rust_files(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() && name != "tests" {
            files.extend(rust_files(&path)?);
        } else if name.ends_with(".rs") && !name.ends_with("tests.rs") {
            files.push(path);
        }
    }
    Ok(files)
}

/// Links to the files of a clause, each with its items.
fn links(places: &BTreeSet<(PathBuf, String)>) -> String {
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for (file, item) in places {
        let crates = root().join("crates");
        let path = file.strip_prefix(&crates).unwrap_or(file);
        let path = path.to_string_lossy().replace('\\', "/");
        let link = match path.strip_prefix("oauth-core/") {
            Some(path) => format!("[{}]({path})", path.trim_start_matches("src/")),
            None => format!("[{}](../{path})", path.replacen("/src/", ": ", 1)),
        };
        let items = files.entry(link).or_default();
        if !item.is_empty() {
            *items += if items.is_empty() { " " } else { ", " };
            *items += &format!("`{item}`");
        }
    }
    let files = files.iter().map(|(link, items)| format!("{link}{items}"));
    files.collect::<Vec<_>>().join("; ")
}

/// The key by which sections are sorted: by their numbers, and appendices last.
fn section_order(section: &str) -> Vec<(u32, &str)> {
    let parts = section.split('.');
    let parts = parts.map(|part| (part.parse().unwrap_or(u32::MAX), part));
    parts.collect()
}

/// Adds the citations in one file: those in comments, and in strings the ones with a document.
fn collect(file: &Path, src: &Path, text: &str, index: &mut Index) {
    let text = text.split("#[cfg(test)]\nmod tests {").next();
    let lines: Vec<&str> = text.unwrap_or_default().lines().collect();
    let (mut primary, mut outer, mut inner) = (None, String::new(), String::new());
    let mut next = 0;
    while let Some(line) = lines.get(next) {
        let sign = comment_sign(line);
        let of_block = |line: &&&str| comment_sign(line) == sign;
        let length = match sign {
            Some(_) => lines[next..].iter().take_while(of_block).count(),
            None => 1,
        };
        let block = lines[next..next + length].iter();
        let text = block.map(|line| {
            line.trim()
                .trim_start_matches(sign.unwrap_or_default())
                .trim()
        });
        let text = text.collect::<Vec<_>>().join(" ");
        next += length;
        let declares = |line: &&&str| !line.trim().starts_with("#[");
        let item = match sign {
            Some("//!") => String::new(),
            Some("///") => lines[next..]
                .iter()
                .find(declares)
                .map_or_else(String::new, |line| qualified(line, &outer)),
            Some(_) => inner.clone(),
            None => {
                if is_item(line) || line.ends_with("! {") {
                    inner = qualified(line, &outer);
                }
                if !line.is_empty() && !line.starts_with([' ', '}', ')']) {
                    outer = if is_item(line) {
                        inner.clone()
                    } else {
                        String::new()
                    };
                }
                inner.clone()
            }
        };
        let mut none = None;
        let primary = if sign.is_some() {
            &mut primary
        } else {
            &mut none
        };
        for (clause, named_file) in citations(&text, primary, sign == Some("//!")) {
            let other = named_file.and_then(|name| resolve(&name, file, src));
            let place = other.map(|other| (other, String::new()));
            let places = index.entry(clause).or_default();
            places.insert(place.unwrap_or_else(|| (file.to_owned(), item.clone())));
        }
    }
}

/// The comment sign that a line begins with.
fn comment_sign(line: &str) -> Option<&'static str> {
    let begins = |sign: &&str| line.trim_start().starts_with(sign);
    ["//!", "///", "//"].into_iter().find(begins)
}

/// Whether a line begins an item.
fn is_item(line: &str) -> bool {
    let mut words = KEYWORDS.split_inclusive(' ');
    line.starts_with("impl") || words.any(|word| line.trim_start().starts_with(word))
}

/// The name of the item, field or variant that a line declares, with that of the item around it. An `impl` has the name
/// of its type.
fn qualified(line: &str, outer: &str) -> String {
    let mut declaration = line.trim_start();
    if let Some(header) = line.strip_prefix("impl") {
        let implementor = header.rsplit(" for ").next().unwrap_or_default();
        let generics = implementor.starts_with('<').then(|| implementor.find("> "));
        declaration = implementor[generics.flatten().map_or(0, |end| end + 1)..].trim_start();
    }
    let shorter = |text: &'_ str| {
        KEYWORDS
            .split_inclusive(' ')
            .find_map(|word| Some(text.len() - text.strip_prefix(word)?.len()))
    };
    while let Some(keyword) = shorter(declaration) {
        declaration = &declaration[keyword..];
    }
    let end = declaration.find(|c: char| !c.is_alphanumeric() && c != '_');
    let name = &declaration[..end.unwrap_or(declaration.len())];
    match outer {
        "" => name.to_owned(),
        _ if !line.starts_with(' ') => name.to_owned(),
        outer => format!("{outer}::{name}"),
    }
}

/// The clauses that a text cites, each with the file that the same sentence of a file's head names. A section without a
/// document is one of the document cited before, or else of the first one in the head of the file (`primary`).
fn citations(
    text: &str,
    primary: &mut Option<String>,
    is_head: bool,
) -> Vec<(Clause, Option<String>)> {
    let mut found = Vec::new();
    let mut current = None;
    for sentence in text
        .split_inclusive([';', '.'])
        .fold(Vec::new(), join_pieces)
    {
        let mut from = 0;
        while let Some((start, length)) = next_token(&sentence[from..]) {
            let (token, end) = (&sentence[from + start..][..length], from + start + length);
            from = end;
            if !SIGNS.contains(&token) {
                current = Some(token.to_owned());
                if is_head && primary.is_none() {
                    primary.clone_from(&current);
                }
                continue;
            }
            let (sections, rest) = sections(&sentence[end..]);
            from = sentence.len() - rest.len();
            let following = rest.strip_prefix(" of ").and_then(|rest| {
                let (start, length) = next_token(rest)?;
                (start == 0).then(|| rest[..length].to_owned())
            });
            let Some(document) = following
                .or_else(|| current.clone())
                .or_else(|| primary.clone())
            else {
                continue;
            };
            let named_file = is_head.then(|| file_reference(&sentence, end)).flatten();
            let clauses = sections
                .into_iter()
                .map(|section| (document.clone(), section));
            found.extend(clauses.map(|clause| (clause, named_file.clone())));
        }
    }
    found
}

/// Joins the pieces of a text that was split at `.` and `;`, except where a sentence or a part of one ended.
fn join_pieces(mut sentences: Vec<String>, piece: &str) -> Vec<String> {
    match sentences.last_mut() {
        Some(last) if !piece.starts_with(' ') => last.push_str(piece),
        _ => sentences.push(piece.to_owned()),
    }
    sentences
}

/// Where the next document or sign of a section begins in a text, and its length.
fn next_token(text: &str) -> Option<(usize, usize)> {
    let fixed = NAMED.lines().chain(SIGNS);
    let fixed = fixed.filter_map(|name| Some((text.find(name)?, name.len())));
    let numbered = ["RFC ", "draft-"].into_iter().filter_map(|prefix| {
        let start = text.find(prefix)?;
        let name = &text[start + prefix.len()..];
        let end = name.find(|c: char| !(c.is_alphanumeric() || c == '-'));
        Some((start, prefix.len() + end.unwrap_or(name.len())))
    });
    let tokens = fixed.chain(numbered);
    tokens.min_by_key(|(start, length)| (*start, usize::MAX - length))
}

/// The section numbers at the beginning of a text, such as `2.1, 3 and 4)`, and what follows them.
fn sections(mut text: &str) -> (Vec<String>, &str) {
    let mut found = Vec::new();
    loop {
        let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '.'));
        let (section, rest) = text.split_at(end.unwrap_or(text.len()));
        let section = section.trim_end_matches('.');
        let number = section.strip_prefix(|c: char| c.is_ascii_uppercase());
        let is_number = |text: &str| text.chars().all(|c| c.is_ascii_digit() || c == '.');
        if section.is_empty() || !is_number(number.unwrap_or(section)) {
            return (found, text);
        }
        found.push(section.to_owned());
        let signs = [", ", " and ", " to ", " or "];
        match signs.iter().find_map(|sign| rest.strip_prefix(sign)) {
            Some(next) if next.starts_with(|c: char| c.is_ascii_digit()) => text = next,
            _ => return (found, rest),
        }
    }
}

/// The source file that a sentence names after this position, or else the last one before it.
fn file_reference(sentence: &str, position: usize) -> Option<String> {
    let is_file = |span: &&str| span.ends_with(".rs");
    let (before, after) = sentence.split_at(position);
    let following = after.split('`').find(is_file);
    following
        .or_else(|| before.split('`').rfind(is_file))
        .map(str::to_owned)
}

/// The path of a file that a head names: from the folder of sources, or from the folder of the file itself.
fn resolve(name: &str, file: &Path, src: &Path) -> Option<PathBuf> {
    let mut paths = [src.join(name), file.with_file_name(name)].into_iter();
    paths.find(|path| path.exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index_of(text: &str) -> Vec<(String, String, String)> {
        let mut index = Index::new();
        collect(Path::new("a.rs"), Path::new("."), text, &mut index);
        let rows = index.into_iter().flat_map(|((document, section), places)| {
            places
                .into_iter()
                .map(move |(_, item)| (document.clone(), section.clone(), item))
        });
        rows.collect()
    }

    #[test]
    fn each_section_is_listed_with_the_item_that_cites_it() {
        let text = "//! Tokens.\n//!\n//! RFC 6749 <https://x/rfc6749#section-5.1>\n\nimpl Read for Token {\n    /// Reads it (sections 5.1\n    /// and 5.2).\n    #[must_use]\n    pub fn read() {\n        // OpenID Connect Core section 3.1.3.7.\n    }\n}\n\n/// The limit (RFC 7009 section 2).\npub(crate) const LIMIT: u8 = 1;\n#[cfg(test)]\nmod tests {\n    // RFC 1 section 1\n";
        let expected = [
            ("OpenID Connect Core", "3.1.3.7", "Token::read"),
            ("RFC 6749", "5.1", ""),
            ("RFC 6749", "5.1", "Token::read"),
            ("RFC 6749", "5.2", "Token::read"),
            ("RFC 7009", "2", "LIMIT"),
        ];
        let expected = expected.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned()));
        assert_eq!(index_of(text), expected);
    }

    #[test]
    fn a_section_that_a_head_ascribes_to_another_file_is_not_listed_for_its_own() {
        let text = "RFC 8414 section 2. The URLs (section 3.1) are in `url.rs`; the issuer (section 3.3) is in `x.rs`.";
        let found = citations(text, &mut None, true);
        let found: Vec<_> = found
            .iter()
            .map(|((_, section), file)| (&**section, file.as_deref()))
            .collect();
        assert_eq!(
            found,
            [("2", None), ("3.1", Some("url.rs")), ("3.3", Some("x.rs"))]
        );
    }

    #[test]
    fn sections_are_sorted_by_number_and_appendices_follow() {
        let mut sections = ["10", "A.2", "4.1.10", "4.1.2", "4"];
        sections.sort_by_key(|section| section_order(section));
        assert_eq!(sections, ["4", "4.1.2", "4.1.10", "10", "A.2"]);
    }
}
