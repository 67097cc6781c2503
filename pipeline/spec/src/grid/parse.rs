//! From TOML text to a [`Grid`]: every section, key and value is checked where it stands.

use std::borrow::Cow;
use std::collections::BTreeSet;

use toml::de::{DeTable, DeValue};

use super::range::spaced;
use super::{Axis, Block, Condition, Grid, Header, Limits, Setting, Span};
use crate::analysis::{self, Settings, THRESHOLDS};
use crate::diagnostic::{Diagnostic, Source};
use crate::document::{Entry, Result};
use crate::metric::{Metric, Quantity, Split};
use crate::value::Value;
use crate::vocabulary::{Key, Kind, Set, Vocabulary, suggest, suggest_key};

/// The sections of a grid file.
pub(crate) const SECTIONS: [&str; 9] = ["study", "base", "grid", "zip", "when", "exclude", "runs", "replicates", "analysis"];

/// Bytes of a text in a configuration: every run has its own, and labels are made of them.
const MAX_TEXT: usize = 1000;

/// What the parser carries around.
struct Parser<'a> {
    source: Source<'a>,
    vocabulary: &'a Vocabulary,
    limits: Limits,
}

pub(super) fn parse(source: Source<'_>, vocabulary: &Vocabulary, limits: Limits) -> Result<Grid> {
    let root = &source.toml().map_err(|e| {
        // TOML's rule about `model = […]` with `model.hidden = […]` is easily broken, and not easily understood.
        let dotted = e.message.contains("cannot extend value");
        if dotted { e.help("quote it: \"model.hidden\" = …; or write one table: model = { name = …, hidden = … }") } else { e }
    })?;
    let p = Parser { source, vocabulary, limits };
    source.known(root, &SECTIONS, "section")?;
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
    let (analysis, compare_spans) = p.analysis(section("analysis"))?;
    // The header line of [base] is where a missing key would go.
    let base_span = base.span();
    Ok(Grid { study, base: base_settings, base_span, blocks, exclude, rows, seeds, seeds_span, analysis, compare_spans })
}

fn missing(source: Source<'_>, section: &str, content: &str) -> Diagnostic {
    source.error(0..0, format!("the section {section} is missing")).help(format!("add {section} with {content}"))
}

impl Parser<'_> {
    fn error(&self, span: Span, message: impl Into<String>) -> Diagnostic {
        self.source.error(span, message)
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
        self.source.known(table, &["question", "hypothesis", "metric", "targets"], "key in [study]:")?;
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
                    let number = self.source.float(v, "a target")?;
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
        self.source.known(table, &["seeds"], "key in [replicates]:")?;
        let seeds = table.get("seeds").ok_or_else(|| self.error(value.span(), "[replicates] needs `seeds`").help("seeds = 5"))?;
        let span = seeds.span();
        let wrong = |span| self.error(span, "`seeds` must be a count of at least 1, or a list of different seeds");
        let list: Vec<u64> = match seeds.get_ref() {
            DeValue::Integer(_) => {
                let n = self.source.int(seeds, "seeds")?;
                let n = u64::try_from(n).ok().filter(|n| *n >= 1).ok_or_else(|| wrong(span.clone()))?;
                self.within_limit(n, &span)?;
                (0..n).collect()
            }
            DeValue::Array(a) => a
                .iter()
                .map(|v| self.source.int(v, "a seed").and_then(|i| u64::try_from(i).map_err(|_| wrong(v.span()))))
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

    /// The settings, with the place of each axis in `compare`.
    fn analysis(&self, value: Option<Entry<'_, '_>>) -> Result<(Settings, Vec<Span>)> {
        let (mut settings, mut spans) = (Settings::default(), vec![]);
        let Some(value) = value else { return Ok((settings, spans)) };
        let table = self.table(value, "analysis")?;
        self.source.known(table, &analysis::KEYS, "key in [analysis]:")?;
        if let Some(value) = table.get("compare") {
            let axes: Vec<_> = match value.get_ref() {
                DeValue::Array(a) => a.iter().collect(),
                _ => vec![value],
            };
            for axis in axes {
                settings.compare.push(self.text(axis, "compare")?);
                spans.push(axis.span());
            }
        }
        if let Some(value) = table.get("margin") {
            let margin = self.source.float(value, "margin")?;
            if margin <= 0.0 {
                return Err(self.error(value.span(), format!("`margin` must be above 0, not {margin}")));
            }
            settings.margin = Some(margin);
        }
        if let Some(value) = table.get("order") {
            let order = self.source.int(value, "order")?;
            let wrong = |_| self.error(value.span(), format!("`order` must be 0 or more, not {order}"));
            settings.order = Some(u64::try_from(order).map_err(wrong)?);
        }
        if let Some(value) = table.get("diagnosis") {
            let names: Vec<&str> = THRESHOLDS.iter().map(|t| t.name).collect();
            let table = self.table(value, "analysis.diagnosis")?;
            self.source.known(table, &names, "threshold")?;
            for threshold in &THRESHOLDS {
                let Some(value) = table.get(threshold.name) else { continue };
                let number = self.source.float(value, threshold.name)?;
                if !(threshold.least..=threshold.most).contains(&number) {
                    let range = format!("`{}` must be from {} to {}, not {number}", threshold.name, threshold.least, threshold.most);
                    return Err(self.error(value.span(), range).help(threshold.doc));
                }
                settings.thresholds.insert(threshold.name.to_owned(), number);
            }
        }
        Ok((settings, spans))
    }

    fn within_limit(&self, n: u64, span: &Span) -> Result<()> {
        if n > self.limits.max_runs {
            let message = format!("{n} is more than the limit of {} runs", self.limits.max_runs);
            return Err(self.error(span.clone(), message).help("raise the limit with --max-runs"));
        }
        Ok(())
    }

    /// The keys of a table with their values. The model's parameters may stand in a table: `model = { name = "mlp", hidden = 32 }`
    /// says what `model = "mlp"` and `"model.hidden" = 32` say.
    fn entries<'t, 'i>(&self, table: &'t DeTable<'i>) -> Result<Vec<(Cow<'t, str>, Span, Entry<'t, 'i>)>> {
        let mut entries: Vec<(Cow<'t, str>, Span, Entry<'t, 'i>)> = vec![];
        for (key, value) in table {
            match value.get_ref() {
                DeValue::Table(parameters) if key.get_ref() == "model" => {
                    for (key, value) in parameters {
                        match key.get_ref().as_ref() {
                            "name" => entries.push(("model".into(), key.span(), value)),
                            "blocks" => {
                                for (block, value) in self.table(value, "model.blocks")? {
                                    let block = block.get_ref();
                                    for (key, value) in self.table(value, &format!("model.blocks.{block}"))? {
                                        entries.push((format!("model.blocks.{block}.{}", key.get_ref()).into(), key.span(), value));
                                    }
                                }
                            }
                            name => entries.push((format!("model.{name}").into(), key.span(), value)),
                        }
                    }
                }
                _ => entries.push((key.get_ref().as_ref().into(), key.span(), value)),
            }
        }
        let mut names = BTreeSet::new();
        match entries.iter().find(|(name, ..)| !names.insert(name)) {
            Some((name, span, _)) => Err(self.error(span.clone(), format!("`{name}` stands here twice"))),
            None => Ok(entries),
        }
    }

    /// The declaration of a key.
    fn key(&self, name: &str, span: &Span, place: &str) -> Result<Cow<'_, Key>> {
        self.vocabulary.declared(name).ok_or_else(|| {
            if let Some(model) = self.vocabulary.library.closed(name) {
                let message =
                    format!("`{name}` has no effect: in the model `{model}`, every use of that block gives the parameter a value");
                return self
                    .error(span.clone(), message)
                    .help("let a use leave it out, or make the value that it gives a parameter of the model");
            }
            let mut known: Vec<&str> = self.vocabulary.keys().map(|(_, k)| k.name).collect();
            known.sort_unstable();
            known.dedup();
            let error = self.error(span.clone(), format!("unknown key `{name}` in {place}"));
            error.suggest(suggest_key(name, known.iter().copied()), &known)
        })
    }

    fn settings(&self, table: &DeTable<'_>, place: &str) -> Result<Vec<Setting>> {
        let setting = |(name, key, value): (Cow<'_, str>, Span, Entry<'_, '_>)| {
            let declared = self.key(&name, &key, place)?;
            Ok(Setting { key: declared.name, value: self.value(&declared, value)?, span: key.start..value.span().end })
        };
        self.entries(table)?.into_iter().map(setting).collect()
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
        let axis = |(name, key, value): (Cow<'_, str>, Span, Entry<'_, '_>)| {
            let declared = self.key(&name, &key, place)?;
            Ok(Axis { key: declared.name, values: self.axis_values(&declared, value)?, span: key.start..value.span().end })
        };
        self.entries(table)?.into_iter().map(axis).collect()
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
                    crate::visible::brief(&self.source.text[value.span()], 100)
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
        if !key.kind.is_number() {
            return Err(self.error(span.clone(), format!("`{}` is no number, so it has no range", key.name)).help("list its values"));
        }
        self.source.known(table, &["log", "linear", "points"], "key in a range:")?;
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
        let (from, to) = (self.source.float(from, "an end of a range")?, self.source.float(to, "an end of a range")?);
        let points = table.get("points").ok_or_else(|| wrong("a range needs `points`"))?;
        let n = self.source.int(points, "points")?;
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
        self.source.known(table, &["if", "set", "grid", "zip"], "key in [[when]]:")?;
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
        let values = |(name, key, value): (Cow<'_, str>, Span, Entry<'_, '_>)| {
            let key = self.key(&name, &key, place)?;
            let values = match value.get_ref() {
                DeValue::Array(items) => items.iter().map(|v| self.value(&key, v)).collect::<Result<_>>()?,
                DeValue::Table(range) => self.range(&key, range, &value.span())?.into_iter().map(|(v, _)| v).collect(),
                _ => vec![self.value(&key, value)?],
            };
            Ok((key.name, values))
        };
        let any_of = self.entries(table)?.into_iter().map(values).collect::<Result<_>>()?;
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
            (Kind::Int(_) | Kind::BatchSize, DeValue::Integer(_)) => Value::Int(self.source.int(value, key.name)?),
            (Kind::Int(_), _) => return Err(wrong("a whole number")),
            (Kind::Float(_) | Kind::OpenFloat(..), DeValue::Integer(_) | DeValue::Float(_)) => {
                Value::Float(self.source.float(value, key.name)?)
            }
            (Kind::Float(_) | Kind::OpenFloat(..), _) => return Err(wrong("a number")),
            (Kind::BatchSize, DeValue::String(s)) if s == "full" => Value::Text("full".into()),
            (Kind::BatchSize, _) => return Err(wrong("a number of examples or \"full\"")),
            (Kind::Choice(set), DeValue::String(s)) => {
                let names: Vec<&str> = self.vocabulary.set(*set).iter().map(|c| c.name).collect();
                let Some(name) = names.iter().find(|n| *n == s) else {
                    let error = self.error(span, format!("unknown {} `{s}`", set.key()));
                    return Err(error.suggest(suggest(s, names.iter().copied()), &names));
                };
                if let (Set::Model, Some(Err(broken))) = (set, self.vocabulary.library.model(s)) {
                    return Err(broken.clone());
                }
                Value::Text((*name).to_owned().into())
            }
            (Kind::Text(options), DeValue::String(s)) if !options.is_empty() && !options.iter().any(|o| o == s) => {
                let known: Vec<&str> = options.iter().map(String::as_str).collect();
                let error = self.error(span, format!("`{}` is never \"{s}\"", key.name));
                return Err(error.suggest(suggest(s, known.iter().copied()), &known));
            }
            (Kind::Text(_), DeValue::String(s)) if s.len() > MAX_TEXT => {
                return Err(wrong(&format!("a text of at most {MAX_TEXT} bytes")));
            }
            (Kind::Text(_), DeValue::String(s)) => Value::Text(s.to_string().into()),
            (Kind::Scalar, _) => self.source.scalar(value, key.name)?.ok_or_else(|| wrong("a single value"))?,
            (kind @ (Kind::Choice(_) | Kind::Text(_)), _) => {
                return Err(wrong(&kind.fit(&Value::Bool(true)).err().unwrap_or_default()));
            }
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
}
