//! Settings that are kept and not obeyed.
//!
//! What tools set for speed and give up over when refused: it changes no answer, but which plan PostgreSQL
//! chooses, and how much it takes for it, is not a restricted role's to say. What a client sets is kept
//! under the same name in the proxy's own namespace, `pgveil.work_mem`, where PostgreSQL sees to its end
//! with the transaction, a savepoint, RESET and DISCARD; the value is read as PostgreSQL reads it.

use crate::pg::setting::{BOOLEANS, Kind, Wrong};
use crate::pg::sqlstate;
use crate::refusal::Refusal;

/// One of them.
#[derive(Debug)]
pub struct Unheeded {
    /// Its name, lower case.
    pub name: &'static str,
    /// What it may be.
    pub kind: Kind,
    /// The first version that has it.
    since: u32,
}

/// The setting of that name, lower case.
pub fn unheeded(name: &str) -> Option<&'static Unheeded> {
    UNHEEDED.iter().find(|s| s.name == name)
}

/// All of them.
pub fn all_unheeded() -> impl Iterator<Item = &'static Unheeded> {
    UNHEEDED.iter()
}

impl Unheeded {
    /// Does a server of this version have it?
    pub fn is_known(&self, version: u32) -> bool {
        version >= self.since
    }

    /// PostgreSQL's words for a setting it does not have.
    pub fn unknown(&self) -> Refusal {
        Refusal::error(
            sqlstate::UNDEFINED_OBJECT,
            format!("unrecognized configuration parameter \"{}\"", self.name),
        )
    }

    /// The value as SHOW shows it, or PostgreSQL's own error.
    pub fn shown(&self, value: &str) -> Result<String, Refusal> {
        let name = self.name;
        let wrong = |message: String| Refusal::error(sqlstate::INVALID_PARAMETER_VALUE, message);
        self.kind.shown(value).map_err(|why| match why {
            Wrong::NotBoolean => wrong(format!("parameter \"{name}\" requires a Boolean value")),
            Wrong::Invalid(hint) => {
                let refusal = wrong(format!(
                    "invalid value for parameter \"{name}\": \"{value}\""
                ));
                match hint {
                    Some(hint) => refusal.hint(hint),
                    None => refusal,
                }
            }
            Wrong::Outside(value, range) => wrong(format!(
                "{value} is outside the valid range for parameter \"{name}\" ({range})"
            )),
        })
    }

    /// Of one that has a value, as the proxy pins another one, what a session starts with otherwise.
    pub fn unpinned(&self) -> Option<&'static str> {
        (self.name == "enable_mergejoin").then_some("on")
    }
}

const fn of(name: &'static str, kind: Kind) -> Unheeded {
    let since = 150_000;
    Unheeded { name, kind, since }
}

const fn since(since: u32, name: &'static str, kind: Kind) -> Unheeded {
    Unheeded { name, kind, since }
}

const COST: Kind = Real(0.0, f64::MAX);
const JIT_COST: Kind = Real(-1.0, f64::MAX);
const COUNT: i32 = i32::MAX;
const WORKERS: Kind = Integer(0, 1024);
/// The greatest number of blocks of which three are still an integer.
const BLOCKS: i32 = 715_827_882;
const KB: u32 = 1024;
const BLOCK: u32 = 8192;

use Kind::{Bool, Enum, Integer, Memory, Real};

/// In alphabetical order.
const UNHEEDED: &[Unheeded] = &[
    of("check_function_bodies", Bool),
    of(
        "constraint_exclusion",
        Enum(&["partition", "on", "off"], BOOLEANS),
    ),
    of("cpu_index_tuple_cost", COST),
    of("cpu_operator_cost", COST),
    of("cpu_tuple_cost", COST),
    of("cursor_tuple_fraction", Real(0.0, 1.0)),
    of("default_statistics_target", Integer(1, 10_000)),
    of("effective_cache_size", Memory(1, COUNT, BLOCK)),
    of("effective_io_concurrency", Integer(0, 1000)),
    of("enable_async_append", Bool),
    of("enable_bitmapscan", Bool),
    since(180_000, "enable_distinct_reordering", Bool),
    of("enable_gathermerge", Bool),
    since(170_000, "enable_group_by_reordering", Bool),
    of("enable_hashagg", Bool),
    of("enable_hashjoin", Bool),
    of("enable_incremental_sort", Bool),
    of("enable_indexonlyscan", Bool),
    of("enable_indexscan", Bool),
    of("enable_material", Bool),
    of("enable_memoize", Bool),
    of("enable_mergejoin", Bool),
    of("enable_nestloop", Bool),
    of("enable_parallel_append", Bool),
    of("enable_parallel_hash", Bool),
    of("enable_partition_pruning", Bool),
    of("enable_partitionwise_aggregate", Bool),
    of("enable_partitionwise_join", Bool),
    since(160_000, "enable_presorted_aggregate", Bool),
    since(180_000, "enable_self_join_elimination", Bool),
    of("enable_seqscan", Bool),
    of("enable_sort", Bool),
    of("enable_tidscan", Bool),
    of("from_collapse_limit", Integer(1, COUNT)),
    of("geqo", Bool),
    of("geqo_effort", Integer(1, 10)),
    of("geqo_generations", Integer(0, COUNT)),
    of("geqo_pool_size", Integer(0, COUNT)),
    of("geqo_seed", Real(0.0, 1.0)),
    of("geqo_selection_bias", Real(1.5, 2.0)),
    of("geqo_threshold", Integer(2, COUNT)),
    of("hash_mem_multiplier", Real(1.0, 1000.0)),
    of("jit", Bool),
    of("jit_above_cost", JIT_COST),
    of("jit_expressions", Bool),
    of("jit_inline_above_cost", JIT_COST),
    of("jit_optimize_above_cost", JIT_COST),
    of("jit_tuple_deforming", Bool),
    of("join_collapse_limit", Integer(1, COUNT)),
    of("maintenance_io_concurrency", Integer(0, 1000)),
    of("maintenance_work_mem", Memory(1024, COUNT, KB)),
    of("max_parallel_maintenance_workers", WORKERS),
    of("max_parallel_workers", WORKERS),
    of("max_parallel_workers_per_gather", WORKERS),
    of("min_parallel_index_scan_size", Memory(0, BLOCKS, BLOCK)),
    of("min_parallel_table_scan_size", Memory(0, BLOCKS, BLOCK)),
    of("parallel_leader_participation", Bool),
    of("parallel_setup_cost", COST),
    of("parallel_tuple_cost", COST),
    of(
        "plan_cache_mode",
        Enum(&["auto", "force_generic_plan", "force_custom_plan"], &[]),
    ),
    of("random_page_cost", COST),
    of("recursive_worktable_factor", Real(0.001, 1_000_000.0)),
    of("seq_page_cost", COST),
    of("synchronize_seqscans", Bool),
    of(
        "synchronous_commit",
        Enum(
            &["local", "remote_write", "remote_apply", "on", "off"],
            BOOLEANS,
        ),
    ),
    of("temp_buffers", Memory(100, 1_073_741_823, BLOCK)),
    of("work_mem", Memory(64, COUNT, KB)),
];
