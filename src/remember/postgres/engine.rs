//! The store's own thread and runtime: its futures complete on any executor, and a thread may park on them anywhere.

use std::future::Future;
use std::thread;

use futures_channel::oneshot;
use tokio::runtime::{Builder, Handle};

use crate::remember::store::Error;

/// A thread that drives all connections of one handle. It ends when this is dropped, without being waited for.
pub(super) struct Engine {
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
}

impl Engine {
    pub(super) fn start() -> Result<Self, Error> {
        let failed = |source: std::io::Error| Error::Backend {
            action: "cannot start the store's thread",
            source: Box::new(source),
        };
        let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let run = move || {
            // Told to stop, or the handle is gone: the same.
            let (Ok(()) | Err(oneshot::Canceled)) = runtime.block_on(stopped);
            runtime.shutdown_background();
        };
        thread::Builder::new().name(String::from("unattended-postgres")).spawn(run).map_err(failed)?;
        Ok(Self { handle, stop: Some(stop) })
    }

    /// Drives `work` there, to its end even if nobody waits for it.
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.handle.spawn(work);
    }

    /// The same, and gives its answer.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        self.spawn(async move { drop(reply.send(work.await)) });
        answer.await.unwrap_or(Err(Error::Closed))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Dropped it says the same.
        self.stop = None;
    }
}
