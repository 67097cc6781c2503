//! A folder of its own for every test, with grid files and the commands run in it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// A grid whose runs take a fraction of a second: two rates, of which the second diverges, and two seeds.
pub const TINY: &str = r#"
[study]
question = "Does it work?"
targets = { validation_accuracy = 0.3 }

[base]
dataset = "fashion-mnist-mini"
model = { name = "mlp", hidden = 8 }
optimizer = "sgd"
train_examples = 300
validation_fraction = 0.01
batch_size = 32
epochs = 2

[grid]
lr = [0.1, 1000]

[replicates]
seeds = 2
"#;

pub struct Workspace {
    folder: TempDir,
}

impl Workspace {
    /// A folder with one grid file, `experiments/tiny.toml`.
    pub fn new(grid: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("experiments")).unwrap();
        let workspace = Workspace { folder };
        workspace.write("experiments/tiny.toml", grid);
        workspace
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// A picture of one colour, in folders that are made.
    pub fn write_png(&self, name: &str, [height, width]: [u32; 2], colour: [u8; 3]) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut encoder = png::Encoder::new(std::fs::File::create(path).unwrap(), width, height);
        encoder.set_color(png::ColorType::Rgb);
        let pixels = colour.repeat((height * width) as usize);
        encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// The command, not yet started. No file of the user's is in its way.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pipeline"));
        command.args(args).current_dir(self.folder.path()).env("NO_COLOR", "1").env("XDG_CACHE_HOME", self.path("cache"));
        command
    }

    pub fn run(&self, args: &[&str]) -> Outcome {
        Outcome::of(&self.command(args).output().unwrap())
    }

    /// Runs a command that must succeed, and returns its stdout.
    pub fn ok(&self, args: &[&str]) -> String {
        let outcome = self.run(args);
        assert_eq!(outcome.code, Some(0), "{args:?}\n{}{}", outcome.stdout, outcome.stderr);
        outcome.stdout
    }

    /// The answer to a query as CSV without its header.
    pub fn rows(&self, sql: &str) -> Vec<String> {
        self.ok(&["query", "--format", "csv", sql]).lines().skip(1).map(str::to_owned).collect()
    }

    /// Every row of every table, except for times and places and for how it came to be: what must not depend on how a sweep went.
    pub fn tables(&self) -> BTreeMap<&'static str, Vec<String>> {
        let of = |table: &str, columns: &str| self.rows(&format!("SELECT {columns} FROM {table} ORDER BY 1, 2, 3"));
        let facts = "id, arm, seed, config, outcome, error, steps, planned_steps, parameters, flops_per_step, device, layers, classes";
        BTreeMap::from([
            ("study", of("study", "name, question, hypothesis, metric, axes, source, analysis")),
            ("study_target", of("study_target", "study, metric, value")),
            ("study_run", of("study_run", "study, run_id, position, arm, axes")),
            ("run", of("run", facts)),
            ("step", of("step", "run_id, step, epoch, examples, loss, accuracy, lr, grad_norm, finite")),
            ("eval", of("eval", "run_id, split, step, epoch, examples, loss, accuracy, noise_scale, finite")),
            ("position", of("position", "run_id, step, x, y")),
            ("measurement", of("measurement", "run_id, name, value")),
            ("picture", of("picture", "run_id, name, height, width, channels, pixels")),
            ("confusion", of("confusion", "run_id, label, predicted, examples")),
        ])
    }

    /// Everything that was logged, except for times and places: what must not depend on how a sweep went.
    pub fn logged(&self) -> Vec<String> {
        let mut rows =
            self.rows("SELECT run_id, step, epoch, examples, loss, accuracy, lr, grad_norm, finite FROM step ORDER BY run_id, step");
        rows.extend(
            self.rows("SELECT run_id, split, step, epoch, examples, loss, accuracy, finite FROM eval ORDER BY run_id, split, step"),
        );
        rows.extend(self.rows("SELECT id, arm, seed, config, outcome, error, steps, planned_steps, parameters FROM run ORDER BY id"));
        rows
    }
}

pub struct Outcome {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    pub fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Outcome { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }
}

/// The repository's root.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().parent().unwrap()
}
