//! `pipeline status --watch`: a screen that keeps up with a sweep, or the counts again and again where there is no terminal.
//!
//! It only reads, and opens the file anew each time, so that it never stands in a sweep's way. Whatever ends it, a signal or an error,
//! the terminal is left as it was.

use std::io::{IsTerminal, Read, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use crossterm::{cursor, execute, queue, terminal};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGWINCH};
use signal_hook::iterator::Signals;
use tracker::Reader;
use tracker::live::{Progress, Sweep, Training};

use super::{Counts, counts, table};
use crate::args::Status;
use crate::chart::{self, Curve, Style};
use crate::commands::count_of;
use crate::output::{colors_data, duration, visible};

/// Points of a live curve: more than there are dots across most screens.
const POINTS: u64 = 500;

/// What there is to see at a moment.
struct Snapshot {
    counts: Vec<Counts>,
    sweeps: Vec<Sweep>,
    runs: Vec<Training>,
    /// Of the run that was started last.
    curve: Vec<(u64, f64)>,
    load: f64,
}

impl Snapshot {
    /// `None`: there is no database yet.
    fn read(db: &Path, args: &Status) -> Result<Option<Self>> {
        if !db.exists() {
            return Ok(None);
        }
        let reader = Reader::open(db)?;
        let runs = reader.training()?;
        let curve = runs.last().map(|run| reader.sampled_losses(&run.id, POINTS)).transpose()?.unwrap_or_default();
        let load = sysinfo::System::load_average().one;
        Ok(Some(Snapshot { counts: counts(&reader, args.filter.as_ref())?, sweeps: reader.sweeps()?, runs, curve, load }))
    }
}

/// What ends the wait for the next look.
enum Event {
    Signal(i32),
    Quit,
    /// As Ctrl-C, which is no signal while keys are read one by one.
    Interrupt,
}

pub fn watch(db: &Path, args: &Status) -> Result<ExitCode> {
    let interval = Duration::from_secs_f64(args.interval);
    let (sender, events) = channel();
    listen(sender.clone())?;
    if !std::io::stdout().is_terminal() {
        return lines(db, args, interval, &events);
    }
    let screen = Screen::open()?;
    if screen.reads_keys {
        std::thread::spawn(move || keys(&sender));
    }
    let code = draw_until_told(db, args, interval, &events)?;
    drop(screen);
    // What was last seen stays on the terminal.
    if let Some(last) = Snapshot::read(db, args)? {
        writeln!(std::io::stdout(), "{}", table(&last.counts))?;
    }
    Ok(code)
}

fn draw_until_told(db: &Path, args: &Status, interval: Duration, events: &Receiver<Event>) -> Result<ExitCode> {
    loop {
        let snapshot = Snapshot::read(db, args)?;
        let next = Instant::now() + interval;
        loop {
            draw(db, snapshot.as_ref())?;
            match events.recv_timeout(next.saturating_duration_since(Instant::now())) {
                // Drawn again, in the new size.
                Ok(Event::Signal(SIGWINCH)) => {}
                Ok(event) => return Ok(exit_code(&event)),
                Err(_) => break,
            }
        }
    }
}

/// Without a terminal: the counts whenever they have changed, behind the time.
fn lines(db: &Path, args: &Status, interval: Duration, events: &Receiver<Event>) -> Result<ExitCode> {
    let mut before = None;
    loop {
        if let Some(now) = Snapshot::read(db, args)?
            && before.as_ref() != Some(&now.counts)
        {
            writeln!(std::io::stdout(), "{}\n{}\n", tracker::now()?, table(&now.counts))?;
            before = Some(now.counts);
        }
        let next = Instant::now() + interval;
        loop {
            match events.recv_timeout(next.saturating_duration_since(Instant::now())) {
                Ok(Event::Signal(SIGWINCH)) => {}
                Ok(event) => return Ok(exit_code(&event)),
                Err(_) => break,
            }
        }
    }
}

fn exit_code(event: &Event) -> ExitCode {
    match event {
        Event::Quit => ExitCode::SUCCESS,
        Event::Interrupt => ExitCode::from(130),
        Event::Signal(signal) => ExitCode::from(u8::try_from(128 + signal).unwrap_or(1)),
    }
}

fn listen(sender: Sender<Event>) -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGWINCH]).context("listening to signals")?;
    std::thread::spawn(move || {
        for signal in signals.forever() {
            if sender.send(Event::Signal(signal)).is_err() {
                return;
            }
        }
    });
    Ok(())
}

/// q, Esc alone, Ctrl-C and Ctrl-D; what arrow keys send begins with Esc, too, and goes on.
fn keys(sender: &Sender<Event>) {
    let mut bytes = [0; 64];
    while let Ok(n @ 1..) = std::io::stdin().read(&mut bytes) {
        let event = match bytes[..n] {
            [0x1b] => Event::Quit,
            [0x1b, ..] => continue,
            ref pressed if pressed.contains(&3) => Event::Interrupt,
            ref pressed if pressed.iter().any(|key| b"qQ\x04".contains(key)) => Event::Quit,
            _ => continue,
        };
        if sender.send(event).is_err() {
            return;
        }
    }
}

/// The terminal's other screen, without a cursor, with keys read one by one; given back when this goes, also in a panic.
struct Screen {
    reads_keys: bool,
}

impl Screen {
    fn open() -> Result<Self> {
        let reads_keys = std::io::stdin().is_terminal();
        if reads_keys {
            terminal::enable_raw_mode().context("reading keys")?;
        }
        // From here on, whatever fails, it is given back.
        let screen = Screen { reads_keys };
        execute!(std::io::stdout(), terminal::EnterAlternateScreen, cursor::Hide)?;
        Ok(screen)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = execute!(std::io::stdout(), cursor::Show, terminal::LeaveAlternateScreen);
        if self.reads_keys {
            let _ = terminal::disable_raw_mode();
        }
    }
}

fn draw(db: &Path, snapshot: Option<&Snapshot>) -> Result<()> {
    // Some terminals have no size.
    let (columns, rows) = terminal::size().ok().filter(|(columns, rows)| *columns > 0 && *rows > 0).unwrap_or((80, 24));
    let style = Style { width: usize::from(columns), height: usize::from(rows), unicode: chart::is_unicode(), color: colors_data() };
    let lines = frame(db, snapshot, style);
    let mut out = std::io::stdout().lock();
    // Over what was there, line by line: clearing first would flicker.
    queue!(out, terminal::BeginSynchronizedUpdate, cursor::MoveTo(0, 0))?;
    for (i, line) in lines.iter().enumerate() {
        let end = if i + 1 < lines.len() { "\r\n" } else { "" };
        write!(out, "{line}")?;
        queue!(out, terminal::Clear(terminal::ClearType::UntilNewLine))?;
        write!(out, "{end}")?;
    }
    queue!(out, terminal::Clear(terminal::ClearType::FromCursorDown), terminal::EndSynchronizedUpdate)?;
    Ok(out.flush()?)
}

/// The lines of a screen: no more, and none longer, than it has room for.
fn frame(db: &Path, snapshot: Option<&Snapshot>, style: Style) -> Vec<String> {
    let fit = |line: String| visible(&line).chars().take(style.width).collect::<String>();
    let Some(now) = snapshot else { return vec![fit(format!("{}: waiting for a sweep to make it; q leaves", db.display()))] };
    let mut lines = vec![fit(format!("{} · load {:.2} · q leaves", db.display(), now.load)), String::new()];
    let name = now.counts.iter().map(|c| c.study.chars().count()).max().unwrap_or(0).min(30);
    // Those that are under way before those that are done; the rest may not have room.
    let mut order: Vec<&Counts> = now.counts.iter().collect();
    order.sort_by_key(|c| (c.of("training") == 0, c.done() == i64::try_from(c.runs).unwrap_or(i64::MAX)));
    lines.extend(order.iter().map(|counts| fit(study(counts, name, style))));
    lines.push(String::new());
    if now.sweeps.is_empty() {
        lines.push(fit("no sweep is at work".into()));
    }
    for s in &now.sweeps {
        let host = s.host.as_deref().unwrap_or("unknown host");
        let heard = format!("heard of {} ago", duration(s.silent_s));
        lines.push(fit(format!("sweep {} on {host}, since {}: {} in training, {heard}", s.pid, s.started_at, count_of(s.training, "run"))));
    }
    lines.extend(now.runs.iter().map(|of| fit(run(of))));
    let left = style.height.saturating_sub(lines.len());
    if let Some(newest) = now.runs.last().filter(|_| left > 9 && style.width >= 40) {
        let title = format!("training loss per step · {}", label(newest));
        let points = now.curve.iter().map(|(step, loss)| (*step as f64, *loss)).collect();
        lines.push(String::new());
        let mut drawn = chart::draw(
            &title,
            "steps",
            &[Curve { mark: ' ', name: String::new(), points }],
            Style { height: (left - 6).min(14), ..style },
        );
        // The title says more than what was given, such as that the axis is logarithmic.
        drawn.iter_mut().take(1).for_each(|title| *title = fit(std::mem::take(title)));
        lines.extend(drawn);
    }
    if lines.len() > style.height {
        let hidden = lines.len() + 1 - style.height;
        lines.truncate(style.height.saturating_sub(1));
        lines.push(fit(format!("… {} more than fit", count_of(hidden, "line"))));
    }
    lines
}

fn study(counts: &Counts, name: usize, style: Style) -> String {
    const WIDTH: usize = 20;
    let (done, all) = (usize::try_from(counts.done()).unwrap_or(0), counts.runs.max(1));
    let filled = WIDTH * done / all;
    let (full, empty) = if style.unicode { ("█", "░") } else { ("#", ".") };
    let states: Vec<String> = counts.states.iter().filter(|(_, n)| **n > 0).map(|(state, n)| format!("{n} {state}")).collect();
    let bar = format!("{}{}", full.repeat(filled), empty.repeat(WIDTH - filled));
    format!("{:<name$} {bar} {done}/{} · {}", counts.study, counts.runs, states.join(", "))
}

fn label(run: &Training) -> String {
    let (study, arm) = (run.study.as_deref().unwrap_or("no study"), run.arm.as_deref().unwrap_or(&run.id));
    format!("{study} · {arm} · seed {}", run.seed)
}

fn run(run: &Training) -> String {
    let planned = run.planned_steps.map_or(String::new(), |n| format!("/{n}"));
    let Some(Progress { step, loss, ms_per_step }) = run.progress else { return format!("  {} · no step yet", label(run)) };
    let speed = ms_per_step.filter(|ms| *ms > 0.0).map_or(String::new(), |ms| {
        let left = run.planned_steps.map(|n| n.saturating_sub(step) as f64 * ms / 1e3);
        let left = left.map_or(String::new(), |s| format!(", {} left", duration(s)));
        format!(", {:.0} steps/s{left}", 1e3 / ms)
    });
    format!("  {} · step {step}{planned}, loss {loss:.4}{speed}", label(run))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const STYLE: Style = Style { width: 70, height: 20, unicode: true, color: false };

    fn snapshot() -> Snapshot {
        let counts = |study: &str, states: &[(&'static str, i64)]| Counts {
            study: study.into(),
            runs: states.iter().map(|(_, n)| usize::try_from(*n).unwrap()).sum(),
            states: states.iter().copied().collect::<BTreeMap<_, _>>(),
            failed: vec![],
        };
        let sweep =
            Sweep { host: Some("node\u{1b}7".into()), pid: 42, started_at: "2026-01-02T03:04:05Z".into(), silent_s: 1.25, training: 1 };
        let run = Training {
            id: "0123456789abcdef".into(),
            study: Some("momentum".into()),
            arm: Some("lr=0.1".into()),
            seed: 3,
            planned_steps: Some(400),
            progress: Some(Progress { step: 100, loss: 0.5, ms_per_step: Some(20.0) }),
        };
        Snapshot {
            counts: vec![counts("done", &[("completed", 4)]), counts("momentum", &[("completed", 1), ("training", 1), ("pending", 2)])],
            sweeps: vec![sweep],
            runs: vec![run],
            curve: (1..=100).map(|i| (i, 100.0 / i as f64)).collect(),
            load: 1.5,
        }
    }

    #[test]
    fn a_screen_shows_studies_sweeps_runs_and_a_curve() {
        insta::assert_snapshot!(frame(Path::new("r.db"), Some(&snapshot()), STYLE).join("\n"), @r"
        r.db · load 1.50 · q leaves

        momentum █████░░░░░░░░░░░░░░░ 1/4 · 1 completed, 2 pending, 1 training
        done     ████████████████████ 4/4 · 4 completed

        sweep 42 on node\u{1b}7, since 2026-01-02T03:04:05Z: 1 run in training
          momentum · lr=0.1 · seed 3 · step 100/400, loss 0.5000, 50 steps/s, 

        training loss per step · momentum · lr=0.1 · seed 3 (logarithmic)
              100 ┤⢹
                  │⠈⢧⡀
                  │  ⠙⣆⡀
               10 ┤    ⠙⠦⢤⣀⡀
                  │        ⠉⠙⠒⠦⠤⢤⣀⣀⡀
                  │                ⠉⠉⠉⠙⠒⠒⠒⠦⠤⠤⠤⣄⣀⣀⣀⣀⣀
                1 ┤                                ⠈⠉⠉⠉⠉⠉⠙⠒⠒⠒⠒⠒⠒⠲⠤⠤⠤⠤⠤⠤⠤⢤⣀⣀⣀⣀⣀
                  └───────────────────────────────────────────────────────────
                   1                                                 100 steps
        ");
    }

    #[test]
    fn it_fits_any_screen() {
        for (width, height) in [(1, 1), (10, 3), (39, 50), (40, 12), (45, 60), (200, 4), (500, 200)] {
            let lines = frame(Path::new("r.db"), Some(&snapshot()), Style { width, height, ..STYLE });
            assert!(lines.len() <= height && lines.iter().all(|line| line.chars().count() <= width), "{width}×{height}\n{lines:#?}");
        }
        assert_eq!(frame(Path::new("r.db"), None, STYLE), ["r.db: waiting for a sweep to make it; q leaves"]);
    }
}
