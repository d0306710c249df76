//! Private keys that are encrypted with a password: PKCS#8 (RFC 5958), and what OpenSSL wrote before.

use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockModeDecrypt, KeyIvInit};
use aes::{Aes128, Aes192, Aes256};
use cbc::Decryptor;
use md5::{Digest, Md5};
use pem::Pem;
use pkcs8::EncryptedPrivateKeyInfoRef;

/// What stands in the header `Proc-Type` of keys that are encrypted as OpenSSL did before PKCS#8 (RFC 1421).
const ENCRYPTED: &str = "ENCRYPTED";
/// How other encryption is replaced by one that is supported.
const CONVERT: &str = "re-encrypt it with: openssl pkcs8 -topk8 -v2 aes-256-cbc -in OLD -out NEW";

/// Returns whether a block with a key is encrypted.
pub(super) fn is_encrypted(block: &Pem) -> bool {
    let header = block.headers().get("Proc-Type");
    block.tag() == "ENCRYPTED PRIVATE KEY"
        || header.is_some_and(|header| header.contains(ENCRYPTED))
}

/// Decrypts a key. Its form is that of the block's name, without the word ENCRYPTED.
///
/// # Errors
/// Why it cannot be decrypted, and what to do.
pub(super) fn decrypted(block: &Pem, password: Option<&str>) -> Result<Vec<u8>, String> {
    let Some(password) = password else {
        return Err(
            "the private key is encrypted: the broker's password for it is tls_key_password_file or \
             LEVERET_TLS_KEY_PASSWORD; elsewhere decrypt it with openssl pkey"
                .to_owned(),
        );
    };
    match block.headers().get("DEK-Info") {
        Some(info) => traditional(block.contents(), info, password.as_bytes()),
        None => pkcs8(block.contents(), password.as_bytes()),
    }
}

fn wrong_password() -> String {
    "the private key cannot be decrypted: the password (tls_key_password, tls_key_password_file) is wrong"
        .to_owned()
}

fn pkcs8(der: &[u8], password: &[u8]) -> Result<Vec<u8>, String> {
    use pkcs8::pkcs5::Error as Pkcs5;
    let unsupported =
        || format!("the private key is encrypted in a way that is not supported; {CONVERT}");
    // Ciphers and hashes that are not known are errors of parsing, too.
    let encrypted = EncryptedPrivateKeyInfoRef::try_from(der).map_err(|_| unsupported())?;
    match encrypted.decrypt(password) {
        Ok(key) => Ok(key.as_bytes().to_vec()),
        Err(pkcs8::Error::EncryptedPrivateKey(
            Pkcs5::UnsupportedAlgorithm { .. }
            | Pkcs5::NoPbes1CryptSupport
            | Pkcs5::AlgorithmParametersInvalid { .. },
        )) => Err(unsupported()),
        // What a wrong password decrypts to is not a key.
        Err(_) => Err(wrong_password()),
    }
}

/// Decrypts what `openssl genrsa -aes256` wrote before OpenSSL 3: `DEK-Info: AES-256-CBC,` and the initial vector in
/// hexadecimal, which is the salt of the key, too.
fn traditional(encrypted: &[u8], info: &str, password: &[u8]) -> Result<Vec<u8>, String> {
    let (cipher, vector) = info.split_once(',').unwrap_or((info, ""));
    type Decrypt = fn(&[u8], &[u8], &[u8; 16], usize) -> Option<Vec<u8>>;
    let (decrypt, key_length): (Decrypt, _) = match cipher.trim() {
        "AES-128-CBC" => (decrypted_by::<Decryptor<Aes128>>, 16),
        "AES-192-CBC" => (decrypted_by::<Decryptor<Aes192>>, 24),
        "AES-256-CBC" => (decrypted_by::<Decryptor<Aes256>>, 32),
        other => {
            let other: String = other.chars().take(40).collect();
            return Err(format!(
                "the private key is encrypted with {other}, which is not supported; {CONVERT}"
            ));
        }
    };
    let vector =
        from_hex(vector.trim()).ok_or("the header DEK-Info of the private key is not valid")?;
    decrypt(encrypted, password, &vector, key_length).ok_or_else(wrong_password)
}

fn decrypted_by<C: KeyIvInit + BlockModeDecrypt>(
    encrypted: &[u8],
    password: &[u8],
    vector: &[u8; 16],
    key_length: usize,
) -> Option<Vec<u8>> {
    let key = derived_key(password, &vector[..8], key_length);
    let cipher = C::new_from_slices(&key, vector).ok()?;
    let mut buffer = encrypted.to_vec();
    let length = cipher.decrypt_padded::<Pkcs7>(&mut buffer).ok()?.len();
    buffer.truncate(length);
    Some(buffer)
}

/// OpenSSL's `EVP_BytesToKey` with MD5 and one round.
fn derived_key(password: &[u8], salt: &[u8], length: usize) -> Vec<u8> {
    let mut key = Vec::new();
    let mut last: Vec<u8> = Vec::new();
    while key.len() < length {
        let digest = Md5::new()
            .chain_update(&last)
            .chain_update(password)
            .chain_update(salt)
            .finalize();
        last = digest.to_vec();
        key.extend_from_slice(&last);
    }
    key.truncate(length);
    key
}

fn from_hex(text: &str) -> Option<[u8; 16]> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|digit| {
            digit
                .to_digit(16)
                .and_then(|digit| u8::try_from(digit).ok())
        })
        .collect();
    let bytes: Vec<u8> = digits?
        .chunks_exact(2)
        .map(|two| two[0] << 4 | two[1])
        .collect();
    bytes.try_into().ok()
}
