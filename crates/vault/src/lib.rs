//! Vaults, keys, versions, and the release of a key to a TEE.
//!
//! [`Vault`] is a thin loop: it reads records, calls a pure function ([`decide`], [`release`]) that says what a command makes
//! of them at a time, and commits. Nothing happens that is not on record in the audit log first, and only a release that is
//! on record is carried out. [`Installation`] is what the vaults of one server share, and with them the attestation service,
//! whose policies [`appraisal`] keeps; [`wire`] has the form of answers.
//!
//! Not here: who a caller is and what he may do (`skerry-identity` gives a grant), and HTTP.

pub mod appraisal;
pub mod backup;
pub mod ca;
pub mod command;
pub mod decide;
pub mod floor;
pub mod jwk;
pub mod limits;
pub mod meter;
pub mod pool;
pub mod record;
pub mod refusal;
pub mod release;
pub mod rotation;
pub mod stored;
pub mod uses;
pub mod wire;

mod attested;
mod authorities;
mod budget;
mod clock;
mod entries;
mod held;
mod installation;
mod node;
mod publishing;
mod recorder;
mod records;
mod recovery;
mod roll;
mod roots;
mod signer;
mod stock;
mod throttle;
mod tokens;
mod usage;
mod vault;
mod witness;

pub use authorities::TrustedAuthority;
pub use clock::Standing;
pub use entries::explained;
pub use installation::{HeldError, Installation, InstallationError, Opened};
pub use node::{Node, NodeName};
pub use publishing::origin;
pub use recovery::{DangerousInstallation, Known, Loss, Recovered, Restored, Seal, Seals, Whole, lost};
pub use refusal::Refusal;
pub use roll::{ForgetError, ForgetTimeError, Forgotten, Member, Roll};
pub use signer::{ReleaseSigner, STATEMENT_TYPE, SignerError, VaultKind};
pub use stock::{Stock, Wanted};
pub use throttle::Throttling;
pub use usage::UsesSeen;
pub use vault::{
    Decided, Due, KeyAttestation, Listing, Pools, ReleaseAnswer, Rewrap, Rewrapped, Signature, UnwrapAnswer, Vault,
    VaultConfig, VaultConfigError,
};
pub use witness::{PutBack, WitnessError};
