//! From a [`Grid`] to arms: the product of the axes, each cell resolved and checked as a whole.

use std::cell::Cell as Count;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Block, Catalog, Condition, Grid, Limits, NoDataset, Setting, Span};
use crate::config::Config;
use crate::diagnostic::{Diagnostic, Source};
use crate::document::Result;
use crate::metric::{Metric, Quantity, Split};
use crate::model::Graph;
use crate::run::Arm;
use crate::value::Value;
use crate::vocabulary::{Absent, Key, Kind, Set, Vocabulary};

/// Cells that a grid's conditions look at, times the values that they compare.
const MAX_COMPARED: u64 = 20_000_000;
/// Bytes of the texts in the configurations of all runs, of which a network's definition is most.
const MAX_TEXT: u64 = 128 << 20;

/// The settings of one arm on the way to its configuration.
type Cell = BTreeMap<&'static str, Assigned>;

#[derive(Clone, Debug)]
struct Assigned {
    value: Value,
    span: Span,
    /// Said for all arms in `[base]`, so it need not apply to this one.
    base: bool,
}

/// The axes (in the order of the file) and the arms of a grid.
pub(super) fn expand(grid: &Grid, source: Source<'_>, catalog: &dyn Catalog, limits: Limits) -> Result<(Vec<String>, Vec<Arm>)> {
    let x = Expander { grid, source, vocabulary: catalog.vocabulary(), limits, compared: Count::new(0), text: Count::new(0) };
    let cells = x.cells()?;
    let axes = x.axes();
    let mut resolved = vec![];
    let mut used_base = BTreeSet::new();
    let mut missing = None;
    let mut graphs: BTreeMap<String, Arc<Graph>> = BTreeMap::new();
    for cell in &cells {
        let mut config = x.resolve(cell, &mut used_base)?;
        x.check_metrics(&config, cell)?;
        // Not every objective has a network.
        let graph = config.get("model").is_some().then(|| x.network(&config, cell, &mut graphs)).transpose()?;
        if let Some(graph) = &graph {
            x.identify(&mut config, graph, cell, catalog, &mut missing)?;
        }
        x.weigh(&config, cell)?;
        resolved.push((config, graph));
    }
    for setting in &grid.base {
        if !used_base.contains(setting.key) {
            let owners = x.vocabulary.owners(setting.key);
            let used = cells.iter().any(|c| x.existing(c).iter().any(|k| k.name == setting.key));
            let why = if used { "every arm sets it itself".to_owned() } else { format!("no arm uses {}", owners.join(", ")) };
            let error = source.error(setting.span.clone(), format!("`{}` has no effect: {why}", setting.key));
            return Err(error.help("remove it"));
        }
    }
    if let Some(missing) = missing {
        return Err(missing);
    }
    let mut arms: Vec<Arm> = vec![];
    let mut seen = BTreeSet::new();
    for (cell, (config, graph)) in cells.iter().zip(resolved) {
        // An explicit row may repeat a cell of the grid; it is the same arm.
        if seen.insert(config.arm_id()) {
            arms.push(arm(&axes, cell, config, graph, x.vocabulary));
        }
    }
    Ok((axes, arms))
}

/// Labels an arm with what varies: names stand alone (`adam`), a switch that is on stands for itself (`nesterov`), one
/// that is off is only worth a word where it would be on by itself (`third_pool=false`).
fn arm(all_axes: &[String], cell: &Cell, config: Config, graph: Option<Arc<Graph>>, vocabulary: &Vocabulary) -> Arm {
    // A key that the file never mentions for this arm is at its default; naming it would suggest that it was varied.
    let named = all_axes.iter().filter(|k| cell.contains_key(k.as_str()));
    let axes: Vec<(String, Value)> = named.filter_map(|k| Some((k.clone(), config.get(k)?.clone()))).collect();
    let of_model = |key: &str| key.starts_with("model.");
    let is_name = |key: &str| !of_model(key) && vocabulary.key(key).is_some_and(|k| matches!(k.kind, Kind::Choice(_) | Kind::Text(_)));
    let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
    // A parameter of the model goes by its own name where no other varied key has it.
    let short = |key: &str| {
        let alone = all_axes.iter().filter(|other| last(other) == last(key)).count() < 2;
        if of_model(key) && alone { last(key) } else { key.to_owned() }
    };
    // Of the arm's model: others may have a parameter of that name, too.
    let model = config.text("model").ok().and_then(|name| vocabulary.models.iter().find(|m| m.name == name));
    let is_on_by_default = |key: &str| {
        let key = model.and_then(|m| m.keys.iter().find(|k| k.name == key)).or_else(|| vocabulary.key(key));
        key.is_some_and(|k| k.default.value() == Some(&Value::Bool(true)))
    };
    // What [base] says for all arms needs no word where an arm says nothing else.
    let said = |key: &str| cell.get(key).is_some_and(|a| !a.base);
    let words: Vec<String> = axes
        .iter()
        .filter(|(k, _)| said(k))
        .filter_map(|(k, v)| match v {
            Value::Bool(false) if !is_on_by_default(k) => None,
            Value::Bool(true) => Some(short(k)),
            v if is_name(k) => Some(v.to_string()),
            v => Some(format!("{}={v}", short(k))),
        })
        .collect();
    let label = if words.is_empty() { "base".to_owned() } else { words.join(" ") };
    Arm { label, axes, config, graph }
}

struct Expander<'a> {
    grid: &'a Grid,
    source: Source<'a>,
    vocabulary: &'a Vocabulary,
    limits: Limits,
    /// What was charged so far, see [`MAX_COMPARED`] and [`MAX_TEXT`].
    compared: Count<u64>,
    text: Count<u64>,
}

impl Expander<'_> {
    /// Every varied key, in the order of the file.
    fn axes(&self) -> Vec<String> {
        let mut keys: Vec<&str> = vec![];
        for block in &self.grid.blocks {
            keys.extend(block.set.iter().map(|s| s.key));
            keys.extend(block.groups.iter().flatten().map(|a| a.key));
        }
        keys.extend(self.grid.rows.iter().flatten().map(|s| s.key));
        let mut axes: Vec<String> = vec![];
        for key in keys {
            if !axes.iter().any(|a| a == key) {
                axes.push(key.to_owned());
            }
        }
        axes
    }

    fn cells(&self) -> Result<Vec<Cell>> {
        let base: Cell = self.grid.base.iter().map(|s| (s.key, assigned(s, true))).collect();
        self.within_limit(1)?;
        let mut cells = vec![base.clone()];
        let multiplied = self.grid.blocks.iter().any(|b| !b.groups.is_empty() || !b.set.is_empty());
        if multiplied {
            for block in &self.grid.blocks {
                cells = self.multiply(cells, block)?;
            }
            for condition in &self.grid.exclude {
                let before = cells.len();
                self.charge(condition, before)?;
                cells.retain(|cell| !self.holds(condition, cell));
                if cells.len() == before {
                    let error = self.source.error(condition.span.clone(), "this [[exclude]] matches no arm");
                    return Err(error.help("check its values against the axes; a range's values are rounded as `pipeline plan` shows them"));
                }
            }
        } else if let Some(condition) = self.grid.exclude.first() {
            return Err(self.source.error(condition.span.clone(), "there is no axis to exclude from"));
        } else if !self.grid.rows.is_empty() {
            cells.clear();
        }
        for row in &self.grid.rows {
            let mut cell = base.clone();
            cell.extend(row.iter().map(|s| (s.key, assigned(s, false))));
            self.within_limit(cells.len() as u64 + 1)?;
            cells.push(cell);
        }
        if cells.is_empty() {
            let last = self.grid.exclude.last().map_or(0..0, |c| c.span.clone());
            return Err(self.source.error(last, "no arm is left after this [[exclude]]"));
        }
        Ok(cells)
    }

    /// Refuses a number of cells that would exceed the limit with all seeds.
    fn within_limit(&self, cells: u64) -> Result<()> {
        let seeds = self.grid.seeds.len() as u64;
        let runs = cells.saturating_mul(seeds);
        if runs > self.limits.max_runs {
            let count = if runs == u64::MAX { "more than 10^19".to_owned() } else { runs.to_string() };
            let message = format!("the grid has {count} runs ({seeds} seeds each), more than the limit of {}", self.limits.max_runs);
            return Err(self
                .source
                .error(self.grid.seeds_span.clone(), message)
                .help("raise the limit with --max-runs, or shorten an axis"));
        }
        Ok(())
    }

    /// Refuses conditions that would take minutes to check.
    fn charge(&self, condition: &Condition, cells: usize) -> Result<()> {
        let values: usize = condition.any_of.iter().map(|(_, values)| 1 + values.len()).sum();
        self.compared.set(self.compared.get().saturating_add((cells as u64).saturating_mul(values as u64)));
        if self.compared.get() > MAX_COMPARED {
            let message =
                format!("conditions up to this one compare {} values, more than the limit of {MAX_COMPARED}", self.compared.get());
            let error = self.source.error(condition.span.clone(), message);
            return Err(error.help("say the same with fewer [[when]] and [[exclude]], or cut the grid into several files"));
        }
        Ok(())
    }

    /// Refuses configurations that together would fill the memory: every run has its own.
    fn weigh(&self, config: &Config, cell: &Cell) -> Result<()> {
        let texts = config.iter().map(|(_, value)| if let Value::Text(text) = value { text.len() as u64 } else { 0 });
        let of_runs = texts.sum::<u64>().saturating_mul(self.grid.seeds.len() as u64);
        self.text.set(self.text.get().saturating_add(of_runs));
        if self.text.get() > MAX_TEXT {
            let span = cell.get("model").map_or(0..0, |a| a.span.clone());
            let message = format!("the networks of all runs take more than {} MiB to be written down", MAX_TEXT >> 20);
            return Err(self.source.error(span, message).help("take fewer runs of networks with so many layers"));
        }
        Ok(())
    }

    /// Each cell that meets the block's condition is replaced by its product with the block's axes.
    fn multiply(&self, cells: Vec<Cell>, block: &Block) -> Result<Vec<Cell>> {
        let factor = block.groups.iter().map(|g| g[0].values.len() as u64).try_fold(1u64, u64::checked_mul);
        if let Some(condition) = &block.condition {
            // It is asked twice.
            self.charge(condition, 2 * cells.len())?;
        }
        let hit = |cell: &Cell| block.condition.as_ref().is_none_or(|c| self.holds(c, cell));
        let hits = cells.iter().filter(|c| hit(c)).count() as u64;
        let total = factor.and_then(|f| f.checked_mul(hits)).and_then(|n| n.checked_add(cells.len() as u64 - hits));
        self.within_limit(total.unwrap_or(u64::MAX))?;
        if let (0, Some(condition)) = (hits, &block.condition) {
            let error = self.source.error(condition.span.clone(), "the condition of this [[when]] holds for no arm");
            return Err(error.help("it sees [base], [grid], [[zip]] and the [[when]] blocks before it"));
        }
        let mut out = vec![];
        for cell in cells {
            if !hit(&cell) {
                out.push(cell);
                continue;
            }
            let mut start = cell;
            for setting in &block.set {
                self.assign(&mut start, setting.key, &setting.value, &setting.span)?;
            }
            let mut partial = vec![start];
            for group in &block.groups {
                let mut next = vec![];
                for cell in &partial {
                    for i in 0..group[0].values.len() {
                        let mut cell = cell.clone();
                        for axis in group {
                            let (value, span) = &axis.values[i];
                            self.assign(&mut cell, axis.key, value, span)?;
                        }
                        next.push(cell);
                    }
                }
                partial = next;
            }
            out.extend(partial);
        }
        Ok(out)
    }

    /// Sets a key, unless another axis already did.
    fn assign(&self, cell: &mut Cell, key: &'static str, value: &Value, span: &Span) -> Result<()> {
        match cell.insert(key, Assigned { value: value.clone(), span: span.clone(), base: false }) {
            Some(previous) if !previous.base => {
                let line = self.source.error(previous.span.clone(), "").line;
                Err(self.source.error(span.clone(), format!("`{key}` is already varied in line {line}")))
            }
            _ => Ok(()),
        }
    }

    /// Whether a cell has one of the values for every key of the condition. An unset key counts with its default, if it exists
    /// for the choices that the cell has made so far; a key that doesn't exist for the cell has no value.
    fn holds(&self, condition: &Condition, cell: &Cell) -> bool {
        let keys = self.existing(cell);
        condition.any_of.iter().all(|(key, values)| {
            let Some(declared) = keys.iter().find(|k| k.name == *key) else { return false };
            let among = |value: &Value| {
                let fitted = declared.kind.fit(value);
                values.iter().any(|v| v == value || declared.kind.fit(v) == fitted && fitted.is_ok())
            };
            cell.get(key).map(|assigned| &assigned.value).or(declared.default.value()).is_some_and(among)
        })
    }

    /// The whole configuration of a cell: applicable keys, defaults filled in.
    fn resolve(&self, cell: &Cell, used_base: &mut BTreeSet<&'static str>) -> Result<Config> {
        let keys = self.existing(cell);
        for (key, assigned) in cell {
            if keys.iter().any(|k| k.name == *key) {
                if assigned.base {
                    used_base.insert(key);
                }
            } else if !assigned.base {
                let owners = self.vocabulary.owners(key);
                let error = self.source.error(assigned.span.clone(), format!("`{key}` does not exist for every arm that it is set for"));
                return Err(error.help(format!("only {} has it; move it into a [[when]]", owners.join(", "))));
            }
        }
        let mut config = Config::default();
        let config_keys: Vec<&str> = keys.iter().map(|key| key.name).collect();
        for key in keys {
            let value = match (cell.get(key.name), &key.default) {
                (Some(a), Absent::Neutral(neutral)) if a.value == *neutral => continue,
                (Some(a), _) => self.fitted(key, a)?,
                (None, Absent::Is(value)) => value.clone(),
                (None, Absent::Omitted | Absent::Neutral(_)) => continue,
                (None, Absent::Required) => return Err(self.missing(key, cell)),
            };
            config.insert(key.name, value);
        }
        if !config_keys.contains(&"epochs") {
            return Ok(config);
        }
        match (cell.get("epochs"), cell.get("steps")) {
            (Some(_), None) | (None, Some(_)) => Ok(config),
            (None, None) => {
                Err(self.source.error(self.grid.base_span.clone(), "the length of training is missing").help("give `epochs` or `steps`"))
            }
            (Some(e), Some(s)) => {
                let later = if e.span.start > s.span.start { e } else { s };
                Err(self.source.error(later.span.clone(), "give either `epochs` or `steps`, not both"))
            }
        }
    }

    /// The value of a key as its own choice has it: models may share a name for parameters of several kinds.
    fn fitted(&self, key: &Key, assigned: &Assigned) -> Result<Value> {
        key.kind.fit(&assigned.value).map_err(|takes| {
            let message = format!("`{}` takes {takes}, not {}", key.name, assigned.value);
            let error = self.source.error(assigned.span.clone(), message);
            error.help("several models have a parameter of this name, each of its own kind")
        })
    }

    /// The network of a cell; cells that differ in other things share it.
    fn network(&self, config: &Config, cell: &Cell, graphs: &mut BTreeMap<String, Arc<Graph>>) -> Result<Arc<Graph>> {
        let mut part = Config::default();
        for (k, v) in config.iter().filter(|(k, _)| *k == "model" || k.starts_with("model.")) {
            part.insert(k, v.clone());
        }
        let key = part.json();
        if let Some(graph) = graphs.get(&key) {
            return Ok(Arc::clone(graph));
        }
        let at = |key: &str| cell.get(key).map_or(0..0, |a| a.span.clone());
        let Some(built) = self.vocabulary.library.graph(config) else {
            return Err(self.source.error(at("model"), "there is no such model"));
        };
        let graph = built.map_err(|misfit| match misfit.key.as_deref().and_then(|key| Some((key, cell.get(key)?))) {
            Some((key, assigned)) => {
                let error =
                    self.source.error(assigned.span.clone(), format!("`{key}` = {}: {}", assigned.value, misfit.diagnostic.message));
                let place = format!("{}:{}:{}", misfit.diagnostic.file, misfit.diagnostic.line, misfit.diagnostic.column);
                error.help(format!("the model uses it in {place}"))
            }
            None => *misfit.diagnostic,
        })?;
        let graph = Arc::new(graph);
        graphs.insert(key, Arc::clone(&graph));
        Ok(graph)
    }

    /// A required key that is not given: said where its choice is made, if it belongs to one.
    fn missing(&self, key: &Key, cell: &Cell) -> Diagnostic {
        let owners = self.vocabulary.owners(key.name);
        let chosen = Set::ALL.iter().find_map(|set| {
            let assigned = cell.get(set.key())?;
            matches!(&assigned.value, Value::Text(name) if owners.contains(&name.as_ref())).then_some((set.key(), assigned))
        });
        let error = match chosen {
            Some((set, assigned)) => {
                self.source.error(assigned.span.clone(), format!("the {set} `{}` needs the key `{}`", assigned.value, key.name))
            }
            None => self.source.error(self.grid.base_span.clone(), format!("the key `{}` is missing", key.name)),
        };
        match key.kind {
            Kind::Choice(set) => {
                let names: Vec<&str> = self.vocabulary.set(set).iter().map(|c| c.name).collect();
                error.help(format!("{}; known: {}", key.doc, names.join(", ")))
            }
            _ => error.help(key.doc),
        }
    }

    /// Refuses to decide on a split that an arm does not have.
    fn check_metrics(&self, config: &Config, cell: &Cell) -> Result<()> {
        let study = &self.grid.study;
        let mut asked = std::iter::once(&study.metric).chain(study.targets.iter().map(|(m, _)| m));
        if config.text("objective") == Ok("surface") {
            let train_loss = Metric { split: Split::Train, quantity: Quantity::Loss };
            return match asked.find(|m| **m != train_loss) {
                None => Ok(()),
                Some(metric) => {
                    let span = cell.get("objective").map_or(0..0, |a| a.span.clone());
                    let message = format!("a surface has no `{metric}`, which the study asks for");
                    Err(self.source.error(span, message).help("its height is the `train_loss`: metric = \"train_loss\""))
                }
            };
        }
        let Some(metric) = asked.find(|m| m.split == Split::Validation) else { return Ok(()) };
        match (config.float("validation_fraction"), cell.get("validation_fraction")) {
            (Ok(0.0), Some(assigned)) => {
                let message = format!("there is no validation split, but the study asks for `{metric}`");
                Err(self.source.error(assigned.span.clone(), message).help("hold out a part, or decide on a metric of the training split"))
            }
            _ => Ok(()),
        }
    }

    /// The common keys, those of the objective, and those of the dataset, model, optimizer and schedule that the cell has chosen.
    fn existing(&self, cell: &Cell) -> Vec<&Key> {
        let mut keys: Vec<&Key> = self.vocabulary.common.iter().collect();
        for set in Set::ALL {
            let Some(key) = keys.iter().find(|key| key.name == set.key()) else { continue };
            let name = cell.get(key.name).map(|a| &a.value).or(key.default.value());
            let chosen = self.vocabulary.set(set).iter().find(|c| matches!(name, Some(Value::Text(n)) if n == c.name));
            keys.extend(chosen.iter().flat_map(|c| &c.keys));
        }
        keys
    }

    /// Adds what identity needs beyond the keys: the network's definition and the dataset's checksum. A dataset that is not there is
    /// noted, so that whatever else is wrong is said first.
    fn identify(
        &self,
        config: &mut Config,
        graph: &Graph,
        cell: &Cell,
        catalog: &dyn Catalog,
        missing: &mut Option<Diagnostic>,
    ) -> Result<()> {
        config.insert("model_definition", Value::Text(graph.to_string().into()));
        match catalog.dataset_checksum(config) {
            Ok(checksum) => config.insert("dataset_checksum", Value::Text(checksum.into())),
            Err(NoDataset { message, is_missing }) => {
                let span = cell.get("dataset").map_or(0..0, |a| a.span.clone());
                let error = self.source.error(span, message);
                if !is_missing {
                    return Err(error);
                }
                missing.get_or_insert(error.missing_data());
            }
        }
        Ok(())
    }
}

fn assigned(s: &Setting, base: bool) -> Assigned {
    Assigned { value: s.value.clone(), span: s.span.clone(), base }
}
