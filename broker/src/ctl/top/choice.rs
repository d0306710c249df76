//! What the user wants to see, and the keys that change it.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::manage::top::{Top, TopConnectionKey, TopList, TopQueueKey, TopRows};

/// The maximum length of a filter in characters: names are not longer.
const FILTER_MAX: usize = 255;

/// The orders of queues, as `--sort` names them.
const QUEUE_KEYS: [(&str, TopQueueKey); 6] = [
    ("rate", TopQueueKey::Rate),
    ("ready", TopQueueKey::Ready),
    ("unacked", TopQueueKey::Unacked),
    ("consumers", TopQueueKey::Consumers),
    ("bytes", TopQueueKey::Bytes),
    ("name", TopQueueKey::Name),
];

/// The orders of connections, as `--sort` names them.
const CONNECTION_KEYS: [(&str, TopConnectionKey); 5] = [
    ("rate", TopConnectionKey::Rate),
    ("channels", TopConnectionKey::Channels),
    ("pending", TopConnectionKey::Pending),
    ("user", TopConnectionKey::User),
    ("name", TopConnectionKey::Name),
];

/// Which list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum View {
    Queues,
    Connections,
}

/// What the user wants to see.
#[derive(Clone, Debug)]
pub(super) struct Choice {
    view: View,
    /// The places of the chosen orders.
    queue_key: usize,
    connection_key: usize,
    filter: String,
    /// The number of rows above the screen.
    offset: usize,
}

/// What a key did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pressed {
    Nothing,
    Changed,
    Suspend,
    Quit,
}

impl Choice {
    /// Returns the choice of a command line.
    ///
    /// # Errors
    /// A text for the user if there is no such list or order.
    pub(super) fn parse(
        list: Option<&str>,
        sort: Option<&str>,
        filter: &str,
    ) -> Result<Self, String> {
        let view = match list {
            None | Some("queues") => View::Queues,
            Some("connections") => View::Connections,
            Some(other) => return Err(format!("top shows queues or connections, not '{other}'")),
        };
        let mut choice = Choice {
            view,
            queue_key: 0,
            connection_key: 0,
            filter: filter.chars().take(FILTER_MAX).collect(),
            offset: 0,
        };
        if let Some(sort) = sort {
            let keys = choice.keys();
            let Some(at) = keys.iter().position(|key| *key == sort) else {
                let keys = keys.join(", ");
                return Err(format!("--sort must be one of {keys}, not '{sort}'"));
            };
            *choice.key() = at;
        }
        Ok(choice)
    }

    /// Returns what to ask the broker for.
    pub(super) fn list(&self) -> TopList {
        match self.view {
            View::Queues => TopList::Queues(QUEUE_KEYS[self.queue_key].1),
            View::Connections => TopList::Connections(CONNECTION_KEYS[self.connection_key].1),
        }
    }

    pub(super) fn filter(&self) -> &str {
        &self.filter
    }

    pub(super) fn offset(&self) -> usize {
        self.offset
    }

    /// Returns how many rows are needed to fill a screen with so many.
    pub(super) fn wants(&self, rows: usize) -> usize {
        self.offset + rows
    }

    /// Scrolls back if there are fewer rows than were scrolled over.
    pub(super) fn stay_within(&mut self, top: &Top, rows: usize) {
        let arrived = match &top.rows {
            TopRows::Queues(queues) => queues.len(),
            TopRows::Connections(connections) => connections.len(),
        };
        self.offset = self.offset.min(arrived.saturating_sub(rows));
    }

    /// Returns the names of the orders.
    pub(super) fn keys(&self) -> Vec<&'static str> {
        match self.view {
            View::Queues => QUEUE_KEYS.iter().map(|(name, _)| *name).collect(),
            View::Connections => CONNECTION_KEYS.iter().map(|(name, _)| *name).collect(),
        }
    }

    /// Returns the place of the chosen order among them.
    pub(super) fn chosen(&self) -> usize {
        match self.view {
            View::Queues => self.queue_key,
            View::Connections => self.connection_key,
        }
    }

    fn key(&mut self) -> &mut usize {
        match self.view {
            View::Queues => &mut self.queue_key,
            View::Connections => &mut self.connection_key,
        }
    }

    /// Does what a key stands for. Characters are the filter, so commands are other keys.
    pub(super) fn press(&mut self, key: KeyEvent) -> Pressed {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c') if control => return Pressed::Quit,
            KeyCode::Char('z') if control => return Pressed::Suspend,
            KeyCode::Char('u') if control => self.filter.clear(),
            KeyCode::Char(c) if !control && self.filter.chars().count() < FILTER_MAX => {
                self.filter.push(c);
            }
            KeyCode::Backspace => drop(self.filter.pop()),
            KeyCode::Esc if self.filter.is_empty() => return Pressed::Quit,
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Tab | KeyCode::BackTab => {
                self.view = match self.view {
                    View::Queues => View::Connections,
                    View::Connections => View::Queues,
                };
            }
            KeyCode::Left | KeyCode::Right => {
                let count = self.keys().len();
                let step = if key.code == KeyCode::Right {
                    1
                } else {
                    count - 1
                };
                *self.key() = (self.chosen() + step) % count;
            }
            KeyCode::Up => return self.scroll(self.offset.saturating_sub(1)),
            KeyCode::Down => return self.scroll(self.offset.saturating_add(1)),
            KeyCode::PageUp => return self.scroll(self.offset.saturating_sub(10)),
            KeyCode::PageDown => return self.scroll(self.offset.saturating_add(10)),
            KeyCode::Home => return self.scroll(0),
            _ => return Pressed::Nothing,
        }
        // Another list starts at its beginning.
        self.offset = 0;
        Pressed::Changed
    }

    fn scroll(&mut self, offset: usize) -> Pressed {
        self.offset = offset;
        Pressed::Changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(choice: &mut Choice, keys: &[KeyCode]) -> Vec<Pressed> {
        let press = |code: &KeyCode| choice.press(KeyEvent::new(*code, KeyModifiers::NONE));
        keys.iter().map(press).collect()
    }

    #[test]
    fn a_command_line_chooses_list_and_order() {
        let choice = Choice::parse(Some("connections"), Some("user"), "").unwrap();
        assert_eq!(choice.list(), TopList::Connections(TopConnectionKey::User));
        let choice = Choice::parse(None, None, "orders").unwrap();
        assert_eq!(choice.list(), TopList::Queues(TopQueueKey::Rate));
        assert_eq!(choice.filter(), "orders");
        assert_eq!(
            Choice::parse(None, Some("user"), "").unwrap_err(),
            "--sort must be one of rate, ready, unacked, consumers, bytes, name, not 'user'"
        );
        assert_eq!(
            Choice::parse(Some("channels"), None, "").unwrap_err(),
            "top shows queues or connections, not 'channels'"
        );
    }

    #[test]
    fn typing_filters_and_escape_first_clears_then_quits() {
        let mut choice = Choice::parse(None, None, "").unwrap();
        let typed = [KeyCode::Char('q'), KeyCode::Char('1'), KeyCode::Backspace];
        assert_eq!(press(&mut choice, &typed), [Pressed::Changed; 3]);
        assert_eq!(choice.filter(), "q");
        let escapes = press(&mut choice, &[KeyCode::Esc, KeyCode::Esc]);
        assert_eq!(escapes, [Pressed::Changed, Pressed::Quit]);
        let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(choice.press(interrupt), Pressed::Quit);
    }

    #[test]
    fn arrows_change_the_order_of_each_list_and_scroll() {
        let mut choice = Choice::parse(None, None, "").unwrap();
        press(&mut choice, &[KeyCode::Left]);
        assert_eq!(choice.list(), TopList::Queues(TopQueueKey::Name));
        press(&mut choice, &[KeyCode::Right, KeyCode::Right, KeyCode::Tab]);
        assert_eq!(choice.list(), TopList::Connections(TopConnectionKey::Rate));
        press(&mut choice, &[KeyCode::Tab, KeyCode::PageDown, KeyCode::Up]);
        assert_eq!(choice.list(), TopList::Queues(TopQueueKey::Ready));
        assert_eq!((choice.offset(), choice.wants(5)), (9, 14));
        press(&mut choice, &[KeyCode::Char('x')]);
        assert_eq!(choice.offset(), 0);
    }
}
