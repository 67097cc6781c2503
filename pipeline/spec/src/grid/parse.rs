//! From TOML text to a [`Grid`]: every section, key and value is checked where it stands.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::range::spaced;
use super::{Axis, Block, Condition, Grid, Header, Limits, Setting, Span};
use crate::diagnostic::{Diagnostic, Source};
use crate::metric::{Metric, Quantity, Split};
use crate::value::Value;
use crate::vocabulary::{Key, Kind, Vocabulary, suggest, suggest_key};

type Result<T> = std::result::Result<T, Diagnostic>;
type Entry<'a, 'i> = &'a Spanned<DeValue<'i>>;

/// The sections of a grid file.
pub(crate) const SECTIONS: [&str; 8] = ["study", "base", "grid", "zip", "when", "exclude", "runs", "replicates"];

/// What the parser carries around.
struct Parser<'a> {
    source: Source<'a>,
    vocabulary: &'a Vocabulary,
    limits: Limits,
}

pub(super) fn parse(source: Source<'_>, vocabulary: &Vocabulary, limits: Limits) -> Result<Grid> {
    let document = DeTable::parse(source.text).map_err(|e| {
        let message = e.message().trim().replace('\n', "; ");
        source.error(e.span().unwrap_or(0..0), format!("not valid TOML: {message}"))
    })?;
    let root = document.get_ref();
    let p = Parser { source, vocabulary, limits };
    p.known(root, &SECTIONS, "section")?;
    let section = |name: &str| root.get(name);

    let study = section("study").ok_or_else(|| missing(source, "[study]", "question = \"…\""))?;
    let base = section("base").ok_or_else(|| missing(source, "[base]", "dataset, model, optimizer, lr, …"))?;
    let study = p.study(study)?;
    let base_settings = p.settings(p.table(base, "base")?, "[base]")?;

    let mut blocks = vec![Block::default()];
    if let Some(grid) = section("grid") {
        blocks[0].groups = p.product(p.table(grid, "grid")?, "[grid]")?;
    }
    for zip in p.tables(section("zip"), "zip")? {
        blocks[0].groups.push(p.zip(zip)?);
    }
    for when in p.tables(section("when"), "when")? {
        blocks.push(p.when(when)?);
    }
    for axis in blocks[0].groups.iter().flatten() {
        if base_settings.iter().any(|s| s.key == axis.key) {
            let message = format!("`{}` is fixed in [base] and varied here", axis.key);
            return Err(source.error(axis.span.clone(), message).help("remove one of the two"));
        }
    }
    let exclude = p.tables(section("exclude"), "exclude")?.into_iter().map(|t| p.condition(t, "[[exclude]]")).collect::<Result<_>>()?;
    let rows =
        p.tables(section("runs"), "runs")?.into_iter().map(|t| p.settings(p.table(t, "runs")?, "[[runs]]")).collect::<Result<_>>()?;
    let (seeds, seeds_span) = p.replicates(section("replicates"))?;
    // The header line of [base] is where a missing key would go.
    let base_span = base.span();
    Ok(Grid { study, base: base_settings, base_span, blocks, exclude, rows, seeds, seeds_span })
}

fn missing(source: Source<'_>, section: &str, content: &str) -> Diagnostic {
    source.error(0..0, format!("the section {section} is missing")).help(format!("add {section} with {content}"))
}

impl Parser<'_> {
    fn error(&self, span: Span, message: impl Into<String>) -> Diagnostic {
        self.source.error(span, message)
    }

    /// Refuses keys that are not in `known`.
    fn known(&self, table: &DeTable<'_>, known: &[&str], what: &str) -> Result<()> {
        match table.keys().find(|k| !known.contains(&k.get_ref().as_ref())) {
            None => Ok(()),
            Some(key) => {
                let name = key.get_ref();
                let error = self.error(key.span(), format!("unknown {what} `{name}`"));
                Err(error.suggest(suggest(name, known.iter().copied()), known))
            }
        }
    }

    fn table<'t, 'i>(&self, value: Entry<'t, 'i>, name: &str) -> Result<&'t DeTable<'i>> {
        match value.get_ref() {
            DeValue::Table(t) => Ok(t),
            _ => Err(self.error(value.span(), format!("`{name}` must be a table")).help(format!("write [{name}] on a line of its own"))),
        }
    }

    /// The entries of an array of tables; none when the section is absent.
    fn tables<'t, 'i>(&self, value: Option<Entry<'t, 'i>>, name: &str) -> Result<Vec<Entry<'t, 'i>>> {
        match value.map(|v| (v, v.get_ref())) {
            None => Ok(vec![]),
            Some((_, DeValue::Array(a))) => Ok(a.iter().collect()),
            Some((v, _)) => Err(self
                .error(v.span(), format!("`{name}` must be a list of tables"))
                .help(format!("write [[{name}]] with two brackets, once per entry"))),
        }
    }

    fn text(&self, value: Entry<'_, '_>, name: &str) -> Result<String> {
        match value.get_ref() {
            DeValue::String(s) if !s.trim().is_empty() => Ok(s.trim().to_owned()),
            _ => Err(self.error(value.span(), format!("`{name}` must be a text"))),
        }
    }

    fn study(&self, value: Entry<'_, '_>) -> Result<Header> {
        let table = self.table(value, "study")?;
        self.known(table, &["question", "hypothesis", "metric", "targets"], "key in [study]:")?;
        let question = table.get("question").ok_or_else(|| {
            self.error(value.span(), "[study] needs a `question`").help("question = \"What do learning rates that are too high do?\"")
        })?;
        let question = self.text(question, "question")?;
        let hypothesis = table.get("hypothesis").map(|h| self.text(h, "hypothesis")).transpose()?;
        let metric = match table.get("metric") {
            None => Metric::ALL[3],
            Some(m) => self.metric(&self.text(m, "metric")?, m.span())?,
        };
        let mut targets = vec![];
        if let Some(value) = table.get("targets") {
            for (key, value) in self.table(value, "targets")? {
                let metric = self.metric(key.get_ref(), key.span())?;
                let values = match value.get_ref() {
                    DeValue::Array(a) => a.iter().collect(),
                    _ => vec![value],
                };
                for v in values {
                    let number = self.float(v, "a target")?;
                    if metric.quantity == Quantity::Accuracy && !(0.0..=1.0).contains(&number) {
                        return Err(self.error(v.span(), format!("accuracies go from 0 to 1, so {number} is no target for `{metric}`")));
                    }
                    targets.push((metric, number));
                }
            }
        }
        Ok(Header { question, hypothesis, metric, targets })
    }

    /// A metric to decide on: not one of the test split, which is read once, at the end.
    fn metric(&self, name: &str, span: Span) -> Result<Metric> {
        let known: Vec<&str> = Metric::ALL.iter().filter(|m| m.split != Split::Test).map(|m| m.name()).collect();
        match name.parse::<Metric>() {
            Ok(m) if m.split != Split::Test => Ok(m),
            Ok(_) => Err(self
                .error(span, format!("`{name}` can't decide between arms: the test split is only read at the end of a run"))
                .help("decide on validation; the report states the test metric of what was chosen")),
            Err(()) => {
                let error = self.error(span, format!("unknown metric `{name}`"));
                Err(error.suggest(suggest(name, known.iter().copied()), &known))
            }
        }
    }

    fn replicates(&self, value: Option<Entry<'_, '_>>) -> Result<(Vec<u64>, Span)> {
        let Some(value) = value else { return Ok((vec![0], 0..0)) };
        let table = self.table(value, "replicates")?;
        self.known(table, &["seeds"], "key in [replicates]:")?;
        let seeds = table.get("seeds").ok_or_else(|| self.error(value.span(), "[replicates] needs `seeds`").help("seeds = 5"))?;
        let span = seeds.span();
        let wrong = |span| self.error(span, "`seeds` must be a count of at least 1, or a list of different seeds");
        let list: Vec<u64> = match seeds.get_ref() {
            DeValue::Integer(_) => {
                let n = self.int(seeds, "seeds")?;
                let n = u64::try_from(n).ok().filter(|n| *n >= 1).ok_or_else(|| wrong(span.clone()))?;
                self.within_limit(n, &span)?;
                (0..n).collect()
            }
            DeValue::Array(a) => a
                .iter()
                .map(|v| self.int(v, "a seed").and_then(|i| u64::try_from(i).map_err(|_| wrong(v.span()))))
                .collect::<Result<_>>()?,
            _ => return Err(wrong(span)),
        };
        let mut sorted = list.clone();
        sorted.sort_unstable();
        sorted.dedup();
        if list.is_empty() || sorted.len() != list.len() {
            return Err(wrong(span));
        }
        Ok((list, span))
    }

    fn within_limit(&self, n: u64, span: &Span) -> Result<()> {
        if n > self.limits.max_runs {
            let message = format!("{n} is more than the limit of {} runs", self.limits.max_runs);
            return Err(self.error(span.clone(), message).help("raise the limit with --max-runs"));
        }
        Ok(())
    }

    /// The declaration of a key.
    fn key(&self, key: &Spanned<std::borrow::Cow<'_, str>>, place: &str) -> Result<&Key> {
        let name = key.get_ref().as_ref();
        self.vocabulary.key(name).ok_or_else(|| {
            let mut known: Vec<&str> = self.vocabulary.keys().map(|(_, k)| k.name).collect();
            known.sort_unstable();
            known.dedup();
            let error = self.error(key.span(), format!("unknown key `{name}` in {place}"));
            error.suggest(suggest_key(name, known.iter().copied()), &known)
        })
    }

    fn settings(&self, table: &DeTable<'_>, place: &str) -> Result<Vec<Setting>> {
        table
            .iter()
            .map(|(key, value)| {
                let declared = self.key(key, place)?;
                Ok(Setting { key: declared.name, value: self.value(declared, value)?, span: key.span().start..value.span().end })
            })
            .collect()
    }

    /// Axes that are multiplied: each is a group of its own, with no value twice.
    fn product(&self, table: &DeTable<'_>, place: &str) -> Result<Vec<Vec<Axis>>> {
        let groups: Vec<Vec<Axis>> = self.axes(table, place)?.into_iter().map(|axis| vec![axis]).collect();
        groups.iter().try_for_each(|group| self.distinct(group))?;
        Ok(groups)
    }

    /// Refuses a group whose axes take the same values twice.
    fn distinct(&self, group: &[Axis]) -> Result<()> {
        let tuple = |i: usize| group.iter().map(move |axis| &axis.values[i].0);
        for i in 0..group.first().map_or(0, |a| a.values.len()) {
            if (0..i).any(|j| tuple(i).eq(tuple(j))) {
                let values: Vec<String> = group.iter().zip(tuple(i)).map(|(axis, v)| format!("`{}` = {v}", axis.key)).collect();
                return Err(self.error(group[0].values[i].1.clone(), format!("{} stands here twice", values.join(" with "))));
            }
        }
        Ok(())
    }

    fn axes(&self, table: &DeTable<'_>, place: &str) -> Result<Vec<Axis>> {
        table
            .iter()
            .map(|(key, value)| {
                let declared = self.key(key, place)?;
                Ok(Axis { key: declared.name, values: self.axis_values(declared, value)?, span: key.span().start..value.span().end })
            })
            .collect()
    }

    /// A list of values, or a range.
    fn axis_values(&self, key: &Key, value: Entry<'_, '_>) -> Result<Vec<(Value, Span)>> {
        let values: Vec<(Value, Span)> = match value.get_ref() {
            DeValue::Array(items) => {
                self.within_limit(items.len() as u64, &value.span())?;
                items.iter().map(|v| Ok((self.value(key, v)?, v.span()))).collect::<Result<_>>()?
            }
            DeValue::Table(range) => self.range(key, range, &value.span())?,
            _ => {
                let error = self.error(value.span(), format!("the axis `{}` needs a list or a range", key.name));
                return Err(error.help(format!(
                    "write [{}] to fix it to one value, or a list, or {{ log = [1e-4, 10], points = 11 }}",
                    &self.source.text[value.span()]
                )));
            }
        };
        if values.is_empty() {
            return Err(self.error(value.span(), format!("the axis `{}` has no values", key.name)));
        }
        Ok(values)
    }

    /// `{ log = [from, to], points = n }` or `{ linear = [from, to], points = n }`.
    fn range(&self, key: &Key, table: &DeTable<'_>, span: &Span) -> Result<Vec<(Value, Span)>> {
        if matches!(key.kind, Kind::Bool | Kind::Choice(_)) {
            return Err(self.error(span.clone(), format!("`{}` is no number, so it has no range", key.name)).help("list its values"));
        }
        self.known(table, &["log", "linear", "points"], "key in a range:")?;
        let wrong = |message: &str| {
            self.error(span.clone(), message.to_owned())
                .help("a range is { log = [1e-4, 10], points = 11 } or { linear = [0, 1], points = 5 }")
        };
        let (ends, log) = match (table.get("log"), table.get("linear")) {
            (Some(e), None) => (e, true),
            (None, Some(e)) => (e, false),
            _ => return Err(wrong("a range has either `log` or `linear`")),
        };
        let DeValue::Array(pair) = ends.get_ref() else { return Err(wrong("the ends of a range are a list of two numbers")) };
        let [from, to] = &pair[..] else { return Err(wrong("the ends of a range are a list of two numbers")) };
        let (from, to) = (self.float(from, "an end of a range")?, self.float(to, "an end of a range")?);
        let points = table.get("points").ok_or_else(|| wrong("a range needs `points`"))?;
        let n = self.int(points, "points")?;
        if n < 2 {
            return Err(self.error(points.span(), "a range needs at least 2 points"));
        }
        self.within_limit(n.unsigned_abs(), &points.span())?;
        if log && (from <= 0.0 || to <= 0.0) {
            return Err(self.error(ends.span(), "the ends of a log range must be positive"));
        }
        let points = u32::try_from(n).map_err(|_| wrong("too many points"))?;
        spaced(from, to, points, log)
            .into_iter()
            .map(|x| {
                let value = if matches!(key.kind, Kind::Float(_) | Kind::OpenFloat(..)) {
                    Value::Float(x)
                } else if x.fract() == 0.0 && x.abs() < 1e15 {
                    #[expect(clippy::cast_possible_truncation, reason = "a whole number below 1e15")]
                    Value::Int(x as i64)
                } else {
                    return Err(self.error(span.clone(), format!("the range gives {x}, and `{}` takes whole numbers", key.name)));
                };
                self.check(key, &value, span)?;
                Ok((value, span.clone()))
            })
            .collect()
    }

    /// `[[zip]]`: axes of one length that move together.
    fn zip(&self, value: Entry<'_, '_>) -> Result<Vec<Axis>> {
        let axes = self.axes(self.table(value, "zip")?, "[[zip]]")?;
        let Some(first) = axes.first() else { return Err(self.error(value.span(), "[[zip]] needs at least one axis")) };
        if let Some(other) = axes.iter().find(|a| a.values.len() != first.values.len()) {
            let message = format!(
                "axes in a [[zip]] move together: `{}` has {} values, `{}` has {}",
                other.key,
                other.values.len(),
                first.key,
                first.values.len()
            );
            return Err(self.error(other.span.clone(), message));
        }
        self.distinct(&axes)?;
        Ok(axes)
    }

    /// `[[when]]`: `if` a condition holds, `set` values and multiply with `grid` and `zip`.
    fn when(&self, value: Entry<'_, '_>) -> Result<Block> {
        let table = self.table(value, "when")?;
        self.known(table, &["if", "set", "grid", "zip"], "key in [[when]]:")?;
        let condition =
            table.get("if").ok_or_else(|| self.error(value.span(), "[[when]] needs a condition").help("if = { optimizer = \"sgd\" }"))?;
        let mut block = Block { condition: Some(self.condition(condition, "if")?), ..Block::default() };
        if let Some(set) = table.get("set") {
            block.set = self.settings(self.table(set, "set")?, "set")?;
        }
        if let Some(grid) = table.get("grid") {
            block.groups = self.product(self.table(grid, "grid")?, "grid")?;
        }
        match table.get("zip") {
            None => {}
            Some(one) if matches!(one.get_ref(), DeValue::Table(_)) => block.groups.push(self.zip(one)?),
            many => {
                for zip in self.tables(many, "zip")? {
                    block.groups.push(self.zip(zip)?);
                }
            }
        }
        if block.set.is_empty() && block.groups.is_empty() {
            return Err(self.error(value.span(), "this [[when]] changes nothing").help("give it `set`, `grid` or `zip`"));
        }
        Ok(block)
    }

    /// `{ key = value, other = [one, of, these] }`.
    fn condition(&self, value: Entry<'_, '_>, place: &str) -> Result<Condition> {
        let table = self.table(value, place)?;
        if table.is_empty() {
            return Err(self.error(value.span(), format!("{place} has no keys, so it would match everything")));
        }
        let any_of = table
            .iter()
            .map(|(key, value)| {
                let key = self.key(key, place)?;
                let values = match value.get_ref() {
                    DeValue::Array(items) => items.iter().map(|v| self.value(key, v)).collect::<Result<_>>()?,
                    DeValue::Table(range) => self.range(key, range, &value.span())?.into_iter().map(|(v, _)| v).collect(),
                    _ => vec![self.value(key, value)?],
                };
                Ok((key.name, values))
            })
            .collect::<Result<_>>()?;
        Ok(Condition { any_of, span: value.span() })
    }

    /// A scalar of the key's kind, in its range.
    fn value(&self, key: &Key, value: Entry<'_, '_>) -> Result<Value> {
        let span = value.span();
        let wrong = |takes: &str| {
            let found = match value.get_ref() {
                DeValue::Table(_) => "a table",
                _ => self.source.text.get(span.clone()).unwrap_or_default(),
            };
            let error = self.error(span.clone(), format!("`{}` takes {takes}, not {}", key.name, found.trim()));
            match value.get_ref() {
                DeValue::Array(_) => error.help("a list of values is an axis and belongs into [grid]"),
                _ => error,
            }
        };
        let found = match (&key.kind, value.get_ref()) {
            (Kind::Bool, DeValue::Boolean(b)) => Value::Bool(*b),
            (Kind::Bool, _) => return Err(wrong("true or false")),
            (Kind::Int(_) | Kind::BatchSize, DeValue::Integer(_)) => Value::Int(self.int(value, key.name)?),
            (Kind::Int(_), _) => return Err(wrong("a whole number")),
            (Kind::Float(_) | Kind::OpenFloat(..), DeValue::Integer(_) | DeValue::Float(_)) => Value::Float(self.float(value, key.name)?),
            (Kind::Float(_) | Kind::OpenFloat(..), _) => return Err(wrong("a number")),
            (Kind::BatchSize, DeValue::String(s)) if s == "full" => Value::Text("full".into()),
            (Kind::BatchSize, _) => return Err(wrong("a number of examples or \"full\"")),
            (Kind::Choice(set), DeValue::String(s)) => {
                let names: Vec<&str> = self.vocabulary.set(*set).iter().map(|c| c.name).collect();
                let Some(name) = names.iter().find(|n| *n == s) else {
                    let error = self.error(span, format!("unknown {} `{s}`", set.key()));
                    return Err(error.suggest(suggest(s, names.iter().copied()), &names));
                };
                Value::Text((*name).to_owned().into())
            }
            (Kind::Choice(set), _) => return Err(wrong(&format!("the name of a {} in quotes", set.key()))),
        };
        self.check(key, &found, &value.span())?;
        Ok(found)
    }

    /// The range of a key.
    fn check(&self, key: &Key, value: &Value, span: &Span) -> Result<()> {
        let allowed = match (&key.kind, value) {
            (Kind::Int(r), Value::Int(i)) if !r.contains(i) => format!("from {} to {}", r.start(), r.end()),
            (Kind::Float(r), Value::Float(x)) if !r.contains(x) => format!("from {} to {}", r.start(), r.end()),
            (Kind::OpenFloat(lo, hi), Value::Float(x)) if !(*x > *lo && *x < *hi) => format!("above {lo} and below {}", Value::Float(*hi)),
            (Kind::BatchSize, Value::Int(i)) if *i < 1 => "at least 1".to_owned(),
            _ => return Ok(()),
        };
        Err(self.error(span.clone(), format!("`{}` must be {allowed}, not {value}", key.name)).help(key.doc))
    }

    fn int(&self, value: Entry<'_, '_>, name: &str) -> Result<i64> {
        match value.get_ref() {
            DeValue::Integer(i) => i64::from_str_radix(i.as_str(), i.radix())
                .map_err(|_| self.error(value.span(), format!("{name} is too large for a 64-bit integer"))),
            _ => Err(self.error(value.span(), format!("{name} must be a whole number"))),
        }
    }

    /// A finite number; integers are numbers too.
    fn float(&self, value: Entry<'_, '_>, name: &str) -> Result<f64> {
        let x = match value.get_ref() {
            DeValue::Float(f) => f.as_str().parse().unwrap_or(f64::NAN),
            DeValue::Integer(_) => self.int(value, name)? as f64,
            _ => return Err(self.error(value.span(), format!("{name} must be a number"))),
        };
        // Zero has one form, or -0.0 would be another run.
        let x = x + 0.0;
        if x.is_finite() { Ok(x) } else { Err(self.error(value.span(), format!("{name} must be a finite number"))) }
    }
}
