//! Progress lines during a run, as text on standard error and as CSV.

use super::meter::{Counts, Percentiles, Shared};
use super::options::Load;
use std::fs::File;
use std::io::{self, Write};
use std::time::{Duration, Instant};

pub(super) struct Progress {
    interval: Duration,
    quiet: bool,
    file: Option<File>,
    started: Instant,
    last: (Instant, Counts),
}

const COLUMNS: &str = "seconds,published_per_second,confirmed_per_second,consumed_per_second,\
cycles_per_second,latency_p50_us,latency_p99_us,latency_max_us,confirm_p50_us,confirm_p99_us,\
confirm_max_us";

impl Progress {
    pub(super) fn new(load: &Load) -> io::Result<Self> {
        let file = load.output_file.as_ref().map(|path| {
            let mut file = File::create(path).map_err(|error| {
                crate::client::with_context(&path.display().to_string(), &error)
            })?;
            writeln!(file, "{COLUMNS}")?;
            Ok::<_, io::Error>(file)
        });
        Ok(Progress {
            interval: Duration::from_secs_f64(load.interval),
            quiet: load.quiet,
            file: file.transpose()?,
            started: Instant::now(),
            last: (Instant::now(), Counts::default()),
        })
    }

    /// Marks the start of the run.
    pub(super) fn begin(&mut self) {
        self.started = Instant::now();
        self.last.0 = self.started;
    }

    /// Writes a line if one is due.
    pub(super) fn tick(&mut self, shared: &Shared) -> io::Result<()> {
        let elapsed = self.last.0.elapsed();
        if elapsed < self.interval {
            return Ok(());
        }
        let counts = shared.counts();
        let before = self.last.1;
        let per_second = |now: u64, before: u64| (now - before) as f64 / elapsed.as_secs_f64();
        let line = Line {
            seconds: self.started.elapsed().as_secs_f64(),
            published: per_second(counts.published, before.published),
            confirmed: per_second(counts.confirmed, before.confirmed),
            consumed: per_second(counts.consumed, before.consumed),
            cycles: per_second(counts.cycles, before.cycles),
            latency: shared.latency.interval(),
            confirm_latency: shared.confirm_latency.interval(),
        };
        self.last = (Instant::now(), counts);
        if !self.quiet {
            // If standard error is closed, nobody wants to know.
            let _ = writeln!(io::stderr(), "{}", line.text());
        }
        if let Some(file) = &mut self.file {
            writeln!(file, "{}", line.csv())?;
        }
        Ok(())
    }
}

struct Line {
    seconds: f64,
    published: f64,
    confirmed: f64,
    consumed: f64,
    cycles: f64,
    latency: Option<Percentiles>,
    confirm_latency: Option<Percentiles>,
}

impl Line {
    fn text(&self) -> String {
        let mut text = format!("{:>6.1} s", self.seconds);
        for (name, rate) in [
            ("published", self.published),
            ("confirmed", self.confirmed),
            ("consumed", self.consumed),
            ("cycles", self.cycles),
        ] {
            if rate > 0.0 {
                text += &format!("  {name} {rate:.0}/s");
            }
        }
        for (name, times) in [("latency", self.latency), ("confirm", self.confirm_latency)] {
            if let Some(times) = times {
                let us = |time: u64| time as f64 / 1000.0;
                text += &format!(
                    "  {name} p50 {:.0} p99 {:.0} max {:.0} us",
                    us(times.p50),
                    us(times.p99),
                    us(times.max)
                );
            }
        }
        text
    }

    fn csv(&self) -> String {
        let mut fields = vec![format!("{:.3}", self.seconds)];
        for rate in [self.published, self.confirmed, self.consumed, self.cycles] {
            fields.push(format!("{rate:.1}"));
        }
        for times in [self.latency, self.confirm_latency] {
            let all = times.map(|times| [times.p50, times.p99, times.max]);
            for n in 0..3 {
                let time = all.map(|all| format!("{:.1}", all[n] as f64 / 1000.0));
                fields.push(time.unwrap_or_default());
            }
        }
        fields.join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_there_is_and_has_every_column() {
        let times = Percentiles {
            count: 1,
            min: 1_000,
            p50: 2_000,
            p75: 3_000,
            p95: 4_000,
            p99: 5_000,
            p999: 6_000,
            max: 7_500,
        };
        let line = Line {
            seconds: 1.0,
            published: 10.0,
            confirmed: 0.0,
            consumed: 9.5,
            cycles: 0.0,
            latency: Some(times),
            confirm_latency: None,
        };
        let text = line.text();
        assert!(text.contains("published 10/s  consumed 10/s"), "{text}");
        assert!(text.contains("latency p50 2 p99 5 max 8 us"), "{text}");
        assert!(!text.contains("confirm"), "{text}");
        assert_eq!(line.csv(), "1.000,10.0,0.0,9.5,0.0,2.0,5.0,7.5,,,");
        assert_eq!(line.csv().split(',').count(), COLUMNS.split(',').count());
    }
}
