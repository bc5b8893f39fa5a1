//! What the workers of KCL 3.x agree on, as far as a worker that never leads has to know it.
//!
//! Two rows say it: `Migration3.0` says by which rules leases move, `TableMigration3.5` says which table holds
//! what. Sources: `ClientVersion`, `MigrationClientVersionStateInitializer`, `TableMigrationStatus`,
//! `TableMigrationStateMachineImpl` and `CoordinatorStateDAO` of KCL 3.5. Nothing here is ever written.

use crate::lease::Item;

/// Key of the row with the client version.
pub(crate) const MIGRATION: &str = "Migration3.0";
/// Key of the row with the state of the move into one table.
pub(crate) const TABLE_MIGRATION: &str = "TableMigration3.5";
const CLIENT_VERSION: &str = "cv";
const TABLE_MIGRATION_STATUS: &str = "tm";

/// By which rules leases move at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Regime {
    /// By those of 2.x: every worker takes.
    Taker,
    /// By those of 3.x: the leader assigns, nobody takes.
    Assigned,
}

/// Where this worker's row of metrics belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Home {
    /// The lease table, as of KCL 3.5.
    LeaseTable,
    /// `<lease table>-WorkerMetricStats`, as in KCL 3.0 to 3.4.
    OwnTable,
    /// Where the Java workers put theirs at present: their configuration says it, not a row. The lease table
    /// once one of them writes there, for the leader waits until nobody writes to the other.
    WithTheOthers,
}

/// `ClientVersion` of the KCL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientVersion {
    /// 2.x rules, and every worker reports its metrics.
    UpgradeFrom2x,
    /// 2.x rules after a rollback: no metrics, for workers of 2.x may read the lease table.
    Only2x,
    /// 3.x rules; the migration tool can still go back.
    Only3xWithRollback,
    /// 3.x rules for good.
    Only3x,
    /// Something newer than this library.
    Unknown,
}

/// `TableMigrationStatus` of the KCL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TableMigration {
    /// Three tables; not all workers can do with one.
    Init,
    /// Three tables; all workers can do with one.
    Deployed,
    /// Workers write to the lease table; the way back is open.
    Pending,
    /// One table for good.
    Complete,
}

/// What the rows say together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Coordination {
    /// `Migration3.0`. Absent while no worker of 3.x has started, or only such as still play 2.x (phase 1).
    pub(crate) version: Option<ClientVersion>,
    /// `TableMigration3.5`, as far as there is one.
    pub(crate) migration: Option<TableMigration>,
    /// Whether there is a table `<lease table>-CoordinatorState`: the application comes from KCL 3.0 to 3.4.
    pub(crate) own_table: bool,
}

impl ClientVersion {
    /// Reads the row `Migration3.0`.
    pub(crate) fn decode(row: &Item) -> Self {
        match text(row, CLIENT_VERSION) {
            Some("CLIENT_VERSION_UPGRADE_FROM_2X") => Self::UpgradeFrom2x,
            Some("CLIENT_VERSION_2X") => Self::Only2x,
            Some("CLIENT_VERSION_3X_WITH_ROLLBACK") => Self::Only3xWithRollback,
            Some("CLIENT_VERSION_3X") => Self::Only3x,
            _ => Self::Unknown,
        }
    }
}

impl TableMigration {
    /// Reads the row `TableMigration3.5`. What cannot be read counts as [`Self::Init`]: then nothing is put
    /// where an older worker would stumble over it.
    pub(crate) fn decode(row: &Item) -> Self {
        match text(row, TABLE_MIGRATION_STATUS) {
            Some("TABLE_MIGRATION_STATUS_DEPLOYED") => Self::Deployed,
            Some("TABLE_MIGRATION_STATUS_PENDING") => Self::Pending,
            Some("TABLE_MIGRATION_STATUS_COMPLETE") => Self::Complete,
            _ => Self::Init,
        }
    }
}

/// By which rules leases move.
///
/// Without a row nobody plays by the rules of 3.x yet, and somebody has to take the leases: a taking is
/// conditional on the counter, so that it does no harm at the moment at which a leader appears. A version that
/// is not known here may have any rules: then nothing is taken.
pub(crate) fn regime(now: &Coordination) -> Regime {
    match now.version {
        None | Some(ClientVersion::UpgradeFrom2x | ClientVersion::Only2x) => Regime::Taker,
        Some(
            ClientVersion::Only3xWithRollback | ClientVersion::Only3x | ClientVersion::Unknown,
        ) => Regime::Assigned,
    }
}

/// Where the row of metrics belongs, `None` while there must not be one: a worker of 2.x cannot read a table
/// with a row that is no lease.
pub(crate) fn metrics_home(now: &Coordination) -> Option<Home> {
    match now.version? {
        ClientVersion::Only2x | ClientVersion::Unknown => return None,
        ClientVersion::UpgradeFrom2x
        | ClientVersion::Only3xWithRollback
        | ClientVersion::Only3x => {}
    }
    if !now.own_table {
        return Some(Home::LeaseTable);
    }
    Some(match now.migration {
        None | Some(TableMigration::Init) => Home::OwnTable,
        Some(TableMigration::Deployed) => Home::WithTheOthers,
        Some(TableMigration::Pending | TableMigration::Complete) => Home::LeaseTable,
    })
}

fn text<'a>(row: &'a Item, name: &str) -> Option<&'a str> {
    row.get(name)?.as_s().ok().map(String::as_str)
}
