//! The observer: one loop over its sockets, its memory, and those that ask.
//!
//! It decides nothing and changes nothing; all that it knows is in [`crate::table`].

use std::net::IpAddr;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use crate::config::Config;
use crate::serve::{self, Answers};
use crate::sockets::Sockets;
use crate::table::{Question, Table};
use crate::{Error, echo};

/// Time between two looks at the sockets: many datagrams are taken for one wake.
const LOOK: Duration = Duration::from_millis(20);
/// Kernels that are asked at once.
const ASKED: usize = 16;

/// Hears and gossips until it cannot.
pub async fn run(config: Config) -> Result<(), Error> {
    config.check()?;
    let mut observer = Observer::new(&config);
    // First: it fails beside another observer, whose Unix socket would be replaced.
    observer.open(observer.now_ms())?;
    let listener = serve::listen(&config.socket)?;
    let answers = Answers::new();
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            // Under a flood it looks again at once: the kernel has room for little more.
            _ = looks.tick() => if observer.turn()? { looks.reset_immediately() },
            Some((question, answer)) = observer.echoes.recv() => observer.answered(question, answer),
            asked = listener.accept() => if let Ok((to, _)) = asked {
                // What has arrived is part of the answer.
                observer.look();
                answers.give(to, &observer.table.tell(observer.now_ms()));
            },
        }
    }
}

struct Observer {
    began: Instant,
    period_ms: u64,
    own: Vec<IpAddr>,
    sockets: Sockets,
    table: Table,
    told_at: Option<u64>,
    /// Kernels that are asked at this moment.
    asked: usize,
    echo: mpsc::Sender<(Question, Option<bool>)>,
    echoes: mpsc::Receiver<(Question, Option<bool>)>,
}

impl Observer {
    fn new(config: &Config) -> Self {
        let (echo, echoes) = mpsc::channel(ASKED);
        Self {
            began: Instant::now(),
            period_ms: config.period_ms,
            own: config.listen.iter().map(|l| l.address).collect(),
            sockets: Sockets::new(config),
            table: Table::new(config, uuid::Uuid::new_v4().into_bytes(), 0),
            told_at: None,
            asked: 0,
            echo,
            echoes,
        }
    }

    /// Time by a clock that nobody sets, ms.
    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Opens sockets that are not open and due.
    fn open(&mut self, now_ms: u64) -> Result<(), Error> {
        for place in self.sockets.open(now_ms)? {
            self.table.listens(place, Some(now_ms));
        }
        Ok(())
    }

    /// Looks, and tells and asks whom it is time for; true when more may have arrived.
    fn turn(&mut self) -> Result<bool, Error> {
        let now_ms = self.now_ms();
        self.open(now_ms)?;
        let more = self.look();
        let told = |at: u64| now_ms.saturating_sub(at) < self.period_ms;
        if !self.told_at.is_some_and(told) {
            self.told_at = Some(now_ms);
            for letter in self.table.letters(now_ms) {
                self.sockets.send(letter.network, letter.to, &letter.datagram);
            }
            self.ask(now_ms);
        }
        Ok(more)
    }

    /// Takes what has arrived; true when more may have.
    fn look(&mut self) -> bool {
        let now_ms = self.now_ms();
        let table = &mut self.table;
        let more = (self.sockets).read(|place, from, datagram| {
            table.hear(now_ms, place, from, datagram);
        });
        self.table.looked(now_ms);
        more
    }

    /// Asks the kernels of silent hosts, in the background.
    fn ask(&mut self, now_ms: u64) {
        for question in self.table.questions(now_ms, ASKED.saturating_sub(self.asked)) {
            let Some(from) = self.own.get(question.network).copied() else {
                continue;
            };
            self.asked += 1;
            let echo = self.echo.clone();
            tokio::spawn(async move {
                let answer = echo::answers(from, question.to).await;
                let _ = echo.send((question, answer)).await;
            });
        }
    }

    fn answered(&mut self, question: Question, answer: Option<bool>) {
        self.asked = self.asked.saturating_sub(1);
        let now_ms = self.now_ms();
        self.table.answered(now_ms, question, answer);
    }
}
