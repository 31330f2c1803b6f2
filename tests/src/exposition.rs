//! A strict reader of the text format of Prometheus, version 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats):
//! what it takes, every other one takes.

use std::collections::{BTreeMap, BTreeSet};

/// The samples of a page by their series, labels in the order of their names.
#[derive(Debug, Default)]
pub struct Page {
    samples: BTreeMap<(String, BTreeMap<String, String>), f64>,
}

impl Page {
    /// Reads a page.
    ///
    /// # Errors
    /// The line that is wrong, and how.
    pub fn parse(text: &str) -> Result<Page, String> {
        let mut page = Page::default();
        let (mut seen, mut family) = (BTreeSet::new(), (String::new(), String::new()));
        let mut help = None;
        if !text.is_empty() && !text.ends_with('\n') {
            return Err("the last line has no end".to_owned());
        }
        for line in text.lines() {
            let wrong = |why: &str| Err(format!("{why}: {line:?}"));
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let Some((name, _)) = rest.split_once(' ') else { return wrong("no help") };
                if !seen.insert(name.to_owned()) {
                    return wrong("a family comes twice");
                }
                help = Some(name.to_owned());
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let Some((name, kind)) = rest.split_once(' ') else { return wrong("no type") };
                if help.take().as_deref() != Some(name) || !["counter", "gauge"].contains(&kind) {
                    return wrong("a type without its help, or an unknown one");
                }
                if (kind == "counter") != name.ends_with("_total") || !is_name(name, true) {
                    return wrong("a bad name");
                }
                family = (name.to_owned(), kind.to_owned());
            } else {
                let (series, value) = sample(line)?;
                if series.0 != family.0 {
                    return wrong("a sample outside of its family");
                }
                if family.1 == "counter" && value < 0.0 {
                    return wrong("a counter below 0");
                }
                if page.samples.insert(series, value).is_some() {
                    return wrong("a sample comes twice");
                }
            }
        }
        if let Some(name) = help {
            return Err(format!("a family without samples: {name}"));
        }
        Ok(page)
    }

    /// A sample; the labels as `name=value`.
    #[must_use]
    pub fn get(&self, name: &str, labels: &[&str]) -> Option<f64> {
        let pairs = labels.iter().filter_map(|label| label.split_once('='));
        let labels = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        self.samples.get(&(name.to_owned(), labels)).copied()
    }

    /// How many samples there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }
}

type Series = (String, BTreeMap<String, String>);

fn is_name(text: &str, colons: bool) -> bool {
    let mut letters = text.chars();
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_' || (colons && c == ':');
    letters.next().is_some_and(letter) && letters.all(|c| letter(c) || c.is_ascii_digit())
}

fn sample(line: &str) -> Result<(Series, f64), String> {
    let wrong = |why: &str| format!("{why}: {line:?}");
    let (name, mut rest) = line.split_at(line.find(['{', ' ']).ok_or_else(|| wrong("no value"))?);
    if !is_name(name, true) {
        return Err(wrong("a bad name"));
    }
    let mut labels = BTreeMap::new();
    if let Some(mut inner) = rest.strip_prefix('{') {
        loop {
            let (label, after) = inner.split_once("=\"").ok_or_else(|| wrong("a bad label"))?;
            let (value, after) = quoted(after).ok_or_else(|| wrong("a bad value of a label"))?;
            if !is_name(label, false) || labels.insert(label.to_owned(), value).is_some() {
                return Err(wrong("a bad label, or one that comes twice"));
            }
            match after.strip_prefix(',') {
                Some(more) => inner = more,
                None => {
                    break rest = after.strip_prefix('}').ok_or_else(|| wrong("labels without an end"))?;
                }
            }
        }
    }
    let value = rest.strip_prefix(' ').ok_or_else(|| wrong("no value"))?;
    let plain = value.chars().all(|c| c.is_ascii_digit() || c == '.' || c == '-');
    let number = value.parse().ok().filter(|_| plain);
    Ok(((name.to_owned(), labels), number.ok_or_else(|| wrong("a bad value"))?))
}

/// The value up to its quote, and what comes after.
fn quoted(text: &str) -> Option<(String, &str)> {
    let (mut value, mut letters) = (String::new(), text.char_indices());
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, text.get(at + 1..)?)),
            '\\' => value.push(match letters.next()?.1 {
                'n' => '\n',
                same @ ('\\' | '"') => same,
                _ => return None,
            }),
            letter => value.push(letter),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_good_page_is_read_and_a_bad_one_is_not() {
        let good = "# HELP a_total A \\\\ thing.\n# TYPE a_total counter\na_total{x=\"1\\\"\\n\",y=\"\"} 2.5\na_total 0\n";
        let page = Page::parse(good).unwrap();
        assert_eq!(
            (page.get("a_total", &["x=1\"\n", "y="]), page.get("a_total", &[])),
            (Some(2.5), Some(0.0))
        );
        for (from, to) in [
            ("a_total 0\n", "a_total 0"),
            ("counter", "gauge"),
            ("# TYPE a_total counter\n", ""),
            ("a_total 0", "b_total 0"),
            ("a_total 0", "a_total"),
            ("a_total 0", "a_total x"),
            ("a_total 0", "a_total -1"),
            ("a_total 0", "a_total  0"),
            ("y=\"\"}", "y=\"\"}}"),
            ("y=\"\"", "x=\"\""),
            ("\\n", "\\t"),
            ("a_total 0\n", "a_total 0\na_total 0\n"),
        ] {
            assert!(Page::parse(&good.replacen(from, to, 1)).is_err(), "{from} {to}");
        }
    }
}
