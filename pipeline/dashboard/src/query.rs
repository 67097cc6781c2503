//! What stands behind the `?` of an address: read with bounds, and written again in links.

use form_urlencoded::Serializer;

/// Longer than any link of ours.
const MAX_LENGTH: usize = 8192;
const MAX_PAIRS: usize = 300;

/// Names and values, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub fn parse(text: &str) -> Self {
        let text = if text.len() > MAX_LENGTH { "" } else { text };
        Query(form_urlencoded::parse(text.as_bytes()).take(MAX_PAIRS).map(|(k, v)| (k.into_owned(), v.into_owned())).collect())
    }

    /// The first value of a name, unless it is empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(k, _)| k == name).map(|(_, v)| v.as_str()).filter(|v| !v.is_empty())
    }

    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(k, _)| k == name).map(|(_, v)| v.as_str())
    }

    /// The same with another value for a name.
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut pairs: Vec<_> = self.0.iter().filter(|(k, _)| k != name).cloned().collect();
        pairs.push((name.to_owned(), value.to_owned()));
        Query(pairs)
    }

    pub fn without(&self, name: &str) -> Self {
        Query(self.0.iter().filter(|(k, _)| k != name).cloned().collect())
    }

    /// With the `?`, if there is anything.
    pub fn link(&self) -> String {
        let pairs = self.0.iter().filter(|(_, v)| !v.is_empty());
        let text = Serializer::new(String::new()).extend_pairs(pairs).finish();
        if text.is_empty() { text } else { format!("?{text}") }
    }
}

/// A part of a path.
pub(crate) fn decoded(part: &str) -> String {
    // As in queries, but `+` is one.
    let part = part.replace('+', "%2B");
    form_urlencoded::parse(part.as_bytes()).next().map_or(String::new(), |(text, _)| text.into_owned())
}

/// A name as a part of a path.
pub(crate) fn encoded(name: &str) -> String {
    form_urlencoded::byte_serialize(name.as_bytes()).collect::<String>().replace('+', "%20")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn links_read_back(pairs in prop::collection::vec(("[a-z]{1,5}", ".{1,20}"), 0..6), name in ".{0,30}") {
            let query = Query(pairs);
            prop_assert_eq!(Query::parse(query.link().trim_start_matches('?')), query);
            prop_assume!(!name.contains(['&', '=']) && !name.is_empty());
            prop_assert_eq!(decoded(&encoded(&name)), name);
        }
    }
}
