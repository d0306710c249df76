//! The values of settings as text, for comparing two configurations and logging the difference.

use super::{
    Config, DiskFreeLimit, HttpMethod, ListenerSpec, LogFilter, LogFormat, Mechanism,
    MemoryWatermark, SigningKey, TlsPort, file,
};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

impl Config {
    /// Returns the settings of [`Config::settings`] as a configuration file.
    pub fn to_file(&self) -> String {
        let settings = self.settings().into_iter();
        let settings = settings.filter(|(key, _)| !self.is_replaced(key));
        settings.map(|(key, value)| line(key, &value)).collect()
    }

    /// Returns whether a setting has no effect because a list of listeners takes its place.
    fn is_replaced(&self, key: &str) -> bool {
        let list = match key {
            "bind" | "port" | "tls_port" => &self.listeners,
            "management_bind" | "management_port" | "management_tls_port" => {
                &self.management_listeners
            }
            "prometheus_bind" | "prometheus_port" | "prometheus_tls_port" => {
                &self.prometheus_listeners
            }
            _ => return false,
        };
        !list.is_empty()
    }
}

/// Returns a setting as a line of the file: numbers and booleans as they are, everything else between quotes.
fn line(key: &str, value: &str) -> String {
    let bare = format!("{key} = {value}\n");
    let plain = value.parse::<f64>().is_ok() || value.parse::<bool>().is_ok();
    match plain && file::parse(&bare).is_ok() {
        true => bare,
        false => format!("{key} = {}\n", toml::Value::from(value)),
    }
}

/// A value that can be written as the file could contain it.
pub(super) trait Shown {
    /// Returns the text.
    fn shown(&self) -> String;
}

macro_rules! shown_as_displayed {
    ($($value:ty),*) => {
        $(impl Shown for $value {
            fn shown(&self) -> String {
                self.to_string()
            }
        })*
    };
}

shown_as_displayed!(
    bool,
    u16,
    u32,
    u64,
    IpAddr,
    MemoryWatermark,
    DiskFreeLimit,
    TlsPort
);

impl Shown for String {
    fn shown(&self) -> String {
        self.clone()
    }
}

impl Shown for PathBuf {
    fn shown(&self) -> String {
        self.display().to_string()
    }
}

impl Shown for LogFilter {
    fn shown(&self) -> String {
        self.as_str().to_owned()
    }
}

impl Shown for LogFormat {
    fn shown(&self) -> String {
        match self {
            LogFormat::Text => "text".to_owned(),
            LogFormat::Json => "json".to_owned(),
        }
    }
}

/// In milliseconds.
impl Shown for Duration {
    fn shown(&self) -> String {
        self.as_millis().to_string()
    }
}

impl Shown for Vec<String> {
    fn shown(&self) -> String {
        match self.as_slice() {
            [] => "none".to_owned(),
            names => names.join(","),
        }
    }
}

impl Shown for Vec<ListenerSpec> {
    fn shown(&self) -> String {
        let specs: Vec<String> = self.iter().map(ToString::to_string).collect();
        specs.shown()
    }
}

impl Shown for Vec<SigningKey> {
    fn shown(&self) -> String {
        let key = |SigningKey { id, file }: &SigningKey| match id {
            Some(id) => format!("{id}={}", file.display()),
            None => file.display().to_string(),
        };
        self.iter().map(key).collect::<Vec<_>>().shown()
    }
}

impl Shown for Vec<(String, String)> {
    fn shown(&self) -> String {
        let pairs = self.iter().map(|(name, value)| format!("{name}={value}"));
        pairs.collect::<Vec<_>>().shown()
    }
}

impl Shown for HttpMethod {
    fn shown(&self) -> String {
        match self {
            HttpMethod::Get => "get".to_owned(),
            HttpMethod::Post => "post".to_owned(),
        }
    }
}

impl Shown for Vec<Mechanism> {
    fn shown(&self) -> String {
        let names: Vec<&str> = self.iter().map(|each| each.name()).collect();
        names.join(",")
    }
}

macro_rules! shown_or {
    ($($value:ty, $none:literal;)*) => {
        $(impl Shown for Option<$value> {
            fn shown(&self) -> String {
                self.as_ref().map_or_else(|| $none.to_owned(), Shown::shown)
            }
        })*
    };
}

shown_or! {
    Duration, "undefined";
    u64, "infinity";
    u16, "none";
    String, "none";
    PathBuf, "none";
}
