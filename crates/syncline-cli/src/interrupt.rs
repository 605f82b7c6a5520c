//! Ends by ctrl-c, or as a service is ended.

use std::future::Future;

use crate::failure::{Code, Failure, Result};

/// Completes once the program is to end. From this call on, that does not end it by itself.
#[cfg(unix)]
pub fn wait() -> Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let failed = |err| Failure::new(Code::Failure, "signals cannot be waited for").because(err);
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Completes once the program is to end.
#[cfg(not(unix))]
pub fn wait() -> Result<impl Future<Output = ()>> {
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}
