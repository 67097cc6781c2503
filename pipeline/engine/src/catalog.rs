//! What the engine offers to grid files: the vocabulary, and the datasets, each read once and shared by all runs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use spec::Vocabulary;

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

    /// A dataset, read on first use.
    ///
    /// # Errors
    /// When it is not there, or a file is not what it should be.
    pub fn dataset(&self, name: &str) -> Result<Arc<Dataset>, DataError> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(dataset) = loaded.get(name) {
            return Ok(Arc::clone(dataset));
        }
        let dataset = Arc::new(data::load(name, self.data_dir.as_ref())?);
        loaded.insert(name.to_owned(), Arc::clone(&dataset));
        Ok(dataset)
    }
}

impl spec::grid::Catalog for Catalog {
    fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    fn dataset_checksum(&self, dataset: &str) -> Result<String, String> {
        self.dataset(dataset).map(|d| d.checksum.clone()).map_err(|e| e.to_string())
    }
}
