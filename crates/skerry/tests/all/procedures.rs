//! The procedures of docs/operate.md, run as they stand there.
//!
//! A block of shell that begins with ```` ```sh procedure=NAME ```` is run: all blocks of one name one after the other, as one
//! script of bash, in an empty folder of their own, with this `skerry` first in PATH. The first command that fails fails the
//! procedure. `needs=WORD,WORD` behind it names programs that have to be there; such a procedure is among the tests that need
//! more. `after=NAME` has the whole of another procedure run before it, in the same folder. What a script has left running is
//! ended, however the script ends and this process too.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// A procedure: its blocks, what has to be there, and whose blocks come before.
#[derive(Debug, Default, PartialEq, Eq)]
struct Procedure {
    blocks: Vec<Block>,
    needs: Vec<String>,
    after: Option<String>,
}

/// What stands in a box, and the line of the document where that begins.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Block {
    line: usize,
    body: String,
}

/// Every procedure of a document, by its name, with those before it.
fn procedures(document: &str) -> Result<BTreeMap<String, Procedure>, String> {
    let alone = blocks(document)?;
    alone.keys().map(|name| Ok((name.clone(), whole(&alone, name, alone.len())?))).collect()
}

/// A procedure with what comes before it: `depth` procedures at most, so that none comes before itself.
fn whole(alone: &BTreeMap<String, Procedure>, name: &str, depth: usize) -> Result<Procedure, String> {
    let own = alone.get(name).ok_or_else(|| format!("after={name}, which is no procedure"))?;
    let mut procedure = match (&own.after, depth.checked_sub(1)) {
        (None, _) => Procedure::default(),
        (Some(before), Some(depth)) => whole(alone, before, depth)?,
        (Some(_), None) => return Err(format!("{name} comes after itself")),
    };
    procedure.blocks.extend(own.blocks.iter().cloned());
    procedure.needs.extend(own.needs.iter().cloned());
    procedure.after.clone_from(&own.after);
    Ok(procedure)
}

/// The blocks of each procedure alone.
fn blocks(document: &str) -> Result<BTreeMap<String, Procedure>, String> {
    let (mut all, mut lines) = (BTreeMap::<String, Procedure>::new(), document.lines().zip(1..));
    while let Some((line, number)) = lines.next() {
        let Some(info) = line.strip_prefix("```") else { continue };
        let mut body = String::new();
        loop {
            match lines.next() {
                Some(("```", _)) => break,
                Some((line, _)) => body.extend([line, "\n"]),
                None => return Err(format!("no end of the block {line}")),
            }
        }
        let mut words = info.split(' ');
        if words.next() != Some("sh") {
            continue;
        }
        let (mut name, mut needs, mut after) = (None, Vec::new(), None);
        for word in words {
            match word.split_once('=') {
                Some(("procedure", value)) if !value.is_empty() => name = Some(value.to_owned()),
                Some(("after", value)) if !value.is_empty() => after = Some(value.to_owned()),
                Some(("needs", value)) => needs.extend(value.split(',').map(str::to_owned)),
                _ => return Err(format!("{word} in {line}")),
            }
        }
        let Some(name) = name else { return Err(format!("a shell block without a procedure: {line}")) };
        let procedure = all.entry(name).or_default();
        procedure.blocks.push(Block { line: number, body });
        procedure.needs.extend(needs);
        procedure.after = after.or(procedure.after.take());
    }
    Ok(all)
}

/// Long enough for a loaded machine: only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(300);

/// Runs a procedure to its end; which block failed, and what that said.
fn run(name: &str, blocks: &[Block]) -> Result<(), String> {
    let (folder, begun) = (tempfile::tempdir().unwrap(), Instant::now());
    run_in(folder.path(), name, blocks, || begun.elapsed() > PATIENCE)
}

/// The same in this folder, and until it is `over`.
fn run_in(folder: &Path, name: &str, blocks: &[Block], mut over: impl FnMut() -> bool) -> Result<(), String> {
    let bin = Path::new(env!("CARGO_BIN_EXE_skerry")).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let (file, said, work) = (folder.join("procedure"), folder.join("said"), folder.join("work"));
    std::fs::write(&file, script(blocks)).unwrap();
    std::fs::create_dir(&work).unwrap();
    let out = std::fs::File::create(&said).unwrap();
    let mut command = Command::new("bash");
    command.arg(&file).current_dir(&work).env_clear().env("PATH", path).env("HOME", &work).env("LC_ALL", "C");
    // A group of its own, which is ended with all that is in it.
    command.process_group(0).stdin(Stdio::null()).stdout(out.try_clone().unwrap()).stderr(out);
    let mut guard = Guard::new(&work);
    let mut child = command.spawn().map_err(|error| format!("{name}: bash: {error}"))?;
    guard.group(child.id());
    let (ended, end) = mpsc::channel();
    std::thread::spawn(move || ended.send(child.wait()));
    let status = loop {
        match end.recv_timeout(LOOK) {
            Ok(status) => break Some(status.unwrap()),
            Err(_) if over() => break None,
            Err(_) => {}
        }
    };
    drop(guard);
    // What failed may have said something that is no text.
    let said = String::from_utf8_lossy(&std::fs::read(said).unwrap()).into_owned();
    match status {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(format!("{name} failed with {status} {}", last_block(&said))),
        None => Err(format!("{name} goes on {}", last_block(&said))),
    }
}

/// Each block says where it stands before it does anything.
fn script(blocks: &[Block]) -> String {
    let blocks = blocks.iter().map(|Block { line, body }| format!("{MARK}{line}\n{body}"));
    format!("set -euo pipefail\nset -x\n{}", blocks.collect::<String>())
}

/// The block that was at work, and all it said.
fn last_block(said: &str) -> String {
    match said.rsplit_once(&format!("+ {MARK}")) {
        Some((_, last)) => format!("in the block of docs/operate.md:{last}"),
        None => format!("before any block:\n{said}"),
    }
}

/// Ends what a procedure has started when this is dropped, and also when this process ends without that: a shell waits for
/// the end of its input. Servers that left the group are known by their environment, in which HOME is a folder of this one run.
struct Guard {
    shell: Child,
    input: Option<ChildStdin>,
}

impl Guard {
    fn new(home: &Path) -> Guard {
        let mut command = Command::new("bash");
        command.args(["-c", GUARD, "bash"]).arg(home).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // What ends a terminal's whole group does not end it.
        let mut shell = command.process_group(0).spawn().unwrap();
        let input = shell.stdin.take();
        Guard { shell, input }
    }

    fn group(&mut self, id: u32) {
        writeln!(self.input.as_ref().unwrap(), "{id}").unwrap();
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.input.take());
        self.shell.wait().ok();
    }
}

/// What was killed is there until it is reaped, by whoever that is, and has no environment then.
const GUARD: &str = r#"
read -r group
read -r end
[ -z "$group" ] || kill -KILL -- "-$group"
while found=$(grep -lzxFs "HOME=$1" /proc/[0-9]*/environ); [ -n "$found" ]; do
    for one in $found; do one=${one#/proc/}; kill -KILL "${one%/environ}"; done
    sleep 0.05
done
"#;

const MARK: &str = ": block of docs/operate.md:";
const LOOK: Duration = Duration::from_millis(50);

fn of_document() -> BTreeMap<String, Procedure> {
    procedures(include_str!("../../../../docs/operate.md")).unwrap()
}

fn is_there(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    // Daemons of Debian are where users do not look.
    let folders = std::env::split_paths(&paths).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders.into_iter().any(|folder| folder.join(program).is_file())
}

/// Those that need nothing but bash.
#[test]
fn procedures_that_need_nothing() {
    let failures: Vec<_> = of_document()
        .iter()
        .filter(|(_, procedure)| procedure.needs.is_empty())
        .filter_map(|(name, procedure)| run(name, &procedure.blocks).err())
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Those that need programs, or the one that SKERRY_PROCEDURE names. A program that is not there is a failure: what is written was
/// not tried.
#[test]
#[ignore = "needs the programs that procedures name: openssl, curl, etcd, etcdctl, swtpm, softhsm2-util, pkcs11-tool"]
fn procedures_that_need_programs() {
    let (mut failures, only) = (Vec::new(), std::env::var("SKERRY_PROCEDURE").ok());
    let asked = |name: &String| only.as_ref().is_none_or(|only| only == name);
    for (name, procedure) in of_document().iter().filter(|(name, one)| !one.needs.is_empty() && asked(name)) {
        match procedure.needs.iter().find(|program| !is_there(program)) {
            Some(missing) => failures.push(format!("{name} needs {missing}, which is not there")),
            None => failures.extend(run(name, &procedure.blocks).err()),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Blocks of one name are one script, in their order; other languages and blocks that are indented are not looked at; what is
/// misspelt is an error and not a block that is never run.
#[test]
fn blocks_are_found() {
    let document = "```sh procedure=b needs=curl\none\n```\ntext\n```toml\n[x]\n```\n```sh procedure=a\ntwo\n```\n```sh procedure=b\nthree\n```\n    ```sh\n";
    let found = procedures(document).unwrap();
    let blocks = vec![block(1, "one\n"), block(11, "three\n")];
    let b = Procedure { blocks, needs: vec!["curl".to_owned()], after: None };
    assert_eq!((found.len(), &found["a"].blocks, &found["b"]), (2, &vec![block(8, "two\n")], &b));
    for (bad, word) in [
        ("```sh\nx\n```\n", "without a procedure"),
        ("```sh procedure=\nx\n```\n", "procedure="),
        ("```sh proceduer=a\nx\n```\n", "proceduer=a"),
        ("```sh procedure=a\nx\n", "no end"),
        ("```sh procedure=a after=\nx\n```\n", "after="),
        ("```sh procedure=a after=b\nx\n```\n", "after=b, which is no procedure"),
        ("```sh procedure=a after=b\nx\n```\n```sh procedure=b after=a\ny\n```\n", "comes after itself"),
    ] {
        assert!(procedures(bad).unwrap_err().contains(word), "{bad}");
    }
}

fn block(line: usize, body: &str) -> Block {
    Block { line, body: body.to_owned() }
}

/// What comes before is the whole script of the other, wherever that stands, and what that needs is needed.
#[test]
fn procedures_come_after_others() {
    let document = "```sh procedure=b after=a needs=x\nthree\n```\n```sh procedure=a needs=y\none\n```\n```sh procedure=a\ntwo\n```\n```sh procedure=c after=b\nfour\n```\n";
    let found = procedures(document).unwrap();
    let bodies = |name: &str| found[name].blocks.iter().map(|block| block.body.as_str()).collect::<String>();
    assert_eq!(bodies("a"), "one\ntwo\n");
    assert_eq!((bodies("b").as_str(), found["b"].needs.join(",").as_str()), ("one\ntwo\nthree\n", "y,x"));
    assert_eq!((bodies("c").as_str(), found["c"].needs.join(",").as_str()), ("one\ntwo\nthree\nfour\n", "y,x"));
}

/// A command that fails within a script fails it; which block that was is told, with what it said, and nothing of those before.
#[test]
fn failures_are_told() {
    assert_eq!(run("good", &[block(1, "skerry --version\ntest \"$PWD\" = \"$HOME\"\n")]), Ok(()));
    let failed = run("bad", &[block(3, "echo one\n"), block(7, "echo two\nfalse\ntrue\n"), block(9, "echo three\n")]);
    let failed = failed.unwrap_err();
    let expected = "bad failed with exit status: 1 in the block of docs/operate.md:7\n+ echo two\ntwo\n+ false\n";
    assert_eq!(failed, expected);
    assert!(run("piped", &[block(1, "false | true\n")]).is_err());
    let failed = run("not a script", &[block(5, "if\n")]).unwrap_err();
    assert!(failed.starts_with("not a script failed") && failed.contains("syntax error"), "{failed}");
}

/// What a procedure has started is gone when it ends well, fails, goes on for too long, and when its runner panics: also what went into
/// a session of its own, and what takes no orders.
#[test]
fn nothing_is_left_running() {
    let start = "sleep 3600 &\nsetsid bash -c 'trap \"\" TERM HUP INT; touch begun.1; exec sleep 3601' &\n\
                 (cd /; exec -a server sleep 3602) & touch begun.2\nuntil test -e begun.1; do sleep 0.01; done\necho $$ > begun\n";
    for (end, expected) in [("", None), ("false\n", Some("failed")), ("sleep 3603\n", Some("goes on"))] {
        let folder = tempfile::tempdir().unwrap();
        let begun = || folder.path().join("work/begun").exists();
        let ended = run_in(folder.path(), "left", &[block(1, start), block(2, end)], begun);
        assert!(begun(), "{ended:?}");
        assert_eq!(ended.err().map(|said| said.contains(expected.unwrap())), expected.map(|_| true));
        assert_eq!(left(folder.path()), Vec::<String>::new());
    }
    let folder = tempfile::tempdir().unwrap();
    let panics = || {
        assert!(!folder.path().join("work/begun").exists(), "a defect of the runner");
        false
    };
    let run = AssertUnwindSafe(|| run_in(folder.path(), "left", &[block(1, start), block(2, "sleep 3603\n")], panics));
    catch_unwind(run).unwrap_err();
    assert_eq!(left(folder.path()), Vec::<String>::new());
}

/// Processes whose home is in this folder.
fn left(folder: &Path) -> Vec<String> {
    let home = format!("HOME={}", folder.join("work").display());
    let mut left = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
        if environment.split(|octet| *octet == 0).any(|variable| variable == home.as_bytes()) {
            left.push(entry.path().display().to_string());
        }
    }
    left
}
