//! Connections as they come in, and what each may do to the server: be too many, say nothing, or not read.
//!
//! A connection that is too many is closed at once. One that has not said what it wants within `FIRST_WORDS`, and one
//! that takes nothing of what it asked for within `STALLED`, is closed. When the system has no descriptors left, the
//! next attempt waits, instead of failing as fast as the processor can.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::stream::{self, Stream};
use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Sleep, sleep};
use tokio_util::task::AbortOnDropHandle;
use tonic::transport::server::Connected;

/// How many connections the process serves at a time: 35 kB each, when they are idle.
pub const CONNECTIONS_MAX: usize = 12_000;

/// Room for as many.
static ROOM: Semaphore = Semaphore::const_new(CONNECTIONS_MAX);

/// What a client says first comes within this time: whoever opens a connection wants something.
const FIRST_WORDS: Duration = Duration::from_secs(30);

/// The shortest beginning of a conversation: the preface of HTTP/2, or the least request line of HTTP/1 with its host.
const FIRST_BYTES: usize = 24;

/// A peer that takes nothing of what waits for it for so long is gone, or means harm.
const STALLED: Duration = Duration::from_secs(60);

/// Calls of one connection that may wait for room: with what was sent of each, they fill half its window.
const HELD_BACK_MAX: usize = 2;

/// … and workers' streams. They may fill the other half for as long as calls wait, which is seconds.
const STREAMS_HELD_BACK_MAX: usize = 2;

/// A message has come, or gone, within this time …
pub(crate) const MESSAGE_TIME_MAX: Duration = Duration::from_secs(30);

/// … and for every so many bytes a second more.
const BYTES_A_SECOND_MIN: usize = 1 << 20;

/// When the system has no room for another connection.
const REST: Duration = Duration::from_millis(100);

/// How long a message of so many bytes may take.
pub(crate) fn time_for(bytes: usize) -> Duration {
    MESSAGE_TIME_MAX + Duration::from_secs((bytes / BYTES_A_SECOND_MIN) as u64)
}

/// Accepts for ever what a listener brings, up to [`CONNECTIONS_MAX`] of all at a time.
pub fn accept(listener: TcpListener) -> impl Stream<Item = io::Result<Connection>> + Send {
    stream::unfold(listener, |listener| async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => match ROOM.try_acquire() {
                    Ok(place) => return Some((Ok(Connection::new(stream, place)), listener)),
                    Err(_) => {
                        tracing::warn!(CONNECTIONS_MAX, "too many connections: the newest is closed");
                    }
                },
                // The peer was gone already.
                Err(error) if is_of_the_peer(&error) => {}
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "no connection can be accepted");
                    sleep(REST).await;
                }
            }
        }
    })
}

fn is_of_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind as K;
    matches!(error.kind(), K::ConnectionRefused | K::ConnectionAborted | K::ConnectionReset)
}

/// How a client begins that speaks HTTP/2 from its first word (RFC 9113 §3.4); no method of HTTP/1 begins so.
const PREFACE: &[u8] = b"PRI ";

/// One connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    /// Read before anybody asked for it, to know what is spoken.
    ahead: Vec<u8>,
    peer: Peer,
    said: usize,
    /// What is waited for: the first words, or that something is taken.
    patience: Option<Pin<Box<Sleep>>>,
    silence: Option<Pin<Box<Sleep>>>,
    _place: SemaphorePermit<'static>,
}

/// The other end of a connection, to be cut off by whoever finds that it is in the way.
#[derive(Debug, Clone, Default)]
pub struct Peer(Arc<State>);

#[derive(Debug, Default)]
struct State {
    cut: AtomicBool,
    /// Calls of it whose rest is held back.
    held_back: AtomicUsize,
    /// … and workers' streams.
    streams_held_back: AtomicUsize,
    reader: AtomicWaker,
    /// Who writes may not read: HTTP/1 does not, in the middle of an answer, once its peer has said more.
    writer: AtomicWaker,
}

impl Peer {
    /// Ends the connection, whatever is under way.
    pub fn cut(&self) {
        self.0.cut.store(true, Ordering::Release);
        self.0.reader.wake();
        self.0.writer.wake();
    }

    /// Fails if it was cut off; whoever asks is woken if it is later.
    fn check(&self, who: &AtomicWaker, cx: &Context<'_>) -> io::Result<()> {
        who.register(cx.waker());
        let cut = self.0.cut.load(Ordering::Acquire);
        if cut { Err(io::Error::new(io::ErrorKind::TimedOut, "the peer was cut off")) } else { Ok(()) }
    }

    #[cfg(test)]
    pub(crate) fn is_cut(&self) -> bool {
        self.0.cut.load(Ordering::Acquire)
    }

    /// Holds a call, or a worker's stream, back, unless too many are held already: what they have sent stands in the way of
    /// all others on the same connection.
    pub(crate) fn hold_back(&self, is_stream: bool) -> Option<HeldBack> {
        let held = HeldBack { peer: self.clone(), is_stream };
        let most = if is_stream { STREAMS_HELD_BACK_MAX } else { HELD_BACK_MAX };
        (held.count().fetch_add(1, Ordering::Relaxed) < most).then_some(held)
    }

    /// Ends the connection after this time, unless the guard is dropped before.
    pub(crate) fn cut_after(&self, patience: Duration) -> Patience {
        let peer = self.clone();
        AbortOnDropHandle::new(tokio::spawn(async move {
            sleep(patience).await;
            tracing::warn!("a peer takes what it asked for too slowly: it is cut off");
            peer.cut();
        }))
    }
}

/// While it lives, a call of the peer is held back.
#[derive(Debug)]
pub(crate) struct HeldBack {
    peer: Peer,
    is_stream: bool,
}

impl HeldBack {
    /// Among which it counts.
    fn count(&self) -> &AtomicUsize {
        let State { held_back, streams_held_back, .. } = &*self.peer.0;
        if self.is_stream { streams_held_back } else { held_back }
    }
}

impl Drop for HeldBack {
    fn drop(&mut self) {
        self.count().fetch_sub(1, Ordering::Relaxed);
    }
}

/// While it lives, a peer is given so much time.
pub(crate) type Patience = AbortOnDropHandle<()>;

impl Connection {
    fn new(stream: TcpStream, place: SemaphorePermit<'static>) -> Connection {
        // Small messages, each awaited: what they wait for is the answer, not more of them.
        drop(stream.set_nodelay(true));
        let silence = Some(Box::pin(sleep(FIRST_WORDS)));
        Connection { stream, ahead: Vec::new(), peer: Peer::default(), said: 0, patience: None, silence, _place: place }
    }

    /// Hears the first words, which are read again afterwards: whether HTTP/2 is spoken. Whoever says nothing in time is
    /// hung up on.
    ///
    /// # Errors
    /// If the connection ends instead.
    pub async fn speaks_http2(&mut self) -> io::Result<bool> {
        let mut ahead = Vec::with_capacity(PREFACE.len());
        while ahead.len() < PREFACE.len() && PREFACE.starts_with(&ahead) {
            let mut byte = [0];
            if self.read(&mut byte).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            ahead.push(byte[0]);
        }
        let speaks_http2 = PREFACE == ahead;
        self.ahead = ahead;
        Ok(speaks_http2)
    }

    /// The other end of it.
    pub fn peer(&self) -> Peer {
        self.peer.clone()
    }

    fn too_slow<T>(what: &'static str) -> Poll<io::Result<T>> {
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, what)))
    }

    /// What a write came to; one that must wait waits for so long and no longer.
    fn wrote<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.patience = None;
            return written;
        }
        let patience = self.patience.get_or_insert_with(|| Box::pin(sleep(STALLED)));
        match patience.as_mut().poll(cx) {
            Poll::Ready(()) => Connection::too_slow("the peer reads nothing"),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.peer.check(&self.peer.0.reader, cx)?;
        if !self.ahead.is_empty() {
            let most = self.ahead.len().min(buf.remaining());
            buf.put_slice(&self.ahead[..most]);
            self.ahead.drain(..most);
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if let Some(silence) = &mut self.silence {
            let heard = buf.filled().len() - before;
            if read.is_pending() && silence.as_mut().poll(cx).is_ready() {
                return Connection::too_slow("the peer says nothing");
            }
            self.said += heard;
            if self.said >= FIRST_BYTES {
                self.silence = None;
            }
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.peer.check(&self.peer.0.writer, cx)?;
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.wrote(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.peer.check(&self.peer.0.writer, cx)?;
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.wrote(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.peer.check(&self.peer.0.writer, cx)?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer()
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::StreamExt as _;
    use tokio::io::AsyncWriteExt as _;
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn a_write_that_waits_and_all_after_it_fail_when_the_peer_is_cut_off() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _reads_nothing = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut connection = pin!(accept(listener)).next().await.unwrap().unwrap();
        let peer = connection.peer();
        let mut write = tokio::spawn(async move { (connection.write_all(&vec![0; 64 << 20]).await, connection) });
        assert!(timeout(Duration::from_millis(200), &mut write).await.is_err(), "nobody reads");
        peer.cut();
        let written = timeout(Duration::from_secs(5), write).await.expect("it is woken");
        let (written, mut connection) = written.unwrap();
        assert_eq!(written.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(connection.write(&[0]).await.is_err());
        assert!(connection.write_vectored(&[io::IoSlice::new(&[0])]).await.is_err());
        assert!(connection.flush().await.is_err());
    }

    #[tokio::test]
    async fn what_is_spoken_is_heard_from_the_first_words_and_none_of_them_is_lost() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let mut connections = pin!(accept(listener));
        let words: [(&[&[u8]], Option<bool>); 5] = [
            (&[b"PRI * HTTP/2.0"], Some(true)),
            (&[b"P", b"RI", b" * HTTP/2.0"], Some(true)),
            (&[b"POST / HTTP/1.1"], Some(false)),
            (&[b"GET / HTTP/1.1"], Some(false)),
            (&[b"PR"], None),
        ];
        for (words, expected) in words {
            let mut client = TcpStream::connect(addr).await.unwrap();
            client.set_nodelay(true).unwrap();
            let mut connection = connections.next().await.unwrap().unwrap();
            let heard = tokio::spawn(async move { (connection.speaks_http2().await, connection) });
            for word in words {
                client.write_all(word).await.unwrap();
                tokio::task::yield_now().await;
            }
            drop(client);
            let (heard, mut connection) = heard.await.unwrap();
            assert_eq!(heard.ok(), expected);
            if expected.is_some() {
                let mut all = Vec::new();
                connection.read_to_end(&mut all).await.unwrap();
                assert_eq!(all, words.concat());
            }
        }
    }
}
