//! The models that grid files can name: those in the program, and the files of a folder.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::{Graph, Misfit, Model};
use crate::config::Config;
use crate::diagnostic::{Diagnostic, Source};
use crate::document;
use crate::value::Value;
use crate::vocabulary::{Choice, intern};

/// In the program, because it must work outside of the repository.
const BUILT_IN: [(&str, &str); 4] = [
    ("mlp", include_str!("../../../../experiments/models/mlp.toml")),
    ("small-cnn", include_str!("../../../../experiments/models/small-cnn.toml")),
    ("stacked-cnn", include_str!("../../../../experiments/models/stacked-cnn.toml")),
    ("inception", include_str!("../../../../experiments/models/inception.toml")),
];

/// Models by name. A file that is broken is in the way of those only who want it.
#[derive(Clone, Debug, Default)]
pub struct Library {
    models: BTreeMap<String, Result<Model, Diagnostic>>,
}

impl Library {
    /// The models that are part of the program.
    pub fn built_in() -> Self {
        let mut library = Library::default();
        for (name, text) in BUILT_IN {
            library.add(name, &format!("built-in models/{name}.toml"), text);
        }
        library
    }

    /// The built-in models and every `*.toml` of a folder, if it exists; a file wins over a built-in model of its name.
    ///
    /// # Errors
    /// When the folder can't be listed. A file that can't be read is an error only for those who want it.
    pub fn with_folder(folder: &Path) -> io::Result<Self> {
        let mut library = Library::built_in();
        let entries = match std::fs::read_dir(folder) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(library),
            other => other?,
        };
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_some_and(|e| e == "toml") && path.is_file() {
                let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                let file = path.display().to_string();
                match document::read(&path) {
                    Ok(text) => library.add(&name, &file, &text),
                    Err(e) => {
                        let error = Source { file: &file, text: "" }.error(0..0, format!("the model file can't be read: {e}"));
                        library.models.insert(name, Err(error));
                    }
                }
            }
        }
        Ok(library)
    }

    /// Adds a model from the text of its file, in place of one of its name.
    pub fn add(&mut self, name: &str, file: &str, text: &str) {
        self.models.insert(name.to_owned(), Model::parse(name, file, text));
    }

    /// A model, or what is wrong with its file.
    pub fn model(&self, name: &str) -> Option<Result<&Model, &Diagnostic>> {
        self.models.get(name).map(Result::as_ref)
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.models.keys().map(String::as_str)
    }

    /// A model in which a configuration key would set a parameter that every use of its block sets itself.
    pub fn closed(&self, key: &str) -> Option<&str> {
        let closed = |model: &Result<Model, Diagnostic>| model.as_ref().is_ok_and(|m| m.is_closed(key));
        self.models.iter().find(|(_, model)| closed(model)).map(|(name, _)| name.as_str())
    }

    /// The network of the model that a configuration names; `None` if there is no such model.
    ///
    /// # Errors
    /// When its file is broken, or it is no network for the configuration's values.
    pub fn graph(&self, config: &Config) -> Option<Result<Graph, Misfit>> {
        let Some(Value::Text(name)) = config.get("model") else { return None };
        let broken = |diagnostic: &Diagnostic| Misfit { diagnostic: Box::new(diagnostic.clone()), key: None };
        Some(self.model(name)?.map_err(broken).and_then(|model| model.graph(|key| config.get(key).cloned())))
    }

    /// The models as grid files see them.
    pub fn choices(&self) -> Vec<Choice> {
        let choice = |(name, model): (&String, &Result<Model, Diagnostic>)| match model {
            Ok(model) => model.choice(),
            Err(_) => Choice { name: intern(name), doc: "its file is broken", keys: vec![] },
        };
        self.models.iter().map(choice).collect()
    }
}
