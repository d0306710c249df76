//! The log: the format of its lines, and its filter.
//!
//! In both formats, everything in a line passes through one place that escapes line ends and terminal
//! control sequences, because clients choose many of the names in it, some before they log in.

use crate::config::{Config, LogFilter, LogFormat};
use crate::text::escape::{Escaped, Form};
use std::fmt;
use std::io::IsTerminal;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{
    Format, FormatEvent, FormatFields, Json, JsonFields, Writer,
};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, SubscriberBuilder};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::reload;

/// Changes the log filter while the broker runs.
pub struct LogLevel(Box<dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync>);

impl fmt::Debug for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LogLevel").finish()
    }
}

impl LogLevel {
    /// Returns a level that `set` changes.
    #[cfg(test)]
    pub(crate) fn new(set: impl Fn(EnvFilter) + Send + Sync + 'static) -> Self {
        LogLevel(Box::new(move |filter| {
            set(filter);
            Ok(())
        }))
    }

    /// Replaces the log filter.
    pub fn set(&self, filter: &LogFilter) {
        // The subscriber lives as long as the process.
        let _ = (self.0)(parse(filter));
    }
}

/// Reloads are always logged: whoever asked for one looks in the log for its result.
const ALWAYS_LOGGED: &str = "leveret::node::reload=info";

fn parse(filter: &LogFilter) -> EnvFilter {
    EnvFilter::builder().parse_lossy(format!("{},{ALWAYS_LOGGED}", filter.as_str()))
}

/// Starts logging to standard error.
pub fn start(config: &Config) -> LogLevel {
    let builder = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        // Standard error may be a closed pipe: complaining about that there would panic at the
        // call site.
        .log_internal_errors(false);
    match config.log_format {
        LogFormat::Json => {
            let builder = builder.fmt_fields(JsonFields::new());
            init(
                builder.event_format(JsonLine(Format::default().json())),
                config,
            )
        }
        LogFormat::Text => {
            let ansi = std::io::stderr().is_terminal();
            init(builder.with_ansi(ansi).event_format(TextLine), config)
        }
    }
}

fn init<N, E, W>(
    builder: SubscriberBuilder<N, E, tracing::level_filters::LevelFilter, W>,
    config: &Config,
) -> LogLevel
where
    N: for<'w> FormatFields<'w> + Send + Sync + 'static,
    E: FormatEvent<tracing_subscriber::Registry, N> + Send + Sync + 'static,
    W: for<'w> tracing_subscriber::fmt::MakeWriter<'w> + Send + Sync + 'static,
{
    let builder = builder
        .with_env_filter(parse(&config.log_level))
        .with_filter_reloading();
    let handle = builder.reload_handle();
    builder.init();
    LogLevel(Box::new(move |filter| handle.reload(filter)))
}

/// A line of text: time, level, message and fields.
struct TextLine;

impl<S, N> FormatEvent<S, N> for TextLine
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(
        &self,
        ctx: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let level = *event.metadata().level();
        if writer.has_ansi_escapes() {
            writer.write_str("\u{1b}[2m")?;
            SystemTime.format_time(&mut writer)?;
            write!(
                writer,
                "\u{1b}[0m \u{1b}[{}m{level:>5}\u{1b}[0m ",
                colour(level)
            )?;
        } else {
            SystemTime.format_time(&mut writer)?;
            write!(writer, " {level:>5} ")?;
        }
        let mut escaped = Escaped::new(&mut writer, Form::Line);
        ctx.field_format()
            .format_fields(Writer::new(&mut escaped), event)?;
        writeln!(writer)
    }
}

/// Returns the terminal's colour code for a level.
fn colour(level: Level) -> u8 {
    match level {
        Level::ERROR => 31,
        Level::WARN => 33,
        Level::INFO => 32,
        Level::DEBUG => 34,
        Level::TRACE => 35,
    }
}

/// A JSON object.
struct JsonLine(Format<Json>);

impl<S, N> FormatEvent<S, N> for JsonLine
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(
        &self,
        ctx: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut escaped = Escaped::new(&mut writer, Form::Json);
        self.0.format_event(ctx, Writer::new(&mut escaped), event)
    }
}
