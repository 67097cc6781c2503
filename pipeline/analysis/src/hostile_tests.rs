//! Reports of a database that somebody made to do harm: whatever its texts hold, it stays text.
//!
//! Every study is made twice, of hostile texts and of harmless ones; what is structure must be the same in both.

use std::collections::BTreeSet;

use serde_json::json;
use spec::record::{LayerFacts, Measurement, Outcome, Picture};

use crate::fixture::{Fixture, study};
use crate::report::Reports;

/// What each text of the database begins with, and what it holds.
const HOSTILE: [&str; 14] = [
    "=HYPERLINK(\"http://x\",\"y\")",
    "+1+1|a|b|",
    "-2+3\n\n# Heading\n\n| a | b |\n| --- | --- |\n",
    "@SUM(A1)",
    "\t=1+1",
    "\r=1",
    "</script><script>alert(1)</script><img src=x onerror=alert(1)>",
    "[click](javascript:alert(1)) ![x](http://x/y.png) [x]: javascript:alert(1)",
    "[x]: http://x",
    "`a` b` c ```\n<!-- \n-->",
    "\\input{/etc/passwd}\\write18{id} 50% $x^2$ #1 & _a_ ~ ^^5cinput {{{",
    "}}}\\end{tabular}\\immediate\\write18{id}",
    "\u{1b}[2J\u{9b}31m\u{7}\u{0}\u{8}\u{7f}\u{202e}gpj\u{2066}\u{200b}\u{feff}\u{2028}\u{e0041}\u{ffff}",
    "\"' onload=\"alert(1)\" x='",
];

/// Texts for a study, one after another, each different.
struct Texts {
    hostile: bool,
    next: usize,
}

impl Texts {
    fn next(&mut self) -> String {
        self.next += 1;
        let text = HOSTILE[self.next % HOSTILE.len()];
        if self.hostile { format!("{text}{}", self.next) } else { format!("name{}", self.next) }
    }
}

/// A text in every field that has one, whichever field that is.
fn fill(data: &mut Fixture, texts: &mut Texts) {
    data.study.question = texts.next();
    data.study.hypothesis = Some(texts.next());
    data.study.source = texts.next();
    for i in 0..data.runs.len() {
        let [id, key, value, error, device, version, commit] = [(); 7].map(|()| texts.next());
        let run = &mut data.runs[i];
        let mut config: serde_json::Value = serde_json::from_str(&run.config).unwrap();
        // The same in all arms, so that it is shown.
        let fixed = if texts.hostile { "`|<b>\n# \u{202e}" } else { "key" };
        config[fixed] = json!(fixed);
        config[&key] = json!(value);
        config["dataset"] = json!(fixed);
        config["epochs"] = json!(value);
        run.config = config.to_string();
        run.id = format!("{id}{i}");
        run.error = run.error.as_ref().map(|_| error.clone());
        run.device = run.device.as_ref().map(|_| device);
        run.version = run.version.as_ref().map(|_| version);
        run.git_commit = run.git_commit.as_ref().map(|_| commit);
        run.git_dirty = Some(i % 2 == 0);
        run.classes = (0..2).map(|_| texts.next()).collect();
        run.layers = vec![LayerFacts { text: texts.next(), output: vec![2], parameters: 3, multiply_adds: 4 }];
    }
}

/// Studies of all kinds that a report tells apart.
fn studies(hostile: bool) -> Vec<Fixture> {
    let mut texts = Texts { hostile, next: 0 };
    let mut all = vec![];
    // Named axes; arms that finish, diverge, fail and wait.
    let mut named = study("named", &[&texts.next(), &texts.next()]);
    let labels: Vec<String> = HOSTILE.iter().map(|_| texts.next()).collect();
    for seed in 0..3 {
        for (position, label) in labels.iter().enumerate() {
            let run = named.add(label, position, &[json!(label), json!(texts.next())], seed);
            match position {
                1 => named.end(run, Outcome::Failed, Some("x")),
                2 => {
                    named.train(run, &[0.1, 0.2]);
                    named.end(run, Outcome::Diverged, Some("x"));
                }
                3 => {}
                n => named.finish(run, &[0.1, 0.5, 0.6 + n as f64 / 100.0 + seed as f64 / 1000.0]),
            }
            named.confusions.push((run as usize, [0, 1, 3]));
        }
    }
    all.push(named);
    // A numeric axis of any name, in groups, with another that moves along.
    let mut along = study("along", &[&texts.next(), &texts.next(), &texts.next()]);
    let groups = [texts.next(), texts.next()];
    for seed in 0..5 {
        for position in 0..8usize {
            let (place, group) = (position % 4, &groups[position / 4]);
            let axes = [json!(place as f64 - 1.5), json!(place), json!(group)];
            let run = along.add(&format!("{group} {place}"), position, &axes, seed);
            along.finish(run, &[0.1, 0.5, 0.6 + position as f64 / 50.0 + seed as f64 / 1000.0]);
        }
    }
    all.push(along);
    // The learning rate by itself is described in a sentence.
    let mut rate = study("rate", &["lr"]);
    for position in 0..3usize {
        let label = texts.next();
        let value = if position == 2 { json!(label) } else { json!(position + 1) };
        for seed in 0..3 {
            let run = rate.add(&label, position, std::slice::from_ref(&value), seed);
            rate.finish(run, &[0.1, 0.5, 0.6 + position as f64 / 50.0]);
        }
    }
    all.push(rate);
    // One arm with measurements and pictures.
    let mut alone = study("alone", &[]);
    let run = alone.add(&texts.next(), 0, &[], 0);
    alone.finish(run, &[0.1, 0.5, 0.6]);
    for value in [1e-3, 2.0] {
        alone.measurements.push((0, Measurement { name: format!("{} deviation", texts.next()), value }));
    }
    alone.pictures.push((0, Picture { name: texts.next(), height: 2, width: 2, channels: 1, pixels: vec![0, 255, 1, 9] }));
    all.push(alone);
    // Two races of optimizers on surfaces.
    let optimizers = [texts.next(), texts.next(), texts.next()];
    for (name, surface) in [("saddles", "saddle".to_owned()), ("descents", texts.next())] {
        let mut descent = study(name, &["optimizer"]);
        descent.study.metric = spec::Metric::ALL[0];
        descent.study.targets = vec![(spec::Metric::ALL[0], -0.01)];
        for (position, optimizer) in optimizers.iter().enumerate() {
            let run = descent.add(optimizer, position, &[json!(optimizer)], 0);
            let config = json!({ "objective": "surface", "surface": surface, "optimizer": optimizer, "lr": texts.next(), "start_x": 0.5, "start_y": 0 });
            descent.runs[run as usize].config = config.to_string();
            for (step, height) in (0..).zip([0.0, -0.02, -0.06 * (position + 1) as f64]) {
                if step > 0 {
                    descent.step(run, step, step, step, height);
                }
                descent.eval(run, spec::Split::Train, step, step, height, f64::NAN);
            }
            descent.end(run, Outcome::Completed, None);
        }
        all.push(descent);
    }
    // Worked numbers.
    let mut check = study("check", &["matrices"]);
    let run = check.add(&texts.next(), 0, &[json!("worked")], 0);
    check.runs[run as usize].config = json!({ "objective": "convolution-gradients", "matrices": "worked" }).to_string();
    check.measurements.push((0, Measurement { name: "input [0, 0]".into(), value: 1.0 }));
    check.measurements.push((0, Measurement { name: format!("deviation of {}", texts.next()), value: 1e-17 }));
    check.end(run, Outcome::Completed, None);
    all.push(check);
    for data in &mut all {
        fill(data, &mut texts);
    }
    all
}

fn reports(hostile: bool) -> Reports {
    let mut reports = Reports::default();
    for data in studies(hostile) {
        reports.add(&data, true).unwrap();
    }
    reports.add_index();
    reports
}

/// Every file of a kind, with the file that harmless texts give.
fn files(end: &str) -> Vec<(String, String, String)> {
    let (hostile, harmless) = (reports(true), reports(false));
    let names = |reports: &Reports| reports.files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&hostile), names(&harmless));
    let text = |reports: &Reports, name: &str| String::from_utf8(reports.files[name].clone()).unwrap();
    let files: Vec<_> = names(&hostile).into_iter().filter(|name| name.ends_with(end)).collect();
    assert!(!files.is_empty());
    files.into_iter().map(|name| (name.clone(), text(&hostile, &name), text(&harmless, &name))).collect()
}

#[test]
fn nothing_in_any_file_is_invisible() {
    for (name, bytes) in reports(true).files {
        let text = String::from_utf8(bytes).unwrap();
        let found = text.find(spec::is_deceptive);
        assert!(found.is_none(), "{name}: {:?}", found.map(|at| text[at..].chars().take(30).collect::<String>()));
    }
}

#[test]
fn cells_of_csv_are_no_formulas() {
    for (name, hostile, harmless) in files(".csv") {
        let records = |text: &str| -> Vec<csv::StringRecord> {
            csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes()).records().map(Result::unwrap).collect()
        };
        let (rows, expected) = (records(&hostile), records(&harmless));
        assert_eq!((rows.len(), rows[0].len()), (expected.len(), expected[0].len()), "{name}");
        for cell in rows.iter().flatten() {
            let formula = cell.trim_start_matches([' ', '"', '\n']).starts_with(['=', '+', '-', '@', '\t', '\r']);
            assert!(!formula || cell.parse::<f64>().is_ok_and(f64::is_finite), "{name}: {cell:?}");
        }
    }
}

/// Pipes that end a cell.
fn pipes(line: &str) -> usize {
    let mut escaped = false;
    line.chars()
        .filter(|c| {
            let is = *c == '|' && !escaped;
            escaped = *c == '\\' && !escaped;
            is
        })
        .count()
}

#[test]
fn markdown_keeps_its_structure() {
    for (name, hostile, harmless) in files(".md") {
        // Line by line: what a line begins with, its cells, its tags, and the links it has.
        let shape = |text: &str| -> Vec<(String, usize, usize, usize)> {
            let shape = |line: &str| {
                let begin: String = line.chars().take_while(|c| "#|->*`!<0123456789. ".contains(*c)).take(2).collect();
                let cells = if line.starts_with('|') { pipes(line) } else { 0 };
                let begin = if begin.trim_end_matches(' ').is_empty() || begin.starts_with(|c: char| c.is_ascii_digit()) {
                    String::new()
                } else {
                    begin
                };
                (begin, cells, line.matches('<').count(), line.matches("](").count())
            };
            text.lines().map(shape).collect()
        };
        let (found, expected) = (shape(&hostile), shape(&harmless));
        for ((line, found), expected) in hostile.lines().zip(&found).zip(&expected) {
            assert_eq!(found, expected, "{name}: {line}");
        }
        assert_eq!(found.len(), expected.len(), "{name}");
    }
}

#[test]
fn the_page_is_the_same_but_for_its_data() {
    let (_, hostile, harmless) = files("index.html").remove(0);
    let start = |page: &str| page.find(r#"id="data">"#).unwrap() + r#"id="data">"#.len();
    let data = |page: &str| {
        let start = start(page);
        start..start + page[start..].find("</script>").unwrap()
    };
    let frame = |page: &str| format!("{}{}", &page[..data(page).start], &page[data(page).end..]);
    assert_eq!(frame(&hostile), frame(&harmless));
    let json = &hostile[data(&hostile)];
    assert!(!json.contains('<'));
    let json: serde_json::Value = serde_json::from_str(json).unwrap();
    assert!(json["studies"][0]["question"].as_str().unwrap().len() > 5);
}

#[test]
fn figures_are_well_formed_and_have_no_element_of_the_data() {
    let known = ["svg", "title", "desc", "rect", "line", "path", "circle", "text", "g", "clipPath", "image", "tspan"];
    for (name, hostile, _) in files(".svg") {
        let mut open: Vec<&str> = vec![];
        let mut rest = &hostile[..];
        while let Some(at) = rest.find('<') {
            assert!(!rest[..at].contains('>'), "{name}");
            let end = rest[at..].find('>').unwrap() + at;
            let tag = &rest[at + 1..end];
            let element = tag.trim_start_matches('/').split([' ', '/']).next().unwrap();
            assert!(known.contains(&element), "{name}: {tag}");
            if tag.starts_with('/') {
                assert_eq!(open.pop(), Some(element), "{name}");
            } else if !tag.ends_with('/') {
                open.push(element);
            }
            // Attributes are ours: no text of the data stands in one.
            assert_eq!(tag.matches('"').count() % 2, 0, "{name}: {tag}");
            assert!(!tag.contains("alert") && !tag.contains(" on"), "{name}: {tag}");
            rest = &rest[end + 1..];
        }
        assert!(open.is_empty() && !rest.contains('>'), "{name}");
        for entity in hostile.split('&').skip(1) {
            assert!(["amp;", "lt;", "gt;", "quot;", "#39;"].iter().any(|known| entity.starts_with(known)), "{name}: {entity:.20}");
        }
    }
}

#[test]
fn latex_has_no_command_of_the_data() {
    // Those that single characters of a text become.
    let of_text =
        ["textbackslash", "textasciitilde", "textasciicircum", "textless", "textgreater", "texttt", "textbf", "times", "to", "surd"];
    for (name, hostile, harmless) in files(".tex") {
        let commands = |text: &str| -> BTreeSet<String> {
            let after = |part: &str| part.chars().take_while(char::is_ascii_alphabetic).collect::<String>();
            // `\\` ends a row; what follows it is no command's name.
            text.replace("\\\\", "").split('\\').skip(1).map(after).filter(|command| !command.is_empty()).collect()
        };
        let mut allowed = commands(&harmless);
        allowed.extend(of_text.map(str::to_owned));
        let found = commands(&hostile);
        assert!(found.is_subset(&allowed), "{name}: {:?}", found.difference(&allowed));
        let bare = |c: char| {
            let mut escaped = false;
            hostile
                .chars()
                .filter(|found| {
                    let is = *found == c && !escaped;
                    escaped = *found == '\\' && !escaped;
                    is
                })
                .count()
        };
        assert_eq!(bare('{'), bare('}'), "{name}");
        // The comment in the first line.
        assert_eq!((bare('%'), bare('#'), bare('_'), bare('~'), bare('^')), (1, 0, 0, 0, 0), "{name}");
        assert_eq!(bare('$') % 2, 0, "{name}");
        let rows = |text: &str| text.lines().count();
        assert_eq!(rows(&hostile), rows(&harmless), "{name}");
        // Cells of each row.
        for (line, expected) in hostile.lines().zip(harmless.lines()) {
            let cells = |line: &str| line.replace("\\&", "").matches('&').count();
            assert_eq!(cells(line), cells(expected), "{name}: {line}");
        }
    }
}

#[test]
fn a_study_that_could_lead_out_of_the_folder_is_refused() {
    for name in ["", ".", "..", "../x", "/etc/x", "a/b", "a\\b", ".hidden", "c:x", "a\0b", "a\u{202e}b", "a b", "a\nb", "<b>", "\u{1b}[2J"]
    {
        let error = Reports::default().add(&study(name, &[]), true).unwrap_err().to_string();
        assert!(error.contains("can't be the name of a study") && !error.contains(spec::is_deceptive), "{name:?} {error}");
    }
    assert!(Reports::default().add(&study(&"a".repeat(1_000_000), &[]), true).unwrap_err().to_string().len() < 400);
}
