//! Sweeps: everything is logged, nothing is done twice, and how a sweep went leaves no trace in its results.

use crate::workspace::{TINY, Workspace};

#[test]
fn every_step_of_every_run_is_in_the_database_and_nothing_is_trained_twice() {
    let w = Workspace::new(TINY);
    let first = w.run(&["sweep"]);
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    assert!(first.stderr.contains("4 runs to train, 0 skipped"), "{}", first.stderr);
    assert!(first.stderr.contains("2 completed, 2 diverged"), "{}", first.stderr);
    assert_eq!(first.stdout, "", "data goes to stdout, progress to stderr");

    let [steps, logged] =
        [0, 1].map(|i| w.rows("SELECT SUM(steps), (SELECT COUNT(*) FROM step) FROM run")[0].split(',').nth(i).unwrap().to_owned());
    assert_eq!(steps, logged);
    assert_eq!(w.rows("SELECT COUNT(*) FROM run WHERE outcome = 'completed' AND steps = 20"), ["2"]);
    // Steps are numbered without gaps, and a diverged run ends with the step that shows it.
    assert_eq!(w.rows("SELECT COUNT(*) FROM (SELECT run_id FROM step GROUP BY run_id HAVING MAX(step) != COUNT(*))"), ["0"]);
    let last =
        "SELECT COUNT(*) FROM run JOIN step ON run_id = id AND step = steps WHERE outcome = 'diverged' AND (loss > 100 OR NOT finite)";
    assert_eq!(w.rows(last), ["2"]);
    assert!(w.path("reports/tiny/report.md").exists() && w.path("reports/README.md").exists());

    let (before, report) = (w.logged(), w.read("reports/tiny/report.md"));
    let second = w.run(&["sweep"]);
    assert_eq!(second.code, Some(0));
    assert!(second.stderr.contains("nothing to train: 4 runs to skip"), "{}", second.stderr);
    assert_eq!((w.logged(), w.read("reports/tiny/report.md")), (before, report));
}

#[test]
fn jobs_and_threads_do_not_change_a_bit() {
    let grid = TINY
        .replace("seeds = 2", "seeds = 3")
        .replace("model = { name = \"mlp\", hidden = 8 }", "model = \"small-cnn\"")
        .replace("epochs = 2", "steps = 5");
    let logged = |options: &[&str]| {
        let w = Workspace::new(&grid);
        w.ok(&[&["sweep"], options].concat());
        w.logged()
    };
    let one = logged(&["-j", "1", "--threads", "1"]);
    assert!(one.len() > 30);
    for options in [&["-j", "1", "--threads", "2"][..], &["-j", "2", "--threads", "1"], &["-j", "2", "--threads", "3"], &["-j", "4"], &[]] {
        assert!(one == logged(options), "{options:?}");
    }
}

#[test]
fn runs_that_cannot_fit_into_memory_are_refused_with_the_figure() {
    let w = Workspace::new(
        &TINY.replace("lr = [0.1, 1000]", "model.hidden = [8, 4096]").replace("{ name = \"mlp\", hidden = 8 }\n", "\"mlp\"\nlr = 0.1\n"),
    );
    let plan = w.ok(&["plan", "--max-memory", "8MiB"]);
    assert!(plan.contains("needs about 28 MiB of memory, and 8.0 MiB are to be had"), "{plan}");
    assert!(plan.contains("4 runs: 2 to train (40 steps), 0 to skip, 2 refused"), "{plan}");
    let sweep = w.run(&["sweep", "--max-memory", "8MiB"]);
    assert_eq!(sweep.code, Some(1), "{}", sweep.stderr);
    assert!(sweep.stderr.contains("error: tiny · hidden=4096 · seed 0 needs about 28 MiB of memory"), "{}", sweep.stderr);
    assert_eq!(w.rows("SELECT outcome, COUNT(*) FROM run WHERE outcome IS NOT NULL GROUP BY outcome"), ["completed,2"]);
    let sweep = w.run(&["sweep"]);
    assert_eq!(sweep.code, Some(0), "{}", sweep.stderr);
    let wrong = w.run(&["sweep", "--max-memory", "8 parsecs"]);
    assert_eq!(wrong.code, Some(2));
    assert!(wrong.stderr.contains("expected a number and a unit, such as 512MiB"), "{}", wrong.stderr);
}

#[test]
fn a_grown_grid_trains_only_what_is_new_and_force_trains_all() {
    let w = Workspace::new(TINY);
    w.ok(&["sweep", "--quiet"]);
    w.write("experiments/tiny.toml", &TINY.replace("lr = [0.1, 1000]", "lr = [0.1, 0.3]"));
    let grown = w.run(&["sweep"]);
    assert!(grown.stderr.contains("2 runs to train, 2 skipped"), "{}", grown.stderr);
    assert_eq!(w.rows("SELECT COUNT(*), (SELECT COUNT(*) FROM study_run) FROM run"), ["6,4"]);
    assert!(w.run(&["sweep", "--force"]).stderr.contains("4 runs to train, 0 skipped"));
}

#[test]
fn a_results_file_of_another_program_is_left_alone() {
    let w = Workspace::new(TINY);
    w.write("other.db", "this is not a database, and somebody may want to keep it");
    let outcome = w.run(&["sweep", "--db", "other.db"]);
    assert_eq!(outcome.code, Some(2));
    assert!(outcome.stderr.contains("not a results database of this program"), "{}", outcome.stderr);
    assert!(w.read("other.db").starts_with("this is not a database"));
}

#[test]
fn a_study_without_its_data_is_skipped_unless_it_is_named() {
    let w = Workspace::new(TINY);
    w.write("experiments/far.toml", &TINY.replace("dataset = \"fashion-mnist-mini\"", "dataset = \"images\"\nimages = \"not-here\""));
    let sweep = w.run(&["sweep", "--no-report"]);
    assert_eq!(sweep.code, Some(0), "{}", sweep.stderr);
    assert!(sweep.stderr.contains("study far is skipped: the dataset `images` was not found; put a folder `not-here`"), "{}", sweep.stderr);
    assert!(sweep.stderr.contains("2 completed, 2 diverged"), "{}", sweep.stderr);
    assert_eq!(w.run(&["sweep", "--quiet", "--no-report"]).stderr, "");
    let named = w.run(&["plan", "experiments/far.toml"]);
    assert!(named.code == Some(2) && named.stderr.contains("--> experiments/far.toml:"), "{}", named.stderr);
    std::fs::remove_file(w.path("experiments/tiny.toml")).unwrap();
    let nothing = w.run(&["plan"]);
    assert!(nothing.code == Some(4) && nothing.stderr.contains("no study has its data here"), "{}", nothing.stderr);
}
