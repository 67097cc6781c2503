//! Where datasets may be on this machine.

use std::env;
use std::path::{Path, PathBuf};

use super::DataError;

/// Debian's package has its own folder.
const DEBIAN_FASHION_MNIST: (&str, &str) = ("fashion-mnist", "/usr/share/datasets/fashion-mnist");

/// The folders that may hold datasets.
#[derive(Debug)]
pub(super) struct Places {
    data_dir: Option<PathBuf>,
    /// The user's folder for caches.
    cache: Option<PathBuf>,
}

/// The cache folder of a dataset: what is downloaded for it lies there, and readers look there.
pub fn home(name: &str) -> PathBuf {
    let places = Places::here(None);
    // Without a home there is still the current folder, where readers look, too.
    places.ours().map_or_else(|| Path::new("data").join(name), |ours| ours.join(name))
}

impl Places {
    /// `data_dir` and what the environment says.
    pub(super) fn here(data_dir: Option<&Path>) -> Self {
        Self::new(data_dir, env::var_os("XDG_CACHE_HOME").map(PathBuf::from), env::home_dir())
    }

    /// The XDG standard says that relative paths are to be ignored; an empty one is relative.
    pub(super) fn new(data_dir: Option<&Path>, xdg_cache: Option<PathBuf>, home: Option<PathBuf>) -> Self {
        let home = home.filter(|h| h.is_absolute()).map(|h| h.join(".cache"));
        Places { data_dir: data_dir.map(Path::to_path_buf), cache: xdg_cache.filter(|c| c.is_absolute()).or(home) }
    }

    fn ours(&self) -> Option<PathBuf> {
        self.cache.as_ref().map(|c| c.join("pipeline"))
    }

    /// Where decoded datasets are kept.
    pub(super) fn decoded(&self) -> Option<PathBuf> {
        self.ours().map(|c| c.join("decoded"))
    }

    /// The folders that may hold the dataset of that name, in the order of search.
    fn of(&self, name: &str) -> Vec<PathBuf> {
        let shared = self.data_dir.iter().cloned().chain(["data".into()]);
        let mut places: Vec<PathBuf> = shared.flat_map(|dir| [dir.join(name), dir]).collect();
        places.extend(self.ours().map(|c| c.join(name)));
        if name == DEBIAN_FASHION_MNIST.0 {
            places.push(DEBIAN_FASHION_MNIST.1.into());
        }
        places
    }

    /// What `look` finds in the first folder where it finds anything.
    ///
    /// # Errors
    /// When there is nothing anywhere. `hint` says what to do then.
    pub(super) fn find<T>(&self, name: &str, hint: &str, look: impl Fn(&Path) -> Option<T>) -> Result<T, DataError> {
        let places = self.of(name);
        places.iter().find_map(|p| look(p)).ok_or_else(|| DataError::NotFound {
            name: name.to_owned(),
            hint: hint.to_owned(),
            looked: places.iter().map(|p| p.display().to_string()).collect(),
        })
    }
}

/// The hint for a dataset that can be downloaded.
pub(super) fn fetch_hint(name: &str) -> String {
    format!("`pipeline data fetch {name}` downloads it, or give --data-dir")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_dir_comes_first_and_debian_last() {
        let dir = PathBuf::from("/d");
        let found = Places::new(Some(&dir), None, Some("/home/u".into())).of("fashion-mnist");
        let cache = "/home/u/.cache/pipeline/fashion-mnist";
        let expected = ["/d/fashion-mnist", "/d", "data/fashion-mnist", "data", cache, "/usr/share/datasets/fashion-mnist"];
        assert_eq!(found, expected.map(PathBuf::from));
        let places = Places::new(None, Some("/c".into()), Some("/home/u".into()));
        assert_eq!(places.of("mnist"), ["data/mnist", "data", "/c/pipeline/mnist"].map(PathBuf::from));
        assert_eq!(places.decoded(), Some("/c/pipeline/decoded".into()));
    }

    #[test]
    fn a_relative_cache_folder_does_not_count() {
        let places = Places::new(None, Some("c".into()), Some("/home/u".into()));
        assert_eq!(places.decoded(), Some("/home/u/.cache/pipeline/decoded".into()));
        assert_eq!(Places::new(None, Some("".into()), None).decoded(), None);
    }

    #[test]
    fn a_missing_dataset_says_how_to_get_it() {
        let error = Places::new(None, None, None).find("cifar10", &fetch_hint("cifar10"), |_| None::<()>).unwrap_err();
        let expected = "the dataset `cifar10` was not found; `pipeline data fetch cifar10` downloads it, or give --data-dir\n  \
                        looked in: data/cifar10, data";
        assert_eq!(error.to_string(), expected);
    }
}
