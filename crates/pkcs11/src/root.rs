//! Roots: AES-256 keys that are made in the token and never leave it.
//!
//! A set has three, of one id and generation, so that each does one thing only:
//!
//! ```text
//! CKA_LABEL            CKA_ID           may
//! skerry seal N        id, 16 octets    encrypt, decrypt: AES-GCM over an installation's root key
//! skerry stays N       the same         wrap, unwrap: keys that stay, which are unwrapped to CKA_EXTRACTABLE=false
//! skerry leaves N      the same         wrap, unwrap: keys that may be released, which are wrapped to a TEE's key
//! ```
//!
//! N counts from 1; the set of the largest N that is whole is the current one. Rotation makes another and takes none away; what nothing
//! is wrapped under any more can be destroyed.

use crate::error::{Fault, TokenError};
use crate::limits::ROOT_SETS_MAX;
use core::fmt;
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use rand_core::CryptoRng;
use std::collections::BTreeMap;

/// Id of a set of roots, random: records that are wrapped under it carry it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RootId(pub [u8; 16]);

impl fmt::Display for RootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl fmt::Debug for RootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a root does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// Seals an installation's root key.
    Seal,
    /// Wraps keys that stay.
    Stays,
    /// Wraps keys that may be released.
    Leaves,
}

impl Purpose {
    /// Every purpose.
    pub const ALL: [Self; 3] = [Self::Seal, Self::Stays, Self::Leaves];

    fn word(self) -> &'static str {
        match self {
            Self::Seal => "seal",
            Self::Stays => "stays",
            Self::Leaves => "leaves",
        }
    }

    fn uses(self) -> [Attribute; 4] {
        let seals = self == Self::Seal;
        [Attribute::Encrypt(seals), Attribute::Decrypt(seals), Attribute::Wrap(!seals), Attribute::Unwrap(!seals)]
    }
}

/// A set of roots that is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RootSet {
    /// Its id.
    pub id: RootId,
    /// Which rotation it is of, from 1.
    pub generation: u32,
}

/// The roots of a token, by their handles, which are good while it is not closed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Roots {
    handles: BTreeMap<(RootId, Purpose), ObjectHandle>,
    sets: Vec<RootSet>,
    /// Sets of which a root is missing: they were not made to the end, or not destroyed to the end.
    parts: Vec<RootSet>,
}

impl Roots {
    /// Reads what is there. A root that could be read out, that does more than one thing, or that is there twice, is refused.
    pub(crate) fn find(session: &Session) -> Result<Roots, TokenError> {
        let mut roots = Roots::default();
        let mut generations = BTreeMap::new();
        let wanted = [Attribute::Class(ObjectClass::SECRET_KEY), Attribute::Token(true)];
        for handle in session.find_objects(&wanted).map_err(Fault::from)? {
            let Some((purpose, generation, id)) = named(session, handle)? else { continue };
            check(session, handle, id, purpose)?;
            let same = roots.handles.insert((id, purpose), handle).is_some();
            let other = generations.insert(id, generation).is_some_and(|before| before != generation);
            if same || other {
                return Err(TokenError::RootTwice { id });
            }
        }
        if generations.len() > ROOT_SETS_MAX {
            return Err(TokenError::TooManyRoots { max: ROOT_SETS_MAX });
        }
        let whole = |id: RootId| Purpose::ALL.iter().all(|purpose| roots.handles.contains_key(&(id, *purpose)));
        let all = generations.into_iter().map(|(id, generation)| RootSet { id, generation });
        let (mut sets, parts) = all.partition::<Vec<_>, _>(|set| whole(set.id));
        sets.sort_by_key(|set| (set.generation, set.id));
        (roots.sets, roots.parts) = (sets, parts);
        Ok(roots)
    }

    /// Makes a set, newer than all others.
    pub(crate) fn make(&self, session: &Session, rng: &mut dyn CryptoRng) -> Result<RootSet, Fault> {
        let newest = self.sets.last().map_or(0, |set| set.generation);
        let generation = newest.saturating_add(1);
        let mut id = RootId([0; 16]);
        rng.fill_bytes(&mut id.0);
        for purpose in Purpose::ALL {
            session.generate_key(&Mechanism::AesKeyGen, &template(purpose, generation, id))?;
        }
        Ok(RootSet { id, generation })
    }

    pub(crate) fn get(&self, id: RootId, purpose: Purpose) -> Result<ObjectHandle, Fault> {
        self.handles.get(&(id, purpose)).copied().ok_or(Fault::NoRoot(id))
    }

    /// Oldest first.
    pub(crate) fn sets(&self) -> &[RootSet] {
        &self.sets
    }

    /// Those before the current one, parts of sets among them, oldest first.
    pub(crate) fn older(&self) -> Vec<RootSet> {
        let Some((current, sets)) = self.sets.split_last() else { return Vec::new() };
        // What comes after it is being made.
        let parts = self.parts.iter().filter(|set| set.generation <= current.generation);
        let mut older: Vec<_> = sets.iter().chain(parts).copied().collect();
        older.sort_by_key(|set| (set.generation, set.id));
        older
    }

    /// Destroys what there is of a set.
    pub(crate) fn destroy(&self, session: &Session, id: RootId) -> Result<(), Fault> {
        for purpose in Purpose::ALL {
            if let Some(handle) = self.handles.get(&(id, purpose)) {
                session.destroy_object(*handle)?;
            }
        }
        Ok(())
    }
}

fn template(purpose: Purpose, generation: u32, id: RootId) -> Vec<Attribute> {
    let mut template = vec![
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Modifiable(false),
        Attribute::ValueLen(AES_256_LEN.into()),
        Attribute::Label(label(purpose, generation).into_bytes()),
        Attribute::Id(id.0.to_vec()),
    ];
    template.extend(purpose.uses());
    template
}

fn label(purpose: Purpose, generation: u32) -> String {
    format!("skerry {} {generation}", purpose.word())
}

/// None of what is not one of ours.
fn named(session: &Session, handle: ObjectHandle) -> Result<Option<(Purpose, u32, RootId)>, Fault> {
    let (mut label_found, mut id) = (None, None);
    for attribute in session.get_attributes(handle, &[AttributeType::Label, AttributeType::Id])? {
        match attribute {
            Attribute::Label(octets) => label_found = String::from_utf8(octets).ok(),
            Attribute::Id(octets) => id = octets.try_into().ok().map(RootId),
            _ => {}
        }
    }
    let (Some(found), Some(id)) = (label_found, id) else { return Ok(None) };
    let Some(rest) = found.strip_prefix("skerry ") else { return Ok(None) };
    let Some((word, generation)) = rest.split_once(' ') else { return Ok(None) };
    let purpose = Purpose::ALL.into_iter().find(|purpose| purpose.word() == word);
    let generation = generation.parse::<u32>().ok().filter(|generation| *generation > 0);
    Ok(match (purpose, generation) {
        // One spelling: "skerry seal 01" is not ours.
        (Some(purpose), Some(generation)) if label(purpose, generation) == found => Some((purpose, generation, id)),
        _ => None,
    })
}

/// A root that both wraps and decrypts gives out what it wrapped: that is why a set has three.
fn check(session: &Session, handle: ObjectHandle, id: RootId, purpose: Purpose) -> Result<(), TokenError> {
    let asked = [AttributeType::Sensitive, AttributeType::Extractable, AttributeType::KeyType];
    let uses = [AttributeType::Encrypt, AttributeType::Decrypt, AttributeType::Wrap, AttributeType::Unwrap];
    let found = session.get_attributes(handle, &[asked.as_slice(), &uses].concat()).map_err(Fault::from)?;
    let has = |attribute: &Attribute| found.contains(attribute);
    if !has(&Attribute::Sensitive(true)) || !has(&Attribute::Extractable(false)) {
        return Err(TokenError::RootExtractable { id });
    }
    let right = has(&Attribute::KeyType(KeyType::AES)) && purpose.uses().iter().all(has);
    if right { Ok(()) } else { Err(TokenError::RootUses { id }) }
}

const AES_256_LEN: std::ffi::c_ulong = 32;
