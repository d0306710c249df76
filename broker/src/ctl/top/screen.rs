//! The layout of the live view.

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Row, Table};

use crate::manage::top::Top;

use super::choice::Choice;
use super::text::{self, Heading};

/// The lines that are no rows of the list: the node's, one for alarms and problems, the orders, the columns' titles, the
/// filter and the keys.
const OTHER_LINES: u16 = 8;

/// Returns how many rows of a list a screen of this height shows.
pub(super) fn rows(height: u16) -> usize {
    usize::from(height.saturating_sub(OTHER_LINES)).max(1)
}

/// Draws the whole screen.
pub(super) fn draw(frame: &mut Frame<'_>, choice: &Choice, top: &Top, problem: Option<&str>) {
    let [glance, notice, orders, list, filter, keys] = Layout::vertical([
        Constraint::Length(3),
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Min(2),
        Constraint::Length(1),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    let lines: Vec<Line<'_>> = text::glance(top).into_iter().map(Line::from).collect();
    frame.render_widget(ratatui::text::Text::from(lines), glance);
    let problem =
        problem.map(|problem| format!("no answer, trying again: {}", text::escape(problem)));
    if let Some(text) = problem.or_else(|| text::alarms(top)) {
        let style = Style::new().add_modifier(Modifier::BOLD | Modifier::REVERSED);
        frame.render_widget(Line::styled(text, style), notice);
    }
    frame.render_widget(order_line(choice), orders);
    frame.render_widget(table(choice, top), list);
    frame.render_widget(filter_line(choice, top), filter);
    let help = "Tab queues/connections   \u{2190} \u{2192} order   \u{2191} \u{2193} scroll   type to filter   Esc quit";
    frame.render_widget(
        Line::styled(help, Style::new().add_modifier(Modifier::DIM)),
        keys,
    );
}

fn order_line(choice: &Choice) -> Line<'static> {
    let mut spans = vec![Span::raw("order: ")];
    for (at, key) in choice.keys().into_iter().enumerate() {
        let style = match at == choice.chosen() {
            true => Style::new().add_modifier(Modifier::REVERSED),
            false => Style::new(),
        };
        spans.push(Span::styled(key, style));
        spans.push(Span::raw(" "));
    }
    Line::from(spans)
}

fn filter_line(choice: &Choice, top: &Top) -> Line<'static> {
    let all = text::count(top.matching);
    let of = match choice.offset() {
        0 => all,
        above => format!("{all}, after the first {above}"),
    };
    match choice.filter() {
        "" => Line::from(of),
        filter => Line::from(format!("filter: {}_   {of}", text::escape(filter))),
    }
}

fn table<'a>(choice: &Choice, top: &Top) -> Table<'a> {
    let headings = text::headings(&top.rows);
    let aligned = |heading: &Heading, text: String| {
        let line = Line::from(text);
        Cell::from(match heading.is_figure {
            true => line.alignment(Alignment::Right),
            false => line,
        })
    };
    let titles = headings
        .iter()
        .map(|each| aligned(each, each.title.to_owned()));
    let rows = text::cells(&top.rows).into_iter().skip(choice.offset());
    let rows = rows.map(|cells| {
        let cells = cells.into_iter().zip(headings);
        Row::new(cells.map(|(cell, heading)| aligned(heading, cell)))
    });
    let widths = headings.iter().enumerate().map(|(at, heading)| match at {
        0 => Constraint::Min(heading.width),
        _ => Constraint::Length(heading.width),
    });
    let bold = Style::new().add_modifier(Modifier::BOLD);
    Table::new(rows, widths).header(Row::new(titles).style(bold))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ctl::tests::listings::status;
    use crate::manage::top::{Activity, TopQueue, TopRows};
    use crate::plumbing::alarms::Resource;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

    fn queue(name: &str, ready: u64) -> TopQueue {
        TopQueue {
            name: name.to_owned(),
            vhost: "/".to_owned(),
            r#type: "classic".to_owned(),
            messages_ready: ready,
            messages_unacknowledged: 0,
            message_bytes: 2_500_000,
            consumers: 1,
            publish_rate: 1234.0,
            deliver_rate: 0.2,
            ack_rate: 0.0,
        }
    }

    fn screen(choice: &Choice, top: &Top, problem: Option<&str>, size: (u16, u16)) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(size.0, size.1)).unwrap();
        terminal
            .draw(|frame| draw(frame, choice, top, problem))
            .unwrap();
        let buffer = terminal.backend().buffer();
        let rows = buffer.content.chunks(usize::from(size.0));
        rows.map(|row| {
            row.iter()
                .map(ratatui::buffer::Cell::symbol)
                .collect::<String>()
        })
        .map(|line| line.trim_end().to_owned())
        .collect()
    }

    #[test]
    fn the_screen_has_the_node_the_list_and_the_keys_and_alarms_stand_out() {
        let queues = vec![queue("orders\u{1b}[2J", 7), queue("mails", 3)];
        let mut top = Top {
            status: status(),
            activity: Activity::default(),
            matching: 2,
            rows: TopRows::Queues(queues),
        };
        let mut choice = Choice::parse(None, Some("ready"), "").unwrap();
        let lines = screen(&choice, &top, None, (110, 14));
        assert!(lines[0].starts_with("Leveret "), "{lines:#?}");
        assert_eq!(lines[3], "");
        assert_eq!(lines[4], "order: rate ready unacked consumers bytes name");
        assert!(
            lines[5].starts_with("QUEUE") && lines[5].ends_with("BYTES"),
            "{lines:#?}"
        );
        assert!(lines[6].starts_with("orders\\u{1b}[2J"), "{lines:#?}");
        assert!(lines[6].ends_with("1.23 k     0.2   2.5 MB"), "{lines:#?}");
        assert!(lines[7].starts_with("mails"), "{lines:#?}");
        assert_eq!(lines[12], "2");
        assert!(
            lines[13].starts_with("Tab queues/connections"),
            "{lines:#?}"
        );

        top.status.alarms = vec![Resource::Memory];
        choice.press(KeyEvent::new(KeyCode::Down, KeyModifiers::NONE));
        let lines = screen(&choice, &top, None, (110, 14));
        assert!(lines[3].starts_with("ALARM: "), "{lines:#?}");
        assert!(lines[6].starts_with("mails"), "{lines:#?}");
        assert_eq!(lines[12], "2, after the first 1");
        let lines = screen(&choice, &top, Some("gone"), (110, 14));
        assert_eq!(lines[3], "no answer, trying again: gone");
    }

    #[test]
    fn a_tiny_terminal_is_no_reason_to_panic() {
        let top = Top {
            status: status(),
            activity: Activity::default(),
            matching: 1,
            rows: TopRows::Queues(vec![queue("q", 1)]),
        };
        let choice = Choice::parse(None, None, "").unwrap();
        for width in [1, 5, 40] {
            for height in 1..12 {
                screen(&choice, &top, None, (width, height));
            }
        }
        assert_eq!((rows(0), rows(8), rows(24)), (1, 1, 16));
    }
}
