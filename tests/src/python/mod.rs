//! Python programs under chosen versions of pika, of Celery, and at a browser.
//!
//! pika's default port is changed, and `time.sleep` is made shorter, from outside the programs,
//! by `tests/pika/site/sitecustomize.py`: so programs that connect to `localhost:5672` run
//! unmodified against a broker on any port.

mod browser;
mod celery;
mod script;
mod venv;

pub use browser::Browser;
pub use celery::Celery;
pub use script::{Script, script_folder, shared_folder};
pub use venv::Pika;
