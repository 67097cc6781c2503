//! Filter expressions: conditions on a run, combined with `and`, `or`, `not` and parentheses, as cargo-nextest's filters are.
//!
//! ```text
//! expression = term { ("or" | "|") term }
//! term       = factor { ["and" | "&" | ","] factor }
//! factor     = ("not" | "!") factor | "(" expression ")" | key operator value
//! operator   = "=" | "!=" | "<" | "<=" | ">" | ">=" | "~" | "!~"
//! ```
//!
//! `~` is “contains”. Two numbers are compared as numbers, everything else as text. A value with spaces or signs stands in quotes.

use std::cmp::Ordering;
use std::iter::Peekable;
use std::str::{CharIndices, FromStr};

use crate::value::Value;

/// Conditions on a run, such as `optimizer=adam and (lr<0.1 or seed=0)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter(Node);

#[derive(Clone, Debug, PartialEq)]
enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    Is(Comparison),
}

#[derive(Clone, Debug, PartialEq)]
struct Comparison {
    key: String,
    operator: Operator,
    value: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Below,
    AtMost,
    Above,
    AtLeast,
    Contains,
    Lacks,
}

/// Longer operators first, so that `<=` is not read as `<`.
const OPERATORS: [(&str, Operator); 8] = [
    ("!=", Operator::NotEqual),
    ("!~", Operator::Lacks),
    ("<=", Operator::AtMost),
    (">=", Operator::AtLeast),
    ("=", Operator::Equal),
    ("<", Operator::Below),
    (">", Operator::Above),
    ("~", Operator::Contains),
];

/// Deeper than any expression that a person writes, and shallow enough for any stack.
const MAX_DEPTH: usize = 64;

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Open,
    Close,
    And,
    Or,
    Not,
    Compare(Operator),
    /// The text, and whether it stood in quotes.
    Word(String, bool),
}

impl Token {
    fn text(&self) -> String {
        match self {
            Token::Open => "(".into(),
            Token::Close => ")".into(),
            Token::And => "and".into(),
            Token::Or => "or".into(),
            Token::Not => "not".into(),
            Token::Compare(of) => OPERATORS.iter().find(|(_, o)| o == of).map_or("", |(text, _)| text).into(),
            Token::Word(word, _) => word.clone(),
        }
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = vec![];
    let mut chars = text.char_indices().peekable();
    while let Some(&(at, c)) = chars.peek() {
        if let Some((sign, operator)) = OPERATORS.into_iter().find(|(sign, _)| text[at..].starts_with(sign)) {
            chars.nth(sign.len() - 1);
            tokens.push(Token::Compare(operator));
            continue;
        }
        match c {
            '\'' | '"' => tokens.push(Token::Word(quoted(text, &mut chars)?, true)),
            '(' | ')' | '&' | '|' | '!' | ',' => {
                chars.next();
                tokens.push(match c {
                    '(' => Token::Open,
                    ')' => Token::Close,
                    '|' => Token::Or,
                    '!' => Token::Not,
                    _ => Token::And,
                });
            }
            c if c.is_whitespace() => {
                chars.next();
            }
            _ => {
                let mut word = String::new();
                while let Some((_, c)) = chars.next_if(|(_, c)| !c.is_whitespace() && !"()&|!,<>=~'\"".contains(*c)) {
                    word.push(c);
                }
                tokens.push(Token::Word(word, false));
            }
        }
    }
    Ok(tokens)
}

fn quoted(text: &str, chars: &mut Peekable<CharIndices<'_>>) -> Result<String, String> {
    let Some((at, quote)) = chars.next() else { return Ok(String::new()) };
    let mut word = String::new();
    for (_, c) in chars.by_ref() {
        if c == quote {
            return Ok(word);
        }
        word.push(c);
    }
    Err(format!("the quote before `{}` is not closed", &text[at + 1..]))
}

struct Parser {
    tokens: Peekable<std::vec::IntoIter<Token>>,
    depth: usize,
}

impl Parser {
    fn word_is(&mut self, name: &str) -> bool {
        matches!(self.tokens.peek(), Some(Token::Word(word, false)) if word == name)
    }

    fn take(&mut self, token: &Token, word: &str) -> bool {
        let there = self.tokens.peek() == Some(token) || self.word_is(word);
        if there {
            self.tokens.next();
        }
        there
    }

    fn expression(&mut self) -> Result<Node, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(format!("more than {MAX_DEPTH} parentheses and `not`s in each other"));
        }
        let mut terms = vec![self.term()?];
        while self.take(&Token::Or, "or") {
            terms.push(self.term()?);
        }
        self.depth -= 1;
        Ok(if terms.len() == 1 { terms.remove(0) } else { Node::Any(terms) })
    }

    fn term(&mut self) -> Result<Node, String> {
        let mut factors = vec![self.factor()?];
        loop {
            let and = self.take(&Token::And, "and");
            let ends = matches!(self.tokens.peek(), None | Some(Token::Close | Token::Or)) || self.word_is("or");
            if ends && !and {
                break;
            }
            factors.push(self.factor()?);
        }
        Ok(if factors.len() == 1 { factors.remove(0) } else { Node::All(factors) })
    }

    fn factor(&mut self) -> Result<Node, String> {
        if self.take(&Token::Not, "not") {
            self.depth += 1;
            if self.depth > MAX_DEPTH {
                return Err(format!("more than {MAX_DEPTH} parentheses and `not`s in each other"));
            }
            let of = self.factor()?;
            self.depth -= 1;
            return Ok(Node::Not(Box::new(of)));
        }
        match self.tokens.next() {
            Some(Token::Open) => {
                let inner = self.expression()?;
                match self.tokens.next() {
                    Some(Token::Close) => Ok(inner),
                    Some(other) => Err(format!("expected `)` before `{}`", other.text())),
                    None => Err("a `(` is not closed".into()),
                }
            }
            Some(Token::Word(key, false)) => self.comparison(key).map(Node::Is),
            Some(other) => Err(format!("expected a condition such as lr<0.1 instead of `{}`", other.text())),
            None => Err("a condition such as lr<0.1 is missing at the end".into()),
        }
    }

    fn comparison(&mut self, key: String) -> Result<Comparison, String> {
        let Some(Token::Compare(operator)) = self.tokens.next_if(|t| matches!(t, Token::Compare(_))) else {
            return Err(format!("`{key}` is not compared with anything; write {key}=value, with = != < <= > >= ~ !~"));
        };
        match self.tokens.next() {
            Some(Token::Word(value, _)) => Ok(Comparison { key, operator, value }),
            _ => Err(format!("`{key}{}` needs a value", Token::Compare(operator).text())),
        }
    }
}

impl FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let tokens = tokens(text)?;
        if tokens.is_empty() {
            return Err("an empty filter selects everything; leave it out".into());
        }
        let mut parser = Parser { tokens: tokens.into_iter().peekable(), depth: 0 };
        let node = parser.expression()?;
        match parser.tokens.next() {
            None => Ok(Filter(node)),
            Some(other) => Err(format!("nothing is open that `{}` could close", other.text())),
        }
    }
}

impl Filter {
    /// Whether a run matches; `value` gives what it has under a key. Under a key that it does not have, no comparison holds.
    pub fn matches(&self, value: impl Fn(&str) -> Option<Value>) -> bool {
        self.0.holds(&value)
    }

    /// Every key that is compared.
    pub fn keys(&self) -> Vec<&str> {
        let mut keys = vec![];
        self.0.keys(&mut keys);
        keys
    }
}

impl Node {
    fn holds(&self, value: &impl Fn(&str) -> Option<Value>) -> bool {
        match self {
            Node::All(nodes) => nodes.iter().all(|n| n.holds(value)),
            Node::Any(nodes) => nodes.iter().any(|n| n.holds(value)),
            Node::Not(node) => !node.holds(value),
            Node::Is(comparison) => value(&comparison.key).is_some_and(|v| comparison.holds(&v)),
        }
    }

    fn keys<'a>(&'a self, into: &mut Vec<&'a str>) {
        match self {
            Node::All(nodes) | Node::Any(nodes) => nodes.iter().for_each(|n| n.keys(into)),
            Node::Not(node) => node.keys(into),
            Node::Is(comparison) => into.push(&comparison.key),
        }
    }
}

impl Comparison {
    fn holds(&self, value: &Value) -> bool {
        let order = match (value.number(), self.value.parse::<f64>()) {
            (Some(a), Ok(b)) => a.partial_cmp(&b),
            _ => (value.to_string() == self.value).then_some(Ordering::Equal),
        };
        match self.operator {
            Operator::Equal => order.is_some_and(Ordering::is_eq),
            Operator::NotEqual => !order.is_some_and(Ordering::is_eq),
            Operator::Below => order.is_some_and(Ordering::is_lt),
            Operator::Above => order.is_some_and(Ordering::is_gt),
            Operator::AtMost => order.is_some_and(Ordering::is_le),
            Operator::AtLeast => order.is_some_and(Ordering::is_ge),
            Operator::Contains => value.to_string().contains(&self.value),
            Operator::Lacks => !value.to_string().contains(&self.value),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run(key: &str) -> Option<Value> {
        Some(match key {
            "lr" => Value::Float(0.1),
            "optimizer" => Value::Text("adam".into()),
            "arm" => Value::Text("adam lr=0.1".into()),
            "study" => Value::Text("lr_study".into()),
            "seed" => Value::Int(3),
            _ => return None,
        })
    }

    fn holds(filter: &str) -> bool {
        filter.parse::<Filter>().unwrap().matches(run)
    }

    #[test]
    fn comparisons_read_and_hold() {
        let yes = [
            "lr=0.1",
            "lr=1e-1",
            "lr<=0.1 optimizer=adam",
            "lr<1,lr>0.01",
            "optimizer!=sgd",
            "seed=3",
            "study=lr_study",
            "seed>=3",
            "study~_st",
            "optimizer !~ sg",
            "arm='adam lr=0.1'",
            r#"arm = "adam lr=0.1""#,
        ];
        for filter in yes {
            assert!(holds(filter), "{filter}");
        }
        for filter in ["lr=0.2", "lr>0.1", "optimizer=sgd", "seed<3", "momentum=0.9", "momentum!=0.9", "lr<0.1", "study!~lr"] {
            assert!(!holds(filter), "{filter}");
        }
    }

    #[test]
    fn conditions_combine() {
        let yes = [
            "optimizer=sgd or lr=0.1",
            "optimizer=sgd|lr=0.1",
            // `and` binds closer.
            "seed=3 or lr=1 and optimizer=sgd",
            "not optimizer=sgd",
            "!(optimizer=sgd or seed=4)",
            "not momentum=0.9",
            "!!lr=0.1",
            "(seed=1 | seed=3) & lr<1",
            "(seed=3)(lr=0.1)",
        ];
        for filter in yes {
            assert!(holds(filter), "{filter}");
        }
        for filter in ["(seed=3 or lr=1) and optimizer=sgd", "not seed=3", "not (seed=3)", "seed=1 or not lr=0.1"] {
            assert!(!holds(filter), "{filter}");
        }
        assert_eq!("lr=1 or not (foo=2, seed=1)".parse::<Filter>().unwrap().keys(), ["lr", "foo", "seed"]);
    }

    #[test]
    fn what_is_no_filter_is_refused_with_a_reason() {
        let reason = |text: &str| text.parse::<Filter>().unwrap_err();
        insta::assert_snapshot!(
            ["", "lr", "=3", "lr=", "lr==1", "lr=1 or", "and lr=1", "(lr=1", "lr=1)", "arm='x", "lr=(1)", "lr 0.1"]
                .map(|text| format!("{text:<10} {}", reason(text)))
                .join("\n"),
            @r"
                       an empty filter selects everything; leave it out
            lr         `lr` is not compared with anything; write lr=value, with = != < <= > >= ~ !~
            =3         expected a condition such as lr<0.1 instead of `=`
            lr=        `lr=` needs a value
            lr==1      `lr=` needs a value
            lr=1 or    a condition such as lr<0.1 is missing at the end
            and lr=1   `and` is not compared with anything; write and=value, with = != < <= > >= ~ !~
            (lr=1      a `(` is not closed
            lr=1)      nothing is open that `)` could close
            arm='x     the quote before `x` is not closed
            lr=(1)     `lr=` needs a value
            lr 0.1     `lr` is not compared with anything; write lr=value, with = != < <= > >= ~ !~
            "
        );
        assert!(reason(&format!("{}lr=1", "(".repeat(100_000))).contains("more than 64"));
        assert!(reason(&format!("{}lr=1", "!".repeat(100_000))).contains("more than 64"));
    }

    proptest! {
        #[test]
        fn any_text_is_a_filter_or_an_error(text in r"[a-z0-9.()&|!,<>=~'\x22 -]{0,40}") {
            let _ = text.parse::<Filter>();
        }

        #[test]
        fn de_morgan(a in 0..5i64, b in 0..5i64) {
            prop_assert_eq!(holds(&format!("not (seed={a} or seed<{b})")), holds(&format!("!seed={a} & !seed<{b}")));
        }
    }
}
