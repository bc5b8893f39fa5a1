//! The daemons that can run within this process.

use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use aws_types::SdkConfig;
use chassis::{Embedded, Kit, Service, embed};
use event::names::Stage;
use river::{Handler, Packet};
use tokio_util::sync::CancellationToken;

/// A daemon, as its container is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Daemon {
    /// Carries the rapids to the rivers.
    RapidsReader,
    /// Makes rivers.
    ControlPlane,
    /// Knows what kind of traveller a customer is.
    Segmentation,
    /// Knows who is a member, and of which tier.
    Membership,
    /// Makes offers for a place.
    Location,
    /// Makes offers of a brand.
    Brand,
    /// Collects offers and chooses among them.
    OfferEngine,
    /// Watches the business, the services and the way of events.
    Monitor,
}

/// How one daemon is started.
pub(crate) struct Start {
    /// The AWS that it talks to.
    pub(crate) aws: SdkConfig,
    /// The deployment that it belongs to.
    pub(crate) stage: Stage,
    /// Where its admin server listens, if it has one.
    pub(crate) admin: Option<SocketAddr>,
    /// Ends it.
    pub(crate) stop: CancellationToken,
}

impl Daemon {
    /// All of them, in the order in which they are started: those that others wait for come first.
    pub(crate) const ALL: [Self; 8] = [
        Self::ControlPlane,
        Self::RapidsReader,
        Self::Segmentation,
        Self::Membership,
        Self::Location,
        Self::Brand,
        Self::OfferEngine,
        Self::Monitor,
    ];

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::RapidsReader => "rapids-reader",
            Self::ControlPlane => "control-plane",
            Self::Segmentation => "segmentation",
            Self::Membership => "membership",
            Self::Location => "location",
            Self::Brand => "brand",
            Self::OfferEngine => "offer-engine",
            Self::Monitor => "monitor",
        }
    }

    /// Its river and the topics that it subscribes it to, if it drinks from one.
    pub(crate) fn subscriptions(self) -> Option<(&'static str, Vec<Packet>)> {
        fn of<H: Handler>() -> Option<(&'static str, Vec<Packet>)> {
            let listens_to = H::listens_to();
            Some((H::RIVER, listens_to.into_iter().filter(|packet| !packet.is_own()).collect()))
        }
        match self {
            Self::RapidsReader | Self::ControlPlane => None,
            Self::Segmentation => of::<segmentation::Segmentation>(),
            Self::Membership => of::<membership::Membership>(),
            Self::Location => of::<location::Location>(),
            Self::Brand => of::<brand::Brand>(),
            Self::OfferEngine => of::<offer_engine::OfferEngine>(),
            Self::Monitor => of::<monitor::Monitor>(),
        }
    }

    /// Builds and starts it.
    ///
    /// # Errors
    /// Whatever makes a start pointless.
    pub(crate) async fn start(self, start: Start) -> anyhow::Result<Embedded> {
        let stage = start.stage.to_string();
        match self {
            Self::RapidsReader => {
                let config = rapids_reader::Config { stage, ..Default::default() };
                self.embed::<rapids_reader::RapidsReader>(start, config).await
            }
            Self::ControlPlane => {
                // The embedded SNS delivers by a new filter at once.
                let bridge = Duration::ZERO;
                let config = control_plane::Config { stage, bridge, ..Default::default() };
                self.embed::<control_plane::ControlPlane>(start, config).await
            }
            Self::Segmentation => self.drink::<segmentation::Segmentation>(start).await,
            Self::Membership => self.drink::<membership::Membership>(start).await,
            Self::Location => self.drink::<location::Location>(start).await,
            Self::Brand => self.drink::<brand::Brand>(start).await,
            Self::OfferEngine => self.drink::<offer_engine::OfferEngine>(start).await,
            Self::Monitor => {
                // On a laptop, only those that somebody sends are views.
                let probe = monitor::Probe { enabled: false, ..Default::default() };
                let handler = monitor::Config { probe, ..Default::default() };
                let config =
                    river::Config { stage, handler, ..river::Config::<monitor::Config>::default() };
                self.embed::<river::Service<monitor::Monitor>>(start, config).await
            }
        }
    }

    async fn drink<H: Handler>(self, start: Start) -> anyhow::Result<Embedded> {
        let config = river::Config { stage: start.stage.to_string(), ..Default::default() };
        self.embed::<river::Service<H>>(start, config).await
    }

    async fn embed<S: Service>(self, start: Start, config: S::Config) -> anyhow::Result<Embedded> {
        let kit = Kit::new(self.name(), start.aws);
        // On the heap: the futures of all daemons together would not fit well on a stack.
        Box::pin(embed::<S>(kit, config, start.admin, start.stop)).await
    }
}

/// Which daemons to run: `all`, `none`, or names with commas between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Selection(Vec<Daemon>);

impl Selection {
    /// The daemons, in the order in which they are started.
    pub(crate) fn daemons(&self) -> &[Daemon] {
        &self.0
    }
}

impl FromStr for Selection {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names: Vec<&str> = match text {
            "all" => return Ok(Self(Daemon::ALL.to_vec())),
            "none" => return Ok(Self(Vec::new())),
            names => names.split(',').map(str::trim).collect(),
        };
        let unknown = names.iter().find(|name| Daemon::ALL.iter().all(|it| it.name() != **name));
        if let Some(unknown) = unknown {
            let known = Daemon::ALL.map(Daemon::name).join(", ");
            return Err(format!("there is no daemon {unknown:?}: all, none, or some of {known}"));
        }
        Ok(Self(Daemon::ALL.into_iter().filter(|it| names.contains(&it.name())).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn daemons_are_chosen_by_name_and_started_in_their_order() {
        let chosen = |text: &str| Selection::from_str(text).unwrap().0;
        assert_eq!(chosen("all"), Daemon::ALL);
        assert_eq!(chosen("none"), []);
        assert_eq!(chosen("location, control-plane"), [Daemon::ControlPlane, Daemon::Location]);
    }

    #[test]
    fn an_unknown_daemon_is_refused_with_those_there_are() {
        for text in ["", "locations", "all,brand"] {
            let refusal = Selection::from_str(text).unwrap_err();
            assert!(refusal.contains("offer-engine"), "{refusal}");
        }
    }
}
