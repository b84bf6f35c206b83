//! Asking the servers: first the one that answered last, the next one when it fails or is late.
//!
//! What failed is told apart by what may have happened to the request, since a commit is never sent again unless nothing
//! can have come of it. What may be asked twice is asked of another server as soon as one is late, without giving up what
//! is asked: a server that stands still, or waits for a leader that is gone, holds nobody up, and one that is merely slow is
//! still listened to. A commit is waited for, and given up when waiting is in vain: see [`lookout`](crate::lookout).

use crate::attempts::Attempts;
use crate::failure::{Failure, classify, is_final, worse};
use crate::limits::{AGAIN_PART, CONNECT_TIMEOUT, PAUSE, READ_TIMEOUT};
use crate::link::{Link, Slot, client, ready, unary, with_leader};
use crate::lookout::Lookout;
use crate::options::{Options, OptionsError};
use prost::Message;
use skerry_store::StoreError;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tonic::Streaming;
use tonic::codegen::http::uri::PathAndQuery;
use tonic_prost::ProstCodec;

/// The servers of one cluster.
pub(crate) struct Servers {
    pub(crate) slots: Vec<Slot>,
    /// Who is asked first.
    chosen: AtomicUsize,
    /// The newest term of a leader that was heard of.
    term: AtomicU64,
    pub(crate) lookout: Lookout,
    total: Duration,
}

impl Servers {
    pub(crate) fn new(options: &Options) -> Result<Self, OptionsError> {
        let slots =
            options.check()?.into_iter().enumerate().map(|(server, uri)| Slot::new(server, uri, &options.trust));
        Ok(Self {
            slots: slots.collect::<Result<_, _>>()?,
            chosen: AtomicUsize::new(0),
            term: AtomicU64::new(0),
            lookout: Lookout::default(),
            total: options.timeout,
        })
    }

    /// What a request that changes nothing, or nothing more when it is done again, is answered by whatever server. `within` is
    /// for each attempt; another begins beside it when a part of that is over.
    pub(crate) async fn read<Q, A>(&self, path: &'static str, request: &Q, within: Duration) -> Result<A, Failure>
    where
        Q: Message + Clone + 'static,
        A: Message + Default + 'static,
    {
        let interval = within.checked_div(AGAIN_PART).unwrap_or(within);
        let answered = self.race(interval, self.total, |server| self.attempt(server, path, request.clone(), within));
        let (server, answer) = answered.await?;
        self.chosen.store(server, Ordering::Relaxed);
        Ok(answer)
    }

    /// What a request that may change something is answered. It is sent once, but for attempts of which nothing came.
    pub(crate) async fn change<Q, A>(&self, path: &'static str, request: &Q, within: Duration) -> Result<A, Failure>
    where
        Q: Message + Clone + 'static,
        A: Message + Default + 'static,
    {
        let begun = Instant::now();
        let mut failures = Failures::of(self.slots.len());
        loop {
            let left = self.total.saturating_sub(begun.elapsed());
            let link = match self.link(left).await {
                Err(Failure::Refused(why)) => return Err(Failure::Refused(failures.worst_with(why))),
                other => other?,
            };
            let failure = match self.send(&link, path, request.clone(), within).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            let Failure::NotDone(why) = failure else { return Err(failure) };
            let round_over = failures.add(why);
            if begun.elapsed() >= self.total || (round_over && failures.is_final()) {
                return Err(Failure::Refused(failures.worst()));
            }
            if round_over {
                sleep(PAUSE).await;
            }
        }
    }

    /// A stream of answers. The request's side stays open.
    pub(crate) async fn stream<Q, A>(&self, path: &'static str, request: Q) -> Result<(Streaming<A>, Link), Failure>
    where
        Q: Message + 'static,
        A: Message + Default + Send + 'static,
    {
        let link = self.link(self.total).await?;
        let open = tokio_stream::StreamExt::chain(tokio_stream::once(request), tokio_stream::pending());
        let mut grpc = client(&link.channel);
        let opened = async {
            ready(&mut grpc).await?;
            grpc.streaming(with_leader(open), PathAndQuery::from_static(path), ProstCodec::<Q, A>::default()).await
        };
        match timeout(READ_TIMEOUT, opened).await {
            Ok(Ok(answers)) => Ok((answers.into_inner(), link)),
            Ok(Err(status)) => Err(self.failed(&link, classify(&status)).await),
            Err(_) => Err(self.failed(&link, Failure::Lost(StoreError::Unreachable)).await),
        }
    }

    /// Who is asked next is another server, if this one is the first that is asked; and over this connection nobody is.
    pub(crate) async fn leave(&self, link: &Link) {
        self.pass_by(link.server);
        if let Some(slot) = self.slots.get(link.server) {
            slot.forget(link).await;
        }
    }

    /// The newest term of a leader that was heard of.
    pub(crate) fn term(&self) -> u64 {
        self.term.load(Ordering::Relaxed)
    }

    /// Takes note of a term that has a leader.
    pub(crate) fn learn(&self, term: u64) {
        self.term.fetch_max(term, Ordering::Relaxed);
    }

    /// The connection to a server, which is made if there is none.
    pub(crate) async fn link_to(&self, server: usize) -> Result<Link, Failure> {
        let slot = self.slots.get(server).ok_or(Failure::NotDone(StoreError::Unreachable))?;
        let (link, term) = slot.link().await.map_err(Failure::NotDone)?;
        self.learn(term);
        Ok(link)
    }

    /// A connection to the server that is asked first, or to whichever one can be made.
    async fn link(&self, within: Duration) -> Result<Link, Failure> {
        let interval = CONNECT_TIMEOUT.checked_div(AGAIN_PART).unwrap_or(CONNECT_TIMEOUT);
        self.race(interval, within, |server| self.link_to(server)).await.map(|(_, link)| link)
    }

    async fn attempt<Q, A>(&self, server: usize, path: &'static str, request: Q, within: Duration) -> Result<A, Failure>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let late = |_| Failure::NotDone(StoreError::Unreachable);
        let link = timeout(within, self.link_to(server)).await.map_err(late)??;
        match unary(&link.channel, path, request, within).await {
            Ok(answer) => Ok(answer),
            Err(status) => Err(self.failed(&link, classify(&status)).await),
        }
    }

    /// Over one connection, once.
    async fn send<Q, A>(&self, link: &Link, path: &'static str, request: Q, within: Duration) -> Result<A, Failure>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let sent_in = self.term();
        let failure = tokio::select! {
            biased;
            answer = unary(&link.channel, path, request, within) => match answer {
                Ok(answer) => return Ok(answer),
                Err(status) => classify(&status),
            },
            why = self.in_vain(link.server, sent_in) => Failure::Lost(why),
        };
        Err(self.failed(link, failure).await)
    }

    /// Draws from a failure what it says of the server.
    async fn failed(&self, link: &Link, failure: Failure) -> Failure {
        match &failure {
            // The server spoke, and is none the worse; one that tells of a new leader sees it.
            Failure::Refused(_) | Failure::Compacted | Failure::Ahead | Failure::TooLong => {}
            Failure::Lost(StoreError::NoQuorum) => {}
            Failure::NotDone(StoreError::NoQuorum) => self.pass_by(link.server),
            Failure::NotDone(_) | Failure::Lost(_) => self.leave(link).await,
        }
        failure
    }

    fn pass_by(&self, server: usize) {
        let next = server.saturating_add(1).checked_rem(self.slots.len()).unwrap_or(0);
        // Whoever is asked first meanwhile may be better.
        let _ = self.chosen.compare_exchange(server, next, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// The first answer of any server. Attempts begin with the server that is asked first: the next one when one has failed,
    /// and beside those that run after each interval. None is given up before the time is over.
    async fn race<'a, T, F>(
        &'a self,
        interval: Duration,
        within: Duration,
        ask: impl Fn(usize) -> F,
    ) -> Result<(usize, T), Failure>
    where
        F: Future<Output = Result<T, Failure>> + Send + 'a,
    {
        race(self.slots.len(), self.chosen.load(Ordering::Relaxed), interval, within, ask).await
    }
}

async fn race<'a, T, F>(
    servers: usize,
    first: usize,
    interval: Duration,
    within: Duration,
    ask: impl Fn(usize) -> F,
) -> Result<(usize, T), Failure>
where
    F: Future<Output = Result<T, Failure>> + Send + 'a,
{
    let begun = Instant::now();
    let end = begun.checked_add(within).unwrap_or(begun);
    let (mut next, mut turn) = (begun, first);
    let mut failures = Failures::of(servers);
    let mut attempts = Attempts::new();
    loop {
        // Not by a timer, whose ticks are a millisecond: a read takes half of one.
        let now = Instant::now();
        if now >= next {
            attempts.add(turn, ask(turn));
            turn = turn.saturating_add(1).checked_rem(servers).unwrap_or(0);
            next = now.checked_add(interval).unwrap_or(now);
        }
        tokio::select! {
            biased;
            (server, answer) = attempts.next() => {
                let why = match answer {
                    Ok(answer) => return Ok((server, answer)),
                    Err(Failure::NotDone(why)) => why,
                    Err(Failure::Lost(why)) => {
                        if why == StoreError::NoQuorum {
                            // It lost what was asked because it has a new leader now.
                            turn = server;
                        }
                        why
                    }
                    Err(failure) => return Err(failure),
                };
                let round_over = failures.add(why);
                if round_over && attempts.is_empty() && failures.is_final() {
                    return Err(Failure::Refused(failures.worst()));
                }
                let now = Instant::now();
                next = next.min(if round_over { now.checked_add(PAUSE).unwrap_or(now) } else { now });
            }
            () = sleep_until(next) => {}
            () = sleep_until(end) => return Err(Failure::Refused(failures.worst())),
        }
    }
}

/// What failed so far, of a number of servers that are asked in turn.
struct Failures {
    servers: usize,
    count: usize,
    worst: Option<StoreError>,
}

impl Failures {
    fn of(servers: usize) -> Self {
        Self { servers, count: 0, worst: None }
    }

    /// Whether there were now as many more as there are servers.
    fn add(&mut self, why: StoreError) -> bool {
        self.worst = Some(worse(self.worst.take(), why));
        self.count = self.count.saturating_add(1);
        self.count.checked_rem(self.servers).unwrap_or(0) == 0
    }

    fn worst(&self) -> StoreError {
        self.worst.clone().unwrap_or(StoreError::Unreachable)
    }

    fn worst_with(&self, other: StoreError) -> StoreError {
        worse(self.worst.clone(), other)
    }

    /// Whether asking again would be of no use.
    fn is_final(&self) -> bool {
        self.worst.as_ref().is_some_and(is_final)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::future::pending;
    use std::sync::Mutex;

    type Answers = fn(usize, usize) -> Result<&'static str, Failure>;

    /// Races over three servers from the second on; what the n-th attempt at each says, if it is not late. With who was asked.
    fn raced(late: &[usize], within: Duration, says: Answers) -> (Result<(usize, &'static str), Failure>, Vec<usize>) {
        let asked = Mutex::new(Vec::new());
        let ask = |server| {
            let before = asked.lock().unwrap().iter().filter(|asked| **asked == server).count();
            asked.lock().unwrap().push(server);
            let late = late.contains(&server);
            async move { if late { pending().await } else { says(server, before) } }
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let answer = runtime.block_on(race(3, 1, Duration::from_millis(1), within, ask));
        (answer, asked.into_inner().unwrap())
    }

    const LONG: Duration = Duration::from_secs(600);
    const SHORT: Duration = Duration::from_millis(20);

    #[test]
    fn the_first_answer_is_taken() {
        // Of the server that is asked first, if it answers, and nobody else is asked then; else of one that does.
        assert_eq!(raced(&[], LONG, |_, _| Ok("yes")), (Ok((1, "yes")), vec![1]));
        assert_eq!(raced(&[1], LONG, |_, _| Ok("yes")), (Ok((2, "yes")), vec![1, 2]));
        assert_eq!(raced(&[1, 2], LONG, |_, _| Ok("yes")), (Ok((0, "yes")), vec![1, 2, 0]));
    }

    #[test]
    fn what_failed_is_asked_of_the_next() {
        // Round and round; but a server that has a new leader is asked again.
        let (answer, asked) = raced(&[], LONG, |server, before| match (server, before) {
            (0, 1) => Ok("yes"),
            _ => Err(Failure::NotDone(StoreError::NoQuorum)),
        });
        assert_eq!((answer, asked), (Ok((0, "yes")), vec![1, 2, 0, 1, 2, 0]));
        let (answer, asked) = raced(&[], LONG, |_, before| match before {
            0 => Err(Failure::Lost(StoreError::NoQuorum)),
            _ => Ok("yes"),
        });
        assert_eq!((answer, asked), (Ok((1, "yes")), vec![1, 1]));
    }

    #[test]
    fn the_worst_reason_is_told() {
        // When the time is over; at once when all servers say what they would say again, and when one says what all would.
        let (answer, _) = raced(&[1], SHORT, |server, _| match server {
            0 => Err(Failure::NotDone(StoreError::NoQuorum)),
            _ => Err(Failure::Lost(StoreError::Unreachable)),
        });
        assert_eq!(answer, Err(Failure::Refused(StoreError::NoQuorum)));
        assert_eq!(raced(&[0, 1, 2], SHORT, |_, _| Ok("")).0, Err(Failure::Refused(StoreError::Unreachable)));
        let denied = || StoreError::Denied { detail: String::new() };
        let (answer, asked) = raced(&[], LONG, |server, _| match server {
            0 => Err(Failure::NotDone(StoreError::Denied { detail: String::new() })),
            _ => Err(Failure::NotDone(StoreError::Unreachable)),
        });
        assert_eq!((answer, asked), (Err(Failure::Refused(denied())), vec![1, 2, 0]));
        let (answer, asked) = raced(&[1], LONG, |_, _| Err(Failure::Compacted));
        assert_eq!((answer, asked), (Err(Failure::Compacted), vec![1, 2]));
    }
}
