//! Several values on one line, with a space between them. In a value, what would end it is written as `%` and two
//! hexadecimal digits (RFC 3986); nothing at all is a `%` alone.

/// The line.
#[must_use]
pub fn join(words: impl IntoIterator<Item = String>) -> String {
    let mut text = String::new();
    for (place, word) in words.into_iter().enumerate() {
        if place > 0 {
            text.push(' ');
        }
        if word.is_empty() {
            text.push('%');
        }
        for character in word.chars() {
            match character {
                ' ' => text.push_str("%20"),
                '%' => text.push_str("%25"),
                '\n' => text.push_str("%0a"),
                other => text.push(other),
            }
        }
    }
    text
}

/// The values of a line.
#[must_use]
pub fn split(text: &str) -> Vec<String> {
    text.split(' ').filter(|word| !word.is_empty()).map(plain).collect()
}

fn plain(word: &str) -> String {
    if word == "%" {
        String::new()
    } else {
        word.replace("%20", " ").replace("%0a", "\n").replace("%25", "%")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_words_come_back(words in prop::collection::vec("[ %0-9a\n]{0,6}", 0..5)) {
            prop_assert_eq!(split(&join(words.clone())), words);
        }
    }
}
