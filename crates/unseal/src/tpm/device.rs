//! The way to a TPM: the kernel's device with its resource manager, or a socket of an emulator.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::TpmError;
use super::wire::{HEADER_LEN, RESPONSE_LEN_MAX};

/// An open way to a TPM. Commands go one at a time.
pub struct Device(Way);

enum Way {
    /// One read gives one response.
    Kernel(File),
    /// A stream, of which the header says how much to read.
    Socket(UnixStream),
}

impl Device {
    /// Opens `/dev/tpmrm0` or the like, or the Unix socket of an emulator.
    pub fn open(path: &Path) -> Result<Device, TpmError> {
        let absent = |error: std::io::Error| TpmError::Absent(error.kind());
        if std::fs::metadata(path).map_err(absent)?.file_type().is_socket() {
            let stream = UnixStream::connect(path).map_err(absent)?;
            stream.set_read_timeout(Some(ANSWER_TIME_MAX)).map_err(absent)?;
            return Ok(Device(Way::Socket(stream)));
        }
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(absent)?;
        Ok(Device(Way::Kernel(file)))
    }

    /// The response to a command, as it came. A TPM that asks to be asked again is: it has done nothing then, so the same octets
    /// go once more (Part 2, 6.6.3: a TPM does so before it notes that a value it guards against guesses is used).
    pub(crate) fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, TpmError> {
        for _ in 0..RETRIES_MAX {
            let response = self.once(command)?;
            if !asks_again(&response) {
                return Ok(response);
            }
            std::thread::sleep(RETRY_PAUSE);
        }
        self.once(command)
    }

    fn once(&mut self, command: &[u8]) -> Result<Vec<u8>, TpmError> {
        let failed = |error: std::io::Error| TpmError::Io(error.kind());
        let mut response = vec![0; RESPONSE_LEN_MAX];
        let len = match &mut self.0 {
            Way::Kernel(file) => {
                file.write_all(command).map_err(failed)?;
                file.read(&mut response).map_err(failed)?
            }
            Way::Socket(stream) => {
                stream.write_all(command).map_err(failed)?;
                let (head, rest) = response.split_at_mut(HEADER_LEN);
                stream.read_exact(head).map_err(failed)?;
                let len = head.get(2..6).and_then(|len| len.try_into().ok()).map_or(0, u32::from_be_bytes);
                let len = usize::try_from(len).map_err(|_| TpmError::Malformed)?;
                let body =
                    len.checked_sub(HEADER_LEN).and_then(|len| rest.get_mut(..len)).ok_or(TpmError::Malformed)?;
                stream.read_exact(body).map_err(failed)?;
                len
            }
        };
        response.truncate(len);
        Ok(response)
    }
}

/// TPM_RC_YIELDED, TPM_RC_TESTING, TPM_RC_NV_RATE, TPM_RC_RETRY.
fn asks_again(response: &[u8]) -> bool {
    let code = response.get(6..10).and_then(|code| code.try_into().ok()).map(u32::from_be_bytes);
    matches!(code, Some(0x908 | 0x90a | 0x920 | 0x922))
}

/// A self-test takes a slow TPM a second or two.
const RETRIES_MAX: usize = 100;
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// Making a primary key takes a slow TPM some seconds; making an ECC one less.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);
