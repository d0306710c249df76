//! How figures are written, on the screen and as plain text.

use crate::manage::top::{Top, TopConnection, TopQueue, TopRows};
use crate::text::escape::{Form, escaped};

use super::super::alarms::describe;

/// A column of a list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heading {
    pub(super) title: &'static str,
    /// The width in characters; the first column takes what is left.
    pub(super) width: u16,
    /// Figures are aligned to the right.
    pub(super) is_figure: bool,
}

const fn name(title: &'static str, width: u16) -> Heading {
    Heading {
        title,
        width,
        is_figure: false,
    }
}

const fn figure(title: &'static str, width: u16) -> Heading {
    Heading {
        title,
        width,
        is_figure: true,
    }
}

/// All columns of queues fit into a terminal of 80 characters.
const QUEUES: [Heading; 9] = [
    name("QUEUE", 16),
    name("VHOST", 8),
    name("TYPE", 7),
    figure("READY", 6),
    figure("UNACK", 6),
    figure("CONS", 5),
    figure("PUB/S", 7),
    figure("DLV/S", 7),
    figure("BYTES", 8),
];

const CONNECTIONS: [Heading; 9] = [
    name("CONNECTION", 16),
    name("PEER", 21),
    name("USER", 8),
    name("VHOST", 8),
    name("STATE", 8),
    figure("CHANS", 5),
    figure("IN/S", 8),
    figure("OUT/S", 8),
    figure("PENDING", 8),
];

/// Returns the columns of a list.
pub(super) fn headings(rows: &TopRows) -> &'static [Heading] {
    match rows {
        TopRows::Queues(_) => &QUEUES,
        TopRows::Connections(_) => &CONNECTIONS,
    }
}

/// Returns the cells of a list, row by row. What clients have chosen is escaped.
pub(super) fn cells(rows: &TopRows) -> Vec<Vec<String>> {
    match rows {
        TopRows::Queues(queues) => queues.iter().map(queue).collect(),
        TopRows::Connections(connections) => connections.iter().map(connection).collect(),
    }
}

fn queue(queue: &TopQueue) -> Vec<String> {
    vec![
        escape(&queue.name),
        escape(&queue.vhost),
        queue.r#type.clone(),
        count(queue.messages_ready),
        count(queue.messages_unacknowledged),
        count(queue.consumers),
        rate(queue.publish_rate),
        rate(queue.deliver_rate),
        bytes(queue.message_bytes),
    ]
}

fn connection(connection: &TopConnection) -> Vec<String> {
    vec![
        escape(&connection.name),
        connection.peer.clone(),
        escape(&connection.user),
        escape(&connection.vhost),
        connection.state.clone(),
        count(connection.channels),
        size(connection.recv_rate),
        size(connection.send_rate),
        bytes(connection.send_pend),
    ]
}

/// Returns the lines above the list: the node, and what happens on it.
pub(super) fn glance(top: &Top) -> [String; 3] {
    let (status, activity) = (&top.status, &top.activity);
    let disk = status
        .disk_free
        .map(|free| format!(", disk {} free", bytes(free)));
    [
        format!(
            "Leveret {}, up {}, pid {}, memory {} of {}{}, file descriptors {} of {}",
            status.version,
            uptime(status.uptime),
            status.pid,
            bytes(status.memory),
            bytes(status.memory_limit),
            disk.unwrap_or_default(),
            status.file_descriptors,
            status.file_descriptors_limit,
        ),
        format!(
            "{} ready, {} unacked; {}/s published, {}/s delivered, {}/s acknowledged",
            count(activity.messages_ready),
            count(activity.messages_unacknowledged),
            rate(activity.publish_rate),
            rate(activity.deliver_rate),
            rate(activity.ack_rate),
        ),
        format!(
            "{}, {}, {}, {}",
            several(status.connections, "connection"),
            several(status.queues, "queue"),
            several(activity.consumers, "consumer"),
            several(status.vhosts, "virtual host"),
        ),
    ]
}

/// Returns the alarms in force; `None` if there are none.
pub(super) fn alarms(top: &Top) -> Option<String> {
    let alarms = &top.status.alarms;
    let described: Vec<&str> = alarms.iter().map(|alarm| describe(*alarm)).collect();
    (!described.is_empty()).then(|| format!("ALARM: {}", described.join(", ")))
}

/// Returns everything as lines, each column as wide as its widest cell.
pub(super) fn plain(top: &Top) -> String {
    let headings = headings(&top.rows);
    let mut rows = vec![headings.iter().map(|each| each.title.to_owned()).collect()];
    rows.extend(cells(&top.rows));
    let length = |cell: &String| cell.chars().count();
    let width = |at: usize| rows.iter().map(|row: &Vec<String>| length(&row[at])).max();
    let widths: Vec<usize> = (0..headings.len())
        .map(|at| width(at).unwrap_or(0))
        .collect();
    let mut lines: Vec<String> = glance(top).into();
    lines.extend(alarms(top));
    lines.push(String::new());
    for row in &rows {
        let cells = row.iter().zip(headings).zip(&widths);
        let padded = cells.map(|((cell, heading), width)| match heading.is_figure {
            true => format!("{cell:>width$}"),
            false => format!("{cell:<width$}"),
        });
        let line = padded.collect::<Vec<_>>().join("  ");
        lines.push(line.trim_end().to_owned());
    }
    lines.join("\n") + "\n"
}

pub(super) fn escape(text: &str) -> String {
    escaped(text, Form::Line).into_owned()
}

fn uptime(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, _, _) => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

fn several(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", count(number))
}

/// Writes a number exactly up to five digits, and shorter beyond.
pub(super) fn count(count: u64) -> String {
    if count < 100_000 {
        return count.to_string();
    }
    #[allow(clippy::cast_precision_loss, reason = "shown to three digits")]
    short(count as f64)
}

fn bytes(bytes: u64) -> String {
    #[allow(clippy::cast_precision_loss, reason = "shown to three digits")]
    size(bytes as f64)
}

fn size(bytes: f64) -> String {
    let short = short(bytes);
    match short.contains(' ') {
        true => short + "B",
        false => short + " B",
    }
}

fn rate(rate: f64) -> String {
    short(rate)
}

/// Writes a figure with three digits and a decimal prefix: `0`, `12.5`, `640 k`, `6.12 M`.
fn short(value: f64) -> String {
    let (mut value, mut prefixes) = (value.max(0.0), [" ", " k", " M", " G", " T", " P"].iter());
    let mut prefix = prefixes.next().copied().unwrap_or_default();
    // 999.5 would be shown as 1000.
    while value >= 999.5
        && let Some(next) = prefixes.next()
    {
        value /= 1000.0;
        prefix = next;
    }
    let places = match value {
        _ if value == 0.0 || value >= 99.95 => 0,
        _ if value >= 9.995 => 1,
        _ => 2,
    };
    let number = format!("{value:.places$}");
    let number = match number.contains('.') {
        true => number.trim_end_matches('0').trim_end_matches('.'),
        false => &number,
    };
    format!("{number}{}", prefix.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits() {
        let cases = [
            (0.0, "0"),
            (0.2, "0.2"),
            (5.0, "5"),
            (12.55, "12.6"),
            (640.4, "640"),
            (999.4, "999"),
            (999.6, "1 k"),
            (6_123_456.0, "6.12 M"),
            (1e18, "1000 P"),
        ];
        for (value, written) in cases {
            assert_eq!(short(value), written);
        }
        assert_eq!(count(99_999), "99999");
        assert_eq!(count(100_000), "100 k");
    }

    #[test]
    fn sizes_have_a_unit() {
        assert_eq!([0, 999, 2_500_000].map(bytes), ["0 B", "999 B", "2.5 MB"]);
    }

    #[test]
    fn the_time_since_the_start_has_two_units() {
        let times = [59, 60, 3_725, 90_000].map(uptime);
        assert_eq!(times, ["59 s", "1 min", "1 h 2 min", "1 d 1 h"]);
    }
}
