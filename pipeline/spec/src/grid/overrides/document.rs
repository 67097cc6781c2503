//! A grid file as a tree that can be changed and written again. Knows the sections of a grid, not what their keys mean.

use std::fmt::Write as _;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Change, Override};

/// A value of TOML, as it is written.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Raw(String),
    List(Vec<Node>),
    Table(Table),
}

impl Node {
    pub(super) fn text(text: &str) -> Self {
        // JSON's escapes are TOML's, but TOML wants this one escaped, too.
        Node::Raw(serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f"))
    }

    fn of(value: &DeValue<'_>) -> Self {
        match value {
            DeValue::String(s) => Node::text(s),
            DeValue::Integer(i) => {
                let prefix = match i.radix() {
                    2 => "0b",
                    8 => "0o",
                    16 => "0x",
                    _ => "",
                };
                Node::Raw(format!("{prefix}{}", i.as_str()))
            }
            DeValue::Float(f) => Node::Raw(f.as_str().to_owned()),
            DeValue::Boolean(b) => Node::Raw(b.to_string()),
            DeValue::Datetime(d) => Node::Raw(d.to_string()),
            DeValue::Array(items) => Node::List(items.iter().map(|item| Node::of(item.get_ref())).collect()),
            DeValue::Table(table) => Node::Table(Table::of(table)),
        }
    }

    fn write(&self, out: &mut String) {
        match self {
            Node::Raw(text) => out.push_str(text),
            Node::List(items) => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    out.push_str(if i > 0 { ", " } else { "" });
                    item.write(out);
                }
                out.push(']');
            }
            Node::Table(table) => {
                out.push_str("{ ");
                for (i, entry) in table.0.iter().enumerate() {
                    out.push_str(if i > 0 { ", " } else { "" });
                    let _ = write!(out, "{} = ", quoted(&entry.key));
                    entry.value.write(out);
                }
                out.push_str(" }");
            }
        }
    }

    /// The value itself, or the values of a list.
    fn values(&self) -> &[Node] {
        match self {
            Node::List(items) => items,
            one => std::slice::from_ref(one),
        }
    }
}

/// A key as TOML writes it.
fn quoted(key: &str) -> String {
    let is_bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    match Node::text(key) {
        Node::Raw(text) if !is_bare => text,
        _ => key.to_owned(),
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Entry {
    key: String,
    value: Node,
    /// The override that says so.
    said: Option<String>,
}

/// Keys with values, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Table(Vec<Entry>);

impl FromIterator<(String, Node)> for Table {
    fn from_iter<I: IntoIterator<Item = (String, Node)>>(entries: I) -> Self {
        Table(entries.into_iter().map(|(key, value)| Entry { key, value, said: None }).collect())
    }
}

impl Table {
    fn of(table: &DeTable<'_>) -> Self {
        table.iter().map(|(key, value): (_, &Spanned<DeValue<'_>>)| (key.get_ref().to_string(), Node::of(value.get_ref()))).collect()
    }

    fn get(&self, key: &str) -> Option<&Node> {
        self.0.iter().find(|e| e.key == key).map(|e| &e.value)
    }

    fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.0.iter_mut().find(|e| e.key == key).map(|e| &mut e.value)
    }

    fn remove(&mut self, key: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|e| e.key != key);
        self.0.len() < before
    }

    /// In the place of the key's value, or at the end.
    fn set(&mut self, key: &str, value: Node, said: &str) {
        let said = Some(said.to_owned());
        match self.0.iter_mut().find(|e| e.key == key) {
            Some(entry) => (entry.value, entry.said) = (value, said),
            None => self.0.push(Entry { key: key.to_owned(), value, said }),
        }
    }

    /// The table under a key, made if it is not there. What else stands there stays, to be complained about by whoever reads the text.
    fn table(&mut self, key: &str) -> &mut Table {
        let at = self.0.iter().position(|e| e.key == key && matches!(e.value, Node::Table(_)));
        let at = at.unwrap_or_else(|| {
            self.0.push(Entry { key: key.to_owned(), value: Node::Table(Table::default()), said: None });
            self.0.len() - 1
        });
        let Node::Table(table) = &mut self.0[at].value else { unreachable!("made or found as a table") };
        table
    }

    /// The tables under a key: of a list of tables, or the one table.
    fn tables(&mut self, key: &str) -> Vec<&mut Table> {
        match self.get_mut(key) {
            Some(Node::Table(table)) => vec![table],
            Some(Node::List(items)) => items
                .iter_mut()
                .filter_map(|item| match item {
                    Node::Table(table) => Some(table),
                    _ => None,
                })
                .collect(),
            _ => vec![],
        }
    }

    /// Drops tables of a list; and the list, when none is left.
    fn retain(&mut self, key: &str, keep: impl Fn(&Table) -> bool) {
        if let Some(Node::List(items)) = self.get_mut(key) {
            items.retain(|item| !matches!(item, Node::Table(table) if !keep(table)));
            if items.is_empty() {
                self.remove(key);
            }
        }
    }

    /// Writes `model = { name = "mlp", hidden = 32 }` as `model = "mlp"` and `"model.hidden" = 32`, which say the same.
    fn flatten(&mut self) {
        let mut flat = vec![];
        for entry in std::mem::take(&mut self.0) {
            match entry.value {
                Node::Table(parameters) if entry.key == "model" => {
                    for inner in parameters.0 {
                        match (inner.key.as_str(), inner.value) {
                            ("name", value) => flat.push(Entry { key: "model".into(), value, said: None }),
                            ("blocks", Node::Table(blocks)) => {
                                for block in blocks.0 {
                                    let name = format!("model.blocks.{}", block.key);
                                    match block.value {
                                        Node::Table(keys) => {
                                            flat.extend(keys.0.into_iter().map(|e| Entry { key: format!("{name}.{}", e.key), ..e }));
                                        }
                                        value => flat.push(Entry { key: name, value, said: None }),
                                    }
                                }
                            }
                            (name, value) => flat.push(Entry { key: format!("model.{name}"), value, said: None }),
                        }
                    }
                }
                value => flat.push(Entry { value, ..entry }),
            }
        }
        self.0 = flat;
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A grid file.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Document(Table);

impl Document {
    /// One that has only a base.
    pub(super) fn new(base: &Table) -> Self {
        let mut root = Table::default();
        *root.table("study") = [("question".to_owned(), Node::text("How do these compare?"))].into_iter().collect();
        *root.table("base") = base.clone();
        Document(root)
    }

    pub(super) fn of(root: &DeTable<'_>) -> Self {
        let mut root = Table::of(root);
        for key in ["base", "grid", "zip", "exclude", "runs"] {
            root.tables(key).into_iter().for_each(Table::flatten);
        }
        for when in root.tables("when") {
            for key in ["if", "set", "grid", "zip"] {
                when.tables(key).into_iter().for_each(Table::flatten);
            }
        }
        Document(root)
    }

    pub(super) fn apply(&mut self, change: &Override) {
        let (key, said) = (change.key.as_str(), change.text.as_str());
        let root = &mut self.0;
        let section = match key {
            "seeds" => Some(("replicates", key)),
            "metric" | "question" | "hypothesis" => Some(("study", key)),
            _ => None,
        };
        if let Some((section, key)) = section {
            set_or_remove(root.table(section), key, change);
            return;
        }
        if let Some(metric) = key.strip_prefix("targets.") {
            set_or_remove(root.table("study").table("targets"), metric, change);
            // An entry within a line is not marked, but the line is.
            if let Some(targets) = root.table("study").0.iter_mut().find(|e| e.key == "targets") {
                targets.said = Some(said.to_owned());
            }
            return;
        }
        if key == "model" {
            // The parameters of the one before say nothing about another.
            for section in ["base", "grid", "zip"] {
                root.tables(section).into_iter().for_each(|t| t.0.retain(|e| !e.key.starts_with("model.") || e.said.is_some()));
            }
        }
        let of_arms = ["base", "grid", "zip"].into_iter().any(|s| root.tables(s).iter().any(|t| t.get(key).is_some()));
        for when in root.tables("when") {
            let mut was_there = when.table("set").remove(key) | when.table("grid").remove(key);
            for zip in when.tables("zip") {
                was_there |= zip.remove(key);
            }
            if was_there && !of_arms {
                match &change.change {
                    Change::Remove => {}
                    Change::One(value) => when.table("set").set(key, value.clone(), said),
                    Change::Many(values) => when.table("grid").set(key, values.clone(), said),
                }
                // All arms that had it have it again; the others never had.
                if change.change != Change::Remove {
                    for block in ["set", "grid"] {
                        mark(when, block, said, key);
                    }
                }
            }
        }
        let is_conditional =
            !of_arms && root.tables("when").iter_mut().any(|when| ["set", "grid"].iter().any(|b| when.table(b).get(key).is_some()));
        for zip in root.tables("zip") {
            zip.remove(key);
        }
        match &change.change {
            _ if is_conditional => {}
            Change::Remove => {
                root.table("base").remove(key);
                root.table("grid").remove(key);
            }
            Change::One(value) => {
                root.table("grid").remove(key);
                root.table("base").set(key, value.clone(), said);
            }
            Change::Many(values) => {
                root.table("base").remove(key);
                root.table("grid").set(key, values.clone(), said);
            }
        }
    }

    /// Takes out what the overrides have made pointless, and says in the question what they are.
    pub(super) fn settle(&mut self, overrides: &[Override], said: &str) {
        let root = &mut self.0;
        let names = |table: &Table| overrides.iter().any(|o| table.get(&o.key).is_some());
        // They speak of the values that the overrides replace.
        root.retain("runs", |row| !names(row));
        let can_hold = |when: &Table| match when.get("if") {
            Some(Node::Table(condition)) => overrides.iter().all(|o| match (&o.change, condition.get(&o.key)) {
                (Change::One(Node::Raw(_)) | Change::Many(Node::List(_)), Some(asked)) => {
                    let (Change::One(given) | Change::Many(given)) = &o.change else { return true };
                    given.values().iter().any(|value| asked.values().contains(value))
                }
                _ => true,
            }),
            _ => true,
        };
        for when in root.tables("when") {
            for key in ["set", "grid"] {
                if when.table(key).is_empty() {
                    when.remove(key);
                }
            }
            if when.tables("zip").iter().all(|zip| zip.is_empty()) {
                when.remove("zip");
            }
        }
        root.retain("when", |when| can_hold(when) && when.0.len() > 1);
        root.retain("zip", |zip| !zip.is_empty());
        // So do these; or of a key that has gone with its [[when]].
        let mut left: Vec<String> = vec![];
        for section in ["base", "grid", "zip", "when"] {
            for table in root.tables(section) {
                left.extend(table.0.iter().map(|e| e.key.clone()));
                for inner in ["set", "grid", "zip"] {
                    left.extend(table.tables(inner).into_iter().flat_map(|t| t.0.iter().map(|e| e.key.clone())));
                }
            }
        }
        root.retain("exclude", |condition| !names(condition) && condition.0.iter().all(|e| left.contains(&e.key)));
        if root.get("grid").is_some_and(|grid| *grid == Node::Table(Table::default())) {
            root.remove("grid");
        }
        let is_fixed = |axis: &Node| overrides.iter().any(|o| !matches!(o.change, Change::Many(_)) && *axis == Node::text(&o.key));
        if root.get("analysis").is_some() {
            let analysis = root.table("analysis");
            if let Some(Node::List(axes)) = analysis.get_mut("compare") {
                axes.retain(|axis| !is_fixed(axis));
            }
            if analysis.get("compare").is_some_and(|axes| axes.values().iter().all(is_fixed)) {
                analysis.remove("compare");
            }
        }
        if let Some(question) = root.table("study").0.iter_mut().find(|e| e.key == "question" && e.said.is_none())
            && let Node::Raw(text) = &question.value
            && let Ok(text) = serde_json::from_str::<String>(text)
        {
            question.value = Node::text(&format!("{} ({said})", text.trim()));
        }
    }

    /// The text, and its lines that an override stands behind, from 1.
    pub(super) fn render(&self) -> (String, Vec<(usize, String)>) {
        let mut page = Page::default();
        let is_list_of_tables =
            |node: &Node| matches!(node, Node::List(items) if !items.is_empty() && items.iter().all(|i| matches!(i, Node::Table(_))));
        // What belongs to no section stands before all, or it would belong to one.
        for entry in self.0.0.iter().filter(|e| !matches!(e.value, Node::Table(_)) && !is_list_of_tables(&e.value)) {
            page.entry(entry);
        }
        for entry in &self.0.0 {
            match &entry.value {
                Node::Table(table) => page.section(&format!("[{}]", quoted(&entry.key)), table),
                Node::List(items) if is_list_of_tables(&entry.value) => {
                    for item in items {
                        if let Node::Table(table) = item {
                            page.section(&format!("[[{}]]", quoted(&entry.key)), table);
                        }
                    }
                }
                _ => {}
            }
        }
        (page.text, page.lines)
    }
}

fn set_or_remove(table: &mut Table, key: &str, change: &Override) {
    match &change.change {
        Change::Remove => {
            table.remove(key);
        }
        Change::One(value) | Change::Many(value) => table.set(key, value.clone(), &change.text),
    }
}

/// Marks the line of a table within a table.
fn mark(outer: &mut Table, block: &str, said: &str, key: &str) {
    if let Some(entry) = outer.0.iter_mut().find(|e| e.key == block)
        && matches!(&entry.value, Node::Table(inner) if inner.get(key).is_some())
    {
        entry.said = Some(said.to_owned());
    }
}

#[derive(Default)]
struct Page {
    text: String,
    lines: Vec<(usize, String)>,
}

impl Page {
    fn section(&mut self, header: &str, table: &Table) {
        self.text.push_str(if self.text.is_empty() { "" } else { "\n" });
        let _ = writeln!(self.text, "{header}");
        table.0.iter().for_each(|entry| self.entry(entry));
    }

    fn entry(&mut self, entry: &Entry) {
        let _ = write!(self.text, "{} = ", quoted(&entry.key));
        entry.value.write(&mut self.text);
        if let Some(said) = &entry.said {
            self.lines.push((self.text.matches('\n').count() + 1, said.clone()));
            let _ = write!(self.text, "  # {said}");
        }
        self.text.push('\n');
    }
}
