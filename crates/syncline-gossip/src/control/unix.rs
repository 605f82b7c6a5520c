//! Control by a socket in the file system.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::debug;

use super::{Client, ControlError, ControlServer};
use crate::random;

/// A socket at which a replica answers tools.
///
/// Dropping it ends it and its connections, and takes the socket away; [`close`](Self::close) waits until they have.
#[derive(Debug)]
pub struct UnixControl {
    path: PathBuf,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// Answers tools at a socket of this path, in place of what was there. Only this user can open it: it has mode 0600 before it
/// gets its name.
///
/// # Errors
///
/// As the file system's; [`InvalidInput`](io::ErrorKind::InvalidInput) if the path is too long for a socket, which is about
/// 90 bytes.
///
/// # Panics
///
/// Outside a tokio runtime.
pub fn serve_unix(path: &Path, server: ControlServer) -> io::Result<UnixControl> {
    let listener = bind(path)?;
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    let places = Arc::new(Semaphore::new(server.limits().connections));
    tasks.spawn(accept(listener, server, places, tasks.clone(), stop.clone()));
    Ok(UnixControl { path: path.to_owned(), stop, tasks })
}

/// Connects to such a socket.
///
/// # Errors
///
/// [`ControlError`].
pub async fn connect_unix(path: &Path) -> Result<Client<UnixStream>, ControlError> {
    Client::open(UnixStream::connect(path).await?).await
}

impl UnixControl {
    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Ends it and its connections.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves it ending.
    pub async fn close(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for UnixControl {
    fn drop(&mut self) {
        self.stop.cancel();
        // Somebody may have taken it away already.
        let _ = fs::remove_file(&self.path);
    }
}

/// Binds in a folder that only this user can enter, so that nobody connects before the mode is set, and then moves the socket.
fn bind(path: &Path) -> io::Result<UnixListener> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let private = folder.join(format!(".ctl{:08x}", random::number() & 0xffff_ffff));
    fs::DirBuilder::new().mode(0o700).create(&private)?;
    let made = private.join("s");
    let bound = UnixListener::bind(&made).and_then(|listener| {
        fs::set_permissions(&made, Permissions::from_mode(0o600))?;
        fs::rename(&made, path)?;
        Ok(listener)
    });
    if bound.is_err() {
        let _ = fs::remove_file(&made);
    }
    let _ = fs::remove_dir(&private);
    bound
}

async fn accept(
    listener: UnixListener,
    server: ControlServer,
    places: Arc<Semaphore>,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            () = stop.cancelled() => return,
            next = next => next,
        };
        // The semaphore is never closed.
        let Ok(place) = place else { return };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            continue;
        };
        let (server, stop) = (server.clone(), stop.clone());
        tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                served = server.serve(stream) => if let Err(err) = served {
                    debug!(error = &err as &dyn std::error::Error, "a control connection ended");
                }
            }
            drop(place);
        });
    }
}
