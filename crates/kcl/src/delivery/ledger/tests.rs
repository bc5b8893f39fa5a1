use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::checkpoint::SequenceNumber;

fn at(sequence: u64, sub_sequence: u64) -> Position {
    let sequence = SequenceNumber::parse(&sequence.to_string()).unwrap();
    Position { sequence, sub_sequence }
}

fn seconds(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn place(ledger: &Ledger) -> Option<Position> {
    ledger.watermark().map(|mark| mark.position)
}

/// A ledger with the records 1 to `last`, of ten bytes each.
fn with_records(last: u64) -> (Ledger, Vec<Ticket>) {
    let mut ledger = Ledger::default();
    let admit = |n| ledger.admit(at(n, 0), 10, Some(seconds(n))).unwrap();
    let tickets = (1..=last).map(admit).collect();
    (ledger, tickets)
}

#[test]
fn the_watermark_moves_only_when_all_below_it_is_settled() {
    let (mut ledger, tickets) = with_records(3);
    for (settled, watermark) in [(2, None), (0, Some(at(1, 0))), (1, Some(at(3, 0)))] {
        assert_eq!(ledger.settle(tickets[settled]), Ok(10));
        assert_eq!(place(&ledger), watermark);
    }
    assert_eq!((ledger.unsettled(), ledger.span()), (0, 0));
}

#[test]
fn the_watermark_stops_within_an_aggregated_record() {
    let mut ledger = Ledger::default();
    let tickets: Vec<_> = (0..5).map(|sub| ledger.admit(at(7, sub), 1, None).unwrap()).collect();
    for ticket in &tickets[..3] {
        ledger.settle(*ticket).unwrap();
    }
    assert_eq!(place(&ledger), Some(at(7, 2)));
}

#[test]
fn what_holds_no_record_is_passed_with_its_neighbours() {
    let (mut ledger, tickets) = with_records(1);
    ledger.admit_settled(at(2, 0)).unwrap();
    assert_eq!(place(&ledger), None);
    ledger.settle(tickets[0]).unwrap();
    // It has no time of arrival: the one of the record before it stays.
    let mark = Watermark { position: at(2, 0), arrived_at: Some(seconds(1)) };
    assert_eq!(ledger.watermark(), Some(mark));
    ledger.admit_settled(at(3, 0)).unwrap();
    assert_eq!(place(&ledger), Some(at(3, 0)));
}

#[test]
fn a_position_that_does_not_rise_is_refused() {
    let (mut ledger, _) = with_records(2);
    for refused in [at(1, 0), at(2, 0)] {
        let error = NotRising { refused, last: at(2, 0) };
        assert_eq!(ledger.admit(refused, 1, None), Err(error));
        assert_eq!(ledger.admit_settled(refused), Err(error));
    }
    assert!(ledger.admit(at(2, 1), 1, None).is_ok());
}

#[test]
fn settling_what_is_settled_or_unknown_is_refused_and_changes_nothing() {
    let (mut ledger, tickets) = with_records(2);
    ledger.settle(tickets[0]).unwrap();
    assert_eq!(ledger.settle(tickets[0]), Err(Refused::Twice));
    let (_, foreign) = with_records(9);
    assert_eq!(ledger.settle(foreign[8]), Err(Refused::Unknown));
    assert_eq!((place(&ledger), ledger.unsettled()), (Some(at(1, 0)), 1));
}

#[test]
fn after_the_lease_was_lost_nothing_is_settled_any_more() {
    let (mut ledger, tickets) = with_records(3);
    ledger.settle(tickets[0]).unwrap();
    ledger.close();
    for first in [true, false] {
        assert_eq!(ledger.settle(tickets[1]), Err(Refused::Late { bytes: 10, first }));
    }
    assert_eq!(ledger.settle(tickets[0]), Err(Refused::Twice));
    ledger.admit_settled(at(4, 0)).unwrap();
    assert_eq!(place(&ledger), Some(at(1, 0)));
}

#[derive(Clone, Debug)]
enum Act {
    Admit { step: u64, bytes: u16 },
    AdmitSettled { step: u64 },
    Settle { which: prop::sample::Index },
    Close,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => (0_u64..3, any::<u16>()).prop_map(|(step, bytes)| Act::Admit { step, bytes }),
        2 => (0_u64..3).prop_map(|step| Act::AdmitSettled { step }),
        12 => any::<prop::sample::Index>().prop_map(|which| Act::Settle { which }),
        1 => Just(Act::Close),
    ]
}

/// What the ledger is, without a thought for time and memory.
#[derive(Default)]
struct Model {
    /// Position, bytes, settled, in the order of admission.
    records: Vec<(u64, u16, bool)>,
    /// Indices of what was settled too late.
    late: BTreeSet<usize>,
    closed_at: Option<Option<u64>>,
}

impl Model {
    fn watermark(&self) -> Option<u64> {
        let moving = || self.records.iter().take_while(|r| r.2).last().map(|r| r.0);
        self.closed_at.unwrap_or_else(moving)
    }
}

proptest! {
    #[test]
    fn the_ledger_is_its_naive_model(acts in prop::collection::vec(act(), 0..200)) {
        let (mut ledger, mut model) = (Ledger::default(), Model::default());
        let mut tickets = Vec::new();
        for act in acts {
            let last = model.records.last().map_or(0, |record| record.0);
            match act {
                Act::Admit { step, bytes } => {
                    let admitted = ledger.admit(at(last + step, 0), bytes.into(), None);
                    let refused = step == 0 && !model.records.is_empty();
                    prop_assert_eq!(admitted.is_err(), refused);
                    if let Ok(ticket) = admitted {
                        tickets.push((ticket, model.records.len()));
                        model.records.push((last + step, bytes, false));
                    }
                }
                Act::AdmitSettled { step } => {
                    if ledger.admit_settled(at(last + step, 0)).is_ok() {
                        model.records.push((last + step, 0, true));
                    }
                }
                Act::Settle { which } if !tickets.is_empty() => {
                    let (ticket, index) = tickets[which.index(tickets.len())];
                    let (_, bytes, settled) = model.records[index];
                    let expected = match (settled, model.closed_at) {
                        (true, _) => Err(Refused::Twice),
                        (_, Some(_)) => {
                            let first = model.late.insert(index);
                            Err(Refused::Late { bytes: bytes.into(), first })
                        }
                        (_, None) => Ok(bytes.into()),
                    };
                    prop_assert_eq!(ledger.settle(ticket), expected);
                    model.records[index].2 |= expected.is_ok();
                    prop_assert_eq!(ledger.is_settled(ticket), model.records[index].2);
                }
                Act::Settle { .. } => {}
                Act::Close => {
                    model.closed_at = Some(model.watermark());
                    ledger.close();
                }
            }
            prop_assert_eq!(place(&ledger), model.watermark().map(|n| at(n, 0)));
            let open = || model.records.iter().filter(|record| !record.2);
            prop_assert_eq!(ledger.unsettled(), open().count());
            let settled = model.records.iter().take_while(|r| Some(r.0) <= model.watermark()).count();
            prop_assert_eq!(ledger.span(), model.records.len() - settled);
        }
    }
}
