//! How much memory is available: the machine's, or less if a control group limits it.

use std::path::Path;
use std::sync::OnceLock;

/// Assumed if the system does not tell (RabbitMQ: the same).
const UNKNOWN: u64 = 1 << 30;

/// Returns the memory available to this process, in bytes. Read once: machines and containers
/// rarely grow while a broker runs, and a restart notices.
pub fn total_memory() -> u64 {
    static TOTAL: OnceLock<u64> = OnceLock::new();
    *TOTAL.get_or_init(|| {
        let read = |path: &str| std::fs::read_to_string(path).ok();
        let machine = read("/proc/meminfo").and_then(|text| machine_memory(&text));
        let groups = read("/proc/self/cgroup").unwrap_or_default();
        let group = group_limit(&groups, |path| std::fs::read_to_string(path).ok());
        let known = machine.into_iter().chain(group).min();
        known.unwrap_or(UNKNOWN)
    })
}

/// Returns `MemTotal` of /proc/meminfo.
fn machine_memory(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// Returns the lowest limit of the groups in /proc/self/cgroup and their ancestors. Inside a
/// container the names may be those outside: then only the root can be read.
fn group_limit(groups: &str, read: impl Fn(&Path) -> Option<String>) -> Option<u64> {
    let mut limits = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':');
        let (_, Some(controllers), Some(name)) = (parts.next(), parts.next(), parts.next()) else {
            continue;
        };
        let (root, file) = match controllers {
            // Version 2 has one hierarchy, without a list of controllers.
            "" => ("/sys/fs/cgroup", "memory.max"),
            list if list.split(',').any(|one| one == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => continue,
        };
        let name = Path::new(name.trim_start_matches('/'));
        for group in name.ancestors() {
            let text = read(&Path::new(root).join(group).join(file));
            // "max" means no limit, and version 1's number for it exceeds any machine.
            limits.extend(text.and_then(|text| text.trim().parse::<u64>().ok()));
        }
    }
    limits.into_iter().min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_has_what_meminfo_says() {
        let text = "MemTotal:       24684100 kB\nMemFree:         1000 kB\n";
        assert_eq!(machine_memory(text), Some(24_684_100 * 1024));
        assert_eq!(machine_memory("nothing"), None);
    }

    #[test]
    fn the_lowest_limit_of_all_groups_around_counts() {
        let read = |path: &Path| match path.to_str()? {
            "/sys/fs/cgroup/a/b/memory.max" => Some("max\n".to_owned()),
            "/sys/fs/cgroup/a/memory.max" => Some("1000\n".to_owned()),
            "/sys/fs/cgroup/memory/x/memory.limit_in_bytes" => Some("700".to_owned()),
            _ => None,
        };
        assert_eq!(group_limit("0::/a/b\n", read), Some(1000));
        assert_eq!(group_limit("0::/b\n", read), None);
        assert_eq!(group_limit("5:cpu:/x\n4:memory:/x/y\n", read), Some(700));
        assert_eq!(group_limit("nonsense", read), None);
    }

    #[test]
    fn there_is_some() {
        assert!(total_memory() > 1 << 20);
        assert!(super::super::resident_memory() < total_memory());
    }
}
