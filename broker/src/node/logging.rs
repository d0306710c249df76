//! The log: the format of its lines, and its filter.
//!
//! In both formats, everything in a line passes through one place that escapes line ends and terminal
//! control sequences, because clients choose many of the names in it, some before they log in.

use crate::config::{Config, LogFilter, LogFormat};
use crate::plumbing::log::{LineWriter, Log};
use crate::text::escape::{Escaped, Form};
use std::fmt;
use std::io::IsTerminal;
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{
    Format, FormatEvent, FormatFields, Json, JsonFields, Writer,
};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, SubscriberBuilder};
use tracing_subscriber::registry::LookupSpan;

/// What is logged at every level: reloads, because whoever asked for one looks in the log for its result, and what concerns
/// the log itself.
const ALWAYS_LOGGED: &str = "leveret::node::reload=info,leveret::plumbing::log=info";

fn parse(filter: &LogFilter) -> EnvFilter {
    EnvFilter::builder().parse_lossy(format!("{},{ALWAYS_LOGGED}", filter.directives()))
}

/// Starts logging.
pub fn start(config: &Config) -> Log {
    let log = Log::default();
    let builder = tracing_subscriber::fmt()
        .with_writer(log.writer())
        .with_ansi(false)
        .log_internal_errors(false);
    match config.log_format {
        LogFormat::Json => {
            let builder = builder.fmt_fields(JsonFields::new());
            let format = JsonLine(Format::default().json());
            init(builder.event_format(format), config, &log);
        }
        LogFormat::Text => init(builder.event_format(TextLine), config, &log),
    }
    let colours = config.log_format == LogFormat::Text && std::io::stderr().is_terminal();
    log.start(config, colours);
    log_panics();
    log
}

/// Prints warnings to standard error, for a check that is not a start: the log file is left alone.
pub fn start_plain() {
    let builder = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_max_level(tracing::Level::WARN)
        .event_format(PlainLine);
    // There is another subscriber only in tests.
    let _ = builder.try_init();
}

fn init<N, E>(builder: SubscriberBuilder<N, E, LevelFilter, LineWriter>, config: &Config, log: &Log)
where
    N: for<'w> FormatFields<'w> + Send + Sync + 'static,
    E: FormatEvent<tracing_subscriber::Registry, N> + Send + Sync + 'static,
{
    let builder = builder
        .with_env_filter(parse(&config.log_level))
        .with_filter_reloading();
    let handle = builder.reload_handle();
    builder.init();
    log.control_filter(config.log_level.clone(), move |filter| {
        // The subscriber lives as long as the process.
        let _ = handle.reload(parse(filter));
    });
}

/// Logs panics, which otherwise are on standard error only.
fn log_panics() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let thread = std::thread::current();
        let payload = panic.payload();
        let text = payload.downcast_ref::<&str>().copied();
        let reason = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        tracing::error!(
            thread = thread.name(),
            at = panic.location().map(tracing::field::display),
            "a thread panicked: {}",
            reason.unwrap_or("for an unknown reason")
        );
        print(panic);
    }));
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
        SystemTime.format_time(&mut writer)?;
        write!(writer, " {:>5} ", event.metadata().level())?;
        let mut escaped = Escaped::new(&mut writer, Form::Line);
        ctx.field_format()
            .format_fields(Writer::new(&mut escaped), event)?;
        writeln!(writer)
    }
}

/// A line of text without the time.
struct PlainLine;

impl<S, N> FormatEvent<S, N> for PlainLine
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
        write!(writer, "leveret: warning: ")?;
        let mut escaped = Escaped::new(&mut writer, Form::Line);
        ctx.field_format()
            .format_fields(Writer::new(&mut escaped), event)?;
        writeln!(writer)
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
