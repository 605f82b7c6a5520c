//! The sessions in the README and in the guide, run by a shell. Lines that begin with `$` are commands, the others what they
//! print, where `…` stands for anything without spaces.

use std::fs;
use std::path::Path;

use crate::world::World;

/// The commands of a page and what they print, in order.
fn session(page: &str) -> Vec<(String, Vec<String>)> {
    let mut session: Vec<(String, Vec<String>)> = Vec::new();
    let mut is_console = false;
    for line in page.lines() {
        match line {
            "```console" => is_console = true,
            "```" => is_console = false,
            line if is_console => match line.strip_prefix("$ ") {
                Some(command) => session.push((command.to_owned(), Vec::new())),
                None => session.last_mut().expect("a command first").1.push(line.to_owned()),
            },
            _ => {}
        }
    }
    session
}

/// Whether a line is as it was written.
fn is_like(line: &str, pattern: &str) -> bool {
    let Some((begin, rest)) = pattern.split_once('…') else { return line == pattern };
    let Some(line) = line.strip_prefix(begin) else { return false };
    let word = line.find(' ').unwrap_or(line.len());
    (1..=word).filter(|at| line.is_char_boundary(*at)).any(|at| is_like(&line[at..], rest))
}

fn check(page: &str) {
    let world = World::new();
    let session = session(page);
    assert!(session.len() > 5, "there is a session");
    let mut script = String::new();
    for (number, (command, _)) in session.iter().enumerate() {
        script.push_str(&format!("{command}\nprintf '\\n@%s\\n' {number}\n"));
    }
    fs::write(world.path("session.sh"), script).unwrap();
    let bin = Path::new(env!("CARGO_BIN_EXE_syncline")).parent().unwrap();
    let path = format!("{}:/usr/bin:/bin", bin.display());
    let mut command = std::process::Command::new("sh");
    command.env_clear().env("HOME", world.path("")).env("PATH", path).current_dir(world.path(""));
    let output = command.args(["-c", "sh session.sh 2>&1"]).output().unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    let mut rest = &*output;
    for (number, (command, expected)) in session.iter().enumerate() {
        let (printed, behind) = rest.split_once(&format!("\n@{number}\n")).unwrap();
        rest = behind;
        let printed: Vec<&str> = printed.trim_end_matches('\n').lines().collect();
        let is_same = printed.len() == expected.len()
            && printed.iter().zip(expected).all(|(line, pattern)| is_like(line, pattern));
        assert!(is_same, "$ {command}\nexpected: {expected:#?}\nprinted: {printed:#?}");
    }
}

#[test]
fn the_readmes_session_is_as_it_says() {
    check(include_str!("../../README.md"));
}

#[test]
fn the_guides_session_is_as_it_says() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide/kv-cli.md");
    // The page is not in the package.
    if let Ok(page) = fs::read_to_string(page) {
        check(&page);
    }
}

#[test]
fn every_exit_code_is_documented_the_same() {
    let help = crate::world::said(World::new().command().arg("--help").output().unwrap());
    let readme = include_str!("../../README.md");
    for code in 0..=5 {
        let line = help.lines().find_map(|line| line.strip_prefix(&format!("  {code}  "))).unwrap();
        let row = readme.lines().find(|row| row.starts_with(&format!("| {code} |"))).unwrap();
        assert!(row.contains(line), "{code}: {line}");
    }
}
