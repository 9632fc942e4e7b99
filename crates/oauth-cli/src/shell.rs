//! Quoting for a POSIX shell.

/// One word of a POSIX shell, quoted if necessary.
pub(crate) fn quote(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=@%+,".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::quote;

    #[test]
    fn words_are_quoted_if_necessary() {
        assert_eq!(
            quote("http://127.0.0.1:1/a-b_c"),
            "http://127.0.0.1:1/a-b_c"
        );
        assert_eq!(quote(""), "''");
        assert_eq!(quote("a b~"), "'a b~'");
        assert_eq!(quote("it's $HOME"), r"'it'\''s $HOME'");
    }
}
