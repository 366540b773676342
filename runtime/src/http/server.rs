//! The server: accepts, serves, and stops within a few seconds.

use std::{future::Future, net::TcpListener, pin::pin, sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::TcpStream,
    sync::{Semaphore, watch},
    task::JoinSet,
};

/// Connections at a time; further ones wait to be accepted.
const CONNECTIONS_MAX: usize = 1_024;
/// A client that has not sent its headers by then is cut off.
const HEADERS_TIMEOUT: Duration = Duration::from_secs(30);
/// How long requests may go on after the stop. A record that is waited for is not worth more.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// Serves until `stop` is ready, then lets open requests end.
///
/// # Errors
/// Where the listener is not one of this runtime.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    stop: impl Future<Output = ()>,
) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let (closing, closed) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        let accept = async {
            let slot =
                Arc::clone(&slots).acquire_owned().await.expect("the semaphore is never closed");
            (listener.accept().await, slot)
        };
        tokio::select! {
            () = &mut stop => break,
            Some(_ended) = connections.join_next(), if !connections.is_empty() => {}
            (accepted, slot) = accept => match accepted {
                Ok((stream, _)) => {
                    let connection = connection(stream, router.clone(), closed.clone());
                    connections.spawn(async move {
                        connection.await;
                        drop(slot);
                    });
                }
                Err(error) => {
                    // Out of file descriptors, mostly: some are freed as connections end.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
        }
    }
    drop(listener);
    // No receiver is left where no connection is: that is fine.
    let _none_left = closing.send(true);
    let all = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(STOP_TIMEOUT, all).await.is_err() {
        tracing::info!("requests were cut off by the stop");
    }
    Ok(())
}

async fn connection(stream: TcpStream, router: Router, mut closed: watch::Receiver<bool>) {
    // Answers are small and waited for.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADERS_TIMEOUT);
    let service = TowerToHyperService::new(router);
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
    let served = tokio::select! {
        served = &mut connection => served,
        _closing = closed.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended early");
    }
}
