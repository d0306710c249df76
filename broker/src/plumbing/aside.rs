//! Threads for administrators: they list, sort, compress and write what may be large, and no AMQP connection waits for
//! them. Both have threads of their own, so that the kernel shares the processor among them.

use parking_lot::Mutex;
use std::io;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

/// Threads that serve connections.
const THREADS: usize = 2;
/// Threads for what waits or takes long. Whoever uses them bounds how many at a time; further work waits for a thread.
const BLOCKING_THREADS: usize = 128;

/// Tasks after which a thread looks for new input: they may take milliseconds each.
const LOOK_INTERVAL: u32 = 2;

/// A runtime apart from that of the AMQP connections. It starts with its first task: a broker that nobody administers
/// does without its threads.
#[derive(Debug, Default)]
pub struct Aside(Mutex<Option<Runtime>>);

impl Aside {
    /// Runs a task there.
    ///
    /// # Errors
    /// When the threads cannot be started.
    pub fn spawn<F>(&self, task: F) -> io::Result<JoinHandle<F::Output>>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let mut runtime = self.0.lock();
        let runtime = match &mut *runtime {
            Some(runtime) => runtime,
            none => none.insert(
                Builder::new_multi_thread()
                    .worker_threads(THREADS)
                    .max_blocking_threads(BLOCKING_THREADS)
                    .thread_name("management")
                    .event_interval(LOOK_INTERVAL)
                    .global_queue_interval(LOOK_INTERVAL)
                    .enable_all()
                    .build()?,
            ),
        };
        Ok(runtime.spawn(task))
    }
}

impl Drop for Aside {
    /// Ends all tasks, and waits for none: this may be on a thread that must not block.
    fn drop(&mut self) {
        if let Some(runtime) = self.0.get_mut().take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_blocks_there_holds_up_nothing_here() {
        let here = Builder::new_current_thread().enable_all().build().unwrap();
        here.block_on(async {
            let aside = Aside::default();
            assert!(aside.0.lock().is_none(), "nobody asked for it");
            let (sender, blocked) = std::sync::mpsc::channel::<()>();
            let task = aside.spawn(async move {
                // Until the other side is dropped.
                let _ = blocked.recv();
                std::thread::current().name().map(str::to_owned)
            });
            tokio::time::sleep(Duration::from_millis(10)).await;
            drop(sender);
            let name = task.unwrap().await.unwrap();
            assert_eq!(name.as_deref(), Some("management"));
            // In a task, where a runtime must not be dropped otherwise.
            drop(aside);
        });
    }
}
