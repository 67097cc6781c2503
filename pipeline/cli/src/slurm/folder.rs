//! The folder of a submission: what was submitted, and what has come of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tracker::Tracker;

use super::script;
use crate::args::{Shard, Slurm};
use crate::commands::count_of;
use crate::error::Expected;
use crate::output::{complain, tell};
use crate::plan::Planned;

const MANIFEST: &str = "submission.json";
/// Gaps of a shard that are named one by one.
const NAMED: usize = 3;

/// A folder that `pipeline slurm` made.
pub struct Folder {
    path: PathBuf,
    manifest: Value,
}

impl Folder {
    /// Makes it: grids and models as they are now, ids, scripts.
    pub fn make(db: &Path, args: &Slurm, planned: &Planned, tasks: u64) -> Result<Self> {
        let parent = db.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let stamp: String = tracker::now()?.chars().filter(char::is_ascii_digit).take(14).collect();
        let path = args.folder.clone().unwrap_or_else(|| parent.join("slurm").join(format!("{stamp}-{}", std::process::id())));
        let failed = |path: &Path| path.display().to_string();
        if path.join(MANIFEST).exists() {
            return Err(Expected::Usage(format!("{}: another submission is there; name another folder", path.display())).into());
        }
        for folder in ["grids/models", "log"] {
            fs::create_dir_all(path.join(folder)).with_context(|| failed(&path))?;
        }
        // Jobs start elsewhere, and later.
        let path = std::path::absolute(&path)?;
        let [db, out] = [db, &args.out].map(std::path::absolute);
        let (db, out) = (db?, out?);
        let write = |name: &str, text: &str| fs::write(path.join(name), text).with_context(|| failed(&path.join(name)));
        for study in &planned.studies {
            write(&format!("grids/{}.toml", study.name), &study.source)?;
        }
        for (name, text) in models(args)? {
            write(&format!("grids/models/{name}"), &text)?;
        }
        let mut runs = vec![];
        for item in planned.to_run() {
            let shard = Shard::all(tasks).position(|shard| shard.holds(&item.run.id)).map_or(0, |i| i + 1);
            runs.push(json!({ "run_id": item.run.id, "study": item.study, "arm": item.arm, "seed": item.run.seed, "shard": shard }));
        }
        let ids: Vec<&str> = planned.to_run().map(|item| item.run.id.as_str()).collect();
        write("runs.txt", &format!("{}\n", ids.join("\n")))?;
        let program = std::env::current_exe().context("where this program is")?;
        let options = options(args)?;
        write("task.sh", &script::task(&script::Task { args, program: &program, folder: &path, tasks, options: &options }))?;
        write("merge.sh", &script::merge(args, &program, &path, &db, &out))?;
        let manifest = json!({ "version": env!("CARGO_PKG_VERSION"), "tasks": tasks, "db": db, "runs": runs });
        write(MANIFEST, &format!("{manifest:#}\n"))?;
        Ok(Folder { path, manifest })
    }

    /// # Errors
    /// When it is none.
    pub fn open(path: &Path) -> Result<Self> {
        let file = path.join(MANIFEST);
        let text = fs::read_to_string(&file).map_err(|_| {
            Expected::Usage(format!("{}: this folder was not made by `pipeline slurm`; name databases, or such a folder", path.display()))
        })?;
        let manifest = serde_json::from_str(&text).with_context(|| file.display().to_string())?;
        Ok(Folder { path: path.to_owned(), manifest })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes it.
    pub fn discard(&self) {
        let _ = fs::remove_dir_all(&self.path);
    }

    /// Keeps the number of the array.
    pub fn note_job(&self, job: &str) -> Result<()> {
        let mut manifest = self.manifest.clone();
        manifest["job"] = job.into();
        let file = self.path.join(MANIFEST);
        fs::write(&file, format!("{manifest:#}\n")).with_context(|| file.display().to_string())
    }

    /// The databases that tasks have published so far.
    pub fn published(&self) -> Vec<PathBuf> {
        let tasks = self.manifest["tasks"].as_u64().unwrap_or(0);
        (1..=tasks).map(|shard| self.shard(shard)).filter(|file| file.exists()).collect()
    }

    fn shard(&self, number: u64) -> PathBuf {
        self.path.join(format!("shard-{number}.db"))
    }

    /// Says which runs have no result in a database, shard by shard, and why. Returns how many.
    pub fn name_gaps(&self, db: &Path) -> Result<usize> {
        let runs = self.manifest["runs"].as_array().map_or(&[][..], Vec::as_slice);
        let text = |run: &Value, key: &str| run[key].as_str().unwrap_or_default().to_owned();
        let ids: Vec<String> = runs.iter().map(|run| text(run, "run_id")).collect();
        let known = Tracker::known(db, &ids.iter().map(String::as_str).collect::<Vec<_>>())?;
        let mut gaps: BTreeMap<u64, Vec<String>> = BTreeMap::new();
        for (run, known) in runs.iter().zip(&known) {
            let outcome = known.as_ref().and_then(|k| k.outcome);
            if outcome.is_some_and(spec::record::Outcome::is_result) {
                continue;
            }
            let shard = run["shard"].as_u64().unwrap_or(0);
            let why = match (outcome, known) {
                (Some(outcome), Some(known)) => {
                    format!("{}{}", outcome.name(), known.error.as_ref().map_or(String::new(), |e| format!(": {e}")))
                }
                (_, Some(known)) if known.started => "unfinished".to_owned(),
                _ if self.shard(shard).exists() => "not started".to_owned(),
                _ => "not published".to_owned(),
            };
            let name = format!("{} · {} · seed {} ({why})", text(run, "study"), text(run, "arm"), run["seed"]);
            gaps.entry(shard).or_default().push(name);
        }
        let missing = gaps.values().map(Vec::len).sum();
        if missing == 0 {
            tell(&format!("{}: {} of {} have a result", self.path.display(), runs.len(), count_of(runs.len(), "run")));
            return Ok(0);
        }
        complain(&format!("{}: {missing} of {} have no result", self.path.display(), count_of(runs.len(), "run")));
        let job = self.manifest["job"].as_str();
        let states = job.map(states).unwrap_or_default();
        for (shard, names) in gaps {
            let more = names.len().saturating_sub(NAMED);
            let more = if more > 0 { format!(", and {more} more") } else { String::new() };
            let log = self.path.join(format!("log/{shard}.txt"));
            let state = states.get(&shard).map_or(String::new(), |state| format!("{state}; "));
            tell(&format!("  shard {shard} ({state}log: {}): {}{more}", log.display(), names[..names.len().min(NAMED)].join(", ")));
        }
        if let Some(job) = job {
            tell(&format!(
                "  `sacct -j {job}` says how its tasks ended; `sbatch {}` trains what is missing",
                script::quoted(&self.path.join("task.sh"))
            ));
        }
        Ok(missing)
    }
}

/// How the tasks of an array stand, by their numbers: what Slurm's controller still remembers of them. Nothing where there is no Slurm.
fn states(job: &str) -> BTreeMap<u64, String> {
    let output = Command::new("scontrol").args(["--oneliner", "show", "job", job]).output();
    let text = output.map_or(String::new(), |output| String::from_utf8_lossy(&output.stdout).into_owned());
    let states = text.lines().filter_map(|line| {
        let field = |name: &str| line.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        let exit = field("ExitCode").filter(|code| *code != "0:0").map_or(String::new(), |code| format!(", exit code {code}"));
        Some((field("ArrayTaskId")?.parse().ok()?, format!("job {job}: {}{exit}", field("JobState")?.to_lowercase())))
    });
    states.collect()
}

/// The model files that the grids see, by name.
fn models(args: &Slurm) -> Result<BTreeMap<String, String>> {
    let grids = args.selection.grids()?;
    let beside = |path: &Path| path.with_file_name("models");
    let mut folders: Vec<PathBuf> = grids.files.iter().map(|path| beside(path)).collect();
    if folders.is_empty() {
        folders.push("experiments/models".into());
    }
    folders.sort();
    folders.dedup();
    let mut models = BTreeMap::new();
    for folder in folders.iter().filter(|folder| folder.is_dir()) {
        for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            let (Some(name), true) = (path.file_name(), path.extension().is_some_and(|e| e == "toml")) else { continue };
            let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            if models.insert(name.to_string_lossy().into_owned(), text).is_some() {
                let what = format!("{}: another of the grids' folders has a model of that name; submit them one by one", path.display());
                return Err(Expected::Usage(what).into());
            }
        }
    }
    Ok(models)
}

/// What of the selection a task's sweep must be told again; which runs it is about stands in `runs.txt`.
fn options(args: &Slurm) -> Result<Vec<String>> {
    let of = &args.selection;
    let mut options = vec![format!("--max-runs={}", of.max_runs)];
    if let Some(dir) = &of.data_dir {
        options.push(format!("--data-dir={}", std::path::absolute(dir)?.display()));
    }
    let on = &of.resources;
    options.push(format!("--device={}", on.device));
    options.extend(on.jobs.map(|n| format!("--jobs={n}")));
    options.extend(on.threads.map(|n| format!("--threads={n}")));
    options.extend(on.max_memory.map(|size| format!("--max-memory={size}")));
    Ok(options)
}
