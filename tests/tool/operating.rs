//! The walk through an incident in `docs/operating.md` is typed as it stands there, and answers what stands there.
//!
//! Ids, instants, durations and the width of columns differ at each run and are left out of the comparison.
//! `UNATTENDED_BLESS=operating` writes the answers anew.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use regex::Regex;

use crate::kit;

/// One command of the page, and what it answers.
struct Scene {
    /// The line after which the answer stands, and how many lines it has.
    line: usize,
    answer: Vec<String>,
    command: String,
}

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operating.md")
}

/// The commands in the blocks marked `console`; one goes on in the lines that begin with `> `, as a shell shows it.
fn scenes(text: &str) -> Vec<Scene> {
    let (mut scenes, mut inside): (Vec<Scene>, _) = (Vec::new(), false);
    for (number, line) in text.lines().enumerate() {
        if line.starts_with("```") {
            inside = line == "```console";
        } else if !inside {
            continue;
        } else if let Some(command) = line.strip_prefix("$ ") {
            scenes.push(Scene { line: number, answer: Vec::new(), command: command.to_owned() });
        } else if let Some(more) = line.strip_prefix("> ") {
            let scene = scenes.last_mut().expect("a command goes on");
            scene.command = format!("{}\n{more}", scene.command);
            scene.line = number;
        } else {
            scenes.last_mut().expect("a block begins with a command").answer.push(line.to_owned());
        }
    }
    scenes
}

/// What is the same at each run.
fn settled(text: &str) -> String {
    let replaced = [
        (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "RUN"),
        (r"\b\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d)?(\.\d+)?( ?(Z|UTC))?", "TIME"),
        (r"\b\d\d:\d\d:\d\d\b", "TIME"),
        (r"sqlite:\d+:[0-9a-f]+", "OWNER"),
        (r"\b(in |\+)?\d+(\.\d+)? ?(ms|s|min|h|d)( \d+ ?(ms|s|min|h))?( ago)?\b", "SPAN"),
        (r"just now|now\b", "SPAN"),
        (r"\b[0-9a-f]{4,12}\b", "END"),
        (r"process \d+", "process N"),
        (r"host +[!-~]+", "host NAME"),
        (r"[ \t]+", " "),
    ];
    let mut text = text.to_owned();
    for (pattern, by) in replaced {
        text = Regex::new(&format!("(?-u){pattern}")).unwrap().replace_all(&text, by).into_owned();
    }
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// Types the command as a person would, in a shell of its own, and gives all that it said.
fn typed(folder: &Path, command: &str) -> String {
    let tool = Path::new(env!("CARGO_BIN_EXE_unattended"));
    let path = std::env::var("PATH").unwrap_or_default();
    let mut shell = Command::new("/bin/bash");
    shell.env_clear().env("PATH", format!("{}:{path}", tool.parent().unwrap().display()));
    shell.env("UNATTENDED_STORE", "shop.db").env("USER", "ada").env("HOME", folder).current_dir(folder);
    shell.args(["-c", &format!("exec 2>&1\n{command}")]);
    let given = kit::given(shell, "");
    let mut said = given.out;
    said = said.replace(&folder.display().to_string(), "/srv/shop");
    if given.code != 0 {
        said.push_str(&format!("(exit code {})\n", given.code));
    }
    said
}

#[test]
fn the_incident_in_the_manual_is_what_happens() {
    let text = fs::read_to_string(page()).unwrap();
    let scenes = scenes(&text);
    assert!(scenes.len() >= 8, "the page has {} commands", scenes.len());
    let folder = tempfile::tempdir().unwrap();
    let bless = std::env::var("UNATTENDED_BLESS").is_ok_and(|what| what == "operating");
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let mut answers = Vec::new();
    for scene in &scenes {
        let said = typed(folder.path(), &scene.command);
        let expected = scene.answer.join("\n");
        if !bless {
            assert_eq!(
                settled(&said).trim(),
                settled(&expected).trim(),
                "\n$ {}\nsaid:\n{said}",
                scene.command
            );
        }
        answers.push(said);
    }
    if bless {
        for (scene, said) in scenes.iter().zip(answers).rev() {
            let at = scene.line + 1;
            lines.splice(at..at + scene.answer.len(), said.lines().map(str::to_owned));
        }
        fs::write(page(), lines.join("\n") + "\n").unwrap();
    }
}
