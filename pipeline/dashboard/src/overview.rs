//! All runs as they stand, read again when the file has changed.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use spec::{Config, Filter, Split, Value};
use tracker::Reader;
use tracker::live::{Finals, LiveRun, Member, Progress, Sweep};
use tracker::read::StudyRecord;

use crate::Error;

/// A file that changes all the time is read again after this time at the earliest.
const REST: Duration = Duration::from_millis(500);

/// A run with what follows from it.
#[derive(Debug)]
pub(crate) struct Run {
    pub live: LiveRun,
    pub config: Config,
    /// Of a run that has finished; a diverged one has none.
    pub finals: Finals,
    /// While it is trained.
    pub progress: Option<Progress>,
    pub in_training: bool,
}

impl Run {
    /// What it is at this moment.
    pub fn state(&self) -> &'static str {
        match self.live.outcome {
            _ if self.in_training => "training",
            Some(outcome) => outcome.name(),
            None if self.live.started => "unfinished",
            None => "pending",
        }
    }

    /// A final metric, by the name that `run_summary` has for it.
    pub fn last(&self, metric: &str) -> Option<f64> {
        let (split, quantity) = metric.rsplit_once('_')?;
        let split = [Split::Train, Split::Validation, Split::Test].into_iter().find(|s| s.name() == split)?;
        let (loss, accuracy) = self.finals[split as usize]?;
        let value = if quantity == "loss" { loss } else { accuracy };
        value.is_finite().then_some(value)
    }

    /// What a filter compares.
    fn value(&self, member: &Member, key: &str) -> Option<Value> {
        let text = |text: &str| Some(Value::Text(text.to_owned().into()));
        match key {
            "study" => text(&member.study),
            "arm" => text(&member.arm),
            "run" => text(&self.live.id),
            "outcome" => text(self.state()),
            "device" => text(self.live.device.as_deref()?),
            "host" => text(self.live.host.as_deref()?),
            "seed" => i64::try_from(self.live.seed).ok().map(Value::Int),
            "steps" => i64::try_from(self.live.steps).ok().map(Value::Int),
            "parameters" => i64::try_from(self.live.parameters?).ok().map(Value::Int),
            key => self.config.get(key).cloned().or_else(|| self.last(key).map(Value::Float)),
        }
    }

    /// Seconds that it took, or has taken.
    pub fn seconds(&self) -> Option<f64> {
        Some(self.live.ended_at? - self.live.started_at?).filter(|s| *s >= 0.0)
    }

    /// Seconds that are left to it, by its last steps.
    pub fn seconds_left(&self) -> Option<f64> {
        let (progress, planned) = (self.progress?, self.live.planned_steps?);
        Some(planned.saturating_sub(progress.step) as f64 * progress.ms_per_step? / 1e3)
    }
}

/// All runs.
#[derive(Debug)]
pub(crate) struct Overview {
    /// Of the file that it was read from.
    pub stamp: u64,
    pub studies: Vec<StudyRecord>,
    pub runs: HashMap<String, Arc<Run>>,
    /// Study by study, arm by arm, then by seed.
    pub members: Vec<Member>,
    pub sweeps: Vec<Sweep>,
}

impl Overview {
    fn read(db: &Path, stamp: u64, before: Option<&Overview>) -> Result<Self, Error> {
        let reader = Reader::open(db)?;
        let in_training = reader.in_training()?;
        let mut runs = HashMap::new();
        for live in reader.all_runs()? {
            let in_training = in_training.contains(&live.id);
            if let Some(known) = before.and_then(|b| b.runs.get(&live.id))
                && !in_training
                && known.live == live
                && known.in_training == in_training
            {
                runs.insert(live.id.clone(), Arc::clone(known));
                continue;
            }
            let is_finished = matches!(live.outcome, Some(spec::record::Outcome::Completed | spec::record::Outcome::StoppedEarly));
            let finals = if is_finished { reader.finals(&live.id)? } else { [None; 3] };
            let progress = if in_training { reader.progress(&live.id)? } else { None };
            let config = Config::from_json(&live.config).unwrap_or_default();
            runs.insert(live.id.clone(), Arc::new(Run { live, config, finals, progress, in_training }));
        }
        let mut members = reader.members()?;
        let seed = |member: &Member| runs.get(&member.run).map_or(0, |run| run.live.seed);
        members.sort_by(|a, b| (&a.study, a.position, seed(a)).cmp(&(&b.study, b.position, seed(b))));
        Ok(Overview { stamp, studies: reader.studies()?, runs, members, sweeps: reader.sweeps()? })
    }

    pub fn study(&self, name: &str) -> Result<&StudyRecord, Error> {
        self.studies.iter().find(|study| study.name == name).ok_or_else(|| Error::NotFound(format!("there is no study `{name}`")))
    }

    pub fn members_of(&self, study: &str) -> impl Iterator<Item = (&Member, &Arc<Run>)> {
        self.members.iter().filter(move |member| member.study == study).filter_map(|member| Some((member, self.runs.get(&member.run)?)))
    }

    /// The runs that a filter leaves.
    pub fn matching(&self, filter: Option<&Filter>) -> Vec<(&Member, &Arc<Run>)> {
        let all = self.members.iter().filter_map(|member| Some((member, self.runs.get(&member.run)?)));
        all.filter(|(member, run)| filter.is_none_or(|f| f.matches(|key| run.value(member, key)))).collect()
    }

    /// How many runs of a study are in which state, the states in a fixed order.
    pub fn counts(&self, study: &str) -> Vec<(&'static str, usize)> {
        const STATES: [&str; 8] = ["training", "completed", "stopped_early", "diverged", "failed", "interrupted", "unfinished", "pending"];
        let states: Vec<&str> = self.members_of(study).map(|(_, run)| run.state()).collect();
        STATES.into_iter().map(|state| (state, states.iter().filter(|s| **s == state).count())).filter(|(_, n)| *n > 0).collect()
    }

    /// Seconds until the studies in training are done: what is left to the runs at work, and what those that wait will take, by the
    /// mean of those of their study that are done. `None` when nothing is trained, or nothing is known.
    pub fn seconds_left(&self) -> Option<f64> {
        let at_work: Vec<&Arc<Run>> = self.runs.values().filter(|run| run.in_training).collect();
        if at_work.is_empty() {
            return None;
        }
        let mut total: f64 = at_work.iter().filter_map(|run| run.seconds_left()).sum();
        for study in &self.studies {
            let runs: Vec<&Arc<Run>> = self.members_of(&study.name).map(|(_, run)| run).collect();
            if !runs.iter().any(|run| run.in_training) {
                continue;
            }
            let waiting = runs.iter().filter(|run| matches!(run.state(), "pending" | "unfinished" | "interrupted")).count();
            let took: Vec<f64> = runs.iter().filter_map(|run| run.seconds()).collect();
            if waiting > 0 && took.is_empty() {
                return None;
            }
            total += waiting as f64 * took.iter().sum::<f64>() / took.len().max(1) as f64;
        }
        Some(total / at_work.len() as f64)
    }
}

/// The last overview.
#[derive(Default)]
pub(crate) struct Overviews(Mutex<Option<(Instant, Arc<Overview>)>>);

impl Overviews {
    pub fn get(&self, db: &Path) -> Result<Arc<Overview>, Error> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = stamp(db);
        if let Some((at, overview)) = &*last
            && (overview.stamp == stamp || at.elapsed() < REST)
            && db.exists()
        {
            return Ok(Arc::clone(overview));
        }
        let overview = Arc::new(Overview::read(db, stamp, last.as_ref().map(|(_, o)| &**o))?);
        *last = Some((Instant::now(), Arc::clone(&overview)));
        Ok(overview)
    }
}

/// Changes when the file does, or the log beside it.
fn stamp(db: &Path) -> u64 {
    let mut wal = db.as_os_str().to_owned();
    wal.push("-wal");
    let of = |path: &Path| {
        let data = std::fs::metadata(path).ok()?;
        let time = data.modified().ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        Some(format!("{:?}{}", time, data.len()))
    };
    let text = format!("{:?}{:?}", of(db), of(Path::new(&wal)));
    u64::from_str_radix(&spec::fingerprint(text.as_bytes()), 16).unwrap_or_default()
}

/// How busy the machine is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Load {
    /// Share of all cores, from 0 to 1.
    pub cpu: f64,
    pub cores: usize,
    pub memory_used: u64,
    pub memory_total: u64,
    system: Option<Arc<Mutex<sysinfo::System>>>,
    at: Option<Instant>,
}

impl Load {
    pub fn refresh(&mut self) {
        // What sysinfo gives is the mean since the time before; at shorter intervals it is noise.
        if self.at.is_some_and(|at| at.elapsed() < Duration::from_secs(1)) {
            return;
        }
        self.at = Some(Instant::now());
        let system = Arc::clone(self.system.get_or_insert_with(Arc::default));
        let mut system = system.lock().unwrap_or_else(PoisonError::into_inner);
        system.refresh_cpu_usage();
        system.refresh_memory();
        self.cpu = f64::from(system.global_cpu_usage()) / 100.0;
        self.cores = system.cpus().len();
        (self.memory_used, self.memory_total) = (system.used_memory(), system.total_memory());
    }
}
