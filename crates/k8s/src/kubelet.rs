//! The kubelet's own list of its pods: asked now and then, and whenever somebody meets a pod that is not known.

use crate::Error;
use crate::access::Access;
use crate::backoff::{Backoff, random};
use crate::read::{JSON, ask, parse};
use crate::source::Teller;
use crate::status::{Figures, Standing};
use crate::store::{Owners, PodStore};
use kube_client::Client;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

/// How often it is asked where nothing is missing: labels may have been edited.
const POLL: Duration = Duration::from_secs(30);
/// How often it is asked at most, however much is missing.
const SOONEST: Duration = Duration::from_secs(1);

/// What is said of pods that are of another node.
const STRANGERS: &str =
    "the kubelet answers with pods of another node, which are left out: is kubernetes.node_name right?";

/// Keeps what the kubelet knows of its pods, for good.
pub(crate) struct Poller {
    access: Access,
    client: Option<Client>,
    store: PodStore,
}

impl Poller {
    pub(crate) fn new(access: Access, node: String, annotations: &[&str]) -> Self {
        Self { access, client: None, store: PodStore::new(&node, annotations, Owners::AsNamed) }
    }

    pub(crate) async fn run(mut self, teller: &mut Teller, asked: &Notify) {
        let mut backoff = Backoff::new();
        loop {
            match self.list(teller).await {
                Ok(()) => {
                    backoff.reset();
                    sleep(SOONEST).await;
                    // Nobody has asked: it is time anyway.
                    let _ = timeout(POLL.mul_f64(0.75 + random() / 2.0), asked.notified()).await;
                }
                Err(error) => {
                    self.client = None;
                    teller.failed(&error);
                    sleep(backoff.next(error.retry_after())).await;
                }
            }
        }
    }

    async fn list(&mut self, teller: &mut Teller) -> Result<(), Error> {
        const WHAT: &str = "asking the kubelet for its pods";
        let client = match &self.client {
            Some(client) => client.clone(),
            None => self.client.insert(self.access.client().await?).clone(),
        };
        let figures = teller.figures().clone();
        Figures::count(&figures.lists);
        let answer = ask(&client, WHAT, "/pods", JSON).await?;
        let list = parse(WHAT, answer, self.store.kept(), &figures).await?;
        teller.count_strangers(list.strangers, STRANGERS);
        let mut changes = Vec::new();
        self.store.replace(list.pods, &mut changes);
        figures.pods.store(self.store.len() as u64, Ordering::Relaxed);
        figures.refused.store(self.store.refused(), Ordering::Relaxed);
        teller.tell(changes);
        teller.set(Standing::InSync);
        teller.rest();
        Ok(())
    }
}
