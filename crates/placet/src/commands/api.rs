//! `placet api`: the HTTP API, alone.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use placet_api::{Api, Intake, Metrics, Operations, Reach, Readiness};
use placet_approval::Configurations;
use placet_scheduler::{Budget, Scheduler};
use placet_sdk::Client;
use tokio::time::timeout;

use super::serve::{HTTP_PORT, tokio_listeners};
use super::{DRAIN_MAX, stop_switch, stopped};
use crate::announce::{Announcement, url};
use crate::config::Config;
use crate::exit::Failure;
use crate::listen::{Listening, Wanted, listen};
use crate::metrics::exposition;
use crate::{flags, http};

/// How long the scheduler may take to say that it is there.
const HELLO_PATIENCE: Duration = Duration::from_secs(2);

pub(super) async fn run(flags: &flags::Api) -> Result<(), Failure> {
    let insecure = flags.common.insecure;
    let asked = flags.http.http_addr.as_deref();
    let listening = listen(Wanted { flag: "--http-addr", asked, port_default: HTTP_PORT, insecure })?;
    let config = Config::open(flags.configuration.config.as_deref())?;
    let client = super::connect(&flags.endpoint.endpoint)?.with_hub(&flags.hub.checked()?);

    let mut announcement = Announcement::new(flags.endpoint.endpoint.clone());
    announcement.listening("HTTP", &listening);
    announcement.http = Some(url(listening.addr));
    announcement.taskhub = Some(client.hub().to_owned());

    let stopping = stop_switch(&flags.common)?;
    let router = router(&client, &listening, config.current(), None);
    let serve = tokio::spawn(http::serve(router, tokio_listeners(listening)?, stopping.clone()));
    announcement.make(&flags.common)?;
    stopped(stopping).await;
    drop(timeout(DRAIN_MAX, serve).await);
    Ok(())
}

/// The API over this client. Its readiness is the scheduler's: asked directly if it is in this process.
pub(super) fn router(
    client: &Client,
    listening: &Listening,
    configuration: Configurations,
    scheduler: Option<Scheduler>,
) -> Router {
    // One budget for all that the process takes in.
    let budget = scheduler.as_ref().map_or_else(Budget::default, |scheduler| scheduler.budget().clone());
    let intake: Intake = Arc::new(move |bytes| budget.small_now(bytes).map(|share| Box::new(share) as _));
    let readiness = scheduler.clone().map_or_else(|| readiness_over(client.clone()), readiness_of);
    let metrics = Metrics::default();
    let operations = Operations { readiness, exposition: exposition(scheduler, Some(&metrics)) };
    placet_api::product(Api {
        client: client.clone(),
        operations,
        metrics,
        reach: reach(listening),
        configuration,
        intake,
    })
}

/// What those who run a scheduler alone look at.
pub(super) fn operators(scheduler: Scheduler, listening: &Listening) -> Router {
    let exposition = exposition(Some(scheduler.clone()), None);
    placet_api::operators(Operations { readiness: readiness_of(scheduler), exposition }, reach(listening))
}

fn reach(listening: &Listening) -> Reach {
    if listening.addr.ip().is_loopback() { Reach::ThisComputer } else { Reach::Network }
}

fn readiness_of(scheduler: Scheduler) -> Readiness {
    Arc::new(move || {
        let reasons = scheduler.health().reasons().iter().map(ToString::to_string).collect();
        Box::pin(std::future::ready(reasons))
    })
}

fn readiness_over(client: Client) -> Readiness {
    Arc::new(move || {
        let client = client.clone();
        Box::pin(async move {
            match timeout(HELLO_PATIENCE, client.hello()).await {
                Ok(Ok(())) => Vec::new(),
                Ok(Err(error)) => vec![format!("the scheduler is out of reach: {error}")],
                Err(_) => vec![format!("the scheduler did not answer in {} s", HELLO_PATIENCE.as_secs())],
            }
        })
    })
}
