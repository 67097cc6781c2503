//! Runs that are cut short and go on, against the same runs in one go; and what is no checkpoint of a run.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::LazyLock;

use candle_core::Device;
use proptest::prelude::*;
use spec::record::{Confusion, Eval, Facts, Measurement, Outcome, Picture, Position, Sink, SinkError, Step, WriteState};
use spec::{Config, Value};

use super::*;
use crate::data::Dataset;
use crate::layer::Path;
use crate::train::tests::{Memory, run};
use crate::train::{self, Ending};

/// Keeps everything, and a checkpoint whenever it is asked.
#[derive(Default)]
struct Keeper {
    memory: Memory,
    /// With their steps, and how much had been recorded.
    checkpoints: Vec<(u64, [usize; 3], Vec<u8>)>,
    /// Whether each was asked for at the end of an epoch.
    at_epoch_end: RefCell<Vec<bool>>,
    stop_after: Option<u64>,
}

impl Keeper {
    fn counts(&self) -> [usize; 3] {
        [self.memory.steps.len(), self.memory.evals.len(), self.memory.positions.len()]
    }

    /// Everything but times, from so many records on, with floats as their bits.
    fn records(&self, [steps, evals, positions]: [usize; 3]) -> (Vec<Vec<u64>>, String) {
        let bits = |x: Option<f64>| x.map_or(u64::MAX, f64::to_bits);
        let Memory { steps: all_steps, evals: all_evals, positions: all_positions, .. } = &self.memory;
        let step = |s: &Step| vec![s.step, s.epoch, s.examples, s.loss.to_bits(), bits(s.accuracy), s.lr.to_bits(), s.grad_norm.to_bits()];
        let eval = |e: &Eval| vec![e.step, e.epoch, e.split as u64, e.examples, e.loss.to_bits(), bits(e.accuracy), bits(e.noise_scale)];
        let position = |p: &Position| vec![p.step, p.x.to_bits(), p.y.to_bits()];
        let numbers = all_steps[steps..].iter().map(step).chain(all_evals[evals..].iter().map(eval));
        let numbers = numbers.chain(all_positions[positions..].iter().map(position)).collect();
        (numbers, format!("{:?} {:?} {:?}", self.memory.measurements, self.memory.confusion, self.memory.pictures))
    }
}

impl Sink for Keeper {
    fn begin(&mut self, facts: &Facts) -> Result<(), SinkError> {
        self.memory.begin(facts)
    }
    fn step(&mut self, step: &Step) -> Result<(), SinkError> {
        self.memory.step(step)
    }
    fn eval(&mut self, eval: &Eval) -> Result<(), SinkError> {
        self.memory.eval(eval)
    }
    fn position(&mut self, position: &Position) -> Result<(), SinkError> {
        self.memory.position(position)
    }
    fn measurement(&mut self, measurement: &Measurement) -> Result<(), SinkError> {
        self.memory.measurement(measurement)
    }
    fn picture(&mut self, picture: &Picture) -> Result<(), SinkError> {
        self.memory.picture(picture)
    }
    fn confusion(&mut self, confusion: &Confusion) -> Result<(), SinkError> {
        self.memory.confusion(confusion)
    }
    fn interrupted(&self) -> bool {
        self.stop_after.is_some_and(|n| self.memory.steps.len() as u64 >= n)
    }
    fn wants_checkpoint(&self, at_epoch_end: bool) -> bool {
        self.at_epoch_end.borrow_mut().push(at_epoch_end);
        true
    }
    fn checkpoint(&mut self, step: u64, write: &mut WriteState<'_>) -> Result<(), SinkError> {
        let mut bytes = vec![];
        write(&mut bytes).unwrap();
        self.checkpoints.push((step, self.counts(), bytes));
        Ok(())
    }
}

/// The scalars and numbers of a checkpoint.
fn but_for_time(bytes: &[u8]) -> (BTreeMap<String, String>, BTreeMap<String, Vec<u8>>) {
    let Checkpoint { scalars, tensors, bytes, .. } = Checkpoint::parse(bytes.to_vec()).unwrap();
    let tensors = tensors.into_iter().map(|(name, (_, range))| (name, bytes[range].to_vec())).collect();
    (scalars.into_iter().filter(|(name, _)| name != "clock_ns").collect(), tensors)
}

/// Runs a run with a sink.
type Go<'a> = dyn Fn(Option<&Checkpoint>, &mut Keeper) -> Ending + 'a;

/// The run in one go, and from each of its checkpoints, of which every `stride`-th is taken.
fn assert_goes_on(go: &Go<'_>, stride: usize, what: &str) -> (Ending, Keeper) {
    let mut whole = Keeper::default();
    let ending = go(None, &mut whole);
    assert_eq!(whole.checkpoints.len() as u64, ending.steps - 1, "{what}: one after each step that goes on");
    for (step, counts, bytes) in whole.checkpoints.iter().step_by(stride) {
        let checkpoint = Checkpoint::parse(bytes.clone()).unwrap();
        assert_eq!(checkpoint.step(), *step);
        let mut rest = Keeper::default();
        assert_eq!(go(Some(&checkpoint), &mut rest), ending, "{what} from step {step}");
        assert_eq!(rest.records([0; 3]), whole.records(*counts), "{what} from step {step}");
        let (first, last) = (rest.memory.steps.first().unwrap(), whole.memory.steps[counts[0] - 1]);
        assert!(first.elapsed_ms > last.elapsed_ms, "{what}: time goes on");
        if let Some((later, _, bytes)) = rest.checkpoints.last() {
            assert_eq!(*later, ending.steps - 1);
            assert_eq!(but_for_time(bytes), but_for_time(&whole.checkpoints.last().unwrap().2), "{what} from step {step}");
        }
    }
    (ending, whole)
}

fn text(s: &'static str) -> Value {
    Value::Text(s.into())
}

/// A run of the network with this text.
fn with_network(network: &'static str, changes: &[(&str, Value)], seed: u64) -> RunSpec {
    let RunSpec { mut config, seed, .. } = run(changes, seed);
    config.insert("model_definition", text(network));
    RunSpec { id: config.run_id(seed), seed, config }
}

const PLAIN: &str = "flatten, dense 6 relu, dense classes";
const RICH: &str = "conv3x3 3, batchnorm relu, maxpool 2, flatten, dropout 0.3, dense 8 relu, dropout 0.1, dense classes";

/// Together, all that a training keeps.
fn trainings() -> Vec<(&'static str, RunSpec, Outcome)> {
    let (float, int, on) = (Value::Float, Value::Int, Value::Bool(true));
    let adam =
        || vec![("optimizer", text("adam")), ("beta1", float(0.9)), ("beta2", float(0.999)), ("eps", float(1e-8)), ("lr", float(0.01))];
    let of = |more: Vec<(&'static str, Value)>, changes: Vec<(&'static str, Value)>| [more, changes].concat();
    let few = || vec![("train_examples", int(40)), ("batch_size", int(16)), ("eval_train_examples", int(20))];
    let completed = Outcome::Completed;
    vec![
        ("sgd", with_network(PLAIN, &[], 1), completed),
        (
            "momentum, warm-up, schedule, label smoothing",
            with_network(
                RICH,
                &[
                    ("momentum", float(0.9)),
                    ("nesterov", on.clone()),
                    ("schedule", text("cosine")),
                    ("warmup_steps", int(3)),
                    ("min_lr", float(0.01)),
                    ("label_smoothing", float(0.1)),
                ],
                2,
            ),
            completed,
        ),
        (
            "adam, average, augmentation, feature maps",
            with_network(
                RICH,
                &of(
                    adam(),
                    vec![
                        ("ema_decay", float(0.8)),
                        ("augment_flip", on.clone()),
                        ("augment_crop", int(2)),
                        ("augment_noise", float(0.1)),
                        ("feature_maps", int(1)),
                    ],
                ),
                3,
            ),
            completed,
        ),
        (
            "adamw, clipping, parts, noise scale",
            with_network(
                RICH,
                &[
                    adam(),
                    few(),
                    vec![
                        ("optimizer", text("adamw")),
                        ("weight_decay", float(0.01)),
                        ("clip_norm", float(0.5)),
                        ("accumulate", int(3)),
                        ("noise_scale", on.clone()),
                    ],
                ]
                .concat(),
                4,
            ),
            completed,
        ),
        (
            "rmsprop, average, best epoch, noise scale",
            with_network(
                RICH,
                &of(
                    few(),
                    vec![
                        ("optimizer", text("rmsprop")),
                        ("alpha", float(0.9)),
                        ("eps", float(1e-8)),
                        ("lr", float(0.02)),
                        ("epochs", int(30)),
                        ("patience", int(2)),
                        ("ema_decay", float(0.5)),
                        ("noise_scale", on),
                    ],
                ),
                5,
            ),
            Outcome::StoppedEarly,
        ),
        (
            "adagrad",
            with_network(PLAIN, &[("optimizer", text("adagrad")), ("eps", float(1e-10)), ("weight_decay", float(0.01))], 6),
            completed,
        ),
        (
            "divergence",
            with_network(PLAIN, &[("lr", float(3.0)), ("warmup_steps", int(30)), ("divergence_factor", float(1.2)), ("epochs", int(9))], 1),
            Outcome::Diverged,
        ),
    ]
}

/// With a small test split: compositions are slow.
static DATASET: LazyLock<Dataset> = LazyLock::new(|| {
    let mut dataset = crate::data::tests::mini();
    let len = dataset.example_len();
    dataset.test.labels.truncate(50);
    dataset.test.examples.truncate(50 * len);
    dataset
});

fn trained_on(run: &RunSpec, path: Path, resume: Option<&Checkpoint>, sink: &mut Keeper) -> Ending {
    train::train(run, &DATASET, (&Device::Cpu, path), &|| 1, resume, sink).unwrap()
}

#[test]
fn a_training_goes_on_as_if_it_had_not_been_cut_short() {
    for (what, run, outcome) in trainings() {
        let (ending, whole) = assert_goes_on(&|resume, sink| trained_on(&run, Path::Kernels, resume, sink), 1, what);
        assert_eq!(ending.outcome, outcome, "{what}: {ending:?}");
        assert!(ending.steps > 3, "{what}: {ending:?}");
        let ends = whole.at_epoch_end.borrow();
        assert_eq!(ends.len(), whole.checkpoints.len(), "{what}: asked once per step");
        let per_epoch = whole.memory.steps.iter().filter(|s| s.epoch == 1).count();
        assert!(ends.iter().zip(1..).all(|(end, step)| *end == (step % per_epoch == 0)), "{what}: {ends:?}");
    }
}

#[test]
fn a_training_by_composition_goes_on_likewise() {
    for (what, run, _) in trainings() {
        assert_goes_on(&|resume, sink| trained_on(&run, Path::Composed, resume, sink), 5, what);
    }
}

/// A descent with noise on the gradient.
fn descent(changes: &[(&'static str, Value)], seed: u64) -> RunSpec {
    let (float, int) = (Value::Float, Value::Int);
    let mut config = Config::default();
    let all = [
        ("objective", text("surface")),
        ("surface", text("rosenbrock")),
        ("gradient_noise", float(0.3)),
        ("optimizer", text("adam")),
        ("beta1", float(0.9)),
        ("beta2", float(0.99)),
        ("eps", float(1e-8)),
        ("weight_decay", float(0.0)),
        ("clip_norm", float(5.0)),
        ("schedule", text("constant")),
        ("warmup_steps", int(2)),
        ("divergence_factor", float(1e4)),
        ("start_x", float(-1.2)),
        ("start_y", float(1.0)),
        ("steps", int(12)),
        ("lr", float(0.1)),
    ];
    for (key, value) in all.into_iter().chain(changes.iter().cloned()) {
        config.insert(key, value);
    }
    RunSpec { id: config.run_id(seed), seed, config }
}

fn descended(run: &RunSpec, resume: Option<&Checkpoint>, sink: &mut Keeper) -> Ending {
    crate::run(run, None, &Device::Cpu, &|| 1, resume, sink).unwrap()
}

#[test]
fn a_descent_goes_on_likewise() {
    let run = descent(&[], 3);
    let (ending, whole) = assert_goes_on(&|resume, sink| descended(&run, resume, sink), 1, "descent");
    assert_eq!((ending.outcome, ending.steps), (Outcome::Completed, 12));
    assert!(whole.at_epoch_end.borrow().iter().all(|end| !end));
    let sgd = [("optimizer", text("sgd")), ("momentum", Value::Float(0.9)), ("nesterov", Value::Bool(false)), ("lr", Value::Float(0.5))];
    let run = descent(&[&sgd[..], &[("clip_norm", Value::Float(1e9)), ("steps", Value::Int(40))]].concat(), 3);
    let (ending, _) = assert_goes_on(&|resume, sink| descended(&run, resume, sink), 1, "diverging descent");
    assert_eq!(ending.outcome, Outcome::Diverged);
}

#[test]
fn an_interrupted_run_leaves_what_it_goes_on_from() {
    let run = with_network(PLAIN, &[], 1);
    let mut whole = Keeper::default();
    let ending = trained_on(&run, Path::Kernels, None, &mut whole);
    // Four steps are an epoch: its evaluations come before the checkpoint.
    for (steps, evals) in [(3, 2), (4, 4)] {
        let mut first = Keeper { stop_after: Some(steps), ..Keeper::default() };
        let cut = trained_on(&run, Path::Kernels, None, &mut first);
        assert_eq!(cut, Ending { outcome: Outcome::Interrupted, steps, reason: None });
        assert_eq!(first.memory.evals.len(), evals);
        let (step, _, bytes) = first.checkpoints.pop().unwrap();
        assert_eq!(step, steps);
        let mut rest = Keeper::default();
        assert_eq!(trained_on(&run, Path::Kernels, Some(&Checkpoint::parse(bytes).unwrap()), &mut rest), ending);
        assert_eq!(rest.records([0; 3]), whole.records(first.counts()));
    }
    // One that has just ended by itself was not cut short.
    let mut last = Keeper { stop_after: Some(8), ..Keeper::default() };
    assert_eq!(trained_on(&run, Path::Kernels, None, &mut last), ending);
}

/// The checkpoints of a small training and of a descent, after their third steps.
fn some() -> [(RunSpec, Vec<u8>); 2] {
    let (training, descent) =
        (with_network(RICH, &[("ema_decay", Value::Float(0.9)), ("momentum", Value::Float(0.5))], 1), descent(&[], 1));
    let (mut trained, mut descended_to) =
        (Keeper { stop_after: Some(3), ..Keeper::default() }, Keeper { stop_after: Some(3), ..Keeper::default() });
    trained_on(&training, Path::Kernels, None, &mut trained);
    descended(&descent, None, &mut descended_to);
    [(training, trained.checkpoints.remove(2).2), (descent, descended_to.checkpoints.remove(2).2)]
}

#[test]
fn other_readers_of_safetensors_read_it() {
    let [(run, training), (_, descent)] = some();
    let (header, metadata) = SafeTensors::read_metadata(&training).unwrap();
    assert_eq!(header % 8, 0);
    let scalars = metadata.metadata().as_ref().unwrap();
    assert_eq!((scalars["run"].as_str(), scalars["step"].as_str(), scalars["seen"].as_str()), (run.id.as_str(), "3", "96"));
    let tensors = SafeTensors::deserialize(&training).unwrap();
    let names: BTreeSet<&str> = tensors.names().into_iter().collect();
    for name in ["layer.0.parameter.0", "layer.0.parameter.0.state.1", "layer.1.memory.0", "average.0"] {
        assert!(names.contains(name), "{name} in {names:?}");
    }
    let filters = tensors.tensor("layer.0.parameter.0").unwrap();
    assert_eq!((filters.dtype(), filters.shape()), (Dtype::F32, &[27][..]));
    let at = SafeTensors::deserialize(&descent).unwrap();
    assert_eq!((at.tensor("at").unwrap().dtype(), at.names().len()), (Dtype::F64, 3));
}

#[test]
fn what_a_run_cannot_go_on_from_is_refused() {
    let [(training, bytes), (descent_run, descent_bytes)] = some();
    let checkpoint = Checkpoint::parse(bytes.clone()).unwrap();
    let error = |run: &RunSpec, path: Path, checkpoint: &Checkpoint| {
        let mut sink = Keeper::default();
        let result = train::train(run, &DATASET, (&Device::Cpu, path), &|| 1, Some(checkpoint), &mut sink);
        assert_eq!(sink.counts(), [0; 3], "nothing is recorded");
        match result {
            Err(Error::Checkpoint(what)) => what,
            other => panic!("{other:?}"),
        }
    };
    let other_seed = with_network(RICH, &[("ema_decay", Value::Float(0.9)), ("momentum", Value::Float(0.5))], 2);
    let expected = format!("the checkpoint is of run {:?}, not of {}", training.id, other_seed.id);
    assert_eq!(error(&other_seed, Path::Kernels, &checkpoint), expected);
    let other = error(&training, Path::Composed, &checkpoint);
    assert_eq!(other, "the checkpoint was taken on \"cpu by kernels\", and this is \"cpu by composed\", where bits may differ");
    // As if two runs had one id: what is in it is still checked.
    let posed = |run: RunSpec| RunSpec { id: training.id.clone(), ..run };
    let network = |network| posed(with_network(network, &[("ema_decay", Value::Float(0.9)), ("momentum", Value::Float(0.5))], 1));
    let what = error(&network("flatten, dense 8 relu, dense classes"), Path::Kernels, &checkpoint);
    assert!(what.starts_with("the checkpoint has tensor `layer.0.parameter.0` of F32 in 108 bytes, not"), "{what}");
    let what = error(&posed(with_network(RICH, &[("momentum", Value::Float(0.5))], 1)), Path::Kernels, &checkpoint);
    assert!(what.ends_with("tensors, and the run has 18"), "{what}");
    let what =
        error(&posed(with_network(RICH, &[("momentum", Value::Float(0.5)), ("steps", Value::Int(3))], 1)), Path::Kernels, &checkpoint);
    assert_eq!(what, "the checkpoint is of step 3, and a run of 3 steps goes on only from one between");
    let what = error(&training, Path::Kernels, &Checkpoint::parse(descent_bytes.clone()).unwrap());
    assert!(what.starts_with("the checkpoint is of run"), "{what}");

    let swap = |from: &str, to: &str| {
        let at = bytes.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
        let mut bytes = bytes.clone();
        bytes[at..at + from.len()].copy_from_slice(to.as_bytes());
        Checkpoint::parse(bytes).err().unwrap().to_string()
    };
    assert_eq!(swap("\"format\":\"1\"", "\"format\":\"7\""), "the checkpoint has format 7, and this version reads format 1");
    assert!(swap("\"pipeline 0", "\"pipeline 9").starts_with("the checkpoint was written by \"pipeline 9"));
    assert_eq!(swap("\"step\"", "\"stop\""), "the checkpoint has no `step`");
    let gradients = descent(&[("objective", text("convolution-gradients"))], 1);
    let result = crate::run(&gradients, None, &Device::Cpu, &|| 1, Some(&checkpoint), &mut Keeper::default());
    assert!(matches!(result, Err(Error::Checkpoint(_))), "{result:?}");
    assert!(matches!(
        crate::run(&descent_run, None, &Device::Cpu, &|| 1, Some(&checkpoint), &mut Keeper::default()),
        Err(Error::Checkpoint(_))
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A checkpoint that was damaged is refused, or taken for one of other numbers; nothing panics.
    #[test]
    fn damaged_checkpoints_do_no_harm(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 0..6),
        keep in prop::option::of(any::<prop::sample::Index>()),
    ) {
        static SOME: LazyLock<(RunSpec, Vec<u8>)> = LazyLock::new(|| { let [_, descent] = some(); descent });
        let (run, mut bytes) = SOME.clone();
        for (index, byte, in_start) in changes {
            let len = bytes.len();
            bytes[index.index(if in_start { 8 } else { len })] = byte;
        }
        let len = bytes.len();
        bytes.truncate(keep.map_or(len, |keep| keep.index(len)));
        if let Ok(checkpoint) = Checkpoint::parse(bytes) {
            let result = crate::run(&run, None, &Device::Cpu, &|| 1, Some(&checkpoint), &mut Keeper::default());
            prop_assert!(matches!(result, Ok(_) | Err(Error::Checkpoint(_))));
        }
    }

    #[test]
    fn noise_is_no_checkpoint(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Checkpoint::parse(bytes).is_err());
    }
}
