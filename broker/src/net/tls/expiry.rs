//! How long certificates are valid, and what the log says before they are not any more.

use super::names;
use pem::{EncodeConfig, LineEnding, Pem};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::{CertificateRevocationList, FromDer};
use x509_parser::time::ASN1Time;

const DAY: i64 = 86_400;
/// The log warns this long before a certificate expires.
const WARNED_BEFORE: i64 = 30 * DAY;

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The broker's own certificate, or an intermediate one that is sent with it.
    Certificate,
    /// An authority of clients' certificates.
    Authority,
    /// A list of revoked certificates.
    RevocationList,
}

/// A certificate that was read, or a list of revoked ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The file that it is in.
    pub file: PathBuf,
    /// What it is for.
    pub role: Role,
    /// Whose it is; of a list, whose list.
    pub subject: String,
    /// When it begins to be valid, in seconds since the epoch.
    pub from: i64,
    /// When it ends, in seconds since the epoch.
    pub until: i64,
    /// As it was in the file.
    der: Arc<[u8]>,
}

/// What is to be said about a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Concern {
    NotYetValid,
    Expired,
    /// In so many days.
    ExpiresIn(i64),
}

impl Validity {
    /// Reads that of a certificate; `None` if it cannot be parsed.
    pub(super) fn of_certificate(file: &Path, role: Role, der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let validity = certificate.validity();
        Some(Validity {
            file: file.to_owned(),
            role,
            subject: names::distinguished(certificate.subject()),
            from: validity.not_before.timestamp(),
            until: validity.not_after.timestamp(),
            der: der.into(),
        })
    }

    /// Reads that of a list of revoked certificates; `None` if it cannot be parsed or does not say when the next one comes.
    pub(super) fn of_list(file: &Path, der: &[u8]) -> Option<Self> {
        let (_, list) = CertificateRevocationList::from_der(der).ok()?;
        Some(Validity {
            file: file.to_owned(),
            role: Role::RevocationList,
            subject: names::distinguished(list.issuer()),
            from: list.last_update().timestamp(),
            until: list.next_update()?.timestamp(),
            der: der.into(),
        })
    }

    fn concern(&self, now: i64) -> Option<Concern> {
        if now > self.until {
            return Some(Concern::Expired);
        }
        if now < self.from {
            return Some(Concern::NotYetValid);
        }
        // The next list of revoked certificates comes when the old one is out of date, and not long before.
        let warned = self.role != Role::RevocationList && self.until - now < WARNED_BEFORE;
        warned.then_some(Concern::ExpiresIn((self.until - now) / DAY))
    }

    /// Returns when it begins and ends, as `2026-01-01T00:00:00Z`.
    pub fn texts(&self) -> [String; 2] {
        [self.from, self.until]
            .map(|at| ASN1Time::from_timestamp(at).map_or_else(|_| at.to_string(), names::time))
    }

    /// Returns when it ends, as `2026-01-01T00:00:00Z`.
    pub(super) fn until_text(&self) -> String {
        let [_, until] = self.texts();
        until
    }

    /// Returns it as PEM.
    pub fn pem(&self) -> String {
        let tag = match self.role {
            Role::RevocationList => "X509 CRL",
            Role::Certificate | Role::Authority => "CERTIFICATE",
        };
        let config = EncodeConfig::new().set_line_ending(LineEnding::LF);
        pem::encode_config(&Pem::new(tag, &*self.der), config)
    }

    /// Logs what an operator has to do about it, if anything.
    pub(super) fn log(&self, now: i64) {
        let (file, subject, until) = (self.file.display(), &self.subject, self.until_text());
        let Some(concern) = self.concern(now) else {
            return;
        };
        match (concern, self.role) {
            (Concern::ExpiresIn(days), _) => tracing::warn!(
                %file,
                subject,
                expires = until,
                days,
                "a certificate expires soon: replace the file; the broker reads it again by itself"
            ),
            (Concern::Expired, Role::Certificate) => tracing::error!(
                %file,
                subject,
                expired = until,
                "a certificate of the broker has expired: clients that check it do not connect"
            ),
            (Concern::Expired, Role::Authority) => tracing::error!(
                %file,
                subject,
                expired = until,
                "the certificate of an authority in tls_cacertfile has expired: clients whose certificates it has signed \
                 may be refused"
            ),
            (Concern::Expired, Role::RevocationList) => tracing::error!(
                %file,
                issuer = subject,
                until,
                "a list in tls_crlfile is out of date: clients whose certificates this authority has signed are refused"
            ),
            (Concern::NotYetValid, _) => tracing::error!(
                %file,
                subject,
                "a certificate is not valid yet: compare the machine's clock"
            ),
        }
    }
}

/// Returns the time in seconds since the epoch.
pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_expires_within_thirty_days_is_of_concern_and_lists_only_when_out_of_date() {
        let validity = |role| Validity {
            file: PathBuf::new(),
            role,
            subject: String::new(),
            from: 100,
            until: 100 * DAY,
            der: Arc::new([]),
        };
        let (own, list) = (validity(Role::Certificate), validity(Role::RevocationList));
        assert_eq!(own.concern(99), Some(Concern::NotYetValid));
        assert_eq!(own.concern(70 * DAY), None);
        assert_eq!(own.concern(71 * DAY), Some(Concern::ExpiresIn(29)));
        assert_eq!(own.concern(100 * DAY), Some(Concern::ExpiresIn(0)));
        assert_eq!(own.concern(100 * DAY + 1), Some(Concern::Expired));
        assert_eq!(list.concern(99 * DAY), None);
        assert_eq!(list.concern(101 * DAY), Some(Concern::Expired));
    }
}
