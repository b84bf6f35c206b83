//! What a sealed root file has of a TPM: its object, and what the object asks for.
//!
//! ```text
//!    0  34  parent     name of the TPM's storage key: 000b, SHA-256 of its public area
//!   34   1  flags      bit 0: a PIN; others are 0
//!   35   3  registers  PCR 0 is the lowest bit of the first octet; all 0: none
//!   38   2  n
//!   40   n  public     TPMT_PUBLIC, at most 512 octets
//!   +0   2  m
//!   +2   m  private    the TPM's own, encrypted; at most 1024 octets
//! ```

use super::wire::{Reader, Writer};
use super::{SHA_256, TpmError};
use crate::error::UnsealError;

/// PCRs of the SHA-256 bank.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Registers([u8; 3]);

impl Registers {
    /// These, by number.
    pub fn of(numbers: &[u8]) -> Result<Registers, TpmError> {
        let mut registers = Registers::default();
        for number in numbers {
            let octet = registers.0.get_mut(usize::from(number / 8)).ok_or(TpmError::Register(*number))?;
            *octet |= 1 << (number % 8);
        }
        Ok(registers)
    }

    /// Their numbers, upwards.
    pub fn numbers(self) -> Vec<u8> {
        (0..24_u8)
            .filter(|number| self.0.get(usize::from(number / 8)).is_some_and(|octet| octet >> (number % 8) & 1 == 1))
            .collect()
    }

    /// None at all.
    pub fn is_empty(self) -> bool {
        self == Registers::default()
    }

    /// Whether all of them are among others.
    pub(super) fn is_within(self, others: Registers) -> bool {
        self.0.iter().zip(others.0).all(|(own, there)| own & !there == 0)
    }

    /// Those that a TPM has, by its answer of TPM2_GetCapability(TPM_CAP_PCRS): its banks, each once.
    pub(super) fn allocated(answer: &[u8]) -> Result<Registers, TpmError> {
        let (mut reader, mut there) = (Reader::new(answer), Registers::default());
        let (_more, _capability, banks) = (reader.u8()?, reader.u32()?, reader.u32()?);
        for _ in 0..banks {
            let (bank, len) = (reader.u16()?, usize::from(reader.u8()?));
            let select = reader.take(len)?;
            if bank == SHA_256 {
                there.0.iter_mut().zip(select).for_each(|(to, from)| *to = *from);
            }
        }
        reader.end()?;
        Ok(there)
    }

    /// TPML_PCR_SELECTION: one bank, SHA-256.
    pub(super) fn selection(self) -> Vec<u8> {
        Writer::default().u32(1).u16(SHA_256).u8(3).raw(&self.0).done()
    }
}

/// A sealed data object, and how it is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    parent: [u8; NAME_LEN],
    pin: bool,
    registers: Registers,
    public: Vec<u8>,
    private: Vec<u8>,
}

impl Object {
    pub(super) fn new(
        parent: &[u8],
        pin: bool,
        registers: Registers,
        public: Vec<u8>,
        private: Vec<u8>,
    ) -> Result<Object, TpmError> {
        let parent = parent.try_into().map_err(|_| TpmError::Malformed)?;
        match public.len() <= PUBLIC_LEN_MAX && private.len() <= PRIVATE_LEN_MAX {
            true => Ok(Object { parent, pin, registers, public, private }),
            false => Err(TpmError::Malformed),
        }
    }

    /// Whether it asks for a PIN.
    pub fn has_pin(&self) -> bool {
        self.pin
    }

    /// The registers that have to be what they were.
    pub fn registers(&self) -> Registers {
        self.registers
    }

    pub(super) fn parent(&self) -> &[u8] {
        &self.parent
    }

    pub(super) fn public(&self) -> &[u8] {
        &self.public
    }

    pub(super) fn private(&self) -> &[u8] {
        &self.private
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let head = Writer::default().raw(&self.parent).u8(u8::from(self.pin)).raw(&self.registers.0);
        head.sized(&self.public).sized(&self.private).done()
    }

    pub(crate) fn parse(octets: &[u8]) -> Result<Object, UnsealError> {
        Object::read(octets).map_err(|_| UnsealError::Parameters { kind: 3 })
    }

    fn read(octets: &[u8]) -> Result<Object, TpmError> {
        let mut reader = Reader::new(octets);
        let parent = reader.take(NAME_LEN)?;
        let pin = match reader.u8()? {
            0 => false,
            1 => true,
            _ => return Err(TpmError::Malformed),
        };
        let registers = Registers(reader.take(3)?.try_into().map_err(|_| TpmError::Malformed)?);
        let (public, private) = (reader.sized()?.to_vec(), reader.sized()?.to_vec());
        reader.end()?;
        Object::new(parent, pin, registers, public, private)
    }
}

const NAME_LEN: usize = 34;
/// A sealed data object's has 46 or 78 octets.
const PUBLIC_LEN_MAX: usize = 512;
/// The reference implementation's has 190 octets.
const PRIVATE_LEN_MAX: usize = 1024;
