//! Directories, keys, and the program.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long something may take that will come. Only a fault takes so long.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);

/// A home directory in which everything happens.
pub(crate) struct World {
    home: TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap() }
    }

    /// A home with the root's key and a namespace in the replica `a`.
    pub(crate) fn with_namespace() -> Self {
        let world = Self::new();
        world.key("root");
        world.ok("a", "root", &["kv", "init", "--name", "test"]);
        world
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_syncline"));
        command.env_clear().env("HOME", self.home.path()).current_dir(self.home.path()).stdin(Stdio::null());
        command
    }

    /// The program for the replica `dir` with the key of `who`.
    pub(crate) fn for_replica(&self, dir: &str, who: &str) -> Command {
        let mut command = self.command();
        command.args(["--dir", dir, "--key", &format!("{who}.key")]);
        command
    }

    /// Makes a key, and gives the public one.
    pub(crate) fn key(&self, who: &str) -> String {
        let output = self.command().args(["-q", "keygen", &format!("{who}.key")]).output().unwrap();
        said(output)
    }

    pub(crate) fn run(&self, dir: &str, who: &str, args: &[&str]) -> Output {
        self.for_replica(dir, who).args(args).output().unwrap()
    }

    /// What a command prints that succeeds.
    #[track_caller]
    pub(crate) fn ok(&self, dir: &str, who: &str, args: &[&str]) -> String {
        said(self.run(dir, who, args))
    }

    /// What a command says that fails in this way.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32, dir: &str, who: &str, args: &[&str]) -> String {
        refused(code, self.run(dir, who, args))
    }

    /// Grants something to somebody, and gives the id.
    #[track_caller]
    pub(crate) fn grant(&self, dir: &str, who: &str, to: &str, pattern: &str, more: &[&str]) -> String {
        let args = [&["-q", "kv", "grant", "--to", to, "--pattern", pattern], more].concat();
        self.ok(dir, who, &args)
    }

    /// Starts an agent, and waits until it is ready.
    pub(crate) fn agent(&self, dir: &str, who: &str, args: &[&str]) -> Agent {
        let mut command = self.for_replica(dir, who);
        command.args(["--json", "kv", "agent"]).args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut agent = Agent { lines: Lines::of(&mut command) };
        let _ = agent.lines.next();
        agent
    }

    /// Waits until a command prints this.
    #[track_caller]
    pub(crate) fn until(&self, expected: &str, dir: &str, who: &str, args: &[&str]) {
        let begin = Instant::now();
        loop {
            let output = self.run(dir, who, args);
            if output.status.success() && String::from_utf8_lossy(&output.stdout).trim_end() == expected {
                return;
            }
            assert!(begin.elapsed() < DEADLINE, "{args:?} never printed {expected:?}, but {output:?}");
            thread::sleep(Duration::from_millis(50));
        }
    }
}

/// The standard output of a program that succeeded, without the last end of line.
#[track_caller]
pub(crate) fn said(output: Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// The standard error of a program that ended with this code, and printed nothing.
#[track_caller]
pub(crate) fn refused(code: i32, output: Output) -> String {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "nothing is printed that could be taken for a result");
    String::from_utf8(output.stderr).unwrap()
}

/// Runs a program with this input.
pub(crate) fn with_input(mut command: Command, input: &[u8]) -> Output {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

/// A program that runs, and its lines as they come.
pub(crate) struct Lines {
    child: Child,
    lines: mpsc::Receiver<String>,
    pub(crate) seen: Vec<String>,
}

impl Lines {
    pub(crate) fn of(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = forward(child.stdout.take().unwrap());
        Self { child, lines, seen: Vec::new() }
    }

    #[track_caller]
    pub(crate) fn next(&mut self) -> String {
        match self.lines.recv_timeout(DEADLINE) {
            Ok(line) => {
                self.seen.push(line.clone());
                line
            }
            Err(err) => panic!("no more lines: {err}; it had printed {:?}", self.seen),
        }
    }

    /// Asks it to end, and waits until it has, well.
    #[track_caller]
    pub(crate) fn end(&mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let begin = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(begin.elapsed() < DEADLINE, "it does not end");
            thread::sleep(Duration::from_millis(20));
        }
        assert!(self.child.wait().unwrap().success());
    }

    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.kill();
    }
}

fn forward(stdout: ChildStdout) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// An agent that runs.
pub(crate) struct Agent {
    pub(crate) lines: Lines,
}

impl Agent {
    /// What others give as --peer.
    pub(crate) fn addr(&self) -> String {
        let line: serde_json::Value = serde_json::from_str(&self.lines.seen[0]).unwrap();
        line["addr"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    pub(crate) fn end(mut self) {
        self.lines.end();
    }

    pub(crate) fn kill(mut self) {
        self.lines.kill();
    }
}

/// The mode of a file.
pub(crate) fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}
