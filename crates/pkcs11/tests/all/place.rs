//! A token in a temporary folder, and a process for each test.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;
use skerry_pkcs11::{Pin, Settings, Token, TokenError};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use zeroize::Zeroizing;

/// Debian's place of SoftHSM2.
pub(crate) const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
pub(crate) const PIN: &str = "a PIN 1234";
const SO_PIN: &str = "an officer's";

/// A folder with tokens, which the process's SoftHSM uses.
pub(crate) struct Place(PathBuf);

/// Runs the body with a folder of its own in a process of its own: this test once more.
pub(crate) fn alone(name: &str, body: impl FnOnce(&Place)) {
    if let Ok(folder) = std::env::var(FOLDER) {
        return body(&Place(folder.into()));
    }
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("tokens");
    std::fs::create_dir(&tokens).unwrap();
    let conf = folder.path().join("softhsm2.conf");
    std::fs::write(&conf, format!("directories.tokendir = {}\nlog.level = ERROR\n", tokens.display())).unwrap();
    let done = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--include-ignored", "--nocapture"])
        .env("SOFTHSM2_CONF", conf)
        .env(FOLDER, folder.path())
        .env("SKERRY_RELAY_SERVER", folder.path().join("relay-server"))
        .env("SKERRY_RELAY_MODULE", MODULE)
        .env("P11_KIT_SERVER_ADDRESS", format!("unix:path={}", folder.path().join("p11.sock").display()))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{said}\n{}", String::from_utf8_lossy(&done.stderr));
    assert!(said.contains("1 passed"), "no test {name}: {said}");
}

impl Place {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Makes a token.
    pub(crate) fn init(&self, label: &str) {
        let args = ["--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", SO_PIN];
        let done = Command::new("softhsm2-util").args(args).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    /// A module that has SoftHSM in a process of its own (tests/relay/relay.c).
    pub(crate) fn relay(&self) -> PathBuf {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../pkcs11/tests/relay/relay.c");
        let (module, server) = (self.0.join("relay.so"), self.0.join("relay-server"));
        for (out, more) in [(&module, ["-shared", "-fPIC", "-lpthread"]), (&server, ["-DSERVER", "-O1", "-ldl"])] {
            let [first, second, library] = more;
            let mut cc = Command::new("cc");
            let done = cc.args([first, second, "-o"]).arg(out).arg(&source).arg(library).output().unwrap();
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        }
        module
    }

    /// A module that lies in one thing (tests/relay/liar.c).
    #[allow(dead_code)] // others share this file
    pub(crate) fn liar(&self, lie: &str) -> PathBuf {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../pkcs11/tests/relay/liar.c");
        let module = self.0.join(format!("{lie}.so"));
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", &format!("-DLIE={lie}"), "-o"]).arg(&module).arg(&source).arg("-ldl");
        let done = cc.output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        module
    }

    pub(crate) fn settings(&self, label: &str) -> Settings {
        settings(MODULE.into(), label, None, PIN)
    }

    pub(crate) fn open(&self, label: &str) -> Result<Token, TokenError> {
        Token::open(self.settings(label))
    }
}

pub(crate) fn settings(module: PathBuf, label: &str, serial: Option<&str>, pin: &str) -> Settings {
    let pin = Pin::new(Zeroizing::new(pin.to_owned()));
    let settings = Settings::new(module, label.to_owned(), serial.map(str::to_owned), pin);
    Settings { session_wait: Duration::from_millis(50), retry_interval: Duration::ZERO, ..settings }
}

pub(crate) fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(7)
}

const FOLDER: &str = "SKERRY_TEST_TOKENS";
