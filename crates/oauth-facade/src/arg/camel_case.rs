//! Names as JavaScript writes them.

/// A name in camel case: `expires_at` becomes `expiresAt`.
pub fn camel(name: &str) -> String {
    let mut parts = name.split('_');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |name, part| {
        let mut letters = part.chars();
        let first = letters.next().map(|first| first.to_ascii_uppercase());
        name + &first.into_iter().chain(letters).collect::<String>()
    })
}
