//! The procedures of docs/operate.md, run as they stand there.
//!
//! A block of shell that begins with ```` ```sh procedure=NAME ```` is run: all blocks of one name one after the other, as one
//! script of bash, in an empty folder of their own, with this `skerry` first in PATH. The first command that fails fails the
//! procedure. `needs=WORD,WORD` behind it names programs that have to be there; such a procedure is among the tests that need
//! more. `after=NAME` has the whole of another procedure run before it, in the same folder. What a script has left running is
//! ended.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// A procedure: its script, what has to be there, and whose script comes before.
#[derive(Debug, Default, PartialEq, Eq)]
struct Procedure {
    script: String,
    needs: Vec<String>,
    after: Option<String>,
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
    procedure.script.push_str(&own.script);
    procedure.needs.extend(own.needs.iter().cloned());
    procedure.after.clone_from(&own.after);
    Ok(procedure)
}

/// The blocks of each procedure alone.
fn blocks(document: &str) -> Result<BTreeMap<String, Procedure>, String> {
    let (mut all, mut lines) = (BTreeMap::<String, Procedure>::new(), document.lines());
    while let Some(line) = lines.next() {
        let Some(info) = line.strip_prefix("```") else { continue };
        let mut body = String::new();
        loop {
            match lines.next() {
                Some("```") => break,
                Some(line) => body.extend([line, "\n"]),
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
        procedure.script.push_str(&body);
        procedure.needs.extend(needs);
        procedure.after = after.or(procedure.after.take());
    }
    Ok(all)
}

/// Long enough for a loaded machine: only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(300);

/// Runs a script to its end; what it said if it failed.
fn run(name: &str, script: &str) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let bin = Path::new(env!("CARGO_BIN_EXE_skerry")).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let (file, said) = (folder.path().join("procedure"), folder.path().join("said"));
    std::fs::write(&file, format!("set -euo pipefail\nset -x\n{script}")).unwrap();
    let work = folder.path().join("work");
    std::fs::create_dir(&work).unwrap();
    let out = std::fs::File::create(&said).unwrap();
    let mut command = Command::new("bash");
    command.arg(&file).current_dir(&work).env_clear().env("PATH", path).env("HOME", &work).env("LC_ALL", "C");
    // A group of its own, which is ended with all that is in it.
    command.process_group(0).stdin(Stdio::null()).stdout(out.try_clone().unwrap()).stderr(out);
    let mut child = command.spawn().map_err(|error| format!("{name}: bash: {error}"))?;
    let group = child.id();
    let (ended, end) = mpsc::channel();
    std::thread::spawn(move || ended.send(child.wait()));
    let status = end.recv_timeout(PATIENCE);
    Command::new("bash").args(["-c", &format!("kill -KILL -- -{group}")]).stderr(Stdio::null()).status().unwrap();
    let said = std::fs::read_to_string(said).unwrap();
    match status {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(status) => Err(format!("{name} failed with {status:?}:\n{said}")),
        Err(_) => Err(format!("{name} goes on:\n{said}")),
    }
}

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
        .filter_map(|(name, procedure)| run(name, &procedure.script).err())
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Those that need programs. One that is not there is a failure: what is written was not tried.
#[test]
#[ignore = "needs the programs that procedures name: openssl, curl, etcd, etcdctl, swtpm, softhsm2-util"]
fn procedures_that_need_programs() {
    let mut failures = Vec::new();
    for (name, procedure) in of_document().iter().filter(|(_, procedure)| !procedure.needs.is_empty()) {
        match procedure.needs.iter().find(|program| !is_there(program)) {
            Some(missing) => failures.push(format!("{name} needs {missing}, which is not there")),
            None => failures.extend(run(name, &procedure.script).err()),
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
    let b = Procedure { script: "one\nthree\n".to_owned(), needs: vec!["curl".to_owned()], after: None };
    assert_eq!((found.len(), &found["a"].script, &found["b"]), (2, &"two\n".to_owned(), &b));
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

/// What comes before is the whole script of the other, wherever that stands, and what that needs is needed.
#[test]
fn procedures_come_after_others() {
    let document = "```sh procedure=b after=a needs=x\nthree\n```\n```sh procedure=a needs=y\none\n```\n```sh procedure=a\ntwo\n```\n```sh procedure=c after=b\nfour\n```\n";
    let found = procedures(document).unwrap();
    assert_eq!(found["a"].script, "one\ntwo\n");
    assert_eq!((found["b"].script.as_str(), found["b"].needs.join(",").as_str()), ("one\ntwo\nthree\n", "y,x"));
    assert_eq!((found["c"].script.as_str(), found["c"].needs.join(",").as_str()), ("one\ntwo\nthree\nfour\n", "y,x"));
}

/// A command that fails within a script fails it, and is told; what is left running is ended.
#[test]
fn failures_are_noticed() {
    assert_eq!(run("good", "skerry --version\ntest \"$PWD\" = \"$HOME\"\n"), Ok(()));
    let failed = run("bad", "false\ntrue\n").unwrap_err();
    assert!(failed.starts_with("bad failed") && failed.contains("+ false"), "{failed}");
    assert!(run("piped", "false | true\n").is_err());
    assert_eq!(run("left", "sleep 3600 &\n"), Ok(()));
}
