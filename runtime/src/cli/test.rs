//! `tidemill test`: case files on the task driver, or records from the command line. No broker.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use super::{args::ManifestArgs, build, errors::Reported};
use crate::{
    manifest::{FILE_NAME, Manifest},
    testing::{
        TaskDriver,
        case::{self, Case, Change, File, Outcome, Ran, Step, Stimulus},
    },
};

/// Replay case files without a broker, or one record from the command line
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tidemill test
  tidemill test --accept
  tidemill test --in 'orders o-1 {\"id\":\"o-1\",\"amount\":250}'
  tidemill test examples/stock-trades --json

Case files are cases/*.case beside the manifest.")]
pub(super) struct Args {
    #[command(flatten)]
    manifest: ManifestArgs,
    /// Send this record and print its effects, as a case would have them; may repeat
    #[arg(long = "in", value_name = "TOPIC KEY VALUE", conflicts_with_all = ["accept", "json"])]
    inputs: Vec<String>,
    /// Take what comes as what is expected: rewrite the effects in the case files
    #[arg(long)]
    accept: bool,
    /// Show records of repartition topics too
    #[arg(long)]
    internal: bool,
    /// Print results as JSON
    #[arg(long)]
    json: bool,
}

/// A case file and how its cases went.
struct Replayed {
    name: String,
    path: PathBuf,
    text: String,
    file: File,
    ran: Vec<Ran>,
}

impl Args {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let manifest = self.manifest.read()?;
        let files =
            if self.inputs.is_empty() { case_files(&self.manifest.folder())? } else { Vec::new() };
        let mut parsed = Vec::new();
        for path in files {
            parsed.push(parse(&path)?);
        }
        let engine = build::engine()?;
        let modules = build::modules(&engine, &manifest, build::Options::default())?;
        let start = |case: &Case| {
            let mut driver = case::start(case, &manifest, &modules.components)?;
            driver.show_internal(self.internal);
            Ok(driver)
        };
        if !self.inputs.is_empty() {
            return self.send(start);
        }
        let replay = |(path, name, text, file): (PathBuf, String, String, File)| {
            let ran = file.cases.iter().map(|case| match start(case) {
                Ok(mut driver) => case::run(case, &mut driver),
                Err(error) => Ran { outcomes: vec![Outcome::Stopped(error)] },
            });
            let ran = ran.collect();
            Replayed { name, path, text, file, ran }
        };
        let replayed: Vec<Replayed> = parsed.into_iter().map(replay).collect();
        self.report(&replayed, &manifest)
    }

    /// Prints the effects of records from the command line.
    fn send(&self, start: impl Fn(&Case) -> Result<TaskDriver, String>) -> anyhow::Result<()> {
        let here = |path: &Path| fs::read(path);
        let mut case =
            Case { title: "--in".to_owned(), line: 0, given: Vec::new(), steps: Vec::new() };
        for text in &self.inputs {
            let input = case::parse_input(text, &here)
                .map_err(|error| anyhow::anyhow!("--in '{text}': {error}"))?;
            let step = Step {
                line: 0,
                effects_line: 0,
                stimulus: Stimulus::In(input),
                effects: Vec::new(),
            };
            case.steps.push(step);
        }
        let mut driver = start(&case).map_err(anyhow::Error::msg)?;
        let mut out = io::stdout().lock();
        for outcome in case::run(&case, &mut driver).outcomes {
            match outcome {
                Outcome::Stopped(error) => bail!("{error}"),
                Outcome::Compared(difference) => {
                    difference.got.iter().try_for_each(|effect| writeln!(out, "{effect}"))?;
                }
            }
        }
        Ok(())
    }

    fn report(&self, replayed: &[Replayed], manifest: &Manifest) -> anyhow::Result<()> {
        let count: usize = replayed.iter().map(|file| file.file.cases.len()).sum();
        let mut failed =
            replayed.iter().flat_map(|file| &file.ran).filter(|ran| !ran.passed()).count();
        let mut out = io::stdout().lock();
        if self.accept {
            for file in replayed {
                let text = case::accept(&file.text, &file.file, &file.ran);
                if text != file.text {
                    fs::write(&file.path, text)
                        .with_context(|| format!("cannot write `{}`", file.name))?;
                    if !self.json {
                        writeln!(out, "accepted {}", file.name)?;
                    }
                }
            }
            let stopped = |ran: &&Ran| {
                ran.outcomes.iter().any(|outcome| matches!(outcome, Outcome::Stopped(_)))
            };
            failed = replayed.iter().flat_map(|file| &file.ran).filter(stopped).count();
        }
        if self.json {
            writeln!(out, "{}", json(replayed, count, failed))?;
        } else {
            if !self.accept || failed > 0 {
                replayed.iter().try_for_each(|file| show(&mut out, file, self.accept))?;
            }
            writeln!(out, "{}", self.summary(count, failed, manifest))?;
        }
        if failed > 0 { Err(Reported.into()) } else { Ok(()) }
    }

    fn summary(&self, count: usize, failed: usize, manifest: &Manifest) -> String {
        let cases = if count == 1 { "1 case".to_owned() } else { format!("{count} cases") };
        if failed == 0 {
            return format!("{cases}, all passed.");
        }
        if self.accept {
            return format!("{cases}, {failed} could not run.");
        }
        let at = if manifest.file == FILE_NAME {
            String::new()
        } else {
            format!(" {}", self.manifest.manifest.display())
        };
        format!("{cases}, {failed} failed.  All right as it is?  tidemill test{at} --accept")
    }
}

/// `cases/*.case` beside the manifest, in folders too, by name.
fn case_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let cases = folder.join("cases");
    let mut files = Vec::new();
    gather(&cases, &mut files).with_context(|| format!("cannot read `{}`", cases.display()))?;
    if files.is_empty() {
        bail!(
            "there is no case file: write {}/NAME.case, or send one record with --in",
            clean(&cases).display()
        );
    }
    files.sort();
    Ok(files)
}

fn gather(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            gather(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "case") {
            files.push(path);
        }
    }
    Ok(())
}

/// Without `./` at the front.
fn clean(path: &Path) -> PathBuf {
    path.strip_prefix(".").unwrap_or(path).components().collect()
}

fn parse(path: &Path) -> anyhow::Result<(PathBuf, String, String, File)> {
    let name = clean(path).display().to_string();
    let text = fs::read_to_string(path).with_context(|| format!("cannot read `{name}`"))?;
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    let file = case::parse(&name, &text, &|file| fs::read(folder.join(file)))?;
    Ok((path.to_owned(), name, text, file))
}

/// Shows what is wrong in a file; only what could not run where the rest was accepted.
fn show(out: &mut impl io::Write, file: &Replayed, stopped_only: bool) -> io::Result<()> {
    for (case, ran) in file.file.cases.iter().zip(&file.ran) {
        if case.steps.is_empty() {
            for outcome in &ran.outcomes {
                if let Outcome::Stopped(error) = outcome {
                    writeln!(
                        out,
                        "FAIL {}:{}  {}\n   ! {error}",
                        file.name, case.line, case.title
                    )?;
                }
            }
        }
        for problem in ran.problems(case).filter(|problem| !stopped_only || problem.is_stop()) {
            writeln!(out, "FAIL {}:{}  {}\n{problem}", file.name, problem.line(), problem.title())?;
        }
    }
    Ok(())
}

fn json(replayed: &[Replayed], count: usize, failed: usize) -> Value {
    let result = |file: &Replayed, case: &Case, ran: &Ran| {
        let problems = ran.problems(case).map(|problem| {
            let lines = problem.lines();
            let lines = lines.iter().map(|(mark, text)| json!({ "mark": mark, "text": text }));
            json!({ "line": problem.line(), "lines": lines.collect::<Vec<_>>() })
        });
        let changed = ran.outcomes.iter().filter_map(|outcome| match outcome {
            Outcome::Compared(difference) => Some(&difference.changes),
            Outcome::Stopped(_) => None,
        });
        let effects =
            changed.flatten().filter(|change| matches!(change, Change::Same { .. })).count();
        json!({
            "file": file.name, "line": case.line, "title": case.title, "passed": ran.passed(),
            "effects_as_expected": effects, "problems": problems.collect::<Vec<_>>(),
        })
    };
    let results = replayed.iter().flat_map(|file| {
        file.file.cases.iter().zip(&file.ran).map(move |(case, ran)| result(file, case, ran))
    });
    json!({ "cases": count, "failed": failed, "results": results.collect::<Vec<_>>() })
}
