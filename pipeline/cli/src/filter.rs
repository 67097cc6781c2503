//! `--filter`: conditions on a run's configuration.

use std::str::FromStr;

use spec::{Config, Value};

/// All of several comparisons, such as `optimizer=adam lr<0.1 seed=0`.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter(Vec<Comparison>);

#[derive(Clone, Debug, PartialEq)]
struct Comparison {
    key: String,
    operator: Operator,
    value: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    NotEqual,
    AtMost,
    AtLeast,
    Equal,
    Below,
    Above,
}

/// Longer operators first, so that `<=` is not read as `<`.
const OPERATORS: [(&str, Operator); 6] = [
    ("!=", Operator::NotEqual),
    ("<=", Operator::AtMost),
    (">=", Operator::AtLeast),
    ("=", Operator::Equal),
    ("<", Operator::Below),
    (">", Operator::Above),
];

impl FromStr for Filter {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        let parse = |word: &str| {
            let at = word
                .find(['!', '<', '>', '='])
                .ok_or_else(|| format!("`{word}` has no comparison; write key=value, with = != < <= > >="))?;
            let (key, rest) = word.split_at(at);
            let (text, operator) =
                OPERATORS.into_iter().find(|(text, _)| rest.starts_with(text)).ok_or_else(|| format!("`{word}` has no comparison"))?;
            let value = rest[text.len()..].to_owned();
            if key.is_empty() || value.is_empty() || value.starts_with(['=', '<', '>']) {
                return Err(format!("`{word}` needs a key and a value"));
            }
            Ok(Comparison { key: key.to_owned(), operator, value })
        };
        let comparisons = s.split([' ', ',']).filter(|w| !w.is_empty()).map(parse).collect::<Result<Vec<_>, _>>()?;
        if comparisons.is_empty() { Err("an empty filter selects everything; leave it out".into()) } else { Ok(Filter(comparisons)) }
    }
}

impl Filter {
    /// Whether a run matches. `study` and `seed` can be compared like keys; a key that the run does not have matches nothing.
    pub fn matches(&self, study: &str, config: &Config, seed: u64) -> bool {
        self.0.iter().all(|c| match c.key.as_str() {
            "study" => c.holds(&Value::Text(study.to_owned().into())),
            "seed" => i64::try_from(seed).is_ok_and(|s| c.holds(&Value::Int(s))),
            key => config.get(key).is_some_and(|v| c.holds(v)),
        })
    }

    /// Keys that no run could have.
    pub fn unknown_key(&self, known: &[&str]) -> Option<&str> {
        let known = |key: &str| key == "study" || key == "seed" || known.contains(&key);
        self.0.iter().map(|c| c.key.as_str()).find(|k| !known(k))
    }
}

impl Comparison {
    fn holds(&self, value: &Value) -> bool {
        let order = match (value.number(), self.value.parse::<f64>()) {
            (Some(a), Ok(b)) => a.partial_cmp(&b),
            _ => (value.to_string() == self.value).then_some(std::cmp::Ordering::Equal),
        };
        match self.operator {
            Operator::Equal => order.is_some_and(std::cmp::Ordering::is_eq),
            Operator::NotEqual => !order.is_some_and(std::cmp::Ordering::is_eq),
            Operator::Below => order.is_some_and(std::cmp::Ordering::is_lt),
            Operator::Above => order.is_some_and(std::cmp::Ordering::is_gt),
            Operator::AtMost => order.is_some_and(std::cmp::Ordering::is_le),
            Operator::AtLeast => order.is_some_and(std::cmp::Ordering::is_ge),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparisons_read_and_hold() {
        let mut config = Config::default();
        config.insert("lr", Value::Float(0.1));
        config.insert("optimizer", Value::Text("adam".into()));
        let holds = |filter: &str| filter.parse::<Filter>().unwrap().matches("lr_study", &config, 3);
        for yes in ["lr=0.1", "lr=1e-1", "lr<=0.1 optimizer=adam", "lr<1,lr>0.01", "optimizer!=sgd", "seed=3", "study=lr_study", "seed>=3"]
        {
            assert!(holds(yes), "{yes}");
        }
        for no in ["lr=0.2", "lr>0.1", "optimizer=sgd", "seed<3", "momentum=0.9", "lr<0.1"] {
            assert!(!holds(no), "{no}");
        }
        for bad in ["", "lr", "=3", "lr=", "lr==1"] {
            assert!(bad.parse::<Filter>().is_err(), "{bad}");
        }
        assert_eq!("lr=1 foo=2".parse::<Filter>().unwrap().unknown_key(&["lr"]), Some("foo"));
    }
}
