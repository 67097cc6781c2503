//! From grid files to studies.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};

use anyhow::Context;
use engine::Catalog;
use spec::diagnostic::Source;
use spec::grid::{Catalog as _, NoDataset, Overridden};
use spec::model::Library;
use spec::{Config, Limits, Study, Vocabulary};

use crate::args::Grids;
use crate::error::Expected;

/// Studies, and why others were left out.
pub struct Loaded {
    pub studies: Vec<Study>,
    pub skipped: Vec<String>,
}

/// What an override-only sweep is called, and where its models are looked for.
const QUICK: &str = "experiments/quick";

/// Reads the given grid files, or every `experiments/*.toml` whose data is here; with overrides, what they make of the files, or of
/// nothing but defaults.
pub fn load(grids: &Grids<'_>, catalog: &Catalog, limits: Limits) -> anyhow::Result<Loaded> {
    let found;
    let all = grids.files.is_empty() && grids.overrides.is_empty();
    let quick = [PathBuf::from(QUICK)];
    let paths = if all {
        found = in_folder(Path::new("experiments"))?;
        &found[..]
    } else if grids.files.is_empty() {
        &quick[..]
    } else {
        &grids.files[..]
    };
    let mut studies: Vec<Study> = vec![];
    let mut skipped = vec![];
    // Grids of one folder share its models.
    let mut folders: BTreeMap<PathBuf, WithModels<'_>> = BTreeMap::new();
    for path in paths {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        // Reports are folders, and some disks don't tell A from a.
        if let Some(other) = studies.iter().position(|s| s.name.eq_ignore_ascii_case(&name)) {
            let (a, b) = (paths[other].display(), path.display());
            return Err(Expected::Usage(format!("{a} and {b} would both be the study `{name}`; rename one")).into());
        }
        let folder = path.with_file_name("models");
        let here = match folders.entry(folder) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let vocabulary = vocabulary(catalog, new.key())?;
                new.insert(WithModels { catalog, vocabulary })
            }
        };
        let parsed = if grids.overrides.is_empty() {
            Study::parse(&name, &path.display().to_string(), &read(path)?, here, limits)
        } else {
            overridden(path, grids)?.study(here, limits)
        };
        match parsed {
            Ok(study) => studies.push(study),
            Err(e) if all && e.is_missing_data => skipped.push(skipped_for(&name, &e.message)),
            Err(e) => return Err(e.into()),
        }
    }
    if studies.is_empty() {
        return Err(Expected::NothingSelected(format!("no study has its data here\n{}", skipped.join("\n"))).into());
    }
    Ok(Loaded { studies, skipped })
}

/// The grid file that overrides make of one, or of defaults.
///
/// # Errors
/// When the file can't be read or the overrides don't fit together, or their study would take the place of a file's.
pub fn overridden(path: &Path, grids: &Grids<'_>) -> anyhow::Result<Overridden> {
    let is_quick = grids.files.is_empty();
    let text = if is_quick { String::new() } else { read(path)? };
    let file = path.display().to_string();
    let source = (!is_quick).then_some(Source { file: &file, text: &text });
    if let Some(name) = grids.name {
        let taken = path.with_file_name(format!("{name}.toml"));
        if taken.is_file() {
            let what =
                format!("--name {name}: this is the study of {}, which overrides leave as it is; take another name", taken.display());
            return Err(Expected::Usage(what).into());
        }
    }
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    Ok(Overridden::new(source, &stem, &grids.overrides, grids.name)?)
}

/// The grid files that overrides make, one for each of the files that are named.
pub fn all_overridden(grids: &Grids<'_>) -> anyhow::Result<Vec<Overridden>> {
    if grids.overrides.is_empty() {
        return Err(Expected::Usage("--print-grid prints the grid that overrides such as lr=0.1,0.01 make; give some".into()).into());
    }
    let quick = [PathBuf::from(QUICK)];
    let files = if grids.files.is_empty() { &quick[..] } else { &grids.files[..] };
    files.iter().map(|file| overridden(file, grids)).collect()
}

/// One line is enough for what is not an error.
fn skipped_for(study: &str, message: &str) -> String {
    let lines: Vec<&str> = message.lines().map(str::trim).collect();
    format!("study {study} is skipped: {}", lines.join("; "))
}

/// The engine's datasets with the models of a folder.
struct WithModels<'a> {
    catalog: &'a Catalog,
    vocabulary: Vocabulary,
}

impl spec::grid::Catalog for WithModels<'_> {
    fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    fn dataset_checksum(&self, config: &Config) -> Result<String, NoDataset> {
        self.catalog.dataset_checksum(config)
    }
}

/// What grid files beside the folder `models` can name.
pub fn vocabulary(catalog: &Catalog, models: &Path) -> anyhow::Result<Vocabulary> {
    let library = Library::with_folder(models).map_err(|e| Expected::Usage(format!("{}: {e}", models.display())))?;
    Ok(catalog.vocabulary().with_models(library))
}

/// A folder that is not there is a typo, not a place without data.
pub fn check_data_dir(data_dir: Option<&PathBuf>) -> anyhow::Result<()> {
    match data_dir {
        Some(dir) if !dir.is_dir() => Err(Expected::Usage(format!("--data-dir: {} is not a folder", dir.display())).into()),
        _ => Ok(()),
    }
}

fn in_folder(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).map_err(|e| {
        Expected::Usage(format!("{}: {e}; run this where your experiments/ folder is, or name grid files", folder.display()))
    })?;
    let mut paths: Vec<PathBuf> = vec![];
    for entry in entries {
        let path = entry.context("reading experiments/")?.path();
        if path.is_file() && path.extension().is_some_and(|e| e == "toml") {
            paths.push(path);
        }
    }
    paths.sort();
    if paths.is_empty() {
        return Err(Expected::NothingSelected(format!("there is no grid file (*.toml) in {}", folder.display())).into());
    }
    Ok(paths)
}

/// The text of a grid file or a model file that somebody named.
pub fn read(path: &Path) -> anyhow::Result<String> {
    Ok(spec::document::read(path).map_err(|e| Expected::Usage(format!("{}: {e}", path.display())))?)
}
