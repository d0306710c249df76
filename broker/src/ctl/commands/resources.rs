//! Memory and disk: the verbs that set their limits or ask for alarms, and the banners.

use crate::config::{ByteSize, DiskFreeLimit, MemoryWatermark};
use crate::manage::request::Request;
use crate::text::names::NODE_NAME;

use super::super::options::CommandLine;
use super::super::request::{Invalid, bad_argument, usage};

/// Returns the request of a verb of this theme; `None` for other verbs.
pub(super) fn request(verb: &str, line: &CommandLine) -> Result<Option<Request>, Invalid> {
    Ok(Some(match verb {
        "set_vm_memory_high_watermark" => Request::SetVmMemoryHighWatermark {
            watermark: memory_watermark(&line.arguments)?,
        },
        "set_disk_free_limit" => Request::SetDiskFreeLimit {
            limit: disk_free_limit(&line.arguments)?,
        },
        "alarms" | "check_alarms" | "check_local_alarms" => Request::Alarms,
        _ => return Ok(None),
    }))
}

/// Returns the banner of a request of this theme; `None` for other requests.
pub(super) fn banner(verb: &str, request: &Request) -> Option<String> {
    Some(match request {
        Request::Alarms if verb == "alarms" => {
            format!("Asking node {NODE_NAME} to report any known resource alarms ...")
        }
        Request::Alarms => {
            format!("Asking node {NODE_NAME} to report any local resource alarms ...")
        }
        Request::SetDiskFreeLimit { limit } => match limit {
            DiskFreeLimit::Absolute(bytes) => {
                format!("Setting disk free limit on {NODE_NAME} to {bytes} bytes ...")
            }
            DiskFreeLimit::MemRelative(times) => format!(
                "Setting disk free limit on {NODE_NAME} to {times:?} times the total RAM \
                 ..."
            ),
        },
        Request::SetVmMemoryHighWatermark { watermark } => {
            let mark = match watermark {
                MemoryWatermark::Relative(fraction) => format!("{fraction:?}"),
                MemoryWatermark::Absolute(bytes) => format!("{bytes} bytes"),
            };
            format!("Setting memory threshold on {NODE_NAME} to {mark} ...")
        }
        _ => return None,
    })
}

/// Reads `0.4`, or `absolute 2GB`.
fn memory_watermark(arguments: &[String]) -> Result<MemoryWatermark, Invalid> {
    match arguments {
        [word] if word == "absolute" => Err(usage("not enough arguments.")),
        [word, size] if word == "absolute" => size
            .parse()
            .map(|ByteSize(bytes)| MemoryWatermark::Absolute(bytes))
            .map_err(|reason| bad_argument(&format!(": {reason}"))),
        [fraction] => match fraction.parse::<f64>() {
            Ok(fraction) if (0.0..=1.0).contains(&fraction) => {
                Ok(MemoryWatermark::Relative(fraction))
            }
            Ok(_) => Err(bad_argument(
                ": The threshold should be a fraction between 0.0 and 1.0",
            )),
            Err(_) => Err(bad_argument(".")),
        },
        _ => Err(usage("too many arguments.")),
    }
}

/// Reads `50MB`, or `mem_relative 1.5`.
fn disk_free_limit(arguments: &[String]) -> Result<DiskFreeLimit, Invalid> {
    let limit = match arguments {
        [word] if word == "mem_relative" => return Err(usage("not enough arguments.")),
        [word, _] if word != "mem_relative" => return Err(usage("too many arguments.")),
        words => words.join(" "),
    };
    // Other than in the configuration, a small number without a unit means bytes, as in rabbitmqctl.
    let limit = match limit.parse() {
        Ok(ByteSize(bytes)) => Ok(DiskFreeLimit::Absolute(bytes)),
        Err(_) => limit.parse(),
    };
    limit.map_err(|_| bad_argument("."))
}
