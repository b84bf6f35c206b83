//! A PKCS#11 token: its sessions, what it really can do, and the keys that stay in it.
//!
//! [`Token`] is a token that is logged in to, with a bounded pool of sessions. It comes back by itself after the token went
//! away, if it is the same token with the same roots. [`Session`] is what a caller works with: keys that it makes or unwraps are
//! [`Object`]s, which are destroyed when they are dropped. [`RootSet`]s are the AES keys that never leave the token, under which
//! everything else is wrapped. [`Capabilities`] says what the token does, found out by doing it.
//!
//! Modules lie: mechanisms that are listed are refused for some parameters, the number of one means another. So nothing here
//! believes a list.
//!
//! Deliberately not here: what keys are for, how they are stored, who may use them (crate `keys`), and where the PIN comes from.

mod capabilities;
mod error;
pub mod limits;
mod mechanism;
mod number;
mod object;
mod probe;
mod root;
mod session;
mod token;

pub use capabilities::{Ability, Capabilities, Kwp};
pub use error::{Code, Fault, TokenError};
pub use mechanism::{Curve, Hash, Wrapping};
pub use object::{Object, Shape, Use};
pub use root::{Purpose, RootId, RootSet};
pub use session::{RsaPublic, Session};
pub use token::{Identity, Pin, Settings, Token};
