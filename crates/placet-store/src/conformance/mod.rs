//! What every store must keep, as a suite of cases, adopted in one call from a store's own tests:
//!
//! ```
//! use std::sync::Arc;
//! use placet_store::conformance::{Home, exercise};
//! use placet_store::model::{ModelStore, State};
//! use placet_store::Store;
//!
//! /// Where the rows of one case are, whether or not a store is open.
//! struct Memory(Arc<ModelStore>);
//!
//! impl Home for Memory {
//!     fn open(&self) -> Arc<dyn Store> {
//!         self.0.clone()
//!     }
//! }
//!
//! exercise(&|| Box::new(Memory(Arc::default())));
//! ```
//!
//! Each case is a function whose name is the claim that it checks, and has a home of its own. The last ones
//! are random scripts, which the [`ModelStore`](crate::model::ModelStore) runs too: the dumps must agree.

mod batches;
mod chance;
mod concurrency;
mod entries;
mod histories;
mod hubs;
mod instances;
mod limits;
mod listings;
mod lists;
mod openings;
mod payloads;
mod records;
mod recoveries;
mod samples;
mod scripts;
mod searches;
mod stage;
mod timers;

use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread;

use crate::Store;
pub use scripts::Script;
use stage::Stage;

/// Where one store keeps its rows: it can be opened, and opened again after the last one was dropped.
pub trait Home: Send + Sync {
    /// Opens the store on what is there.
    fn open(&self) -> Arc<dyn Store>;

    /// Keeps what the files hold at this moment, as if the process that has the store open were killed: the next
    /// [`Home::open`], after the store was dropped, is on that. A store that has no files leaves it out.
    fn kill(&self) {}
}

/// Makes a home with nothing in it.
pub type NewHome<'a> = &'a (dyn Fn() -> Box<dyn Home> + Sync);

/// How many random scripts [`exercise`] runs.
pub const SCRIPTS: u64 = 2_000;

/// Runs every case and some random scripts.
///
/// # Panics
/// If a case fails. The others are run all the same, and the message names those that failed.
pub fn exercise(new_home: NewHome<'_>) {
    exercise_cases(new_home);
    exercise_scripts(new_home, 0..SCRIPTS);
}

/// Runs every case.
///
/// # Panics
/// If a case fails. The others are run all the same, and the message names those that failed.
pub fn exercise_cases(new_home: NewHome<'_>) {
    let cases: Vec<Case> = cases().collect();
    let failed: Vec<&str> = in_parallel(&cases, |case| (!holds(case, new_home)).then_some(case.name));
    assert!(failed.is_empty(), "the store does not keep: {}", failed.join(", "));
}

/// Runs the random scripts with these seeds.
///
/// # Panics
/// If a store and the model differ; the message names the seed and shows both.
pub fn exercise_scripts(new_home: NewHome<'_>, seeds: std::ops::Range<u64>) {
    let seeds: Vec<u64> = seeds.collect();
    in_parallel(&seeds, |seed| Some(scripts::run(*seed, &mut Stage::new(new_home()))));
}

struct Case {
    name: &'static str,
    run: fn(&mut Stage),
}

macro_rules! cases {
    ($($module:ident: $($name:ident),+;)+) => {
        fn cases() -> impl Iterator<Item = Case> {
            [$($(Case { name: stringify!($name), run: $module::$name }),+),+].into_iter()
        }
    };
}

cases! {
    openings:
        a_new_store_is_empty,
        every_claim_counts_the_incarnation_and_no_reopening_forgets_it,
        a_claim_knows_the_highest_key_that_is_still_there,
        a_claim_knows_the_newest_time_to_a_second,
        what_was_committed_is_there_after_reopening;
    batches:
        every_row_of_a_batch_comes_back_as_it_was,
        an_empty_batch_changes_nothing,
        an_id_may_be_deleted_and_inserted_in_one_batch,
        a_batch_whose_last_row_is_refused_writes_nothing,
        a_batch_that_changes_an_absent_instance_is_refused,
        a_batch_with_a_turn_or_a_message_that_is_there_is_refused,
        the_store_goes_on_after_a_refused_batch,
        of_two_writes_of_one_row_the_later_one_holds;
    instances:
        an_instance_is_found_by_name_and_by_key,
        what_is_absent_is_answered_with_none_in_its_place,
        the_same_question_twice_has_the_same_answer_twice,
        an_update_changes_all_but_the_id_and_the_time_of_creation,
        every_status_of_the_protocol_is_kept,
        a_deleted_instance_leaves_nothing_behind,
        messages_and_activities_come_in_the_order_of_their_numbers,
        an_activity_is_replaced_and_deleted,
        replies_are_kept_with_and_without_an_answer,
        replies_before_a_turn_are_dropped,
        ids_may_be_any_text_of_a_hundred_characters,
        ids_that_differ_in_case_or_normal_form_are_different;
    lists:
        instances_are_listed_in_the_order_of_their_creation,
        a_list_goes_on_behind_its_last_row_whatever_came_and_went_meanwhile,
        instances_whose_ids_begin_alike_are_listed_by_their_ids,
        what_has_ended_is_listed_in_the_order_in_which_it_did,
        pages_of_any_size_hold_every_instance_once,
        what_goes_with_its_hub_is_on_no_list;
    searches:
        a_search_finds_what_all_of_its_filter_holds_for,
        ids_that_begin_alike_are_found_whatever_follows,
        a_search_orders_by_any_column_and_what_is_alike_by_age,
        any_part_of_any_search_is_what_a_look_at_all_rows_finds,
        every_hub_knows_how_many_instances_have_which_status,
        a_refused_batch_leaves_the_counts_as_they_were,
        what_goes_with_its_hub_is_counted_no_more;
    histories:
        turns_come_back_in_order_from_the_one_asked_for,
        a_page_of_history_takes_what_fits_and_at_least_one_turn,
        dropping_history_keeps_the_turns_from_that_one_on,
        turns_of_one_instance_are_not_those_of_another;
    recoveries:
        recovery_finds_active_instances_with_all_that_they_wait_for,
        recovery_follows_the_active_flag,
        recovery_comes_in_pages_in_the_order_of_keys,
        recovery_is_for_the_partitions_asked_for,
        a_page_ends_at_its_bytes_and_holds_one_instance_at_least;
    timers:
        timers_are_due_until_the_time_asked_for_in_order,
        timers_come_in_pages,
        timers_are_for_the_partitions_asked_for,
        deleted_timers_are_never_due;
    hubs:
        a_hub_exists_once_made_or_used,
        hubs_come_in_the_order_of_their_names,
        a_deleted_hub_takes_all_that_is_in_it_and_nothing_else,
        a_deleted_hub_is_gone_at_once_though_it_is_cleared_away_later,
        a_hub_may_be_deleted_again_before_it_is_cleared_away,
        a_hub_may_be_deleted_and_made_again_in_one_batch,
        published_rows_are_inserted_replaced_and_deleted,
        published_rows_are_told_apart_by_hub_projection_and_key,
        what_an_instance_has_published_is_withdrawn_with_it_and_nothing_else,
        deleting_a_row_that_was_never_published_makes_no_hub;
    listings:
        rows_are_found_by_all_terms_that_are_asked_for_in_their_order,
        a_row_is_found_by_the_terms_that_it_was_published_with_last,
        lists_of_many_rows_are_whole_in_any_order,
        any_listing_is_what_a_look_at_all_rows_finds;
    entries:
        entries_stand_at_the_ends_of_their_chains_and_whoever_follows_a_chain_finds_it_whole,
        an_erased_entry_leaves_its_link_and_no_word,
        a_person_who_is_erased_is_named_nowhere_and_all_else_is_there,
        chains_go_with_their_hub;
    records:
        a_record_is_there_until_it_is_deleted,
        a_record_is_replaced_as_a_whole,
        records_are_told_apart_by_hub_kind_and_key,
        records_are_listed_by_kind_and_key_from_any_place,
        what_has_expired_is_found_in_the_order_in_which_it_did,
        records_go_with_their_hub,
        a_record_may_be_deleted_and_made_again_in_one_batch,
        a_record_may_be_as_large_as_it_comes;
    concurrency:
        a_read_sees_a_batch_whole_or_not_at_all,
        what_was_committed_is_read_at_once;
    limits:
        numbers_and_times_may_be_as_large_as_they_come,
        a_name_may_be_of_a_thousand_characters,
        a_batch_may_have_ten_thousand_rows;
    payloads:
        payloads_may_be_empty,
        payloads_of_a_mebibyte_come_back_whole,
        payloads_may_be_any_bytes,
        a_payload_that_lies_ahead_is_read_with_its_row_and_not_before,
        what_lies_ahead_of_a_row_that_never_came_is_cleared_away_and_its_key_is_free,
        a_row_takes_the_place_of_what_was_left_ahead_of_it;
}

/// How many homes are at work at a time: most of a case is waiting for a disk.
const PARALLEL: usize = 8;

/// Does it for every item; what came of it, in the order of the items.
fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> Option<R> + Sync) -> Vec<R> {
    let share = items.len().div_ceil(PARALLEL).max(1);
    let run = |share: &[T]| -> Vec<R> { share.iter().filter_map(&work).collect() };
    let run = &run;
    thread::scope(|scope| {
        let threads: Vec<_> = items.chunks(share).map(|share| scope.spawn(move || run(share))).collect();
        let done = threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
        done.flatten().collect()
    })
}

/// Runs a case in a thread of its own that is called like it, so that a panic tells which one it is.
fn holds(case: &Case, new_home: NewHome<'_>) -> bool {
    let run = || (case.run)(&mut Stage::new(new_home()));
    thread::scope(|scope| {
        let thread = thread::Builder::new().name(case.name.to_owned()).spawn_scoped(scope, run);
        thread.expect("a thread can be started").join().is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ModelStore;

    struct Memory(Arc<ModelStore>);

    impl Home for Memory {
        fn open(&self) -> Arc<dyn Store> {
            self.0.clone()
        }
    }

    #[test]
    fn the_model_store_keeps_the_contract() {
        exercise(&|| Box::new(Memory(Arc::default())));
    }

    #[test]
    fn what_the_model_reads_is_what_it_holds() {
        for seed in 0..SCRIPTS {
            let home = Memory(Arc::default());
            let model = home.0.clone();
            let told = scripts::run(seed, &mut Stage::new(Box::new(home)));
            assert_eq!(model.dump(), told, "seed {seed}");
        }
    }
}
