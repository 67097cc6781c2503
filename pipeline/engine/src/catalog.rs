//! What the engine offers to grid files: the vocabulary, and the datasets, each read once and shared by all runs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use spec::grid::NoDataset;
use spec::{Config, Vocabulary};

use crate::data::{self, DataError, Dataset};
use crate::{optim, schedule};

/// The vocabulary, and a cache of datasets.
pub struct Catalog {
    vocabulary: Vocabulary,
    data_dir: Option<PathBuf>,
    loaded: Mutex<BTreeMap<String, Arc<Dataset>>>,
}

impl Catalog {
    /// `data_dir` is where to look for datasets first.
    pub fn new(data_dir: Option<PathBuf>) -> Self {
        Catalog { vocabulary: Vocabulary::new(data::choices(), optim::choices(), schedule::choices()), data_dir, loaded: Mutex::default() }
    }

    /// The dataset that a configuration names, read on first use.
    ///
    /// # Errors
    /// When it is not there, or a file is not what it should be.
    pub fn dataset(&self, config: &Config) -> Result<Arc<Dataset>, DataError> {
        let name = config.text("dataset").unwrap_or_default();
        let keys = self.vocabulary.datasets.iter().filter(|c| c.name == name).flat_map(|c| &c.keys);
        let id = keys.fold(name.to_owned(), |id, key| format!("{id} {}={:?}", key.name, config.get(key.name)));
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(dataset) = loaded.get(&id) {
            return Ok(Arc::clone(dataset));
        }
        let dataset = Arc::new(data::load(config, self.data_dir.as_deref())?);
        loaded.insert(id, Arc::clone(&dataset));
        Ok(dataset)
    }

    /// The dataset of that name with its default settings.
    ///
    /// # Errors
    /// As above, and when there is no such dataset.
    pub fn dataset_named(&self, name: &str) -> Result<Arc<Dataset>, DataError> {
        let Some(choice) = self.vocabulary.datasets.iter().find(|c| c.name == name) else {
            return Err(data::unknown(name, &self.vocabulary.datasets));
        };
        self.dataset(&data::defaults(choice))
    }
}

impl spec::grid::Catalog for Catalog {
    fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    fn dataset_checksum(&self, config: &Config) -> Result<String, NoDataset> {
        self.dataset(config).map(|d| d.checksum.clone()).map_err(|e| NoDataset::from(&e))
    }
}
