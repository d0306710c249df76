//! argon2id (RFC 9106) in PHC strings: `$argon2id$v=19$m=19456,t=2,p=1$salt$hash`, which carry their parameters.
//!
//! A hash takes some 20 ms and as much memory as its parameters say, so it is not computed on the runtime's threads, and only
//! a few are at a time ([`logins`](crate::domain::logins)).

use argon2::password_hash::phc;
use argon2::{Algorithm, Argon2, Block, Params, Version};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use rand::RngCore;
use subtle::ConstantTimeEq;

/// The parameters of new hashes (OWASP: Password Storage): 19 MiB, two passes, one lane.
const NEW: Params = Params::DEFAULT;
/// Bytes of memory that a new hash takes while it is computed.
pub(crate) const HASH_MEMORY: u64 = NEW.m_cost() as u64 * Block::SIZE as u64;
const SALT_LEN: usize = 16;
const DIGEST_LEN: usize = 32;
/// What a hash from outside may ask for: anybody can try to log in as its user. The memory is what is counted for each hash.
const MAX_MEMORY_KIB: u32 = NEW.m_cost();
const MAX_PASSES: u32 = 16;
const MAX_LANES: u32 = 8;
const MAX_DIGEST_LEN: usize = 64;

/// What a PHC string says.
struct Parts {
    params: Params,
    salt: Vec<u8>,
    digest: Vec<u8>,
}

fn parse(text: &str) -> Option<Parts> {
    let hash = phc::PasswordHash::new(text).ok()?;
    let is_ours =
        hash.algorithm.as_str() == "argon2id" && hash.version == Some(u32::from(Version::V0x13));
    let params = Params::try_from(&hash).ok().filter(|_| is_ours)?;
    let bounded = params.m_cost() <= MAX_MEMORY_KIB
        && params.t_cost() <= MAX_PASSES
        && params.p_cost() <= MAX_LANES
        && params.keyid().is_empty()
        && params.data().is_empty();
    let (salt, digest) = (hash.salt?, hash.hash?);
    (bounded && digest.len() <= MAX_DIGEST_LEN).then(|| Parts {
        params,
        salt: salt.as_ref().to_vec(),
        digest: digest.as_bytes().to_vec(),
    })
}

/// Returns whether some password can have this hash.
pub(super) fn is_valid(text: &str) -> bool {
    parse(text).is_some()
}

/// Hashes a password with a new random salt.
pub(super) fn hash(password: &str) -> String {
    let mut salt = [0; SALT_LEN];
    rand::rng().fill_bytes(&mut salt);
    let digest = digest(&NEW, &salt, password, DIGEST_LEN).unwrap_or_default();
    format!(
        "$argon2id$v=19$m={},t={},p={}${}${}",
        NEW.m_cost(),
        NEW.t_cost(),
        NEW.p_cost(),
        STANDARD_NO_PAD.encode(salt),
        STANDARD_NO_PAD.encode(digest)
    )
}

/// Returns whether this is the password.
pub(super) fn verifies(text: &str, password: &str) -> bool {
    let Some(Parts {
        params,
        salt,
        digest: expected,
    }) = parse(text)
    else {
        return false;
    };
    let computed = digest(&params, &salt, password, expected.len());
    computed.is_some_and(|computed| bool::from(computed.ct_eq(&expected)))
}

/// Returns the digest; `None` if the parameters are impossible.
fn digest(params: &Params, salt: &[u8], password: &str, length: usize) -> Option<Vec<u8>> {
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
    let mut digest = vec![0; length];
    // Not kept for the next one: most logins need no hash, and an idle broker is small.
    let mut blocks = vec![Block::default(); params.block_count()];
    let hashed =
        argon.hash_password_into_with_memory(password.as_bytes(), salt, &mut digest, &mut blocks);
    hashed.ok().map(|()| digest)
}
