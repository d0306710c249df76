//! Keys of the unit tests. They sign nothing else.

use serde_json::{Value, json};

/// A symmetric key.
pub(super) const SECRET: &str = "a secret of the unit tests, as long as a hash";

/// An RSA key of 2048 bits.
pub(super) const RSA_PRIVATE: &str = "\
-----BEGIN RSA PRIVATE KEY-----
MIIEpAIBAAKCAQEAwxRTN17yALdMqrWxypYa8aAa8M//gru9/VwVGr98xON92lAP
x9MnnUQYY9vl5JrYWb8u3Vwva+HNB6jpjRA+c/mAZvAx/V4FAVdtPM+N3NDiFlr/
aAr2RMD6SQcFuBGUCsDdlu0KJzKoMWhCUkPmmhdv6VEAzXz9YmZOlaZN49dYqjkn
5IlEk5SCMIsxhzG46mzwKzbQq5BjqkwL/91X9qLaJHCKsYdFke6BZUnRtfCHl2uF
AcIgl4/+AIcazyZQKidOvNNDL7iKp6k0tegV/L/I1Lk1PkaqSsswwBY/psx71caF
3cS72lIuhlG4QBl7RAiUk7uWu7eFmAMA0m/KhQIDAQABAoIBAAQRd0aVZEBFBBmR
Rzu9fjDoyejRnoWL0jVSQFcWS1Q07FDrQi1vQAlL9TEk0eTphDaG7G5UzTZesC6j
p/niEnNZfNiFKUTVOyuaDBfBulMkZEG+wqAD49dvG35wRVRtpWr9/eSTspZXPH5f
R6F15ZnXnLo+nWDWVyzcqBuqR5UAKNNSRsQjwUXn4KK44a4n3gbXLcw7NyrULH7j
0+bk2J5Glq6IbU68Rfczsdlnzu8ZsZ9/GW6HalKclmPTjfa/990JhSk5vn/wMxWS
FXwxTyJQoUk3zEOJ8r4CWV9zgSRndQ5R42aExRzBWwsMdnYndVkcwZXjFo/JZoRM
9drOb+ECgYEA88OsqJTRAevfpDjtzkiM02sHf5KOkFITEeAB6hbXNfOxc9AGIIOz
wnRNM0Q8s76M4oDxZcV8UmTrKNOKrqN2NvXdEy/f54M9eqaAxk3DRyCNvqZI/TYH
i9n5yJycm0VlKv+kRXDO/2iQuC9CdrweCAXBRoYq0PxgJ2WHwft+ZJUCgYEAzN8O
49GSw0Z+9K+Up4hnZ2uWD/Yh8DGSAilMiJujtblKpnXh0BN+fPBtYTHxJ56XTOmj
IACUsMZYA8T81iF7WYCenBAFxrqDLM9aqVDcv0ehYwFFSWuNvyOucZKal1Exbh6K
Es/5Gp1aUDWVBjB9CWPIiDzeyTnGoqcAqfjn4jECgYEA25GtvEwP18M3Nx1wVxdS
gj0uC+NfNvA27SrxjoH0aEyR0tfWLQN0r/tCbqNQajeBf6TVy+4PBciRabzidlwW
53qfH+FHtampfwjrhbQV6cOQ6eGubSZ1tasqK2GmTtY7Qnfy5/ms+rKdaMpo+7qG
8oL8jSHc/1HU6qexmTGHr+ECgYEAw9sXBArtkIvLgSZ+Ke+IU2GSE25Noa/yEuji
htKsHmWmjR6zI1YPnWfIWZwCHMtLf7b4QPbtL1Ze/DONNzTJFJaWi0HyE7to/iS5
Wpa4gpD7I4gqcfdFio6VDXSHH9P6OnktrLBwR9ZYacff0Qv37UscgcoXfi4izIp1
YwlWvXECgYAKhsq+MInmop8Ba3Pbm8Q9UIvSdrVadCOUPLP4Sfj3p2+sWC51AS2F
JlSj8r2Od/h2Nl1uSPMrW+E5JAMk7OCU8h1a4m5xeYxE7dlMEbLl038+bVL4slHM
wMatvRJKeTa1I4LKdIMSGxHfii3wWUfHCVb70AtVY2PyqG5ysF7tXg==
-----END RSA PRIVATE KEY-----
";

/// Its public half.
pub(super) const RSA_PUBLIC: &str = "\
-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAwxRTN17yALdMqrWxypYa
8aAa8M//gru9/VwVGr98xON92lAPx9MnnUQYY9vl5JrYWb8u3Vwva+HNB6jpjRA+
c/mAZvAx/V4FAVdtPM+N3NDiFlr/aAr2RMD6SQcFuBGUCsDdlu0KJzKoMWhCUkPm
mhdv6VEAzXz9YmZOlaZN49dYqjkn5IlEk5SCMIsxhzG46mzwKzbQq5BjqkwL/91X
9qLaJHCKsYdFke6BZUnRtfCHl2uFAcIgl4/+AIcazyZQKidOvNNDL7iKp6k0tegV
/L/I1Lk1PkaqSsswwBY/psx71caF3cS72lIuhlG4QBl7RAiUk7uWu7eFmAMA0m/K
hQIDAQAB
-----END PUBLIC KEY-----
";

/// A key on the curve P-256.
pub(super) const P256_PRIVATE: &str = "\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQguA5ap00ss9Ncj+3p
4BNQbP4QcevZOb4ISzH9Ak3+WdOhRANCAASen80GRSuevctKGdyMhsCdUqx6TDla
b2cA6YMznKsYgq50swfyz5DXz8wEUiKxS4xjUsCqlbD577M95VeSSIad
-----END PRIVATE KEY-----
";

/// Its public half.
pub(super) const P256_PUBLIC: &str = "\
-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEnp/NBkUrnr3LShncjIbAnVKsekw5
Wm9nAOmDM5yrGIKudLMH8s+Q18/MBFIisUuMY1LAqpWw+e+zPeVXkkiGnQ==
-----END PUBLIC KEY-----
";

/// A key on the curve P-384.
pub(super) const P384_PRIVATE: &str = "\
-----BEGIN PRIVATE KEY-----
MIG2AgEAMBAGByqGSM49AgEGBSuBBAAiBIGeMIGbAgEBBDBXFi4kjyHpt1C1uEUg
dgbjxpvS5jJECTmpAQ/83rY9kRWziiCfMlmFq5dOfl9lPtKhZANiAARqj6EXU9wR
z3+zWImT7lspmvorNbZVV2VVoXmk3fr2yCWaJjZfqqtFWxXOOTJvUK9Fd2J7YMY9
Xc7MoEM37ruLU96C3tDGp7sVN5d57SryyyPOOoOGp9pQZisQozi2p8o=
-----END PRIVATE KEY-----
";

/// Its public half.
pub(super) const P384_PUBLIC: &str = "\
-----BEGIN PUBLIC KEY-----
MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEao+hF1PcEc9/s1iJk+5bKZr6KzW2VVdl
VaF5pN369sglmiY2X6qrRVsVzjkyb1CvRXdie2DGPV3OzKBDN+67i1Pegt7Qxqe7
FTeXee0q8ssjzjqDhqfaUGYrEKM4tqfK
-----END PUBLIC KEY-----
";

/// An Ed25519 key.
pub(super) const ED25519_PRIVATE: &str = "\
-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIOjzPtLnSZE8nmg4QD+AH2blY0PtBO67YnqztwZrfxMT
-----END PRIVATE KEY-----
";

/// Its public half.
pub(super) const ED25519_PUBLIC: &str = "\
-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEA6DkUBeSO7FPWSoUXJC6hTA72CmG8yIU0zjEWp4Rz0Sw=
-----END PUBLIC KEY-----
";

/// The modulus of [`RSA_PUBLIC`].
const MODULUS: &str = "\
wxRTN17yALdMqrWxypYa8aAa8M__gru9_VwVGr98xON92lAPx9MnnUQYY9vl5JrYWb8u3Vwva-HNB6jp\
jRA-c_mAZvAx_V4FAVdtPM-N3NDiFlr_aAr2RMD6SQcFuBGUCsDdlu0KJzKoMWhCUkPmmhdv6VEAzXz9\
YmZOlaZN49dYqjkn5IlEk5SCMIsxhzG46mzwKzbQq5BjqkwL_91X9qLaJHCKsYdFke6BZUnRtfCHl2uF\
AcIgl4_-AIcazyZQKidOvNNDL7iKp6k0tegV_L_I1Lk1PkaqSsswwBY_psx71caF3cS72lIuhlG4QBl7\
RAiUk7uWu7eFmAMA0m_KhQ";

/// Returns [`RSA_PUBLIC`] as a JSON Web Key with an id.
pub(super) fn rsa_jwk(id: &str) -> Value {
    json!({"kty": "RSA", "kid": id, "n": MODULUS, "e": "AQAB"})
}
