//! Every form that a private key can have in a file, as written by OpenSSL 3.

use crate::net::tls::config::provider;
use crate::net::tls::pem_file::PemFile;
use std::path::{Path, PathBuf};

const RSA: &str = "rsa-pkcs1.pem";
const EC: &str = "ec-pkcs8.pem";

fn file(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/net/tls/tests/keys");
    folder.join(name)
}

/// Returns the public key that belongs to the private one in a file, or why it cannot be read.
fn public(name: &str, password: Option<&str>) -> Result<Vec<u8>, String> {
    let key = PemFile::read(&file(name)).and_then(|file| file.key(password));
    let key = key.map_err(|error| error.to_string())?;
    let loaded = provider().key_provider.load_private_key(key);
    let loaded = loaded.map_err(|error| error.to_string())?;
    Ok(loaded.public_key().unwrap().to_vec())
}

#[test]
fn keys_are_read_in_all_usual_forms() {
    let (rsa, ec) = (public(RSA, None).unwrap(), public(EC, None).unwrap());
    assert_eq!(public("ec-sec1.pem", None).as_ref(), Ok(&ec));
    let secret = Some("secret");
    for encrypted in [
        "ec-pkcs8-aes256.pem",
        "ec-pkcs8-scrypt.pem",
        "ec-aes128.pem",
        "ec-aes192.pem",
        "ec-aes256.pem",
    ] {
        assert_eq!(public(encrypted, secret).as_ref(), Ok(&ec), "{encrypted}");
        let unknown = public(encrypted, None).unwrap_err();
        assert!(unknown.contains("LEVERET_TLS_KEY_PASSWORD"), "{unknown}");
        let wrong = public(encrypted, Some("wrong")).unwrap_err();
        assert!(
            wrong.ends_with("tls_key_password_file) is wrong"),
            "{wrong}"
        );
    }
    assert_eq!(public("rsa-pkcs1-aes256.pem", secret).as_ref(), Ok(&rsa));
    assert!(public("ed25519.pem", None).is_ok());
}

#[test]
fn what_cannot_be_decrypted_comes_with_the_command_that_converts_it() {
    for encrypted in ["ec-pkcs8-des3.pem", "ec-pkcs8-pbes1.pem", "ec-des3.pem"] {
        let error = public(encrypted, Some("secret")).unwrap_err();
        assert!(error.contains("openssl pkcs8 -topk8"), "{error}");
    }
}

#[test]
fn files_that_are_something_else_are_named_with_what_they_have() {
    let folder = tempfile::tempdir().unwrap();
    let written = |text: &str| {
        let path = folder.path().join("x.pem");
        std::fs::write(&path, text).unwrap();
        let error = PemFile::read(&path).and_then(|file| file.certificates().map(|_| file));
        error.err().unwrap().to_string()
    };
    assert!(written("").contains("there is no PEM block"));
    let key = std::fs::read_to_string(file(EC)).unwrap();
    assert!(written(&key).ends_with("there is no certificate in it, but PRIVATE KEY"));
    let cut = "-----BEGIN CERTIFICATE-----\nAAAA\n";
    assert!(written(cut).contains("the file is not complete"));
    let garbage = "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n";
    assert!(written(garbage).contains("this is not valid PEM"));
    let missing = PemFile::read(Path::new("/nowhere.pem")).err().unwrap();
    assert!(
        missing
            .to_string()
            .starts_with("/nowhere.pem: No such file")
    );
    let directory = PemFile::read(folder.path()).err().unwrap();
    assert!(directory.to_string().ends_with("this is not a file"));
}
