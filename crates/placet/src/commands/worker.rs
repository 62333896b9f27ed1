//! `placet worker`: the built-in orchestrations, alone.

use super::{connect, stop_switch, stopped};
use crate::announce::Announcement;
use crate::config::Config;
use crate::exit::Failure;
use crate::flags;

pub(super) async fn run(flags: &flags::Worker) -> Result<(), Failure> {
    let endpoint = &flags.endpoint.endpoint;
    let config = Config::open(flags.configuration.config.as_deref())?;
    let client = connect(endpoint)?;
    let hubs: Vec<String> = flags.taskhub.split(',').map(|hub| hub.trim().to_owned()).collect();
    let mut announcement = Announcement::new(endpoint.clone());
    announcement.taskhub = Some(hubs.join(", "));
    let stopping = stop_switch(&flags.common)?;
    let worker = placet_worker::start(client, hubs, config.current());
    announcement.make(&flags.common)?;
    stopped(stopping).await;
    worker.shutdown().await;
    Ok(())
}
